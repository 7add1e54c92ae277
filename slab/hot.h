/* slab/hot.h: what every request does, in line: stripes, and the comparison of keys. The order of the accesses is argued
 * in index.c.
 */
#ifndef SLAB_HOT_H
#define SLAB_HOT_H

#include "slab/impl.h"

static inline void stripe_lock(struct stripe *s) ACQUIRES(s->lock);
static inline void stripe_unlock(struct stripe *s) RELEASES(s->lock);

/* The stripe is locked. From here to stripe_unlock readers without a lock start again. */
static inline void stripe_change(struct stripe *s) ASSERTS_HELD(s->lock);

static inline void
stripe_lock(struct stripe *s)
{
	lock_take(&s->lock);
}

static inline void
stripe_change(struct stripe *s)
{
	uint32_t sequence = load_relaxed(&s->sequence);

	lock_assert_held(&s->lock);
	if (sequence & 1)
		return;
	store_relaxed(&s->sequence, sequence + 1);
	fence_stores_after(&s->sequence);
}

static inline void
stripe_unlock(struct stripe *s)
{
	uint32_t sequence = load_relaxed(&s->sequence);

	if (sequence & 1)
		store_release(&s->sequence, sequence + 1);
	lock_drop(&s->lock);
}

#if defined(TSAN_BUILD)
static inline bool
bytes_equal(const char *a, const char *b, size_t n)
{
	while (n > 0 && load_relaxed(&a[n - 1]) == b[n - 1])
		n--;
	return n == 0;
}
#else
static inline bool
words_equal(const char *a, const char *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x == y;
}

/* Keys are short: words, the last one overlapping, beat a call. */
static inline bool
bytes_equal(const char *a, const char *b, size_t n)
{
	if (likely(n >= 8)) {
		for (size_t i = 0; i + 8 < n; i += 8)
			if (!words_equal(a + i, b + i))
				return false;
		return words_equal(a + n - 8, b + n - 8);
	}
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i])
			return false;
	return true;
}
#endif

static inline bool
item_matches(const struct item *it, const struct store_key *key)
{
	return load_relaxed(&it->nkey) == key->len && bytes_equal(it->data, key->data, key->len);
}

/* Whether KEY's hint (not 0) is the item under KEY: its version says that it is linked, and no two linked items have one
 * key. To be believed as index_find is. */
static inline bool
index_hint_holds(const struct store *st, const struct store_key *key)
{
	struct item *it = item_at(st, key->hint);
	uint64_t version = load_acquire(&it->version);

	return key->lapses == thread_lapses && (version & ~VERSION_EXT) != 0 &&
	    item_matches(it, key) && load_after_loads(&it->version) == version;
}

/* Splits a few buckets where the index is fuller than it should be. No lock may be held. */
static inline void
index_grow(struct store *st)
{
	if (unlikely(load_relaxed(&st->items) > index_room(st)))
		index_split_some(st);
}

#endif
