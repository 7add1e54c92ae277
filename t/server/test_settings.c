/* t/server/test_settings.c: every row of the table of settings: defaults, both ends of its range, what lies beyond,
 * and text that is no value at all. */
#include "t/lib/unit.h"

#include <stdlib.h>
#include <string.h>

#include "server/settings.h"

/* What a setting holds, as text; it lives until the next call. */
static const char *
value_of(const struct settings *s, enum setting_id id)
{
	static char buffer[SETTINGS_ERROR_MAX];

	return settings_text(s, id, buffer);
}

static bool
is_number(enum setting_id id)
{
	const struct setting_row *row = settings_row(id);

	return !settings_is_flag(id) && settings_choices(id) == NULL && row->max > row->min &&
	    row->place != PLACE_STATE && row->effect != EFFECT_ABSENT;
}

static bool
is_double(enum setting_id id)
{
	struct settings s;

	settings_init(&s);
	return is_number(id) && strchr(value_of(&s, id), '.') != NULL;
}

static bool
is_size(enum setting_id id)
{
	const struct setting_row *row = settings_row(id);

	return (strcmp(row->unit, "megabytes") == 0 || strcmp(row->unit, "kilobytes") == 0) &&
	    row->max != INT32_MAX;
}

/* -a is octal, and a plain number of a SIZE may count in kilobytes: bytes are asked for by hand. */
static void
spell(enum setting_id id, double value, char *out, size_t room)
{
	if (id == SETTING_unix_mask)
		(void)snprintf(out, room, "%o", (unsigned)value);
	else if (is_size(id))
		(void)snprintf(out, room, "%.0fk", value / 1024);
	else
		(void)snprintf(out, room, "%.0f", value);
}

static void
assert_taken(enum setting_id id, const char *text)
{
	char error[SETTINGS_ERROR_MAX] = "";
	struct settings s;

	settings_init(&s);
	if (!settings_set(&s, id, text, error))
		fail_msg("%s=%s was refused: %s", settings_row(id)->symbol, text, error);
	assert_true(s.given[id]);
	settings_fini(&s);
}

static void
assert_refused(enum setting_id id, const char *text)
{
	char error[SETTINGS_ERROR_MAX] = "";
	struct settings s, before;

	settings_init(&s);
	settings_init(&before);
	if (settings_set(&s, id, text, error))
		fail_msg("%s=%s was taken", settings_row(id)->symbol, text);
	assert_true(strlen(error) > 0);
	assert_memory_equal(&s, &before, sizeof(s));
	settings_fini(&s);
}

static void
test_rows_are_whole(void **state)
{
	(void)state;
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = settings_row(id);

		assert_int_equal(row->place == PLACE_STATE, row->name == NULL);
		assert_int_equal(row->place == PLACE_OPTION, row->letter != 0);
		assert_true(strlen(row->text) > 0);
		assert_true(row->effect != EFFECT_ABSENT || row->refusal != NULL);
		for (unsigned other = 0; other < id; other++) {
			const struct setting_row *twin = settings_row(other);

			assert_true(row->letter == 0 || row->letter != twin->letter);
			assert_true(row->stat == NULL || twin->stat == NULL ||
			    strcmp(row->stat, twin->stat) != 0);
			assert_true(row->name == NULL || twin->name == NULL ||
			    strcmp(row->name, twin->name) != 0);
		}
	}
}

static void
test_numbers_take_their_range(void **state)
{
	char text[64];
	unsigned tried = 0;

	(void)state;
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = settings_row(id);

		if (!is_number(id) || is_double(id))
			continue;
		tried++;
		spell(id, row->min, text, sizeof(text));
		assert_taken(id, text);
		spell(id, row->max, text, sizeof(text));
		assert_taken(id, text);
		spell(id, row->max + (is_size(id) ? 1024 : 1), text, sizeof(text));
		assert_refused(id, text);
		if (row->min != 0) {
			(void)snprintf(
			    text, sizeof(text), "%.0f", row->min < 0 ? row->min - 1 : 0.0);
			assert_refused(id, text);
		}
	}
	assert_in_range(tried, 20, SETTING_COUNT);
}

static void
test_doubles_take_their_range(void **state)
{
	char text[64];
	unsigned tried = 0;

	(void)state;
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = settings_row(id);

		if (!is_double(id))
			continue;
		tried++;
		(void)snprintf(text, sizeof(text), "%g", row->min);
		assert_refused(id, text);
		(void)snprintf(text, sizeof(text), "%.9g", row->min + 0.000001);
		assert_taken(id, text);
		(void)snprintf(text, sizeof(text), "%g", row->max);
		assert_taken(id, text);
		(void)snprintf(text, sizeof(text), "%g", row->max * 2);
		assert_refused(id, text);
	}
	assert_int_equal(tried, 6);
}

static void
test_numbers_refuse_what_is_none(void **state)
{
	static const char *const bad[] = {"", " ", "x", "1x", " 1", "1 ", "+1", "--1", "-2", "0x10",
	    "1,0", "nan", "inf", "1e400", "18446744073709551616", "99999999999999999999999", "1kk",
	    "k", "m", "1.5.2", "-"};

	(void)state;
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		for (size_t i = 0; is_number(id) && i < sizeof(bad) / sizeof(bad[0]); i++)
			assert_refused(id, bad[i]);
	}
}

static void
test_missing_values_are_refused(void **state)
{
	(void)state;
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		if (!is_number(id))
			continue;
		if (id == SETTING_slab_automove || id == SETTING_resp_obj_mem_limit)
			assert_taken(id, NULL);
		else
			assert_refused(id, NULL);
	}
}

static void
test_choices(void **state)
{
	unsigned tried = 0;

	(void)state;
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_choice *choice = settings_choices(id);

		if (choice == NULL)
			continue;
		for (; choice->name != NULL; choice++, tried++)
			assert_taken(id, choice->name);
		assert_refused(id, "");
		assert_refused(id, "x");
		assert_refused(id, "AUTO");
		assert_refused(id, NULL);
	}
	assert_int_equal(tried, 3 + 3 + 9 + 3 + 3 + 5);
}

static void
test_flags_turn_their_default(void **state)
{
	char error[SETTINGS_ERROR_MAX], before[64];
	struct settings s, defaults;

	(void)state;
	settings_init(&defaults);
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = settings_row(id);

		if (!settings_is_flag(id) || row->place == PLACE_STATE ||
		    row->effect == EFFECT_ABSENT)
			continue;
		settings_init(&s);
		assert_true(settings_set(&s, id, NULL, error));
		if (row->place == PLACE_OPTION) {
			(void)snprintf(before, sizeof(before), "%s", value_of(&defaults, id));
			assert_string_not_equal(value_of(&s, id), before);
			assert_false(settings_unset(&s, id, error));
			continue;
		}
		assert_string_equal(value_of(&s, id), "yes");
		assert_true(settings_unset(&s, id, error));
		assert_string_equal(value_of(&s, id), "no");
	}
}

static void
test_what_is_not_built_in_is_refused(void **state)
{
	(void)state;
	assert_refused(SETTING_ssl_enabled, NULL);
}

static void
test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t memory, item;
	} cases[] = {
	    {"64", 64 << 20, 64},
	    {"2k", 0, 2048},
	    {"2K", 0, 2048},
	    {"3m", 3 << 20, 3 << 20},
	    {"3M", 3 << 20, 3 << 20},
	    {"1g", 1 << 30, 1 << 30},
	    {"1G", 1 << 30, 1 << 30},
	    {"100000", 100000ull << 20, 100000},
	};
	char error[SETTINGS_ERROR_MAX];
	struct settings s;

	(void)state;
	settings_init(&s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(settings_set(&s, SETTING_memory_limit, cases[i].text, error),
		    cases[i].memory != 0);
		assert_true(settings_set(&s, SETTING_item_size_max, cases[i].text, error));
		assert_int_equal(s.item_size_max, cases[i].item);
		if (cases[i].memory != 0)
			assert_int_equal(s.memory_limit, cases[i].memory);
	}
	assert_true(settings_set(&s, SETTING_watcher_logbuf_size, "16", error));
	assert_int_equal(s.watcher_logbuf_size, 16384);
	assert_true(settings_set(&s, SETTING_read_buf_mem_limit, "2", error));
	assert_int_equal(s.read_buf_mem_limit, 2 << 20);
}

static void
test_lists_grow_without_repeating(void **state)
{
	char error[SETTINGS_ERROR_MAX];
	struct settings s;

	(void)state;
	settings_init(&s);
	assert_string_equal(value_of(&s, SETTING_listen), "NULL");
	assert_true(settings_set(&s, SETTING_listen, "127.0.0.10", error));
	assert_true(settings_set(&s, SETTING_listen, "127.0.0.1", error));
	assert_true(settings_set(&s, SETTING_listen, "127.0.0.1", error));
	assert_true(settings_set(&s, SETTING_listen, "127.0.0.10", error));
	assert_string_equal(s.listen, "127.0.0.10,127.0.0.1");
	settings_fini(&s);
	assert_null(s.listen);
}

static void
test_strings_are_replaced(void **state)
{
	char error[SETTINGS_ERROR_MAX];
	struct settings s;

	(void)state;
	settings_init(&s);
	assert_true(settings_set(&s, SETTING_user, "a", error));
	assert_true(settings_set(&s, SETTING_user, "b", error));
	assert_string_equal(s.user, "b");
	settings_fini(&s);
}

static void
test_settings_that_follow(void **state)
{
	char error[SETTINGS_ERROR_MAX];
	struct settings s;

	(void)state;
	settings_init(&s);
	assert_true(settings_set(&s, SETTING_prefix_delimiter, "/x", error));
	assert_int_equal(s.prefix_delimiter, '/');
	assert_true(s.detail_enabled);
	assert_true(settings_set(&s, SETTING_temporary_ttl, "60", error));
	assert_true(s.temp_lru);
	assert_true(settings_unset(&s, SETTING_lru_maintainer, error));
	assert_false(s.lru_segmented);
	assert_true(settings_set(&s, SETTING_hash_algorithm, "murmur3", error));
	assert_string_equal(value_of(&s, SETTING_hash_algorithm), "xxh3");
	assert_true(settings_unset(&s, SETTING_slab_automove, error));
	assert_int_equal(s.slab_automove, 0);
	assert_true(settings_unset(&s, SETTING_modern, error));
	assert_false(s.maxconns_fast);
	assert_false(settings_unset(&s, SETTING_hashpower, error));
}

/* Sets the given pairs of a setting and its text, then checks; the message, or NULL where all is well. */
static const char *
check(enum setting_id a, const char *a_text, enum setting_id b, const char *b_text)
{
	static char error[SETTINGS_ERROR_MAX];
	struct settings s;
	bool good;

	settings_init(&s);
	assert_true(settings_set(&s, a, a_text, error));
	assert_true(settings_set(&s, b, b_text, error));
	good = settings_check(&s, error);
	settings_fini(&s);
	return good ? NULL : error;
}

static void
test_settings_agree_with_each_other(void **state)
{
	(void)state;
	assert_null(check(SETTING_memory_limit, "64", SETTING_item_size_max, "1m"));
	assert_null(check(SETTING_memory_limit, "2", SETTING_item_size_max, "1m"));
	assert_null(check(SETTING_memory_limit, "2g", SETTING_item_size_max, "1024m"));
	assert_null(check(SETTING_memory_limit, "64", SETTING_item_size_max, "1024"));
	assert_string_equal(check(SETTING_memory_limit, "64", SETTING_item_size_max, "1023"),
	    "Item max size cannot be less than 1024 bytes.");
	assert_string_equal(check(SETTING_memory_limit, "64", SETTING_item_size_max, "33m"),
	    "Cannot set item size limit higher than 1/2 of memory max.");
	assert_string_equal(check(SETTING_memory_limit, "4g", SETTING_item_size_max, "1025m"),
	    "Cannot set item size limit higher than a gigabyte.");
	assert_null(check(SETTING_hot_lru_pct, "40", SETTING_warm_lru_pct, "40"));
	assert_string_equal(check(SETTING_hot_lru_pct, "41", SETTING_warm_lru_pct, "40"),
	    "hot_lru_pct + warm_lru_pct cannot be more than 80% combined");
	assert_string_equal(check(SETTING_evictions, NULL, SETTING_eviction, "lru"),
	    "-M and --eviction=lru contradict each other");
	assert_null(check(SETTING_evictions, NULL, SETTING_eviction, "noeviction"));
}

static void
test_no_eviction_has_two_names(void **state)
{
	char error[SETTINGS_ERROR_MAX];
	struct settings s;

	(void)state;
	settings_init(&s);
	assert_true(settings_set(&s, SETTING_evictions, NULL, error));
	assert_true(settings_check(&s, error));
	assert_int_equal(s.eviction, STORE_EVICT_NONE);
	settings_init(&s);
	assert_true(settings_set(&s, SETTING_eviction, "noeviction", error));
	assert_true(settings_check(&s, error));
	assert_string_equal(value_of(&s, SETTING_evictions), "off");
}

struct stats_seen {
	char text[8192];
	size_t len;
};

static void
see_stat(void *context, const char *name, const char *value)
{
	struct stats_seen *seen = context;

	seen->len += (size_t)snprintf(
	    seen->text + seen->len, sizeof(seen->text) - seen->len, "%s %s\n", name, value);
	assert_true(seen->len < sizeof(seen->text));
}

/* memcached's names in memcached's order; ours behind them. */
static void
test_stats(void **state)
{
	static const char expected[] =
	    "maxbytes 67108864\nmaxconns 1024\ntcpport 11211\nudpport 0\ninter NULL\nverbosity 0\noldest 0\n"
	    "evictions on\ndomain_socket NULL\numask 700\nshutdown_command no\ngrowth_factor 1.08\nchunk_size 48\n"
	    "num_threads 4\nnum_threads_per_udp 0\nstat_key_prefix :\ndetail_enabled no\nreqs_per_event 20\n"
	    "cas_enabled yes\ntcp_backlog 1024\nbinding_protocol auto-negotiate\nauth_enabled_sasl no\n"
	    "auth_enabled_ascii no\nitem_size_max 1048576\nmaxconns_fast yes\nhashpower_init 0\nslab_reassign yes\n"
	    "slab_automove 1\nslab_automove_ratio 0.80\nslab_automove_window 10\nslab_chunk_max 524288\n"
	    "lru_crawler yes\nlru_crawler_sleep 100\nlru_crawler_tocrawl 0\ntail_repair_time 0\nflush_enabled yes\n"
	    "dump_enabled yes\nhash_algorithm xxh3\nlru_maintainer_thread yes\nlru_segmented yes\nhot_lru_pct 20\n"
	    "warm_lru_pct 40\nhot_max_factor 0.20\nwarm_max_factor 2.00\ntemp_lru no\ntemporary_ttl 61\n"
	    "idle_timeout 0\nwatcher_logbuf_size 262144\nworker_logbuf_size 65536\nread_buf_mem_limit 0\n"
	    "track_sizes no\ninline_ascii_response no\nslab_automove_freeratio 0.010\nssl_enabled no\n"
	    "num_napi_ids 0\nmemory_file (null)\n"
	    "eviction s3fifo\neviction_samples 5\nbalance hits\npromote_hits 1\npin yes\nio auto\n"
	    "peers NULL\nnode NULL\nsecret NULL\ncluster_id NULL\nring native\nring_points 0\nreplicas 1\nread_replicas no\n"
	    "min_replicas 0\nreplication_backlog 67108864\npeer_timeout 1000\n";
	struct stats_seen seen = {.len = 0};
	struct settings s;

	(void)state;
	settings_init(&s);
	settings_stats(&s, see_stat, &seen);
	assert_string_equal(seen.text, expected);
}

static void
test_store_options(void **state)
{
	char error[SETTINGS_ERROR_MAX];
	struct store_options options;
	struct settings s;

	(void)state;
	settings_init(&s);
	settings_store_options(&s, &options);
	assert_int_equal(options.memory_limit, 64 << 20);
	assert_int_equal(options.item_size_max, 1 << 20);
	assert_int_equal(options.chunk_min, 0);
	assert_true(options.growth_factor < 0.5);
	assert_false(options.preallocate);
	assert_true(settings_set(&s, SETTING_growth_factor, "1.25", error));
	assert_true(settings_set(&s, SETTING_chunk_size, "96", error));
	assert_true(settings_set(&s, SETTING_large_pages, NULL, error));
	assert_true(settings_set(&s, SETTING_eviction, "lfu", error));
	settings_store_options(&s, &options);
	assert_int_equal(options.chunk_min, 96);
	assert_true(options.growth_factor > 1.24 && options.growth_factor < 1.26);
	assert_true(options.preallocate && options.huge_pages);
	assert_int_equal(options.eviction, STORE_EVICT_LFU);
}

static void
test_refusals_are_memcacheds(void **state)
{
	static const struct {
		enum setting_id id;
		const char *text, *message;
	} cases[] = {
	    {SETTING_threads, "0", "Number of threads must be greater than 0"},
	    {SETTING_threads, "251",
		"Invalid value for --threads: \"251\" (must be a whole number from 1 to 250)"},
	    {SETTING_conn_limit, "0", "Maximum connections must be greater than 0"},
	    {SETTING_reqs_per_event, "0", "Number of requests per event must be greater than 0"},
	    {SETTING_growth_factor, "1", "Factor must be greater than 1"},
	    {SETTING_chunk_size, "0", "Chunk size must be greater than 0"},
	    {SETTING_prefix_delimiter, "", "No delimiter specified"},
	    {SETTING_port, "70000", "ERROR: Invalid port number 70000."},
	    {SETTING_slab_automove, "3", "slab_automove must be between 0 and 2"},
	    {SETTING_hashpower, "33",
		"Initial hashtable multiplier of 33 is not between 12 and 32"},
	    {SETTING_hashpower, NULL, "Missing hashpower argument"},
	    {SETTING_protocol, "x",
		"Invalid value for binding protocol: x\n"
		" -- should be one of auto, binary, or ascii"},
	    {SETTING_eviction, "x",
		"Invalid value for --eviction: \"x\" (must be s3fifo, lru, lfu, random, volatile-lru, "
		"volatile-lfu, volatile-random, volatile-ttl or noeviction)"},
	    {SETTING_promote_hits, "4",
		"Invalid value for --promote-hits: \"4\" (must be a whole number from 1 to 3)"},
	    {SETTING_idle_timeout, "x",
		"Invalid value for -o idle_timeout: \"x\" (must be a whole number from 0 to 2147483647)"},
	    {SETTING_unix_mask, "8",
		"Invalid value for --unix-mask: \"8\" (must be an octal number up to 777)"},
	    {SETTING_memory_limit, "x",
		"Invalid value for --memory-limit: \"x\" (must be a number of megabytes from 1 to 16777216, or "
		"one with k, m or g behind it)"},
	};
	char error[SETTINGS_ERROR_MAX];
	struct settings s;

	(void)state;
	settings_init(&s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_false(settings_set(&s, cases[i].id, cases[i].text, error));
		assert_string_equal(error, cases[i].message);
	}
}

static void
test_long_text_does_not_overflow(void **state)
{
	char error[SETTINGS_ERROR_MAX];
	struct settings s;
	char *text = malloc(100001);

	(void)state;
	assert_non_null(text);
	memset(text, '1', 100000);
	text[100000] = '\0';
	settings_init(&s);
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		if (is_number(id))
			assert_false(settings_set(&s, id, text, error));
	}
	assert_false(settings_set(&s, SETTING_protocol, text, error));
	assert_false(settings_set(&s, SETTING_eviction, text, error));
	assert_true(settings_set(&s, SETTING_listen, text, error));
	settings_fini(&s);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows_are_whole),
	    cmocka_unit_test(test_numbers_take_their_range),
	    cmocka_unit_test(test_doubles_take_their_range),
	    cmocka_unit_test(test_numbers_refuse_what_is_none),
	    cmocka_unit_test(test_missing_values_are_refused),
	    cmocka_unit_test(test_choices),
	    cmocka_unit_test(test_flags_turn_their_default),
	    cmocka_unit_test(test_what_is_not_built_in_is_refused),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_lists_grow_without_repeating),
	    cmocka_unit_test(test_strings_are_replaced),
	    cmocka_unit_test(test_settings_that_follow),
	    cmocka_unit_test(test_settings_agree_with_each_other),
	    cmocka_unit_test(test_no_eviction_has_two_names),
	    cmocka_unit_test(test_stats),
	    cmocka_unit_test(test_store_options),
	    cmocka_unit_test(test_refusals_are_memcacheds),
	    cmocka_unit_test(test_long_text_does_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
