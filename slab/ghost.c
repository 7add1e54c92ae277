/* slab/ghost.c: which keys were evicted not long ago.
 *
 * A table of buckets of eight 4-byte entries: 16 bits of the key's hash and 16 bits of the time at which its class
 * evicted it, counted in evictions of that class (in steps, so that the window fits). Each bucket is a queue: a
 * new entry pushes the oldest out. Entries are read and written without a lock of their own; what a race loses is
 * a hint. The table grows as the index does, a bucket at a time, and only once memory is full.
 *
 * Source: S3-FIFO (Yang et al., SOSP 2023), whose ghost queue keeps hashes only.
 */
#include <errno.h>

#include "slab/hot.h"
#include "slab/impl.h"

#define BUCKETS_MIN 256u
#define GROW_STEP   4096u /* buckets added in one slice of upkeep */

/* Steps of the time: the window is below 2^14 of them, so that 16 bits tell old from new. */
static unsigned
ghost_shift(uint64_t window)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(window | 1);

	return bits > 14 ? bits - 14 : 0;
}

uint64_t
ghost_window(const struct slab_class *c)
{
	uint64_t items = c->small.count + c->main.count, least = 4ull * c->per_page;

	return items > least ? items : least;
}

static uint32_t
ghost_entry(const struct slab_class *c, uint64_t hash)
{
	uint32_t tag = (uint32_t)(hash >> 40) & 0xffff;
	uint32_t time = (uint32_t)(c->evict_clock >> ghost_shift(ghost_window(c))) & 0xffff;

	return (tag == 0 ? 1u : tag) << 16 | time;
}

static struct ghost_bucket *
ghost_bucket(const struct store *st, uint64_t hash)
{
	struct ghost_bucket *buckets = (struct ghost_bucket *)(void *)st->ghost.base;

	return &buckets[bucket_number(hash >> 8, load_acquire(&st->ghost_buckets))];
}

void
ghost_prefetch(const struct store *st, uint64_t hash)
{
	__builtin_prefetch(ghost_bucket(st, hash));
}

void
ghost_add(struct store *st, struct slab_class *c, uint64_t hash)
{
	struct ghost_bucket *b = ghost_bucket(st, hash);

	for (unsigned i = GHOST_WAYS - 1; i > 0; i--)
		store_relaxed(&b->entries[i], load_relaxed(&b->entries[i - 1]));
	store_relaxed(&b->entries[0], ghost_entry(c, hash));
	c->evict_clock++;
}

bool
ghost_take(struct store *st, struct slab_class *c, uint64_t hash)
{
	struct ghost_bucket *b = ghost_bucket(st, hash);
	uint64_t window = ghost_window(c);
	uint32_t now = ghost_entry(c, hash);

	for (unsigned i = 0; i < GHOST_WAYS; i++) {
		uint32_t entry = load_relaxed(&b->entries[i]);

		if (entry >> 16 != now >> 16)
			continue;
		store_relaxed(&b->entries[i], 0u);
		return ((now - entry) & 0xffff) <= window >> ghost_shift(window);
	}
	return false;
}

int
ghost_init(struct store *st)
{
	size_t most =
	    (size_t)st->pages_max << st->page_shift >> 3; /* an entry for the smallest item */
	int error;

	if (most < sizeof(struct ghost_bucket) * BUCKETS_MIN)
		most = sizeof(struct ghost_bucket) * BUCKETS_MIN;
	error = reserve_init(&st->ghost, most, -1, store_thrifty(st));
	if (error != 0)
		return error;
	if (!reserve_grow(&st->ghost, sizeof(struct ghost_bucket) * BUCKETS_MIN))
		return -ENOMEM;
	st->ghost_buckets = BUCKETS_MIN;
	return 0;
}

void
ghost_fini(struct store *st)
{
	reserve_fini(&st->ghost);
}

/* Keeps three entries for four items: a fourth more gained nothing. The new bucket begins with the entries of the one that
 * it is split from, since either may be asked for them. */
void
ghost_grow(struct store *st)
{
	struct ghost_bucket *buckets = (struct ghost_bucket *)(void *)st->ghost.base;
	uint32_t n = st->ghost_buckets, end = n + GROW_STEP;

	if (!load_relaxed(&st->limit_kept)) {
		if (load_relaxed(&st->pages_held) > load_relaxed(&st->pages_limit) / 2)
			reserve_ahead(&st->ghost, n * sizeof(*buckets), 0);
		return;
	}
	for (; n < end && load_relaxed(&st->items) / 4 * 3 > (uint64_t)n * GHOST_WAYS; n++) {
		const struct ghost_bucket *from = &buckets[n & ~(1u << (31 - __builtin_clz(n)))];

		if (!reserve_grow(&st->ghost, ((size_t)n + 1) * sizeof(*buckets)))
			break;
		for (unsigned k = 0; k < GHOST_WAYS; k++)
			store_relaxed(&buckets[n].entries[k], load_relaxed(&from->entries[k]));
	}
	/* Pairs with the acquire in ghost_bucket: who sees the number sees the copies. */
	store_release(&st->ghost_buckets, n);
}
