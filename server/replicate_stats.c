/* server/replicate_stats.c: how replication is doing: `stats replication`. */
#include <stddef.h>
#include <stdio.h>

#include "base/atomics.h"
#include "server/cluster.h"
#include "server/replicate_impl.h"
#include "server/replicate_link.h"
#include "server/stats.h"
#include "server/worker.h"

void
counts_add(struct peer_counts *sum, const struct peer_counts *counts)
{
	uint64_t *to = (uint64_t *)(void *)sum;
	const uint64_t *from = (const uint64_t *)(const void *)counts;

	for (size_t i = 0; i < offsetof(struct peer_counts, lag_operations) / sizeof(*to); i++)
		to[i] += load_relaxed(&from[i]);
}

/* The delay that PERCENT of all were not above. */
static uint64_t
quantile(const uint64_t delays[DELAYS], unsigned percent)
{
	uint64_t all = 0, seen = 0;
	unsigned i;

	for (i = 0; i < DELAYS; i++)
		all += delays[i];
	if (all == 0)
		return 0;
	for (i = 0; i < DELAYS - 1 && (seen += delays[i]) * 100 < all * percent; i++)
		;
	return UINT64_C(1) << i;
}

/* The worst of all workers. */
static void
add_levels(const struct peer_counts *c, uint64_t now, struct replicate_stats *stats)
{
	uint64_t operations = load_relaxed(&c->lag_operations);
	uint64_t bytes = load_relaxed(&c->lag_bytes), since = load_relaxed(&c->lag_since);
	uint64_t us = since != 0 && now > since ? now - since : 0;

	stats->links += load_relaxed(&c->links);
	if (operations > stats->lag_operations)
		stats->lag_operations = operations;
	if (bytes > stats->lag_bytes)
		stats->lag_bytes = bytes;
	if (us > stats->lag_us)
		stats->lag_us = us;
}

static void
add_worker(const struct replicate_worker *w, uint64_t node_id, uint64_t now,
    struct peer_counts *sum, struct replicate_stats *stats)
{
	const struct replicate_end *end;

	LIST_FOREACH(end, &w->ends, entry) {
		if (end->peer->id != node_id)
			continue;
		counts_add(sum, &end->counts);
		add_levels(&end->counts, now, stats);
	}
}

void
replicate_stats(struct replicate *r, uint64_t node_id, struct replicate_stats *stats)
{
	const struct replicate_peer *peer = replicate_peer(r, node_id);
	struct peer_counts sum = {0};
	uint64_t now = r->means->clock();

	*stats = (struct replicate_stats){0};
	lock_take(&r->lock);
	if (peer != NULL) {
		sum = peer->past;
		stats->compared = load_relaxed(&peer->compared);
	}
	for (unsigned i = 0; i < r->options.workers; i++)
		if (r->workers[i] != NULL)
			add_worker(r->workers[i], node_id, now, &sum, stats);
	lock_drop(&r->lock);
	stats->sent = sum.sent;
	stats->applied = sum.applied;
	stats->stale = sum.stale;
	stats->refused = sum.refused;
	stats->resumes = sum.resumes;
	stats->overruns = sum.overruns;
	stats->comparisons = sum.comparisons;
	stats->parts_compared = sum.parts_compared;
	stats->parts_differing = sum.parts_differing;
	stats->compared_sent = sum.compared_sent;
	stats->heat_sent = sum.heat_sent;
	stats->heat_applied = sum.heat_applied;
	stats->lag_p50_us = quantile(sum.delays, 50);
	stats->lag_p99_us = quantile(sum.delays, 99);
}

void
replicate_totals(struct replicate *r, struct replicate_totals *totals)
{
	*totals = (struct replicate_totals){.tombstones = tombstones_count(r->deleted),
	    .forgotten = tombstones_forgotten(r->deleted)};
	lock_take(&r->lock);
	for (unsigned i = 0; i < r->options.workers; i++) {
		const struct replicate_worker *w = r->workers[i];

		if (w == NULL)
			continue;
		totals->backlog_bytes += w->backlog.mask + 1;
		totals->backlog_used +=
		    load_relaxed(&w->backlog.head) - load_relaxed(&w->backlog.tail);
	}
	lock_drop(&r->lock);
}

/* ---------------------------------------------------------------- the answer */

static void
tell_node(struct stats_out *out, struct slice node, const struct replicate_stats *stats)
{
	char name[TOPOLOGY_NAME_MAX * 2];

#define REPLICATE_STAT(field, text)                                                                \
	(void)snprintf(name, sizeof(name), "%.*s:" #field, (int)node.len, node.ptr);               \
	stats_u64(out, name, stats->field);
#include "server/tbl/replicate_stats.h"
#undef REPLICATE_STAT
}

void
stats_replication(struct stats_out *out)
{
	const struct cluster_worker *cw = out->conn->worker->cluster;
	struct replicate_totals totals;
	struct replicate_stats stats;

	if (cw == NULL) {
		stats_end(out);
		return;
	}
	replicate_totals(cw->cluster->replicate, &totals);
	stats_u64(out, "backlog_bytes", totals.backlog_bytes);
	stats_u64(out, "backlog_used", totals.backlog_used);
	stats_u64(out, "tombstones", totals.tombstones);
	stats_u64(out, "forgotten", totals.forgotten);
	stats_u64(out, "epoch", topology_epoch(cw->topology));
	stats_u64(out, "marked", replicate_marked(cw->replicate));
	for (unsigned i = 0; i < topology_count(cw->topology); i++) {
		if (i == cw->self)
			continue;
		replicate_stats(cw->cluster->replicate, topology_node(cw->topology, i)->id, &stats);
		tell_node(out, topology_node_name(cw->topology, i), &stats);
	}
	stats_end(out);
}
