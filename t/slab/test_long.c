/* t/slab/test_long.c: values of many pieces. Who unlinks one gives its pieces back when nobody waits for the stripe's lock any
 * more: there may be thousands, and all keys of that stripe would stand still.
 */
#include "slab/impl.h"
#include "t/slab/model.h"

#define LONG (3u << 20)

struct world {
	struct store *st;
	char name[STORE_KEY_MAX];
	struct store_key key;
};

static void
world_init(struct world *w)
{
	struct store_options o = {.memory_limit = 64u << 20,
	    .threads = 1,
	    .item_size_max = 4u << 20,
	    .by_page = MODEL_BY_PAGE};
	const char *error;

	assert_int_equal(store_new(&w->st, &o, &error), 0);
	w->key = model_key(w->st, w->name, 1);
}

static void
world_fini(struct world *w)
{
	store_check(w->st);
	store_free(&w->st);
}

static void
set_long(struct world *w, uint32_t exptime)
{
	struct store_head head = {.size = LONG, .exptime = exptime};
	struct store_put set = {.mode = STORE_SET};
	uint64_t version;

	assert_int_equal(model_put(w->st, 1, &head, 7, &set, &version), STORE_OK);
}

/* Chunks in use, of all classes. */
static uint64_t
chunks(const struct world *w)
{
	uint64_t used = 0;

	for (uint32_t id = 1; id <= w->st->nclasses; id++)
		used += w->st->classes[id].used;
	return used;
}

/* What was unlinked is not there any more, its memory still is until the entry is left. */
static void
leave_and_see(struct world *w, struct store_entry *entry, uint64_t left)
{
	assert_true(chunks(w) > LONG / CHUNK_TOP);
	store_leave(entry);
	assert_int_equal(chunks(w), left);
}

static void
deleted(void **state)
{
	struct store_entry entry;
	struct world w;

	(void)state;
	world_init(&w);
	set_long(&w, 0);
	store_enter(w.st, &w.key, &entry);
	assert_true(entry.found);
	store_entry_delete(&entry);
	leave_and_see(&w, &entry, 0);
	world_fini(&w);
}

static void
replaced(void **state)
{
	struct store_head head = {.size = 10};
	struct store_pending pending;
	struct store_entry entry;
	struct world w;

	(void)state;
	world_init(&w);
	set_long(&w, 0);
	assert_int_equal(store_alloc(w.st, &pending, &w.key, &head), STORE_OK);
	assert_int_equal(store_pending_write(w.st, &pending, "0123456789", 10), STORE_OK);
	store_enter(w.st, &w.key, &entry);
	assert_true(store_entry_put(&entry, &pending, 0, 0));
	leave_and_see(&w, &entry, 1);
	world_fini(&w);
}

static void
found_dead(void **state)
{
	struct store_entry entry;
	struct world w;

	(void)state;
	world_init(&w);
	store_clock_set(w.st, 100);
	set_long(&w, 101);
	store_clock_set(w.st, 101);
	store_enter(w.st, &w.key, &entry);
	assert_false(entry.found);
	leave_and_see(&w, &entry, 0);
	world_fini(&w);
}

/* More than one within one entry. */
static void
several(void **state)
{
	struct store_head head = {.size = LONG};
	struct store_pending pending[2];
	struct store_entry entry;
	struct world w;

	(void)state;
	world_init(&w);
	set_long(&w, 0);
	for (int i = 0; i < 2; i++) {
		static char value[LONG];

		assert_int_equal(store_alloc(w.st, &pending[i], &w.key, &head), STORE_OK);
		assert_int_equal(store_pending_write(w.st, &pending[i], value, LONG), STORE_OK);
	}
	store_enter(w.st, &w.key, &entry);
	assert_true(store_entry_put(&entry, &pending[0], 0, 0));
	assert_true(store_entry_put(&entry, &pending[1], 0, 0));
	store_entry_delete(&entry);
	assert_true(chunks(&w) > 3 * LONG / CHUNK_TOP);
	leave_and_see(&w, &entry, 0);
	world_fini(&w);
}

/* Whoever reads it has it whole; the last to let go gives it back. */
static void
pinned(void **state)
{
	struct store_entry entry;
	struct store_pin *pin;
	struct world w;

	(void)state;
	world_init(&w);
	set_long(&w, 0);
	store_enter(w.st, &w.key, &entry);
	pin = store_entry_pin(&entry);
	store_entry_delete(&entry);
	store_leave(&entry);
	assert_true(chunks(&w) > LONG / CHUNK_TOP);
	store_unpin(w.st, pin);
	assert_int_equal(chunks(&w), 0);
	world_fini(&w);
}

/* By the walk that finds the dead, which holds the stripe itself. */
static void
walked(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	store_clock_set(w.st, 100);
	set_long(&w, 101);
	store_clock_set(w.st, 161);
	for (int i = 0; i < 1000 && chunks(&w) > 0; i++)
		(void)store_maintain(w.st);
	assert_int_equal(chunks(&w), 0);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(deleted),
	    cmocka_unit_test(replaced),
	    cmocka_unit_test(found_dead),
	    cmocka_unit_test(several),
	    cmocka_unit_test(pinned),
	    cmocka_unit_test(walked),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
