/* proto/text.h: what classic.c, admin.c and meta.c share: words, numbers, refusals, data blocks. Inner header. */
#ifndef PROTO_TEXT_H
#define PROTO_TEXT_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "proto/command.h"
#include "proto/reply.h"

/* The first A or B at or behind P, or END. BEGIN is the first readable byte, at or before P. */
static inline const char *
text_find(const char *begin, const char *p, const char *end, char a, char b)
{
#ifdef __SSE2__
	const __m128i as = _mm_set1_epi8(a), bs = _mm_set1_epi8(b);
	__m128i v;
	unsigned hits;

	for (; end - p >= 16; p += 16) {
		v = _mm_loadu_si128((const __m128i_u *)p);
		hits = (unsigned)_mm_movemask_epi8(
		    _mm_or_si128(_mm_cmpeq_epi8(v, as), _mm_cmpeq_epi8(v, bs)));
		if (hits != 0)
			return p + __builtin_ctz(hits);
	}
	if (end - begin >= 16) { /* the last 16 bytes, those before P ignored */
		v = _mm_loadu_si128((const __m128i_u *)(end - 16));
		hits = (unsigned)_mm_movemask_epi8(
		    _mm_or_si128(_mm_cmpeq_epi8(v, as), _mm_cmpeq_epi8(v, bs)));
		hits >>= 16 - (end - p);
		return hits != 0 ? p + __builtin_ctz(hits) : end;
	}
#else
	(void)begin;
#endif
	while (p < end && *p != a && *p != b)
		p++;
	return p;
}

/* A line as memcached sees it: words split by blanks, 23 at most, what follows ignored. */
#define TEXT_WORDS_MAX 23
struct words {
	unsigned count;
	struct slice word[TEXT_WORDS_MAX];
};
void text_split(struct slice line, struct words *words);

/* Whether the last word is "noreply". */
bool text_noreply(const struct words *words);

/* Numbers are read in two ways, each in its places, as in memcached: strictly (digits, for the signed one a leading
 * '-', 11 or 22 characters at most), and as strtol does (white space and a sign in front, white space behind). Of the
 * lenient ones flags and times keep their low 32 bits. False where it is none. */
bool text_u32(struct slice s, uint32_t *out);
bool text_u64(struct slice s, uint64_t *out);
bool text_i32(struct slice s, int32_t *out);
bool text_i64(struct slice s, int64_t *out);
bool text_lenient_u32(struct slice s, uint32_t *out);
bool text_lenient_u64(struct slice s, uint64_t *out);
bool text_lenient_i32(struct slice s, int32_t *out);

/* PARSE_ERROR: REPLY, with USED bytes done. The caller may go on to change *ERROR. */
enum parse_result text_refuse(
    struct command *command, struct parse_error *error, struct slice reply, size_t used);

/* The end of every storage command: OP, KEY, SIZE, CLIENT_FLAGS, NOREPLY and USED (the line) of COMMAND are set. Is the
 * item too large, is the value there, does it end as it must? QUIET_ERRORS: noreply hides them. */
enum parse_result text_data_block(struct slice window, const struct parse_limits *limits,
    bool quiet_errors, struct command *command, struct parse_error *error);

/* Administration, in admin.c. LINE is without its end, and USED is its length with it. */
enum parse_result admin_parse(struct slice line, size_t used, const struct parse_limits *limits,
    struct command *command, struct parse_error *error);

#endif
