/* server/route.h: which node a key belongs to, as a worker sees it in this turn.
 *
 * The ring asks for the MD5 of a key; the store's own 64-bit hash of it has been made already. So each worker remembers, by
 * that hash, what came out, in a table of its own. The hash's low 16 bits name a set of four slots, the latest first:
 *
 *	[hash, its upper 48 bits][c][node + 1, 15 bits]    0 = empty; c: a copy of the key is kept here
 *
 * The hash is seeded by chance, so nobody can make two keys share all 64 bits; where it should happen all the same, a
 * node that does not own the key refuses it. A new topology empties the table. All calls are the owning worker's.
 */
#ifndef SERVER_ROUTE_H
#define SERVER_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "slab/store.h"

struct worker;

enum { ROUTE_LOCAL = -1 };

#define ROUTE_SETS 65536u
#define ROUTE_WAYS 4u

struct route_set {
	uint64_t slots[ROUTE_WAYS];
};

struct route_cache {
	struct route_set sets[ROUTE_SETS];
};

/* NULL where memory is out. */
struct route_cache *route_cache_new(void);
void route_cache_free(struct route_cache **cache);

/* Forgets all. */
void route_cache_clear(struct route_cache *cache);

/* Before routes of many keys: what is known of KEY is fetched into the cache. */
static inline void
route_prefetch(const struct route_cache *cache, const struct store_key *key)
{
	__builtin_prefetch(&cache->sets[key->hash % ROUTE_SETS]);
}

/* The node of KEY by its index in the topology, or ROUTE_LOCAL: this one. With READS a copy here is as good, where reads from
 * copies are allowed. Only where the worker has a cluster. */
int route(struct worker *w, const struct store_key *key, bool reads);

/* Whether this node is KEY's primary. */
static inline bool
route_is_ours(struct worker *w, const struct store_key *key)
{
	return route(w, key, false) == ROUTE_LOCAL;
}

#endif
