/* cluster/digest.h: two nodes compare what they both hold, without sending it.
 *
 * Keys fall into DIGEST_PARTS partitions by a hash. A partition's digest is the sum, modulo 2^64, of one number for each of
 * its items, made of all that must be the same on both sides: so it does not depend on the order, and an item can be
 * taken off. Only partitions whose digests differ are then compared item by item.
 *
 * The seed of the hash is chosen anew for each comparison: two items that cancel each other out once do not do so again.
 */
#ifndef CLUSTER_DIGEST_H
#define CLUSTER_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define DIGEST_PARTS 4096u

struct digest {
	uint64_t seed;
	uint64_t items;
	uint64_t parts[DIGEST_PARTS];
};

/* What must be the same on both sides. The value need not be looked at: the order stands for it. */
struct digest_item {
	struct slice key;
	uint64_t order;
	int64_t expiry; /* seconds of the calendar; 0 = never */
	uint8_t marks;
};

/* A set of partitions. */
struct digest_set {
	uint64_t bits[DIGEST_PARTS / 64];
};

void digest_init(struct digest *d, uint64_t seed);
void digest_add(struct digest *d, const struct digest_item *item);

/* The partition of KEY in comparisons with that seed. */
unsigned digest_part(uint64_t seed, struct slice key);

/* Which partitions of two digests with one seed differ; returns how many. */
unsigned digest_differ(const struct digest *a, const struct digest *b, struct digest_set *set);

static inline bool
digest_set_has(const struct digest_set *set, unsigned part)
{
	return set->bits[part / 64] >> (part % 64) & 1;
}

#endif
