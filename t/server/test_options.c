/* t/server/test_options.c: whole command lines: what they set, what they print, and with which status they are
 * refused. */
#include "t/lib/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "server/options.h"

#define ARGS_MAX 32

struct outcome {
	struct settings settings;
	bool go_on;
	int status;
	char printed[16384]; /* on both outputs */
};

static struct outcome outcome;

/* What is written to stdout and stderr from now on goes to a file. */
static int
capture(int saved[2])
{
	int fd = memfd_create("printed", MFD_CLOEXEC);

	assert_true(fd >= 0);
	(void)fflush(stdout);
	saved[0] = dup(STDOUT_FILENO);
	saved[1] = dup(STDERR_FILENO);
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
	return fd;
}

static void
release(int fd, const int saved[2])
{
	ssize_t n;

	(void)fflush(stdout);
	(void)dup2(saved[0], STDOUT_FILENO);
	(void)dup2(saved[1], STDERR_FILENO);
	(void)close(saved[0]);
	(void)close(saved[1]);
	n = pread(fd, outcome.printed, sizeof(outcome.printed) - 1, 0);
	assert_true(n >= 0);
	outcome.printed[n] = '\0';
	(void)close(fd);
}

/* Parses a command line of words; OUTCOME tells the rest. */
static void
parse(const char *line)
{
	char *copy = strdup(line);
	char *rest = copy;
	char name[] = "ringcached";
	char *argv[ARGS_MAX] = {name};
	int argc = 1;
	int saved[2];
	int fd;

	assert_non_null(copy);
	while (rest != NULL && *rest != '\0') {
		assert_true(argc < ARGS_MAX - 1);
		argv[argc++] = strsep(&rest, " ");
	}
	settings_init(&outcome.settings);
	fd = capture(saved);
	outcome.go_on = options_parse(&outcome.settings, argc, argv, &outcome.status);
	release(fd, saved);
	free(copy);
}

static void
finish(void)
{
	settings_fini(&outcome.settings);
}

static void
assert_good(const char *line)
{
	parse(line);
	if (!outcome.go_on)
		fail_msg("\"%s\" was refused: %s", line, outcome.printed);
}

static void
assert_bad(const char *line, int status, const char *message)
{
	parse(line);
	if (outcome.go_on)
		fail_msg("\"%s\" was taken", line);
	assert_int_equal(outcome.status, status);
	assert_string_equal(outcome.printed, message);
	finish();
}

static void
test_every_short_option(void **state)
{
	const struct settings *s = &outcome.settings;

	(void)state;
	assert_good(
	    "-p 1 -U 0 -s /run/s -a 777 -A -l h -d -r -u nobody -m 100 -M -c 7 -k -v -P /run/p -f 1.5 -n 64 -L");
	assert_int_equal(s->port, 1);
	assert_string_equal(s->unix_socket, "/run/s");
	assert_int_equal(s->unix_mask, 0777);
	assert_true(s->shutdown_command && s->daemonize && s->core_dumps && s->lock_memory &&
	    s->large_pages);
	assert_string_equal(s->listen, "h");
	assert_string_equal(s->user, "nobody");
	assert_int_equal(s->memory_limit, 100 << 20);
	assert_false(s->evictions);
	assert_int_equal(s->conn_limit, 7);
	assert_int_equal(s->verbosity, 1);
	assert_string_equal(s->pid_file, "/run/p");
	assert_int_equal(s->chunk_size, 64);
	finish();
	assert_good("-D / -t 3 -R 9 -C -b 5 -B binary -I 2m -F -X -W -N 4 -vvv");
	assert_int_equal(s->prefix_delimiter, '/');
	assert_int_equal(s->threads, 3);
	assert_int_equal(s->reqs_per_event, 9);
	assert_false(s->cas || s->flush_enabled || s->dump_enabled || s->watch_enabled);
	assert_int_equal(s->backlog, 5);
	assert_int_equal(s->protocol, BINDING_BINARY);
	assert_int_equal(s->item_size_max, 2 << 20);
	assert_int_equal(s->verbosity, 3);
	finish();
}

static void
test_every_long_option(void **state)
{
	const struct settings *s = &outcome.settings;

	(void)state;
	assert_good(
	    "--port=5 --udp-port=0 --unix-socket=/s --unix-mask=770 --enable-shutdown --listen=a --daemon "
	    "--enable-coredumps --user=x --memory-limit=10 --conn-limit=9 --lock-memory --verbose --pidfile=/p "
	    "--slab-growth-factor=2 --slab-min-size=50 --enable-largepages --threads=2");
	assert_int_equal(s->port, 5);
	assert_int_equal(s->unix_mask, 0770);
	assert_int_equal(s->verbosity, 1);
	assert_int_equal(s->threads, 2);
	finish();
	assert_good(
	    "--disable-evictions --max-reqs-per-event=4 --disable-cas --listen-backlog=3 --protocol=ascii "
	    "--max-item-size=4k --disable-flush-all --disable-dumping --disable-watch --napi-ids=2 "
	    "--extended=idle_timeout=8 --prefix-delimiter=; --eviction=noeviction --eviction-samples=8 "
	    "--balance=bytes --promote-hits=1 --no-pin --io=event");
	assert_int_equal(s->item_size_max, 4096);
	assert_int_equal(s->idle_timeout, 8);
	assert_int_equal(s->eviction, STORE_EVICT_NONE);
	assert_int_equal(s->eviction_samples, 8);
	assert_int_equal(s->balance, STORE_BALANCE_BYTES);
	assert_int_equal(s->promote_hits, 1);
	assert_false(s->pin);
	assert_int_equal(s->io, IO_EVENT);
	finish();
}

static void
test_suboptions(void **state)
{
	const struct settings *s = &outcome.settings;

	(void)state;
	assert_good(
	    "-o no_maxconns_fast,hashpower=20,idle_timeout=3,strict -o track_sizes,slab_automove=2");
	assert_false(s->maxconns_fast);
	assert_int_equal(s->hashpower, 20);
	assert_int_equal(s->idle_timeout, 3);
	assert_true(s->strict && s->track_sizes);
	assert_int_equal(s->slab_automove, 2);
	finish();
	assert_good("-o slab_automove,no_strict,maxconns_fast,");
	assert_int_equal(s->slab_automove, 1);
	finish();
	assert_good("-o no_modern");
	assert_false(s->maxconns_fast);
	finish();
	assert_bad("-o foo", EXIT_FAILURE, "Illegal suboption \"foo\"\n");
	assert_bad("-o foo=3", EXIT_FAILURE, "Illegal suboption \"foo=3\"\n");
	assert_bad("-o no_foo", EXIT_FAILURE, "Illegal suboption \"no_foo\"\n");
	assert_bad("-o strict,,track_sizes", EXIT_FAILURE, "Illegal suboption \"\"\n");
	assert_bad("-o =", EXIT_FAILURE, "Illegal suboption \"=\"\n");
	assert_bad("-o strict=1", EXIT_FAILURE, "-o strict takes no value\n");
	assert_bad("-o no_strict=1", EXIT_FAILURE, "Illegal suboption \"no_strict=1\"\n");
	assert_bad("-o no_hashpower", EXIT_FAILURE, "-o hashpower cannot be turned off\n");
	assert_bad("-o idle_timeout", EXIT_FAILURE, "Missing idle_timeout argument\n");
	assert_bad("-o port=3", EXIT_FAILURE, "Illegal suboption \"port=3\"\n");
}

/* All suboptions of memcached, so that none is missing from the table. */
static void
test_suboptions_of_memcached(void **state)
{
	(void)state;
	assert_good(
	    "-o maxconns_fast,no_maxconns_fast,hashpower=16,no_hashexpand,slab_reassign,no_slab_reassign,"
	    "slab_automove=1,no_slab_automove,slab_automove_ratio=0.9,slab_automove_window=10,"
	    "slab_automove_freeratio=0.02,tail_repair_time=10,hash_algorithm=jenkins,hash_algorithm=xxh3,"
	    "lru_crawler,no_lru_crawler,lru_crawler_sleep=5,lru_crawler_tocrawl=5,lru_maintainer,"
	    "no_lru_maintainer,hot_lru_pct=10,warm_lru_pct=10,hot_max_factor=0.1,warm_max_factor=3");
	finish();
	assert_good(
	    "-o temporary_ttl=5,idle_timeout=5,watcher_logbuf_size=8,worker_logbuf_size=8,slab_sizes=100-200,"
	    "slab_chunk_max=512,track_sizes,inline_ascii_resp,no_inline_ascii_resp,no_chunked_items,modern,"
	    "no_drop_privileges,drop_privileges,relaxed_privileges,resp_obj_mem_limit=1,read_buf_mem_limit=5,sock_cookie_id=1");
	finish();
	assert_good(
	    "-o ssl_chain_cert=a,ssl_key=b,ssl_verify_mode=1,ssl_keyformat=1,ssl_ciphers=c,ssl_ca_cert=d,"
	    "ssl_wbuf_size=16,ssl_session_cache,ssl_kernel_tls,ssl_min_version=tlsv1.2");
	finish();
	assert_good(
	    "-o ext_path=/f:1G,ext_page_size=1,ext_wbuf_size=1,ext_threads=1,ext_io_depth=1,ext_item_size=1,"
	    "ext_item_age=1,ext_low_ttl=1,ext_drop_unread,ext_recache_rate=1,ext_compact_under=1,"
	    "ext_drop_under=1,ext_max_frag=0.5,ext_max_sleep=1");
	finish();
}

static void
test_udp_is_ignored_aloud(void **state)
{
	(void)state;
	assert_good("-U 11211 -p 5");
	assert_string_equal(
	    outcome.printed, "WARNING: UDP is not supported, -U 11211 is ignored\n");
	assert_int_equal(outcome.settings.udp_port, 0);
	finish();
	assert_good("-U -1");
	assert_int_equal(outcome.settings.udp_port, 0);
	finish();
	assert_good("-U 0");
	assert_string_equal(outcome.printed, "");
	finish();
}

static void
test_refusals(void **state)
{
	(void)state;
	assert_bad("-t 0", EXIT_FAILURE, "Number of threads must be greater than 0\n");
	assert_bad("-c 0", EXIT_FAILURE, "Maximum connections must be greater than 0\n");
	assert_bad("-B x", EX_USAGE,
	    "Invalid value for binding protocol: x\n -- should be one of auto, binary, or ascii\n");
	assert_bad("-p 65536", EX_USAGE, "ERROR: Invalid port number 65536.\n");
	assert_bad("-U 65536", EX_USAGE, "ERROR: Invalid port number 65536.\n");
	assert_bad("-p x", EX_USAGE, "ERROR: Invalid port number x.\n");
	assert_bad("-I 1", EX_USAGE, "Item max size cannot be less than 1024 bytes.\n");
	assert_bad("-m 1", EX_USAGE, "Cannot set item size limit higher than 1/2 of memory max.\n");
	assert_bad("-Z", EX_USAGE, "This server is not built with TLS support.\n");
	assert_bad("-S -B ascii", EX_USAGE,
	    "ERROR: You cannot allow the ASCII protocol while using SASL.\n");
	assert_bad("-Y f -B auto", EX_USAGE,
	    "ERROR: You cannot allow the BINARY protocol while using ascii authentication tokens.\n");
	assert_bad("-S -Y f", EX_USAGE, "-S and -Y contradict each other\n");
	assert_bad(
	    "-Q", EXIT_FAILURE, "ringcached: invalid option -- 'Q'\nIllegal argument \"?\"\n");
	assert_bad("-p", EXIT_FAILURE,
	    "ringcached: option requires an argument -- 'p'\nIllegal argument \"?\"\n");
	assert_bad("--nosuch", EXIT_FAILURE,
	    "ringcached: unrecognized option '--nosuch'\nIllegal argument \"?\"\n");
	assert_bad("--eviction=fifo", EXIT_FAILURE,
	    "Invalid value for --eviction: \"fifo\" (must be s3fifo, lru, lfu, random, volatile-lru, volatile-lfu, "
	    "volatile-random, volatile-ttl or noeviction)\n");
}

static void
test_warnings(void **state)
{
	(void)state;
	assert_good("-t 65");
	assert_non_null(
	    strstr(outcome.printed, "WARNING: Setting a high number of worker threads"));
	finish();
	assert_good("stray");
	assert_string_equal(outcome.printed, "WARNING: ignoring the argument \"stray\"\n");
	finish();
	assert_good("-N 4");
	assert_string_equal(outcome.printed, "");
	finish();
	assert_good("-v -N 4");
	assert_string_equal(
	    outcome.printed, "napi-ids has no effect here: accepted for compatibility\n");
	finish();
}

static void
assert_prints(const char *line, const char *text)
{
	parse(line);
	assert_false(outcome.go_on);
	assert_int_equal(outcome.status, EXIT_SUCCESS);
	if (strstr(outcome.printed, text) == NULL)
		fail_msg("\"%s\" printed: %s", line, outcome.printed);
	finish();
}

static void
test_what_only_prints(void **state)
{
	(void)state;
	assert_prints("-V", "ringcached " PACKAGE_VERSION "\n");
	assert_prints("--version", "ringcached " PACKAGE_VERSION "\n");
	assert_prints("-i", "Redistribution and use in source and binary forms");
	assert_prints("--license", "ringcached " PACKAGE_VERSION "\n");
	assert_prints("-h", "-p, --port=<port>");
	assert_prints("--help -t 0", "(default: 11211)");
}

/* Each option has its line in the help and its paragraph in the manual. */
static void
test_help_and_manual_are_complete(void **state)
{
	char help[32768] = "", manual[65536] = "";
	FILE *f = fmemopen(help, sizeof(help) - 1, "w");
	char text[128];

	(void)state;
	assert_non_null(f);
	options_help(f);
	(void)fclose(f);
	f = fmemopen(manual, sizeof(manual) - 1, "w");
	assert_non_null(f);
	options_manual(f);
	(void)fclose(f);
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = settings_row(id);

		if (row->name == NULL)
			continue;
		if (row->letter != 0)
			(void)snprintf(text, sizeof(text), "-%c, --%s", row->letter, row->name);
		else
			(void)snprintf(text, sizeof(text), "%s", row->name);
		if ((strstr(help, text) == NULL) != (row->effect == EFFECT_UNNAMED))
			fail_msg("%s is named in the help, or is not", text);
		(void)snprintf(text, sizeof(text), ".B %s%s",
		    row->place == PLACE_OWN ? "\\-\\-" : "", row->name);
		if (row->place == PLACE_SUB && strstr(manual, text) == NULL)
			fail_msg("no %s in the manual", text);
	}
	for (const char *line = help; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		assert_true(strcspn(line, "\n") <= 80);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_short_option),
	    cmocka_unit_test(test_every_long_option),
	    cmocka_unit_test(test_suboptions),
	    cmocka_unit_test(test_suboptions_of_memcached),
	    cmocka_unit_test(test_udp_is_ignored_aloud),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_warnings),
	    cmocka_unit_test(test_what_only_prints),
	    cmocka_unit_test(test_help_and_manual_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
