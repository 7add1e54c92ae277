/* slab/index.c: the table of buckets, and the stripes that guard it.
 *
 * Linear hashing (Litwin, VLDB 1980): the table grows one bucket at a time in a range of addresses that never moves, so
 * there is no second table, no pause and nothing to wait for. n buckets, 2^k <= n < 2^(k+1): those below
 * n - 2^k are split by one more bit of the hash. Bucket and stripe are both chosen by low bits of the hash and
 * there are never more stripes than buckets, so a bucket and the one split from it belong to one stripe.
 *
 * Readers without a lock (read.c). A writer makes the stripe's sequence odd before its first change and even
 * after the last (stripe_change, stripe_unlock); a reader notes an even sequence before, and looks whether it is
 * the same after: then no writer of the stripe was at work in between, and all that was read belongs together. The
 * number of buckets is published inside such a section of the one stripe whose keys it moves.
 *	writer: sequence := odd; release fence; changes; sequence := even (release)
 *	reader: sequence (acquire); reads; acquire fence; sequence
 * Each access between is a relaxed atomic one. A stale reference leads into memory that is always readable.
 */
#include <errno.h>
#include <stdlib.h>

#include "slab/hot.h"
#include "slab/impl.h"

#define STRIPES_PER_THREAD 64u
#define CHAIN_MAX          64 /* buckets; none is longer: a reader beyond it was led astray */
#define SPLITS             4  /* buckets that one write splits */
#define SPLIT_LATE         2  /* so many times too full, and a split waits no more */
#define AHEAD              ((size_t)1 << 20) /* bytes faulted in before they are needed */
#define AHEAD_THRIFTY      ((size_t)64 << 10)

/* ---------------------------------------------------------------- looking up */

static inline struct bucket *
overflow_at(const struct store *st, uint32_t n)
{
	return (struct bucket *)(void *)st->overflow.base + n;
}

static inline struct bucket *
bucket_next(const struct store *st, const struct bucket *b)
{
	uint32_t next = load_relaxed(&b->next);

	return next == 0 ? NULL : overflow_at(st, next);
}

uint32_t
index_find(const struct store *st, const struct store_key *key, struct slot *slot)
{
	struct bucket *b = bucket_of(st, key->hash);
	uint8_t tag = hash_tag(key->hash);

	for (int chain = 0; b != NULL && chain < CHAIN_MAX; chain++) {
		for (unsigned hits = bucket_match(b, tag); hits != 0; hits &= hits - 1) {
			unsigned n = (unsigned)__builtin_ctz(hits);
			uint32_t ref = load_relaxed(&b->refs[n]);

			if (likely(ref != 0) && item_matches(item_at(st, ref), key)) {
				*slot = (struct slot){b, n};
				return ref;
			}
		}
		b = bucket_next(st, b);
	}
	return 0;
}

bool
index_find_ref(const struct store *st, uint64_t hash, uint32_t ref, struct slot *slot)
{
	for (struct bucket *b = bucket_of(st, hash); b != NULL; b = bucket_next(st, b)) {
		for (unsigned n = 0; n < BUCKET_SLOTS; n++) {
			if (b->refs[n] == ref) {
				*slot = (struct slot){b, n};
				return true;
			}
		}
	}
	return false;
}

/* ---------------------------------------------------------------- changing */

/* How much is faulted in behind what is used. */
static size_t
ahead_bytes(const struct store *st)
{
	return store_thrifty(st) ? AHEAD_THRIFTY : AHEAD;
}

static size_t
overflow_bytes(const struct store *st)
{
	return load_relaxed(&st->overflow_made) * sizeof(struct bucket);
}

static size_t
table_bytes(const struct store *st)
{
	return load_relaxed(&st->nbuckets) * sizeof(struct bucket);
}

/* An empty overflow bucket: its number, 0 = no memory. */
static uint32_t
overflow_take(struct store *st)
{
	struct bucket *all = (struct bucket *)(void *)st->overflow.base;
	uint32_t n = 0;

	lock_take(&st->overflow_lock);
	if (st->overflow_free != 0) {
		n = st->overflow_free;
		st->overflow_free = all[n].next;
	} else if (reserve_grow(&st->overflow, ((size_t)st->overflow_made + 1) * sizeof(*all))) {
		n = st->overflow_made;
		store_relaxed(&st->overflow_made, n + 1);
	}
	if (reserve_behind(&st->overflow, overflow_bytes(st), ahead_bytes(st) / 2))
		(void)memory_ask(st);
	if (n != 0) {
		fence_stores_after(&all[n].next); /* as in class_take */
		store_relaxed(&all[n].next, 0u);
		st->overflow_used++;
	}
	lock_drop(&st->overflow_lock);
	return n;
}

static void
overflow_give(struct store *st, uint32_t n)
{
	struct bucket *all = (struct bucket *)(void *)st->overflow.base;

	lock_take(&st->overflow_lock);
	store_relaxed(&all[n].next, st->overflow_free);
	st->overflow_free = n;
	st->overflow_used--;
	lock_drop(&st->overflow_lock);
}

static void
bucket_set(struct bucket *b, unsigned n, uint8_t tag, uint32_t ref)
{
	store_relaxed(&b->refs[n], ref);
	store_relaxed(&b->tags[n], tag);
}

/* Puts a reference into the chain that begins at B; false where that is as long as it can be, or no memory is to be had. */
static bool
chain_insert(struct store *st, struct bucket *b, uint8_t tag, uint32_t ref)
{
	for (int chain = 1;; chain++) {
		unsigned empty = bucket_match(b, 0);
		struct bucket *next = bucket_next(st, b);
		uint32_t n;

		if (empty != 0) {
			bucket_set(b, (unsigned)__builtin_ctz(empty), tag, ref);
			return true;
		}
		if (next != NULL) {
			b = next;
			continue;
		}
		n = chain < CHAIN_MAX ? overflow_take(st) : 0;
		if (n == 0)
			return false;
		bucket_set(overflow_at(st, n), 0, tag, ref);
		store_relaxed(&b->next, n);
		return true;
	}
}

/* The first bucket of the chain before LAST that has an empty slot; NULL = none. */
static struct bucket *
chain_gap(const struct store *st, struct bucket *first, const struct bucket *last)
{
	for (struct bucket *b = first; b != last; b = overflow_at(st, b->next))
		if (bucket_match(b, 0) != 0)
			return b;
	return NULL;
}

/* Fills the gaps of a chain from its end and drops the overflow buckets that this empties: else one whose items live
 * long would stay for them alone. */
static void
chain_close(struct store *st, struct bucket *first)
{
	while (first->next != 0) {
		struct bucket *before = first, *last = overflow_at(st, first->next), *gap;
		unsigned used, from;

		for (; last->next != 0; last = overflow_at(st, last->next))
			before = last;
		used = SLOTS_ALL & ~bucket_match(last, 0);
		if (used == 0) {
			overflow_give(st, before->next);
			store_relaxed(&before->next, 0u);
			continue;
		}
		gap = chain_gap(st, first, last);
		if (gap == NULL)
			return;
		from = (unsigned)__builtin_ctz(used);
		bucket_set(gap, (unsigned)__builtin_ctz(bucket_match(gap, 0)), last->tags[from],
		    last->refs[from]);
		bucket_set(last, from, 0, 0);
	}
}

bool
index_insert(struct store *st, uint64_t hash, uint32_t ref)
{
	if (!chain_insert(st, bucket_of(st, hash), hash_tag(hash), ref))
		return false;
	(void)add_relaxed(&st->items, 1);
	return true;
}

void
index_remove(struct store *st, uint64_t hash, struct slot slot)
{
	struct bucket *first = bucket_of(st, hash);

	bucket_set(slot.bucket, slot.n, 0, 0);
	if (first->next != 0)
		chain_close(st, first);
	(void)sub_relaxed(&st->items, 1);
}

/* ---------------------------------------------------------------- growing */

/* Moves what belongs to bucket NUMBER, as a table of N buckets has it, from one chain to another. */
static bool
chain_move(struct store *st, struct bucket *from, struct bucket *to, uint32_t number, uint32_t n)
{
	for (; from != NULL; from = bucket_next(st, from)) {
		for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
			uint32_t ref = from->refs[i];

			if (ref == 0 ||
			    bucket_number(item_key(st, item_at(st, ref)).hash, n) != number)
				continue;
			if (!chain_insert(st, to, from->tags[i], ref))
				return false;
			bucket_set(from, i, 0, 0);
		}
	}
	return true;
}

/* Adds one bucket and splits its elder. */
static bool
index_split(struct store *st) REQUIRES(st->grow_lock)
{
	uint32_t to = st->nbuckets;
	uint32_t from = to & ~(1u << (31 - __builtin_clz(to)));
	struct stripe *s = stripe_of_bucket(st, to);
	bool done;

	if (!reserve_grow(&st->table, ((size_t)to + 1) * sizeof(struct bucket)))
		return false;
	stripe_lock(s);
	stripe_change(s);
	done = chain_move(st, &st->buckets[from], &st->buckets[to], to, to + 1);
	if (done) {
		store_release(&st->nbuckets, to + 1);
	} else {
		/* No memory for an overflow bucket: back to the slots just emptied. */
		bool back = chain_move(st, &st->buckets[to], &st->buckets[from], from, to);

		ASSERT(back);
	}
	chain_close(st, &st->buckets[from]);
	chain_close(st, &st->buckets[to]);
	stripe_unlock(s);
	return done;
}

/* Whether it is time for one more bucket. Its stripe is locked meanwhile, so its memory should be there. */
static bool
split_due(struct store *st) REQUIRES(st->grow_lock)
{
	uint64_t items = load_relaxed(&st->items), room = index_room(st);
	size_t used = table_bytes(st);

	if (items <= room)
		return false;
	if (!reserve_behind(&st->table, used, ahead_bytes(st)) || !memory_ask(st))
		return true;
	return !reserve_behind(&st->table, used + sizeof(struct bucket), 0) ||
	    items > room * SPLIT_LATE;
}

void
index_split_some(struct store *st)
{
	if (!lock_try(&st->grow_lock))
		return;
	for (int i = 0; i < SPLITS && split_due(st); i++)
		if (!index_split(st))
			break;
	lock_drop(&st->grow_lock);
}

void
index_ahead(struct store *st)
{
	reserve_ahead(&st->table, table_bytes(st), ahead_bytes(st));
	reserve_ahead(&st->overflow, overflow_bytes(st), ahead_bytes(st) / 2);
}

/* ---------------------------------------------------------------- making */

static uint32_t
power_of_two_at_least(uint64_t n)
{
	uint32_t p = 1;

	while (p < n && p < 1u << 30)
		p <<= 1;
	return p;
}

int
index_init(struct store *st)
{
	uint32_t stripes =
	    power_of_two_at_least(STRIPES_PER_THREAD * (uint64_t)st->options.threads);
	uint64_t most = ((uint64_t)st->pages_max << st->page_shift) / HEAD_MIN / 4;
	uint32_t buckets = power_of_two_at_least((1ull << st->options.index_power) / 8);
	int error;

	if (stripes > 1u << 14)
		stripes = 1u << 14;
	if (buckets < stripes)
		buckets = stripes;
	if (most > 1u << 31)
		most = 1u << 31;
	if (buckets > most)
		most = buckets;
	error = reserve_init(&st->table, most * sizeof(struct bucket), -1, store_thrifty(st));
	if (error == 0)
		error = reserve_init(
		    &st->overflow, (most / 2 + 1) * sizeof(struct bucket), -1, store_thrifty(st));
	if (error != 0)
		return error;
	if (!reserve_grow(&st->table, buckets * sizeof(struct bucket)))
		return -ENOMEM;
	/* One that begins large is left to the requests: it may be far more than is ever used. */
	if (buckets * sizeof(struct bucket) > AHEAD)
		reserve_reached(&st->table, buckets * sizeof(struct bucket));
	st->buckets = (struct bucket *)(void *)st->table.base;
	st->nbuckets = buckets;
	st->overflow_made = 1;
	st->stripes = aligned_alloc(CACHE_LINE, stripes * sizeof(struct stripe));
	if (st->stripes == NULL)
		return -ENOMEM;
	st->stripe_bits = HASH_LINES(stripes - 1);
	for (uint32_t i = 0; i < stripes; i++) {
		lock_init(&st->stripes[i].lock, LOCK_STRIPE);
		st->stripes[i].sequence = 0;
	}
	lock_init(&st->grow_lock, LOCK_GROW);
	for (unsigned i = 0; i < JOIN_LOCKS; i++)
		lock_init(&st->joins[i], LOCK_JOIN);
	lock_init(&st->overflow_lock, LOCK_OVERFLOW);
	return 0;
}

void
index_fini(struct store *st)
{
	reserve_fini(&st->table);
	reserve_fini(&st->overflow);
	free(st->stripes);
}
