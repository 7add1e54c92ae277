/* bench/content.h: what keys and values look like.
 *
 * A key is its number in decimal, filled with zeros in front to the key's size, led by a 'k' where there is
 * room. A value follows from the key's number and a version: its first 8 bytes are a hash of both, the rest is a
 * piece of one block of random bytes whose place the hash gives. So a value can be checked without having
 * been remembered, at the price of a memcmp, and making one costs no more than copying it.
 */
#ifndef BENCH_CONTENT_H
#define BENCH_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/number.h"
#include "base/slice.h"
#include "bench/dist.h"

#define CONTENT_BLOCK 65536u

struct content {
	uint64_t keys;                 /* numbers 0 to KEYS - 1; 0 = any, from a trace */
	struct dist key_size;          /* borrowed */
	struct dist value_size;        /* borrowed */
	bool resize;                   /* a value's size follows from the version too */
	char block[2 * CONTENT_BLOCK]; /* its second half repeats the first */
};

/* The dists stay the caller's and must live as long. */
void content_init(struct content *c, uint64_t keys, const struct dist *key_size,
    const struct dist *value_size, bool resize);

/* Bytes of the key with number KEY; never fewer than its digits. */
uint16_t content_key_size(const struct content *c, uint64_t key);

/* The fewest bytes that hold the key's number. */
static inline uint16_t
content_key_digits(uint64_t key)
{
	return (uint16_t)number_length_u64(key);
}

/* Bytes of its value in VERSION. */
uint32_t content_value_size(const struct content *c, uint64_t key, uint32_t version);

/* Writes the key of SIZE bytes at P; returns the end. SIZE is at least the number of digits. */
char *content_key(char *p, uint64_t key, size_t size);

/* The number of a key that content_key wrote. False where it is none. */
bool content_key_number(struct slice text, uint64_t *key);

/* Writes SIZE bytes of value at P; returns the end. */
char *content_value(const struct content *c, char *p, uint64_t key, uint32_t version, size_t size);

/* Whether PIECE is what the value has at OFFSET. */
bool content_check(
    const struct content *c, uint64_t key, uint32_t version, uint64_t offset, struct slice piece);

#endif
