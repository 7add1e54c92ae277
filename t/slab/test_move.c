/* t/slab/test_move.c: pages change hands: nothing is lost where nothing may be, what is held stays where it is, and memory
 * above the limit goes back. */
#include "slab/impl.h"
#include "t/slab/model.h"

#define KEYS 1200u

struct world {
	struct random_state chance;
	struct store *st;
	size_t sizes[KEYS];
	char *value, *wanted;
};

static void
world_init(struct world *w, size_t memory, enum store_eviction eviction)
{
	struct store_options o = {.memory_limit = memory,
	    .index_power = 4,
	    .eviction = eviction,
	    .by_page = MODEL_BY_PAGE};
	const char *error;

	memset(w, 0, sizeof(*w));
	random_init(&w->chance);
	w->value = test_malloc(2u << 20);
	w->wanted = test_malloc(2u << 20);
	assert_int_equal(store_new(&w->st, &o, &error), 0);
}

static void
world_fini(struct world *w)
{
	store_check(w->st);
	store_free(&w->st);
	test_free(w->value);
	test_free(w->wanted);
}

static size_t
some_size(struct world *w)
{
	uint64_t kind = random_below(&w->chance, 100);

	return random_below(&w->chance, kind < 80 ? 900 : kind < 95 ? 20000 : 300000);
}

static enum store_result
put(struct world *w, uint32_t n, size_t size)
{
	const struct store_head head = {
	    .size = size, .flags = n % 2, .exptime = n % 3 ? 0 : 1000 + n};
	const struct store_put how = {.mode = STORE_SET};
	uint64_t version;

	return model_put(w->st, n, &head, n, &how, &version);
}

/* The value of key N as it was put; false = it is not there. */
static bool
sound(struct world *w, uint32_t n)
{
	struct store_view view;

	if (!model_get(w->st, n, &view, w->value))
		return false;
	model_fill(w->wanted, w->sizes[n], n);
	assert_int_equal(view.size, w->sizes[n]);
	assert_memory_equal(w->value, w->wanted, view.size);
	return true;
}

static void
put_all(struct world *w)
{
	for (uint32_t n = 0; n < KEYS; n++) {
		w->sizes[n] = some_size(w);
		assert_int_equal(put(w, n, w->sizes[n]), STORE_OK);
	}
}

/* Upkeep until no move is under way. */
static void
settle(struct store *st)
{
	do
		(void)store_maintain(st);
	while (st->mover.page != NONE || st->mover.nleaving > 0);
}

static void
moved_items_are_whole(void **state)
{
	struct world w;
	struct store_stats s;

	(void)state;
	world_init(&w, 64u << 20, STORE_EVICT_NONE);
	put_all(&w);
	for (int i = 0; i < 300; i++) {
		(void)store_reassign(w.st, 1 + (int)random_below(&w.chance, w.st->nclasses),
		    1 + (int)random_below(&w.chance, w.st->nclasses));
		(void)store_reassign(w.st, (int)w.st->piece_class, 1);
		settle(w.st);
		assert_true(sound(&w, (uint32_t)random_below(&w.chance, KEYS)));
		if (i % 30 == 0)
			store_check(w.st);
	}
	store_stats(w.st, &s);
	assert_true(s.pages_moved > 30);
	for (uint32_t n = 0; n < KEYS; n++)
		assert_true(sound(&w, n));
	world_fini(&w);
}

/* Dead items are not worth a copy, which would lie where the walk for a flush has been already. */
static void
the_dead_are_not_moved(void **state)
{
	struct world w;
	struct store_stats before, after;
	uint32_t id;

	(void)state;
	world_init(&w, 16u << 20, STORE_EVICT_NONE);
	for (uint32_t n = 0; n < KEYS; n++)
		assert_int_equal(put(&w, n, 100), STORE_OK);
	store_flush(w.st, 0);
	store_stats(w.st, &before);
	id = class_for(w.st, ITEM_HEADER + 120);
	lock_take(&w.st->mover.lock);
	assert_true(move_start(w.st, id, 1));
	while (move_step(w.st, 64, true) == MOVE_UNDER_WAY)
		;
	lock_drop(&w.st->mover.lock);
	store_stats(w.st, &after);
	assert_true(after.items < before.items);
	assert_int_equal(after.reclaimed, before.items - after.items);
	world_fini(&w);
}

/* How many of the queued large values are in line before one that is older. */
static unsigned
queue_jumpers(struct store *st)
{
	const struct queue *q = &st->classes[st->piece_class].small;
	unsigned jumpers = 0;
	uint64_t last = 0;

	for (uint32_t ref = q->tail; ref != 0; ref = item_at(st, ref)->prev) {
		jumpers += item_birth(item_at(st, ref)) < last;
		last = item_birth(item_at(st, ref));
	}
	return jumpers;
}

/* The heads of large values lie among small items. When small ones make room for more large values, those whose heads move are
 * not to be taken for the newest: others that are newer would go first. */
static void
values_with_moved_heads_keep_their_turn(void **state)
{
	enum { LARGE = 60 };
	struct world w;

	(void)state;
	world_init(&w, 64u << 20, STORE_EVICT_S3FIFO);
	for (uint32_t n = 0; n < LARGE; n++) {
		w.sizes[n] = 300000;
		assert_int_equal(put(&w, n, w.sizes[n]), STORE_OK);
	}
	assert_int_equal(queue_jumpers(w.st), 0);
	for (uint32_t id = 1; id < w.st->piece_class; id++) {
		lock_take(&w.st->mover.lock);
		if (move_start(w.st, id, w.st->piece_class))
			while (move_step(w.st, 64, true) == MOVE_UNDER_WAY)
				;
		lock_drop(&w.st->mover.lock);
		settle(w.st);
	}
	assert_true(w.st->pages_moved > 0);
	assert_int_equal(queue_jumpers(w.st), 0);
	for (uint32_t n = 0; n < LARGE; n++)
		assert_true(sound(&w, n));
	world_fini(&w);
}

/* Pins of the values of keys 0 to N-1, which are larger than PIN_MIN. */
static void
pin_all(struct world *w, struct store_pin **pins, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		char name[STORE_KEY_MAX];
		struct store_key key = model_key(w->st, name, i);
		struct store_view view;

		assert_true(store_read_begin(w->st, &key, STORE_READ_VALUE, &view));
		assert_non_null(view.pin);
		pins[i] = view.pin;
		assert_true(store_read_end(w->st, &view));
	}
}

static void
check_pin(struct world *w, struct store_pin *pin, uint32_t n)
{
	uint32_t cursor = 0;
	const char *data;
	size_t len, done = 0;

	model_fill(w->wanted, w->sizes[n], n);
	while (store_pin_next(w->st, pin, &cursor, &data, &len)) {
		assert_true(done + len <= w->sizes[n]);
		assert_memory_equal(data, w->wanted + done, len);
		done += len;
	}
	assert_int_equal(done, w->sizes[n]);
}

/* Whatever happens to the items: moves, a full memory, new values, deletion, a flush. */
static void
pinned_values_stay(void **state)
{
	enum { PINNED = 12 };
	struct store_pin *pins[PINNED];
	struct store_class_stats c;
	struct world w;

	(void)state;
	world_init(&w, 8u << 20, STORE_EVICT_S3FIFO);
	for (uint32_t n = 0; n < PINNED; n++) {
		w.sizes[n] = PIN_MIN + 1 + random_below(&w.chance, n % 2 ? 3000 : 200000);
		assert_int_equal(put(&w, n, w.sizes[n]), STORE_OK);
	}
	pin_all(&w, pins, PINNED);
	for (uint32_t i = 0; i < 3000; i++) {
		(void)put(&w, PINNED + i % 500, some_size(&w));
		if (i % 10 == 0)
			(void)store_reassign(w.st, i % 20 ? -1 : (int)w.st->piece_class,
			    1 + (int)random_below(&w.chance, w.st->nclasses));
		settle(w.st);
		if (i % 100 == 0)
			check_pin(&w, pins[i / 100 % PINNED], i / 100 % PINNED);
	}
	store_flush(w.st, 0);
	for (int i = 0; i < 300; i++)
		(void)store_maintain(w.st);
	store_check(w.st);
	for (uint32_t n = 0; n < PINNED; n++) {
		check_pin(&w, pins[n], n);
		store_unpin(w.st, pins[n]);
	}
	for (unsigned id = 1; store_class_stats(w.st, id, &c); id++)
		assert_int_equal(c.used_chunks, 0);
	world_fini(&w);
}

/* What somebody is making stands in the way of its page, and nothing else. */
static void
items_in_the_making_stay(void **state)
{
	struct store_pending pending;
	struct store_head head = {.size = 100};
	struct store_put how = {.mode = STORE_SET};
	char name[STORE_KEY_MAX];
	struct store_key key;
	struct world w;
	uint64_t version;
	uint32_t page;

	(void)state;
	world_init(&w, 8u << 20, STORE_EVICT_S3FIFO);
	for (uint32_t n = 1; n < 400; n++)
		assert_int_equal(put(&w, n, 100), STORE_OK);
	key = model_key(w.st, name, 0);
	assert_int_equal(store_alloc(w.st, &pending, &key, &head), STORE_OK);
	page = ref_page(w.st, pending.ref);
	w.st->mover.gave_up = store_clock(w.st) + 1;
	for (int i = 0; i < 50; i++) {
		(void)store_reassign(w.st, (int)ref_class(w.st, pending.ref), (int)w.st->nclasses);
		settle(w.st);
	}
	assert_int_equal(ref_page(w.st, pending.ref), page);
	assert_int_equal(w.st->page_class[page], class_for(w.st, ITEM_HEADER + 4 + 100));
	model_fill(w.value, 100, 0);
	w.sizes[0] = 100;
	assert_int_equal(store_pending_write(w.st, &pending, w.value, 100), STORE_OK);
	assert_int_equal(store_put(w.st, &key, &pending, &how, &version), STORE_OK);
	assert_true(sound(&w, 0));
	world_fini(&w);
}

static uint64_t
memory_used(struct store *st)
{
	struct store_stats s;

	store_stats(st, &s);
	return s.memory_used;
}

static void
the_limit_goes_down_and_up(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 16u << 20, STORE_EVICT_S3FIFO);
	for (int round = 0; round < 6; round++) {
		for (uint32_t i = 0; i < 2000; i++)
			(void)put(&w, i, some_size(&w));
		assert_true(memory_used(w.st) > 8u << 20);
		assert_true(store_limit_set(w.st, 2u << 20));
		for (int i = 0; i < 5000 && memory_used(w.st) > 2u << 20; i++)
			(void)store_maintain(w.st);
		assert_true(memory_used(w.st) <= 2u << 20);
		store_check(w.st);
		(void)put(&w, 0, 1000);
		assert_true(store_limit_set(w.st, 24u << 20));
	}
	world_fini(&w);
}

/* Where nothing can be given back the upkeep does not try without end. */
static void
what_cannot_be_given_back_is_left(void **state)
{
	struct world w;
	uint32_t n = 0;

	(void)state;
	world_init(&w, 4u << 20, STORE_EVICT_NONE);
	while (put(&w, n, 500) == STORE_OK)
		n++;
	assert_true(store_limit_set(w.st, 1u << 20));
	for (int i = 0, resting = 0; resting < 20; i++) {
		assert_true(i < 5000);
		resting = store_maintain(w.st) > 0 ? resting + 1 : resting;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct store_view view;

		assert_true(model_get(w.st, i, &view, w.value));
	}
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(moved_items_are_whole),
	    cmocka_unit_test(the_dead_are_not_moved),
	    cmocka_unit_test(values_with_moved_heads_keep_their_turn),
	    cmocka_unit_test(pinned_values_stay),
	    cmocka_unit_test(items_in_the_making_stay),
	    cmocka_unit_test(the_limit_goes_down_and_up),
	    cmocka_unit_test(what_cannot_be_given_back_is_left),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
