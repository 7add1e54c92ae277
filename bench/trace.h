/* bench/trace.h: reads a trace of requests, plain or zstd-compressed.
 *
 * A line is "time op key key_size value_size ttl": seconds, get|set|delete (or g, s, d), any word, bytes, bytes,
 * seconds (0 = none). Empty lines and lines that begin with '#' are skipped.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/wire.h"

struct trace;

struct trace_line {
	double time;
	uint64_t key; /* the number that the key is, or a hash of it */
	uint32_t key_size, value_size, ttl;
	enum op_kind kind;
};

/* NULL, and *WHY a text that stays, where PATH cannot be read. */
struct trace *trace_new(const char *path, const char **why);
void trace_free(struct trace **t);

/* False at the end and where the trace is damaged; trace_error tells which. */
bool trace_next(struct trace *t, struct trace_line *line);

/* NULL where all is well; else what is wrong, and *NUMBER the line. */
const char *trace_error(const struct trace *t, uint64_t *number);

#endif
