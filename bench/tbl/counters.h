/* bench/tbl/counters.h: what ringbench counts, once.
 *
 * COUNTER(field, "text")
 */
COUNTER(get_requests, "get requests answered")
COUNTER(keys_asked, "keys asked for by them")
COUNTER(hits, "keys found")
COUNTER(value_bytes, "bytes of their values")
COUNTER(misses, "keys not found")
COUNTER(asked_bytes, "key and value bytes of the objects asked for (of a trace)")
COUNTER(missed_bytes, "those of the objects not found (of a trace)")
COUNTER(set_requests, "set requests answered")
COUNTER(not_stored, "sets that were not stored")
COUNTER(delete_requests, "delete requests answered")
COUNTER(errors, "error replies")
COUNTER(mismatches, "values that were not what was stored")
COUNTER(bytes_in, "bytes received")
COUNTER(bytes_out, "bytes sent")
