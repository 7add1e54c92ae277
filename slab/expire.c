/* slab/expire.c: memory of expired (and flushed) items comes back.
 *
 * Pages are walked in the order of memory; a page knows a time before which none of its items expires, and the flush that
 * the last walk over it saw, and is skipped until there is news. Every WALK_ALL seconds a page is walked in any case,
 * to keep the 16-bit access times of its items from wrapping.
 *
 * A walk first forgets the page's time, then looks at the items; who gives an item an expiry first writes that, then lowers
 * the time. So one of the two sees the other. Where both do not happen under the lock of the page's class, a full fence
 * stands between the steps of each (item_note_expiry, look_at_batch).
 *
 * An allocation that finds no memory takes part: it looks at a few chunks of a page that is due (expire_glance). What
 * is found so seldom that a look was in vain is left to the walk until the clock moves. Only where nothing may be
 * evicted whole pages are walked on behalf of a request (expire_class).
 */
#include "slab/hot.h"
#include "slab/impl.h"

#define BATCH        64
#define WALK_ALL     14400u          /* seconds */
#define AGE_MAX      STORE_AGE_EXACT /* older access times are moved up to this */
#define SLICE        8192u           /* chunks walked in one slice */
#define LOOKS_MAX    4096u           /* pages looked at in one slice */
#define CLASS_PAGES  2u              /* pages walked on behalf of an allocation */
#define GLANCE_PAGES 16u             /* pages among which an allocation seeks one that is due */

static_assert(AGE_MAX + WALK_ALL * 2 <= 65536, "an access time must be seen before it wraps");

/* What was found in some chunks of a page. */
struct findings {
	uint32_t dead[BATCH];
	unsigned ndead;
	uint32_t earliest; /* of those that live on */
};

static void
look_at(struct store *st, uint32_t ref, struct findings *f)
{
	struct item *it = item_at(st, ref);
	uint32_t expiry = item_expiry(it);
	uint16_t now = (uint16_t)load_relaxed(&st->now);

	if (load_relaxed(&it->nkey) == 0 || !queue_holds(st, ref))
		return;
	if (item_dead(st, it)) {
		f->dead[f->ndead++] = ref;
		return;
	}
	if (expiry != 0 && expiry < f->earliest)
		f->earliest = expiry;
	if ((uint16_t)(now - load_relaxed(&it->atime)) > AGE_MAX)
		store_relaxed(&it->atime, (uint16_t)(now - AGE_MAX));
}

/* Loses what lies in chunk REF if it still is a dead item. It may be anything by now; the index names only items, and
 * while the stripe is locked they stay what they are. */
static bool
lose_if_dead(struct store *st, uint32_t ref)
{
	struct item *it = item_at(st, ref);
	struct store_key key = item_key(st, it);
	struct stripe *s = stripe_of(st, key.hash);
	struct slot slot;
	bool dead;

	stripe_lock(s);
	dead = index_find_ref(st, key.hash, ref, &slot) && item_dead(st, it);
	if (dead)
		item_bury(st, &key, ref, slot, LOSS_WALKED);
	stripe_unlock(s);
	drops_settle(st);
	return dead;
}

/* Looks at up to BATCH chunks from number N on; false = the page is done, or not what it was. Where a move began in the midst of
 * a walk, the page is due again: its time is forgotten already, and the move may be given up. */
static bool
look_at_batch(struct store *st, struct slab_class *c, uint32_t page, uint32_t n, struct findings *f)
{
	struct page *p = &st->pages[page];
	bool more = false;

	f->ndead = 0;
	lock_take(&c->lock);
	if (load_relaxed(&st->page_class[page]) == c->id && p->state == PAGE_ACTIVE) {
		uint32_t end = n + BATCH < p->carved ? n + BATCH : p->carved;

		if (n == 0) {
			store_relaxed(&p->earliest, NONE);
			store_relaxed(&p->walked, load_relaxed(&st->now));
			store_relaxed(&p->flushed, load_relaxed(&st->flush_version));
			fence_all(&p->earliest);
		}
		for (uint32_t i = n; i < end; i++)
			look_at(st, page_chunk(st, page, c, i), f);
		more = end < p->carved;
	} else if (n > 0) {
		f->earliest = 1;
	}
	lock_drop(&c->lock);
	return more;
}

unsigned
expire_page(struct store *st, uint32_t page)
{
	struct slab_class *c = &st->classes[load_relaxed(&st->page_class[page])];
	struct findings f = {.earliest = NONE};
	unsigned lost = 0;
	bool more = c->id != 0;

	for (uint32_t n = 0; more; n += BATCH) {
		more = look_at_batch(st, c, page, n, &f);
		for (unsigned i = 0; i < f.ndead; i++)
			lost += lose_if_dead(st, f.dead[i]);
	}
	if (f.earliest != NONE && load_relaxed(&st->page_class[page]) == c->id)
		page_note_expiry(st, (page << st->page_ref_shift) + 1, f.earliest);
	return lost;
}

static bool
page_due(const struct store *st, uint32_t page)
{
	const struct page *p = &st->pages[page];
	uint32_t now = load_relaxed(&st->now);

	return load_relaxed(&p->earliest) <= now || now - load_relaxed(&p->walked) >= WALK_ALL ||
	    load_relaxed(&p->flushed) != load_relaxed(&st->flush_version);
}

/* The next page of C that is due, of a few; it stays the next until all its chunks were looked at. */
static uint32_t
glance_page(const struct store *st, struct slab_class *c) REQUIRES(c->lock)
{
	for (uint32_t i = 0; i < GLANCE_PAGES && i < c->npages; i++) {
		uint32_t page;

		if (c->glance_slot >= c->npages)
			c->glance_slot = 0;
		page = c->pages[c->glance_slot];
		if (c->glance_chunk < st->pages[page].carved && page_due(st, page))
			return page;
		c->glance_slot++;
		c->glance_chunk = 0;
	}
	return NONE;
}

unsigned
expire_glance(struct store *st, struct slab_class *c)
{
	struct findings f = {.earliest = NONE};
	uint32_t now = load_relaxed(&st->now), page;
	unsigned lost = 0;

	if (load_relaxed(&c->glanced) == now || load_relaxed(&c->earliest) > now)
		return 0;
	lock_take(&c->lock);
	page = glance_page(st, c);
	if (page != NONE) {
		uint32_t n = c->glance_chunk, end = n + BATCH;

		if (end > st->pages[page].carved)
			end = st->pages[page].carved;
		for (; n < end; n++)
			look_at(st, page_chunk(st, page, c, n), &f);
		c->glance_chunk = end;
	}
	lock_drop(&c->lock);
	for (unsigned i = 0; i < f.ndead; i++)
		lost += lose_if_dead(st, f.dead[i]);
	if (lost == 0)
		store_relaxed(&c->glanced, now);
	return lost;
}

unsigned
expire_class(struct store *st, struct slab_class *c)
{
	uint32_t due[CLASS_PAGES];
	unsigned ndue = 0, lost = 0;
	uint32_t now = load_relaxed(&st->now);

	if (load_relaxed(&c->earliest) > now)
		return 0;
	lock_take(&c->lock);
	store_relaxed(&c->earliest, NONE);
	fence_all(&c->earliest); /* who lowers a page's time lowers the class's after it */
	for (uint32_t i = 0; i < c->npages; i++) {
		uint32_t earliest = page_due(st, c->pages[i])
		    ? now
		    : load_relaxed(&st->pages[c->pages[i]].earliest);

		if (earliest <= now && ndue < CLASS_PAGES)
			due[ndue++] = c->pages[i];
		else
			earliest_lower(&c->earliest, earliest);
	}
	lock_drop(&c->lock);
	for (unsigned i = 0; i < ndue; i++)
		lost += expire_page(st, due[i]);
	return lost;
}

unsigned
expire_maintain(struct store *st)
{
	uint32_t made = load_relaxed(&st->pages_made);
	uint32_t walked = 0;
	unsigned lost = 0;

	for (uint32_t looks = 0; looks < LOOKS_MAX && walked < SLICE; looks++) {
		uint32_t page = st->walk_page;

		if (page >= made) {
			st->walk_page = 0;
			return walked > 0 ? 10 : 500;
		}
		st->walk_page++;
		if (load_relaxed(&st->page_class[page]) == 0 || !page_due(st, page))
			continue;
		walked += st->classes[load_relaxed(&st->page_class[page])].per_page;
		lost += expire_page(st, page);
	}
	return lost * 20 > walked ? 1 : 10;
}
