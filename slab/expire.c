/* slab/expire.c: memory of expired (and flushed) items comes back.
 *
 * Pages are walked in the order of memory; a page knows a time before which none of its items expires, and is
 * skipped until then. Every WALK_ALL seconds a page is walked in any case, to keep the 16-bit access times of its
 * items from wrapping.
 */
#include "slab/impl.h"

#define BATCH       64
#define WALK_ALL    14400u          /* seconds */
#define AGE_MAX     STORE_AGE_EXACT /* older access times are moved up to this */
#define SLICE       8192u           /* chunks walked in one slice */
#define LOOKS_MAX   4096u           /* pages looked at in one slice */
#define CLASS_PAGES 2u              /* pages walked on behalf of an allocation */

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

/* Takes the dead item off its queue if it still is one. */
static bool
lose_if_dead(struct store *st, uint32_t ref)
{
	struct item *it = item_at(st, ref);
	struct slab_class *q = queue_class(st, ref, it);
	bool dead;

	if (q->id == 0)
		return false;
	lock_take(&q->lock);
	dead = load_relaxed(&it->nkey) != 0 && queue_holds(st, ref) &&
	    queue_class(st, ref, it) == q && item_dead(st, it);
	if (dead)
		queue_detach(st, q, ref);
	lock_drop(&q->lock);
	if (dead)
		item_lose(st, ref, LOSS_EXPIRED);
	return dead;
}

/* Looks at up to BATCH chunks from number N on; false = the page is not what it was, or done. */
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
		}
		for (uint32_t i = n; i < end; i++)
			look_at(st, page_chunk(st, page, c, i), f);
		more = end < p->carved;
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

	return load_relaxed(&p->earliest) <= now || now - load_relaxed(&p->walked) >= WALK_ALL;
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
	for (uint32_t i = 0; i < c->npages; i++) {
		uint32_t earliest = load_relaxed(&st->pages[c->pages[i]].earliest);

		if (earliest <= now && ndue < CLASS_PAGES)
			due[ndue++] = c->pages[i];
		else if (earliest < load_relaxed(&c->earliest))
			store_relaxed(&c->earliest, earliest);
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
