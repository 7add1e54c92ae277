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

/* Copies S to P, which has room for it, and returns the end. For what is mostly short, as keys are: no call, and pieces
 * that overlap in place of a loop over the rest. */
static inline char *
slice_copy_short(char *p, struct slice s)
{
	size_t n = s.len;

	if (n >= 16) {
		for (size_t i = 0; i < n - 16; i += 16)
			memcpy(p + i, s.ptr + i, 16);
		memcpy(p + n - 16, s.ptr + n - 16, 16);
	} else if (n >= 8) {
		memcpy(p, s.ptr, 8);
		memcpy(p + n - 8, s.ptr + n - 8, 8);
	} else if (n >= 4) {
		memcpy(p, s.ptr, 4);
		memcpy(p + n - 4, s.ptr + n - 4, 4);
	} else {
		for (size_t i = 0; i < n; i++)
			p[i] = s.ptr[i];
	}
	return p + n;
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
