/* server/stats_walk.c: answers that walk the whole store, a few buckets at a time: `stats sizes` and
 * `stats cachedump`. */
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "proto/binary.h"
#include "proto/reply.h"
#include "server/clock.h"
#include "server/conn_report.h"
#include "server/conn_step.h"
#include "server/exec_op.h"
#include "server/settings.h"
#include "server/stats.h"
#include "server/worker.h"

/* Calls of store_walk in one piece: each visits a few buckets. */
#define STEPS 64u

/* ---------------------------------------------------------------- sizes */

/* Sizes are counted in steps of this many bytes, as memcached does. */
#define SIZE_STEP 32u

/* Counts looked at in one piece: with -I of a gigabyte there are millions. */
#define LOOKS 65536u

struct sizes_report {
	struct conn_report report;
	struct stats_out out;
	uint64_t cursor;
	uint32_t next, buckets; /* while the result is shown */
	bool walked;
	uint64_t counts[];
};

static void
sizes_visit(
    void *context, const struct store_key *key, const struct store_view *view, int slab_class)
{
	struct sizes_report *r = context;
	uint64_t bucket = (item_total(r->out.conn->worker, key, view) + SIZE_STEP - 1) / SIZE_STEP;

	(void)slab_class;
	r->counts[bucket < r->buckets ? bucket : r->buckets - 1]++;
}

/* Looks at some of the counts, most of which may be 0, and shows the others; false behind the last. */
static bool
sizes_show(struct sizes_report *r)
{
	uint32_t looks = r->next + LOOKS;

	for (unsigned shown = 0; shown < STEPS && r->next < r->buckets && r->next < looks;
	     r->next++) {
		char name[NUMBER_U64_MAX_LEN + 1];

		if (r->counts[r->next] == 0)
			continue;
		*number_format_u64(name, (uint64_t)r->next * SIZE_STEP) = '\0';
		stats_u64(&r->out, name, r->counts[r->next]);
		shown++;
	}
	return r->next < r->buckets;
}

static enum report_result
sizes_more(struct conn *c, struct conn_report *report)
{
	struct sizes_report *r = (struct sizes_report *)report;

	for (unsigned i = 0; i < STEPS && !r->walked; i++)
		r->walked = !store_walk(c->worker->store, &r->cursor, sizes_visit, r);
	if (!r->walked || sizes_show(r))
		return REPORT_MORE;
	stats_end(&r->out);
	return REPORT_DONE;
}

static void
plain_free(struct conn_report *report)
{
	free(report);
}

void
stats_sizes(struct stats_out *out)
{
	struct worker *w = out->conn->worker;
	uint32_t buckets = (uint32_t)(store_item_max(w->store) / SIZE_STEP) + 2;
	struct sizes_report *r;

	if (!load_relaxed(&w->server->settings->track_sizes)) {
		stats_text(out, "sizes_status", "disabled");
		stats_end(out);
		return;
	}
	if ((r = calloc(1, sizeof(*r) + buckets * sizeof(r->counts[0]))) == NULL) {
		stats_error(out, REPLY_NO_MEMORY_OTHER, BINARY_STATUS_ENOMEM);
		return;
	}
	r->report = (struct conn_report){.more = sizes_more, .free = plain_free};
	r->out = *out;
	r->buckets = buckets;
	report_begin(out->conn, &r->report);
}

/* ---------------------------------------------------------------- cachedump */

/* memcached fills one page with lines and no more. */
#define DUMP_BYTES ((size_t)2 << 20)

/* "ITEM <key> [<size> b; <expiry> s]\r\n" */
#define DUMP_LINE_MAX (5 + PROTO_KEY_MAX + 2 + 10 + 4 + NUMBER_U64_MAX_LEN + 5)

struct dump_report {
	struct conn_report report;
	struct stats_out out;
	uint64_t cursor;
	uint32_t slab_class;
	uint32_t limit, shown; /* items; 0 = no limit */
	size_t bytes;
	int64_t wall_zero;
};

/* memcached's last class stands for those behind it, too: libmemcached asks for no others when it wants all keys. */
#define LAST_OF_MEMCACHED 63u

static bool
is_dumped(const struct dump_report *r, int slab_class)
{
	return slab_class == (int)r->slab_class ||
	    (r->slab_class == LAST_OF_MEMCACHED && slab_class > (int)LAST_OF_MEMCACHED);
}

static void
dump_visit(
    void *context, const struct store_key *key, const struct store_view *view, int slab_class)
{
	struct dump_report *r = context;
	struct conn *c = r->out.conn;
	char *p, *begin;

	if (!is_dumped(r, slab_class) || (r->limit != 0 && r->shown >= r->limit))
		return;
	if (r->bytes + DUMP_LINE_MAX > DUMP_BYTES)
		return;
	if ((begin = outq_reserve(&c->out, &c->worker->source, DUMP_LINE_MAX)) == NULL)
		return;
	p = reply_slice(begin, SLICE_LITERAL("ITEM "));
	p = reply_slice(p, slice_of(key->data, key->len));
	p = reply_slice(p, SLICE_LITERAL(" ["));
	p = number_format_u64(p, view->size);
	p = reply_slice(p, SLICE_LITERAL(" b; "));
	p = number_format_u64(p, view->exptime == 0 ? 0 : (uint64_t)(r->wall_zero + view->exptime));
	p = reply_slice(p, SLICE_LITERAL(" s]\r\n"));
	outq_commit(&c->out, p);
	r->bytes += (size_t)(p - begin);
	r->shown++;
}

static enum report_result
dump_more(struct conn *c, struct conn_report *report)
{
	struct dump_report *r = (struct dump_report *)report;
	bool more = true;

	for (unsigned i = 0; i < STEPS && more && !conn_full(c); i++)
		more = store_walk(c->worker->store, &r->cursor, dump_visit, r) &&
		    (r->limit == 0 || r->shown < r->limit) &&
		    r->bytes + DUMP_LINE_MAX <= DUMP_BYTES;
	if (!more)
		stats_end(&r->out);
	return more ? REPORT_MORE : REPORT_DONE;
}

static void
dump_begin(struct stats_out *out, uint32_t slab_class, uint32_t limit)
{
	const struct clock *clock = out->conn->worker->server->clock;
	struct dump_report *r = malloc(sizeof(*r));

	if (r == NULL) {
		stats_error(out, REPLY_NO_MEMORY_OTHER, BINARY_STATUS_ENOMEM);
		return;
	}
	*r = (struct dump_report){
	    .report = {.more = dump_more, .free = plain_free},
	    .out = *out,
	    .slab_class = slab_class,
	    .limit = limit,
	    .wall_zero = clock_wall(clock) - (int64_t)clock_now(clock),
	};
	report_begin(out->conn, &r->report);
}

/* The numbers of memcached's classes end at 63; ours may go further. */
#define CLASSES_MAX 255u

void
stats_cachedump(struct stats_out *out, struct slice arguments)
{
	struct slice id_word, limit_word;
	uint32_t id, limit;

	if (!out->conn->worker->server->settings->dump_enabled)
		stats_error(out, REPLY_CACHEDUMP_OFF, BINARY_STATUS_KEY_ENOENT);
	else if (out->conn->protocol == PROTOCOL_BINARY)
		stats_error(out, REPLY_ERROR, BINARY_STATUS_KEY_ENOENT);
	else if (!proto_token_next(&arguments, &id_word) ||
	    !proto_token_next(&arguments, &limit_word))
		stats_error(out, REPLY_BAD_LINE, 0);
	else if (!number_parse_u32(id_word, &id) || !number_parse_u32(limit_word, &limit))
		stats_error(out, REPLY_BAD_FORMAT, 0);
	else if (id > CLASSES_MAX)
		stats_error(out, REPLY_BAD_SLAB_ID, 0);
	else
		dump_begin(out, id, limit);
}
