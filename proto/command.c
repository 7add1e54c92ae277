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
