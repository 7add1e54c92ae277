/* t/server/test_maintain.c: the maintenance thread moves the store's clock, lets expired items go, and ends when told
 * to. */
#include "t/lib/unit.h"

#include <poll.h>
#include <time.h>

#include "server/maintain.h"

#define PATIENCE_MS 60000

static struct store *store;
static struct clock test_clock;

static int
set_up(void **state)
{
	const struct store_options options = {.memory_limit = 8 << 20};
	const char *error;

	(void)state;
	store_thread_join();
	assert_int_equal(store_new(&store, &options, &error), 0);
	clock_init(&test_clock, CLOCK_BEGIN);
	store_clock_set(store, CLOCK_BEGIN);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	store_free(&store);
	store_thread_leave();
	return 0;
}

/* Sleeps as a thread that the store need not wait for. */
static void
sleep_ms(int ms)
{
	store_thread_pause();
	(void)poll(NULL, 0, ms);
	store_thread_resume();
}

static uint64_t
items(void)
{
	struct store_stats stats;

	store_stats(store, &stats);
	return stats.items;
}

static void
put(const char *name, uint32_t exptime)
{
	const struct store_head head = {.exptime = exptime, .size = 1};
	const struct store_put how = {.mode = STORE_SET};
	struct store_key key = store_key(store, name, strlen(name));
	struct store_pending pending;
	uint64_t version;

	assert_int_equal(store_alloc(store, &pending, &key, &head), STORE_OK);
	assert_int_equal(store_pending_write(store, &pending, "v", 1), STORE_OK);
	assert_int_equal(store_put(store, &key, &pending, &how, &version), STORE_OK);
}

static int64_t
milliseconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
test_clock_moves(void **state)
{
	struct maintain *m = NULL;
	uint32_t begin = store_clock(store);

	(void)state;
	assert_int_equal(maintain_start(&m, store, &test_clock), 0);
	for (int waited = 0; store_clock(store) == begin; waited += 10) {
		assert_true(waited < PATIENCE_MS);
		sleep_ms(10);
	}
	assert_int_equal(store_clock(store), clock_now(&test_clock));
	store_thread_pause();
	maintain_stop(&m);
	store_thread_resume();
	assert_null(m);
}

static void
test_expired_items_go_unread(void **state)
{
	struct maintain *m = NULL;
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "key-%u", i);
		put(name, i < 10 ? 0 : clock_exptime(&test_clock, 100));
	}
	assert_int_equal(items(), 1000);
	assert_int_equal(maintain_start(&m, store, &test_clock), 0);
	clock_shift(&test_clock, 200);
	for (int waited = 0; items() > 10; waited += 10) {
		assert_true(waited < PATIENCE_MS);
		sleep_ms(10);
	}
	assert_int_equal(items(), 10);
	store_thread_pause();
	maintain_stop(&m);
	store_thread_resume();
}

static void
test_ends_at_once(void **state)
{
	unsigned prompt = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct maintain *m = NULL;
		int64_t begin = milliseconds();

		assert_int_equal(maintain_start(&m, store, &test_clock), 0);
		sleep_ms(i);
		store_thread_pause();
		maintain_stop(&m);
		store_thread_resume();
		prompt += milliseconds() - begin < 500;
	}
	assert_true(prompt > 10); /* on a busy machine not all */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_clock_moves, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_expired_items_go_unread, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_ends_at_once, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
