/* ringctl/main.c: options, the choice of the command, and the two ways to print. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "ringctl/ringctl.h"

#include "config.h"

static const struct command {
	const char *name, *arguments, *text;
	int least, most;
	command_run *run;
	command_print *print;
} commands[] = {
#define COMMAND(symbol, name, arguments, least, most, text)                                        \
	{name, arguments, text, least, most, run_##symbol, print_##symbol},
#include "ringctl/tbl/commands.h"
#undef COMMAND
};

static const struct option_row {
	int letter;
	const char *name, *argument, *text;
} option_rows[] = {
#define OPTION(letter, name, argument, text) {letter, name, argument, text},
#include "ringctl/tbl/options.h"
#undef OPTION
};

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

void
die(enum status status, const char *format, ...)
{
	va_list arguments;

	(void)fputs("ringctl: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	(void)fflush(NULL);
	/* At once: what the callers hold is nobody's to free, and no leak. */
	_exit((int)status);
}

static void
print_help(void)
{
	char head[64];

	(void)puts("usage: ringctl [option...] command [argument...]\n\nOptions:");
	for (size_t i = 0; i < COUNT_OF(option_rows); i++) {
		const struct option_row *row = &option_rows[i];

		(void)snprintf(head, sizeof(head), "-%c, --%s%s%s", row->letter, row->name,
		    row->argument != NULL ? "=" : "", row->argument != NULL ? row->argument : "");
		(void)printf("  %-28s %s\n", head, row->text);
	}
	(void)puts("\nCommands:");
	for (size_t i = 0; i < COUNT_OF(commands); i++) {
		(void)snprintf(head, sizeof(head), "%s%s%s", commands[i].name,
		    commands[i].arguments[0] != '\0' ? " " : "", commands[i].arguments);
		(void)printf("  %-28s %s\n", head, commands[i].text);
	}
	(void)puts(
	    "\nStatus: 0 done, 1 not found or refused, 2 wrong usage, 3 no answer from a server.");
}

static int
number_of(const char *option, const char *text, uint32_t most, const char *unit)
{
	uint32_t number;

	if (!number_parse_u32(slice_of(text, strlen(text)), &number) || number == 0 ||
	    number > most)
		die(STATUS_USAGE, "--%s %s is not a number of %s", option, text, unit);
	return (int)number;
}

static void
apply(struct options *o, int letter)
{
	switch (letter) {
	case 's':
		o->server = optarg;
		return;
	case 'S':
		o->secret = optarg;
		return;
	case 'j':
		o->json = true;
		return;
	case 't':
		o->timeout = number_of("timeout", optarg, 600000, "milliseconds");
		return;
	case 'w':
		o->wait = number_of("wait", optarg, 86400, "seconds");
		return;
	case 'f':
		o->force = true;
		return;
	case 'h':
		print_help();
		exit(STATUS_OK);
	case 'V':
		(void)puts("ringctl " PACKAGE_VERSION);
		exit(STATUS_OK);
	default:
		(void)fputs("ringctl --help tells the options.\n", stderr);
		exit(STATUS_USAGE);
	}
}

static void
parse_options(struct options *o, int argc, char **argv)
{
	struct option longs[COUNT_OF(option_rows) + 1] = {0};
	char shorts[2 * COUNT_OF(option_rows) + 1] = "";
	size_t n = 0;
	int letter;

	for (size_t i = 0; i < COUNT_OF(option_rows); i++) {
		const struct option_row *row = &option_rows[i];

		longs[i] = (struct option){row->name,
		    row->argument != NULL ? required_argument : no_argument, NULL, row->letter};
		shorts[n++] = (char)row->letter;
		if (row->argument != NULL)
			shorts[n++] = ':';
	}
	while ((letter = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		apply(o, letter);
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	die(STATUS_USAGE, "there is no command %s; ringctl --help tells which there are", name);
}

int
main(int argc, char **argv)
{
	struct options options = {.server = "127.0.0.1:11211", .timeout = 3000, .wait = 60};
	const struct command *command;
	enum status status = STATUS_OK;
	struct arguments arguments;
	json_t *result;

	parse_options(&options, argc, argv);
	if (optind == argc) {
		print_help();
		return STATUS_USAGE;
	}
	command = find_command(argv[optind]);
	arguments = (struct arguments){argc - optind - 1, argv + optind + 1};
	if (arguments.count < command->least || arguments.count > command->most)
		die(STATUS_USAGE, "usage: ringctl %s%s%s", command->name,
		    command->arguments[0] != '\0' ? " " : "", command->arguments);
	result = command->run(&options, &arguments, &status);
	if (result == NULL)
		die(STATUS_USAGE, "out of memory");
	if (options.json) {
		(void)json_dumpf(result, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		(void)putchar('\n');
	} else {
		command->print(result);
	}
	json_decref(result);
	return (int)status;
}
