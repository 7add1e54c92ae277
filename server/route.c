/* server/route.c: see route.h. */
#include "server/route.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/ring.h"
#include "cluster/topology.h"
#include "server/cluster.h"
#include "server/forward_impl.h"
#include "server/settings.h"
#include "server/worker.h"

struct route_cache *
route_cache_new(void)
{
	return calloc(1, sizeof(struct route_cache));
}

void
route_cache_free(struct route_cache **cache)
{
	free(*cache);
	*cache = NULL;
}

void
route_cache_clear(struct route_cache *cache)
{
	memset(cache->slots, 0, sizeof(cache->slots));
}

uint64_t
route_learn(struct worker *w, const struct store_key *key, uint64_t *slot)
{
	const struct cluster_worker *cw = w->cluster;
	uint16_t holders[TOPOLOGY_REPLICAS_MAX + 1];
	uint32_t point = ring_hash_key(cw->forward->hash, slice_of(key->data, key->len));
	unsigned n = topology_holders(cw->topology, point, holders, TOPOLOGY_REPLICAS_MAX + 1);
	uint64_t copy = 0;

	counter_add(w, route_misses, 1);
	for (unsigned i = 1; i < n; i++)
		if (holders[i] == cw->self)
			copy = ROUTE_COPY;
	*slot = (key->hash & ~(uint64_t)UINT16_MAX) | copy | (n > 0 ? holders[0] + 1u : ROUTE_NODE);
	return *slot;
}

/* What is known of KEY. */
static inline uint64_t
lookup(struct worker *w, const struct store_key *key)
{
	uint64_t *slot = &w->cluster->forward->routes->slots[key->hash % ROUTE_SLOTS];

	if (likely((*slot ^ key->hash) <= UINT16_MAX && (*slot & ROUTE_NODE) != 0))
		return *slot;
	return route_learn(w, key, slot);
}

int
route(struct worker *w, const struct store_key *key, bool reads)
{
	uint64_t known = lookup(w, key);
	unsigned node = (unsigned)(known & ROUTE_NODE) - 1;

	if (node == w->cluster->self)
		return ROUTE_LOCAL;
	if (reads && (known & ROUTE_COPY) && w->server->settings->read_replicas)
		return ROUTE_LOCAL;
	return (int)node;
}
