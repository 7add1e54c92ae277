/* server/prefix.h: what `stats detail` counts by prefix of key (what stands before the delimiter, -D).
 *
 * Kept only while detail is on, so it may take a lock. The number of prefixes is bounded, because clients make them
 * up: when PREFIXES_MAX are known, keys with others are not counted.
 */
#ifndef SERVER_PREFIX_H
#define SERVER_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define PREFIXES_MAX 4096u

struct prefixes;

struct prefix_counts {
	uint64_t get, hit, set, del;
};

/* NULL where memory is out. */
struct prefixes *prefixes_new(char delimiter);
void prefixes_free(struct prefixes **prefixes);

/* A key without the delimiter has no prefix and is not counted. Any thread. */
void prefixes_count_get(struct prefixes *prefixes, struct slice key, bool hit);
void prefixes_count_set(struct prefixes *prefixes, struct slice key);
void prefixes_count_delete(struct prefixes *prefixes, struct slice key);

/* Forgets all. */
void prefixes_reset(struct prefixes *prefixes);

/* The INDEXth prefix (at most 250 bytes into NAME) and its counts; false behind the last. */
bool prefixes_get(struct prefixes *prefixes, size_t index, char *name, size_t *length,
    struct prefix_counts *counts);

#endif
