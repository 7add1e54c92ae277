/* t/slab/test_order.c: what copies need: puts and deletions that only win where they are newer, the mark of a copy, flushes
 * up to a version, and who hears of hits. */
#include "t/slab/model.h"

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
put(struct store *st, uint32_t n, const struct store_head *head, uint64_t seed,
    const struct store_put *how)
{
	uint64_t version = 0;
	enum store_result result = model_put(st, n, head, seed, how, &version);

	if (result == STORE_OK && how->newer != NULL)
		assert_int_equal(version, how->version != 0 ? how->version : how->newer->order);
	return result;
}

/* Looks at key N: its order, or 0 where it is not there. */
static uint64_t
look(struct store *st, uint32_t n, struct store_view *view)
{
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);
	struct store_entry entry;
	uint64_t order = 0;

	store_enter(st, &key, &entry);
	if (entry.found)
		order = store_view_order(&entry.view);
	*view = entry.view;
	store_leave(&entry);
	return order;
}

/* With and without client flags (the item's ext), in place and not, offered and written: by the seed. */
static void
newer_wins(void **state)
{
	struct store *st = fresh();
	struct store_view view;

	(void)state;
	for (uint32_t n = 0; n < 64; n++) {
		struct store_head head = {
		    .size = n % 4 == 3 ? 20000u : 100u, .flags = n & 1, .tagged = n & 2};
		struct store_newer newer = {.order = 1000};
		struct store_put how = {.newer = &newer, .marks = STORE_COPY};

		assert_int_equal(put(st, n, &head, n, &how), STORE_OK);
		assert_int_equal(look(st, n, &view), 1000);
		assert_int_equal(view.version, 1000);
		assert_int_equal(view.marks, STORE_COPY | ((n & 2) ? STORE_TAGGED : 0));
		assert_int_equal(put(st, n, &head, n, &how), STORE_EXISTS);
		newer.order = 999;
		assert_int_equal(put(st, n, &head, n + 1, &how), STORE_EXISTS);
		newer.order = 1001 + n;
		head.size += n & 4;
		assert_int_equal(put(st, n, &head, n + 2, &how), STORE_OK);
		newer.or_equal = true;
		how.marks |= STORE_STALE;
		assert_int_equal(put(st, n, &head, n + 2, &how), STORE_OK);
		assert_int_equal(look(st, n, &view), 1001 + n);
		assert_int_equal(view.flags, n & 1);
		assert_true(view.marks & STORE_COPY);
		assert_true(view.marks & STORE_STALE);
		assert_true(store_version(st) >= 1001 + n);
	}
	store_check(st);
	store_free(&st);
}

static void
own_writes_end_a_copy(void **state)
{
	struct store *st = fresh();
	struct store_view view;

	(void)state;
	for (uint32_t n = 0; n < 16; n++) {
		struct store_head head = {.size = 50, .flags = n & 1, .tagged = n & 2};
		struct store_newer newer = {.order = 5000 + n};
		struct store_put copy = {.newer = &newer, .marks = STORE_COPY};
		struct store_put own = {.mode = STORE_SET};

		assert_int_equal(put(st, n, &head, n, &copy), STORE_OK);
		assert_int_equal(put(st, n, &head, n + 1, &own), STORE_OK);
		assert_true(look(st, n, &view) > 5000 + n);
		assert_false(view.marks & STORE_COPY);
		newer.order = view.version;
		assert_int_equal(put(st, n, &head, n + 1, &copy), STORE_EXISTS);
	}
	store_check(st);
	store_free(&st);
}

static void
tells(void *context, const struct store_mutation *mutation)
{
	uint64_t *seen = context;

	seen[0]++;
	seen[1] = mutation->version;
	seen[2] = mutation->view->marks;
	seen[3] = mutation->event;
}

static void
marking_changes_no_version(void **state)
{
	struct store *st = fresh();
	char name[STORE_KEY_MAX];
	uint64_t seen[4] = {0};

	(void)state;
	store_observe(st, tells, seen);
	for (uint32_t n = 0; n < 16; n++) {
		struct store_head head = {.size = 50, .flags = n & 1, .versioned = n & 2};
		struct store_newer newer = {.order = 700 + n};
		struct store_put how = {.newer = &newer};
		struct store_key key = model_key(st, name, n);
		struct store_entry entry;
		struct store_view view;

		assert_int_equal(put(st, n, &head, n, &how), STORE_OK);
		assert_int_equal(seen[0], 2 * n + 1);
		store_enter(st, &key, &entry);
		store_entry_mark(&entry, STORE_COPY, 0, 0);
		assert_int_equal(seen[0], 2 * n + 1);
		store_entry_mark(&entry, STORE_WON, 0, 0);
		assert_int_equal(seen[0], 2 * n + 2);
		assert_int_equal(seen[2], STORE_COPY | STORE_WON);
		store_leave(&entry);
		assert_int_equal(look(st, n, &view), 700 + n);
		assert_int_equal(view.marks, STORE_COPY | STORE_WON);
		store_enter(st, &key, &entry);
		store_entry_mark(&entry, 0, STORE_COPY, 0);
		store_leave(&entry);
		assert_int_equal(look(st, n, &view), 700 + n);
		assert_int_equal(view.marks, STORE_WON);
	}
	store_check(st);
	store_free(&st);
}

static void
older_is_lost(void **state)
{
	struct store *st = fresh();
	char name[STORE_KEY_MAX];
	uint64_t seen[4] = {0};
	struct store_head head = {.size = 30};
	struct store_newer newer = {.order = 50};
	struct store_put how = {.newer = &newer, .marks = STORE_COPY};
	struct store_key key = model_key(st, name, 1);
	struct store_stats stats;

	(void)state;
	store_observe(st, tells, seen);
	assert_int_equal(store_lose_older(st, &key, 10, STORE_EVENT_DELETE), STORE_NOT_FOUND);
	assert_int_equal(put(st, 1, &head, 1, &how), STORE_OK);
	assert_int_equal(store_lose_older(st, &key, 49, STORE_EVENT_DELETE), STORE_EXISTS);
	assert_int_equal(store_lose_older(st, &key, 60, STORE_EVENT_DELETE), STORE_OK);
	assert_int_equal(seen[3], STORE_EVENT_DELETE);
	assert_int_equal(seen[1], 60);
	assert_int_equal(put(st, 1, &head, 1, &how), STORE_OK);
	assert_int_equal(store_lose_older(st, &key, 50, STORE_EVENT_EVICT), STORE_OK);
	assert_int_equal(seen[3], STORE_EVENT_EVICT);
	store_stats(st, &stats);
	assert_int_equal(stats.evictions, 1);
	assert_int_equal(stats.items, 0);
	store_check(st);
	store_free(&st);
}

static void
flush_reaches_a_version(void **state)
{
	struct store *st = fresh();
	struct store_head head = {.size = 30, .versioned = true}, plain = {.size = 30};
	struct store_newer newer = {0};
	struct store_put how = {.newer = &newer};
	struct store_view view;
	uint64_t version;

	(void)state;
	for (uint32_t n = 1; n <= 20; n++) {
		newer.order = 1000 + n;
		how.version = (n & 1) ? (1ull << 62) + n : 0;
		assert_int_equal(put(st, n, &head, n, &how), STORE_OK);
		assert_int_equal(look(st, n, &view), 1000 + n);
	}
	store_flush_version(st, 1010);
	assert_int_equal(store_flushed(st), 1010);
	for (uint32_t n = 1; n <= 20; n++)
		assert_int_equal(look(st, n, &view), n <= 10 ? 0 : 1000 + n);
	how.version = 0;
	newer.order = 1010;
	assert_int_equal(put(st, 1, &plain, 1, &how), STORE_EXISTS);
	newer.order = 1011;
	assert_int_equal(put(st, 1, &plain, 1, &how), STORE_OK);
	store_flush_version(st, 50000);
	assert_true(store_version(st) >= 50000);
	assert_int_equal(
	    model_put(st, 1, &plain, 1, &(struct store_put){.mode = STORE_SET}, &version),
	    STORE_OK);
	assert_true(version > 50000 && look(st, 1, &view) == version);
	store_version_raise(st, 70000);
	assert_int_equal(store_version_take(st), 70001);
	store_check(st);
	store_free(&st);
}

/* Stores that hear of each other's versions give none twice, also when the lanes change. */
static void
lanes_do_not_meet(void **state)
{
	struct store *stores[4];
	uint64_t highest = 1;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		stores[i] = fresh();
	for (unsigned n = 0; n < 4000; n++) {
		unsigned i = (n * n + n / 7) % 4, lanes = n < 2000 ? 4 : 8;
		uint64_t version;

		store_lanes(stores[i], 2 * lanes, n < 2000 ? i : 7 - i, UINT64_MAX);
		version = store_version_take(stores[i]);
		assert_int_equal(version % (2 * lanes), n < 2000 ? i : 7 - i);
		if (n % 3 == 0)
			store_version_raise(stores[(i + 1) % 4], version);
		highest = version > highest ? version : highest;
	}
	for (unsigned i = 0; i < 4; i++) {
		store_version_raise(stores[i], highest);
		assert_true(store_version_take(stores[i]) > highest);
		store_free(&stores[i]);
	}
}

/* One store gives versions that another one began, the one with the same lane. */
static void
lanes_do_not_meet_beyond_their_end(void **state)
{
	enum { UNTIL = 1000 };
	struct store *early = fresh(), *late = fresh();

	(void)state;
	store_lanes(early, 8, 1, UNTIL);
	store_lanes(late, 8, 1, UINT64_MAX);
	while (store_version(early) < UNTIL + 500) {
		uint64_t version = store_version_take(early);

		assert_true(version < UNTIL ? version % 4 == 1 : version % 8 == 5);
		if (store_version(late) < UNTIL)
			store_version_raise(late, UNTIL);
		assert_int_equal(store_version_take(late) % 8, 1);
	}
	store_free(&early);
	store_free(&late);
}

/* What a client chose as a version says nothing about the order. */
static void
chosen_versions_keep_the_order(void **state)
{
	struct store *st = fresh();
	struct store_head head = {.size = 30, .versioned = true};
	struct store_put low = {.mode = STORE_SET, .version = 3};
	struct store_view view;
	uint64_t version, before, after;
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, 1);
	struct store_entry entry;

	(void)state;
	store_replicated(st, true);
	store_version_raise(st, 100);
	assert_int_equal(model_put(st, 1, &head, 1, &low, &version), STORE_OK);
	assert_int_equal(version, 3);
	before = look(st, 1, &view);
	assert_true(before > 100);
	store_enter(st, &key, &entry);
	store_entry_mark(&entry, STORE_STALE, 0, 2);
	store_leave(&entry);
	after = look(st, 1, &view);
	assert_int_equal(view.version, 2);
	assert_true(after > before);
	store_check(st);
	store_free(&st);
}

static bool
never(void *context, const struct store_entry *entry)
{
	(void)entry;
	++*(int *)context;
	return false;
}

static void
a_guard_can_refuse(void **state)
{
	struct store *st = fresh();
	int asked = 0;
	struct store_head head = {.size = 30};
	struct store_newer newer = {.order = 10, .guard = never, .guard_context = &asked};
	struct store_put how = {.newer = &newer};
	struct store_view view;

	(void)state;
	for (uint32_t n = 0; n < 4; n++)
		assert_int_equal(put(st, n, &head, n, &how), STORE_EXISTS);
	assert_int_equal(asked, 4);
	assert_int_equal(look(st, 0, &view), 0);
	store_free(&st);
}

static void
hears(void *context, const struct store_key *key)
{
	assert_true(key->len > 0);
	++*(int *)context;
}

static void
hits_are_heard(void **state)
{
	static char value[1000];
	struct store *st = fresh();
	int heard = 0;
	struct store_head head = {.size = 30};
	struct store_put own = {.mode = STORE_SET};
	struct store_newer newer = {.order = 1000};
	struct store_put copy = {.newer = &newer, .marks = STORE_COPY};
	struct store_view view;

	(void)state;
	store_replicated(st, true);
	assert_int_equal(put(st, 1, &head, 1, &own), STORE_OK);
	assert_int_equal(put(st, 2, &head, 2, &copy), STORE_OK);
	for (int i = 0; i < 10; i++) {
		assert_true(model_get(st, 1, &view, value));
		assert_true(model_get(st, 2, &view, value));
	}
	assert_int_equal(store_heat_take(st, hears, &heard), 0);
	assert_int_equal(heard, 3); /* the counter goes to three, and copies tell nobody */
	store_replicated(st, false);
	assert_int_equal(put(st, 3, &head, 1, &own), STORE_OK);
	assert_true(model_get(st, 3, &view, value));
	assert_int_equal(store_heat_take(st, hears, &heard), 0);
	assert_int_equal(heard, 3);
	store_free(&st);
}

/* Of any history, evictions among it: store_check counts them again. */
static void
copies_are_counted(void **state)
{
	struct store *st = fresh();
	struct random_state r;
	struct store_stats s;

	(void)state;
	random_init(&r);
	for (unsigned step = 0; step < 60000; step++) {
		uint32_t n = (uint32_t)random_below(&r, 30000);
		struct store_head head = {
		    .size =
			(uint32_t)(random_below(&r, 200) == 0 ? 70000 : random_below(&r, 4) * 100),
		    .flags = (uint32_t)random_below(&r, 2),
		    .tagged = random_below(&r, 3) == 0,
		    .exptime = random_below(&r, 20) == 0 ? 120 : 0,
		};
		struct store_newer newer = {.order = store_version(st) + 1 + random_below(&r, 3)};
		struct store_put copy = {.newer = &newer, .marks = STORE_COPY};
		struct store_put own = {.mode = STORE_SET};
		char name[STORE_KEY_MAX];
		struct store_key key = model_key(st, name, n);
		struct store_entry entry;

		if (random_below(&r, 3) > 0) {
			(void)model_put(
			    st, n, &head, step, random_below(&r, 2) ? &copy : &own, &(uint64_t){0});
			continue;
		}
		store_enter(st, &key, &entry);
		if (entry.found && random_below(&r, 3) == 0)
			store_entry_delete(&entry);
		else if (entry.found && random_below(&r, 2) == 0)
			store_entry_mark(&entry, STORE_COPY, 0, 0);
		else if (entry.found)
			store_entry_mark(&entry, 0, STORE_COPY, STORE_VERSION_NEXT);
		store_leave(&entry);
		if (step % 1000 == 0)
			store_check(st);
	}
	store_check(st);
	store_stats(st, &s);
	assert_true(s.evictions > 0 && s.copies > 0 && s.copies < s.items);
	assert_true(s.copy_bytes > 0 && s.copy_bytes < s.bytes);
	store_clock_set(st, 200);
	for (uint32_t n = 0; n < 30000; n++) {
		char name[STORE_KEY_MAX];
		struct store_key key = model_key(st, name, n);
		struct store_entry entry;

		store_enter(st, &key, &entry);
		if (entry.found)
			store_entry_delete(&entry);
		store_leave(&entry);
	}
	store_stats(st, &s);
	assert_true(s.items == 0 && s.copies == 0 && s.copy_bytes == 0);
	store_free(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(newer_wins),
	    cmocka_unit_test(own_writes_end_a_copy),
	    cmocka_unit_test(marking_changes_no_version),
	    cmocka_unit_test(older_is_lost),
	    cmocka_unit_test(flush_reaches_a_version),
	    cmocka_unit_test(lanes_do_not_meet),
	    cmocka_unit_test(lanes_do_not_meet_beyond_their_end),
	    cmocka_unit_test(chosen_versions_keep_the_order),
	    cmocka_unit_test(a_guard_can_refuse),
	    cmocka_unit_test(hits_are_heard),
	    cmocka_unit_test(copies_are_counted),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
