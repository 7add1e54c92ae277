/* slab/look.h: reading prepared keys one after the other, in line. The second face of this folder, for the few loops in which a
 * call and a struct store_view in memory for each key would be a good part of the work; everybody else takes
 * store_read_begin. What this header includes stays the folder's own.
 *
 *	look = look_of(st);
 *	for each KEY, prepared since the last quiescent point:
 *		look_plain(&look, KEY, how, &view), or else look_any
 *		... copy what is needed out of VIEW, to where it can be thrown away ...
 *		look_end(&look, &view, how)
 *
 * Between look and end the same holds as between store_read_begin and its end, but for this: what is not simple (large, expired,
 * flushed, being changed, torn) is refused, nothing is to be undone, and store_read_begin does it. Time and flushes are seen
 * as they were at look_of. The proof stands in index.c.
 */
#ifndef SLAB_LOOK_H
#define SLAB_LOOK_H

#include "slab/hot.h"

/* What the steps need of the store: in locals, which no store through a pointer can change, so that it stays in registers. */
struct look {
	struct store *store;
	char *base;
	struct stripe *stripes;
	const uint8_t *page_class;
	uint64_t *hits; /* of this thread, by class */
	uint64_t flushed;
	uint32_t stripe_mask, shift, page_shift, now;
	uint32_t heat_full; /* from here on a hit does not raise the hit counter */
	uint16_t lapses;
};

static ALWAYS_INLINE struct look
look_of(struct store *st)
{
	return (struct look){
	    .store = st,
	    .base = st->chunk_base,
	    .stripes = st->stripes,
	    .page_class = st->page_class,
	    .hits = thread_counters(st)->hits,
	    .flushed = load_relaxed(&st->flush_version),
	    .stripe_mask = st->stripe_mask,
	    .shift = st->ref_shift,
	    .page_shift = st->page_ref_shift,
	    .now = load_relaxed(&st->now),
	    .heat_full = st->heat_full,
	    .lapses = thread_lapses,
	};
}

static ALWAYS_INLINE struct item *
look_item(const struct look *look, uint32_t ref)
{
	return (struct item *)(void *)(look->base + ((uintptr_t)ref << look->shift));
}

/* Finds KEY without its hint. */
uint32_t look_anew(const struct store *st, const struct store_key *key);

/* Whether IT, which can expire or be flushed, has been. */
bool look_is_dead(const struct store *st, const struct item *it);

/* Whether KEY leads straight to an item without flags that can be copied, as most keys do: then VERSION, FLAGS, SIZE and VALUE
 * are filled in, with STORE_READ_META all. */
static ALWAYS_INLINE bool
look_plain(
    const struct look *look, const struct store_key *key, unsigned how, struct store_view *view)
{
	const char *data = key->data;
	size_t len = key->len;
	uint32_t ref = key->hint, sequence;
	struct stripe *s = &look->stripes[key->hash & look->stripe_mask];
	struct item *it = look_item(look, ref);
	uint64_t version;

	sequence = load_acquire(&s->sequence);
	if (unlikely(ref == 0))
		return false;
	if (unlikely((sequence & 1) || key->lapses != look->lapses))
		return false;
	/* As item_is_of. */
	version = version_load_first(it);
	if (unlikely((int64_t)version <= 0 || load_relaxed(&it->nkey) != len ||
		!bytes_equal(it->data, data, len) || version_load_last(it) != version))
		return false;
	*view = (struct store_view){
	    .version = version & ~VERSION_COPY,
	    .size = load_relaxed(&it->vlen),
	    .value = it->data + len,
	    .stripe = s,
	    .sequence = sequence,
	    .item = it,
	    .ref = ref,
	};
	if (how & STORE_READ_META)
		view_fill_meta(look->store, it, version, view);
	if (unlikely(vlen_pinnable(view->size)))
		return false;
	return likely(item_expiry(it) == 0 && look->flushed == 0) || !look_is_dead(look->store, it);
}

enum look_result {
	LOOK_ITEM,
	LOOK_NONE, /* there is none */
	LOOK_HARD, /* it is not simple */
};

/* The same for any other KEY, with more work. Without an item SIZE is 0. */
static inline enum look_result
look_any(
    const struct look *look, const struct store_key *key, unsigned how, struct store_view *view)
{
	struct stripe *s = &look->stripes[key->hash & look->stripe_mask];
	uint32_t sequence = load_acquire(&s->sequence), ref;
	struct item *it;
	uint64_t version;

	if (unlikely(sequence & 1))
		return LOOK_HARD;
	ref = index_hint_holds(look->store, key) ? key->hint : look_anew(look->store, key);
	it = look_item(look, ref);
	*view = (struct store_view){.stripe = s, .sequence = sequence, .item = it, .ref = ref};
	if (ref == 0)
		return LOOK_NONE;
	version = view_fill(it, view);
	if (how & STORE_READ_META)
		view_fill_meta(look->store, it, version, view);
	return vlen_pinnable(view->size) || item_dead(look->store, it) ? LOOK_HARD : LOOK_ITEM;
}

/* Whether what was copied out of VIEW is sound; if so, and HOW says that, it is counted. */
static ALWAYS_INLINE bool
look_end(const struct look *look, const struct store_view *view, unsigned how)
{
	struct stripe *s = view->stripe;
	struct item *it = view->item;
	uint64_t *hits;

	/* Pairs with the fence in stripe_change. */
	if (unlikely(load_after_loads(&s->sequence) != view->sequence)) {
		bump_relaxed(&thread_counters(look->store)->read_retries, 1);
		return false;
	}
	if (unlikely(view->ref == 0) || !(how & STORE_READ_COUNT))
		return true;
	if (unlikely(load_relaxed(&it->heat) < look->heat_full))
		item_count(look->store, it);
	else if (unlikely(load_relaxed(&it->atime) != (uint16_t)look->now))
		store_relaxed(&it->atime, (uint16_t)look->now);
	hits = &look->hits[load_relaxed(&look->page_class[(view->ref - 1) >> look->page_shift])];
	bump_relaxed(hits, 1);
	return true;
}

#endif
