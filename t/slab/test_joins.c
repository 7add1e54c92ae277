/* t/slab/test_joins.c: threads that append to one long value at once. What was accepted is there, once; nobody is refused,
 * however much longer one takes than the others; and in the order in which a thread appended.
 */
#include <pthread.h>

#include "t/slab/model.h"

#define THREADS 4
#define JOINS   200
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(append),
	    cmocka_unit_test(prepend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
