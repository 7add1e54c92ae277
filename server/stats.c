/* server/stats.c: which group was asked for, and lines in either protocol. */
#include "server/stats.h"

#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "proto/binary.h"
#include "proto/reply.h"
#include "server/cluster_stats.h"
#include "server/counters.h"
#include "server/exec_op.h"
#include "server/prefix.h"
#include "server/replicate_link.h"
#include "server/settings.h"
#include "server/worker.h"

/* ---------------------------------------------------------------- lines */

void
stats_slice(struct stats_out *out, struct slice name, struct slice value)
{
	struct conn *c = out->conn;
	size_t room = BINARY_HEADER_SIZE + REPLY_STAT_EXTRA + name.len + value.len;
	char *p = outq_reserve(&c->out, &c->worker->source, room);

	if (p == NULL)
		return;
	if (c->protocol == PROTOCOL_BINARY)
		p = reply_binary_stat(p, &out->command, name, value);
	else
		p = reply_stat(p, name, value);
	outq_commit(&c->out, p);
}

void
stats_text(struct stats_out *out, const char *name, const char *value)
{
	stats_slice(out, slice_of(name, strlen(name)), slice_of(value, strlen(value)));
}

void
stats_u64(struct stats_out *out, const char *name, uint64_t value)
{
	char text[NUMBER_U64_MAX_LEN];
	char *end = number_format_u64(text, value);

	stats_slice(out, slice_of(name, strlen(name)), slice_of(text, (size_t)(end - text)));
}

void
stats_class(struct stats_out *out, const char *prefix, unsigned slab_class, const char *name,
    uint64_t value)
{
	char full[96];

	(void)snprintf(full, sizeof(full), "%s%u:%s", prefix, slab_class, name);
	stats_u64(out, full, value);
}

void
stats_end(struct stats_out *out)
{
	if (out->conn->protocol == PROTOCOL_BINARY)
		stats_slice(out, slice_of("", 0), slice_of("", 0));
	else
		reply_with(out->conn, REPLY_END);
}

void
stats_error(struct stats_out *out, struct slice text, uint16_t status)
{
	struct conn *c = out->conn;
	char *p;

	if (c->protocol != PROTOCOL_BINARY) {
		reply_with(c, text);
		return;
	}
	if ((p = outq_reserve(&c->out, &c->worker->source, REPLY_BINARY_STATUS_MAX)) != NULL)
		outq_commit(&c->out, reply_binary_status(p, &out->command, status, 0));
}

/* ---------------------------------------------------------------- groups */

static void
settings_line(void *context, const char *name, const char *value)
{
	stats_text(context, name, value);
}

static void
stats_settings(struct stats_out *out)
{
	settings_stats(out->conn->worker->server->settings, settings_line, out);
	stats_u64(out, "client_flags_size", sizeof(((struct store_view *)NULL)->flags));
	stats_end(out);
}

/* As in memcached, no END follows. */
static void
stats_track_sizes(struct stats_out *out, bool on)
{
	store_relaxed(&out->conn->worker->server->settings->track_sizes, on);
	stats_text(out, "sizes_status", on ? "enabled" : "disabled");
	if (out->conn->protocol == PROTOCOL_BINARY)
		stats_end(out);
}

static void
stats_reset(struct stats_out *out)
{
	struct server *server = out->conn->worker->server;

	counters_reset(server);
	store_stats_reset(server->store);
	prefixes_reset(server->prefixes);
	if (out->conn->protocol == PROTOCOL_BINARY)
		stats_end(out);
	else
		reply_with(out->conn, REPLY_RESET);
}

/* GROUP is the first word, REST what stands behind it. */
static void
answer(struct stats_out *out, struct slice group, struct slice rest)
{
	if (slice_is(group, "settings"))
		stats_settings(out);
	else if (slice_is(group, "items"))
		stats_items(out);
	else if (slice_is(group, "slabs"))
		stats_slabs(out);
	else if (slice_is(group, "sizes"))
		stats_sizes(out);
	else if (slice_is(group, "sizes_enable"))
		stats_track_sizes(out, true);
	else if (slice_is(group, "sizes_disable"))
		stats_track_sizes(out, false);
	else if (slice_is(group, "conns"))
		stats_conns(out);
	else if (slice_is(group, "threads"))
		stats_threads(out);
	else if (slice_is(group, "reset"))
		stats_reset(out);
	else if (slice_is(group, "cluster"))
		stats_cluster(out);
	else if (slice_is(group, "replication"))
		stats_replication(out);
	else if (slice_is(group, "detail"))
		stats_detail(out, rest);
	else if (slice_is(group, "cachedump"))
		stats_cachedump(out, rest);
	else if (slice_is(group, "extstore") && out->conn->protocol != PROTOCOL_BINARY)
		stats_end(out);
	else
		stats_error(out, REPLY_ERROR, BINARY_STATUS_KEY_ENOENT);
}

void
exec_stats(struct conn *c, const struct command *cmd, struct slice line)
{
	struct stats_out out = {.conn = c, .command = *cmd};
	struct slice group;

	if (proto_token_next(&line, &group))
		answer(&out, group, line);
	else
		stats_general(&out);
}
