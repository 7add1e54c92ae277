/* t/slab/test_joins.c: threads that append to one long value at once. What was accepted is there, once, and in the order in
 * which a thread appended; nobody is refused, however much longer one takes than the others. And who loses against changes that
 * are no joins, time and again, is told so.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "t/slab/model.h"

#define THREADS 4
#define JOINS   200
#define LOST    20
#define LONG    (300u << 10) /* before the first record, so that many races would be lost */

struct record {
	char thread, number;
};

struct joiner {
	pthread_t thread;
	struct store *st;
	char number;
	enum store_mode mode;
};

static void *
join_records(void *arg)
{
	struct joiner *j = arg;
	struct store_head head = {.size = sizeof(struct record)};
	struct store_put put = {.mode = j->mode};
	struct store_pending pending;
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(j->st, name, 1);
	uint64_t version;

	store_thread_join();
	for (int i = 0; i < JOINS; i++) {
		struct record r = {j->number, (char)(i % 100)};

		assert_int_equal(store_alloc(j->st, &pending, &key, &head), STORE_OK);
		assert_int_equal(
		    store_pending_write(j->st, &pending, (const char *)&r, sizeof(r)), STORE_OK);
		assert_int_equal(store_put(j->st, &key, &pending, &put, &version), STORE_OK);
		store_thread_quiescent();
	}
	store_thread_leave();
	return NULL;
}

static size_t
value_of_one(struct store *st, char *to)
{
	struct store_view view;

	assert_true(model_get(st, 1, &view, to));
	return view.size;
}

/* From the long part outwards each thread's records come in their order, and none is missing. */
static void
walk(const char *at, ptrdiff_t step)
{
	int seen[THREADS] = {0};

	for (int i = 0; i < THREADS * JOINS; i++, at += step) {
		struct record r;

		memcpy(&r, at, sizeof(r));
		assert_in_range(r.thread, 0, THREADS - 1);
		assert_int_equal(r.number, seen[(int)r.thread]++ % 100);
	}
}

static void
all_join(enum store_mode mode)
{
	struct store_options o = {
	    .memory_limit = 256u << 20, .threads = THREADS + 1, .item_size_max = 4u << 20};
	struct store_head head = {.size = LONG};
	struct store_put set = {.mode = STORE_SET};
	struct joiner joiners[THREADS];
	const size_t records = sizeof(struct record) * THREADS * JOINS;
	char *value = malloc(LONG + records);
	const char *error;
	struct store *st;
	uint64_t version;

	assert_int_equal(store_new(&st, &o, &error), 0);
	store_thread_join();
	assert_int_equal(model_put(st, 1, &head, 7, &set, &version), STORE_OK);
	store_thread_pause();
	for (int i = 0; i < THREADS; i++) {
		joiners[i] = (struct joiner){.st = st, .number = (char)i, .mode = mode};
		assert_int_equal(
		    pthread_create(&joiners[i].thread, NULL, join_records, &joiners[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(joiners[i].thread, NULL);
	store_thread_resume();
	assert_int_equal(value_of_one(st, value), LONG + records);
	if (mode == STORE_APPEND)
		walk(value + LONG, sizeof(struct record));
	else
		walk(value + records - sizeof(struct record), -(ptrdiff_t)sizeof(struct record));
	store_check(st);
	store_thread_leave();
	store_free(&st);
	free(value);
}

static void
append(void **state)
{
	(void)state;
	all_join(STORE_APPEND);
}

static void
prepend(void **state)
{
	(void)state;
	all_join(STORE_PREPEND);
}

/* ---------------------------------------------------------------- races that are lost */

struct disturber {
	pthread_t thread;
	struct store *st;
	atomic_bool over;
};

/* Gives the item new versions as fast as that goes. */
static void *
disturb(void *arg)
{
	struct disturber *d = arg;
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(d->st, name, 1);
	struct store_entry entry;

	store_thread_join();
	while (!atomic_load(&d->over)) {
		store_enter(d->st, &key, &entry);
		if (entry.found)
			store_entry_mark(&entry, STORE_STALE, 0, STORE_VERSION_NEXT);
		store_leave(&entry);
		store_thread_quiescent();
	}
	store_thread_leave();
	return NULL;
}

static enum store_result
join_one(struct store *st, uint64_t *version)
{
	struct store_head head = {.size = sizeof(struct record)};
	struct store_put put = {.mode = STORE_APPEND};
	struct store_pending pending;
	const struct record r = {0, 0};
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, 1);

	*version = 0;
	assert_int_equal(store_alloc(st, &pending, &key, &head), STORE_OK);
	assert_int_equal(store_pending_write(st, &pending, (const char *)&r, sizeof(r)), STORE_OK);
	return store_put(st, &key, &pending, &put, version);
}

/* Who loses each race says that nothing was stored. */
static void
a_lost_join_is_no_success(void **state)
{
	struct store_options o = {
	    .memory_limit = 256u << 20, .threads = 2, .item_size_max = 4u << 20};
	struct store_head head = {.size = LONG};
	struct store_put set = {.mode = STORE_SET};
	struct disturber d = {0};
	size_t stored = 0;
	char *value = malloc(LONG + sizeof(struct record) * LOST);
	const char *error;
	uint64_t version;

	(void)state;
	assert_int_equal(store_new(&d.st, &o, &error), 0);
	store_thread_join();
	assert_int_equal(model_put(d.st, 1, &head, 7, &set, &version), STORE_OK);
	assert_int_equal(pthread_create(&d.thread, NULL, disturb, &d), 0);
	for (int i = 0; i < LOST; i++) {
		enum store_result result = join_one(d.st, &version);

		assert_true(result == STORE_OK || result == STORE_NO_MEMORY);
		assert_true((result == STORE_OK) == (version != 0));
		stored += result == STORE_OK;
		store_thread_quiescent();
	}
	atomic_store(&d.over, true);
	store_thread_pause();
	(void)pthread_join(d.thread, NULL);
	store_thread_resume();
	assert_int_equal(value_of_one(d.st, value), LONG + sizeof(struct record) * stored);
	store_check(d.st);
	store_thread_leave();
	store_free(&d.st);
	free(value);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(append),
	    cmocka_unit_test(prepend),
	    cmocka_unit_test(a_lost_join_is_no_success),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
