/* server/cluster_stats.c: see cluster_stats.h.
 *
 * The answer to `stats cluster` is a report that waits for a ticket of each other node. A node's figures are lines
 * "<name> <value>\n", which become "STAT <node>:<name> <value>".
 */
#include "server/cluster_stats.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/topology.h"
#include "proto/reply.h"
#include "server/clock.h"
#include "server/cluster.h"
#include "server/conn_report.h"
#include "server/counters.h"
#include "server/exec_op.h"
#include "server/link.h"
#include "server/replicate.h"
#include "server/stats.h"
#include "server/worker.h"

#define FIGURES_MAX 2048u

/* ---------------------------------------------------------------- this node's figures */

/* How far the others are behind this node. */
static struct replicate_stats
worst_lag(const struct cluster_worker *cw)
{
	struct replicate_stats worst = {0}, one;

	for (unsigned i = 0; cw->cluster->replicate != NULL && i < topology_count(cw->topology);
	     i++) {
		if (i == cw->self)
			continue;
		replicate_stats(cw->cluster->replicate, topology_node(cw->topology, i)->id, &one);
		if (one.lag_operations > worst.lag_operations)
			worst.lag_operations = one.lag_operations;
		if (one.lag_us > worst.lag_us)
			worst.lag_us = one.lag_us;
	}
	return worst;
}

/* What is counted one after the other may not fit for a moment. */
static uint64_t
less(uint64_t all, uint64_t some)
{
	return all > some ? all - some : 0;
}

static size_t
figures(const struct worker *w, char text[FIGURES_MAX])
{
	const struct server *server = w->server;
	struct replicate_stats lag = worst_lag(w->cluster);
	struct store_stats store;
	struct counters sum;
	size_t len = 0;

	store_stats(server->store, &store);
	counters_sum(server, &sum);
#define NODE_STAT(name, value, help)                                                               \
	len += (size_t)snprintf(                                                                   \
	    text + len, FIGURES_MAX - len, #name " %llu\n", (unsigned long long)(value));
#include "server/tbl/node_stats.h"
#undef NODE_STAT
	ASSERT(len < FIGURES_MAX);
	return len;
}

bool
cluster_on_stats(struct link *l, const struct frame *frame)
{
	char text[FIGURES_MAX], *p;
	size_t len = figures(link_worker(l), text);

	if ((p = link_frame(l, len)) == NULL)
		return true;
	memcpy(p, text, len);
	link_frame_end(l, FRAME_REPLY, FRAME_LAST, frame->id, p + len);
	return true;
}

/* ---------------------------------------------------------------- asking all nodes */

enum answer { ANSWER_AWAITED, ANSWER_HERE, ANSWER_NONE };

struct node_answer {
	struct ticket ticket;
	struct cluster_report *report;
	enum answer state;
	size_t len;
	char text[FIGURES_MAX];
};

struct cluster_report {
	struct conn_report base;
	struct stats_out out;
	uint64_t epoch; /* of the topology whose nodes these are */
	unsigned count, awaited;
	struct node_answer nodes[];
};

static void
answered(struct node_answer *a, enum answer state)
{
	a->state = state;
	if (--a->report->awaited == 0)
		conn_poke(a->report->out.conn);
}

static void
on_reply(struct ticket *t, uint8_t flags, struct slice body, bool last)
{
	struct node_answer *a = (struct node_answer *)t;

	(void)flags;
	if (body.len <= sizeof(a->text) - a->len) {
		memcpy(a->text + a->len, body.ptr, body.len);
		a->len += body.len;
	}
	if (last)
		answered(a, ANSWER_HERE);
}

static void
on_fail(struct ticket *t, enum link_failure why)
{
	(void)why;
	answered((struct node_answer *)t, ANSWER_NONE);
}

static const struct ticket_kind answers = {.reply = on_reply, .fail = on_fail};

static bool
ask(struct worker *w, unsigned node, struct node_answer *a)
{
	struct link *l = link_to(w, node);
	uint64_t id;
	char *p;

	if (l == NULL || !link_up(l) || (id = link_expect(l, &a->ticket)) == 0)
		return false;
	if ((p = link_frame(l, 0)) == NULL) {
		link_forget(&a->ticket);
		return false;
	}
	link_frame_end(l, FRAME_STATS, 0, id, p);
	return true;
}

/* ---------------------------------------------------------------- the answer */

static void
line(struct stats_out *out, struct slice node, const char *field, struct slice value)
{
	char name[2 * TOPOLOGY_NAME_MAX]; /* FIELD may be a node's word, of up to 63 bytes */
	int n = snprintf(name, sizeof(name), "%.*s:%s", (int)node.len, node.ptr, field);

	stats_slice(out, slice_of(name, (size_t)n), value);
}

static void
line_text(struct stats_out *out, struct slice node, const char *field, const char *value)
{
	line(out, node, field, slice_of(value, strlen(value)));
}

static void
figure_lines(struct stats_out *out, struct slice node, struct slice text)
{
	while (text.len > 0) {
		const char *blank = memchr(text.ptr, ' ', text.len);
		const char *end = memchr(text.ptr, '\n', text.len);
		char name[64];

		if (blank == NULL || end == NULL || end < blank)
			return;
		(void)snprintf(name, sizeof(name), "%.*s", (int)(blank - text.ptr), text.ptr);
		line(out, node, name, slice_of(blank + 1, (size_t)(end - blank - 1)));
		text = slice_of(end + 1, text.len - (size_t)(end + 1 - text.ptr));
	}
}

static void
node_lines(struct stats_out *out, const struct node_answer *a, unsigned node)
{
	static const char *const states[] = {
	    [ANSWER_HERE] = "linked",
	    [ANSWER_NONE] = "unreachable",
	};
	const struct cluster_worker *cw = out->conn->worker->cluster;
	struct slice name = topology_node_name(cw->topology, node);
	char id[17];

	(void)snprintf(
	    id, sizeof(id), "%016llx", (unsigned long long)topology_node(cw->topology, node)->id);
	line_text(out, name, "id", id);
	line_text(out, name, "state", node == cw->self ? "self" : states[a->state]);
	figure_lines(out, name, slice_of(a->text, a->len));
}

static void
cluster_lines(struct stats_out *out)
{
	const struct cluster_worker *cw = out->conn->worker->cluster;
	const struct topology *t = cw->topology;
	const struct topology_options *o = topology_options(t);

	stats_slice(out, SLICE_LITERAL("cluster_id"), o->cluster);
	stats_u64(out, "epoch", o->epoch);
	stats_text(out, "ring", ring_kind_name(o->kind));
	stats_u64(out, "replicas", o->replicas);
	stats_u64(out, "nodes", topology_count(t));
	if (cw->self != CLUSTER_NOBODY)
		stats_slice(out, SLICE_LITERAL("self"), topology_node_name(t, cw->self));
	stats_slice(out, SLICE_LITERAL("topology"), topology_encode(t));
}

static enum report_result
report_more(struct conn *c, struct conn_report *report)
{
	struct cluster_report *r = (struct cluster_report *)report;
	uint64_t epoch = topology_epoch(c->worker->cluster->topology);

	if (r->awaited > 0)
		return REPORT_PAUSE;
	cluster_lines(&r->out);
	/* Another list of nodes would only mix up the names: the next answer has it. */
	for (unsigned i = 0; i < r->count && r->epoch == epoch; i++)
		node_lines(&r->out, &r->nodes[i], i);
	stats_end(&r->out);
	return REPORT_DONE;
}

static void
report_release(struct conn_report *report)
{
	struct cluster_report *r = (struct cluster_report *)report;

	for (unsigned i = 0; i < r->count; i++)
		link_forget(&r->nodes[i].ticket);
	free(r);
}

void
stats_cluster(struct stats_out *out)
{
	struct conn *c = out->conn;
	struct worker *w = c->worker;
	const struct topology *t = w->cluster == NULL ? NULL : w->cluster->topology;
	unsigned count = t == NULL ? 0 : (unsigned)topology_count(t);
	struct cluster_report *r;

	if (t == NULL) {
		stats_error(out, REPLY_ERROR, BINARY_STATUS_KEY_ENOENT);
		return;
	}
	if ((r = calloc(1, sizeof(*r) + count * sizeof(r->nodes[0]))) == NULL) {
		stats_error(out, REPLY_NO_MEMORY_OTHER, BINARY_STATUS_ENOMEM);
		return;
	}
	*r = (struct cluster_report){.base = {report_more, report_release},
	    .out = *out,
	    .epoch = topology_epoch(t),
	    .count = count};
	for (unsigned i = 0; i < count; i++) {
		struct node_answer *a = &r->nodes[i];

		a->report = r;
		a->ticket.kind = &answers;
		if (i == w->cluster->self) {
			a->len = figures(w, a->text);
			a->state = ANSWER_HERE;
		} else if (ask(w, i, a)) {
			r->awaited++;
		} else {
			a->state = ANSWER_NONE;
		}
	}
	report_begin(c, &r->base);
}

/* ---------------------------------------------------------------- auto discovery */

/* HOST where it is an address; a name's address is the client's to find. */
static struct slice
address_of(struct slice host)
{
	char text[TOPOLOGY_NAME_MAX + 1];
	unsigned char address[sizeof(struct in6_addr)];

	memcpy(text, host.ptr, host.len);
	text[host.len] = '\0';
	if (inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1)
		return host;
	return slice_of("", 0);
}

/* "<epoch>\n<host>|<address>|<port> ...\n" at P, which has room for it; returns the end. */
static char *
write_nodes(char *p, const struct topology *t)
{
	p = number_format_u64(p, topology_epoch(t));
	*p++ = '\n';
	for (unsigned i = 0; i < topology_count(t); i++) {
		const struct topology_node *node = topology_node(t, i);

		if (i > 0)
			*p++ = ' ';
		p = reply_slice(p, node->host);
		*p++ = '|';
		p = reply_slice(p, address_of(node->host));
		*p++ = '|';
		p = number_format_u64(p, node->port);
	}
	*p++ = '\n';
	return p;
}

void
exec_config(struct conn *c, const struct command *cmd)
{
	struct worker *w = c->worker;
	char *text, *p;
	size_t len;

	if (w->cluster == NULL || cmd->admin.count != 1 ||
	    !slice_is(cmd->admin.words[0], "cluster")) {
		reply_unless_quiet(c, cmd, REPLY_ERROR);
		return;
	}
	len = 64 + topology_count(w->cluster->topology) * (2 * TOPOLOGY_NAME_MAX + 16);
	if ((text = malloc(len)) == NULL) {
		reply_with(c, REPLY_NO_MEMORY_OTHER);
		return;
	}
	len = (size_t)(write_nodes(text, w->cluster->topology) - text);
	if ((p = outq_reserve(&c->out, &w->source, len + 64)) != NULL) {
		p = reply_slice(p, SLICE_LITERAL("CONFIG cluster 0 "));
		p = reply_line_end(number_format_u64(p, len));
		p = reply_slice(p, slice_of(text, len));
		outq_commit(&c->out, reply_slice(p, SLICE_LITERAL("\r\nEND\r\n")));
	}
	free(text);
}
