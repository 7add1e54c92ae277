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

/* Copies N bytes, at most 32, to P, which has room for them: no call, and pieces that overlap in place of a loop. */
static inline void
bytes_copy_32(char *p, const char *from, size_t n)
{
	if (n >= 16) {
		memcpy(p, from, 16);
		memcpy(p + n - 16, from + n - 16, 16);
	} else if (n >= 8) {
		memcpy(p, from, 8);
		memcpy(p + n - 8, from + n - 8, 8);
	} else if (n >= 4) {
		memcpy(p, from, 4);
		memcpy(p + n - 4, from + n - 4, 4);
	} else {
		for (size_t i = 0; i < n; i++)
			p[i] = from[i];
	}
}

/* The same for what is mostly short, but can be of any size, as values are. */
static inline void
bytes_copy(char *p, const char *from, size_t n)
{
	if (n <= 32) {
		bytes_copy_32(p, from, n);
	} else if (n <= 128) {
		char *end = p + n;
		const char *from_end = from + n;

		memcpy(p, from, 32);
		if (n > 64) {
			memcpy(p + 32, from + 32, 32);
			memcpy(end - 64, from_end - 64, 32);
		}
		memcpy(end - 32, from_end - 32, 32);
	} else {
		memcpy(p, from, n);
	}
}

/* Copies S to P, which has room for it, and returns the end. For what is short, as keys are. */
static inline char *
slice_copy_short(char *p, struct slice s)
{
	size_t n = s.len;

	if (__builtin_expect(n <= 32, 1)) {
		bytes_copy_32(p, s.ptr, n);
	} else {
		for (size_t i = 0; i < n - 32; i += 32)
			memcpy(p + i, s.ptr + i, 32);
		memcpy(p + n - 32, s.ptr + n - 32, 32);
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
