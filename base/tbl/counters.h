/* base/tbl/counters.h: every counter of a worker, once. Names are memcached's where it has the same.
 *
 * COUNTER(name, text)          of any server
 * CLUSTER_COUNTER(name, text)  of one of several nodes; without a definition of its own it is a COUNTER
 */
#ifndef CLUSTER_COUNTER
#define CLUSTER_COUNTER(name, text) COUNTER(name, text)
#endif
COUNTER(total_connections, "connections ever accepted")
COUNTER(cmd_set, "storage commands")
COUNTER(cmd_flush, "flush_all commands")
COUNTER(cmd_touch, "touches: of touch, gat and meta commands")
COUNTER(cmd_meta, "meta commands")
COUNTER(get_hits, "keys found by reading commands")
COUNTER(get_misses, "keys not found by reading commands")
COUNTER(delete_misses, "deletes of keys that were not there")
COUNTER(delete_hits, "deletes")
COUNTER(incr_misses, "increments of keys that were not there")
COUNTER(incr_hits, "increments")
COUNTER(decr_misses, "decrements of keys that were not there")
COUNTER(decr_hits, "decrements")
COUNTER(cas_misses, "compare-and-swaps of keys that were not there")
COUNTER(cas_hits, "compare-and-swaps that stored")
COUNTER(cas_badval, "compare-and-swaps with another version")
COUNTER(touch_hits, "touches of keys that were there")
COUNTER(touch_misses, "touches of keys that were not there")
COUNTER(store_too_large, "values refused for their size")
COUNTER(store_no_memory, "values refused for want of memory")
COUNTER(auth_cmds, "authentication commands")
COUNTER(auth_errors, "failed authentications")
COUNTER(idle_kicks, "connections closed for being idle")
COUNTER(bytes_read, "bytes received")
COUNTER(bytes_written, "bytes sent")
COUNTER(conn_yields, "times that a connection waited for others to have their turn")
CLUSTER_COUNTER(forwarded_out, "commands and keys of gets that another node was asked for")
CLUSTER_COUNTER(forwarded_in, "commands and keys of gets that other nodes asked for")
CLUSTER_COUNTER(forward_errors, "forwarded commands that ended with an error of ours")
CLUSTER_COUNTER(route_misses, "keys whose node had to be asked of the ring")
COUNTER(read_buf_oom, "connections closed because there was no memory for their buffers")
#undef CLUSTER_COUNTER
