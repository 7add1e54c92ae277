/* t/proto/test_doc.c: doc/protocol.md tells of every row of the tables: commands with their arguments, opcodes, statuses
 * and constant answers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "proto/command.h"
#include "t/lib/unit.h"

static char text[1 << 17], flat[1 << 17];

/* Line ends and runs of blanks become one blank; a bar that a table's cell had to escape, a bar. */
static void
flatten(char *out, const char *in)
{
	for (; *in != '\0'; in++) {
		bool blank = *in == ' ' || *in == '\n';

		if (blank && in > text && (in[-1] == ' ' || in[-1] == '\n'))
			continue;
		if (in[0] == '\\' && in[1] == '|')
			continue;
		*out++ = blank ? ' ' : *in;
	}
	*out = '\0';
}

static void
read_document(void)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];
	size_t n;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/doc/protocol.md", srcdir != NULL ? srcdir : ".");
	file = fopen(path, "r");
	if (file == NULL)
		panic("cannot open %s", path);
	n = fread(text, 1, sizeof(text) - 1, file);
	ASSERT(n < sizeof(text) - 1);
	text[n] = '\0';
	(void)fclose(file);
	flatten(flat, text);
}

static void
expect(const char *wanted)
{
	if (strstr(flat, wanted) == NULL) {
		print_message("doc/protocol.md does not say: %s\n", wanted);
		fail();
	}
}

/* "`name arguments`", or "`name`" where it takes none. */
static void
every_text_command(void **state)
{
	char wanted[300];

	(void)state;
	for (unsigned op = 0; op < OP_COUNT; op++) {
		const struct command_info *info = &command_infos[op];

		if (info->surface == SURFACE_BINARY)
			continue;
		(void)snprintf(wanted, sizeof(wanted), "`%s%s%s`", info->name,
		    info->arguments[0] != '\0' ? " " : "", info->arguments);
		expect(wanted);
	}
}

static void
every_opcode(void **state)
{
	static const char *const wanted[] = {
#define OPCODE(code, symbol, ...) "| " #code " | " #symbol " |",
#include "proto/tbl/opcodes.h"
#undef OPCODE
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		expect(wanted[i]);
}

static void
every_status(void **state)
{
	static const char *const wanted[] = {
#define STATUS(symbol, code, words) "| " #code " | " words,
#include "proto/tbl/statuses.h"
#undef STATUS
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		expect(wanted[i]);
}

static void
every_constant_answer(void **state)
{
	static const char *const wanted[] = {
#define REPLY(symbol, words) "`" words "`",
#include "proto/tbl/replies.h"
#undef REPLY
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		expect(wanted[i]);
}

static void
every_watch_stream(void **state)
{
	static const char *const wanted[] = {
#define WATCH(symbol, name) "`" name "`",
#include "proto/tbl/watches.h"
#undef WATCH
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		expect(wanted[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_text_command),
	    cmocka_unit_test(every_opcode),
	    cmocka_unit_test(every_status),
	    cmocka_unit_test(every_constant_answer),
	    cmocka_unit_test(every_watch_stream),
	};

	read_document();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
