/* server/exec_dump.c: lru_crawler metadump and mgdump: all keys, piece by piece as the client reads them.
 *
 * The store is walked a few buckets at a time, so nobody waits; an item that is stored or moved meanwhile may be
 * missed or come twice. A line of metadump ends in a blank and a bare "\n", as memcached's does.
 */
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "proto/base64.h"
#include "proto/reply.h"
#include "server/clock.h"
#include "server/conn_report.h"
#include "server/conn_step.h"
#include "server/escape.h"
#include "server/exec_op.h"
#include "server/settings.h"
#include "server/worker.h"

/* Calls of store_walk in one piece. */
#define STEPS 64u

/* Classes that memcached has in any case. */
#define CLASSES_LEAST 63u

/* "key=" with every byte escaped, and eight numbers with their names. */
#define LINE_MAX_BYTES (4 + ESCAPED_MAX(PROTO_KEY_MAX) + 8 * (8 + NUMBER_U64_MAX_LEN))

/* Which classes are wanted: a bit each. */
struct classes {
	uint64_t bits[4];
	bool all;
};

struct dump {
	struct conn_report report;
	struct conn *conn;
	uint64_t cursor;
	struct classes classes;
	bool as_commands; /* mgdump */
	int64_t wall_zero;
	uint32_t now;
};

static char *
put_number(char *p, struct slice label, uint64_t number)
{
	return number_format_u64(reply_slice(p, label), number);
}

static char *
put_facts(char *p, const struct dump *d, const struct store_key *key, const struct store_view *view,
    int slab_class)
{
	p = escape_key(reply_slice(p, SLICE_LITERAL("key=")), slice_of(key->data, key->len));
	if (view->exptime == 0)
		p = reply_slice(p, SLICE_LITERAL(" exp=-1"));
	else
		p = put_number(p, SLICE_LITERAL(" exp="), (uint64_t)(d->wall_zero + view->exptime));
	p = put_number(p, SLICE_LITERAL(" la="), (uint64_t)(d->wall_zero + d->now - view->age));
	p = put_number(p, SLICE_LITERAL(" cas="), cas_shown(d->conn->worker, view->version));
	p = reply_slice(
	    p, view->fetched ? SLICE_LITERAL(" fetch=yes") : SLICE_LITERAL(" fetch=no"));
	p = put_number(p, SLICE_LITERAL(" cls="), (uint64_t)slab_class);
	p = put_number(p, SLICE_LITERAL(" size="), item_total(d->conn->worker, key, view));
	p = put_number(p, SLICE_LITERAL(" flags="), view->flags);
	return reply_slice(p, SLICE_LITERAL(" \n"));
}

/* Whether KEY can stand in a line as it is. */
static bool
is_text(const struct store_key *key)
{
	for (uint32_t i = 0; i < key->len; i++)
		if ((unsigned char)key->data[i] <= ' ' || key->data[i] == 0x7f)
			return false;
	return true;
}

static char *
put_command(char *p, const struct store_key *key, const struct store_view *view)
{
	p = reply_slice(p, SLICE_LITERAL("mg "));
	if (!(view->marks & STORE_TAGGED) && is_text(key))
		return reply_slice(
		    reply_slice(p, slice_of(key->data, key->len)), SLICE_LITERAL("\r\n"));
	p = base64_encode(p, slice_of(key->data, key->len));
	return reply_slice(p, SLICE_LITERAL(" b\r\n"));
}

static bool
wanted(const struct classes *classes, unsigned id)
{
	return classes->all || (id / 64 < 4 && classes->bits[id / 64] >> id % 64 & 1);
}

static void
dump_visit(
    void *context, const struct store_key *key, const struct store_view *view, int slab_class)
{
	struct dump *d = context;
	struct conn *c = d->conn;
	char *p;

	if (!wanted(&d->classes, (unsigned)slab_class))
		return;
	if ((p = outq_reserve(&c->out, &c->worker->source, LINE_MAX_BYTES)) == NULL)
		return;
	if (d->as_commands)
		p = put_command(p, key, view);
	else
		p = put_facts(p, d, key, view, slab_class);
	outq_commit(&c->out, p);
}

static enum report_result
dump_more(struct conn *c, struct conn_report *report)
{
	struct dump *d = (struct dump *)report;

	for (unsigned i = 0; i < STEPS && !conn_full(c); i++) {
		if (store_walk(c->worker->store, &d->cursor, dump_visit, d))
			continue;
		reply_with(c, d->as_commands ? REPLY_META_MISS : REPLY_END);
		return REPORT_DONE;
	}
	return REPORT_MORE;
}

static void
dump_free(struct conn_report *report)
{
	free(report);
}

/* "all", "hash", or numbers with commas between them. */
static bool
parse_classes(struct store *st, struct slice text, struct classes *classes)
{
	struct store_stats stats;

	store_stats(st, &stats);
	*classes = (struct classes){.all = slice_is(text, "all") || slice_is(text, "hash")};
	while (!classes->all && text.len > 0) {
		const char *comma = memchr(text.ptr, ',', text.len);
		size_t len = comma != NULL ? (size_t)(comma - text.ptr) : text.len;
		uint32_t id;

		if (!number_parse_u32(slice_of(text.ptr, len), &id) || id == 0 ||
		    (id > CLASSES_LEAST && id > stats.classes))
			return false;
		if (id / 64 < 4)
			classes->bits[id / 64] |= UINT64_C(1) << id % 64;
		text = slice_of(text.ptr + len, text.len - len);
		if (text.len > 0)
			text = slice_of(text.ptr + 1, text.len - 1);
	}
	return true;
}

bool
crawler_classes(const struct worker *w, const struct command *cmd)
{
	struct classes classes;

	return parse_classes(w->store, cmd->admin.words[0], &classes);
}

void
exec_dump(struct conn *c, const struct command *cmd)
{
	const struct server *server = c->worker->server;
	bool as_commands = cmd->op == OP_CRAWLER_MGDUMP;
	struct dump *d;
	struct classes classes;

	if (!load_relaxed(&server->settings->lru_crawler)) {
		reply_with(c, REPLY_CRAWLER_OFF);
		return;
	}
	if (!server->settings->dump_enabled) {
		reply_with(c, as_commands ? REPLY_MGDUMP_OFF : REPLY_METADUMP_OFF);
		return;
	}
	if (behind_others(c)) {
		reply_with(c, as_commands ? REPLY_MGDUMP_PIPELINED : REPLY_METADUMP_PIPELINED);
		return;
	}
	if (!parse_classes(c->worker->store, cmd->admin.words[0], &classes)) {
		reply_with(c, REPLY_BAD_CLASS);
		return;
	}
	if ((d = malloc(sizeof(*d))) == NULL) {
		reply_with(c, REPLY_NO_MEMORY_OTHER);
		return;
	}
	*d = (struct dump){
	    .report = {.more = dump_more, .free = dump_free},
	    .conn = c,
	    .classes = classes,
	    .as_commands = as_commands,
	    .wall_zero = clock_wall(server->clock) - (int64_t)clock_now(server->clock),
	    .now = clock_now(server->clock),
	};
	reply_with(c, REPLY_OK);
	report_begin(c, &d->report);
}
