/* t/wire/test_libmemcached.c: the server as programs see it that use libmemcached, over the text and the binary protocol.
 *
 * One server for all, on a Unix socket in a directory of its own; it dies with this program.
 */
#include <libmemcached/memcached.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t/lib/unit.h"

#define MANY 500u
#define BIG  900000u

static char directory[] = "/tmp/rc-wire-XXXXXX";
static char socket_path[sizeof(directory) + 8];
static pid_t server;

static void
pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

static void
server_exec(void)
{
	const char *program = getenv("RINGCACHED");

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)execl(program == NULL ? "./ringcached" : program, "ringcached", "-s", socket_path,
	    "-m", "64", "-t", "2", "-u", geteuid() == 0 ? "root" : "nobody", (char *)NULL);
	_exit(127);
}

static int
server_start(void **state)
{
	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	(void)snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
	server = fork();
	if (server == 0)
		server_exec();
	for (int i = 0; i < 12000 && access(socket_path, W_OK) != 0; i++)
		pause_ms(5);
	return access(socket_path, W_OK);
}

static int
server_stop(void **state)
{
	int status;

	(void)state;
	(void)kill(server, SIGTERM);
	if (waitpid(server, &status, 0) != server || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return -1;
	(void)unlink(socket_path);
	return rmdir(directory);
}

/* A client of the protocol wanted, on an empty server. */
static memcached_st *
client_new(bool binary)
{
	memcached_st *c = memcached_create(NULL);
	memcached_return_t rc;

	assert_non_null(c);
	assert_int_equal(memcached_behavior_set(c, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, binary),
	    MEMCACHED_SUCCESS);
	assert_int_equal(
	    memcached_behavior_set(c, MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1), MEMCACHED_SUCCESS);
	assert_int_equal(
	    memcached_behavior_set(c, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, 60000), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_server_add_unix_socket(c, socket_path), MEMCACHED_SUCCESS);
	for (int i = 0; i < 1000 && (rc = memcached_flush(c, 0)) != MEMCACHED_SUCCESS; i++)
		pause_ms(5);
	assert_int_equal(rc, MEMCACHED_SUCCESS);
	return c;
}

static memcached_return_t
set(memcached_st *c, const char *key, const char *value, time_t expiry, uint32_t flags)
{
	return memcached_set(c, key, strlen(key), value, strlen(value), expiry, flags);
}

/* KEY has this value and these flags; a VALUE of NULL: it is not there. */
static void
expect(memcached_st *c, const char *key, const char *value, uint32_t flags)
{
	memcached_return_t rc;
	uint32_t seen;
	size_t len;
	char *got = memcached_get(c, key, strlen(key), &len, &seen, &rc);

	if (value == NULL) {
		assert_int_equal(rc, MEMCACHED_NOTFOUND);
		return;
	}
	assert_int_equal(rc, MEMCACHED_SUCCESS);
	assert_int_equal(len, strlen(value));
	if (len > 0)
		assert_memory_equal(got, value, len);
	assert_int_equal(seen, flags);
	free(got);
}

static void
stores(bool binary)
{
	memcached_st *c = client_new(binary);

	assert_int_equal(set(c, "k", "one", 0, 7), MEMCACHED_SUCCESS);
	expect(c, "k", "one", 7);
	expect(c, "none", NULL, 0);
	assert_int_equal(set(c, "empty", "", 0, UINT32_MAX), MEMCACHED_SUCCESS);
	expect(c, "empty", "", UINT32_MAX);
	assert_int_not_equal(memcached_add(c, "k", 1, "two", 3, 0, 0), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_add(c, "new", 3, "two", 3, 0, 0), MEMCACHED_SUCCESS);
	assert_int_not_equal(memcached_replace(c, "missing", 7, "x", 1, 0, 0), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_replace(c, "new", 3, "three", 5, 0, 9), MEMCACHED_SUCCESS);
	expect(c, "new", "three", 9);
	assert_int_equal(memcached_append(c, "k", 1, "-end", 4, 0, 0), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_prepend(c, "k", 1, "start-", 6, 0, 0), MEMCACHED_SUCCESS);
	expect(c, "k", "start-one-end", 7);
	assert_int_not_equal(memcached_append(c, "missing", 7, "x", 1, 0, 0), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_delete(c, "k", 1, 0), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_delete(c, "k", 1, 0), MEMCACHED_NOTFOUND);
	expect(c, "k", NULL, 0);
	memcached_free(c);
}

static void
counts(bool binary)
{
	memcached_st *c = client_new(binary);
	uint64_t n = 0;

	assert_int_equal(set(c, "n", "10", 0, 5), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_increment(c, "n", 1, 5, &n), MEMCACHED_SUCCESS);
	assert_int_equal(n, 15);
	assert_int_equal(memcached_decrement(c, "n", 1, 20, &n), MEMCACHED_SUCCESS);
	assert_int_equal(n, 0);
	assert_int_equal(memcached_increment(c, "missing", 7, 1, &n), MEMCACHED_NOTFOUND);
	assert_int_equal(set(c, "n", "18446744073709551615", 0, 0), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_increment(c, "n", 1, 2, &n), MEMCACHED_SUCCESS);
	assert_int_equal(n, 1);
	assert_int_equal(set(c, "n", "words", 0, 0), MEMCACHED_SUCCESS);
	assert_int_not_equal(memcached_increment(c, "n", 1, 1, &n), MEMCACHED_SUCCESS);
	if (binary) {
		assert_int_equal(
		    memcached_increment_with_initial(c, "made", 4, 1, 7, 0, &n), MEMCACHED_SUCCESS);
		assert_int_equal(n, 7);
		assert_int_equal(
		    memcached_increment_with_initial(c, "made", 4, 1, 7, 0, &n), MEMCACHED_SUCCESS);
		assert_int_equal(n, 8);
	}
	memcached_free(c);
}

/* The cas number of KEY. */
static uint64_t
cas_of(memcached_st *c, const char *key)
{
	const char *keys[] = {key};
	size_t lengths[] = {strlen(key)};
	memcached_result_st *result;
	memcached_return_t rc;
	uint64_t cas;

	assert_int_equal(memcached_mget(c, keys, lengths, 1), MEMCACHED_SUCCESS);
	result = memcached_fetch_result(c, NULL, &rc);
	assert_non_null(result);
	cas = memcached_result_cas(result);
	memcached_result_free(result);
	assert_null(memcached_fetch_result(c, NULL, &rc));
	return cas;
}

static void
swaps(bool binary)
{
	memcached_st *c = client_new(binary);
	uint64_t cas;

	assert_int_equal(set(c, "s", "one", 0, 0), MEMCACHED_SUCCESS);
	cas = cas_of(c, "s");
	assert_int_equal(memcached_cas(c, "s", 1, "two", 3, 0, 0, cas), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_cas(c, "s", 1, "three", 5, 0, 0, cas), MEMCACHED_DATA_EXISTS);
	assert_int_equal(memcached_cas(c, "missing", 7, "x", 1, 0, 0, cas), MEMCACHED_NOTFOUND);
	expect(c, "s", "two", 0);
	assert_int_not_equal(cas_of(c, "s"), cas);
	memcached_free(c);
}

static void
expires(bool binary)
{
	memcached_st *c = client_new(binary);

	assert_int_equal(set(c, "short", "x", 1, 0), MEMCACHED_SUCCESS);
	assert_int_equal(set(c, "touched", "x", 1, 0), MEMCACHED_SUCCESS);
	assert_int_equal(set(c, "absolute", "x", time(NULL) + 1, 0), MEMCACHED_SUCCESS);
	assert_int_equal(set(c, "long", "x", 100, 0), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_touch(c, "touched", 7, 100), MEMCACHED_SUCCESS);
	assert_int_equal(memcached_touch(c, "missing", 7, 100), MEMCACHED_NOTFOUND);
	expect(c, "short", "x", 0);
	pause_ms(2300);
	expect(c, "short", NULL, 0);
	expect(c, "absolute", NULL, 0);
	expect(c, "touched", "x", 0);
	expect(c, "long", "x", 0);
	memcached_free(c);
}

static void
many(bool binary)
{
	memcached_st *c = client_new(binary);
	static char names[MANY + 1][16];
	const char *keys[MANY + 1];
	size_t lengths[MANY + 1];
	memcached_result_st *result;
	memcached_return_t rc;
	unsigned seen = 0;

	for (unsigned i = 0; i <= MANY; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "many%u", i);
		keys[i] = names[i];
		lengths[i] = strlen(names[i]);
		if (i < MANY)
			assert_int_equal(set(c, names[i], names[i] + 4, 0, i), MEMCACHED_SUCCESS);
	}
	assert_int_equal(memcached_mget(c, keys, lengths, MANY + 1), MEMCACHED_SUCCESS);
	while ((result = memcached_fetch_result(c, NULL, &rc)) != NULL) {
		unsigned i = memcached_result_flags(result);

		assert_in_range(i, 0, MANY - 1);
		assert_int_equal(memcached_result_length(result), lengths[i] - 4);
		assert_memory_equal(memcached_result_value(result), names[i] + 4, lengths[i] - 4);
		memcached_result_free(result);
		seen++;
	}
	assert_int_equal(seen, MANY);
	memcached_free(c);
}

static void
large(bool binary)
{
	memcached_st *c = client_new(binary);
	char *value = malloc(2 * BIG), *got;
	memcached_return_t rc;
	uint32_t flags;
	size_t len;

	assert_non_null(value);
	for (size_t i = 0; i < 2 * BIG; i++)
		value[i] = (char)(i * 31 + i / 251);
	assert_int_equal(memcached_set(c, "big", 3, value, BIG, 0, 0), MEMCACHED_SUCCESS);
	got = memcached_get(c, "big", 3, &len, &flags, &rc);
	assert_int_equal(rc, MEMCACHED_SUCCESS);
	assert_int_equal(len, BIG);
	assert_memory_equal(got, value, BIG);
	free(got);
	/* Too large: refused, and what was there is gone. */
	assert_int_not_equal(memcached_set(c, "big", 3, value, 2 * BIG, 0, 0), MEMCACHED_SUCCESS);
	memcached_quit(c);
	expect(c, "big", NULL, 0);
	free(value);
	memcached_free(c);
}

static void
quiet(bool binary)
{
	memcached_st *c = client_new(binary);
	char key[16];

	assert_int_equal(
	    memcached_behavior_set(c, MEMCACHED_BEHAVIOR_NOREPLY, 1), MEMCACHED_SUCCESS);
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "quiet%u", i);
		(void)set(c, key, key, 0, 0);
	}
	(void)memcached_delete(c, "quiet7", 6, 0);
	(void)memcached_flush_buffers(c);
	assert_int_equal(
	    memcached_behavior_set(c, MEMCACHED_BEHAVIOR_NOREPLY, 0), MEMCACHED_SUCCESS);
	expect(c, "quiet999", "quiet999", 0);
	expect(c, "quiet0", "quiet0", 0);
	expect(c, "quiet7", NULL, 0);
	memcached_free(c);
}

static void
statistics(bool binary)
{
	memcached_st *c = client_new(binary);
	memcached_return_t rc;
	memcached_stat_st *stats;
	char *value;

	assert_int_equal(set(c, "k", "v", 0, 0), MEMCACHED_SUCCESS);
	stats = memcached_stat(c, NULL, &rc);
	assert_int_equal(rc, MEMCACHED_SUCCESS);
	assert_non_null(stats);
	value = memcached_stat_get_value(c, stats, "threads", &rc);
	assert_string_equal(value, "2");
	free(value);
	value = memcached_stat_get_value(c, stats, "limit_maxbytes", &rc);
	assert_string_equal(value, "67108864");
	free(value);
	memcached_stat_free(c, stats);
	assert_int_equal(memcached_version(c), MEMCACHED_SUCCESS);
	assert_int_equal(
	    memcached_server_major_version(memcached_server_instance_by_position(c, 0)), 1);
	memcached_free(c);
}

/* BOTH(name): the story over either protocol. */
#define BOTH_STORIES(BOTH)                                                                         \
	BOTH(stores)                                                                               \
	BOTH(counts) BOTH(swaps) BOTH(expires) BOTH(many) BOTH(large) BOTH(quiet) BOTH(statistics)

#define BOTH(story)                                                                                \
	static void test_##story##_text(void **state)                                              \
	{                                                                                          \
		(void)state;                                                                       \
		story(false);                                                                      \
	}                                                                                          \
	static void test_##story##_binary(void **state)                                            \
	{                                                                                          \
		(void)state;                                                                       \
		story(true);                                                                       \
	}
BOTH_STORIES(BOTH)
#undef BOTH

int
main(void)
{
#define BOTH(story) cmocka_unit_test(test_##story##_text), cmocka_unit_test(test_##story##_binary),
	const struct CMUnitTest tests[] = {BOTH_STORIES(BOTH)};
#undef BOTH

	return cmocka_run_group_tests(tests, server_start, server_stop);
}
