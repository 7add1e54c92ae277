/* t/cli/print_ringctl_manual.c: prints the manual page that belongs to ringctl's tables of options and commands. */
#include <stdio.h>

static const struct row {
	const char *name, *argument, *text;
} commands[] = {
#define COMMAND(symbol, name, arguments, least, most, text) {name, arguments, text},
#include "ringctl/tbl/commands.h"
#undef COMMAND
};

static const struct option_row {
	char letter;
	struct row row;
} options[] = {
#define OPTION(letter, name, argument, text) {letter, {name, argument, text}},
#include "ringctl/tbl/options.h"
#undef OPTION
};

/* With hyphens as what one types, and a line that begins with none of roff's own characters. */
static void
put(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '-')
			(void)putchar('\\');
		(void)putchar(*text);
	}
}

static void
put_options(void)
{
	(void)puts(".SH OPTIONS");
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const struct row *row = &options[i].row;

		(void)printf(".TP\n.B \\-%c, \\-\\-%s", options[i].letter, row->name);
		if (row->argument != NULL) {
			(void)putchar('=');
			put(row->argument);
		}
		(void)putchar('\n');
		put(row->text);
		(void)puts(".");
	}
}

static void
put_commands(void)
{
	(void)puts(".SH COMMANDS");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		(void)printf(".TP\n.B %s", commands[i].name);
		if (commands[i].argument[0] != '\0')
			(void)putchar(' ');
		put(commands[i].argument);
		(void)putchar('\n');
		put(commands[i].text);
		(void)puts(".");
	}
}

static const char head[] =
    ".\\\" Made from ringctl's tables of options and commands: make manual.\n"
    ".TH RINGCTL 1\n"
    ".SH NAME\n"
    "ringctl \\- looks at a cluster of ringcached nodes, and changes it\n"
    ".SH SYNOPSIS\n"
    ".B ringctl\n"
    ".RI [ option ...]\n"
    ".I command\n"
    ".RI [ argument ...]\n"
    ".SH DESCRIPTION\n"
    "Asks one node of a cluster, which one does not matter, and prints what it says: for people, or as JSON with\n"
    ".BR \\-\\-json .\n"
    "Both tell the same. Options may stand before or behind the command; behind\n"
    ".B \\-\\-\n"
    "nothing is an option any more.\n";

static const char tail[] =
    ".SH CHANGING THE NODES\n"
    ".B nodes set\n"
    "takes the whole list of nodes, in the syntax of ringcached's\n"
    ".BR \\-\\-peers ,\n"
    "and hands it, with an epoch above the present one, to all nodes of the old list and of the new. It needs the file with the\n"
    "cluster's secret and reaches the nodes at their peer ports. It ends when all nodes of the new list show the new epoch, or\n"
    ".B \\-\\-timeout\n"
    "is over; who has it not yet is told by the others as soon as they meet.\n"
    "A new node is started first, with a list of\n"
    ".B \\-\\-peers\n"
    "that names it. Keys whose owner changes begin anew there, unless their new owner had copies: nothing is moved.\n"
    ".SH EXIT STATUS\n"
    ".TP\n"
    ".B 0\n"
    "Done.\n"
    ".TP\n"
    ".B 1\n"
    "There is no such key, or a node has refused, or not all nodes have the new list in time.\n"
    ".TP\n"
    ".B 2\n"
    "Wrong usage: options, arguments, a list or a secret that is none.\n"
    ".TP\n"
    ".B 3\n"
    "No connection to the node, or no answer.\n"
    ".SH EXAMPLES\n"
    ".nf\n"
    "ringctl \\-s 10.0.0.1:11211 status\n"
    "ringctl \\-s 10.0.0.1:11211 ring user:42\n"
    "ringctl \\-s 10.0.0.1:11211 \\-S /etc/ringcached.secret nodes set \\e\n"
    "    a=10.0.0.1:11211,b=10.0.0.2:11211,c=10.0.0.3:11211\n"
    "ringctl status \\-\\-json | jq '.nodes[] | select(.state == \"unreachable\") | .name'\n"
    ".fi\n"
    ".SH SEE ALSO\n"
    ".BR ringcached (1)\n";

int
main(void)
{
	(void)fputs(head, stdout);
	put_options();
	put_commands();
	(void)fputs(tail, stdout);
	return 0;
}
