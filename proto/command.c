/* proto/command.c: the table of commands as data, and the words of a line. */
#include "proto/command.h"

#include "proto/text.h"

const struct command_info command_infos[OP_COUNT] = {
#define COMMAND(symbol, surface, name, arguments, flags, help)                                     \
	[OP_##symbol] = {#symbol, name, arguments, help, SURFACE_##surface, flags},
#include "proto/tbl/commands.h"
#undef COMMAND
};

bool
proto_token_next(struct slice *rest, struct slice *word)
{
	const char *begin = rest->ptr, *end = begin + rest->len, *p = begin, *stop;

	while (p < end && *p == ' ')
		p++;
	stop = text_find(begin, p, end, ' ', ' ');
	*word = slice_of(p, (size_t)(stop - p));
	*rest = slice_of(stop, (size_t)(end - stop));
	return stop > p;
}

#ifdef __SSE2__
static ALWAYS_INLINE uint64_t
blanks_of_16(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i_u *)p);

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')));
}
#endif

/* A bit for each of the 64 bytes at P that is a blank, the first byte's lowest. */
static ALWAYS_INLINE uint64_t
blanks_of(const char *p)
{
#ifdef __SSE2__
	return blanks_of_16(p) | blanks_of_16(p + 16) << 16 | blanks_of_16(p + 32) << 32 |
	    blanks_of_16(p + 48) << 48;
#else
	uint64_t blanks = 0;

	for (unsigned i = 0; i < 64; i++)
		blanks |= (uint64_t)(p[i] == ' ') << i;
	return blanks;
#endif
}

/* The same for the bytes between P and END, with a bit behind the last if they are less than 64. */
static uint64_t
last_blanks_of(const char *p, const char *end)
{
	size_t n = (size_t)(end - p);
	char copy[64];

	if (n >= sizeof(copy))
		return blanks_of(p);
	memset(copy, 0, sizeof(copy));
	memcpy(copy, p, n);
	copy[n] = ' ';
	return blanks_of(copy);
}

/* REST begins at BEGIN now, which may be behind the blank that was put behind its END. */
static void
set_begin(struct slice *rest, const char *begin, const char *end)
{
	*rest = slice_of(begin < end ? begin : end, begin < end ? (size_t)(end - begin) : 0);
}

unsigned
proto_tokens_next(struct slice *rest, struct slice *words, unsigned max)
{
	const char *p = rest->ptr, *end = p + rest->len, *begin = p;
	struct slice *word = words, *full = words + max;

	for (; p < end; p += 64) {
		uint64_t blanks = likely(end - p >= 64) ? blanks_of(p) : last_blanks_of(p, end);

		for (; blanks != 0; blanks &= blanks - 1) {
			const char *blank = p + (unsigned)__builtin_ctzll(blanks);
			size_t len = (size_t)(blank - begin);

			if (likely(len > 0)) {
				*word++ = slice_of(begin, len);
				if (word == full) {
					set_begin(rest, blank, end);
					return max;
				}
			}
			begin = blank + 1;
		}
	}
	if (begin < end) /* it ends with a full block */
		*word++ = slice_of(begin, (size_t)(end - begin));
	set_begin(rest, end, end);
	return (unsigned)(word - words);
}
