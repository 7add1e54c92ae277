/* server/settings.c: see settings.h. A value is read and written through its row: kind and offset. What a kind is
 * made of stands in one switch for parsing and one for printing; what one setting does to another stands in
 * follow() and settings_check(). */
#include "server/settings.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "base/number.h"

enum kind {
	KIND_BOOL,
	KIND_SWITCH,
	KIND_COUNT,
	KIND_I32,
	KIND_U32,
	KIND_OCTAL,
	KIND_CHAR,
	KIND_DOUBLE,
	KIND_DOUBLE3,
	KIND_SIZE,
	KIND_STRING,
	KIND_LIST,
	KIND_PROTOCOL, /* from here on enumerations */
	KIND_HASH,
	KIND_EVICTION,
	KIND_BALANCE,
	KIND_IO,
	KIND_RING,
	KIND_MAX
};

#define MIB (1024.0 * 1024)
static const struct setting_row rows[SETTING_COUNT] = {
#define SETTING(                                                                                   \
    symbol, kind, place, effect, letter, name, dflt, min, max, unit, stat, refusal, text)          \
	{#symbol, name, text, unit, stat, refusal, min, max, offsetof(struct settings, symbol),    \
	    KIND_##kind, PLACE_##place, EFFECT_##effect, letter},
#include "base/tbl/settings.h"
#undef SETTING
};

#define CHOICE(symbol, name, text)            {name, symbol, text},
#define EVICTION(symbol, name, text)          {name, STORE_EVICT_##symbol, text},
#define RING_KIND(symbol, name, points, text) {name, RING_##symbol, text},
#define END_OF_CHOICES                                                                             \
	{                                                                                          \
		NULL, 0, NULL                                                                      \
	}

static const struct setting_choice protocols[] = {SETTINGS_PROTOCOLS(CHOICE) END_OF_CHOICES};
static const struct setting_choice hashes[] = {SETTINGS_HASHES(CHOICE) END_OF_CHOICES};
static const struct setting_choice evictions[] = {STORE_EVICTIONS(EVICTION) END_OF_CHOICES};
static const struct setting_choice balances[] = {SETTINGS_BALANCES(CHOICE) END_OF_CHOICES};
static const struct setting_choice rings[] = {
#include "cluster/tbl/ring_kinds.h"
    END_OF_CHOICES};
static const struct setting_choice ios[] = {SETTINGS_IOS(CHOICE) END_OF_CHOICES};

static const struct setting_choice *const choices_of[KIND_MAX] = {
    [KIND_PROTOCOL] = protocols,
    [KIND_HASH] = hashes,
    [KIND_EVICTION] = evictions,
    [KIND_BALANCE] = balances,
    [KIND_IO] = ios,
    [KIND_RING] = rings,
};

const struct setting_row *
settings_row(enum setting_id id)
{
	ASSERT(id < SETTING_COUNT);
	return &rows[id];
}

const struct setting_choice *
settings_choices(enum setting_id id)
{
	return choices_of[settings_row(id)->kind];
}

bool
settings_is_flag(enum setting_id id)
{
	return settings_row(id)->kind <= KIND_COUNT;
}

void
settings_init(struct settings *s)
{
	memset(s, 0, sizeof(*s));
#define SETTING(symbol, kind, place, effect, letter, name, dflt, ...) s->symbol = dflt;
#include "base/tbl/settings.h"
#undef SETTING
}
#undef MIB

void
settings_fini(struct settings *s)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		if (rows[i].kind == KIND_STRING || rows[i].kind == KIND_LIST) {
			char **string = (void *)((char *)s + rows[i].offset);

			free(*string);
			*string = NULL;
		}
	}
}

static bool __attribute__((format(printf, 2, 3))) fail(char *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(error, SETTINGS_ERROR_MAX, fmt, ap);
	va_end(ap);
	return false;
}

/* How the operator writes the option, without a value. */
static const char *
option_prefix(const struct setting_row *row)
{
	return row->place == PLACE_SUB || row->place == PLACE_OWNSUB ? "-o " : "--";
}

/* Lists the names of an enumeration: "a, b or c". */
static void
list_choices(const struct setting_choice *choice, char *out, size_t room)
{
	size_t len = 0;

	for (; choice->name != NULL && len < room; choice++) {
		const char *joint = len == 0 ? "" : choice[1].name == NULL ? " or " : ", ";
		int n = snprintf(out + len, room - len, "%s%s", joint, choice->name);

		len += (size_t)n;
	}
}

/* What a suffix multiplies by; 0 for anything else. */
static uint64_t
suffix_factor(char c)
{
	switch (c) {
	case 'k':
	case 'K':
		return 1u << 10;
	case 'm':
	case 'M':
		return 1u << 20;
	case 'g':
	case 'G':
		return 1u << 30;
	default:
		return 0;
	}
}

/* What a plain number of a size multiplies by: the first letter of the unit is the suffix that it stands for. */
static uint64_t
unit_factor(const struct setting_row *row)
{
	uint64_t factor = suffix_factor(row->unit[0]);

	return factor != 0 ? factor : 1;
}

static bool
refuse_generic(const struct setting_row *row, const char *text, char *error)
{
	char wanted[256];

	switch (row->kind) {
	case KIND_CHAR:
		(void)snprintf(wanted, sizeof(wanted), "one character");
		break;
	case KIND_OCTAL:
		(void)snprintf(
		    wanted, sizeof(wanted), "an octal number up to %o", (unsigned)row->max);
		break;
	case KIND_SIZE:
		(void)snprintf(wanted, sizeof(wanted),
		    "a number of %s from %.0f to %.0f, or one with k, m or g behind it", row->unit,
		    row->min / (double)unit_factor(row), row->max / (double)unit_factor(row));
		break;
	case KIND_DOUBLE:
	case KIND_DOUBLE3:
		(void)snprintf(
		    wanted, sizeof(wanted), "a number above %g, up to %g", row->min, row->max);
		break;
	default:
		(void)snprintf(
		    wanted, sizeof(wanted), "a whole number from %.0f to %.0f", row->min, row->max);
		break;
	}
	if (choices_of[row->kind] != NULL)
		list_choices(choices_of[row->kind], wanted, sizeof(wanted));
	return fail(error, "Invalid value for %s%s: \"%.100s\" (must be %s)", option_prefix(row),
	    row->name, text, wanted);
}

static bool
parse_double(const char *text, double *out)
{
	char *end;

	if (*text == '+' || strspn(text, "0123456789.eE+-") != strlen(text))
		return false;
	errno = 0;
	*out = strtod(text, &end);
	return end != text && *end == '\0' && errno == 0 && isfinite(*out);
}

/* Whether the row's message is about its lower end and TEXT is above its upper one. */
static bool
is_above(const struct setting_row *row, const char *text)
{
	double v;

	return strstr(row->refusal, "greater than") != NULL && parse_double(text, &v) &&
	    v > row->max;
}

/* The row's own message, with the text in place of its %s. */
static bool
refuse(const struct setting_row *row, const char *text, char *error)
{
	const char *hole;

	if (row->refusal == NULL || is_above(row, text))
		return refuse_generic(row, text, error);
	hole = strstr(row->refusal, "%s");
	if (hole == NULL)
		return fail(error, "%s", row->refusal);
	return fail(
	    error, "%.*s%.100s%s", (int)(hole - row->refusal), row->refusal, text, hole + 2);
}

static bool
parse_octal(const char *text, uint64_t *out)
{
	uint64_t v = 0;

	if (*text == '\0' || strlen(text) > 20 || strspn(text, "01234567") != strlen(text))
		return false;
	for (; *text != '\0'; text++)
		v = v * 8 + (uint64_t)(*text - '0');
	*out = v;
	return true;
}

static bool
parse_size(const struct setting_row *row, const char *text, uint64_t *out)
{
	size_t len = strlen(text);
	uint64_t factor = len > 0 ? suffix_factor(text[len - 1]) : 0;

	if (factor != 0)
		len--;
	else
		factor = unit_factor(row);
	return number_parse_u64(slice_of(text, len), out) &&
	    !__builtin_mul_overflow(*out, factor, out);
}

static bool
in_range(const struct setting_row *row, double v)
{
	return v >= row->min && v <= row->max;
}

static bool
set_number(const struct setting_row *row, void *field, const char *text)
{
	struct slice slice = slice_of(text, strlen(text));
	uint64_t u = 0;
	int64_t i = 0;

	switch (row->kind) {
	case KIND_I32:
		if (!number_parse_i64(slice, &i) || !in_range(row, (double)i))
			return false;
		*(int32_t *)field = (int32_t)i;
		return true;
	case KIND_SIZE:
		if (!parse_size(row, text, &u) || !in_range(row, (double)u))
			return false;
		*(uint64_t *)field = u;
		return true;
	case KIND_OCTAL:
		if (!parse_octal(text, &u) || !in_range(row, (double)u))
			return false;
		break;
	default:
		if (!number_parse_u64(slice, &u) || !in_range(row, (double)u))
			return false;
		break;
	}
	*(uint32_t *)field = (uint32_t)u;
	return true;
}

static bool
set_double(const struct setting_row *row, double *field, const char *text)
{
	double v;

	if (!parse_double(text, &v) || v <= row->min || v > row->max)
		return false;
	*field = v;
	return true;
}

static bool
set_choice(const struct setting_choice *choice, unsigned *field, const char *text)
{
	while (choice->name != NULL && strcmp(choice->name, text) != 0)
		choice++;
	if (choice->name == NULL)
		return false;
	*field = (unsigned)choice->value;
	return true;
}

/* Whether the comma-separated LIST has ELEMENT already. */
static bool
list_has(const char *list, const char *element)
{
	size_t len = strlen(element);

	for (const char *p = list; p != NULL; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, element, len) == 0 && (p[len] == ',' || p[len] == '\0'))
			return true;
	}
	return false;
}

static bool
set_string(const struct setting_row *row, char **field, const char *text)
{
	char *joined = NULL;

	if (row->kind == KIND_LIST && *field != NULL) {
		if (list_has(*field, text))
			return true;
		if (asprintf(&joined, "%s,%s", *field, text) < 0)
			return false;
	} else {
		joined = strdup(text);
	}
	if (joined == NULL)
		return false;
	free(*field);
	*field = joined;
	return true;
}

static bool
set_field(const struct setting_row *row, void *field, const char *text)
{
	switch (row->kind) {
	case KIND_CHAR:
		if (text[0] == '\0')
			return false;
		*(char *)field = text[0];
		return true;
	case KIND_DOUBLE:
	case KIND_DOUBLE3:
		return set_double(row, field, text);
	case KIND_STRING:
	case KIND_LIST:
		return set_string(row, field, text);
	default:
		if (choices_of[row->kind] != NULL)
			return set_choice(choices_of[row->kind], field, text);
		return set_number(row, field, text);
	}
}

/* The flags that a row has by default, to turn them round. */
static bool
default_flag(enum setting_id id)
{
	struct settings s;

	settings_init(&s);
	return *(const bool *)((const char *)&s + rows[id].offset);
}

/* What setting ID does to others. */
static void
follow(struct settings *s, enum setting_id id)
{
	switch (id) {
	case SETTING_lru_maintainer:
		s->lru_segmented = s->lru_maintainer;
		break;
	case SETTING_temporary_ttl:
		s->temp_lru = true;
		break;
	case SETTING_hash_algorithm:
		s->hash_algorithm = HASH_XXH3;
		break;
	case SETTING_prefix_delimiter:
		s->detail_enabled = true;
		break;
	default:
		break;
	}
}

/* The defaults of memcached 1.4, as no_modern asks for them. */
static void
take_old_defaults(struct settings *s)
{
	s->modern = false;
	s->maxconns_fast = false;
	s->slab_reassign = false;
	s->slab_automove = 0;
	s->lru_crawler = false;
	s->lru_maintainer = false;
	s->lru_segmented = false;
}

bool
settings_set(struct settings *s, enum setting_id id, const char *text, char *error)
{
	const struct setting_row *row = settings_row(id);
	void *field = (char *)s + row->offset;

	if (row->effect == EFFECT_ABSENT)
		return fail(error, "%s", row->refusal);
	if (row->kind == KIND_COUNT) {
		*(uint32_t *)field += 1;
	} else if (settings_is_flag(id)) {
		*(bool *)field = row->place == PLACE_OPTION ? !default_flag(id) : true;
	} else if (text == NULL && id == SETTING_slab_automove) {
		s->slab_automove = 1;
	} else if (text == NULL && id != SETTING_resp_obj_mem_limit) {
		return fail(error, "Missing %s argument", row->name);
	} else if (text != NULL && !set_field(row, field, text)) {
		return refuse(row, text, error);
	}
	s->given[id] = true;
	follow(s, id);
	return true;
}

bool
settings_unset(struct settings *s, enum setting_id id, char *error)
{
	const struct setting_row *row = settings_row(id);

	if (id == SETTING_modern) {
		take_old_defaults(s);
	} else if (id == SETTING_slab_automove) {
		s->slab_automove = 0;
	} else if (settings_is_flag(id) && row->place != PLACE_OPTION) {
		*(bool *)((char *)s + row->offset) = false;
	} else {
		return fail(error, "%s%s cannot be turned off", option_prefix(row), row->name);
	}
	s->given[id] = true;
	follow(s, id);
	return true;
}

static bool
check_sizes(const struct settings *s, char *error)
{
	if (s->item_size_max < 1024)
		return fail(error, "Item max size cannot be less than 1024 bytes.");
	if (s->item_size_max > s->memory_limit / 2)
		return fail(error, "Cannot set item size limit higher than 1/2 of memory max.");
	if (s->item_size_max > STORE_VALUE_MAX)
		return fail(error, "Cannot set item size limit higher than a gigabyte.");
	return true;
}

static const char *
choice_name(const struct setting_choice *choice, int value)
{
	while (choice->name != NULL && choice->value != value)
		choice++;
	ASSERT(choice->name != NULL);
	return choice->name;
}

/* Each way to authenticate is of one protocol, and forces it. */
static bool
check_authentication(struct settings *s, char *error)
{
	bool chosen = s->given[SETTING_protocol];

	if (s->sasl && s->auth_file != NULL)
		return fail(error, "-S and -Y contradict each other");
	if (s->sasl && chosen && s->protocol != BINDING_BINARY)
		return fail(error, "ERROR: You cannot allow the ASCII protocol while using SASL.");
	if (s->auth_file != NULL && chosen && s->protocol != BINDING_ASCII)
		return fail(error,
		    "ERROR: You cannot allow the BINARY protocol while using ascii authentication "
		    "tokens.");
	if (s->sasl)
		s->protocol = BINDING_BINARY;
	else if (s->auth_file != NULL)
		s->protocol = BINDING_ASCII;
	return true;
}

/* Whether what is said of a cluster goes together. */
static bool
check_cluster(const struct settings *s, char *error)
{
	static const enum setting_id ids[] = {SETTING_node, SETTING_secret, SETTING_cluster_id,
	    SETTING_ring, SETTING_ring_points, SETTING_replicas, SETTING_read_replicas,
	    SETTING_min_replicas, SETTING_replication_backlog, SETTING_peer_timeout};

	for (size_t i = 0; s->peers == NULL && i < sizeof(ids) / sizeof(ids[0]); i++)
		if (s->given[ids[i]])
			return fail(
			    error, "--%s is for a cluster: it needs --peers", rows[ids[i]].name);
	if (s->peers == NULL)
		return true;
	if (s->secret == NULL)
		return fail(error, "--peers needs --secret: a file with the secret of the cluster");
	if (s->min_replicas > s->replicas)
		return fail(error, "--min-replicas cannot be more than --replicas, which is %u",
		    s->replicas);
	return true;
}

bool
settings_check(struct settings *s, char *error)
{
	if (!check_sizes(s, error) || !check_authentication(s, error) || !check_cluster(s, error))
		return false;
	if (s->hot_lru_pct + s->warm_lru_pct > 80)
		return fail(error, "hot_lru_pct + warm_lru_pct cannot be more than 80%% combined");
	if (s->temp_lru && !s->lru_maintainer)
		return fail(error, "temporary_ttl requires lru_maintainer to be enabled");
	if (!s->evictions && s->given[SETTING_eviction] && s->eviction != STORE_EVICT_NONE)
		return fail(error, "-M and --eviction=%s contradict each other",
		    choice_name(evictions, (int)s->eviction));
	if (!s->evictions)
		s->eviction = STORE_EVICT_NONE;
	s->evictions = s->eviction != STORE_EVICT_NONE;
	return true;
}

/* What memcached prints for a string that is not set. */
static const char *
none_text(enum setting_id id)
{
	switch (id) {
	case SETTING_auth_file:
		return "no";
	case SETTING_memory_file:
		return "(null)";
	default:
		return "NULL";
	}
}

const char *
settings_text(const struct settings *s, enum setting_id id, char *buffer)
{
	const struct setting_row *row = settings_row(id);
	const void *field = (const char *)s + row->offset;
	const char *string;
	double number;

	switch (row->kind) {
	case KIND_BOOL:
		return load_relaxed((const bool *)field) ? "yes" : "no";
	case KIND_SWITCH:
		return load_relaxed((const bool *)field) ? "on" : "off";
	case KIND_I32:
		(void)snprintf(buffer, SETTINGS_ERROR_MAX, "%d", *(const int32_t *)field);
		return buffer;
	case KIND_OCTAL:
		(void)snprintf(buffer, SETTINGS_ERROR_MAX, "%o", *(const uint32_t *)field);
		return buffer;
	case KIND_CHAR:
		(void)snprintf(buffer, SETTINGS_ERROR_MAX, "%c", *(const char *)field);
		return buffer;
	case KIND_DOUBLE:
	case KIND_DOUBLE3:
		__atomic_load((const double *)field, &number, __ATOMIC_RELAXED);
		(void)snprintf(
		    buffer, SETTINGS_ERROR_MAX, "%.*f", row->kind == KIND_DOUBLE ? 2 : 3, number);
		return buffer;
	case KIND_SIZE:
		*number_format_u64(buffer, load_relaxed((const uint64_t *)field)) = '\0';
		return buffer;
	case KIND_STRING:
	case KIND_LIST:
		string = *(char *const *)field;
		return string != NULL ? string : none_text(id);
	default:
		if (choices_of[row->kind] != NULL)
			return choice_name(choices_of[row->kind], (int)*(const unsigned *)field);
		*number_format_u64(buffer, load_relaxed((const uint32_t *)field)) = '\0';
		return buffer;
	}
}

void
settings_stats(const struct settings *s, settings_visitor *visit, void *context)
{
	char buffer[SETTINGS_ERROR_MAX];

	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		if (rows[id].stat == NULL)
			continue;
		if (id == SETTING_protocol && s->protocol == BINDING_AUTO)
			visit(context, rows[id].stat, "auto-negotiate");
		else
			visit(context, rows[id].stat, settings_text(s, id, buffer));
	}
}

enum log_level
settings_log_level(uint32_t verbosity)
{
	static const enum log_level levels[] = {LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};

	return levels[verbosity < 2 ? verbosity : 2];
}

/* A quarter of the smallest pages is the largest least chunk. */
static unsigned
chunk_min(const struct settings *s)
{
	return s->chunk_size < 4096 ? s->chunk_size : 4096;
}

void
settings_store_options(const struct settings *s, struct store_options *options)
{
	*options = (struct store_options){
	    .memory_limit = s->memory_limit,
	    .item_size_max = s->item_size_max,
	    /* The key's NUL and the value's line end count there as well. */
	    .item_overhead = settings_item_overhead(s) + 3,
	    .index_power = s->hashpower,
	    .threads = s->threads,
	    .chunk_min = s->given[SETTING_chunk_size] ? chunk_min(s) : 0,
	    .growth_factor = s->given[SETTING_growth_factor] ? s->growth_factor : 0,
	    .eviction = s->eviction,
	    .eviction_samples = s->eviction_samples,
	    .promote_hits = s->promote_hits,
	    .balance = s->balance,
	    .huge_pages = s->large_pages,
	    .preallocate = s->large_pages,
	    .memory_file = s->memory_file,
	};
}
