/* t/slab/test_verbs.c: what single verbs promise: an append that creates does so in one step, one that grows
 * never evicts what it extends, observers come and go. */
#include <pthread.h>

#include "base/atomics.h"
#include "t/slab/model.h"

#define ROUNDS 20000u

static struct store *
fresh(void)
{
	struct store_options options = {.memory_limit = 8u << 20, .index_power = 8};
	struct store *st;
	const char *error;

	assert_int_equal(store_new(&st, &options, &error), 0);
	store_clock_set(st, 100);
	return st;
}

static enum store_result
put(struct store *st, const char *key, const char *value, const struct store_put *how)
{
	struct store_head head = {.size = strlen(value), .flags = 5, .exptime = 1000};
	struct store_key k = store_key(st, key, strlen(key));
	struct store_pending pending;
	uint64_t version;

	assert_int_equal(store_offer(st, &pending, &k, &head, value), STORE_OK);
	return store_put(st, &k, &pending, how, &version);
}

static void
assert_value(struct store *st, const char *key, const char *value)
{
	struct store_key k = store_key(st, key, strlen(key));
	struct store_entry entry;

	store_enter(st, &k, &entry);
	assert_true(entry.found);
	assert_int_equal(entry.view.size, strlen(value));
	assert_memory_equal(entry.view.value, value, strlen(value));
	assert_int_equal(entry.view.flags, 5);
	assert_int_equal(entry.view.exptime, 1000);
	store_leave(&entry);
}

static void
append_creates(void **state)
{
	struct store_put create = {.mode = STORE_APPEND, .create = true};
	struct store_put front = {.mode = STORE_PREPEND, .create = true};
	struct store_put plain = {.mode = STORE_APPEND};
	struct store *st = fresh();

	(void)state;
	assert_int_equal(put(st, "a", "x", &plain), STORE_NOT_STORED);
	assert_int_equal(put(st, "a", "1", &create), STORE_OK);
	assert_int_equal(put(st, "a", "2", &create), STORE_OK);
	assert_int_equal(put(st, "a", "0", &front), STORE_OK);
	assert_value(st, "a", "012");
	assert_int_equal(put(st, "b", "only", &front), STORE_OK);
	assert_value(st, "b", "only");
	create.compare = true; /* nothing to compare with where there is none */
	assert_int_equal(put(st, "c", "new", &create), STORE_OK);
	assert_int_equal(put(st, "c", "more", &create), STORE_EXISTS);
	assert_value(st, "c", "new");
	store_check(st);
	store_free(&st);
}

struct race {
	struct store *st;
	bool stop;
};

static void *
deletes(void *arg)
{
	struct race *r = arg;
	struct store_key k = store_key(r->st, "a", 1);

	store_thread_join();
	while (!load_relaxed(&r->stop)) {
		(void)store_delete(r->st, &k);
		store_thread_quiescent();
	}
	store_thread_leave();
	return NULL;
}

/* Whatever is deleted meanwhile, none is refused. */
static void
append_creates_among_deletions(void **state)
{
	struct store_put create = {.mode = STORE_APPEND, .create = true};
	struct race r = {.st = fresh()};
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, deletes, &r), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		assert_int_equal(put(r.st, "a", "1", &create), STORE_OK);
		store_thread_quiescent();
	}
	store_relaxed(&r.stop, true);
	store_thread_pause();
	assert_int_equal(pthread_join(thread, NULL), 0);
	store_thread_resume();
	store_check(r.st);
	store_free(&r.st);
}

static void
count(void *context, const struct store_mutation *mutation)
{
	unsigned *n = context;

	(void)mutation;
	++*n;
}

static void
observers_come_and_go(void **state)
{
	struct store_put set = {.mode = STORE_SET};
	struct store *st = fresh();
	unsigned seen[STORE_OBSERVERS_MAX] = {0};

	(void)state;
	for (unsigned i = 0; i < STORE_OBSERVERS_MAX; i++)
		store_observe(st, count, &seen[i]);
	assert_int_equal(put(st, "a", "1", &set), STORE_OK);
	store_unobserve(st, count, &seen[1]);
	assert_int_equal(put(st, "a", "1", &set), STORE_OK);
	for (unsigned i = 0; i < STORE_OBSERVERS_MAX; i++)
		assert_int_equal(seen[i], i == 1 ? 1 : 2);
	store_observe(st, count, &seen[1]);
	store_unobserve(st, count, &seen[3]);
	assert_int_equal(put(st, "b", "22", &set), STORE_OK);
	assert_int_equal(seen[1], 2);
	assert_int_equal(seen[3], 2);
	for (unsigned i = 0; i < STORE_OBSERVERS_MAX; i++)
		store_unobserve(st, count, &seen[i]);
	assert_int_equal(put(st, "c", "3", &set), STORE_OK);
	assert_int_equal(seen[0], 3);
	store_free(&st);
}

/* Takes all free chunks of the class that an item of SIZE bytes under KEY would get. */
static unsigned
take_all(struct store *st, struct store_pending *taken, const char *key, size_t size)
{
	struct store_head head = {.size = size};
	struct store_key k = store_key(st, key, strlen(key));
	struct store_class_stats c;
	unsigned n = 0, id = 0;

	do {
		assert_int_equal(store_alloc(st, &taken[n++], &k, &head), STORE_OK);
		while (id == 0 || c.chunk_size < size + 32)
			store_class_stats(st, ++id, &c);
		store_class_stats(st, id, &c);
	} while (c.free_chunks > 0);
	return n;
}

/* Memory is full, and an item is all that its class could evict to make the longer one: something else has to go. */
static void
append_spares_its_item(void **state)
{
	static struct store_pending taken[1000];
	struct store *st = fresh();
	struct store_put set = {.mode = STORE_SET}, append = {.mode = STORE_APPEND};
	struct store_head large = {.size = 200000};
	char value[2001];
	unsigned n;

	(void)state;
	memset(value, 'v', sizeof(value));
	value[2000] = '\0';
	for (uint32_t i = 0; i < 100; i++) {
		uint64_t version;

		assert_int_equal(model_put(st, i, &large, i, &set, &version), STORE_OK);
	}
	assert_int_equal(put(st, "log", value, &set), STORE_OK);
	n = take_all(st, taken, "log", 2001);
	assert_int_equal(put(st, "log", ".", &append), STORE_OK);
	while (n-- > 0)
		store_abort(st, &taken[n]);
	store_free(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(append_creates),
	    cmocka_unit_test(append_creates_among_deletions),
	    cmocka_unit_test(append_spares_its_item),
	    cmocka_unit_test(observers_come_and_go),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
