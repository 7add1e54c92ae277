/* slab/hot.h: what every request does, in line: stripes and buckets, the comparison of tags and keys, views. The order of the accesses is argued
 * in index.c.
 */
#ifndef SLAB_HOT_H
#define SLAB_HOT_H

#include "slab/impl.h"

#if defined(__SSE2__) && !defined(TSAN_BUILD)
#include <emmintrin.h>
#endif

/* ---------------------------------------------------------------- places of a hash */

static inline uint8_t
hash_tag(uint64_t hash)
{
	unsigned tag = (unsigned)(hash >> 56);

	return (uint8_t)(tag + (tag < 1));
}

/* Stripes and buckets, which take CACHE_LINE bytes each, are chosen by the same bits of a hash, which are the offset of one as they
 * are. The lowest bits are not used. */
#define HASH_LINES(n) ((uint64_t)(n)*CACHE_LINE)

static_assert(sizeof(struct stripe) == CACHE_LINE, "a number of them is HASH_LINES long");

static inline struct stripe *
stripe_at(struct stripe *stripes, uint64_t hash, uint64_t bits)
{
	return (struct stripe *)(void *)((char *)stripes + (hash & bits));
}

static inline struct stripe *
stripe_of(const struct store *st, uint64_t hash)
{
	return stripe_at(st->stripes, hash, st->stripe_bits);
}

static inline struct stripe *
stripe_of_bucket(const struct store *st, uint32_t number)
{
	return stripe_of(st, HASH_LINES(number));
}

/* Linear hashing: of N buckets those below (N - 2^k) are split already. Returns the offset of the one for HASH. */
static inline uint64_t
bucket_offset(uint64_t hash, uint32_t n)
{
	uint64_t mask = HASH_LINES(UINT32_MAX >> __builtin_clz(n));
	uint64_t offset = hash & mask;

	return offset < HASH_LINES(n) ? offset : offset & mask >> 1;
}

static inline uint32_t
bucket_number(uint64_t hash, uint32_t n)
{
	return (uint32_t)(bucket_offset(hash, n) / CACHE_LINE);
}

static inline struct bucket *
bucket_at(struct bucket *buckets, uint64_t hash, uint32_t n)
{
	return (struct bucket *)(void *)((char *)buckets + bucket_offset(hash, n));
}

static inline struct bucket *
bucket_of(const struct store *st, uint64_t hash)
{
	return bucket_at(st->buckets, hash, load_acquire(&st->nbuckets));
}

/* ---------------------------------------------------------------- stripes */

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

/* The slots of B whose tag is TAG, as bits. */
static inline unsigned
bucket_match(const struct bucket *b, uint8_t tag)
{
#if defined(__SSE2__) && !defined(TSAN_BUILD)
	__m128i line = _mm_load_si128((const __m128i *)(const void *)b);
	__m128i hits = _mm_cmpeq_epi8(line, _mm_set1_epi32((int)(tag * 0x01010101u)));

	return (unsigned)_mm_movemask_epi8(hits) & SLOTS_ALL;
#else
	unsigned hits = 0;

	for (unsigned i = 0; i < BUCKET_SLOTS; i++)
		hits |= (unsigned)(load_relaxed(&b->tags[i]) == tag) << i;
	return hits;
#endif
}

/* The same of the tag that HASH has. */
static inline unsigned
bucket_match_hash(const struct bucket *b, uint64_t hash)
{
#if defined(__SSE2__) && !defined(TSAN_BUILD)
	__m128i line = _mm_load_si128((const __m128i *)(const void *)b);
	__m128i top = _mm_set1_epi32((int)((uint32_t)(hash >> 56) * 0x01010101u));
	__m128i tags = _mm_max_epu8(top, _mm_set1_epi8(1)); /* as hash_tag */

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(line, tags)) & SLOTS_ALL;
#else
	return bucket_match(b, hash_tag(hash));
#endif
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
#if defined(__SSE2__)
static inline __m128i
chunk_of(const char *p)
{
	return _mm_loadu_si128((const __m128i_u *)p);
}
#endif

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
words_all_equal(const char *a, const char *b, size_t n)
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

static ALWAYS_INLINE bool
bytes_equal(const char *a, const char *b, size_t n)
{
#if defined(__SSE2__)
	if (likely(n - 16 <= 16)) {
		__m128i first = _mm_cmpeq_epi8(chunk_of(a), chunk_of(b));
		__m128i last = _mm_cmpeq_epi8(chunk_of(a + n - 16), chunk_of(b + n - 16));

		if (likely(_mm_movemask_epi8(_mm_and_si128(first, last)) == 0xffff))
			return true;
		return false;
	}
#endif
	return words_all_equal(a, b, n);
}
#endif

static inline bool
item_matches(const struct item *it, const struct store_key *key)
{
	return load_relaxed(&it->nkey) == key->len && bytes_equal(it->data, key->data, key->len);
}

/* Whether IT is the item under KEY: its version says that it is linked, and no two linked items have one key. To be
 * believed as index_find is. What changes under the reader does not deceive him: when he has seen the key that somebody writes
 * into a chunk taken anew, the version there is that of an item in the making, and so not what he saw before. */
static inline bool
item_is_of(struct item *it, const struct store_key *key)
{
	uint64_t version = version_load_first(it);

	return version << 1 != 0 && item_matches(it, key) && version_load_last(it) == version;
}

/* The hint of a key that was not seen: an item that is not linked. Nobody writes there. */
extern struct item hint_none;

/* Whether KEY's hint leads to an item. */
static inline bool
index_hint_holds(const struct store_key *key)
{
	return key->lapses == thread_lapses && item_is_of(key->hint, key);
}

/* As index_find, by the hint where it leads to an item; then *SLOT stays as it is. NULL = there is none. */
static inline struct item *
index_find_item(const struct store *st, const struct store_key *key, struct slot *slot)
{
	uint32_t ref;

	if (likely(index_hint_holds(key)))
		return key->hint;
	ref = index_find(st, key, slot);
	return ref == 0 ? NULL : item_at(st, ref);
}

/* Counts a read of IT with an LFU counter. */
void item_count_lfu(const struct store *st, struct item *it);

/* Remembers for store_heat_take that a read has raised the hit counter of IT. */
static inline void
heat_note(const struct store *st, const struct item *it)
{
	struct thread_counters *mine = thread_counters(st);

	mine->heated[mine->heats++ % HEATED_MAX] = ref_of(st, it);
}

/* Raises the hit counter of IT, which is HEAT. */
static inline void
item_heat(const struct store *st, struct item *it, unsigned heat)
{
	store_relaxed(&it->heat, (uint8_t)((heat + 1) | HEAT_FETCHED));
	if (unlikely(load_relaxed(&st->replicated)))
		heat_note(st, it);
}

/* Counts a read of IT. Writes only what changes: a hot item's line stays shared between the cores. */
static inline void
item_count(const struct store *st, struct item *it)
{
	unsigned heat = load_relaxed(&it->heat);
	uint16_t now = (uint16_t)load_relaxed(&st->now);

	if (unlikely(st->lfu))
		item_count_lfu(st, it);
	else if (heat < (HEAT_FETCHED | HITS_MAX))
		item_heat(st, it, heat);
	if (load_relaxed(&it->atime) != now)
		store_relaxed(&it->atime, now);
}

/* Fills in what of IT every reader is told. One without a lock may see nonsense here, but SIZE stays within what a
 * chunk can hold. Returns what view_fill_meta wants to know. */
static inline uint64_t
view_fill(const struct item *it, struct store_view *view)
{
	uint64_t version = version_load(it), shown = version & ~VERSION_COPY;
	uint32_t nkey = load_relaxed(&it->nkey), vlen = load_relaxed(&it->vlen);
	uint32_t flags = 0, ext_size = 0;

	if (unlikely(version & VERSION_EXT)) {
		const char *ext = it->data + nkey;

		ext_size = item_ext_size(load_relaxed((const unsigned char *)ext) & EXT_ALL);
		flags = ext_flags(ext);
		shown = version & ~VERSION_EXT;
	}
	view->version = shown;
	view->flags = flags;
	view->size = vlen;
	view->value = (const char *)it + value_offset(nkey, ext_size, vlen);
	return version;
}

/* What STORE_READ_META adds. */
static inline void
view_fill_meta(
    const struct store *st, const struct item *it, uint64_t version, struct store_view *view)
{
	uint32_t life = load_relaxed(&it->life);
	uint64_t kind = version & VERSION_EXT
	    ? load_relaxed((const unsigned char *)it->data + load_relaxed(&it->nkey))
	    : version >> 59 & EXT_COPY;

	static_assert(VERSION_COPY >> 59 == EXT_COPY, "bits");
	static_assert(EXT_TAGGED == STORE_TAGGED && EXT_COPY == STORE_COPY, "bits");
	view->exptime = life & LIFE_EXPIRY;
	view->marks = (uint8_t)(((life & LIFE_STALE) ? STORE_STALE : 0) |
	    ((life & LIFE_WON) ? STORE_WON : 0) | (kind & (STORE_TAGGED | STORE_COPY)));
	view->fetched = load_relaxed(&it->heat) & HEAT_FETCHED;
	view->age = (uint16_t)(load_relaxed(&st->now) - load_relaxed(&it->atime));
}

/* Splits a few buckets where the index is fuller than it should be. No lock may be held. */
static inline void
index_grow(struct store *st)
{
	if (unlikely(load_relaxed(&st->items) > index_room(st)))
		index_split_some(st);
}

#endif
