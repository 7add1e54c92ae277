/* server/tbl/replicate_stats.h: what `stats replication` tells of each other node, once.
 *
 * REPLICATE_STAT(name, text): name is a member of struct replicate_stats, too.
 */
REPLICATE_STAT(links,           "workers' streams to it that are up")
REPLICATE_STAT(lag_operations,  "changes that it has not acknowledged, by the worker that has most")
REPLICATE_STAT(lag_bytes,       "what they take of the backlog")
REPLICATE_STAT(lag_us,          "microseconds since the oldest of them")
REPLICATE_STAT(lag_p50_us,      "median of the microseconds from a change to its acknowledgement, rounded up to a power of two")
REPLICATE_STAT(lag_p99_us,      "the same for 99 of 100")
REPLICATE_STAT(sent,            "records sent to it")
REPLICATE_STAT(applied,         "records of it that were news")
REPLICATE_STAT(stale,           "records of it that were none")
REPLICATE_STAT(refused,         "records of it for which there was no memory, or which it had no right to send")
REPLICATE_STAT(resumes,         "streams that went on where they had been cut")
REPLICATE_STAT(overruns,        "streams of which the backlog had forgotten a part")
REPLICATE_STAT(comparisons,     "comparisons of what both hold")
REPLICATE_STAT(parts_compared,  "parts of them, by digest")
REPLICATE_STAT(parts_differing, "parts of them that were compared key by key")
REPLICATE_STAT(compared_sent,   "records sent because of them")
REPLICATE_STAT(compared,        "the epoch of the list of nodes by which the last of them was made to its end; 0: one is under way, or is to come")
REPLICATE_STAT(heat_sent,       "hints about what was read, sent")
REPLICATE_STAT(heat_applied,    "hints that were of use")
