/* t/slab/test_storm.c: everything at once, under each policy: threads that put, append, read, pin and delete, while another
 * moves pages by hand, moves the limit up and down, flushes, resets statistics and lets time pass. Values bear
 * their key's number and a seed, so that a mixed-up one shows; at the end the walker must find the store whole, and
 * all its memory free once everything was deleted. Short, with many switches: made for the thread sanitizer as well.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "t/slab/model.h"

#define ACTORS 4
#define KEYS   600u
#define PINS   6
#if defined(__SANITIZE_THREAD__)
#define OPS 400u
#else
#define OPS 6000u
#endif
#define MEMORY    (4u << 20)
#define VALUE_TOP (300u << 10)
#define STAMP     16u

struct storm {
	struct store *st;
	atomic_bool over;
	atomic_uint refused;
};

/* A pin that is held over many operations, and what must be read through it. */
struct held {
	struct store_pin *pin;
	uint32_t n, size;
};

struct actor {
	pthread_t thread;
	struct storm *storm;
	struct random_state chance;
	struct held held[PINS];
	char *value;
	uint64_t hits;
};

/* N, then bytes of which each tells its place: an appended value is a row of such records. */
static void
fill(char *value, size_t size, uint32_t n)
{
	memcpy(value, &n, sizeof(n));
	for (size_t i = sizeof(n); i < size; i++)
		value[i] = (char)(n + i);
}

static void
check_bytes(const char *value, size_t at, size_t size, uint32_t n)
{
	char first[4];

	memcpy(first, &n, sizeof(first));
	for (size_t i = 0; i < size; i++) {
		size_t place = at + i;
		char wanted = place < 4 ? first[place] : (char)(n + place);

		if (value[i] != wanted)
			fail_msg("key %u: byte %zu is %d, not %d", n, place, value[i], wanted);
	}
}

static void
check_pin(struct store *st, const struct held *h)
{
	uint32_t cursor = 0;
	const char *data;
	size_t len, done = 0;

	while (store_pin_next(st, h->pin, &cursor, &data, &len)) {
		check_bytes(data, done, len, h->n);
		done += len;
	}
	assert_int_equal(done, h->size);
}

static size_t
some_size(struct actor *a)
{
	uint64_t kind = random_below(&a->chance, 100);

	if (kind < 70)
		return STAMP + random_below(&a->chance, 600);
	return STAMP + random_below(&a->chance, kind < 92 ? 20000 : VALUE_TOP - STAMP);
}

static void
act_put(struct actor *a, uint32_t n)
{
	struct store *st = a->storm->st;
	struct store_head head = {.flags = n & 1 ? n : 0, .size = some_size(a)};
	struct store_put put = {.mode = STORE_SET};
	struct store_pending pending;
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);
	size_t part = 1 + random_below(&a->chance, head.size);
	enum store_result result;
	uint64_t version;

	if (random_below(&a->chance, 3) == 0)
		head.exptime = store_clock(st) + (uint32_t)random_below(&a->chance, 4);
	if (random_below(&a->chance, 20) == 0) {
		head.versioned = true;
		put.version = (1ull << 62) + (random_next(&a->chance) >> 2);
	}
	fill(a->value, head.size, n);
	result = store_alloc(st, &pending, &key, &head);
	if (result == STORE_OK)
		result = store_pending_write(st, &pending, a->value, part);
	if (result == STORE_OK && random_below(&a->chance, 16) == 0) {
		store_abort(st, &pending);
		return;
	}
	if (result == STORE_OK)
		result = store_pending_write(st, &pending, a->value + part, head.size - part);
	if (result == STORE_OK)
		result = store_put(st, &key, &pending, &put, &version);
	if (result == STORE_NO_MEMORY)
		atomic_fetch_add(&a->storm->refused, 1);
	else
		assert_int_equal(result, STORE_OK);
}

/* Appends bytes that are right for a size seen just before, under the condition that the version is still that. */
static void
act_append(struct actor *a, uint32_t n)
{
	struct store *st = a->storm->st;
	struct store_view view;
	struct store_head head = {.size = 1 + random_below(&a->chance, 3000)};
	struct store_put put = {.mode = STORE_APPEND, .compare = true};
	struct store_pending pending;
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);
	uint64_t version;

	do {
		if (!store_read_begin(st, &key, 0, &view))
			return;
	} while (!store_read_end(st, &view));
	if (view.size + head.size > VALUE_TOP)
		return;
	for (size_t i = 0; i < head.size; i++)
		a->value[i] = (char)(n + view.size + i);
	put.compare_to = view.version;
	if (store_alloc(st, &pending, &key, &head) == STORE_OK &&
	    store_pending_write(st, &pending, a->value, head.size) == STORE_OK)
		(void)store_put(st, &key, &pending, &put, &version);
}

static void
act_read(struct actor *a, uint32_t n)
{
	struct store *st = a->storm->st;
	struct held *h = &a->held[random_below(&a->chance, PINS)];
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);
	struct store_view view;

	if (random_below(&a->chance, 2))
		store_prepare(st, &key, 1);
	do {
		if (!store_read_begin(st, &key, STORE_READ_VALUE | STORE_READ_COUNT, &view))
			return;
		if (view.pin == NULL)
			store_copy(a->value, view.value, view.size);
	} while (!store_read_end(st, &view));
	a->hits++;
	assert_true(view.flags == 0 || view.flags == n);
	if (view.pin == NULL) {
		check_bytes(a->value, 0, view.size, n);
		return;
	}
	if (h->pin != NULL) {
		check_pin(st, h);
		store_unpin(st, h->pin);
	}
	*h = (struct held){view.pin, n, view.size};
}

static void
act_entry(struct actor *a, uint32_t n)
{
	struct store *st = a->storm->st;
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);
	struct store_entry e;

	store_enter(st, &key, &e);
	if (e.found) {
		switch (random_below(&a->chance, 4)) {
		case 0:
			store_entry_touch(
			    &e, store_clock(st) + (uint32_t)random_below(&a->chance, 3));
			break;
		case 1:
			store_entry_mark(&e, STORE_STALE, 0, STORE_VERSION_NEXT);
			break;
		default:
			store_entry_delete(&e);
		}
	}
	store_leave(&e);
}

static void *
act(void *arg)
{
	struct actor *a = arg;

	store_thread_join();
	for (uint32_t i = 0; i < OPS; i++) {
		uint32_t n =
		    (uint32_t)random_below(&a->chance, random_below(&a->chance, 2) ? 16 : KEYS);
		uint64_t what = random_below(&a->chance, 100);

		if (what < 40)
			act_read(a, n);
		else if (what < 80)
			act_put(a, n);
		else if (what < 88)
			act_append(a, n);
		else
			act_entry(a, n);
		store_thread_quiescent();
	}
	for (unsigned i = 0; i < PINS; i++) {
		if (a->held[i].pin != NULL) {
			check_pin(a->storm->st, &a->held[i]);
			store_unpin(a->storm->st, a->held[i].pin);
		}
	}
	store_thread_leave();
	return NULL;
}

static void
visit_nothing(
    void *context, const struct store_key *key, const struct store_view *view, int slab_class)
{
	(void)key;
	(void)slab_class;
	*(uint64_t *)context += view->size;
}

/* What an operator may do, as often as he likes. */
static void
disturb(struct store *st, struct random_state *chance, uint64_t *cursor)
{
	struct store_stats s;
	uint64_t bytes = 0;

	switch (random_below(chance, 40)) {
	case 0:
		assert_true(store_limit_set(st, MEMORY / 2 + random_below(chance, MEMORY)));
		break;
	case 1:
		store_flush(st, random_below(chance, 2) ? 0 : store_clock(st) + 1);
		break;
	case 2:
		store_stats_reset(st);
		break;
	case 3:
	case 4:
		store_clock_set(st, store_clock(st) + 1);
		break;
	default:
		store_stats(st, &s);
		(void)store_reassign(st, random_below(chance, 2) ? -1 : (int)s.classes,
		    1 + (int)random_below(chance, s.classes));
		if (!store_walk(st, cursor, visit_nothing, &bytes))
			*cursor = 0;
	}
}

static void
keep_up(struct storm *w, struct random_state *chance)
{
	uint64_t cursor = 0;

	while (!atomic_load(&w->over)) {
		const struct timespec pause = {0, 100000};

		disturb(w->st, chance, &cursor);
		(void)store_maintain(w->st);
		store_thread_quiescent();
		if (random_below(chance, 8) == 0) {
			store_thread_pause();
			(void)nanosleep(&pause, NULL);
			store_thread_resume();
		}
	}
}

static void *
keeper(void *arg)
{
	struct random_state chance;

	random_init(&chance);
	store_thread_join();
	keep_up(arg, &chance);
	store_thread_leave();
	return NULL;
}

/* All is there once; and when all is deleted no chunk is taken. */
static void
check_end(struct store *st)
{
	struct store_class_stats c;
	char name[STORE_KEY_MAX];

	while (store_maintain(st) == 0)
		;
	store_check(st);
	for (uint32_t n = 0; n < KEYS; n++) {
		struct store_key key = model_key(st, name, n);

		(void)store_delete(st, &key);
	}
	store_check(st);
	for (unsigned id = 1; store_class_stats(st, id, &c); id++)
		assert_int_equal(c.used_chunks, 0);
}

static void
run(enum store_eviction eviction)
{
	struct store_options o = {.memory_limit = MEMORY,
	    .by_page = MODEL_BY_PAGE,
	    .index_power = 4,
	    .threads = 1,
	    .eviction = eviction,
	    .item_size_max = VALUE_TOP + 1000};
	struct storm storm = {0};
	struct actor actors[ACTORS] = {0};
	struct random_state chance;
	pthread_t upkeep;
	const char *error;
	uint64_t hits = 0;

	print_message("%s\n", store_eviction_name(eviction));
	random_init(&chance);
	assert_int_equal(store_new(&storm.st, &o, &error), 0);
	assert_int_equal(pthread_create(&upkeep, NULL, keeper, &storm), 0);
	for (unsigned i = 0; i < ACTORS; i++) {
		actors[i].storm = &storm;
		actors[i].chance.state = random_next(&chance);
		actors[i].value = malloc(VALUE_TOP);
		assert_non_null(actors[i].value);
		assert_int_equal(pthread_create(&actors[i].thread, NULL, act, &actors[i]), 0);
	}
	for (unsigned i = 0; i < ACTORS; i++) {
		(void)pthread_join(actors[i].thread, NULL);
		free(actors[i].value);
		hits += actors[i].hits;
	}
	atomic_store(&storm.over, true);
	(void)pthread_join(upkeep, NULL);
	assert_true(hits > 0);
	store_thread_join();
	check_end(storm.st);
	store_thread_leave();
	store_free(&storm.st);
}

static void
s3fifo(void **state)
{
	(void)state;
	run(STORE_EVICT_S3FIFO);
}

static void
sampled(void **state)
{
	(void)state;
	run(STORE_EVICT_LRU);
	run(STORE_EVICT_LFU);
	run(STORE_EVICT_RANDOM);
}

static void
volatile_only(void **state)
{
	(void)state;
	run(STORE_EVICT_VOLATILE_LRU);
	run(STORE_EVICT_VOLATILE_TTL);
}

static void
nothing_may_go(void **state)
{
	(void)state;
	run(STORE_EVICT_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(s3fifo),
	    cmocka_unit_test(sampled),
	    cmocka_unit_test(volatile_only),
	    cmocka_unit_test(nothing_may_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
