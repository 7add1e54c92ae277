/* base/number.h: the one strict number parser, and fast decimal output.
 *
 * Parsers take the whole slice or nothing: no blanks, no sign unless the type has one, no overflow.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

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

/* Writes V in decimal at P (NUMBER_U64_MAX_LEN bytes of room), no terminator; returns the end. */
char *number_format_u64(char *p, uint64_t v);

/* How many digits number_format_u64 would write. */
size_t number_length_u64(uint64_t v);

#endif
