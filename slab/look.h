/* slab/look.h: reading prepared keys one after the other, in line. The second face of this folder, for the few loops in which a
 * call and a struct store_view in memory for each key would be a good part of the work; everybody else takes
 * store_read_begin. What this header includes stays the folder's own.
 *
 *	look = look_of(st);
 *	for each KEY, if look_hinted says so of those prepared with it:
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
	struct stripe *stripes;
	const char *base;
	const uint8_t *page_class;
	uint64_t *hits; /* of this thread, by class */
	uint64_t stripe_bits;
	uint32_t page_shift;
	uint32_t mortal;    /* from this expiry on an item may be dead: 0 where there was a flush */
	uint32_t heat_full; /* from here on a hit does not raise the hit counter */
	uint16_t now;
};

static ALWAYS_INLINE struct look
look_of(struct store *st)
{
	return (struct look){
	    .store = st,
	    .stripes = st->stripes,
	    .base = st->chunk_base,
	    .page_class = st->page_class,
	    .hits = thread_counters(st)->hits,
	    .stripe_bits = st->stripe_bits,
	    .page_shift = st->page_shift,
	    .mortal = load_relaxed(&st->flush_version) == 0,
	    .now = (uint16_t)load_relaxed(&st->now),
	    .heat_full = st->heat_full,
	};
}

/* Whether the hints of keys that were prepared together with KEY can be believed. If not, look_any finds them. */
static ALWAYS_INLINE bool
look_hinted(const struct store_key *key)
{
	return likely(key->lapses == thread_lapses);
}

/* Whether IT, which can expire or be flushed, has been. */
bool look_is_dead(const struct store *st, const struct item *it);

/* Whether a value of SIZE can be copied out of a view. */
static inline bool
look_copies(uint32_t size)
{
	return likely(!vlen_pinnable(size));
}

/* Whether KEY leads straight to an item without flags, as most keys do: then VERSION, FLAGS, SIZE and VALUE are filled in, with
 * STORE_READ_META all. Whether the value can be copied is for the caller to see (look_copies). */
static ALWAYS_INLINE bool
look_plain(
    const struct look *look, const struct store_key *key, unsigned how, struct store_view *view)
{
	const char *data = key->data;
	size_t len = key->len;
	struct stripe *s = stripe_at(look->stripes, key->hash, look->stripe_bits);
	/* An odd one is not what look_end finds. */
	uint32_t sequence = load_acquire(&s->sequence) & ~UINT32_C(1);
	struct item *it = key->hint;
	uint64_t version;

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
	};
	if (how & STORE_READ_META)
		view_fill_meta(look->store, it, version, view);
	return likely(item_expiry(it) < look->mortal) || !look_is_dead(look->store, it);
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
	struct stripe *s = stripe_of(look->store, key->hash);
	uint32_t sequence = load_acquire(&s->sequence);
	struct slot slot;
	struct item *it;
	uint64_t version;

	if (unlikely(sequence & 1))
		return LOOK_HARD;
	it = index_find_item(look->store, key, &slot);
	*view = (struct store_view){.stripe = s, .sequence = sequence, .item = it};
	if (it == NULL)
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
	size_t page;

	/* Pairs with the fence in stripe_change. */
	if (unlikely(load_after_loads(&s->sequence) != view->sequence)) {
		bump_relaxed(&thread_counters(look->store)->read_retries, 1);
		return false;
	}
	if (unlikely(it == NULL) || !(how & STORE_READ_COUNT))
		return true;
	if (unlikely(load_relaxed(&it->heat) < look->heat_full))
		item_count(look->store, it);
	else if (unlikely(load_relaxed(&it->atime) != look->now))
		store_relaxed(&it->atime, look->now);
	/* As item_class. */
	page = ((size_t)((const char *)it - look->base) - 1) >> look->page_shift;
	hits = &look->hits[load_relaxed(&look->page_class[page])];
	bump_relaxed(hits, 1);
	return true;
}

#endif
