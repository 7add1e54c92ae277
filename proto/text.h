/* proto/text.h: what classic.c, admin.c and meta.c share: words, numbers, refusals, data blocks. Inner header. */
#ifndef PROTO_TEXT_H
#define PROTO_TEXT_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/assert.h"
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
			return p + (unsigned)__builtin_ctz(hits);
	}
	if (end - begin >= 16) { /* the last 16 bytes, those before P ignored */
		v = _mm_loadu_si128((const __m128i_u *)(end - 16));
		hits = (unsigned)_mm_movemask_epi8(
		    _mm_or_si128(_mm_cmpeq_epi8(v, as), _mm_cmpeq_epi8(v, bs)));
		hits >>= 16 - (end - p);
		return hits != 0 ? p + (unsigned)__builtin_ctz(hits) : end;
	}
#else
	(void)begin;
#endif
	while (p < end && *p != a && *p != b)
		p++;
	return p;
}

#ifdef __SSE2__
/* A bit for each of the 16 bytes at P that is a blank or a control byte (all up to ' '). */
static inline unsigned
text_breaks(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i_u *)p);

	v = _mm_subs_epu8(v, _mm_set1_epi8(' '));
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128()));
}
#endif

/* The first blank or control byte at or behind P, or END; BEGIN as above. */
static inline const char *
text_break(const char *begin, const char *p, const char *end)
{
#ifdef __SSE2__
	unsigned hits;

	for (; end - p >= 32; p += 32) {
		hits = text_breaks(p) | text_breaks(p + 16) << 16;
		if (likely(hits != 0))
			return p + (unsigned)__builtin_ctz(hits);
	}
	if (end - p >= 16) { /* two blocks that overlap */
		hits = text_breaks(p) | text_breaks(end - 16) << (end - p - 16);
		return likely(hits != 0) ? p + (unsigned)__builtin_ctz(hits) : end;
	}
	if (end - begin >= 16) { /* the last 16 bytes, those before P ignored */
		hits = text_breaks(end - 16) >> (16 - (end - p));
		return hits != 0 ? p + (unsigned)__builtin_ctz(hits) : end;
	}
#else
	(void)begin;
#endif
	while (p < end && (unsigned char)*p > ' ')
		p++;
	return p;
}

#ifdef __SSE2__
static ALWAYS_INLINE uint64_t
text_blanks_of_16(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i_u *)p);

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')));
}
#endif

/* A bit for each of the 64 bytes at P that is a blank, the first byte's lowest. */
static ALWAYS_INLINE uint64_t
text_blanks(const char *p)
{
#ifdef __SSE2__
	return text_blanks_of_16(p) | text_blanks_of_16(p + 16) << 16 |
	    text_blanks_of_16(p + 32) << 32 | text_blanks_of_16(p + 48) << 48;
#else
	uint64_t blanks = 0;

	for (unsigned i = 0; i < 64; i++)
		blanks |= (uint64_t)(p[i] == ' ') << i;
	return blanks;
#endif
}

/* The same for the bytes between P and END, with a bit behind the last if they are less than 64. */
uint64_t text_last_blanks(const char *p, const char *end);

/* The words of REST (split by blanks, nothing else), one after the other, to PUT, which gets the LEN bytes at P and says
 * whether it takes more. REST is left at what was not cut. */
static ALWAYS_INLINE void
text_words(struct slice *rest, bool (*put)(void *context, const char *p, size_t len), void *context)
{
	const char *p = rest->ptr, *end = p + rest->len, *begin = p;

	for (; p < end; p += 64) {
		uint64_t blanks = likely(end - p >= 64) ? text_blanks(p) : text_last_blanks(p, end);

		for (; blanks != 0; blanks &= blanks - 1) {
			const char *blank = p + __builtin_ctzll(blanks);
			size_t len = (size_t)(blank - begin);

			if (likely(len != 0) && unlikely(!put(context, begin, len))) {
				/* It may be the blank that was put behind the end. */
				*rest = slice_of(blank < end ? blank : end,
				    blank < end ? (size_t)(end - blank) : 0);
				return;
			}
			begin = blank + 1;
		}
	}
	if (begin < end) /* it ends with a full block */
		(void)put(context, begin, (size_t)(end - begin));
	*rest = slice_of(end, 0);
}

/* Whether P begins with "\r\n". */
static inline bool
text_is_end(const char *p)
{
	return memcmp(p, "\r\n", 2) == 0;
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
bool text_lenient_i32(struct slice s, int32_t *out);

/* PARSE_ERROR: REPLY, with USED bytes done. The caller may go on to change *ERROR. */
enum parse_result text_refuse(
    struct command *command, struct parse_error *error, struct slice reply, size_t used);

/* The end of every storage command: OP, KEY, SIZE, CLIENT_FLAGS, NOREPLY and USED (the line) of COMMAND are set. Is the
 * item too large, is the value there, does it end as it must? QUIET_ERRORS: noreply hides them. */
enum parse_result text_any_data_block(struct slice window, const struct parse_limits *limits,
    bool quiet_errors, struct command *command, struct parse_error *error);

/* Whether the SIZE bytes of a value behind the HEAD bytes of a line are whole and end well, and are plainly not too many. */
static inline bool
text_data_plain(struct slice window, const struct parse_limits *limits, size_t head, size_t key_len,
    size_t size)
{
	uint64_t most = (uint64_t)limits->item_overhead + 4 + 1 + 2 + key_len + size;

	return most <= limits->item_size_max && size <= limits->inline_value_max &&
	    window.len - head >= size + 2 && text_is_end(window.ptr + head + size);
}

/* The same; what is well is seen here. */
static inline enum parse_result
text_data_block(struct slice window, const struct parse_limits *limits, bool quiet_errors,
    struct command *command, struct parse_error *error)
{
	size_t head = command->used, size = command->size;

	if (unlikely(!text_data_plain(window, limits, head, command->key.len, size)))
		return text_any_data_block(window, limits, quiet_errors, command, error);
	command->value = slice_of(window.ptr + head, size);
	command->used = head + size + 2;
	return PARSE_COMMAND;
}

/* Any line and its data block, the general way, in classic.c. Results as of classic_parse. */
enum parse_result text_parse(struct slice window, const struct parse_limits *limits,
    struct command *command, struct parse_error *error);

/* Administration, in admin.c. LINE is without its end, and USED is its length with it. */
enum parse_result admin_parse(struct slice line, size_t used, const struct parse_limits *limits,
    struct command *command, struct parse_error *error);

#endif
