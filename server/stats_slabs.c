/* server/stats_slabs.c: `stats items` and `stats slabs`: figures by size class.
 *
 * Names and order are memcached's; its queues hot and warm are shown as those of s3fifo, small and main. What does not happen
 * here, or is counted for all classes together only, is 0.
 */
#include "server/stats.h"
#include "server/worker.h"

static void
items_of(struct stats_out *out, unsigned i, const struct store_class_stats *class)
{
	stats_class(out, "items:", i, "number", class->items);
	stats_class(out, "items:", i, "number_hot", class->small_items);
	stats_class(out, "items:", i, "number_warm", class->main_items);
	stats_class(out, "items:", i, "number_cold", 0);
	stats_class(out, "items:", i, "number_small", class->small_items);
	stats_class(out, "items:", i, "number_main", class->main_items);
	stats_class(out, "items:", i, "age_hot", 0);
	stats_class(out, "items:", i, "age_warm", 0);
	stats_class(out, "items:", i, "age", class->age);
	stats_class(out, "items:", i, "mem_requested", class->bytes);
	stats_class(out, "items:", i, "evicted", class->evicted);
	stats_class(out, "items:", i, "evicted_nonzero", class->evicted_nonzero);
	stats_class(out, "items:", i, "evicted_time", class->evicted_time);
	stats_class(out, "items:", i, "outofmemory", class->no_memory);
	stats_class(out, "items:", i, "tailrepairs", 0);
	stats_class(out, "items:", i, "reclaimed", class->reclaimed - class->walked);
	stats_class(out, "items:", i, "expired_unfetched", class->expired_unfetched);
	stats_class(out, "items:", i, "evicted_unfetched", class->evicted_unfetched);
	stats_class(out, "items:", i, "evicted_active", class->evicted_active);
	stats_class(out, "items:", i, "crawler_reclaimed", class->walked);
	stats_class(out, "items:", i, "crawler_items_checked", 0);
	stats_class(out, "items:", i, "lrutail_reflocked", 0);
	stats_class(out, "items:", i, "moves_to_cold", 0);
	stats_class(out, "items:", i, "moves_to_warm", 0);
	stats_class(out, "items:", i, "moves_within_lru", 0);
	stats_class(out, "items:", i, "direct_reclaims", class->direct_reclaims);
	stats_class(out, "items:", i, "hits_to_hot", 0);
	stats_class(out, "items:", i, "hits_to_warm", 0);
	stats_class(out, "items:", i, "hits_to_cold", 0);
	stats_class(out, "items:", i, "hits_to_temp", 0);
	stats_class(out, "items:", i, "ghost_hits", class->ghost_hits);
	stats_class(out, "items:", i, "promotions", class->promotions);
}

void
stats_items(struct stats_out *out)
{
	struct store *st = out->conn->worker->store;
	struct store_class_stats class;

	for (unsigned i = 1; store_class_stats(st, i, &class); i++)
		if (class.items > 0)
			items_of(out, i, &class);
	stats_end(out);
}

static void
slabs_of(struct stats_out *out, unsigned i, const struct store_class_stats *class)
{
	stats_class(out, "", i, "chunk_size", class->chunk_size);
	stats_class(out, "", i, "chunks_per_page", class->chunks_per_page);
	stats_class(out, "", i, "total_pages", class->pages);
	stats_class(out, "", i, "total_chunks", class->pages * class->chunks_per_page);
	stats_class(out, "", i, "used_chunks", class->used_chunks);
	stats_class(out, "", i, "free_chunks", class->free_chunks);
	stats_class(out, "", i, "free_chunks_end", 0);
	stats_class(out, "", i, "mem_requested", class->bytes);
	stats_class(out, "", i, "get_hits", class->hits);
	stats_class(out, "", i, "cmd_set", class->sets);
	stats_class(out, "", i, "delete_hits", class->deletes);
	stats_class(out, "", i, "incr_hits", 0);
	stats_class(out, "", i, "decr_hits", 0);
	stats_class(out, "", i, "cas_hits", 0);
	stats_class(out, "", i, "cas_badval", 0);
	stats_class(out, "", i, "touch_hits", class->touches);
	stats_class(out, "", i, "pages_in", class->pages_in);
	stats_class(out, "", i, "pages_out", class->pages_out);
}

void
stats_slabs(struct stats_out *out)
{
	struct store *st = out->conn->worker->store;
	struct store_class_stats class;
	struct store_stats all;
	uint64_t active = 0;

	store_stats(st, &all);
	for (unsigned i = 1; store_class_stats(st, i, &class); i++) {
		if (class.pages == 0)
			continue;
		slabs_of(out, i, &class);
		active++;
	}
	stats_u64(out, "active_slabs", active);
	stats_u64(out, "total_malloced", all.memory_taken);
	stats_end(out);
}
