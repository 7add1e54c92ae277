/* t/slab/test_threads.c: threads that read, write, append, delete, touch and grow one store, while another keeps it up. Each
 * value tells by its first bytes how the rest must look, so a torn or mixed-up value shows. Small loads with many
 * switches: the thread sanitizer's build runs this too.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "base/number.h"
#include "slab/impl.h"
#include "t/slab/model.h"

#define THREADS_TOP 8
#define STAMP       16 /* bytes: key number, seed */
#define VALUE_TOP   (1u << 20)

struct shared {
	struct store *st;
	uint32_t keys, ops;
	size_t top; /* of value sizes */
	atomic_bool over;
};

struct actor {
	pthread_t thread;
	struct shared *shared;
	struct random_state chance;
	uint64_t hits;
	char *value, *expected;
};

static size_t
some_size(struct actor *a)
{
	uint64_t kind = random_below(&a->chance, 100);

	if (kind < 90)
		return STAMP + random_below(&a->chance, 300);
	return STAMP + random_below(&a->chance, kind < 98 ? 12000 : a->shared->top);
}

static void
stamp(char *value, size_t size, uint32_t n, uint64_t seed)
{
	model_fill(value, size, seed ^ n);
	memset(value, 0, STAMP);
	memcpy(value, &n, sizeof(n));
	memcpy(value + 8, &seed, sizeof(seed));
}

static void
act_put(struct actor *a, uint32_t n)
{
	struct store *st = a->shared->st;
	struct store_head head = {.flags = n, .size = some_size(a)};
	struct store_put put = {.mode = STORE_SET};
	struct store_pending pending;
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);
	uint64_t version;

	if (random_below(&a->chance, 4) == 0)
		head.exptime = store_clock(st) + (uint32_t)random_below(&a->chance, 4);
	stamp(a->value, head.size, n, random_next(&a->chance));
	if (store_alloc(st, &pending, &key, &head) != STORE_OK ||
	    store_pending_write(st, &pending, a->value, head.size) != STORE_OK)
		return;
	assert_int_equal(store_put(st, &key, &pending, &put, &version), STORE_OK);
}

static void
act_get(struct actor *a, uint32_t n)
{
	struct store_view view;
	uint32_t owner;
	uint64_t seed;

	if (!model_get(a->shared->st, n, &view, a->value))
		return;
	a->hits++;
	assert_true(view.size >= STAMP && view.flags == n);
	memcpy(&owner, a->value, sizeof(owner));
	memcpy(&seed, a->value + 8, sizeof(seed));
	assert_int_equal(owner, n);
	stamp(a->expected, view.size, n, seed);
	assert_memory_equal(a->value, a->expected, view.size);
}

static void
act_entry(struct actor *a, uint32_t n)
{
	struct store *st = a->shared->st;
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);
	struct store_entry e;
	uint64_t version;

	store_enter(st, &key, &e);
	version = e.found ? e.view.version : 0;
	if (e.found && random_below(&a->chance, 2)) {
		store_entry_delete(&e);
	} else if (e.found && e.view.value != NULL && e.view.size < 4096) {
		stamp(a->value, e.view.size, n, random_next(&a->chance));
		if (store_entry_overwrite(&e, a->value, e.view.size, 0))
			assert_true(e.view.version > version);
	} else if (e.found) {
		store_entry_touch(&e, store_clock(st) + 3);
	}
	store_leave(&e);
}

static void *
act(void *arg)
{
	struct actor *a = arg;

	store_thread_join();
	for (uint32_t i = 0; i < a->shared->ops; i++) {
		uint32_t n = (uint32_t)random_below(
		    &a->chance, random_below(&a->chance, 3) == 0 ? 8 : a->shared->keys);
		uint64_t what = random_below(&a->chance, 100);

		if (what < 55)
			act_get(a, n);
		else if (what < 90)
			act_put(a, n);
		else
			act_entry(a, n);
		store_thread_quiescent();
	}
	store_thread_leave();
	return NULL;
}

static void *
keep_up(void *arg)
{
	struct shared *s = arg;
	const struct timespec pause = {0, 200000};
	uint32_t now = 1;

	store_thread_join();
	while (!atomic_load(&s->over)) {
		(void)store_maintain(s->st);
		store_thread_quiescent();
		store_clock_set(s->st, ++now / 16);
		store_thread_pause();
		(void)nanosleep(&pause, NULL);
		store_thread_resume();
	}
	store_thread_leave();
	return NULL;
}

static void
run(unsigned threads, size_t memory, uint32_t keys, uint32_t ops)
{
	struct store_options o = {.memory_limit = memory, .index_power = 4, .threads = threads};
	struct shared shared = {.keys = keys, .ops = ops, .top = memory / 128};
	struct actor actors[THREADS_TOP] = {0};
	struct random_state chance;
	pthread_t keeper;
	const char *error;
	uint64_t hits = 0;

	random_init(&chance);
	assert_int_equal(store_new(&shared.st, &o, &error), 0);
	assert_int_equal(pthread_create(&keeper, NULL, keep_up, &shared), 0);
	for (unsigned i = 0; i < threads; i++) {
		actors[i] = (struct actor){.shared = &shared,
		    .chance = {random_next(&chance)},
		    .value = malloc(VALUE_TOP),
		    .expected = malloc(VALUE_TOP)};
		assert_int_equal(pthread_create(&actors[i].thread, NULL, act, &actors[i]), 0);
	}
	for (unsigned i = 0; i < threads; i++) {
		(void)pthread_join(actors[i].thread, NULL);
		hits += actors[i].hits;
		free(actors[i].value);
		free(actors[i].expected);
	}
	atomic_store(&shared.over, true);
	(void)pthread_join(keeper, NULL);
	assert_true(hits > 0);
	store_thread_join();
	store_check(shared.st);
	store_thread_leave();
	store_free(&shared.st);
}

static uint32_t
scaled(uint32_t ops)
{
	const char *text = getenv("SCALE");
	uint32_t scale = 1;

	if (text != NULL)
		(void)number_parse_u32(slice_of(text, strlen(text)), &scale);
	return ops * scale;
}

static void
two_threads(void **state)
{
	(void)state;
	run(2, 64u << 20, 20000, scaled(20000));
}

static void
eight_threads_on_few_keys(void **state)
{
	(void)state;
	run(8, 64u << 20, 20, scaled(4000));
}

static void
four_threads_short_of_memory(void **state)
{
	(void)state;
	run(4, 4u << 20, 50000, scaled(10000));
}

/* ---------------------------------------------------------------- a waker that comes and goes */

#define WAKERS 500000

struct woken {
	struct store *st;
	pthread_t thread;
	atomic_bool runs, over;
	atomic_uint without; /* calls without the context */
};

static struct woken woken;

static void
note_call(void *context)
{
	if (context != &woken)
		(void)atomic_fetch_add(&woken.without, 1);
}

static void *
wake_ever_more(void *arg)
{
	(void)arg;
	store_thread_join();
	atomic_store(&woken.runs, true);
	while (!atomic_load(&woken.over)) {
		(void)upkeep_wake(woken.st);
		store_thread_quiescent();
	}
	store_thread_leave();
	return NULL;
}

/* Who is just calling one that is taken off calls it with its context. */
static void
wakers_come_and_go(void **state)
{
	struct store_options o = {.memory_limit = 1u << 20};
	const char *error;

	(void)state;
	store_thread_join();
	assert_int_equal(store_new(&woken.st, &o, &error), 0);
	assert_int_equal(pthread_create(&woken.thread, NULL, wake_ever_more, NULL), 0);
	store_thread_pause();
	while (!atomic_load(&woken.runs))
		(void)sched_yield();
	store_thread_resume();
	for (uint64_t n = 0; n < scaled(WAKERS); n++) {
		store_upkeep(woken.st, note_call, &woken);
		store_upkeep(woken.st, NULL, NULL);
	}
	atomic_store(&woken.over, true);
	store_thread_pause();
	(void)pthread_join(woken.thread, NULL);
	store_thread_resume();
	assert_int_equal(woken.without, 0);
	store_thread_leave();
	store_free(&woken.st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_threads),
	    cmocka_unit_test(eight_threads_on_few_keys),
	    cmocka_unit_test(four_threads_short_of_memory),
	    cmocka_unit_test(wakers_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
