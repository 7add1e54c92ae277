/* proto/command.c: the table of commands as data, and the words of a line. */
#include "proto/command.h"

const struct command_info command_infos[OP_COUNT] = {
#define COMMAND(symbol, surface, name, arguments, flags, help)                                     \
	[OP_##symbol] = {#symbol, name, arguments, help, SURFACE_##surface, flags},
#include "proto/tbl/commands.h"
#undef COMMAND
};

bool
proto_token_next(struct slice *rest, struct slice *word)
{
	const char *p = rest->ptr, *end = p + rest->len;
	const char *start;

	while (p < end && *p == ' ')
		p++;
	start = p;
	while (p < end && *p != ' ')
		p++;
	*word = slice_of(start, (size_t)(p - start));
	*rest = slice_of(p, (size_t)(end - p));
	return p > start;
}
