/* t/slab/test_expire.c: memory of what expired or was flushed comes back: by the walk alone, by allocations alone, and
 * wherever the mover has put it meanwhile. */
#include <pthread.h>

#include "slab/impl.h"
#include "t/slab/model.h"

struct world {
	struct random_state chance;
	struct store *st;
};

static void
world_init(struct world *w, size_t memory, enum store_eviction eviction)
{
	struct store_options o = {.memory_limit = memory,
	    .index_power = 4,
	    .eviction = eviction,
	    .by_page = MODEL_BY_PAGE};
	const char *error;

	random_init(&w->chance);
	assert_int_equal(store_new(&w->st, &o, &error), 0);
}

static enum store_result
put(struct world *w, uint32_t n, size_t size, uint32_t exptime)
{
	const struct store_head head = {.size = size, .exptime = exptime};
	const struct store_put how = {.mode = STORE_SET};
	uint64_t version;

	return model_put(w->st, n, &head, n, &how, &version);
}

/* Items that all ask for the same, key included, so that they are of one class. */
static enum store_result
put_even(struct world *w, uint32_t n, uint32_t exptime)
{
	char name[STORE_KEY_MAX];

	return put(w, n, 400 - model_key(w->st, name, n).len, exptime);
}

static size_t
some_size(struct world *w)
{
	uint64_t kind = random_below(&w->chance, 100);

	return random_below(&w->chance, kind < 90 ? 900 : kind < 98 ? 20000 : 200000);
}

/* Upkeep until each page was walked that has to be. */
static void
walk_all(struct store *st)
{
	for (int i = 0; i < 300; i++)
		(void)store_maintain(st);
}

static uint64_t
used_chunks(struct store *st)
{
	struct store_class_stats c;
	uint64_t used = 0;

	for (unsigned id = 1; store_class_stats(st, id, &c); id++)
		used += c.used_chunks;
	return used;
}

static uint64_t
items(struct store *st)
{
	struct store_stats s;

	store_stats(st, &s);
	return s.items;
}

static void
the_walk_finds_all(void **state)
{
	struct world w;
	uint32_t left[60] = {0};

	(void)state;
	world_init(&w, 64u << 20, STORE_EVICT_NONE);
	for (uint32_t n = 0; n < 4000; n++) {
		uint32_t exptime = 2 + (uint32_t)random_below(&w.chance, 50);

		assert_int_equal(put(&w, n, some_size(&w), exptime), STORE_OK);
		left[exptime]++;
	}
	for (uint32_t now = 1, there = 4000; now < 60; now++) {
		store_clock_set(w.st, now);
		walk_all(w.st);
		store_check(w.st);
		there -= left[now];
		assert_int_equal(items(w.st), there);
	}
	assert_int_equal(used_chunks(w.st), 0);
	store_free(&w.st);
}

static void
touch(struct world *w, uint32_t n, uint32_t exptime)
{
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(w->st, name, n);
	struct store_entry e;

	store_enter(w->st, &key, &e);
	assert_true(e.found);
	store_entry_touch(&e, exptime);
	store_leave(&e);
}

/* An expiry given later counts as one given at once, and one taken away too. */
static void
touches_count(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 64u << 20, STORE_EVICT_NONE);
	for (uint32_t n = 0; n < 1000; n++)
		assert_int_equal(put(&w, n, some_size(&w), n % 2 ? 5 : 0), STORE_OK);
	walk_all(w.st);
	for (uint32_t n = 0; n < 1000; n++)
		touch(&w, n, n % 2 ? 0 : 7);
	store_clock_set(w.st, 6);
	walk_all(w.st);
	assert_int_equal(items(w.st), 1000);
	store_clock_set(w.st, 7);
	walk_all(w.st);
	assert_int_equal(items(w.st), 500);
	store_check(w.st);
	store_free(&w.st);
}

/* Pages are moved between the flush and the walk that frees what it took. */
static void
a_flush_frees_all(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 16u << 20, STORE_EVICT_S3FIFO);
	for (uint32_t n = 0; n < 6000; n++)
		(void)put(&w, n, some_size(&w), n % 3 ? 0 : 1000);
	store_flush(w.st, 10);
	walk_all(w.st);
	assert_true(items(w.st) > 100);
	store_clock_set(w.st, 10);
	for (uint32_t n = 0; n < 20; n++) {
		(void)store_reassign(w.st, -1, 1 + (int)random_below(&w.chance, w.st->nclasses));
		(void)store_maintain(w.st);
	}
	walk_all(w.st);
	store_check(w.st);
	assert_int_equal(items(w.st), 0);
	assert_int_equal(used_chunks(w.st), 0);
	store_free(&w.st);
}

/* Nobody keeps the store up, and nothing live has to go while there is something dead. */
static void
allocations_take_the_dead_first(void **state)
{
	struct world w;
	struct store_stats s;
	uint32_t n = 0;

	(void)state;
	world_init(&w, 8u << 20, STORE_EVICT_S3FIFO);
	do {
		assert_int_equal(put_even(&w, n++, 10), STORE_OK);
		store_stats(w.st, &s);
	} while (s.evictions == 0);
	store_clock_set(w.st, 11);
	for (uint32_t i = 0; i < n - 100; i++)
		assert_int_equal(put_even(&w, 1000000 + i, 0), STORE_OK);
	store_stats(w.st, &s);
	assert_int_equal(s.evictions, 1);
	store_check(w.st);
	store_free(&w.st);
}

/* The same where nothing may be evicted, and one item in a hundred is dead. */
static void
nothing_is_refused_for_the_dead(void **state)
{
	struct world w;
	uint32_t n = 0, dead;

	(void)state;
	world_init(&w, 8u << 20, STORE_EVICT_NONE);
	while (put_even(&w, n, n % 100 ? 0 : 10) == STORE_OK)
		n++;
	store_clock_set(w.st, 10);
	dead = n / 100;
	for (uint32_t i = 0; i < dead; i++)
		assert_int_equal(put_even(&w, 1000000 + i, 0), STORE_OK);
	store_check(w.st);
	store_free(&w.st);
}

/* A request does not look again and again for what is not there. */
static void
a_look_in_vain_is_the_last_of_its_second(void **state)
{
	struct world w;
	struct slab_class *c;

	(void)state;
	world_init(&w, 8u << 20, STORE_EVICT_S3FIFO);
	for (uint32_t n = 0; n < 3000; n++)
		assert_int_equal(put_even(&w, n, n == 2999 ? 2 : 100), STORE_OK);
	c = &w.st->classes[class_for(w.st, ITEM_HEADER + 400)];
	store_clock_set(w.st, 2);
	assert_int_equal(expire_glance(w.st, c), 0);
	assert_int_equal(c->glanced, 2);
	assert_int_equal(c->glance_chunk % 64, 0);
	assert_int_equal(expire_glance(w.st, c), 0);
	store_clock_set(w.st, 100);
	assert_in_range(expire_glance(w.st, c), 1, 64);
	store_check(w.st);
	store_free(&w.st);
}

/* Sixteen bits of a time of access tell an age of hours and never one that is too low. */
static void
ages_do_not_wrap(void **state)
{
	struct world w;
	char name[STORE_KEY_MAX];
	struct store_key key;
	struct store_view view;

	(void)state;
	world_init(&w, 8u << 20, STORE_EVICT_S3FIFO);
	assert_int_equal(put(&w, 1, 100, 0), STORE_OK);
	key = model_key(w.st, name, 1);
	for (uint32_t now = 3601; now < 300000; now += 3600) {
		store_clock_set(w.st, now);
		walk_all(w.st);
		assert_true(store_read_begin(w.st, &key, STORE_READ_META, &view));
		assert_true(store_read_end(w.st, &view));
		if (now <= STORE_AGE_EXACT)
			assert_int_equal(view.age, now - 1);
		else
			assert_true(view.age >= STORE_AGE_EXACT);
	}
	store_free(&w.st);
}

/* ---------------------------------------------------------------- a walk and a move at once */

#define LONG_DIES  0u   /* in the first batch of its page */
#define LONG_STAYS 100u /* in the second */

struct interruption {
	struct store *st;
	int from;
	enum store_reassign result;
};

static void *
reassign(void *arg)
{
	struct interruption *i = arg;

	store_thread_join();
	i->result = store_reassign(i->st, i->from, 1);
	store_thread_leave();
	return NULL;
}

/* Called by the walk, for what it finds: it is in the midst of the page then. */
static void
interrupt(void *context, const struct store_mutation *mutation)
{
	pthread_t thread;

	if (mutation->event != STORE_EVENT_EXPIRE)
		return;
	assert_int_equal(pthread_create(&thread, NULL, reassign, context), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Some pages of values that can be pinned, of one class, of which the first page is the next to go. */
static struct store_pin *
put_long_ones(struct world *w, uint32_t dies, uint32_t stays)
{
	char name[STORE_KEY_MAX];
	struct store_view view;
	struct store_key key;

	for (uint32_t n = 0; n < 300; n++) {
		uint32_t exptime = n == LONG_DIES ? dies : n == LONG_STAYS ? stays : 0;

		assert_int_equal(
		    put(w, n, 9000 - model_key(w->st, name, n).len, exptime), STORE_OK);
	}
	key = model_key(w->st, name, LONG_STAYS);
	assert_true(store_read_begin(w->st, &key, STORE_READ_VALUE, &view));
	assert_true(store_read_end(w->st, &view));
	assert_non_null(view.pin);
	return view.pin;
}

/* What a walk had not seen yet when a move took the page away under it, and gave it up again, is found by the next walk. */
static void
a_walk_that_a_move_interrupts(void **state)
{
	struct world w;
	struct interruption i;
	struct store_pin *pin;
	uint32_t page;

	(void)state;
	world_init(&w, 256u << 20, STORE_EVICT_S3FIFO);
	pin = put_long_ones(&w, 10, 1000);
	page = ref_page(w.st, ref_of(w.st, pin));
	i = (struct interruption){w.st, w.st->page_class[page], STORE_REASSIGN_BUSY};
	store_observe(w.st, interrupt, &i);
	store_clock_set(w.st, 10);
	while (i.result == STORE_REASSIGN_BUSY)
		(void)expire_maintain(w.st);
	store_unobserve(w.st, interrupt, &i);
	assert_int_equal(i.result, STORE_REASSIGN_OK);
	assert_int_equal(w.st->mover.page, page);
	while (w.st->mover.page != NONE)
		(void)balance_maintain(w.st);
	assert_int_equal(w.st->page_class[page], i.from);
	store_check(w.st);
	store_unpin(w.st, pin);
	store_clock_set(w.st, 1000);
	walk_all(w.st);
	assert_int_equal(items(w.st), 298);
	store_check(w.st);
	store_free(&w.st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_walk_finds_all),
	    cmocka_unit_test(touches_count),
	    cmocka_unit_test(a_flush_frees_all),
	    cmocka_unit_test(allocations_take_the_dead_first),
	    cmocka_unit_test(nothing_is_refused_for_the_dead),
	    cmocka_unit_test(a_look_in_vain_is_the_last_of_its_second),
	    cmocka_unit_test(ages_do_not_wrap),
	    cmocka_unit_test(a_walk_that_a_move_interrupts),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
