/* base/number.h: the one strict number parser, and fast decimal output.
 *
 * Parsers take the whole slice or nothing: no blanks, no sign unless the type has one, no overflow.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* The most bytes that number_format_u64 writes. */
#define NUMBER_U64_MAX_LEN 20

/* Decimal digits only, 1 or more. False and *OUT untouched where S is anything else or above 2^64-1. */
bool number_parse_u64(struct slice s, uint64_t *out);
bool number_parse_u32(struct slice s, uint32_t *out);

/* As above with an optional leading '-'. */
bool number_parse_i64(struct slice s, int64_t *out);
bool number_parse_i32(struct slice s, int32_t *out);

/* The numbers below 1000 as a line: LEN digits, "\r\n", then NULs. */
struct number_short {
	char line[7];
	uint8_t len;
};
static_assert(sizeof(struct number_short) == 8, "one of them is copied at once");
extern const struct number_short number_shorts[1000];

/* For number_format_u64, of V above 999. */
char *number_format_long(char *p, uint64_t v);

/* Writes V in decimal at P, no terminator; returns the end. The room must be NUMBER_U64_MAX_LEN bytes, or, where V is
 * known to be short, as many as it has digits, and 4 at least: bytes behind the end may be written, too. */
static inline char *
number_format_u64(char *p, uint64_t v)
{
	if (__builtin_expect(v >= 1000, 0))
		return number_format_long(p, v);
	memcpy(p, number_shorts[v].line, 4);
	return p + number_shorts[v].len;
}

/* The same with the end of a line, "\r\n". The room must be 2 bytes more, and 8 at least. */
static inline char *
number_format_line(char *p, uint64_t v)
{
	if (__builtin_expect(v >= 1000, 0)) {
		p = number_format_long(p, v);
		memcpy(p, "\r\n", 2);
		return p + 2;
	}
	memcpy(p, &number_shorts[v], sizeof(number_shorts[v]));
	return p + number_shorts[v].len + 2;
}

/* How many digits number_format_u64 would write. */
size_t number_length_u64(uint64_t v);

#endif
