/* server/counters.c: see counters.h. A counter never goes down, because its writer may be adding to it; a reset
 * notes what it stands at, and that is taken off from then on. What was noted is loaded before the counters are (acquire, pairs with
 * the release of the reset): the other way round a reset between would leave less than nothing. */
#include "server/counters.h"

#include <stdlib.h>

#include "server/server.h"
#include "server/worker.h"

struct counter_baseline {
	struct counters counters;
	struct listen_stats listen;
};

struct counter_baseline *
counter_baseline_new(void)
{
	return calloc(1, sizeof(struct counter_baseline));
}

/* Adds all that WORKERS have counted. */
static void
sum_all(const struct server *server, struct counters *sum)
{
	*sum = (struct counters){0};
	for (uint32_t i = 0; i < server->worker_count; i++) {
		const struct counters *from = &server->workers[i]->counters;

#define COUNTER(name, text) sum->name += load_relaxed(&from->name);
#include "base/tbl/counters.h"
#undef COUNTER
	}
}

void
counters_sum(const struct server *server, struct counters *sum)
{
	const struct counters *base = &server->baseline->counters;
	struct counters before;

#define COUNTER(name, text) before.name = load_acquire(&base->name);
#include "base/tbl/counters.h"
#undef COUNTER
	sum_all(server, sum);
#define COUNTER(name, text) sum->name -= before.name;
#include "base/tbl/counters.h"
#undef COUNTER
}

void
counters_reset(struct server *server)
{
	struct counters *base = &server->baseline->counters;
	struct listen_stats *listen = &server->baseline->listen, listen_now;
	struct counters now;

	sum_all(server, &now);
#define COUNTER(name, text) store_release(&base->name, now.name);
#include "base/tbl/counters.h"
#undef COUNTER
	if (server->listen == NULL)
		return;
	listen_stats(server->listen, &listen_now);
	store_release(&listen->rejected, listen_now.rejected);
	store_release(&listen->disabled_num, listen_now.disabled_num);
}

void
counters_listen(const struct server *server, struct listen_stats *stats)
{
	const struct listen_stats *base = &server->baseline->listen;
	uint64_t rejected = load_acquire(&base->rejected);
	uint64_t disabled_num = load_acquire(&base->disabled_num);

	*stats = (struct listen_stats){0};
	if (server->listen == NULL)
		return;
	listen_stats(server->listen, stats);
	stats->rejected -= rejected;
	stats->disabled_num -= disabled_num;
}
