/* server/stats.h: the answers to `stats`, in both protocols. */
#ifndef SERVER_STATS_H
#define SERVER_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/command.h"
#include "server/conn.h"

/* Answers a `stats` command; LINE is what stands behind the name (binary: the key). */
void exec_stats(struct conn *c, const struct command *cmd, struct slice line);

/* ---------------------------------------------------------------- between the files of stats */

/* Where lines go: the output of CONN, as an answer to the command that asked. The slices in COMMAND are not to be
 * used: a report may outlive them. */
struct stats_out {
	struct conn *conn;
	struct command command;
};

void stats_slice(struct stats_out *out, struct slice name, struct slice value);
void stats_text(struct stats_out *out, const char *name, const char *value);
void stats_u64(struct stats_out *out, const char *name, uint64_t value);

/* The line "<prefix><class>:<name>". */
void stats_class(struct stats_out *out, const char *prefix, unsigned slab_class, const char *name,
    uint64_t value);

void stats_end(struct stats_out *out);

/* The whole answer is an error: the line TEXT, or the binary STATUS. */
void stats_error(struct stats_out *out, struct slice text, uint16_t status);

/* Whole answers, some of them as reports. */
void stats_general(struct stats_out *out);
void stats_items(struct stats_out *out);
void stats_slabs(struct stats_out *out);
void stats_threads(struct stats_out *out);
void stats_conns(struct stats_out *out);
void stats_sizes(struct stats_out *out);
void stats_detail(struct stats_out *out, struct slice what);
void stats_cachedump(struct stats_out *out, struct slice arguments);

#endif
