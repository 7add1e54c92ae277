/* slab/batch.c: keys, and many of them at once.
 *
 * A look-up is short but for its waiting for memory. So what a pipeline or a multi-get asks for is looked up in steps, each
 * for all keys: the hash, for which only the key is needed; the bucket, which has been fetched meanwhile; the item,
 * likewise; the copy; and the check that all that was seen belongs together (index.c). That also keeps what is the same
 * for all keys in registers.
 */
#include "slab/hot.h"
#include "slab/impl.h"

/* The short forms are a few instructions when the length's cases are seen by the compiler. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#define HASH_SHORT 128u /* the longest of the short forms */

static_assert(HASH_SECRET_SIZE == XXH3_SECRET_DEFAULT_SIZE, "what is made of a seed");

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
hash_of(const struct store *st, const char *data, size_t len)
{
	if (unlikely(len > HASH_SHORT))
		return hash_long(st, data, len);
	return XXH3_64bits_withSecret(data, len, st->hash_secret, HASH_SECRET_SIZE);
}

__attribute__((flatten)) struct store_key
store_key(const struct store *st, const char *data, size_t len)
{
	return (struct store_key){data, (uint16_t)len, 0, 0, hash_of(st, data, len)};
}

/* Where KEY's item is likely to be. */
static ALWAYS_INLINE void
key_guess(const struct store *st, struct store_key *key, const struct bucket *b)
{
	unsigned hits = bucket_match(b, hash_tag(key->hash));

	key->hint = 0;
	if (unlikely(hits == 0))
		return;
	key->hint = load_relaxed(&b->refs[__builtin_ctz(hits)]);
	__builtin_prefetch(item_at(st, key->hint));
}

__attribute__((flatten)) void
store_prepare(const struct store *st, struct store_key *keys, unsigned n)
{
	uint32_t nbuckets = load_acquire(&st->nbuckets);
	uint16_t lapses = thread_lapses;

	for (unsigned i = 0; i < n; i++) {
		uint64_t hash = hash_of(st, keys[i].data, keys[i].len);

		keys[i].hash = hash;
		keys[i].lapses = lapses;
		__builtin_prefetch(stripe_of(st, hash));
		__builtin_prefetch(&st->buckets[bucket_number(hash, nbuckets)]);
	}
	for (unsigned i = 0; i < n; i++)
		key_guess(st, &keys[i], &st->buckets[bucket_number(keys[i].hash, nbuckets)]);
}

/* ---------------------------------------------------------------- reading */

/* Finds it without the hint. */
static __attribute__((noinline)) struct item *
find_anew(const struct store *st, const struct store_key *key, struct store_view *view)
{
	struct slot slot;

	view->ref = index_find(st, key, &slot);
	view->size = 0;
	return view->ref == 0 ? NULL : item_at(st, view->ref);
}

/* False where it is not simple. */
static ALWAYS_INLINE bool
view_begin(const struct store *st, const struct store_key *key, uint16_t lapses, unsigned how,
    struct store_view *view)
{
	struct stripe *s = stripe_of(st, key->hash);
	struct item *it = item_at(st, key->hint);
	uint64_t version;

	view->stripe = s;
	view->sequence = load_acquire(&s->sequence);
	view->ref = key->hint;
	if (unlikely(view->sequence & 1))
		return false;
	if (unlikely(key->hint == 0 || key->lapses != lapses || !item_is_of(it, key)) &&
	    (it = find_anew(st, key, view)) == NULL)
		return true;
	version = view_fill(it, view);
	if (how & STORE_READ_META)
		view_fill_meta(st, it, version, view);
	return likely(!vlen_pinnable(view->size) && !item_dead(st, it));
}

unsigned
store_read_many(struct store *st, const struct store_key *keys, unsigned n, unsigned how,
    struct store_view *views)
{
	uint16_t lapses = thread_lapses;
	unsigned i = 0;

	while (i < n && view_begin(st, &keys[i], lapses, how, &views[i]))
		i++;
	return i;
}

unsigned
store_read_many_end(struct store *st, const struct store_view *views, unsigned n, unsigned how)
{
	struct thread_counters *mine = thread_counters(st);

	for (unsigned i = 0; i < n; i++) {
		struct stripe *s = views[i].stripe;
		uint32_t ref = views[i].ref;

		/* Pairs with the fence in stripe_change. */
		if (unlikely(load_after_loads(&s->sequence) != views[i].sequence)) {
			bump_relaxed(&mine->read_retries, 1);
			return i;
		}
		if (unlikely(ref == 0) || !(how & STORE_READ_COUNT))
			continue;
		item_count(st, item_at(st, ref));
		bump_relaxed(&mine->hits[ref_class(st, ref)], 1);
	}
	return n;
}
