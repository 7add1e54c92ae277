/* slab/class.c: size classes, their pages and chunks, and the pool of free pages.
 *
 * A page is cut into equal chunks of one class. It is carved from its start, so that memory is touched only when it
 * is needed; chunks given back form a list in the page. A class keeps the pages that have room in a list. Pages come
 * from the pool and go back to it only through a move (move.c), which waits for readers.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "slab/impl.h"

#define SIZES_FEW     8.0 /* size classes per doubling */
#define SIZES_MANY    15.0
#define PAGES_MANY    512u               /* many classes from so many pages on */
#define FINEST_BELOW  200u               /* and as fine as can be for smaller sizes */
#define RESERVE_MOST  4u                 /* pages kept for classes that have nothing */
#define RESERVE_SHARE 64u                /* but at most one in so many */
#define GRANTS_OWED   8u                 /* pages that a class may claim in a row */
#define AHEAD_LEAST   4u                 /* pages faulted in before they are needed */
#define AHEAD_GROWTH  4u                 /* one more for so many in use */
#define AHEAD_SHARE   64u                /* but at most one in so many of all */
#define AHEAD_MOST    ((size_t)32 << 20) /* and no more bytes than this */

/* ---------------------------------------------------------------- the sizes */

static_assert(CHUNK_TOP / CHUNK_UNIT <= UINT16_MAX, "how a page is cut is 16 bits");

/* The largest size that still gives a page as many chunks as SIZE does. */
static uint32_t
snap_to_page(const struct store *st, uint32_t size)
{
	uint32_t per_page = st->page_size / size;
	uint32_t snapped = st->page_size / per_page / CHUNK_UNIT * CHUNK_UNIT;

	return snapped > st->chunk_max ? st->chunk_max : snapped;
}

/* The factor by which sizes must grow from class ID on, which has chunks of SIZE, for the last class to be of the largest. */
static double
factor_least(const struct store *st, uint32_t id, uint32_t size)
{
	if (id >= CLASSES_MAX - 1)
		return 1;
	return pow((double)st->chunk_max / size, 1.0 / (CLASSES_MAX - 1 - id));
}

/* The size that follows SIZE, of class ID. Finer classes lose less to rounding, but each needs pages of its own: where these are
 * few, they are better spent on fewer classes, and where they are many, small items get as fine ones as there can be. An operator's
 * factor is taken as finely as the classes last. */
static double
class_next(const struct store *st, uint32_t id, uint32_t size)
{
	bool many = st->pages_limit >= PAGES_MANY;
	double factor = st->options.growth_factor, next;

	if (factor == 0)
		factor = pow(2, 1 / (many ? SIZES_MANY : SIZES_FEW));
	else
		factor = fmax(factor, factor_least(st, id, size));
	next = (double)size * factor;
	if (next < (double)size + CHUNK_UNIT ||
	    (many && size < FINEST_BELOW && st->options.growth_factor == 0))
		return (double)size + CHUNK_UNIT;
	return next;
}

static void
class_setup(struct store *st, uint32_t id, uint32_t size)
{
	struct slab_class *c = &st->classes[id];
	uint32_t last = (1u << st->page_ref_shift) - 1;

	lock_init(&c->lock, LOCK_CLASS);
	c->id = id;
	c->chunk_size = size;
	c->per_page = st->page_size / size;
	c->ref_step = st->by_page ? 1 : size / CHUNK_UNIT;
	/* The last reference would be the one behind all ones. */
	if ((c->per_page - 1) * c->ref_step == last)
		c->per_page--;
	c->claim_after = c->per_page;
	c->roomy = NONE;
	c->earliest = NONE;
	c->random = (st->options.hash_seed ^ ((uint64_t)id << 32)) | 1;
}

int
classes_init(struct store *st)
{
	uint32_t size = (st->options.chunk_min + CHUNK_UNIT - 1) / CHUNK_UNIT * CHUNK_UNIT;
	uint32_t filled = 0;

	st->classes = aligned_alloc(CACHE_LINE, sizeof(struct slab_class) * CLASSES_MAX);
	st->size_class = calloc(1, st->chunk_max / CHUNK_UNIT + 1);
	if (st->classes == NULL || st->size_class == NULL)
		return -ENOMEM;
	memset(st->classes, 0, sizeof(struct slab_class) * CLASSES_MAX);
	for (uint32_t id = 1;; id++) {
		double next = class_next(st, id, size);

		ASSERT(id < CLASSES_MAX);
		size = id == CLASSES_MAX - 1 ? st->chunk_max : snap_to_page(st, size);
		/* The page may have added more than the factor. */
		next = fmax(next, (double)size + CHUNK_UNIT);
		class_setup(st, id, size);
		for (; filled <= size / CHUNK_UNIT; filled++)
			st->size_class[filled] = (uint8_t)id;
		st->nclasses = id;
		if (size == st->chunk_max)
			break;
		size = next > st->chunk_max
		    ? st->chunk_max
		    : ((uint32_t)next + CHUNK_UNIT - 1) / CHUNK_UNIT * CHUNK_UNIT;
	}
	st->piece_class = st->nclasses;
	return 0;
}

void
classes_fini(struct store *st)
{
	for (uint32_t id = 1; st->classes != NULL && id <= st->nclasses; id++) {
		lock_fini(&st->classes[id].lock);
		free(st->classes[id].pages);
	}
	free(st->classes);
	free(st->size_class);
}

uint64_t
class_random(struct slab_class *c)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random;
}

/* ---------------------------------------------------------------- the pool */

/* Pages that classes may hold: all, or all but what is kept for a class in need. */
static uint32_t
pages_allowed(const struct store *st, enum page_reserve reserve) REQUIRES(st->pages_lock)
{
	uint32_t kept = st->eviction == STORE_EVICT_NONE ? 0 : st->pages_limit / RESERVE_SHARE;

	if (kept > RESERVE_MOST)
		kept = RESERVE_MOST;
	if (reserve == RESERVE_SOME)
		return st->pages_limit - (kept + 1) / 2;
	return st->pages_limit - (reserve == RESERVE_ALL ? 0 : kept);
}

/* A free page, or one that was never used; NONE = no memory. */
static uint32_t
page_pool_next(struct store *st) REQUIRES(st->pages_lock)
{
	uint32_t page = st->free_page;

	if (page != NONE) {
		st->free_page = st->pages[page].next;
		st->free_pages--;
	} else if (st->pages_made < st->pages_max &&
	    reserve_grow(
		&st->arena, (((size_t)st->pages_made + 1) << st->page_shift) + READ_MARGIN)) {
		page = st->pages_made;
		store_relaxed(&st->pages_made, page + 1);
	}
	return page;
}

size_t
pages_ahead(const struct store *st)
{
	uint32_t made = load_relaxed(&st->pages_made), limit = load_relaxed(&st->pages_limit);
	uint32_t pages = made / AHEAD_GROWTH, most = limit / AHEAD_SHARE + 1;
	uint32_t left = limit > made ? limit - made : 0;

	if (most > AHEAD_MOST >> st->page_shift)
		most = (uint32_t)(AHEAD_MOST >> st->page_shift);
	if (pages < AHEAD_LEAST)
		pages = AHEAD_LEAST;
	if (pages > most)
		pages = most;
	return (size_t)(pages < left ? pages : left) << st->page_shift;
}

uint32_t
page_pool_take(struct store *st, enum page_reserve reserve)
{
	uint32_t page = NONE;
	bool cold;

	lock_take(&st->pages_lock);
	if (st->pages_held < pages_allowed(st, reserve))
		page = page_pool_next(st);
	if (page != NONE)
		store_relaxed(&st->pages_held, st->pages_held + 1);
	else
		store_relaxed(&st->limit_kept, true);
	cold = page != NONE &&
	    reserve_behind(&st->arena, (size_t)st->pages_made << st->page_shift, pages_ahead(st));
	lock_drop(&st->pages_lock);
	if (cold)
		(void)memory_ask(st);
	return page;
}

void
page_pool_give(struct store *st, uint32_t page)
{
	struct page *p = &st->pages[page];

	lock_take(&st->pages_lock);
	p->state = PAGE_FREE;
	p->next = st->free_page;
	st->free_page = page;
	st->free_pages++;
	store_relaxed(&st->pages_held, st->pages_held - 1);
	store_relaxed(&st->limit_kept, st->pages_held >= pages_allowed(st, RESERVE_KEPT));
	lock_drop(&st->pages_lock);
}

uint32_t
page_pool_excess(struct store *st)
{
	uint32_t allowed, excess;

	lock_take(&st->pages_lock);
	allowed = pages_allowed(st, RESERVE_KEPT);
	excess = st->pages_held > allowed ? st->pages_held - allowed : 0;
	lock_drop(&st->pages_lock);
	return excess;
}

uint32_t
page_pool_taken(struct store *st)
{
	uint32_t taken;

	lock_take(&st->pages_lock);
	taken = st->pages_made < pages_allowed(st, RESERVE_KEPT) ? st->pages_made : st->pages_limit;
	lock_drop(&st->pages_lock);
	return taken;
}

/* ---------------------------------------------------------------- pages of a class */

void
class_room_add(struct store *st, struct slab_class *c, uint32_t page)
{
	struct page *p = &st->pages[page];

	ASSERT(!p->roomy);
	p->roomy = true;
	p->prev = NONE;
	p->next = c->roomy;
	if (c->roomy != NONE)
		st->pages[c->roomy].prev = page;
	c->roomy = page;
}

void
class_room_remove(struct store *st, struct slab_class *c, uint32_t page)
{
	struct page *p = &st->pages[page];

	ASSERT(p->roomy);
	p->roomy = false;
	if (p->prev != NONE)
		st->pages[p->prev].next = p->next;
	else
		c->roomy = p->next;
	if (p->next != NONE)
		st->pages[p->next].prev = p->prev;
}

void
class_granted(struct slab_class *c, uint32_t chunks)
{
	uint32_t since = load_relaxed(&c->since_grant), most = GRANTS_OWED * c->per_page;

	since = since < most ? since : most;
	store_relaxed(&c->since_grant, since > chunks ? since - chunks : 0);
}

/* Room for one more page in the list of C's; false where memory is out. */
static bool
class_list_room(struct slab_class *c) REQUIRES(c->lock)
{
	uint32_t room = c->pages_room == 0 ? 8 : c->pages_room * 2;
	uint32_t *pages;

	if (c->npages < c->pages_room)
		return true;
	pages = realloc(c->pages, room * sizeof(*pages));
	if (pages == NULL)
		return false;
	c->pages = pages;
	c->pages_room = room;
	return true;
}

bool
class_gain_page(struct store *st, struct slab_class *c, uint32_t page)
{
	struct page *p = &st->pages[page];

	if (!class_list_room(c)) {
		page_pool_give(st, page);
		return false;
	}
	p->carved = 0;
	store_relaxed(&p->used, 0u);
	p->free_head = 0;
	p->slot = c->npages;
	store_relaxed(&p->earliest, NONE);
	store_relaxed(&p->walked, load_relaxed(&st->now));
	store_relaxed(&p->flushed, load_relaxed(&st->flush_version));
	p->state = PAGE_ACTIVE;
	p->roomy = false;
	c->pages[c->npages] = page;
	store_relaxed(&c->npages, c->npages + 1);
	store_relaxed(&st->page_class[page], (uint8_t)c->id);
	if (st->by_page)
		store_relaxed(&st->page_cut[page], (uint16_t)(c->chunk_size / CHUNK_UNIT));
	class_room_add(st, c, page);
	store_relaxed(&c->gained, load_relaxed(&st->now));
	c->n.pages_in++;
	return true;
}

void
class_lose_page(struct store *st, struct slab_class *c, uint32_t page)
{
	struct page *p = &st->pages[page];
	uint32_t last = c->pages[c->npages - 1];

	ASSERT(p->used == 0 && !p->roomy);
	store_relaxed(&c->npages, c->npages - 1);
	c->pages[p->slot] = last;
	st->pages[last].slot = p->slot;
	store_relaxed(&st->page_class[page], (uint8_t)0);
	c->n.pages_out++;
}

/* ---------------------------------------------------------------- chunks */

/* The next chunk that this page has never given. It may hold what an earlier class left there. */
static uint32_t
page_carve(struct store *st, struct slab_class *c, uint32_t page)
{
	uint32_t ref = page_chunk(st, page, c, st->pages[page].carved++);
	struct item *it = item_at(st, ref);

	version_store(it, 0);
	store_relaxed(&it->nkey, (uint8_t)0);
	store_relaxed(&it->vlen, (uint16_t)CHUNK_FREE);
	return ref;
}

/* A chunk of a page that has room. */
static uint32_t
page_take_chunk(struct store *st, struct slab_class *c, uint32_t page) REQUIRES(c->lock)
{
	struct page *p = &st->pages[page];
	uint32_t ref = p->free_head;

	if (ref != 0)
		p->free_head = load_relaxed(&piece_at(st, ref)->next);
	else
		ref = page_carve(st, c, page);
	store_relaxed(&p->used, p->used + 1);
	if (p->used == c->per_page)
		class_room_remove(st, c, page);
	store_relaxed(&c->used, c->used + 1);
	return ref;
}

uint32_t
class_take(struct store *st, struct slab_class *c)
{
	uint32_t ref = 0;

	lock_take(&c->lock);
	if (c->roomy == NONE) {
		uint32_t page =
		    load_relaxed(&st->limit_kept) ? NONE : page_pool_take(st, RESERVE_KEPT);

		if (page != NONE && class_gain_page(st, c, page))
			class_granted(c, c->per_page);
	}
	if (c->roomy != NONE)
		ref = page_take_chunk(st, c, c->roomy);
	/* Who reads without a lock and sees what is written into the chunk from here on must also see that the sequence
	 * of the stripe that let it go has moved: this pairs with the fence before his second look at it. */
	if (ref != 0)
		fence_stores_after(item_at(st, ref)->version);
	lock_drop(&c->lock);
	return ref;
}

void
class_give_locked(struct store *st, struct slab_class *c, uint32_t ref)
{
	uint32_t page = ref_page(st, ref);
	struct page *p = &st->pages[page];
	struct piece *chunk = piece_at(st, ref);

	ASSERT(p->used > 0);
	store_relaxed(&chunk->nkey, (uint8_t)0);
	store_relaxed(&chunk->kind, (uint16_t)CHUNK_FREE);
	store_relaxed(&chunk->next, p->free_head);
	p->free_head = ref;
	if (p->used == c->per_page && p->state == PAGE_ACTIVE)
		class_room_add(st, c, page);
	store_relaxed(&p->used, p->used - 1);
	store_relaxed(&c->used, c->used - 1);
}

void
class_give(struct store *st, uint32_t ref)
{
	struct slab_class *c = &st->classes[ref_class(st, ref)];

	lock_take(&c->lock);
	class_give_locked(st, c, ref);
	lock_drop(&c->lock);
}

void
earliest_lower(uint32_t *earliest, uint32_t expiry)
{
	uint32_t old = load_relaxed(earliest);

	while (expiry < old &&
	    !__atomic_compare_exchange_n(
		earliest, &old, expiry, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void
page_note_expiry(struct store *st, uint32_t ref, uint32_t expiry)
{
	earliest_lower(&st->pages[ref_page(st, ref)].earliest, expiry);
	earliest_lower(&st->classes[ref_class(st, ref)].earliest, expiry);
}

void
item_note_expiry(struct store *st, uint32_t ref)
{
	uint32_t expiry = item_expiry(item_at(st, ref));

	if (expiry == 0)
		return;
	/* Pairs with the fence of the walk over the page (expire.c). */
	fence_all(&st->pages[ref_page(st, ref)].earliest);
	page_note_expiry(st, ref, expiry);
}
