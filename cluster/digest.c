/* cluster/digest.c: sums of hashes. */
#include "cluster/digest.h"

#include <string.h>
#include <xxhash.h>

void
digest_init(struct digest *d, uint64_t seed)
{
	memset(d, 0, sizeof(*d));
	d->seed = seed;
}

/* The finish of splitmix64: each bit of X reaches all bits. */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t
hash_of(uint64_t seed, struct slice key)
{
	return XXH3_64bits_withSeed(key.ptr, key.len, seed);
}

void
digest_add(struct digest *d, const struct digest_item *item)
{
	uint64_t hash = hash_of(d->seed, item->key);
	uint64_t sum = mix(hash + item->order);

	sum = mix(sum + (uint64_t)item->expiry);
	d->parts[hash % DIGEST_PARTS] += mix(sum + item->marks);
	d->items++;
}

unsigned
digest_part(uint64_t seed, struct slice key)
{
	return (unsigned)(hash_of(seed, key) % DIGEST_PARTS);
}

unsigned
digest_differ(const struct digest *a, const struct digest *b, struct digest_set *set)
{
	unsigned differing = 0;

	memset(set, 0, sizeof(*set));
	for (unsigned i = 0; i < DIGEST_PARTS; i++) {
		if (a->parts[i] == b->parts[i])
			continue;
		set->bits[i / 64] |= UINT64_C(1) << (i % 64);
		differing++;
	}
	return differing;
}
