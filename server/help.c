/* server/help.c: what --help and --license print and what the manual page says, out of the rows of the settings. */
#include "server/options.h"

#include <ctype.h>
#include <string.h>

#define TEXT_COLUMN 28
#define TEXT_RIGHT  80

static const char license[] =
    "Redistribution and use in source and binary forms, with or without modification,\n"
    "are permitted provided that the following conditions are met:\n"
    "\n"
    "1. Redistributions of source code must retain the above copyright notice, this\n"
    "   list of conditions and the following disclaimer.\n"
    "\n"
    "2. Redistributions in binary form must reproduce the above copyright notice,\n"
    "   this list of conditions and the following disclaimer in the documentation\n"
    "   and/or other materials provided with the distribution.\n"
    "\n"
    "3. Neither the name of the copyright holder nor the names of its contributors\n"
    "   may be used to endorse or promote products derived from this software without\n"
    "   specific prior written permission.\n"
    "\n"
    "THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS \"AS IS\" AND\n"
    "ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED\n"
    "WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE\n"
    "DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR\n"
    "ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES\n"
    "(INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS\n"
    "OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY\n"
    "THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING\n"
    "NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN\n"
    "IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.\n";

void
options_license(FILE *out)
{
	(void)fprintf(out, "ringcached %s\n\n", PACKAGE_VERSION);
	(void)fprintf(
	    out, "Copyright (c) the Ringcache authors. All rights reserved.\n\n%s\n", license);
	(void)fprintf(out,
	    "It uses libevent (BSD-3-Clause), OpenSSL's libcrypto (Apache-2.0), userspace RCU\n"
	    "(LGPL-2.1) and xxHash (BSD-2-Clause); where they were there when it was built, also\n"
	    "liburing (LGPL-2.1 or MIT) and libsasl2 (BSD-3-Clause-Attribution).\n");
}

/* Prints TEXT from column COLUMN on, in lines up to TEXT_RIGHT. */
static void
print_wrapped(FILE *out, const char *text, size_t column)
{
	while (*text != '\0') {
		size_t word = strcspn(text, " ");

		if (column > TEXT_COLUMN && column + word + 1 > TEXT_RIGHT) {
			(void)fprintf(out, "\n%*s", TEXT_COLUMN, "");
			column = TEXT_COLUMN;
		} else if (column > TEXT_COLUMN) {
			(void)fputc(' ', out);
			column++;
		}
		(void)fwrite(text, 1, word, out);
		column += word;
		text += word + (text[word] == ' ');
	}
	(void)fputc('\n', out);
}

/* "-p, --port=<port>", "--no-pin" and so on. */
static void
spell_option(enum setting_id id, char *out, size_t room)
{
	const struct setting_row *row = settings_row(id);
	char letter[8] = "";
	const char *dashes = row->place == PLACE_SUB || row->place == PLACE_OWNSUB ? "" : "--";

	if (row->letter != 0)
		(void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	if (row->place == PLACE_OWN && settings_is_flag(id))
		(void)snprintf(out, room, "--%s, --no-%s", row->name, row->name);
	else if (settings_is_flag(id))
		(void)snprintf(out, room, "%s%s%s", letter, dashes, row->name);
	else
		(void)snprintf(out, room, "%s%s%s=<%s>", letter, dashes, row->name, row->unit);
}

static bool
is_size(const struct setting_row *row)
{
	return strcmp(row->unit, "megabytes") == 0 || strcmp(row->unit, "kilobytes") == 0;
}

/* The default as the operator would write it; false where that says nothing. */
static bool
spell_default(enum setting_id id, char *out)
{
	const struct setting_row *row = settings_row(id);
	struct settings defaults;
	const char *text;

	settings_init(&defaults);
	text = settings_text(&defaults, id, out);
	if (settings_is_flag(id) || id == SETTING_growth_factor || strcmp(text, "NULL") == 0 ||
	    strcmp(text, "(null)") == 0 || strcmp(text, "no") == 0)
		return false;
	if (id == SETTING_item_size_max)
		text = "1m";
	else if (is_size(row) && row->max > UINT32_MAX / 4)
		(void)snprintf(out, SETTINGS_ERROR_MAX, "%llu",
		    strtoull(text, NULL, 10) >> (row->unit[0] == 'm' ? 20 : 10));
	if (text != out)
		(void)snprintf(out, SETTINGS_ERROR_MAX, "%s", text);
	return true;
}

/* The names of an enumeration: " (a, b, c)". */
static void
spell_choices(enum setting_id id, char *out, size_t room)
{
	const struct setting_choice *choice = settings_choices(id);
	size_t len = 0;

	out[0] = '\0';
	for (; choice != NULL && choice->name != NULL && len < room; choice++)
		len += (size_t)snprintf(
		    out + len, room - len, "%s%s", len == 0 ? ": " : ", ", choice->name);
}

static void
help_row(FILE *out, enum setting_id id)
{
	const struct setting_row *row = settings_row(id);
	char option[128], choices[256], value[SETTINGS_ERROR_MAX], text[1536];
	int width;

	spell_option(id, option, sizeof(option));
	spell_choices(id, choices, sizeof(choices));
	if (row->effect == EFFECT_ABSENT)
		(void)snprintf(text, sizeof(text), "%s (not in this build: refused)", row->text);
	else if (row->effect == EFFECT_COMPAT)
		(void)snprintf(text, sizeof(text), "%s (accepted for compatibility)", row->text);
	else if (spell_default(id, value))
		(void)snprintf(text, sizeof(text), "%s%s (default: %s)", row->text, choices, value);
	else
		(void)snprintf(text, sizeof(text), "%s", row->text);
	width = fprintf(out, "%-*s", TEXT_COLUMN - 1, option);
	if (width >= TEXT_COLUMN) {
		(void)fprintf(out, "\n%*s", TEXT_COLUMN, "");
		width = TEXT_COLUMN;
	} else {
		(void)fputc(' ', out);
		width++;
	}
	print_wrapped(out, text, (size_t)width);
}

static void
help_place(FILE *out, enum setting_place place)
{
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = settings_row(id);

		if (row->place == place && row->effect != EFFECT_UNNAMED &&
		    !(place == PLACE_SUB && row->effect == EFFECT_COMPAT))
			help_row(out, id);
	}
}

/* Suboptions that mean nothing here, names only. */
static void
help_compat(FILE *out)
{
	char names[2048];
	size_t len = 0;

	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = settings_row(id);

		if (row->place == PLACE_SUB && row->effect == EFFECT_COMPAT && len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
			    len == 0 ? "" : " ", row->name);
	}
	(void)fprintf(out, "%-*s", TEXT_COLUMN, "accepted, without effect:");
	print_wrapped(out, names, TEXT_COLUMN);
}

void
options_help(FILE *out)
{
	(void)fprintf(out, "ringcached %s\n", PACKAGE_VERSION);
	help_place(out, PLACE_OPTION);
	(void)fprintf(out, "%-*sextended options, separated by commas; see below\n", TEXT_COLUMN,
	    "-o, --extended=<list>");
	(void)fprintf(out, "\nOptions that memcached does not have:\n");
	help_place(out, PLACE_OWN);
	(void)fprintf(out, "\nExtended options (-o name, -o name=value, -o no_name):\n");
	help_place(out, PLACE_SUB);
	help_place(out, PLACE_OWNSUB);
	help_compat(out);
}

/* ---------------------------------------------------------------- the manual page */

/* Text with what man(7) would take for commands made harmless. */
static void
man_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '-')
			(void)fputs("\\-", out);
		else if (*text == '\\')
			(void)fputs("\\e", out);
		else
			(void)fputc(*text, out);
	}
}

static void
man_range(FILE *out, enum setting_id id)
{
	const struct setting_row *row = settings_row(id);
	char value[SETTINGS_ERROR_MAX];

	if (spell_default(id, value)) {
		(void)fputs("Default: ", out);
		man_text(out, value);
		(void)fputs(".\n", out);
	}
	if (row->max > row->min && !is_size(row) && id != SETTING_item_size_max &&
	    row->max < INT32_MAX) {
		(void)fprintf(out, "%s ", row->min < 0 ? "From" : "Range:");
		(void)snprintf(value, sizeof(value), "%g to %g", row->min, row->max);
		man_text(out, value);
		(void)fputs(".\n", out);
	}
}

static void
man_choices(FILE *out, enum setting_id id)
{
	const struct setting_choice *choice = settings_choices(id);

	for (; choice != NULL && choice->name != NULL; choice++) {
		(void)fputs(".br\n.B ", out);
		man_text(out, choice->name);
		(void)fputs("\n", out);
		man_text(out, choice->text);
		(void)fputs(".\n", out);
	}
}

static void
man_row(FILE *out, enum setting_id id)
{
	const struct setting_row *row = settings_row(id);
	char option[128];

	spell_option(id, option, sizeof(option));
	(void)fputs(".TP\n.B ", out);
	man_text(out, option);
	(void)fprintf(out, "\n%c", toupper((unsigned char)row->text[0]));
	man_text(out, row->text + 1);
	(void)fputs(".\n", out);
	if (row->effect == EFFECT_COMPAT || row->effect == EFFECT_UNNAMED)
		(void)fputs("Accepted for compatibility, without effect.\n", out);
	else if (row->effect == EFFECT_ABSENT)
		(void)fputs("Not in this build: the option is refused.\n", out);
	man_range(out, id);
	man_choices(out, id);
}

static void
man_place(FILE *out, enum setting_place place, enum setting_effect effect)
{
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = settings_row(id);

		if (row->place == place && (place == PLACE_OPTION || row->effect == effect))
			man_row(out, id);
	}
}

static const char man_head[] =
    ".\\\" Made from the table of settings: make manual.\n"
    ".TH RINGCACHED 1\n"
    ".SH NAME\n"
    "ringcached \\- cache server that speaks memcached's protocols\n"
    ".SH SYNOPSIS\n"
    ".B ringcached\n"
    ".RI [ options ]\n"
    ".SH DESCRIPTION\n"
    "A cache of keys and values in memory. Any client of memcached works with it unchanged, and memcached's\n"
    "command line options mean the same here. Without options it listens on port 11211 of all interfaces and\n"
    "keeps 64 megabytes of items.\n"
    ".SH OPTIONS\n";

static const char man_tail[] =
    ".SH SIGNALS\n"
    ".TP\n"
    ".B SIGTERM, SIGINT\n"
    "Stop at once.\n"
    ".TP\n"
    ".B SIGUSR1\n"
    "Stop gracefully: answer what has arrived first; in a cluster also wait for the answers of other nodes, and until\n"
    "changes are copied, for about twice \\-\\-peer\\-timeout at most.\n"
    ".TP\n"
    ".B SIGHUP\n"
    "Reads the file of users (\\-Y, \\-S) again.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n"
    ".B MEMCACHED_PORT_FILENAME\n"
    "A file to which the ports that are listened on are written, a line each, such as \"TCP INET: 11211\".\n"
    ".TP\n"
    ".B MEMCACHED_SASL_PWDB\n"
    "A file of users for \\-S, a line each of user:password.\n"
    ".TP\n"
    ".B NOTIFY_SOCKET\n"
    "Where systemd is told that it serves, and that it stops.\n"
    ".SH EXIT STATUS\n"
    "0 after a stop by signal or by the shutdown command; 64 for options that contradict each other or ask for\n"
    "what this build does not have; 67 for an unknown user; 69 for \\-\\-io=uring where the system has no io_uring;\n"
    "71 where the system refuses something, such as a port that is in use; 78 for a list of nodes, a name of a\n"
    "node or a secret that cannot be used; 1 for a bad value of an option and all else.\n"
    ".SH NOTES\n"
    "The log goes to stderr; with\n"
    ".B \\-d\n"
    "and without\n"
    ".B \\-v\n"
    "it goes to syslog. With\n"
    ".B \\-d\n"
    "the command returns when the server is ready, or has failed.\n"
    ".SH SEE ALSO\n"
    ".BR memcached (1),\n"
    ".BR ringctl (1)\n";

void
options_manual(FILE *out)
{
	(void)fputs(man_head, out);
	man_place(out, PLACE_OPTION, EFFECT_ACTS);
	(void)fputs(
	    ".TP\n.B \\-o, \\-\\-extended=<list>\nExtended options, separated by commas; see below.\n",
	    out);
	(void)fputs(".SH OPTIONS THAT MEMCACHED DOES NOT HAVE\n", out);
	man_place(out, PLACE_OWN, EFFECT_ACTS);
	(void)fputs(
	    ".SH EXTENDED OPTIONS\nA flag is turned off by\n.B no_\nin front of its name.\n", out);
	man_place(out, PLACE_SUB, EFFECT_ACTS);
	man_place(out, PLACE_OWNSUB, EFFECT_ACTS);
	(void)fputs(".SH EXTENDED OPTIONS WITHOUT EFFECT\n", out);
	man_place(out, PLACE_SUB, EFFECT_COMPAT);
	man_place(out, PLACE_SUB, EFFECT_UNNAMED);
	(void)fputs(man_tail, out);
}
