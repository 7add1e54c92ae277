/* server/stats_detail.c: `stats detail on|off|dump`: counts by prefix of key.
 *
 * The dump is a text of lines, which goes out piece by piece; in the binary protocol it is the value of one figure, as memcached
 * has it, and so made whole. */
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

/* The line of prefix INDEX at P, which has room for it; its end, NULL behind the last. */
static char *
put_prefix(char *p, struct prefixes *prefixes, size_t index)
{
	struct prefix_counts counts;
	char name[PROTO_KEY_MAX];
	size_t len;

	if (!prefixes_get(prefixes, index, name, &len, &counts))
		return NULL;
	p = reply_slice(p, SLICE_LITERAL("PREFIX "));
	p = reply_slice(p, slice_of(name, len));
	p = put_count(p, SLICE_LITERAL(" get "), counts.get);
	p = put_count(p, SLICE_LITERAL(" hit "), counts.hit);
	p = put_count(p, SLICE_LITERAL(" set "), counts.set);
	p = put_count(p, SLICE_LITERAL(" del "), counts.del);
	return reply_slice(p, SLICE_LITERAL("\r\n"));
}

static enum report_result
dump_more(struct conn *c, struct conn_report *report)
{
	struct detail_report *r = (struct detail_report *)report;

	for (unsigned i = 0; i < PIECE; i++) {
		char *p = outq_reserve(&c->out, &c->worker->source, LINE_MAX_BYTES);

		if (p == NULL)
			return REPORT_DONE;
		if ((p = put_prefix(p, c->worker->server->prefixes, r->next++)) == NULL) {
			stats_end(&r->out);
			return REPORT_DONE;
		}
		outq_commit(&c->out, p);
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
dump_whole(struct stats_out *out)
{
	struct prefixes *prefixes = out->conn->worker->server->prefixes;
	char *text = malloc(PREFIXES_MAX * LINE_MAX_BYTES + REPLY_END.len), *end = text, *p;

	if (text == NULL) {
		stats_error(out, REPLY_NO_MEMORY_OTHER, BINARY_STATUS_ENOMEM);
		return;
	}
	for (size_t i = 0; i < PREFIXES_MAX && (p = put_prefix(end, prefixes, i)) != NULL; i++)
		end = p;
	end = reply_slice(end, REPLY_END);
	stats_slice(out, SLICE_LITERAL("detailed"), slice_of(text, (size_t)(end - text)));
	free(text);
	stats_end(out);
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
	if (!out->conn->worker->server->settings->dump_enabled)
		stats_error(out, REPLY_DETAIL_OFF, BINARY_STATUS_KEY_ENOENT);
	else if (slice_is(what, "on"))
		turn(out, true);
	else if (slice_is(what, "off"))
		turn(out, false);
	else if (slice_is(what, "dump") && out->conn->protocol == PROTOCOL_BINARY)
		dump_whole(out);
	else if (slice_is(what, "dump"))
		dump(out);
	else
		stats_error(out, REPLY_STATS_DETAIL_USAGE, BINARY_STATUS_KEY_ENOENT);
}
