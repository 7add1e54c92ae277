/* server/stats_general.c: `stats` without a group, and `stats threads`.
 *
 * Names and order are memcached's. What does not happen here, such as a queue of cold items, is 0: monitoring asks for the
 * names. Those of parts that memcached itself may be built without are left out.
 */
#include <event2/event.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/counters.h"
#include "server/settings.h"
#include "server/stats.h"
#include "server/watch.h"
#include "server/worker.h"

static void
stats_time(struct stats_out *out, const char *name, const struct timeval *tv)
{
	char text[48];

	(void)snprintf(text, sizeof(text), "%ld.%06ld", (long)tv->tv_sec, (long)tv->tv_usec);
	stats_text(out, name, text);
}

static void
stats_process(struct stats_out *out)
{
	const struct clock *clock = out->conn->worker->server->clock;
	struct rusage usage = {0};

	(void)getrusage(RUSAGE_SELF, &usage);
	stats_u64(out, "pid", (uint64_t)getpid());
	stats_u64(out, "uptime", clock_uptime(clock));
	stats_u64(out, "time", (uint64_t)clock_wall(clock));
	stats_text(out, "version", SERVER_VERSION);
	stats_text(out, "libevent", event_get_version());
	stats_u64(out, "pointer_size", 8 * sizeof(void *));
	stats_time(out, "rusage_user", &usage.ru_utime);
	stats_time(out, "rusage_system", &usage.ru_stime);
}

struct pool_sum {
	uint64_t count, bytes, bytes_free;
};

static struct pool_sum
pools(const struct server *server)
{
	struct pool_sum sum = {0};

	for (uint32_t i = 0; i < server->worker_count; i++) {
		const struct worker *w = server->workers[i];
		const struct pool *pool = &w->pool;
		unsigned lent = load_relaxed(&w->source.lent);

		sum.count += load_relaxed(&pool->count_out) + lent;
		sum.bytes += load_relaxed(&pool->bytes_out) + load_relaxed(&pool->bytes_free);
		sum.bytes_free += load_relaxed(&pool->bytes_free) - lent * OUTQ_BLOCK;
	}
	return sum;
}

static void
stats_connections(
    struct stats_out *out, const struct counters *sum, const struct listen_stats *listen)
{
	const struct server *server = out->conn->worker->server;
	struct pool_sum buffers = pools(server);
	uint32_t connections = workers_connections(server);

	stats_u64(out, "max_connections", server->settings->conn_limit);
	stats_u64(out, "curr_connections", connections);
	stats_u64(out, "total_connections", sum->total_connections);
	stats_u64(out, "rejected_connections", listen->rejected);
	stats_u64(out, "connection_structures", connections);
	stats_u64(out, "response_obj_oom", 0);
	stats_u64(out, "response_obj_count", 0);
	stats_u64(out, "response_obj_bytes", 0);
	stats_u64(out, "read_buf_count", buffers.count);
	stats_u64(out, "read_buf_bytes", buffers.bytes);
	stats_u64(out, "read_buf_bytes_free", buffers.bytes_free);
	stats_u64(out, "read_buf_oom", sum->read_buf_oom);
	stats_u64(out, "reserved_fds", 0);
}

static void
stats_commands(struct stats_out *out, const struct counters *sum, const struct store_stats *store)
{
	stats_u64(out, "cmd_get", sum->get_hits + sum->get_misses);
	stats_u64(out, "cmd_set", sum->cmd_set);
	stats_u64(out, "cmd_flush", sum->cmd_flush);
	stats_u64(out, "cmd_touch", sum->cmd_touch);
	stats_u64(out, "cmd_meta", sum->cmd_meta);
	stats_u64(out, "get_hits", sum->get_hits);
	stats_u64(out, "get_misses", sum->get_misses);
	stats_u64(out, "get_expired", store->found_expired);
	stats_u64(out, "get_flushed", store->found_flushed);
	stats_u64(out, "delete_misses", sum->delete_misses);
	stats_u64(out, "delete_hits", sum->delete_hits);
	stats_u64(out, "incr_misses", sum->incr_misses);
	stats_u64(out, "incr_hits", sum->incr_hits);
	stats_u64(out, "decr_misses", sum->decr_misses);
	stats_u64(out, "decr_hits", sum->decr_hits);
	stats_u64(out, "cas_misses", sum->cas_misses);
	stats_u64(out, "cas_hits", sum->cas_hits);
	stats_u64(out, "cas_badval", sum->cas_badval);
	stats_u64(out, "touch_hits", sum->touch_hits);
	stats_u64(out, "touch_misses", sum->touch_misses);
	stats_u64(out, "store_too_large", sum->store_too_large);
	stats_u64(out, "store_no_memory", sum->store_no_memory);
	stats_u64(out, "auth_cmds", sum->auth_cmds);
	stats_u64(out, "auth_errors", sum->auth_errors);
}

static void
stats_traffic(struct stats_out *out, const struct counters *sum, const struct listen_stats *listen,
    const struct store_stats *store)
{
	const struct server *server = out->conn->worker->server;

	if (server->settings->idle_timeout > 0)
		stats_u64(out, "idle_kicks", sum->idle_kicks);
	stats_u64(out, "bytes_read", sum->bytes_read);
	stats_u64(out, "bytes_written", sum->bytes_written);
	stats_u64(out, "limit_maxbytes", store->memory_limit);
	stats_u64(out, "accepting_conns", listen->accepting);
	stats_u64(out, "listen_disabled_num", listen->disabled_num);
	stats_u64(out, "time_in_listen_disabled_us", listen->disabled_us);
	stats_u64(out, "threads", server->worker_count);
	stats_u64(out, "conn_yields", sum->conn_yields);
}

/* Of one of several nodes. */
static void
stats_forwarding(struct stats_out *out, const struct counters *sum)
{
#define COUNTER(name, text)
#define CLUSTER_COUNTER(name, text) stats_u64(out, #name, sum->name);
#include "base/tbl/counters.h"
#undef COUNTER
}

/* Counted with as many a bucket, the power of the index begins as hashpower says, and goes up where memcached doubles its table:
 * at 1.5 items for each of its buckets, when there are nine in each of ours. */
#define BUCKET_ITEMS 12u

/* The power of two of N, rounded down. */
static uint64_t
power_of(uint64_t n)
{
	return n == 0 ? 0 : 63u - (uint64_t)__builtin_clzll(n);
}

static void
stats_watchers(struct stats_out *out)
{
	struct watch_stats stats;

	watch_stats(out->conn->worker->server->watchers, &stats);
	stats_u64(out, "log_worker_dropped", 0);
	stats_u64(out, "log_worker_written", stats.lines);
	stats_u64(out, "log_watcher_skipped", stats.skipped);
	stats_u64(out, "log_watcher_sent", stats.sent);
	stats_u64(out, "log_watchers", stats.watchers);
}

static void
stats_slab_moves(struct stats_out *out, const struct store_stats *store)
{
	stats_u64(out, "slab_reassign_rescues", store->rescued);
	stats_u64(out, "slab_reassign_chunk_rescues", store->rescued_pieces);
	stats_u64(out, "slab_reassign_inline_reclaim", store->reclaimed_in_moves);
	stats_u64(out, "slab_reassign_busy_items", store->busy_in_moves);
	stats_u64(out, "slab_reassign_busy_deletes", 0);
	stats_u64(out, "slab_reassign_busy_nomem", 0);
	stats_text(out, "slab_reassign_last_busy_status", "none");
	stats_u64(out, "slab_reassign_running", store->moving);
	stats_u64(out, "slabs_moved", store->pages_moved);
}

static void
stats_store(struct stats_out *out, const struct store_stats *store)
{
	stats_u64(out, "hash_power_level", power_of(store->index_buckets * BUCKET_ITEMS));
	stats_u64(out, "hash_bytes", store->index_bytes);
	stats_u64(out, "hash_is_expanding", 0);
	stats_slab_moves(out, store);
	stats_u64(out, "lru_crawler_running", 0);
	stats_u64(out, "lru_crawler_starts", 0);
	stats_u64(out, "lru_maintainer_juggles", 0);
	stats_u64(out, "malloc_fails", 0);
	stats_watchers(out);
	stats_u64(out, "unexpected_napi_ids", 0);
	stats_u64(out, "round_robin_fallback", 0);
	stats_u64(out, "bytes", store->bytes);
	stats_u64(out, "curr_items", store->items);
	stats_u64(out, "total_items", store->total_items);
	stats_u64(out, "slab_global_page_pool",
	    store->page_size == 0 ? 0 : store->memory_free / store->page_size);
	stats_u64(out, "expired_unfetched", store->expired_unfetched);
	stats_u64(out, "evicted_unfetched", store->evicted_unfetched);
	stats_u64(out, "evicted_active", store->evicted_active);
	stats_u64(out, "evictions", store->evictions);
	stats_u64(out, "reclaimed", store->reclaimed - store->walked);
	stats_u64(out, "crawler_reclaimed", store->walked);
	stats_u64(out, "crawler_items_checked", 0);
	stats_u64(out, "lrutail_reflocked", 0);
	stats_u64(out, "moves_to_cold", 0);
	stats_u64(out, "moves_to_warm", 0);
	stats_u64(out, "moves_within_lru", 0);
	stats_u64(out, "direct_reclaims", store->direct_reclaims);
	stats_u64(out, "lru_bumps_dropped", 0);
	stats_u64(out, "ghost_hits", store->ghost_hits);
	stats_u64(out, "promotions", store->promotions);
	stats_u64(out, "read_retries", store->read_retries);
}

void
stats_general(struct stats_out *out)
{
	const struct server *server = out->conn->worker->server;
	struct listen_stats listen;
	struct store_stats store;
	struct counters sum;

	counters_sum(server, &sum);
	counters_listen(server, &listen);
	store_stats(server->store, &store);
	stats_process(out);
	stats_connections(out, &sum, &listen);
	stats_commands(out, &sum, &store);
	stats_traffic(out, &sum, &listen, &store);
	stats_store(out, &store);
	if (server->cluster != NULL)
		stats_forwarding(out, &sum);
	stats_end(out);
}

void
stats_threads(struct stats_out *out)
{
	const struct server *server = out->conn->worker->server;

	for (uint32_t i = 0; i < server->worker_count; i++) {
		const struct worker *w = server->workers[i];

		stats_class(out, "", i, "curr_connections", load_relaxed(&w->connections));
#define COUNTER(name, text) stats_class(out, "", i, #name, load_relaxed(&w->counters.name));
#define CLUSTER_COUNTER(name, text)                                                                \
	if (w->cluster != NULL)                                                                    \
		COUNTER(name, text)
#include "base/tbl/counters.h"
#undef COUNTER
	}
	stats_end(out);
}
