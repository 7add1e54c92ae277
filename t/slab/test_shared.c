/* t/slab/test_shared.c: a read of a hot key writes nothing that other threads read.
 *
 * All memory of the store but the threads' own counters is made read-only while a key is read; who writes there is caught, noted and let
 * go on. What is left to write of a hot key is its last access, once a second, and an LFU counter, where chance says so.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "slab/impl.h"
#include "t/slab/model.h"

#define ABSENT 1000u /* a key that is never put */
#define KEYS   6u    /* all ways of reading, see model_get */
#define WARM   50u   /* so many reads make a key hot */

/* The bytes from BASE to END, in the pages from FIRST to LAST, where something else may lie as well. */
struct range {
	const char *base, *end;
	char *first, *last;
};

static struct range ranges[16];
static unsigned nranges;
static uintptr_t page_size;
static volatile sig_atomic_t caught;

static char *
page_of(const char *p)
{
	return (char *)((uintptr_t)p / page_size * page_size);
}

static void
add(const void *base, size_t size)
{
	const char *from = base, *end = from + size;

	assert_true(nranges < 16);
	if (size > 0)
		ranges[nranges++] =
		    (struct range){from, end, page_of(from), page_of(end + page_size - 1)};
}

/* All that threads share, but for what is said to be written: their own counters. */
static void
ranges_of(const struct store *st)
{
	nranges = 0;
	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	add(st, sizeof(*st));
	add(st->arena.base, st->arena.committed);
	add(st->table.base, st->table.committed);
	add(st->overflow.base, st->overflow.committed);
	add(st->ghost.base, st->ghost.committed);
	add(st->stripes, st->stripe_bits + sizeof(*st->stripes));
	add(st->classes, CLASSES_MAX * sizeof(*st->classes));
	add(st->page_class, st->pages_max);
	add(st->pages, st->pages_max * sizeof(*st->pages));
}

static void
protect(int how)
{
	for (unsigned i = 0; i < nranges; i++)
		if (mprotect(ranges[i].first, (size_t)(ranges[i].last - ranges[i].first), how) != 0)
			abort();
}

static void
on_fault(int sig, siginfo_t *info, void *context)
{
	const char *at = info->si_addr;
	bool ours = false;

	(void)context;
	for (unsigned i = 0; i < nranges; i++) {
		ours = ours || (at >= ranges[i].first && at < ranges[i].last);
		if (at >= ranges[i].base && at < ranges[i].end)
			caught = 1;
	}
	/* Where it is not ours, the same again ends the test. */
	if (!ours || mprotect(page_of(at), page_size, PROT_READ | PROT_WRITE) != 0)
		(void)signal(sig, SIG_DFL);
}

/* How many of COUNT reads of key N write to what is shared. */
static unsigned
writers(struct store *st, uint32_t n, unsigned count)
{
	unsigned all = 0;

	for (unsigned i = 0; i < count; i++) {
		char value[1024];
		struct store_view view;
		bool found;

		caught = 0;
		protect(PROT_READ);
		found = model_get(st, n, &view, value);
		store_thread_quiescent();
		store_thread_pause();
		store_thread_resume();
		protect(PROT_READ | PROT_WRITE);
		assert_int_equal(found, n != ABSENT);
		all += caught != 0;
	}
	return all;
}

static struct store *
make(enum store_eviction eviction)
{
	struct store_options o = {.memory_limit = 64u << 20, .threads = 1, .eviction = eviction};
	struct store *st;
	const char *error;

	assert_int_equal(store_new(&st, &o, &error), 0);
	store_clock_set(st, 1000);
	return st;
}

/* Keys with flags and an expiry, or without. */
static void
put_all(struct store *st)
{
	const struct store_put how = {.mode = STORE_SET};
	uint64_t version;

	for (uint32_t n = 0; n < KEYS; n++) {
		struct store_head head = {.size = 20 + n};

		if (n & 1)
			head.flags = n;
		if (n & 2)
			head.exptime = 100000;
		assert_int_equal(model_put(st, n, &head, n, &how, &version), STORE_OK);
	}
}

static void
hot_key_is_not_written(void **state)
{
	static const enum store_eviction policies[] = {
#define EVICTION(symbol, name, text) STORE_EVICT_##symbol,
	    STORE_EVICTIONS(EVICTION)
#undef EVICTION
	};
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	(void)state;
#ifdef TSAN_BUILD
	skip(); /* its fences are writes, see base/atomics.h */
#endif
	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		struct store *st = make(policies[i]);
		unsigned rare = st->lfu ? WARM / 5 : 0; /* its counter still grows, by chance */

		put_all(st);
		ranges_of(st);
		for (uint32_t n = 0; n < KEYS; n++) {
			assert_in_range(writers(st, n, WARM), 1, WARM / 2);
			assert_in_range(writers(st, n, WARM), 0, rare);
			store_clock_set(st, store_clock(st) + 1);
			assert_in_range(writers(st, n, WARM), 1, 1 + rare);
		}
		assert_int_equal(writers(st, ABSENT, WARM), 0);
		store_free(&st);
	}
}

/* Reads key 0 so often; returns its LFU counter. */
static unsigned
lfu_after(struct store *st, unsigned reads)
{
	struct store_view view;
	char value[1024];

	for (unsigned i = 0; i < reads; i++)
		assert_true(model_get(st, 0, &view, value));
	return ((const struct item *)view.item)->heat & HEAT_COUNT;
}

/* As in Redis with lfu-log-factor 10: 18 after 1000 reads. The counter grows also while nobody writes to the store, and ever more
 * seldom. */
static void
lfu_grows_by_chance(void **state)
{
	struct store *st = make(STORE_EVICT_LFU);
	unsigned few, many;

	(void)state;
	put_all(st);
	few = lfu_after(st, 1000);
	many = lfu_after(st, 30000);
	assert_in_range(few, 12, 26);
	assert_in_range(many, 60, 110);
	assert_int_equal(lfu_after(st, 300000), HEAT_COUNT);
	store_free(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hot_key_is_not_written),
	    cmocka_unit_test(lfu_grows_by_chance),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
