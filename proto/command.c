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

/* A bit for each of the 64 bytes at P that is a blank, the first byte's lowest. */
static inline uint64_t
blanks_of(const char *p)
{
#ifdef __SSE2__
	const __m128i blank = _mm_set1_epi8(' ');
	uint64_t blanks = 0;

	for (unsigned i = 0; i < 64; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i_u *)(p + i));

		blanks |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, blank)) << i;
	}
	return blanks;
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

unsigned
proto_tokens_next(struct slice *rest, struct slice *words, unsigned max)
{
	const char *p = rest->ptr, *end = p + rest->len, *begin = p;
	unsigned n = 0;

	for (; p < end && n < max; p += 64) {
		uint64_t blanks = likely(end - p >= 64) ? blanks_of(p) : last_blanks_of(p, end);

		for (; blanks != 0 && n < max; blanks &= blanks - 1) {
			const char *blank = p + __builtin_ctzll(blanks);

			words[n] = slice_of(begin, (size_t)(blank - begin));
			n += blank > begin;
			begin = blank + 1;
		}
	}
	if (n < max && begin < end) { /* it ends with a full block */
		words[n++] = slice_of(begin, (size_t)(end - begin));
		begin = end;
	}
	if (begin > end)
		begin = end;
	*rest = slice_of(begin, (size_t)(end - begin));
	return n;
}
