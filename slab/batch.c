/* slab/batch.c: keys, and many of them at once.
 *
 * A look-up is short but for its waiting for memory. So what a pipeline or a multi-get asks for is looked up in steps, each
 * for all keys: the hash, for which only the key is needed; the bucket, which has been fetched meanwhile; the item,
 * likewise; the copy; and the check that all that was seen belongs together (index.c). That also keeps what is the same
 * for all keys in registers. The last two steps are one, in line at whoever copies (look.h).
 */
#include "slab/look.h"

/* The short forms are a few instructions when the length's cases are seen by the compiler. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#define HASH_SHORT 128u /* the longest of the short forms */

/* Most keys are as long. */
#define HASH_MOST    17u
#define HASH_MOST_TO 32u

static_assert(HASH_SECRET_SIZE == XXH3_SECRET_DEFAULT_SIZE, "what is made of a seed");

struct item hint_none;

/* ---------------------------------------------------------------- keys */

void
hash_init(struct store *st, uint64_t seed)
{
	XXH3_generateSecret_fromSeed(st->hash_secret, seed);
}

static __attribute__((noinline)) uint64_t
hash_long(const struct store *st, const char *data, size_t len)
{
	return XXH3_64bits_withSecret(data, len, st->hash_secret, HASH_SECRET_SIZE);
}

static ALWAYS_INLINE uint64_t
hash_short(const struct store *st, const char *data, size_t len)
{
	if (unlikely(len > HASH_SHORT))
		return hash_long(st, data, len);
	return XXH3_64bits_withSecret(data, len, st->hash_secret, HASH_SECRET_SIZE);
}

static ALWAYS_INLINE bool
hash_is_most(size_t len)
{
	return likely(len - HASH_MOST <= HASH_MOST_TO - HASH_MOST);
}

static ALWAYS_INLINE uint64_t
hash_most(const struct store *st, const char *data, size_t len)
{
	if (len < HASH_MOST || len > HASH_MOST_TO)
		__builtin_unreachable(); /* tells the compiler which of the forms it is */
	return XXH3_64bits_withSecret(data, len, st->hash_secret, HASH_SECRET_SIZE);
}

static ALWAYS_INLINE uint64_t
hash_of(const struct store *st, const char *data, size_t len)
{
	return hash_is_most(len) ? hash_most(st, data, len) : hash_short(st, data, len);
}

__attribute__((flatten, noinline)) static uint64_t
hash_other(const struct store *st, const char *data, size_t len)
{
	return hash_short(st, data, len);
}

__attribute__((flatten)) struct store_key
store_key(const struct store *st, const char *data, size_t len)
{
	return (struct store_key){data, (uint16_t)len, 0, hash_of(st, data, len), &hint_none};
}

/* Where the item with HASH is likely to be, by B. BASE is the store's, MAP as well where references are by page, else NULL. */
static ALWAYS_INLINE void *
bucket_guess(const struct bucket *b, uint64_t hash, char *base, const struct page_map *map)
{
	const uint32_t *refs = b->refs;
	unsigned hits = bucket_match_hash(b, hash);
	uint32_t ref;

	if (unlikely(hits == 0))
		return &hint_none;
	ref = load_relaxed(refs + __builtin_ctz(hits));
	if (unlikely(ref == 0))
		return &hint_none;
	return map != NULL ? chunk_by_page(map, ref) : chunk_by_unit(base, ref);
}

__attribute__((flatten)) void
store_prepare_one(const struct store *st, struct store_key *key)
{
	uint64_t hash = hash_is_most(key->len) ? hash_most(st, key->data, key->len)
					       : hash_other(st, key->data, key->len);

	key->hash = hash;
	key->lapses = thread_lapses;
	if (unlikely(st->by_page)) {
		struct page_map map = page_map_of(st);

		key->hint = bucket_guess(bucket_of(st, hash), hash, NULL, &map);
	} else {
		key->hint = bucket_guess(bucket_of(st, hash), hash, st->chunk_base, NULL);
	}
}

/* The first step for KEY, which has HASH: HINT is its bucket until the second. */
static ALWAYS_INLINE void
prepare_bucket(const struct store *st, struct store_key *key, uint64_t hash, uint32_t nbuckets)
{
	key->hash = hash;
	key->lapses = thread_lapses;
	key->hint = bucket_at(st->buckets, hash, nbuckets);
	__builtin_prefetch(stripe_of(st, hash));
	__builtin_prefetch(key->hint);
}

/* That step for KEYS up to END, as long as they are of most lengths, or of others; returns where it ended. Two loops, so that what
 * the one keeps in registers need not survive the calls of the other. */
__attribute__((flatten, noinline)) static struct store_key *
prepare_most(const struct store *st, struct store_key *keys, const struct store_key *end)
{
	const uint32_t nbuckets = load_acquire(&st->nbuckets);

	for (; keys != end && hash_is_most(keys->len); keys++)
		prepare_bucket(st, keys, hash_most(st, keys->data, keys->len), nbuckets);
	return keys;
}

__attribute__((flatten, noinline)) static struct store_key *
prepare_others(const struct store *st, struct store_key *keys, const struct store_key *end)
{
	const uint32_t nbuckets = load_acquire(&st->nbuckets);

	for (; keys != end && !hash_is_most(keys->len); keys++)
		prepare_bucket(st, keys, hash_short(st, keys->data, keys->len), nbuckets);
	return keys;
}

/* The second step for KEYS up to END. */
static ALWAYS_INLINE void
prepare_items(
    struct store_key *keys, const struct store_key *end, char *base, const struct page_map *map)
{
	for (struct store_key *key = keys; key != end; key++) {
		key->hint = bucket_guess(key->hint, key->hash, base, map);
		__builtin_prefetch(key->hint);
	}
}

__attribute__((noinline)) static void
prepare_items_by_page(const struct store *st, struct store_key *keys, const struct store_key *end)
{
	const struct page_map map = page_map_of(st);

	prepare_items(keys, end, NULL, &map);
}

__attribute__((flatten)) void
store_prepare(const struct store *st, struct store_key *keys, unsigned n)
{
	const struct store_key *end = keys + n;
	struct store_key *key = keys;

	while ((key = prepare_most(st, key, end)) != end)
		key = prepare_others(st, key, end);
	if (unlikely(st->by_page))
		prepare_items_by_page(st, keys, end);
	else
		prepare_items(keys, end, st->chunk_base, NULL);
}

/* ---------------------------------------------------------------- reading */

bool
look_is_dead(const struct store *st, const struct item *it)
{
	return item_dead(st, it);
}
