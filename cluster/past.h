/* cluster/past.h: what a node may still have from topologies before, and must not take for the present state.
 *
 * Who holds a key hears of its changes. Who does not hold it any more keeps what it had until a walk over its store has removed that,
 * and it grows old meanwhile: should the node come to hold the key again, in a topology after, it must not count. So a topology whose
 * walk is not over when the next one comes is remembered, until a walk is over:
 *
 *	epochs       5 (walk over)    6          7          8 (present)
 *	remembered                    [6, until 7] <- [7, until 8]
 *
 * An item is stale if it is older than the end of a remembered topology in which this node did not hold it. Where a node
 * has missed topologies between its own and the next one, nobody can say what it did not hear of: all it has is stale.
 *
 * Pure; chains are immutable once others see them.
 */
#ifndef CLUSTER_PAST_H
#define CLUSTER_PAST_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/topology.h"

struct past;

/* T, which is the chain's from now on and in which NODE_ID is the node that asks, ended with the epoch UNTIL, behind those of BEFORE
 * (NULL = none). NULL where memory is out. */
struct past *past_new(struct past *before, struct topology *t, uint64_t node_id, uint64_t until);

/* The same, and all that is older than UNTIL is stale. */
struct past *past_unknown(struct topology *t, uint64_t until);

/* The chain with its topologies. */
void past_free(struct past **past);

/* How long it is. */
unsigned past_length(const struct past *past);

/* Whether an item of ORDER whose key has POINT is stale. */
bool past_is_stale(const struct past *past, uint32_t point, uint64_t order);

#endif
