/* slab/evict.c: who has to go, and how a chunk is found when memory is full.
 *
 * S3-FIFO (Yang et al., SOSP 2023), per size class: new items enter a small queue, a twentieth of the class. At its end an
 * item that was read PROMOTE_HITS times or more moves to the main queue, any other goes and is remembered as a
 * ghost; a ghost that is stored again enters the main queue at once. At the end of the main queue an item that
 * was read goes round again with one hit less. The sampling policies draw EVICTION_SAMPLES items of the class
 * and take the worst, as Redis does.
 */
#include "slab/impl.h"

#define SMALL_SHARE   20  /* the small queue is one in so many */
#define FREED_FOR_ONE 64  /* pieces of dropped values that an allocation frees */
#define ROUNDS_MAX    256 /* items looked at before the next in line goes, whatever it is */
#define ALLOC_TRIES   1000
#define PRESS_TRIES   16
#define BORROW_FACTOR 2 /* a chunk is borrowed up to so many times as large */

/* ---------------------------------------------------------------- S3-FIFO */

/* The tail that is next in line. */
static uint32_t
s3fifo_next(const struct slab_class *c, bool *main)
{
	uint64_t all = c->small.count + c->main.count;

	*main = c->small.count == 0 || (c->main.count > 0 && c->small.count * SMALL_SHARE < all);
	return *main ? c->main.tail : c->small.tail;
}

/* Gives the item in line another round if it has earned one. */
static bool
s3fifo_spare(struct store *st, struct slab_class *c, uint32_t ref, bool main) REQUIRES(c->lock)
{
	struct item *it = item_at(st, ref);
	unsigned heat = load_relaxed(&it->heat);
	unsigned hits = heat & HEAT_COUNT;

	if (hits < (main ? 1 : st->options.promote_hits))
		return false;
	queue_remove(st, c, ref);
	queue_push(st, c, ref, true);
	store_relaxed(&it->heat, (uint8_t)((heat & HEAT_FETCHED) | (main ? hits - 1 : 0)));
	c->n.promotions += !main;
	return true;
}

/* An item of a page that is being emptied: its chunk would be of no use to the class. The mover sees to it. */
static bool
on_its_way_out(const struct store *st, uint32_t ref)
{
	return !item_is_large(item_at(st, ref)) &&
	    st->pages[ref_page(st, ref)].state == PAGE_DRAINING;
}

static uint32_t
s3fifo_victim(struct store *st, struct slab_class *c) REQUIRES(c->lock)
{
	bool main;
	uint32_t ref = s3fifo_next(c, &main);

	for (int round = 0; ref != 0 && round < ROUNDS_MAX; round++) {
		if (on_its_way_out(st, ref)) {
			queue_remove(st, c, ref);
			queue_push(st, c, ref, main);
		} else if (item_dead(st, item_at(st, ref)) || !s3fifo_spare(st, c, ref, main)) {
			break;
		}
		ref = s3fifo_next(c, &main);
	}
	return ref != 0 && c->npages == 1 && on_its_way_out(st, ref) ? 0 : ref;
}

/* ---------------------------------------------------------------- sampling */

static bool
policy_wants_expiry(enum store_eviction e)
{
	return e == STORE_EVICT_VOLATILE_LRU || e == STORE_EVICT_VOLATILE_LFU ||
	    e == STORE_EVICT_VOLATILE_RANDOM || e == STORE_EVICT_VOLATILE_TTL;
}

/* How gladly the policy would see the item go; 0 = not at all. */
static uint64_t
item_cost(const struct store *st, const struct item *it)
{
	uint16_t idle = (uint16_t)(load_relaxed(&st->now) - load_relaxed(&it->atime));
	unsigned count = load_relaxed(&it->heat) & HEAT_COUNT;

	if (item_dead(st, it))
		return UINT64_MAX;
	if (policy_wants_expiry(st->eviction) && item_expiry(it) == 0)
		return 0;
	switch (st->eviction) {
	case STORE_EVICT_LRU:
	case STORE_EVICT_VOLATILE_LRU:
		/* Versions tell the older of two that were last touched in one second. */
		return ((uint64_t)idle << 40) + (1ull << 39) -
		    (item_birth(it) & ((1ull << 39) - 1));
	case STORE_EVICT_LFU:
	case STORE_EVICT_VOLATILE_LFU:
		return HEAT_COUNT + 1 - (count > idle / 60u ? count - idle / 60u : 0);
	case STORE_EVICT_VOLATILE_TTL:
		return LIFE_EXPIRY + 1 - item_expiry(it);
	default:
		return 1;
	}
}

bool
evictable(const struct store *st, const struct item *it)
{
	return item_dead(st, it) || (st->eviction != STORE_EVICT_NONE && item_cost(st, it) != 0);
}

/* A random item of the class, or 0 where the random chunk has none. Pieces stand for their item. */
static uint32_t
sample_one(struct store *st, struct slab_class *c) REQUIRES(c->lock)
{
	uint32_t page, ref;
	const struct page *p;

	if (c->npages == 0)
		return 0;
	page = c->pages[class_random(c) % c->npages];
	p = &st->pages[page];
	if (p->carved == 0 || p->state == PAGE_DRAINING)
		return 0;
	ref = page_chunk(st, page, c, (uint32_t)(class_random(c) % p->carved));
	if (load_relaxed(&item_at(st, ref)->nkey) == 0) {
		/* Acquire: with the sign of a piece its owner is there, 0 where the piece was just moved away. */
		if (load_acquire(&piece_at(st, ref)->kind) != CHUNK_PIECE)
			return 0;
		ref = load_relaxed(&piece_at(st, ref)->owner);
		if (ref == 0)
			return 0;
	}
	return queue_holds(st, ref) && queue_class(st, item_at(st, ref)) == c ? ref : 0;
}

static uint32_t
sample_victim(struct store *st, struct slab_class *c) REQUIRES(c->lock)
{
	uint32_t victim = 0;
	uint64_t worst = 0;
	unsigned drawn = 0, wanted = st->options.eviction_samples;

	if (st->eviction == STORE_EVICT_RANDOM || st->eviction == STORE_EVICT_VOLATILE_RANDOM)
		wanted = 1;
	for (unsigned tries = 0; drawn < wanted && tries < wanted * 16; tries++) {
		uint32_t ref = sample_one(st, c);
		uint64_t cost = ref != 0 ? item_cost(st, item_at(st, ref)) : 0;

		drawn += cost != 0;
		if (cost > worst) {
			worst = cost;
			victim = ref;
		}
	}
	if (victim == 0 && !policy_wants_expiry(st->eviction))
		victim = c->main.tail != 0 ? c->main.tail : c->small.tail;
	return victim;
}

/* ---------------------------------------------------------------- evicting */

/* Who has to go, but not what this thread is about to extend; 0 = nobody else. */
static uint32_t
victim(struct store *st, struct slab_class *c) REQUIRES(c->lock)
{
	uint32_t ref = 0;

	for (int tries = 0; tries < 2; tries++) {
		ref = st->eviction == STORE_EVICT_S3FIFO ? s3fifo_victim(st, c)
							 : sample_victim(st, c);
		if (likely(ref == 0 || ref != thread_spares))
			return ref;
		queue_remove(st, c, ref);
		queue_push(st, c, ref, true);
	}
	return 0;
}

bool
evict_one(struct store *st, struct slab_class *c)
{
	uint32_t ref;
	enum loss loss = LOSS_EVICTED;

	lock_take(&c->lock);
	ref = victim(st, c);
	if (ref != 0) {
		if (item_dead(st, item_at(st, ref)))
			loss = LOSS_EXPIRED;
		queue_detach(st, c, ref);
		(void)add_relaxed(
		    &c->since_grant, 1 + (uint32_t)(item_asks(item_at(st, ref)) / c->chunk_size));
		c->n.direct_reclaims++;
	}
	lock_drop(&c->lock);
	if (ref == 0)
		return false;
	item_lose(st, ref, loss);
	return true;
}

/* ---------------------------------------------------------------- allocating */

/* Whether C has nothing of its own to evict: no memory, or heads and ends of large values only. */
static bool
class_barren(struct slab_class *c)
{
	bool barren;

	lock_take(&c->lock);
	barren = c->small.count + c->main.count == 0;
	lock_drop(&c->lock);
	return barren;
}

/* The next larger class that has something to evict, for one that has not; C itself where there is none. */
static struct slab_class *
lender(struct store *st, struct slab_class *c)
{
	for (uint32_t id = c->id + 1; id <= st->nclasses; id++) {
		struct slab_class *d = &st->classes[id];

		if (d->chunk_size > c->chunk_size * BORROW_FACTOR)
			break;
		if (load_relaxed(&d->npages) > 0 && !class_barren(d))
			return d;
	}
	return c;
}

/* Makes room for a chunk of C; false = nothing more can be done. */
static bool
make_room(struct store *st, struct slab_class *c)
{
	if (expire_glance(st, c) > 0)
		return true;
	if (c->id == st->piece_class && drops_work(st, FREED_FOR_ONE))
		return true;
	if (st->eviction == STORE_EVICT_NONE)
		return expire_class(st, c) > 0 || balance_claim(st, c, CLAIM_WANT);
	if (load_relaxed(&c->since_grant) > load_relaxed(&c->claim_after) &&
	    balance_claim(st, c, CLAIM_WANT))
		return true;
	return evict_one(st, c) || expire_class(st, c) > 0 || balance_claim(st, c, CLAIM_NEED);
}

static uint32_t
chunk_try(struct store *st, struct slab_class *c)
{
	for (int tries = 0; tries < ALLOC_TRIES; tries++) {
		uint32_t ref = class_take(st, c);

		if (ref != 0 || !make_room(st, c))
			return ref;
	}
	return 0;
}

/* The ways left for a class that has nothing, and gets none in a step: a larger chunk is better than none; then a page,
 * whatever it takes. */
static uint32_t
chunk_press(struct store *st, struct slab_class *c)
{
	uint32_t ref = 0;

	for (uint32_t id = c->id + 1; ref == 0 && id <= st->nclasses; id++)
		if (!class_barren(&st->classes[id]))
			ref = chunk_try(st, &st->classes[id]);
	for (int tries = 0; ref == 0 && tries < PRESS_TRIES; tries++) {
		if (!balance_claim(st, c, CLAIM_MUST))
			break;
		ref = class_take(st, c);
	}
	return ref;
}

/* What is left of the share of the request that makes PENDING. */
static void
share_begin(const struct store_pending *pending)
{
	uint64_t share = SHARE_WORK;

	if (pending->written > SHARE_FREE)
		share += (pending->written - SHARE_FREE) / SHARE_BYTES;
	thread_share = thread_worked + (share > pending->worked ? share - pending->worked : 0);
}

/* Makes room for a chunk of C and takes it. */
static uint32_t
chunk_make(struct store *st, struct slab_class *c)
{
	struct slab_class *from = c;
	uint32_t ref;

	if (class_barren(c) && add_relaxed(&c->since_grant, 1) < c->per_page)
		from = lender(st, c);
	ref = chunk_try(st, from);
	if (ref == 0 && from != c)
		ref = chunk_try(st, c);
	if (ref == 0 && st->eviction != STORE_EVICT_NONE)
		ref = chunk_press(st, c);
	if (ref == 0) {
		lock_take(&c->lock);
		c->n.no_memory++;
		lock_drop(&c->lock);
	}
	return ref;
}

uint32_t
chunk_alloc(struct store *st, uint32_t slab_class, struct store_pending *pending)
{
	struct slab_class *c = &st->classes[slab_class];
	uint32_t ref = class_take(st, c);
	uint64_t begin = thread_worked;

	if (likely(ref != 0))
		return ref;
	share_begin(pending);
	ref = chunk_make(st, c);
	pending->worked += (uint32_t)(thread_worked - begin);
	return ref;
}

void
chunk_claim_ahead(struct store *st, struct store_pending *pending)
{
	struct slab_class *c = &st->classes[st->piece_class];
	uint64_t chunks = (uint64_t)load_relaxed(&c->npages) * c->per_page;
	uint64_t begin = thread_worked;
	bool barren;

	if (!load_relaxed(&st->limit_kept) || st->eviction == STORE_EVICT_NONE)
		return;
	share_begin(pending);
	barren = class_barren(c);
	if (barren && chunks - load_relaxed(&c->used) < c->per_page)
		(void)balance_claim(st, c, CLAIM_AHEAD);
	else if (!barren && load_relaxed(&c->since_grant) >= c->per_page)
		(void)balance_claim(st, c, CLAIM_WANT);
	pending->worked += (uint32_t)(thread_worked - begin);
}

const char *
store_eviction_name(enum store_eviction eviction)
{
	static const char *const names[] = {
#define EVICTION(symbol, name, text) [STORE_EVICT_##symbol] = name,
	    STORE_EVICTIONS(EVICTION)
#undef EVICTION
	};

	return names[eviction];
}
