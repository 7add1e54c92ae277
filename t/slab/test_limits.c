/* t/slab/test_limits.c: numbers at their ends: the smallest and the largest store, odd size classes, items at the size
 * limit, expiries beyond the field, versions of a caller's choice up to the last. */
#include <errno.h>
#include <math.h>
#include <sys/resource.h>

#include "slab/impl.h"
#include "t/slab/model.h"

static struct store *
make(struct store_options o)
{
	struct store *st;
	const char *error;

	assert_int_equal(store_new(&st, &o, &error), 0);
	return st;
}

/* However fine the factor, the classes last up to the largest chunk: none is larger beside the one before it than the factor has it,
 * but for what the page adds, which holds three of one and two of the next. */
static void
check_growth(const struct store *st)
{
	double most = fmax(st->options.growth_factor, 1) * 1.51;

	for (uint32_t id = 2; id <= st->nclasses; id++)
		assert_true(
		    st->classes[id].chunk_size <= st->classes[id - 1].chunk_size * most + 64);
}

/* What must hold of the size classes of any store: each size has a class that holds it, each class has sizes, and the last chunk of the last
 * page has a reference that leads to where it lies. */
static void
check_classes(struct store *st)
{
	uint32_t last = st->pages_max - 1;

	for (uint32_t size = HEAD_MIN; size <= st->chunk_max; size++) {
		const struct slab_class *c = &st->classes[class_for(st, size)];

		assert_in_range(c->id, 1, st->nclasses);
		assert_true(c->chunk_size >= size);
		assert_true(c->id == 1 || st->classes[c->id - 1].chunk_size < size);
	}
	assert_int_equal(class_for(st, st->chunk_max + 1), 0);
	check_growth(st);
	for (uint32_t id = 1; id <= st->nclasses; id++) {
		const struct slab_class *c = &st->classes[id];
		uint32_t ref = page_chunk(st, last, c, c->per_page - 1);
		const char *chunk;

		if (st->by_page)
			st->page_cut[last] = (uint16_t)(c->chunk_size / CHUNK_UNIT);
		chunk = (const char *)item_at(st, ref);
		assert_true(c->per_page >= 2 && c->per_page * c->chunk_size <= st->page_size);
		assert_true(id == 1 || st->classes[id - 1].chunk_size < c->chunk_size);
		assert_int_equal(c->chunk_size % CHUNK_UNIT, 0);
		assert_int_equal(ref_page(st, ref), last);
		assert_int_equal(ref_of(st, chunk), ref);
		assert_ptr_equal(chunk,
		    st->arena.base + ((size_t)last << st->page_shift) +
			(size_t)(c->per_page - 1) * c->chunk_size);
	}
}

static void
odd_size_classes(void **state)
{
	static const double factors[] = {0, 1.0000001, 1.01, 1.08, 1.25, 2, 10, 1024, 1e300};
	static const unsigned mins[] = {0, 1, 49, 1000, 8192, 70000, UINT32_MAX};
	static const size_t memories[] = {1u << 20, 64u << 20, 1u << 30};

	(void)state;
	for (unsigned f = 0; f < sizeof(factors) / sizeof(*factors); f++) {
		for (unsigned m = 0; m < sizeof(mins) / sizeof(*mins); m++) {
			for (unsigned n = 0; n < 2 * sizeof(memories) / sizeof(*memories); n++) {
				struct store *st =
				    make((struct store_options){.memory_limit = memories[n / 2],
					.by_page = n % 2,
					.growth_factor = factors[f],
					.chunk_min = mins[m],
					.index_power = 4});

				check_classes(st);
				store_free(&st);
			}
		}
	}
}

static void
impossible_options(void **state)
{
	const struct store_options wrong[] = {
	    {.memory_limit = (1u << 20) - 1},
	    {.memory_limit = 1u << 20, .growth_factor = 1.0},
	    {.memory_limit = 1u << 20, .growth_factor = -2},
	    {.memory_limit = 1u << 20, .growth_factor = __builtin_nan("")},
	    {.memory_limit = 1u << 20, .item_size_max = 1023},
	    {.memory_limit = 1u << 20, .item_size_max = (size_t)STORE_VALUE_MAX + 1},
	    {.memory_limit = 1u << 20, .index_power = 33},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct store *st;
		const char *error;

		assert_true(store_new(&st, &wrong[i], &error) < 0);
		assert_null(st);
		assert_non_null(error);
	}
}

/* Each power of two and a page more: references reach all of it. Those by page reach the fewer chunks of one the more pages there
 * are. Addresses only: nothing of it is touched. */
static void
large_stores(void **state)
{
	static const uint32_t smallest[] = {HEAD_MIN, HEAD_MIN, HEAD_MIN, HEAD_MIN, 64, 128};

	(void)state;
	for (unsigned n = 0; n < 10; n++) {
		unsigned power = n / 2;
		size_t memory = (1ull << (34 + power)) + (n % 2 << 20);
		struct store_options o = {.memory_limit = memory, .memory_max = memory};
		struct store *st;
		const char *error;

		if (store_new(&st, &o, &error) != 0) {
			print_message("skipped: no addresses for %zu bytes\n", memory);
			continue;
		}
		assert_int_equal(st->pages_max, memory >> st->page_shift);
		assert_int_equal(st->pages_limit, st->pages_max);
		assert_int_equal(st->by_page, n > 0);
		assert_int_equal(st->classes[1].chunk_size, smallest[power + n % 2]);
		check_classes(st);
		store_check(st);
		store_free(&st);
	}
}

/* Where a process may have few addresses, a store is made as long as they are enough for its limit: only then not. */
static void
few_addresses(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)state;
	skip(); /* their own take all that there are */
#else
	const struct rlimit few = {3ull << 30, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
	struct store_options o = {.memory_limit = 1u << 30};
	struct rlimit before;
	struct store *st;
	const char *error;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	if (before.rlim_max != RLIM_INFINITY)
		skip();
	assert_int_equal(setrlimit(RLIMIT_AS, &few), 0);
	assert_int_equal(store_new(&st, &o, &error), 0);
	assert_in_range(st->options.memory_max, 1u << 30, 2u << 30);
	store_free(&st);
	o.memory_limit = 3ull << 30;
	assert_int_equal(store_new(&st, &o, &error), -ENOMEM);
	assert_null(st);
	assert_non_null(strstr(error, "ulimit -v"));
	assert_int_equal(setrlimit(RLIMIT_AS, &all), 0);
#endif
}

/* As store_limit_set has it: how far the limit of a store can go. */
static void
limits_as_far_as_references_reach(void **state)
{
	static const struct {
		size_t first, most;
	} stores[] = {{8ull << 30, 16ull << 30}, {(8ull << 30) + (1u << 20), 128ull << 30}};

	(void)state;
	for (unsigned i = 0; i < sizeof(stores) / sizeof(*stores); i++) {
		struct store_options o = {.memory_limit = stores[i].first};
		struct store *st;
		const char *error;

		if (store_new(&st, &o, &error) != 0) {
			print_message("skipped: no addresses for %zu bytes\n", stores[i].most);
			continue;
		}
		assert_true(store_limit_set(st, stores[i].most));
		assert_false(store_limit_set(st, stores[i].most + (1u << 20)));
		store_free(&st);
	}
}

#define END_PAGES 300u
#define END_SIZES 300u

/* The value of key N has N bytes: one page of each class that this needs. */
static void
fill_the_end(struct store *st)
{
	const struct store_put how = {.mode = STORE_SET};
	char value[END_SIZES], wanted[END_SIZES];
	struct store_view view;
	uint64_t version;

	st->pages_made = st->pages_max - END_PAGES;
	for (uint32_t n = 0; n < END_SIZES; n++) {
		const struct store_head head = {.size = n};

		if (model_put(st, n, &head, n, &how, &version) != STORE_OK) {
			print_message("skipped: no memory there\n");
			return;
		}
	}
	for (uint32_t to = 1; to <= st->nclasses; to += 7)
		(void)store_reassign(st, -1, (int)to);
	while (store_maintain(st) == 0)
		;
	for (uint32_t n = 0; n < END_SIZES; n++) {
		assert_true(model_get(st, n, &view, value));
		assert_int_equal(view.size, n);
		model_fill(wanted, n, n);
		assert_memory_equal(value, wanted, n);
	}
	assert_true(st->pages_made > st->pages_max - END_PAGES);
}

/* References of 32 bits up to the last: pages from the end of the addresses, items of all small sizes, some of which move. */
static void
items_at_the_end_of_the_addresses(void **state)
{
	static const size_t memories[] = {8ull << 30, (8ull << 30) + 1, (16ull << 30) - (2u << 20),
	    16ull << 30, 33ull << 30, 70ull << 30, 128ull << 30, 256ull << 30};

	(void)state;
	for (unsigned i = 0; i < sizeof(memories) / sizeof(*memories); i++) {
		struct store_options o = {.memory_limit = memories[i], .index_power = 4};
		struct store *st;
		const char *error;

		if (store_new(&st, &o, &error) != 0) {
			print_message("skipped: no addresses for %zu bytes\n", memories[i]);
			continue;
		}
		check_classes(st);
		fill_the_end(st);
		store_free(&st);
	}
}

static enum store_result
put(struct store *st, uint32_t n, const struct store_head *head, uint64_t version, uint64_t *got)
{
	const struct store_put how = {.mode = STORE_SET, .version = version};

	return model_put(st, n, head, n, &how, got);
}

static void
items_at_the_size_limit(void **state)
{
	static const size_t limits[] = {
	    1024, 8192, PIN_MIN + 250, 65535, 65536, 1u << 20, 3u << 20};
	struct store_head head = {0};
	char *value = test_malloc(4u << 20);
	struct store_view view;
	uint64_t version;

	(void)state;
	for (unsigned i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct store *st = make(
		    (struct store_options){.memory_limit = 64u << 20, .item_size_max = limits[i]});
		char name[STORE_KEY_MAX];
		size_t most = store_item_max(st) - model_key(st, name, 1).len;

		for (head.size = most - 40; head.size <= most; head.size++) {
			assert_int_equal(put(st, 1, &head, 0, &version), STORE_OK);
			assert_true(model_get(st, 1, &view, value));
			assert_int_equal(view.size, head.size);
		}
		assert_int_equal(put(st, 1, &head, 0, &version), STORE_TOO_LARGE);
		store_check(st);
		store_free(&st);
	}
	test_free(value);
}

/* Each length around those where the layout changes, in stores with small and with large chunks. */
static void
values_where_the_layout_changes(void **state)
{
	static const size_t memories[] = {4u << 20, 512u << 20};
	char *value = test_malloc(4u << 20), *wanted = test_malloc(4u << 20);
	struct store_view view;
	uint64_t version;

	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		struct store *st = make((struct store_options){.memory_limit = memories[m]});
		const size_t edges[] = {0, PIN_MIN, st->chunk_max, 2 * (size_t)st->chunk_max, 65535,
		    3 * (size_t)(st->chunk_max - PIECE_HEADER)};

		for (unsigned e = 0; e < sizeof(edges) / sizeof(*edges); e++) {
			for (size_t n = 0; n < 700; n++) {
				struct store_head head = {.flags = (uint32_t)n % 3,
				    .versioned = n % 2,
				    .size = edges[e] + n > 350 ? edges[e] + n - 350 : 0};

				assert_int_equal(
				    put(st, 7, &head, n % 2 ? n : 0, &version), STORE_OK);
				assert_true(model_get(st, 7, &view, value));
				model_fill(wanted, head.size, 7);
				assert_int_equal(view.size, head.size);
				assert_memory_equal(value, wanted, head.size);
			}
			store_check(st);
		}
		store_free(&st);
	}
	test_free(value);
	test_free(wanted);
}

/* One megabyte is a store too, whatever is put into it. */
static void
the_smallest_store(void **state)
{
	struct store *st = make((struct store_options){.memory_limit = 1u << 20});
	struct random_state chance;
	uint64_t version;
	unsigned stored = 0;

	(void)state;
	random_init(&chance);
	for (uint32_t n = 0; n < 4000; n++) {
		struct store_head head = {
		    .size = random_below(&chance, n % 100 == 0 ? 1u << 20 : 3000)};

		stored += put(st, n % 500, &head, 0, &version) == STORE_OK;
		if (n % 200 == 0)
			store_check(st);
	}
	assert_true(stored > 3900);
	store_check(st);
	store_free(&st);
}

static void
far_expiries(void **state)
{
	struct store *st = make((struct store_options){.memory_limit = 1u << 20});
	const uint32_t times[] = {2, STORE_EXPTIME_MAX - 1, STORE_EXPTIME_MAX,
	    STORE_EXPTIME_MAX + 1, 1u << 30, UINT32_MAX};
	char value[16];
	struct store_view view;
	uint64_t version;

	(void)state;
	for (uint32_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		struct store_head head = {.exptime = times[i], .size = 1};

		assert_int_equal(put(st, i, &head, 0, &version), STORE_OK);
		assert_true(model_get(st, i, &view, value));
		assert_int_equal(view.marks, 0);
	}
	store_clock_set(st, STORE_EXPTIME_MAX - 1);
	assert_false(model_get(st, 0, &view, value));
	assert_false(model_get(st, 1, &view, value));
	assert_true(model_get(st, 2, &view, value));
	store_clock_set(st, 5);
	assert_int_equal(store_clock(st), STORE_EXPTIME_MAX - 1);
	store_clock_set(st, UINT32_MAX);
	for (uint32_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		assert_false(model_get(st, i, &view, value));
	store_check(st);
	store_free(&st);
}

/* Versions of the caller's choice: kept as they are, none of them stops the store from giving its own, and a flush takes
 * the item whatever its version says. Those near the end are not followed: see version_raise. */
static void
versions_to_the_last(void **state)
{
	const uint64_t versions[] = {1, 2, VERSION_FOREIGN - 2, VERSION_FOREIGN - 1,
	    VERSION_FOREIGN, VERSION_FOREIGN + 1, STORE_VERSION_MAX - 1, STORE_VERSION_MAX};
	const uint32_t n = sizeof(versions) / sizeof(*versions);
	struct store *st = make((struct store_options){.memory_limit = 1u << 20});
	struct store_head head = {.flags = 5, .size = 10, .versioned = true};
	char value[16];
	struct store_view view;
	uint64_t version, last = 0;

	(void)state;
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(put(st, i, &head, versions[i], &version), STORE_OK);
		assert_int_equal(version, versions[i]);
		head.versioned = false;
		assert_int_equal(put(st, 100, &head, 0, &version), STORE_OK);
		assert_true(version > last && version <= STORE_VERSION_MAX);
		assert_true(versions[i] >= VERSION_FOREIGN - 2 || version > versions[i]);
		last = version;
		head.versioned = true;
	}
	for (uint32_t i = 0; i < n; i++) {
		assert_true(model_get(st, i, &view, value));
		assert_int_equal(view.version, versions[i]);
		assert_int_equal(view.flags, 5);
	}
	assert_int_equal(put(st, 1, &head, UINT64_MAX, &version), STORE_OK);
	assert_int_equal(version, STORE_VERSION_MAX);
	store_flush(st, 0);
	for (uint32_t i = 0; i < n; i++)
		assert_false(model_get(st, i, &view, value));
	assert_int_equal(put(st, 1, &head, 1, &version), STORE_OK);
	assert_true(model_get(st, 1, &view, value));
	store_free(&st);
}

static void
limits_of_the_limit(void **state)
{
	struct store *st =
	    make((struct store_options){.memory_limit = 8u << 20, .memory_max = 32u << 20});
	struct store_stats s;

	(void)state;
	assert_false(store_limit_set(st, 0));
	assert_false(store_limit_set(st, (1u << 20) - 1));
	assert_true(store_limit_set(st, 1u << 20));
	assert_true(store_limit_set(st, 32u << 20));
	assert_false(store_limit_set(st, (32u << 20) + st->page_size));
	assert_false(store_limit_set(st, SIZE_MAX));
	store_stats(st, &s);
	assert_int_equal(s.memory_limit, 32u << 20);
	store_free(&st);

	st = make((struct store_options){.memory_limit = 3u << 20});
	assert_true(store_limit_set(st, 16u << 20));
	assert_true(store_limit_set(st, 192u << 20));
	assert_false(store_limit_set(st, (size_t)64 << 30));
	store_free(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(odd_size_classes),
	    cmocka_unit_test(impossible_options),
	    cmocka_unit_test(large_stores),
	    cmocka_unit_test(few_addresses),
	    cmocka_unit_test(limits_as_far_as_references_reach),
	    cmocka_unit_test(items_at_the_end_of_the_addresses),
	    cmocka_unit_test(items_at_the_size_limit),
	    cmocka_unit_test(values_where_the_layout_changes),
	    cmocka_unit_test(the_smallest_store),
	    cmocka_unit_test(far_expiries),
	    cmocka_unit_test(versions_to_the_last),
	    cmocka_unit_test(limits_of_the_limit),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
