/* slab/move.c: pages that change their class while serving.
 *
 * One page at a time (MOVE). It stops giving chunks; what lives in it goes or is copied to another chunk of the
 * class: each item is taken off its queue first, which makes it the mover's to free, then its reference in the index
 * is replaced under its stripe's lock. Dead items are not worth a copy, and a copy of one that was flushed would lie
 * where the walk for the flush has been already. Items in the making and pinned ones cannot be moved: the mover comes back to
 * them a few times and then gives the page up.
 *
 * An empty page leaves its class, so that nothing in it can be found any more. It is cut anew when every reader has passed a
 * quiescent point, since one may still write hit counters to where an item was. The upkeep waits for that, not the
 * request that emptied the page; whoever comes to the mover next hands it over.
 */
#include "slab/hot.h"
#include "slab/impl.h"

#define PASSES_MAX  3
#define WAITS_MAX   64 /* passes that leave something to the upkeep */
#define DRAWS       4  /* pages looked at to find a cheap one */
#define LOOKS       16 /* chunks looked at in each */
#define AHEAD       16 /* chunks whose surroundings are fetched together */
#define ROOMY_LOOKS 64 /* pages with room among which an empty one is sought */
#define PART_WORTH  16 /* small items that go for the head or end of a large one */
#define PIECES_MANY 64 /* told their new owner, where more of them would take too long */

/* ---------------------------------------------------------------- choosing */

/* How much would be lost with a page: 0 = it is empty. Looks at a few of its chunks. */
static uint64_t
page_worth(struct store *st, struct slab_class *c, uint32_t page) REQUIRES(c->lock)
{
	const struct page *p = &st->pages[page];
	uint64_t warm = 0;

	if (p->used == 0)
		return 0;
	for (unsigned i = 0; i < LOOKS; i++) {
		const struct item *it =
		    item_at(st, page_chunk(st, page, c, (uint32_t)(class_random(c) % p->carved)));

		warm += load_relaxed(&it->nkey) != 0 && (load_relaxed(&it->heat) & HEAT_COUNT) > 0;
	}
	return 1 + warm * p->used;
}

/* The page of the item that is next in line; NONE = there is none. */
static uint32_t
tail_page(const struct store *st, const struct slab_class *c) REQUIRES(c->lock)
{
	uint32_t ref = c->small.tail != 0 ? c->small.tail : c->main.tail;

	if (ref != 0 && item_is_large(item_at(st, ref)))
		ref = item_aux(item_at(st, ref))->piece;
	return ref == 0 || ref_class(st, ref) != c->id ? NONE : ref_page(st, ref);
}

/* The page of C that is cheapest to give away: an empty one, else the one of the item next in line or one drawn at
 * random; NONE = it has none. */
static uint32_t
page_choose(struct store *st, struct slab_class *c) REQUIRES(c->lock)
{
	uint32_t best = NONE;
	uint64_t least = UINT64_MAX;

	for (uint32_t page = c->roomy, i = 0; page != NONE && i < ROOMY_LOOKS; i++) {
		if (st->pages[page].used == 0)
			return page;
		page = st->pages[page].next;
	}
	for (unsigned i = 0; i <= DRAWS && c->npages > 0; i++) {
		uint32_t page = i == 0 && !mover_gave_up(st)
		    ? tail_page(st, c)
		    : c->pages[class_random(c) % c->npages];
		uint64_t worth = page == NONE ? UINT64_MAX : page_worth(st, c, page);

		if (page != NONE && st->pages[page].state == PAGE_ACTIVE && worth < least) {
			least = worth;
			best = page;
		}
	}
	return best;
}

bool
move_start(struct store *st, uint32_t from, uint32_t to)
{
	struct slab_class *c = &st->classes[from];
	uint32_t page;

	ASSERT(st->mover.page == NONE);
	if (st->mover.nleaving == LEAVING_MAX)
		return false;
	lock_take(&c->lock);
	page = page_choose(st, c);
	if (page != NONE) {
		st->pages[page].state = PAGE_DRAINING;
		if (st->pages[page].roomy)
			class_room_remove(st, c, page);
		store_relaxed(&st->mover.page, page);
		st->mover.from = from;
		st->mover.to = to;
		st->mover.cursor = 0;
		st->mover.passes = 0;
		st->mover.waits = false;
		st->mover.waited = 0;
	}
	lock_drop(&c->lock);
	return page != NONE;
}

/* ---------------------------------------------------------------- moving one chunk */

/* Room for a copy in the class; 0 = there is none. Up to WORTH others go for it: more than one, since those next in line
 * are likely to lie in the page that is being emptied, as does what they leave. */
static uint32_t
copy_room(struct store *st, struct slab_class *c, unsigned worth)
{
	uint32_t ref = class_take(st, c);

	if (st->eviction == STORE_EVICT_NONE)
		return ref;
	for (; ref == 0 && worth > 0 && evict_one(st, c); worth--) {
		ref = class_take(st, c);
		thread_worked++;
	}
	return ref;
}

/* Copies a detached item into the fresh chunk REF, whose version is 0. Who walks over that page knows an item by its key length:
 * when that shows, the copy must already be seen to stand in no queue. Who was led here by a stale hint finds the key of the
 * item before in it until ours is written: so the version, without which nobody believes that, comes last. */
static void
item_copy(struct item *to, uint32_t ref, const struct item *it)
{
	ASSERT(version_load(to) << 1 == 0);
	store_relaxed(&to->next, ref);
	store_relaxed(&to->prev, ref);
	store_release(&to->nkey, load_relaxed(&it->nkey));
	store_relaxed(&to->life, load_relaxed(&it->life));
	store_relaxed(&to->heat, load_relaxed(&it->heat));
	store_relaxed(&to->vlen, load_relaxed(&it->vlen));
	store_relaxed(&to->atime, load_relaxed(&it->atime));
	chunk_write(to->data, it->data, item_head_size(it) - ITEM_HEADER);
	thread_worked += item_head_size(it) / WORK_COPY;
	fence_stores_after(to->version); /* pairs with the one behind version_load_first */
	version_store(to, version_load(it));
}

/* Tells the pieces of a large item that OWNER is its head. */
static void
pieces_own(struct store *st, struct item *it, uint32_t owner)
{
	uint32_t next;

	for (uint32_t p = item_aux(it)->piece; p != 0; p = next) {
		next = load_relaxed(&piece_at(st, p)->next);
		store_relaxed(&piece_at(st, p)->owner, owner);
		thread_worked++;
	}
}

/* Copies a detached item to COPY and lets the slot and the pieces refer to that. TOLD: the pieces know, and who told them holds
 * the item for that. */
static void
item_transfer(struct store *st, struct slab_class *c, uint32_t ref, uint32_t copy, struct slot slot,
    bool told)
{
	struct item *it = item_at(st, ref), *new = item_at(st, copy);

	if (told)
		(void)sub_relaxed(&item_aux(it)->references, 1);
	else if (item_is_large(it))
		pieces_own(st, it, copy);
	item_copy(new, copy, it);
	store_relaxed(&slot.bucket->refs[slot.n], copy);
	item_set_version(it, 0);
	queue_attach(st, c, copy);
	item_note_expiry(st, copy);
}

/* Gives a detached item back to its queue. Where it was unlinked meanwhile, that left it to us to free. */
static void
item_put_back(struct store *st, uint32_t ref)
{
	struct item *it = item_at(st, ref);
	struct store_key key = item_key(st, it);
	struct stripe *s = stripe_of(st, key.hash);
	struct slot slot;
	bool linked;

	stripe_lock(s);
	linked = index_find_ref(st, key.hash, ref, &slot);
	if (linked)
		queue_attach(st, queue_class(st, it), ref);
	stripe_unlock(s);
	if (!linked)
		item_drop(st, ref);
}

/* Whether somebody else holds the value of an item whose stripe is locked. TOLD: this thread does. Acquire: he who let go of it
 * last has read it. */
static bool
item_pinned(struct item *it, bool told)
{
	return vlen_pinnable(it->vlen) && load_acquire(&item_aux(it)->references) != 1u + told;
}

static bool
pieces_many(const struct store *st, struct item *it)
{
	return item_is_large(it) && item_aux(it)->size / st->chunk_max >= PIECES_MANY;
}

/* Tells the many pieces of the detached item REF, with no lock held, that COPY will be its head; false = somebody pins it, or
 * it was unlinked. It is held meanwhile, so its pieces stay; and nobody finds anything by an owner that is not linked. */
static bool
head_announce(struct store *st, uint32_t ref, uint32_t copy)
{
	struct item *it = item_at(st, ref);
	struct store_key key = item_key(st, it);
	struct stripe *s = stripe_of(st, key.hash);
	struct slot slot;
	bool held;

	stripe_lock(s);
	held = index_find_ref(st, key.hash, ref, &slot) && !item_pinned(it, false);
	if (held)
		(void)add_relaxed(&item_aux(it)->references, 1);
	stripe_unlock(s);
	lock_assert_below(LOCK_STRIPE);
	if (held)
		pieces_own(st, it, copy);
	return held;
}

/* Puts a copy in the place of the detached item. Where the item was unlinked meanwhile it is dropped; where somebody
 * has pinned it it goes back to its queue, and the answer is false. */
static bool
item_relocate(struct store *st, uint32_t ref, uint32_t copy)
{
	struct item *it = item_at(st, ref);
	struct store_key key = item_key(st, it);
	struct stripe *s = stripe_of(st, key.hash);
	struct slab_class *c = queue_class(st, it);
	bool many = pieces_many(st, it), told = many && head_announce(st, ref, copy);
	bool linked, pinned = false;
	struct slot slot;

	stripe_lock(s);
	linked = index_find_ref(st, key.hash, ref, &slot);
	if (linked)
		pinned = (many && !told) || item_pinned(it, told);
	if (linked && pinned) {
		queue_attach(st, c, ref);
	} else if (linked) {
		stripe_change(s);
		item_transfer(st, c, ref, copy, slot, told);
	}
	stripe_unlock(s);
	if (told && (pinned || !linked)) {
		pieces_own(st, it, ref);
		item_drop(st, ref);
	}
	class_give(st, linked && !pinned ? ref : copy);
	if (!linked)
		item_drop(st, ref);
	return !pinned;
}

/* Copies a piece into a fresh chunk, which is a piece when all else of it is there. */
static void
piece_copy(struct piece *to, const struct piece *from)
{
	store_relaxed(&to->next, load_relaxed(&from->next));
	store_relaxed(&to->prev, load_relaxed(&from->prev));
	store_relaxed(&to->owner, load_relaxed(&from->owner));
	store_relaxed(&to->used, load_relaxed(&from->used));
	chunk_write(to->data, from->data, from->used);
	thread_worked += from->used / WORK_COPY;
	store_release(&to->kind, (uint16_t)CHUNK_PIECE);
}

/* Puts COPY in the place of the piece REF in the chain of its owner IT, which is linked and its stripe locked; false = it is in
 * none any more. A page that is being emptied gives no chunks, so REF can only have become free: before the chunk of IT did, had
 * that been another item then. */
static bool
piece_replace(struct store *st, struct item *it, uint32_t ref, uint32_t copy)
{
	struct piece *piece = piece_at(st, ref);
	uint32_t prev = load_relaxed(&piece->prev), next = load_relaxed(&piece->next);
	uint32_t *link = prev == 0 ? &item_aux(it)->piece : &piece_at(st, prev)->next;

	if (load_relaxed(&piece->kind) != CHUNK_PIECE)
		return false;
	ASSERT(load_relaxed(link) == ref);
	piece_copy(piece_at(st, copy), piece);
	store_relaxed(&piece->owner, 0u);
	store_relaxed(link, copy);
	if (next != 0)
		store_relaxed(&piece_at(st, next)->prev, copy);
	return true;
}

/* Moves the piece of a large value to another chunk; false = it cannot be moved now. The owner may be gone, and what its
 * key was read from something else; what is found in the index under the lock of that key's stripe is sound. */
static bool
piece_relocate(struct store *st, struct slab_class *c, uint32_t ref, unsigned worth)
{
	uint32_t copy = copy_room(st, c, worth), owner = load_relaxed(&piece_at(st, ref)->owner);
	struct item *it = item_at(st, owner);
	struct stripe *s;
	struct store_key key;
	struct slot slot;
	bool done;

	if (copy == 0)
		return false;
	if (owner == 0) {
		class_give(st, copy);
		return false;
	}
	key = item_key(st, it);
	s = stripe_of(st, key.hash);
	stripe_lock(s);
	done = index_find_ref(st, key.hash, owner, &slot) && item_is_large(it) &&
	    !item_pinned(it, false) && piece_replace(st, it, ref, copy);
	stripe_unlock(s);
	class_give(st, done ? ref : copy);
	return done;
}

/* What stands in a chunk of the page being drained. */
struct occupant {
	enum { CHUNK_EMPTY, CHUNK_BUSY, CHUNK_WAITS, CHUNK_ITEM, CHUNK_OWNED } kind;
	uint32_t item; /* the item, or the owner of the piece */
	bool dead;     /* it expired or was flushed */
	bool evictable;
	bool part; /* it is the head or the end of a large value: losing that is not worth it */
	unsigned worth; /* how many others may go for it */
};

/* Looks at a chunk. An item is detached: it is the caller's to move, to lose or to put back; but one of many pieces waits for
 * the UPKEEP. */
static struct occupant
chunk_occupant(struct store *st, struct slab_class *c, uint32_t ref, bool upkeep)
{
	struct occupant o = {.kind = CHUNK_BUSY, .item = ref};
	struct piece *piece = piece_at(st, ref);
	struct slab_class *q;
	struct item *it;
	bool owned;

	lock_take(&c->lock);
	owned = load_relaxed(&piece->nkey) == 0;
	if (owned && load_relaxed(&piece->kind) == CHUNK_FREE)
		o.kind = CHUNK_EMPTY;
	else if (owned)
		o.item =
		    load_acquire(&piece->kind) == CHUNK_PIECE ? load_relaxed(&piece->owner) : 0;
	lock_drop(&c->lock);
	if (o.kind == CHUNK_EMPTY || o.item == 0)
		return o;

	it = item_at(st, o.item);
	q = owned || item_is_large(it) ? &st->classes[st->piece_class] : c;
	lock_take(&q->lock);
	if (queue_holds(st, o.item) && queue_class(st, it) == q) {
		o.kind = owned ? CHUNK_OWNED : CHUNK_ITEM;
		o.dead = item_dead(st, it);
		o.part = !o.dead && item_is_large(it) && q != c;
		o.worth = o.part ? PART_WORTH : (load_relaxed(&it->heat) & HEAT_COUNT) > 0;
		o.evictable = evictable(st, it);
		if (!owned && !upkeep && pieces_many(st, it))
			o.kind = CHUNK_WAITS;
		else if (!owned)
			queue_detach(st, q, o.item);
	}
	lock_drop(&q->lock);
	return o;
}

/* Takes the owner of a piece off its queue and loses it; false = it is not to be had. Its chunk may be another item's by
 * now, in another queue; while the stripe is locked, what the index names stays what it is. */
static bool
owner_lose(struct store *st, uint32_t owner)
{
	struct slab_class *q = &st->classes[st->piece_class];
	struct item *it = item_at(st, owner);
	struct store_key key = item_key(st, it);
	struct stripe *s = stripe_of(st, key.hash);
	struct slot slot;
	bool held;

	stripe_lock(s);
	held = index_find_ref(st, key.hash, owner, &slot) && item_is_large(it) && evictable(st, it);
	if (held) {
		lock_take(&q->lock);
		held = queue_holds(st, owner);
		if (held)
			queue_detach(st, q, owner);
		lock_drop(&q->lock);
	}
	stripe_unlock(s);
	if (held)
		item_lose(st, owner, item_dead(st, it) ? LOSS_EXPIRED : LOSS_EVICTED);
	return held;
}

/* Empties a chunk that belongs to a large value. */
static bool
part_drain(struct store *st, struct slab_class *c, uint32_t ref, const struct occupant *o)
{
	if (!o->dead && piece_relocate(st, c, ref, o->worth)) {
		bump_relaxed(&st->moves.piece_rescues, 1);
		return true;
	}
	return !o->part && owner_lose(st, o->item);
}

/* Empties a chunk with an item. */
static bool
item_drain(struct store *st, struct slab_class *c, const struct occupant *o)
{
	uint32_t copy = o->dead ? 0 : copy_room(st, c, o->worth);

	if (copy != 0 && item_relocate(st, o->item, copy)) {
		bump_relaxed(&st->moves.rescues, 1);
		return true;
	}
	if (copy != 0)
		return false;
	/* The heads of all large values may lie in one page, the last of a class that nobody uses any more: that page stays. */
	if (!o->evictable || o->part) {
		item_put_back(st, o->item);
		return false;
	}
	item_lose(st, o->item, o->dead ? LOSS_EXPIRED : LOSS_EVICTED);
	bump_relaxed(&st->moves.reclaims, o->dead);
	return true;
}

/* Empties one chunk, unless it is busy or to wait for the UPKEEP. */
static void
chunk_drain(struct store *st, struct slab_class *c, uint32_t ref, bool upkeep)
    REQUIRES(st->mover.lock)
{
	struct occupant o = chunk_occupant(st, c, ref, upkeep);

	thread_worked++;
	st->mover.waits |= o.kind == CHUNK_WAITS;
	if (o.kind == CHUNK_EMPTY || o.kind == CHUNK_WAITS)
		return;
	if (o.kind == CHUNK_BUSY ||
	    !(o.kind == CHUNK_OWNED ? part_drain(st, c, ref, &o) : item_drain(st, c, &o)))
		bump_relaxed(&st->moves.busy, 1);
}

/* ---------------------------------------------------------------- a page */

/* The page is empty: it leaves its class. */
static void
move_leave(struct store *st, struct slab_class *c) REQUIRES(st->mover.lock)
{
	struct mover *m = &st->mover;

	ASSERT(m->nleaving < LEAVING_MAX);
	lock_take(&c->lock);
	class_lose_page(st, c, m->page);
	st->pages[m->page].state = PAGE_LEAVING;
	lock_drop(&c->lock);
	m->leaving[m->nleaving++] = (struct leaving){m->page, m->to, ++m->left};
	store_relaxed(&m->page, NONE);
	class_granted(&st->classes[m->to], st->classes[m->to].per_page);
	if (!upkeep_wake(st))
		move_await(st, m->left);
}

void
move_await(struct store *st, uint64_t left)
{
	uint64_t gone = load_relaxed(&st->mover.gone);

	if (gone >= left)
		return;
	thread_await_readers();
	while (gone < left &&
	    !__atomic_compare_exchange_n(
		&st->mover.gone, &gone, left, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* Nobody can use any more what was in the page. */
static void
page_arrive(struct store *st, uint32_t page, uint32_t to) REQUIRES(st->mover.lock)
{
	if (to == 0) {
		if (load_relaxed(&st->pages_held) > load_relaxed(&st->pages_limit))
			reserve_release(&st->arena, (size_t)page << st->page_shift, st->page_size);
		page_pool_give(st, page);
	} else {
		struct slab_class *c = &st->classes[to];

		lock_take(&c->lock);
		(void)class_gain_page(st, c, page);
		lock_drop(&c->lock);
	}
	(void)add_relaxed(&st->pages_moved, 1);
	st->mover.gave_up = 0;
}

bool
move_arrivals(struct store *st, uint32_t to)
{
	struct mover *m = &st->mover;
	uint64_t gone = load_acquire(&m->gone);
	unsigned n = 0;
	bool came = false;

	for (; n < m->nleaving && m->leaving[n].number <= gone; n++) {
		page_arrive(st, m->leaving[n].page, m->leaving[n].to);
		came |= m->leaving[n].to == to;
	}
	m->nleaving -= n;
	memmove(m->leaving, m->leaving + n, m->nleaving * sizeof(m->leaving[0]));
	return came;
}

static void
move_give_up(struct store *st, struct slab_class *c) REQUIRES(st->mover.lock)
{
	struct page *p = &st->pages[st->mover.page];

	lock_take(&c->lock);
	p->state = PAGE_ACTIVE;
	if (p->used < c->per_page)
		class_room_add(st, c, st->mover.page);
	lock_drop(&c->lock);
	store_relaxed(&st->mover.page, NONE);
	st->mover.gave_up = load_relaxed(&st->now) + 1;
}

/* Brings what emptying the next chunks will touch into the cache: most of the time goes into waiting for it. With the class
 * locked, since a queued item's key is there to be read, and stays. */
static void
move_prefetch(struct store *st, struct slab_class *c)
{
	const struct page *p = &st->pages[st->mover.page];
	uint32_t end = st->mover.cursor + AHEAD < p->carved ? st->mover.cursor + AHEAD : p->carved;

	lock_take(&c->lock);
	for (uint32_t n = st->mover.cursor; n < end; n++) {
		uint32_t ref = page_chunk(st, st->mover.page, c, n);
		const struct item *it = item_at(st, ref);
		struct store_key key;

		if (load_relaxed(&it->nkey) == 0 || !queue_holds(st, ref))
			continue;
		key = item_key(st, it);
		__builtin_prefetch(stripe_of(st, key.hash));
		__builtin_prefetch(bucket_of(st, key.hash));
		ghost_prefetch(st, key.hash);
		__builtin_prefetch(item_at(st, load_relaxed(&it->next)));
		__builtin_prefetch(item_at(st, load_relaxed(&it->prev)));
	}
	lock_drop(&c->lock);
}

/* What to do when all chunks were looked at and some are still busy. A pass that has left something to the upkeep does not
 * count, so often. */
static enum move_state
move_pass(struct store *st, struct slab_class *c) REQUIRES(st->mover.lock)
{
	bool waits = st->mover.waits;

	st->mover.cursor = 0;
	st->mover.waits = false;
	if (waits && st->mover.waited++ < WAITS_MAX && upkeep_wake(st))
		return MOVE_UNDER_WAY;
	if (++st->mover.passes < PASSES_MAX)
		return MOVE_UNDER_WAY;
	move_give_up(st, c);
	return MOVE_GIVEN_UP;
}

enum move_state
move_step(struct store *st, unsigned budget, bool upkeep)
{
	struct slab_class *c = &st->classes[st->mover.from];
	struct page *p = &st->pages[st->mover.page];
	uint64_t end = thread_worked + budget;

	upkeep |= load_relaxed(&st->wake) == NULL;
	while (thread_worked < end && st->mover.cursor < p->carved && load_relaxed(&p->used) > 0) {
		if (st->mover.cursor % AHEAD == 0)
			move_prefetch(st, c);
		chunk_drain(st, c, page_chunk(st, st->mover.page, c, st->mover.cursor++), upkeep);
	}
	if (load_relaxed(&p->used) == 0) {
		move_leave(st, c);
		return MOVE_LEFT;
	}
	return st->mover.cursor < p->carved ? MOVE_UNDER_WAY : move_pass(st, c);
}
