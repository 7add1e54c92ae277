/* server/flush_plan.h: the last flush_all of the cluster, as this node has heard of it: when it is due, if it was given with a
 * delay.
 *
 * Each flush_all bears an order, a version; the one with the higher order came later and takes the place of the one before, whether
 * that is due or not. Nodes tell each other theirs when a link comes up, so that one which was away hears of what it has missed. What
 * is due is done by the first node of the list for all of them, and by each other one where that does not happen
 * (server/forward_flush.c).
 */
#ifndef SERVER_FLUSH_PLAN_H
#define SERVER_FLUSH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

struct flush_plan {
	struct lock lock; /* guards what follows */
	uint64_t order;   /* 0 = there was none */
	uint64_t due;     /* ms, as link_now; 0 = it is done, or nothing is to be done */
};

void flush_plan_init(struct flush_plan *plan);
void flush_plan_fini(struct flush_plan *plan);

/* There was a flush of ORDER, in MILLISECONDS from NOW (0: at once, or it is over). False where a later one is known, or it itself. Any
 * thread, as the next ones. */
bool flush_plan_hear(struct flush_plan *plan, uint64_t order, uint64_t now, uint64_t milliseconds);

/* The last one, and in how many milliseconds it is due; 0 = it is over. */
uint64_t flush_plan_tell(struct flush_plan *plan, uint64_t now, uint64_t *milliseconds);

/* Whether it was due at NOW, and has not been done; its order. */
bool flush_plan_due(struct flush_plan *plan, uint64_t now, uint64_t *order);

/* That of ORDER is over. False where it was already, or a later one has taken its place. */
bool flush_plan_done(struct flush_plan *plan, uint64_t order);

#endif
