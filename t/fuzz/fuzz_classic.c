/* t/fuzz/fuzz_classic.c: any bytes as lines of text, and as the authentication that may stand before them. */
#include "t/fuzz/parse.h"

static enum parse_result
parse_auth(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error)
{
	enum parse_result result = classic_parse_auth(window, command, error);

	(void)limits;
	if (result == PARSE_COMMAND)
		command->op =
		    OP_QUIT; /* its key and value may be empty, which those of a set may not */
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	fuzz_stream(classic_parse, data, size);
	fuzz_stream(parse_auth, data, size);
	return 0;
}
