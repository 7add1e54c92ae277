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

/* Where words go. */
struct word_room {
	struct slice *next, *end;
};

static ALWAYS_INLINE bool
put_word(void *context, const char *p, size_t len)
{
	struct word_room *room = context;

	*room->next++ = slice_of(p, len);
	return room->next != room->end;
}

unsigned
proto_tokens_next(struct slice *rest, struct slice *words, unsigned max)
{
	struct word_room room = {words, words + max};

	text_words(rest, put_word, &room);
	return (unsigned)(room.next - words);
}

uint64_t
text_last_blanks(const char *p, const char *end)
{
	size_t n = (size_t)(end - p);
	char copy[64];

	if (n >= sizeof(copy))
		return text_blanks(p);
	memset(copy, 0, sizeof(copy));
	memcpy(copy, p, n);
	copy[n] = ' ';
	return text_blanks(copy);
}
