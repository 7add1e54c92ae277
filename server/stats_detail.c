/* server/stats_detail.c: `stats detail on|off|dump`: counts by prefix of key. */
#include <stdlib.h>

#include "base/atomics.h"
#include "base/number.h"
#include "proto/binary.h"
#include "proto/reply.h"
#include "server/conn_report.h"
#include "server/exec_op.h"
#include "server/prefix.h"
#include "server/settings.h"
#include "server/stats.h"
#include "server/worker.h"

/* Prefixes in one piece of the dump. */
#define PIECE 64u

/* "PREFIX <name> get <n> hit <n> set <n> del <n>\r\n" */
#define LINE_MAX_BYTES (7 + PROTO_KEY_MAX + 4 * (5 + NUMBER_U64_MAX_LEN) + 2)

struct detail_report {
	struct conn_report report;
	struct stats_out out;
	size_t next;
};

static char *
put_count(char *p, struct slice label, uint64_t count)
{
	return number_format_u64(reply_slice(p, label), count);
}

static void
dump_prefix(struct conn *c, struct slice name, const struct prefix_counts *counts)
{
	char *p = outq_reserve(&c->out, &c->worker->source, LINE_MAX_BYTES);

	if (p == NULL)
		return;
	p = reply_slice(p, SLICE_LITERAL("PREFIX "));
	p = reply_slice(p, name);
	p = put_count(p, SLICE_LITERAL(" get "), counts->get);
	p = put_count(p, SLICE_LITERAL(" hit "), counts->hit);
	p = put_count(p, SLICE_LITERAL(" set "), counts->set);
	p = put_count(p, SLICE_LITERAL(" del "), counts->del);
	outq_commit(&c->out, reply_slice(p, SLICE_LITERAL("\r\n")));
}

static enum report_result
dump_more(struct conn *c, struct conn_report *report)
{
	struct detail_report *r = (struct detail_report *)report;
	struct prefix_counts counts;
	char name[PROTO_KEY_MAX];
	size_t len;

	for (unsigned i = 0; i < PIECE; i++) {
		if (!prefixes_get(c->worker->server->prefixes, r->next++, name, &len, &counts)) {
			stats_end(&r->out);
			return REPORT_DONE;
		}
		dump_prefix(c, slice_of(name, len), &counts);
	}
	return REPORT_MORE;
}

static void
dump_free(struct conn_report *report)
{
	free(report);
}

static void
dump(struct stats_out *out)
{
	struct detail_report *r = malloc(sizeof(*r));

	if (r == NULL) {
		stats_error(out, REPLY_NO_MEMORY_OTHER, BINARY_STATUS_ENOMEM);
		return;
	}
	*r = (struct detail_report){.report = {.more = dump_more, .free = dump_free}, .out = *out};
	report_begin(out->conn, &r->report);
}

static void
turn(struct stats_out *out, bool on)
{
	store_relaxed(&out->conn->worker->server->settings->detail_enabled, on);
	if (out->conn->protocol == PROTOCOL_BINARY)
		stats_end(out);
	else
		reply_with(out->conn, REPLY_OK);
}

void
stats_detail(struct stats_out *out, struct slice arguments)
{
	struct slice what = {"", 0};

	(void)proto_token_next(&arguments, &what);
	if (out->conn->protocol != PROTOCOL_BINARY &&
	    !out->conn->worker->server->settings->dump_enabled)
		stats_error(out, REPLY_DETAIL_OFF, BINARY_STATUS_KEY_ENOENT);
	else if (slice_is(what, "on"))
		turn(out, true);
	else if (slice_is(what, "off"))
		turn(out, false);
	else if (slice_is(what, "dump"))
		dump(out);
	else
		stats_error(out, REPLY_STATS_DETAIL_USAGE, BINARY_STATUS_KEY_ENOENT);
}
