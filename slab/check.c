/* slab/check.c: a walk over all that must hold in a store that nobody else uses. */
#include <stdlib.h>

#include "slab/hot.h"
#include "slab/impl.h"

/* Every queue is doubly linked, counts right, and holds linked items of its class only. */
static uint64_t
check_queue(
    struct store *st, struct slab_class *c, const struct queue *q, bool main, uint64_t *bytes)
{
	uint64_t count = 0;
	uint32_t prev = 0;

	for (uint32_t ref = q->head; ref != 0; ref = item_at(st, ref)->next) {
		struct item *it = item_at(st, ref);
		struct store_key key = item_key(st, it);
		struct slot slot;

		ASSERT(++count <= q->count);
		ASSERT(it->prev == prev && it->nkey != 0 && item_version(it) != 0);
		ASSERT(!!(it->life & LIFE_MAIN) == main && queue_class(st, it) == c);
		ASSERT(index_find(st, &key, &slot) == ref);
		ASSERT(slot.bucket->tags[slot.n] == hash_tag(key.hash));
		ASSERT(item_expiry(it) == 0 ||
		    load_relaxed(&st->pages[ref_page(st, ref)].earliest) <= item_expiry(it));
		*bytes += item_asks(it);
		prev = ref;
	}
	ASSERT(count == q->count && q->tail == prev);
	return count;
}

/* The pieces of a large item add up to its value. */
static void
check_pieces(struct store *st, uint32_t ref)
{
	uint64_t size = 0;
	uint32_t prev = 0;

	for (uint32_t p = item_aux(item_at(st, ref))->piece; p != 0; p = piece_at(st, p)->next) {
		struct piece *piece = piece_at(st, p);

		ASSERT(piece->nkey == 0 && piece->kind == CHUNK_PIECE && piece->owner == ref);
		ASSERT(piece->prev == prev);
		ASSERT(PIECE_HEADER + piece->used <= st->classes[ref_class(st, p)].chunk_size);
		size += piece->used;
		prev = p;
	}
	ASSERT(size == item_aux(item_at(st, ref))->size);
}

static uint64_t
check_page_chunks(struct store *st, struct slab_class *c, uint32_t page)
{
	const struct page *p = &st->pages[page];
	uint64_t busy = 0, listed = 0;

	for (uint32_t i = 0; i < p->carved; i++) {
		uint32_t ref = page_chunk(st, page, c, i);
		struct item *it = item_at(st, ref);

		if (it->nkey == 0 && it->vlen == CHUNK_FREE)
			continue;
		busy++;
		if (it->nkey == 0)
			continue;
		ASSERT(item_head_size(it) <= c->chunk_size);
		if (item_is_large(it) && item_version(it) != 0)
			check_pieces(st, ref);
	}
	for (uint32_t ref = p->free_head; ref != 0; ref = piece_at(st, ref)->next) {
		ASSERT(ref_page(st, ref) == page && piece_at(st, ref)->nkey == 0);
		ASSERT(++listed <= p->carved);
	}
	ASSERT(busy == p->used && busy + listed == p->carved);
	return busy;
}

static void
check_class(struct store *st, struct slab_class *c, uint64_t *items)
{
	uint64_t used = 0, bytes = 0, roomy = 0;

	for (uint32_t i = 0; i < c->npages; i++) {
		const struct page *p = &st->pages[c->pages[i]];

		ASSERT(st->page_class[c->pages[i]] == c->id && p->slot == i);
		ASSERT(p->carved <= c->per_page && p->used <= p->carved);
		ASSERT(p->roomy == (p->state == PAGE_ACTIVE && p->used < c->per_page));
		roomy += p->roomy;
		used += check_page_chunks(st, c, c->pages[i]);
	}
	for (uint32_t page = c->roomy; page != NONE; page = st->pages[page].next)
		ASSERT(roomy-- > 0 && st->pages[page].roomy);
	ASSERT(roomy == 0 && used == c->used);
	*items += check_queue(st, c, &c->small, false, &bytes);
	*items += check_queue(st, c, &c->main, true, &bytes);
	ASSERT(bytes == c->bytes);
}

struct copies {
	uint64_t count, bytes;
};

/* Every reference of a bucket in chain N is a linked item that belongs there, and only the last bucket has gaps; returns
 * how many there are. */
static uint64_t
check_bucket(struct store *st, const struct bucket *b, uint32_t n, struct copies *copies)
{
	uint64_t items = 0;

	for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
		ASSERT((b->refs[i] == 0) == (b->tags[i] == 0));
		ASSERT(b->refs[i] != 0 || b->next == 0);
		if (b->refs[i] == 0)
			continue;
		items++;
		ASSERT(
		    bucket_number(item_key(st, item_at(st, b->refs[i])).hash, st->nbuckets) == n);
		ASSERT(queue_holds(st, b->refs[i]));
		if (item_is_copy(item_at(st, b->refs[i]))) {
			copies->count++;
			copies->bytes += item_asks(item_at(st, b->refs[i]));
		}
	}
	return items;
}

static uint64_t
check_index(struct store *st)
{
	uint64_t items = 0, overflow = 0;
	struct copies copies = {0};

	for (uint32_t n = 0; n < st->nbuckets; n++) {
		const struct bucket *b = &st->buckets[n];

		items += check_bucket(st, b, n, &copies);
		while (b->next != 0) {
			b = (struct bucket *)(void *)st->overflow.base + b->next;
			items += check_bucket(st, b, n, &copies);
			overflow++;
		}
	}
	ASSERT(overflow == st->overflow_used);
	ASSERT(copies.count == st->copies && copies.bytes == st->copy_bytes);
	return items;
}

void
store_check(struct store *st)
{
	uint64_t items = 0;
	uint32_t held = st->mover.nleaving, free_pages = 0;

	for (uint32_t i = 0; i <= st->stripe_bits / CACHE_LINE; i++)
		ASSERT((st->stripes[i].sequence & 1) == 0);
	ASSERT(thread_dropped == 0);
	for (uint32_t id = 1; id <= st->nclasses; id++) {
		check_class(st, &st->classes[id], &items);
		held += st->classes[id].npages;
	}
	for (uint32_t page = st->free_page; page != NONE; page = st->pages[page].next) {
		ASSERT(st->page_class[page] == 0 && st->pages[page].state == PAGE_FREE);
		free_pages++;
	}
	for (unsigned i = 0; i < st->mover.nleaving; i++) {
		uint32_t page = st->mover.leaving[i].page;

		ASSERT(st->page_class[page] == 0 && st->pages[page].state == PAGE_LEAVING);
	}
	ASSERT(held == st->pages_held && free_pages == st->free_pages);
	ASSERT(held + free_pages == st->pages_made);
	ASSERT(check_index(st) == items && items == st->items);
}
