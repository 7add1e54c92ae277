/* t/slab/test_shift.c: memory goes where it is wanted when the sizes of values change: from values that nobody reads any more to those
 * that are only written, and back to the pool from those that were deleted. One thread, which does the upkeep itself.
 */
#include "slab/impl.h"
#include "t/slab/model.h"

#define MIB   (1u << 20)
#define LIMIT (60u * MIB)
#define OLD   11000u
#define NEW   3000u
#define SLICE 50u /* requests between two slices of upkeep */

static char name[STORE_KEY_MAX], value[OLD];

static struct store_key
shift_key(const struct store *st, char letter, uint32_t n)
{
	int len = snprintf(name, sizeof(name), "%c%u", letter, n);

	return store_key(st, name, (size_t)len);
}

static void
set_all(struct store *st, char letter, uint32_t count, size_t size)
{
	struct store_head head = {.size = size};

	for (uint32_t n = 0; n < count; n++) {
		struct store_key key = shift_key(st, letter, n);

		assert_int_equal(store_set(st, &key, &head, value), STORE_OK);
		if (n % SLICE == 0)
			(void)store_maintain(st);
	}
}

/* Reads all of them; returns how many are there. */
static uint32_t
get_all(struct store *st, char letter, uint32_t count)
{
	uint32_t found = 0;

	for (uint32_t n = 0; n < count; n++) {
		struct store_key key = shift_key(st, letter, n);
		struct store_view view;
		bool there;

		do {
			there = store_read_begin(st, &key, STORE_READ_COUNT, &view);
		} while (there && !store_read_end(st, &view));
		found += there;
	}
	return found;
}

static struct store *
make(void)
{
	struct store_options o = {.memory_limit = LIMIT};
	struct store *st;
	const char *error;

	assert_int_equal(store_new(&st, &o, &error), 0);
	return st;
}

static struct store_stats
stats_of(struct store *st)
{
	struct store_stats s;

	store_stats(st, &s);
	return s;
}

/* Old values were read once, new ones are never read: that alone is no reason to keep what nobody asks for any more. */
static void
written_values_get_the_memory_of_idle_ones(void **state)
{
	struct store *st = make();
	uint32_t count = LIMIT / OLD * 9 / 10, found;

	(void)state;
	set_all(st, 'a', count, OLD);
	assert_int_equal(get_all(st, 'a', count), count);
	set_all(st, 'b', count, NEW);
	store_check(st);
	found = get_all(st, 'b', count);
	if (found < count * 2 / 3)
		fail_msg("only %u of %u new values are there", found, count);
	/* Theirs would fit beside two thirds of the others. */
	found = get_all(st, 'a', count);
	if (found < count * 2 / 3)
		fail_msg("only %u of %u old values are there", found, count);
	store_free(&st);
}

/* Old values that are read all the time stay, however many new ones are written. */
static void
values_in_use_keep_their_memory(void **state)
{
	struct store *st = make();
	uint32_t count = LIMIT / OLD * 9 / 10, found;

	(void)state;
	set_all(st, 'a', count, OLD);
	for (uint32_t round = 0; round < 200; round++) {
		set_all(st, (char)('b' + round % 20), count / 20, NEW);
		(void)get_all(st, 'a', count);
	}
	store_check(st);
	found = get_all(st, 'a', count);
	if (found < count * 9 / 10)
		fail_msg("only %u of %u values in use are there", found, count);
	store_free(&st);
}

/* Every second of them. */
static void
delete_half(struct store *st, char letter, uint32_t count)
{
	for (uint32_t n = 0; n < count; n += 2) {
		struct store_key key = shift_key(st, letter, n);

		(void)store_delete(st, &key);
	}
}

static void
deleted_values_leave_their_pages_to_the_pool(void **state)
{
	struct store *st = make();
	uint32_t count = LIMIT / OLD;
	struct store_stats s;
	uint64_t evictions, wanted = (uint64_t)count / 2 * OLD / 4 * 3;

	(void)state;
	set_all(st, 'a', count, OLD);
	delete_half(st, 'a', count);
	store_clock_set(st, store_clock(st) + 2);
	for (uint32_t slices = 0; slices < 10000 && stats_of(st).memory_free < wanted; slices++)
		(void)store_maintain(st);
	store_check(st);
	s = stats_of(st);
	evictions = s.evictions;
	assert_true(s.memory_free >= wanted);
	assert_true(s.rescued > 0);
	set_all(st, 'b', (uint32_t)(wanted / (NEW + NEW / 8)), NEW);
	assert_int_equal(stats_of(st).evictions, evictions);
	store_free(&st);
}

static enum store_reassign
reassign(struct store *st, int from, int to)
{
	enum store_reassign result = store_reassign(st, from, to);

	for (uint32_t slices = 0; slices < 100; slices++)
		(void)store_maintain(st);
	store_check(st);
	return result;
}

static void
pages_go_to_the_pool_and_come_from_it_on_request(void **state)
{
	struct store *st = make();
	struct store_class_stats before, after;
	int old = (int)class_for(st, ITEM_HEADER + OLD + 5);

	(void)state;
	assert_int_equal(store_reassign(st, STORE_POOL, old), STORE_REASSIGN_NOSPARE);
	assert_int_equal(store_reassign(st, STORE_POOL, STORE_POOL), STORE_REASSIGN_SAME);
	assert_int_equal(store_reassign(st, old, -1), STORE_REASSIGN_BADCLASS);
	set_all(st, 'a', 1000, OLD);
	delete_half(st, 'a', 1000);
	assert_true(store_class_stats(st, (unsigned)old, &before));
	assert_int_equal(reassign(st, old, STORE_POOL), STORE_REASSIGN_OK);
	assert_true(store_class_stats(st, (unsigned)old, &after));
	assert_int_equal(after.pages, before.pages - 1);
	assert_int_equal(stats_of(st).memory_free, st->page_size);
	assert_int_equal(store_reassign(st, STORE_POOL, 1), STORE_REASSIGN_OK);
	assert_int_equal(stats_of(st).memory_free, 0);
	assert_true(store_class_stats(st, 1, &after));
	assert_int_equal(after.pages, 1);
	store_free(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(written_values_get_the_memory_of_idle_ones),
	    cmocka_unit_test(values_in_use_keep_their_memory),
	    cmocka_unit_test(deleted_values_leave_their_pages_to_the_pool),
	    cmocka_unit_test(pages_go_to_the_pool_and_come_from_it_on_request),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
