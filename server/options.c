/* server/options.c: see options.h. getopt_long gets its tables from the rows of the settings; suboptions of -o are
 * cut and looked up here. */
#include "server/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/assert.h"

/* What getopt_long returns: a letter, or one of these plus the setting's id. */
#define VALUE_OWN 0x1000
#define VALUE_NOT 0x2000

/* Two per setting at most, -o, and the end. */
#define LONG_MAX_COUNT (2 * SETTING_COUNT + 2)

struct getopt_tables {
	char letters[2 * SETTING_COUNT + 3];
	char no_names[SETTING_COUNT][40];
	struct option longs[LONG_MAX_COUNT];
	size_t letter_count, long_count;
};

static void
add_long(struct getopt_tables *t, const char *name, int argument, int value)
{
	ASSERT(t->long_count < LONG_MAX_COUNT - 1);
	t->longs[t->long_count++] = (struct option){name, argument, NULL, value};
}

static void
add_letter(struct getopt_tables *t, char letter, bool argument)
{
	t->letters[t->letter_count++] = letter;
	if (argument)
		t->letters[t->letter_count++] = ':';
}

static void
add_row(struct getopt_tables *t, enum setting_id id)
{
	const struct setting_row *row = settings_row(id);
	bool flag = settings_is_flag(id);
	int argument = flag ? no_argument : required_argument;

	if (row->place == PLACE_OPTION) {
		add_letter(t, row->letter, !flag);
		add_long(t, row->name, id == SETTING_verbosity ? optional_argument : argument,
		    row->letter);
	} else if (row->place == PLACE_OWN) {
		add_long(t, row->name, argument, VALUE_OWN + (int)id);
		if (flag) {
			(void)snprintf(
			    t->no_names[id], sizeof(t->no_names[id]), "no-%s", row->name);
			add_long(t, t->no_names[id], no_argument, VALUE_NOT + (int)id);
		}
	}
}

static void
fill_tables(struct getopt_tables *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned id = 0; id < SETTING_COUNT; id++)
		add_row(t, id);
	add_letter(t, 'o', true);
	add_long(t, "extended", required_argument, 'o');
}

static enum setting_id
find_letter(int letter)
{
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		if (settings_row(id)->letter == letter)
			return id;
	}
	return SETTING_COUNT;
}

static enum setting_id
find_suboption(const char *name)
{
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = settings_row(id);

		if ((row->place == PLACE_SUB || row->place == PLACE_OWNSUB) &&
		    strcmp(row->name, name) == 0)
			return id;
	}
	return SETTING_COUNT;
}

/* The exit status that memcached takes for a bad value. */
static int
refusal_status(enum setting_id id)
{
	switch (id) {
	case SETTING_protocol:
	case SETTING_port:
	case SETTING_udp_port:
		return EX_USAGE;
	default:
		return settings_row(id)->effect == EFFECT_ABSENT ? EX_USAGE : EXIT_FAILURE;
	}
}

/* Zero or the exit status. */
static int
report(bool good, enum setting_id id, const char *error)
{
	if (good)
		return 0;
	(void)fprintf(stderr, "%s\n", error);
	return refusal_status(id);
}

/* One suboption, "name" or "name=value"; TEXT is changed. */
static int
set_suboption(struct settings *s, char *text)
{
	char error[SETTINGS_ERROR_MAX];
	char *value = strchr(text, '=');
	enum setting_id id;

	if (value != NULL)
		*value++ = '\0';
	id = find_suboption(text);
	if (id != SETTING_COUNT && value != NULL && settings_is_flag(id)) {
		(void)fprintf(stderr, "-o %s takes no value\n", text);
		return EXIT_FAILURE;
	}
	if (id != SETTING_COUNT)
		return report(settings_set(s, id, value, error), id, error);
	if (strncmp(text, "no_", 3) == 0)
		id = find_suboption(text + 3);
	if (id != SETTING_COUNT && value == NULL)
		return report(settings_unset(s, id, error), id, error);
	(void)fprintf(stderr, "Illegal suboption \"%s%s%s\"\n", text, value != NULL ? "=" : "",
	    value != NULL ? value : "");
	return EXIT_FAILURE;
}

static int
set_suboptions(struct settings *s, const char *list)
{
	char *copy = strdup(list);
	char *rest = copy;
	int status = 0;

	ASSERT(copy != NULL);
	while (status == 0 && rest != NULL && *rest != '\0') {
		char *one = strsep(&rest, ",");

		status = set_suboption(s, one);
	}
	free(copy);
	return status;
}

static int
set_option(struct settings *s, int value, const char *text)
{
	char error[SETTINGS_ERROR_MAX];
	enum setting_id id;

	if (value == 'o')
		return set_suboptions(s, text);
	if (value >= VALUE_NOT) {
		id = (enum setting_id)(value - VALUE_NOT);
		return report(settings_unset(s, id, error), id, error);
	}
	id = value >= VALUE_OWN ? (enum setting_id)(value - VALUE_OWN) : find_letter(value);
	if (id == SETTING_COUNT) {
		(void)fprintf(stderr, "Illegal argument \"%c\"\n", value);
		return EXIT_FAILURE;
	}
	return report(settings_set(s, id, text, error), id, error);
}

/* What was asked for and has no effect is said to whoever asks for more words. */
static void
warn_about(const struct settings *s)
{
	if (s->threads > 64)
		(void)fprintf(stderr,
		    "WARNING: Setting a high number of worker threads is not recommended.\n"
		    " Set this value to the number of cores in your machine or less.\n");
	for (unsigned id = 0; id < SETTING_COUNT && s->verbosity > 0; id++) {
		const struct setting_row *row = settings_row(id);

		if (s->given[id] && (row->effect == EFFECT_COMPAT || row->effect == EFFECT_UNNAMED))
			(void)fprintf(stderr, "%s has no effect here: accepted for compatibility\n",
			    row->name);
	}
}

/* Command lines that ask for UDP are older than the attacks that it was used for; their clients that speak TCP are served. */
static void
ignore_udp(struct settings *s)
{
	if (s->udp_port == 0)
		return;
	(void)fprintf(stderr, "WARNING: UDP is not supported, -U %d is ignored\n", s->udp_port);
	s->udp_port = 0;
}

/* Whether a flag that only prints something was given, which is done then. */
static bool
print_and_end(const struct settings *s)
{
	if (s->help)
		options_help(stdout);
	else if (s->license)
		options_license(stdout);
	else if (s->version)
		(void)printf("ringcached %s\n", PACKAGE_VERSION);
	else
		return false;
	return true;
}

bool
options_parse(struct settings *s, int argc, char **argv, int *status)
{
	struct getopt_tables tables;
	char error[SETTINGS_ERROR_MAX];
	int value;

	fill_tables(&tables);
	optind = 0;
	*status = EXIT_SUCCESS;
	while ((value = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
		*status = set_option(s, value, optarg);
		if (*status != 0 || print_and_end(s))
			return false;
	}
	for (int i = optind; i < argc; i++)
		(void)fprintf(stderr, "WARNING: ignoring the argument \"%s\"\n", argv[i]);
	if (!settings_check(s, error)) {
		(void)fprintf(stderr, "%s\n", error);
		*status = EX_USAGE;
		return false;
	}
	ignore_udp(s);
	warn_about(s);
	return true;
}
