/* server/tbl/node_stats.h: what nodes tell each other for `stats cluster`, once.
 *
 * NODE_STAT(name, value, text): VALUE is an expression over SERVER, SUM (struct counters), STORE (struct store_stats) and LAG
 * (struct replicate_stats: the worst of all nodes that have copies of it).
 */
NODE_STAT(epoch,            topology_epoch(load_acquire(&server->cluster->topology)), "of its topology")
NODE_STAT(uptime,           clock_uptime(server->clock), "seconds since it was started")
NODE_STAT(threads,          server->worker_count, "workers")
NODE_STAT(curr_connections, workers_connections(server), "connections of clients")
NODE_STAT(curr_items,       store.items, "items, copies included")
NODE_STAT(bytes,            store.bytes, "what they ask for")
NODE_STAT(own_items,        less(store.items, store.copies), "of them, those of which it is the primary")
NODE_STAT(own_bytes,        less(store.bytes, store.copy_bytes), "what these ask for")
NODE_STAT(copy_items,       store.copies, "of them, copies of other nodes' items")
NODE_STAT(copy_bytes,       store.copy_bytes, "what these ask for")
NODE_STAT(limit_maxbytes,   store.memory_limit, "memory for items")
NODE_STAT(evictions,        store.evictions, "items that had to go")
NODE_STAT(cmd_set,          sum.cmd_set, "storage commands executed")
NODE_STAT(get_hits,         sum.get_hits, "keys found by reading commands")
NODE_STAT(get_misses,       sum.get_misses, "keys not found")
NODE_STAT(forwarded_out,    sum.forwarded_out, "commands and keys of gets that other nodes were asked for")
NODE_STAT(forwarded_in,     sum.forwarded_in, "commands and keys of gets that other nodes asked for")
NODE_STAT(forward_errors,   sum.forward_errors, "forwarded commands that ended with an error")
NODE_STAT(lag_operations,   lag.lag_operations, "changes that the node furthest behind has not acknowledged")
NODE_STAT(lag_us,           lag.lag_us, "microseconds since the oldest of them")
