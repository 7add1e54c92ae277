/* proto/fast_get.h: the most frequent line of all, "get <key>\r\n", recognised without a parser.
 *
 * What is not exactly that (another command, several keys, blanks, a bare LF, a key that is too long, a line that is
 * not whole) is left to classic_parse, which says the same of the lines that are taken here.
 */
#ifndef PROTO_FAST_GET_H
#define PROTO_FAST_GET_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/slice.h"
#include "proto/command.h"

#if defined(__SSE2__)
#include <emmintrin.h>

#define FAST_GET_STEP 16

/* Which of the 16 bytes at P are blanks or control characters. */
static inline unsigned
fast_get_ends(const char *p)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i low = _mm_min_epu8(bytes, _mm_set1_epi8(' '));

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(low, bytes));
}

/* The first blank or control character from P on, before END; NULL = there is none among PROTO_KEY_MAX bytes. There are at
 * least 16 bytes before END. */
static inline const char *
fast_get_key_end(const char *p, const char *end)
{
	const char *most = p + PROTO_KEY_MAX;

	for (; p <= most; p += FAST_GET_STEP) {
		ptrdiff_t left = end - p;
		unsigned ends = left >= FAST_GET_STEP
		    ? fast_get_ends(p)
		    : fast_get_ends(end - FAST_GET_STEP) >> (FAST_GET_STEP - left);

		if (likely(ends != 0))
			return p + __builtin_ctz(ends);
		if (left <= FAST_GET_STEP)
			return NULL;
	}
	return NULL;
}
#else
#define FAST_GET_STEP 1

static inline const char *
fast_get_key_end(const char *p, const char *end)
{
	const char *most = p + PROTO_KEY_MAX;

	while (p < end && p <= most && (unsigned char)*p > ' ')
		p++;
	return p < end && p <= most ? p : NULL;
}
#endif

/* The bytes that the line at P takes, with its key in *KEY; 0 = something else, or not whole. */
static inline size_t
fast_get(const char *p, const char *end, struct slice *key)
{
	const char *q;
	uint32_t word;

	if (unlikely(end - p < FAST_GET_STEP + 4))
		return 0;
	memcpy(&word, p, sizeof(word));
	if (memcmp(&word, "get ", sizeof(word)) != 0)
		return 0;
	q = fast_get_key_end(p + 4, end);
	if (unlikely(q == NULL) || q == p + 4 || q - (p + 4) > (ptrdiff_t)PROTO_KEY_MAX ||
	    end - q < 2 || q[0] != '\r' || q[1] != '\n')
		return 0;
	*key = slice_of(p + 4, (size_t)(q - (p + 4)));
	return (size_t)(q + 2 - p);
}

#endif
