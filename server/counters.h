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

#define COUNTERS_COUNT (sizeof(struct counters) / sizeof(uint64_t))

#define counter_add(worker, name, n) bump_relaxed(&(worker)->counters.name, (uint64_t)(n))

struct server;

/* The sums over all workers since the last `stats reset`. Any thread. */
void counters_sum(const struct server *server, struct counters *sum);

/* From now on counters_sum begins at 0. Any thread. */
void counters_reset(struct server *server);

#endif
