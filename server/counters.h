/* server/counters.h: the counters of base/tbl/counters.h as a structure.
 *
 * Each worker has one; it is its only writer and uses counter_add. Whoever sums them up reads each word relaxed.
 */
#ifndef SERVER_COUNTERS_H
#define SERVER_COUNTERS_H

#include <stdint.h>

#include "base/atomics.h"

struct counters {
#define COUNTER(name, text) uint64_t name;
#include "base/tbl/counters.h"
#undef COUNTER
};

#define counter_add(worker, name, n) bump_relaxed(&(worker)->counters.name, (uint64_t)(n))

struct counter_baseline;
struct listen_stats;
struct server;

/* What `stats reset` took off: nothing yet. free() it. NULL where memory is out. */
struct counter_baseline *counter_baseline_new(void);

/* The sums over all workers since the last `stats reset`. Any thread. */
void counters_sum(const struct server *server, struct counters *sum);

/* What the accepting side has counted since then. Any thread. */
void counters_listen(const struct server *server, struct listen_stats *stats);

/* From now on both begin at 0. Any thread. */
void counters_reset(struct server *server);

#endif
