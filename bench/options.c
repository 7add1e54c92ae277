/* bench/options.c: see options.h. A row's kind names the function that reads its text; defaults go through
 * the same functions. */
#include "bench/options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"

#define CONNECTIONS_MAX 60000u
#define DEPTH_MAX       65536u
#define THREADS_MAX     256u

typedef bool parse_fn(const char *text, void *out, const char **why);

static bool
parse_TEXT(const char *text, void *out, const char **why)
{
	(void)why;
	*(const char **)out = text;
	return true;
}

/* A number with an optional k, m or g (powers of 1000). */
static bool
parse_COUNT(const char *text, void *out, const char **why)
{
	static const char units[] = "kmg";
	size_t len = strlen(text);
	uint64_t scale = 1;
	uint64_t *value = out;

	*why = "expected a number, k, m or g behind it where wanted";
	for (size_t i = 0; len > 1 && i < 3; i++) {
		if (text[len - 1] == units[i]) {
			for (size_t j = 0; j <= i; j++)
				scale *= 1000;
			len--;
			break;
		}
	}
	return number_parse_u64(slice_of(text, len), value) &&
	    !__builtin_mul_overflow(*value, scale, value);
}

static bool
parse_REAL(const char *text, void *out, const char **why)
{
	char *end;
	double value = strtod(text, &end);

	*why = "expected a number that is not negative";
	if (end == text || *end != '\0' || !(value >= 0) || value > 1e15)
		return false;
	*(double *)out = value;
	return true;
}

/* Without an argument on the command line: yes. */
static bool
parse_FLAG(const char *text, void *out, const char **why)
{
	(void)why;
	*(bool *)out = text == NULL || strcmp(text, "no") != 0;
	return true;
}

static bool
parse_DIST(const char *text, void *out, const char **why)
{
	struct dist d;

	if (!dist_parse(&d, text, why))
		return false;
	dist_fini(out);
	*(struct dist *)out = d;
	return true;
}

static bool
parse_WIRE(const char *text, void *out, const char **why)
{
	static const char *const names[] = {
	    [WIRE_TEXT] = "text", [WIRE_META] = "meta", [WIRE_BINARY] = "binary"};

	*why = "expected text, meta or binary";
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*(enum wire *)out = (enum wire)i;
			return true;
		}
	}
	return false;
}

static bool
parse_RATIO(const char *text, void *out, const char **why)
{
	const char *colon = strchr(text, ':');
	struct ratio *r = out;

	*why = "expected GETS:SETS, such as 9:1, 1:0 or 0:1, each up to a million";
	return colon != NULL &&
	    number_parse_u32(slice_of(text, (size_t)(colon - text)), &r->get_share) &&
	    number_parse_u32(slice_of(colon + 1, strlen(colon + 1)), &r->set_share) &&
	    r->get_share <= 1000000 && r->set_share <= 1000000 && r->get_share + r->set_share > 0;
}

static bool
parse_POPULARITY(const char *text, void *out, const char **why)
{
	struct popularity *p = out;

	*why = "expected uniform, hot, or zipf:THETA with a THETA above 0 and up to 10";
	if (strncmp(text, "zipf:", 5) == 0) {
		p->kind = POPULARITY_ZIPF;
		return parse_REAL(text + 5, &p->theta, &(const char *){NULL}) && p->theta > 0 &&
		    p->theta <= 10;
	}
	p->kind = strcmp(text, "hot") == 0 ? POPULARITY_HOT : POPULARITY_UNIFORM;
	return p->kind == POPULARITY_HOT || strcmp(text, "uniform") == 0;
}

static const struct option_row {
	const char *name;
	const char *preset;
	const char *argument;
	const char *help;
	parse_fn *parse;
	size_t offset;
	int letter;
} rows[] = {
#define OPTION(field, letter, name, kind, preset, argument, help)                                  \
	{name, preset, argument, help, parse_##kind, offsetof(struct options, field), letter},
#include "bench/tbl/options.h"
#undef OPTION
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static bool
set_row(struct options *o, const struct option_row *row, const char *text)
{
	const char *why = NULL;

	if (row->parse(text, (char *)o + row->offset, &why))
		return true;
	fprintf(stderr, "ringbench: --%s %s: %s\n", row->name, text, why);
	return false;
}

static void
set_defaults(struct options *o)
{
	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].preset != NULL)
			ASSERT(set_row(o, &rows[i], rows[i].preset));
}

/* What getopt_long wants: its value for a row is the row's number above all letters. */
static void
build_getopt(struct option *longs, char *letters)
{
	char *p = letters;

	for (size_t i = 0; i < ROW_COUNT; i++) {
		longs[i].name = rows[i].name;
		longs[i].has_arg = rows[i].argument != NULL ? required_argument : no_argument;
		longs[i].val = 256 + (int)i;
		if (rows[i].letter != 0) {
			*p++ = (char)rows[i].letter;
			if (rows[i].argument != NULL)
				*p++ = ':';
		}
	}
	*p = '\0';
}

static const struct option_row *
row_of(int c)
{
	if (c >= 256)
		return &rows[c - 256];
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].letter == c)
			return &rows[i];
	return NULL;
}

/* Keys must be long enough for their numbers. */
static bool
check_keys(const struct options *o, const char **why)
{
	*why = "there must be at least one key";
	if (o->keys == 0)
		return false;
	*why = "a key has 1 to 250 bytes";
	return dist_max(&o->key_size) >= 1 && dist_max(&o->key_size) <= 250;
}

static bool
check_load(const struct options *o, const char **why)
{
	*why = "connections: at least 1 and at most 60000; at least one a thread";
	if (o->connections < 1 || o->connections > CONNECTIONS_MAX || o->connections < o->threads ||
	    o->idle > CONNECTIONS_MAX)
		return false;
	*why = "threads: 1 to 256";
	if (o->threads < 1 || o->threads > THREADS_MAX)
		return false;
	*why = "depth: 1 to 65536";
	if (o->depth < 1 || o->depth > DEPTH_MAX)
		return false;
	*why = "burst: 1 to DEPTH";
	if (o->burst < 1 || o->burst > o->depth)
		return false;
	*why = "multi-get: 1 to 1000 keys";
	if (o->multi < 1 || o->multi > MULTI_GET_MAX)
		return false;
	*why = "--refill does not go with --multi-get";
	return !o->refill || o->multi == 1;
}

static bool
check_replay(const struct options *o, const char **why)
{
	if (o->replay == NULL)
		return true;
	*why = "--replay runs in one thread, without --rate, --prefill and --multi-get";
	if (o->threads != 1 || o->rate > 0 || o->prefill || o->prefill_only || o->multi != 1)
		return false;
	*why = "--relabel: 1 to 1000 copies";
	return o->relabel >= 1 && o->relabel <= 1000;
}

bool
options_parse(struct options *o, int argc, char **argv)
{
	struct option longs[ROW_COUNT + 1] = {0};
	char letters[2 * ROW_COUNT + 1];
	const char *why;
	int c;

	set_defaults(o);
	build_getopt(longs, letters);
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_row *row = row_of(c);

		if (row == NULL || !set_row(o, row, optarg))
			return false;
	}
	if (o->help || o->version)
		return true;
	if (optind < argc) {
		fprintf(stderr, "ringbench: '%s' is no option\n", argv[optind]);
		return false;
	}
	if (!check_keys(o, &why) || !check_load(o, &why) || !check_replay(o, &why)) {
		fprintf(stderr, "ringbench: %s\n", why);
		return false;
	}
	return true;
}

void
options_fini(struct options *o)
{
	dist_fini(&o->key_size);
	dist_fini(&o->value_size);
	dist_fini(&o->ttl);
}

void
options_print_help(void)
{
	printf(
	    "usage: ringbench [options]\n\nLoad generator and benchmark for memcached's protocols.\n\n");
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct option_row *row = &rows[i];
		char left[64];

		snprintf(left, sizeof(left), "%s%c%s --%s%s%s", row->letter ? "-" : " ",
		    row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
		    row->argument ? " " : "", row->argument ? row->argument : "");
		printf("  %-30s %s", left, row->help);
		if (row->argument != NULL && row->preset != NULL)
			printf(" [%s]", row->preset);
		printf("\n");
	}
	printf("\nA distribution is a number, uniform:LOW-HIGH, loguniform:LOW-HIGH,\n"
	       "lognormal:MEDIAN,SIGMA[,MAX], or file:PATH with lines \"VALUE [WEIGHT]\".\n");
}
