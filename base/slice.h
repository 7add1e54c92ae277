/* base/slice.h: bytes that somebody else owns. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* LEN bytes at PTR, not terminated; valid as long as their owner says. PTR may be NULL where LEN is 0. */
struct slice {
	const char *ptr;
	size_t len;
};

/* Of a string literal, without its terminator. */
#define SLICE_LITERAL(s) ((struct slice){(s), sizeof(s) - 1})

static inline struct slice
slice_of(const char *ptr, size_t len)
{
	return (struct slice){ptr, len};
}

static inline bool
slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Whether A is exactly the C string S. */
static inline bool
slice_is(struct slice a, const char *s)
{
	return slice_equal(a, slice_of(s, strlen(s)));
}

#endif
