/* server/route.c: see route.h. */
#include "server/route.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/ring.h"
#include "cluster/topology.h"
#include "server/cluster.h"
#include "server/forward_impl.h"
#include "server/replicate.h"
#include "server/settings.h"
#include "server/worker.h"
#include "slab/look.h"

#define ROUTE_COPY 0x8000u
#define ROUTE_NODE 0x7fffu

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
	memset(cache, 0, sizeof(*cache));
}

/* Asks the ring. Where nobody may answer, it is a node that there is not. */
static uint64_t
ask_ring(struct worker *w, const struct store_key *key)
{
	const struct cluster_worker *cw = w->cluster;
	bool copies = w->server->settings->read_replicas;
	uint16_t holders[TOPOLOGY_REPLICAS_MAX + 1];
	uint32_t point = ring_hash_key(cw->forward->hash, slice_of(key->data, key->len));
	unsigned n =
	    topology_holders(cw->topology, point, holders, copies ? TOPOLOGY_REPLICAS_MAX + 1 : 1);
	uint64_t copy = 0;

	counter_add(w, route_misses, 1);
	if (unlikely(cw->past != NULL))
		replicate_forget(cw->replicate, key);
	for (unsigned i = 1; i < n; i++)
		if (holders[i] == cw->self)
			copy = ROUTE_COPY;
	return copy | (n > 0 ? holders[0] + 1u : ROUTE_NODE);
}

/* Whether KEY is here and is not another node's, which spares the ring's hash: what this node holds by itself bears no mark of
 * copies, once all items have been marked for this topology. */
static bool
is_held(struct worker *w, const struct store_key *key)
{
	const struct cluster_worker *cw = w->cluster;
	const struct look look = look_of(w->store);
	struct store_view view;
	bool held;

	if (replicate_marked(cw->replicate) != topology_epoch(cw->topology) ||
	    look_any(&look, key, STORE_READ_META, &view) != LOOK_ITEM)
		return false;
	held = !(view.marks & STORE_COPY);
	return look_end(&look, &view, STORE_READ_META) && held;
}

static __attribute__((noinline)) uint64_t
learn(struct worker *w, const struct store_key *key, struct route_set *set)
{
	for (unsigned i = ROUTE_WAYS - 1; i > 0; i--)
		set->slots[i] = set->slots[i - 1];
	set->slots[0] = (key->hash & ~(uint64_t)UINT16_MAX) |
	    (is_held(w, key) ? w->cluster->self + 1u : ask_ring(w, key));
	return set->slots[0];
}

/* What is known of KEY. */
static inline uint64_t
lookup(struct worker *w, const struct store_key *key)
{
	struct route_set *set = &w->cluster->forward->routes->sets[key->hash % ROUTE_SETS];

	for (unsigned i = 0; i < ROUTE_WAYS; i++)
		if ((set->slots[i] ^ key->hash) <= UINT16_MAX && set->slots[i] != 0)
			return set->slots[i];
	return learn(w, key, set);
}

int
route(struct worker *w, const struct store_key *key, bool reads)
{
	uint64_t known = lookup(w, key);
	unsigned node = (unsigned)(known & ROUTE_NODE) - 1;

	if (node == w->cluster->self)
		return ROUTE_LOCAL;
	return reads && (known & ROUTE_COPY) ? ROUTE_LOCAL : (int)node;
}
