/* slab/store.c: making and ending a store; its clock, its limit, flushes and upkeep. */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "slab/impl.h"

#define PAGE_SIZE_MIN (16u << 10)
#define PAGE_SIZE_MAX (1u << 20)
#define PAGES_WANTED  256u
#define FREED_SLICE   4096u /* pieces of dropped values that a slice of upkeep frees */
#define LIMIT_MIN     (1u << 20)
#define REFS_BY_UNIT  ((size_t)CHUNK_UNIT << 32) /* bytes that references by unit reach */
#define CHUNKS_SHIFT  5u /* BY_PAGE: a page has a reference for each 32 bytes, or fewer */

/* Addresses are reserved for so many times the limit, and for no less than so much: they cost nothing, except where the
 * process may have few of them. */
#define MAX_FACTOR        64u
#define MAX_LEAST         ((size_t)4 << 30)
#define MAX_FACTOR_SCARCE 4u

/* ---------------------------------------------------------------- making */

static size_t
memory_max_default(size_t limit)
{
	struct rlimit addresses;
	bool known = getrlimit(RLIMIT_AS, &addresses) == 0;
	bool scarce = !known || addresses.rlim_cur != RLIM_INFINITY;
	size_t factor = scarce ? MAX_FACTOR_SCARCE : MAX_FACTOR, most;

	if (limit > SIZE_MAX / factor)
		return limit;
	most = scarce || limit * factor > MAX_LEAST ? limit * factor : MAX_LEAST;
	/* The index takes half as many again. */
	if (known && scarce && most > addresses.rlim_cur / 2)
		most = addresses.rlim_cur / 2;
	return most;
}

static void
options_default(struct store_options *o)
{
	if (o->memory_max == 0)
		o->memory_max = memory_max_default(o->memory_limit);
	if (o->memory_max < o->memory_limit)
		o->memory_max = o->memory_limit;
	if (o->memory_file != NULL || o->huge_pages)
		o->memory_max = o->memory_limit;
	if (o->item_size_max == 0)
		o->item_size_max = 1u << 20;
	if (o->index_power == 0)
		o->index_power = 16;
	if (o->threads == 0)
		o->threads = 4;
	if (o->chunk_min < HEAD_MIN)
		o->chunk_min = HEAD_MIN;
	if (o->eviction_samples == 0)
		o->eviction_samples = 5;
	if (o->promote_hits == 0 || o->promote_hits > HITS_MAX)
		o->promote_hits = 1;
}

static const char *
options_error(const struct store_options *o)
{
	if (o->memory_limit < LIMIT_MIN)
		return "the memory limit is below 1 megabyte";
	if (o->item_size_max < 1024 || o->item_size_max > STORE_VALUE_MAX)
		return "the item size limit is not between 1 KB and 1 GB";
	if (o->index_power > 32)
		return "the index cannot start with more than 2^32 items";
	if (o->growth_factor != 0 && !(o->growth_factor > 1.0))
		return "the growth factor is not above 1";
	return NULL;
}

/* How many pages references reach where each page has 2^SHIFT of them. */
static size_t
pages_reached(unsigned shift)
{
	return (size_t)1 << (32 - shift);
}

/* References are 32 bits. Those by unit are for limits that may be doubled. Of those by page the more are left for the chunks of one,
 * the fewer pages there may be: chunks are of 32 bytes at least up to 128 GiB, of 64 up to 256 GiB, and so on. */
static void
choose_references(struct store *st)
{
	struct store_options *o = &st->options;
	size_t pages = o->memory_limit >> st->page_shift, reached;

	st->by_page =
	    o->by_page || (o->memory_limit > REFS_BY_UNIT / 2 && o->memory_max > REFS_BY_UNIT);
	st->page_ref_shift = st->page_shift - (st->by_page ? CHUNKS_SHIFT : CHUNK_UNIT_SHIFT);
	while (pages > pages_reached(st->page_ref_shift))
		st->page_ref_shift--;
	reached = pages_reached(st->page_ref_shift);
	if (o->memory_max >> st->page_shift > reached)
		o->memory_max = reached << st->page_shift;
	if (st->by_page && o->chunk_min < st->page_size >> st->page_ref_shift)
		o->chunk_min = st->page_size >> st->page_ref_shift;
}

static void
choose_units(struct store *st)
{
	size_t limit = st->options.memory_limit;

	st->page_shift = 14;
	while ((1u << st->page_shift) < PAGE_SIZE_MAX && (limit >> st->page_shift) > PAGES_WANTED)
		st->page_shift++;
	st->page_size = 1u << st->page_shift;
	choose_references(st);
	st->pages_max = (uint32_t)(st->options.memory_max >> st->page_shift);
	st->pages_limit = (uint32_t)(limit >> st->page_shift);
	st->chunk_max = st->page_size / 2 < CHUNK_TOP ? st->page_size / 2 : CHUNK_TOP;
	if (st->options.chunk_min > st->chunk_max)
		st->options.chunk_min = st->chunk_max;
}

static int
arena_init(struct store *st)
{
	size_t size = ((size_t)st->pages_max << st->page_shift) + READ_MARGIN;
	int fd = -1, error;

	if (st->options.memory_file != NULL) {
		fd = memory_file_open(st->options.memory_file, reserve_round(size));
		if (fd < 0)
			return fd;
	}
	error = reserve_init(&st->arena, size, fd, false);
	if (fd >= 0)
		(void)close(fd);
	return error;
}

static int
pages_init(struct store *st)
{
	int error = arena_init(st);

	if (error != 0)
		return error;
	st->chunk_base = st->arena.base - CHUNK_UNIT;
	st->pages = calloc(st->pages_max, sizeof(*st->pages));
	st->page_class = calloc(st->pages_max, 1);
	if (st->pages == NULL || st->page_class == NULL)
		return -ENOMEM;
	if (st->by_page) {
		/* Also of pages that there are not: a stale reference may name any. */
		st->page_cut = calloc(pages_reached(st->page_ref_shift), sizeof(*st->page_cut));
		if (st->page_cut == NULL)
			return -ENOMEM;
	}
	/* Of threads that never come nothing is touched. */
	error = reserve_init(&st->counters, sizeof(*st->threads) * THREADS_MAX, -1, true);
	if (error == 0 && !reserve_grow(&st->counters, sizeof(*st->threads) * THREADS_MAX))
		error = -ENOMEM;
	if (error != 0)
		return error;
	st->threads = (struct thread_counters *)(void *)st->counters.base;
	lock_init(&st->pages_lock, LOCK_PAGES);
	lock_init(&st->mover.lock, LOCK_MOVE);
	st->free_page = NONE;
	st->mover.page = NONE;
	return 0;
}

/* What -L and -k's like ask for. */
static const char *
memory_prepare(struct store *st)
{
	size_t all = (size_t)st->pages_limit << st->page_shift;

	st->huge_pages = st->options.huge_pages && reserve_huge(&st->arena);
	if (st->options.preallocate) {
		if (!reserve_grow(&st->arena, all + READ_MARGIN))
			return "the memory cannot be had at once";
		reserve_ahead(&st->arena, all, 0);
	}
	return NULL;
}

/* All parts, empty. */
static int
parts_init(struct store *st, const char **error)
{
	int result = pages_init(st);

	*error = "the memory file cannot be had at the size of the memory limit";
	if (result != 0 && st->options.memory_file != NULL)
		return result;
	*error = "no addresses or memory for a store of this size (-m; see ulimit -v)";
	if (result == 0)
		result = classes_init(st);
	if (result == 0)
		result = index_init(st);
	if (result == 0)
		result = ghost_init(st);
	if (result == 0) {
		*error = memory_prepare(st);
		result = *error == NULL ? 0 : -ENOMEM;
	}
	return result;
}

/* Takes up what the memory file holds. Where that is unsound the store is made once more, without it. */
static int
store_restart(struct store **stp, const struct store_options *options, const char **error)
{
	const char *why;
	bool broken;
	int result = 0;

	if (options->memory_file == NULL)
		return 0;
	why = restart_take_up(*stp, &broken);
	if (broken) {
		store_free(stp);
		result = store_new(stp, options, error);
	}
	if (result == 0) {
		(*stp)->restarted = why == NULL;
		(*stp)->restart_error = why;
	}
	return result;
}

int
store_new(struct store **out, const struct store_options *options, const char **error)
{
	struct store *st = aligned_alloc(CACHE_LINE, sizeof(*st));
	int result;

	*error = "no memory";
	*out = NULL;
	if (st == NULL)
		return -ENOMEM;
	memset(st, 0, sizeof(*st));
	st->options = *options;
	options_default(&st->options);
	*error = options_error(&st->options);
	if (*error != NULL) {
		free(st);
		return -EINVAL;
	}
	hash_init(st, st->options.hash_seed);
	st->eviction = st->options.eviction;
	st->lfu = st->eviction == STORE_EVICT_LFU || st->eviction == STORE_EVICT_VOLATILE_LFU;
	st->heat_full = st->lfu ? UINT32_MAX : HEAT_FETCHED | HITS_MAX;
	st->now = 1;
	st->automove = 1;
	choose_units(st);
	*out = st;
	result = parts_init(st, error);
	if (result == 0)
		result = store_restart(out, options, error);
	if (result != 0)
		store_free(out);
	return result;
}

void
store_free(struct store **stp)
{
	struct store *st = *stp;

	if (st == NULL)
		return;
	ghost_fini(st);
	index_fini(st);
	classes_fini(st);
	reserve_fini(&st->arena);
	reserve_fini(&st->counters);
	free(st->page_class);
	free(st->page_cut);
	free(st->pages);
	free(st);
	*stp = NULL;
}

bool
store_has_huge_pages(const struct store *st)
{
	return st->huge_pages;
}

size_t
store_item_max(const struct store *st)
{
	return st->options.item_size_max;
}

/* ---------------------------------------------------------------- clock and flush */

/* All that was born up to VERSION is gone; its memory is found by the walk over the pages. */
static void
flush_to(struct store *st, uint64_t version)
{
	uint64_t old = load_relaxed(&st->flush_version);

	while (old < version &&
	    !__atomic_compare_exchange_n(
		&st->flush_version, &old, version, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	for (uint32_t id = 1; id <= st->nclasses; id++)
		store_relaxed(&st->classes[id].earliest, 1u);
}

static void
flush_now(struct store *st)
{
	flush_to(st, load_relaxed(&st->sequence));
}

void
store_flush_version(struct store *st, uint64_t version)
{
	ASSERT(version <= STORE_ORDER_MAX);
	version_raise(st, version);
	flush_to(st, version);
}

uint64_t
store_flushed(const struct store *st)
{
	return load_relaxed(&st->flush_version);
}

uint64_t
store_version(const struct store *st)
{
	return load_relaxed(&st->sequence);
}

uint64_t
store_version_take(struct store *st)
{
	return version_next(st);
}

void
store_lanes(struct store *st, uint32_t lanes, uint32_t lane, uint64_t until)
{
	ASSERT(lanes > 0 && (lanes & (lanes - 1)) == 0 && lane < lanes / 2);
	store_relaxed(&st->lanes_until, until - lanes);
	store_relaxed(&st->lanes, (uint64_t)(lanes - 1) << 32 | lane);
}

void
store_version_raise(struct store *st, uint64_t version)
{
	ASSERT(version <= STORE_ORDER_MAX);
	version_raise(st, version);
}

void
store_clock_set(struct store *st, uint32_t now)
{
	uint32_t at = load_relaxed(&st->flush_at), old = load_relaxed(&st->now);

	while (old < now &&
	    !__atomic_compare_exchange_n(
		&st->now, &old, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	/* Of several threads that see the time come one does it: a second flush would take what was set since. */
	if (unlikely(at != 0 && at <= load_relaxed(&st->now)) &&
	    __atomic_compare_exchange_n(
		&st->flush_at, &at, 0u, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		flush_now(st);
}

uint32_t
store_clock(const struct store *st)
{
	return load_relaxed(&st->now);
}

void
store_flush(struct store *st, uint32_t at)
{
	bool now = at <= load_relaxed(&st->now);

	store_relaxed(&st->flush_at, now ? 0u : at);
	if (now)
		flush_now(st);
}

/* ---------------------------------------------------------------- the limit */

bool
store_limit_set(struct store *st, size_t bytes)
{
	uint32_t pages = (uint32_t)(bytes >> st->page_shift);

	if (bytes < LIMIT_MIN || bytes >> st->page_shift > st->pages_max)
		return false;
	lock_take(&st->pages_lock);
	store_relaxed(&st->pages_limit, pages);
	store_relaxed(&st->limit_kept, false);
	lock_drop(&st->pages_lock);
	return true;
}

/* ---------------------------------------------------------------- upkeep */

/* Faults in what will be used next, so that no request has to. What requests have used already they have faulted in. */
static void
memory_ahead(struct store *st)
{
	size_t used, ahead;

	store_relaxed(&st->memory_asked, false);
	index_ahead(st);
	used = (size_t)load_relaxed(&st->pages_made) << st->page_shift;
	ahead = pages_ahead(st);
	reserve_reached(&st->arena, used);
	if (reserve_grow(&st->arena, used + ahead + READ_MARGIN))
		reserve_ahead(&st->arena, used, ahead);
}

void
store_upkeep(struct store *st, store_waker *wake, void *context)
{
	/* Who is just waking the one that is taken off still needs the context. */
	if (wake != NULL)
		store_relaxed(&st->wake_context, context);
	store_release(&st->wake, wake);
}

bool
upkeep_wake(const struct store *st)
{
	store_waker *wake = load_acquire(&st->wake);

	if (wake != NULL)
		wake(load_relaxed(&st->wake_context));
	return wake != NULL;
}

bool
memory_ask(struct store *st)
{
	if (load_relaxed(&st->wake) == NULL)
		return false;
	if (!load_relaxed(&st->memory_asked)) {
		store_relaxed(&st->memory_asked, true);
		(void)upkeep_wake(st);
	}
	return true;
}

unsigned
store_maintain(struct store *st)
{
	unsigned delay, moves;
	bool dropped;

	memory_ahead(st);
	dropped = drops_work(st, FREED_SLICE);
	delay = dropped ? 0 : expire_maintain(st);
	if (lock_try(&st->grow_lock)) {
		ghost_grow(st);
		lock_drop(&st->grow_lock);
	}
	moves = balance_maintain(st);
	return delay < moves ? delay : moves;
}
