/* t/slab/test_joins.c: threads that append to one long value at once. What was accepted is there, once, and in the order in
 * which a thread appended; nobody is refused, however much longer one takes than the others. And who loses against changes that
 * are no joins, time and again, is told so.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "slab/impl.h"
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

/* ---------------------------------------------------------------- versions that a client chose */

#define CHOSEN 5u   /* twice */
#define ASKS   900u /* key and value of all items, so that one class holds them */
#define FILL   6000u

/* A set that comes while the value of a join is being copied: when the copy's memory takes an eviction. */
struct meddler {
	struct store *st;
	struct store_pending pending;
	bool armed;
	enum store_result result;
};

static enum store_result
put_alike(struct store *st, uint32_t n, uint64_t seed, const struct store_put *put)
{
	char name[STORE_KEY_MAX];
	struct store_head head = {
	    .size = ASKS - model_key(st, name, n).len, .versioned = put->version != 0};
	uint64_t version;

	return model_put(st, n, &head, seed, put, &version);
}

static void *
set_prepared(void *arg)
{
	struct meddler *m = arg;
	const struct store_put put = {.mode = STORE_SET, .version = CHOSEN};
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(m->st, name, 1);
	uint64_t version;

	store_thread_join();
	m->result = store_put(m->st, &key, &m->pending, &put, &version);
	store_thread_leave();
	return NULL;
}

static void
meddle(void *context, const struct store_mutation *mutation)
{
	struct meddler *m = context;
	char name[STORE_KEY_MAX];
	uint64_t hash = model_key(m->st, name, 1).hash;
	pthread_t thread;

	if (!m->armed || mutation->event != STORE_EVENT_EVICT ||
	    stripe_of(m->st, hash) == stripe_of(m->st, mutation->key->hash))
		return;
	m->armed = false;
	assert_int_equal(pthread_create(&thread, NULL, set_prepared, m), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
prepare_set(struct meddler *m, uint64_t seed)
{
	char name[STORE_KEY_MAX], value[ASKS];
	struct store_key key = model_key(m->st, name, 1);
	struct store_head head = {.size = ASKS - key.len, .versioned = true};

	model_fill(value, head.size, seed);
	assert_int_equal(store_alloc(m->st, &m->pending, &key, &head), STORE_OK);
	assert_int_equal(store_pending_write(m->st, &m->pending, value, head.size), STORE_OK);
}

/* Who joins to a value that another one of the same version has replaced meanwhile joins to that one. */
static void
a_version_chosen_twice(void **state)
{
	struct store_options o = {.memory_limit = 4u << 20};
	struct store_put set = {.mode = STORE_SET};
	struct meddler m = {.result = STORE_NO_MEMORY};
	char value[2 * ASKS], wanted[8];
	const char *error;
	uint64_t version;

	(void)state;
	assert_int_equal(store_new(&m.st, &o, &error), 0);
	store_thread_join();
	for (uint32_t n = 2; n < FILL; n++)
		assert_int_equal(put_alike(m.st, n, n, &set), STORE_OK);
	store_observe(m.st, meddle, &m);
	set.version = CHOSEN;
	for (uint64_t seed = 0; m.result != STORE_OK; seed += 2) {
		assert_int_equal(put_alike(m.st, 1, seed, &set), STORE_OK);
		prepare_set(&m, seed + 1);
		m.armed = true;
		assert_int_equal(join_one(m.st, &version), STORE_OK);
		m.armed = false;
		store_abort(m.st, &m.pending);
		model_fill(wanted, sizeof(wanted), seed + (m.result == STORE_OK));
		assert_true(value_of_one(m.st, value) > sizeof(wanted));
		assert_memory_equal(value, wanted, sizeof(wanted));
	}
	store_check(m.st);
	store_thread_leave();
	store_free(&m.st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(append),
	    cmocka_unit_test(prepend),
	    cmocka_unit_test(a_lost_join_is_no_success),
	    cmocka_unit_test(a_version_chosen_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
