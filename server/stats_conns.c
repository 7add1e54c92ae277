/* server/stats_conns.c: `stats conns`: every connection of every worker.
 *
 * A picture of all of them is taken at once, which is quick, and shown piece by piece.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/atomics.h"
#include "proto/binary.h"
#include "proto/reply.h"
#include "server/clock.h"
#include "server/conn_report.h"
#include "server/peer.h"
#include "server/stats.h"
#include "server/worker.h"

/* Connections in one piece. */
#define PIECE 32u

struct shown {
	int fd;
	uint32_t idle; /* seconds since the last command */
	const char *state;
	const struct listener *from;
	struct peer peer;
	bool listening;
};

struct conns_report {
	struct conn_report report;
	struct stats_out out;
	size_t next, count, capacity;
	struct shown *all;
};

const char *
conn_state_name(const struct conn *c)
{
	static const char *const names[] = {
	    [CONN_COMMANDS] = "conn_read",
	    [CONN_KEYS] = "conn_parse_cmd",
	    [CONN_STREAM] = "conn_nread",
	    [CONN_RELAY] = "conn_nread",
	    [CONN_LINK] = "conn_read",
	    [CONN_SWALLOW] = "conn_swallow",
	    [CONN_REPORT] = "conn_mwrite",
	    [CONN_CLOSING] = "conn_closing",
	};

	unsigned state = load_relaxed(&c->state);

	if (state == CONN_COMMANDS && load_relaxed(&c->in.need) > 0)
		state = CONN_STREAM;
	return names[state];
}

static void
line(struct stats_out *out, int fd, const char *name, const char *value)
{
	char full[64];

	(void)snprintf(full, sizeof(full), "%d:%s", fd, name);
	stats_text(out, full, value);
}

static void
show(struct stats_out *out, const struct shown *shown)
{
	char text[PEER_TEXT_MAX];

	if (shown->listening) {
		line(out, shown->fd, "addr", shown->from->name);
	} else {
		peer_text(&shown->peer, text);
		line(out, shown->fd, "addr", text);
		if (shown->from != NULL)
			line(out, shown->fd, "listen_addr", shown->from->name);
	}
	line(out, shown->fd, "state", shown->state);
	(void)snprintf(text, sizeof(text), "%u", shown->idle);
	line(out, shown->fd, "secs_since_last_cmd", text);
}

static enum report_result
conns_more(struct conn *c, struct conn_report *report)
{
	struct conns_report *r = (struct conns_report *)report;

	(void)c;
	for (unsigned i = 0; i < PIECE && r->next < r->count; i++)
		show(&r->out, &r->all[r->next++]);
	if (r->next < r->count)
		return REPORT_MORE;
	stats_end(&r->out);
	return REPORT_DONE;
}

static void
conns_free(struct conn_report *report)
{
	struct conns_report *r = (struct conns_report *)report;

	free(r->all);
	free(r);
}

static void
add_worker(struct conns_report *r, struct worker *w, uint32_t now)
{
	struct conn *c;

	lock_take(&w->conns_lock);
	TAILQ_FOREACH(c, &w->conns, all) {
		uint32_t last = load_relaxed(&c->last_active);

		if (load_relaxed(&c->state) == CONN_LINK)
			continue;
		if (r->count == r->capacity)
			break;
		r->all[r->count++] = (struct shown){
		    .fd = c->fd,
		    .idle = now > last ? now - last : 0,
		    .state = c == r->out.conn ? "conn_parse_cmd" : conn_state_name(c),
		    .from = c->from,
		    .peer = c->peer,
		};
	}
	lock_drop(&w->conns_lock);
}

static void
add_listeners(struct conns_report *r, const struct listener *sockets, size_t count, uint32_t uptime)
{
	for (size_t i = 0; i < count && r->count < r->capacity; i++)
		r->all[r->count++] = (struct shown){
		    .fd = sockets[i].fd,
		    .idle = uptime,
		    .state = "conn_listening",
		    .from = &sockets[i],
		    .listening = true,
		};
}

static int
by_fd(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;

	return (x->fd > y->fd) - (x->fd < y->fd);
}

void
stats_conns(struct stats_out *out)
{
	const struct server *server = out->conn->worker->server;
	struct conns_report *r = calloc(1, sizeof(*r));
	const struct listener *sockets = NULL;
	size_t count = 0;

	if (server->listen != NULL)
		sockets = listen_sockets(server->listen, &count);
	if (r != NULL) {
		r->capacity = count + workers_connections(server) + 16;
		r->all = calloc(r->capacity, sizeof(*r->all));
	}
	if (r == NULL || r->all == NULL) {
		free(r);
		stats_error(out, REPLY_NO_MEMORY_OTHER, BINARY_STATUS_ENOMEM);
		return;
	}
	r->report = (struct conn_report){.more = conns_more, .free = conns_free};
	r->out = *out;
	add_listeners(r, sockets, count, clock_uptime(server->clock));
	for (uint32_t i = 0; i < server->worker_count; i++)
		add_worker(r, server->workers[i], clock_now(server->clock));
	qsort(r->all, r->count, sizeof(*r->all), by_fd);
	report_begin(out->conn, &r->report);
}
