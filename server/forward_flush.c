/* server/forward_flush.c: flush_all for the whole cluster.
 *
 * A flush begins when all that its connection has asked for before is answered, and the connection is not read until it has
 * ended. It goes in two rounds, because versions say what is older than what, on all nodes alike:
 *
 *	ask every node for its highest version    F = a version above all of them
 *	FLUSH(F) to every node                    what has a version up to F is gone, and what comes later is above F
 *
 * With a delay there is one round, in which every node notes down when (server/flush_plan.h). When it is due, the first node of the
 * list that can be reached goes through the two rounds; the others do so themselves if they do not hear of it.
 *
 * A node that cannot be reached is waited for, up to the peer timeout, and then makes an error of it; the others flush all the same. It
 * hears of it when it is reached: in the handshake, and when the link is up, because a flush may come between the two.
 */
#include <assert.h>
#include <endian.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cluster/frame.h"
#include "proto/binary.h"
#include "proto/reply.h"
#include "server/cluster.h"
#include "server/exec.h"
#include "server/forward_impl.h"
#include "server/settings.h"

/* Flags of a FLUSH frame: asks for the version alone; tells of a flush_all; tells that one that was due is done. */
enum { FLUSH_ASK = 1, FLUSH_TELL = 2, FLUSH_DONE = 4 };

/* Its body, little endian: of the last flush_all the order and when it is due, in milliseconds (0 = it is over); and what is flushed
 * already. 0 = nothing is known of it. */
struct flush_news {
	uint64_t version;
	uint64_t order;
	uint64_t milliseconds;
};

static_assert(sizeof(struct flush_news) == 24, "layout");

/* Milliseconds of a delay. */
#define DELAY_MAX ((uint64_t)UINT32_MAX * 1000)

struct flush;

struct flush_ask {
	struct ticket ticket;
	struct flush *flush;
	const struct forward_name *name;
	uint16_t node;
	bool open;
};

/* The body of a FLUSH request. */
struct flush {
	struct forward *forward;
	char request[BINARY_HEADER_SIZE]; /* for the answer */
	int64_t delay;
	uint64_t version; /* the highest that was heard of */
	unsigned open;    /* asks without an answer */
	unsigned count;
	uint8_t round; /* what was asked last; 0 = it has not begun */
	bool failed;
	bool quiet; /* that it went well is not told */
	struct flush_ask asks[];
};

static const struct ticket_kind kind;

static struct flush *
flush_of(struct forward *f)
{
	return (void *)f->body;
}

void
flush_free(struct forward *f)
{
	struct flush *flush = flush_of(f);

	for (unsigned i = 0; i < flush->count; i++)
		if (flush->asks[i].open)
			link_forget(&flush->asks[i].ticket);
}

/* ---------------------------------------------------------------- asking */

static bool
say(struct link *l, uint8_t flags, uint64_t id, const struct flush_news *news)
{
	const struct flush_news body = {
	    htole64(news->version), htole64(news->order), htole64(news->milliseconds)};
	char *p = link_frame(l, sizeof(body));

	if (p == NULL)
		return false;
	memcpy(p, &body, sizeof(body));
	link_frame_end(l, FRAME_FLUSH, flags, id, p + sizeof(body));
	return true;
}

/* Sends one FLUSH. False where the node cannot be reached. */
static bool
ask(struct flush_ask *one, uint8_t flags, const struct flush_news *news)
{
	struct worker *w = one->flush->forward->conn->worker;
	struct link *l = link_to(w, one->node);
	uint64_t id;

	if (l == NULL || !link_up(l))
		return false;
	one->ticket.kind = &kind;
	one->ticket.deadline = 0;
	if ((id = link_expect(l, &one->ticket)) == 0)
		return false;
	if (say(l, flags, id, news))
		return true;
	link_forget(&one->ticket);
	return false;
}

/* As link_now, and the same for all workers. */
static uint64_t
clock_of(struct worker *w)
{
	return link_now(w) + w->cluster->away;
}

/* The answer is to nobody's question (ids begin with 1), and dropped. */
void
forward_link_up(struct link *l)
{
	struct worker *w = link_worker(l);
	struct flush_news news = {.version = store_flushed(w->store)};

	news.order = flush_plan_tell(&w->cluster->cluster->flush, clock_of(w), &news.milliseconds);
	if (link_outgoing(l) && (news.version > 0 || news.order > 0) &&
	    !say(l, FLUSH_TELL, 0, &news))
		link_break(l, "no memory to tell of a flush");
}

static void
ask_all(struct flush *flush, uint8_t flags, const struct flush_news *news)
{
	flush->round = flags;
	for (unsigned i = 0; i < flush->count; i++) {
		struct flush_ask *one = &flush->asks[i];

		one->open = ask(one, flags, news);
		if (one->open) {
			flush->open++;
		} else {
			flush->failed = true;
			flush->forward->name = one->name;
		}
	}
}

/* The client's answer. */
static void
finish(struct flush *flush)
{
	struct forward *f = flush->forward;
	struct conn *c = f->conn;
	struct command asked = {0};
	char reply[REPLY_BINARY_STATUS_MAX];
	struct slice answer = REPLY_OK;

	if (flush->failed) {
		forward_fail(f, FORWARD_SILENT);
		return;
	}
	if (f->binary) {
		asked.op = OP_BIN_FLUSH;
		asked.binary.opcode = (uint8_t)flush->request[1];
		memcpy(&asked.binary.opaque, flush->request + 12, sizeof(uint32_t));
		asked.binary.opaque = be32toh(asked.binary.opaque);
		answer = slice_of(reply,
		    (size_t)(reply_binary_status(reply, &asked, BINARY_STATUS_OK, 0) - reply));
	}
	if (!flush->quiet)
		f->hole = forward_fill(f, f->hole, answer);
	if (f->hole == NULL) {
		forward_break(c);
		return;
	}
	outq_hole_close(&c->out, &c->worker->source, f->hole);
	forward_end(f);
}

/* There was a flush: what is to be done here. */
static void
hear(struct worker *w, const struct flush_news *news)
{
	uint64_t seconds = (news->milliseconds + 999) / 1000;
	bool command = news->order > 0 &&
	    flush_plan_hear(
		&w->cluster->cluster->flush, news->order, clock_of(w), news->milliseconds);

	store_version_raise(w->store, news->order);
	if (news->version > store_flushed(w->store)) {
		store_flush_version(w->store, news->version);
		exec_flushed(w, 0);
	} else if (command && seconds > 0) {
		exec_flushed(w, w->now + (uint32_t)seconds);
	}
}

/* All nodes have answered, or cannot. */
static void
round_done(struct flush *flush)
{
	struct worker *w = flush->forward->conn->worker;
	struct flush_news news = {0};

	if (flush->round != FLUSH_ASK) {
		finish(flush);
		return;
	}
	store_version_raise(w->store, flush->version);
	news.version = news.order = store_version_take(w->store);
	hear(w, &news);
	ask_all(flush, FLUSH_TELL, &news);
	if (flush->open == 0)
		finish(flush);
}

/* Whether a node cannot be reached that may soon be. */
static bool
must_wait(const struct flush *flush)
{
	struct worker *w = flush->forward->conn->worker;

	for (unsigned i = 0; i < flush->count; i++) {
		const struct link *l = link_to(w, flush->asks[i].node);

		if ((l == NULL || !link_up(l)) && !forward_given_up(w, flush->asks[i].node))
			return true;
	}
	return false;
}

/* How long a delay of flush_all is from now; 0 = there is none, or it is over. */
static uint64_t
milliseconds_to(const struct worker *w, int64_t delay)
{
	uint32_t at = delay > 0 ? exec_exptime(w, delay) : 0;

	return at > w->now ? (uint64_t)(at - w->now) * 1000 : 0;
}

static void
begin(struct flush *flush)
{
	struct forward *f = flush->forward;
	struct worker *w = f->conn->worker;
	struct flush_news news = {.milliseconds = milliseconds_to(w, flush->delay)};

	if (f->deadline == 0)
		f->deadline = link_now(w) + w->server->settings->peer_timeout;
	if (link_now(w) < f->deadline && must_wait(flush)) {
		forward_park(f, FORWARD_DOWN);
		return;
	}
	if (news.milliseconds > 0) {
		news.order = store_version_take(w->store);
		hear(w, &news);
		ask_all(flush, FLUSH_TELL, &news);
	} else {
		ask_all(flush, FLUSH_ASK, &news);
	}
	if (flush->open == 0)
		round_done(flush);
}

void
flush_poke(struct forward *f)
{
	struct flush *flush = flush_of(f);

	if (flush->round == 0 && f->hole != NULL)
		begin(flush);
}

static struct flush_ask *
of_ticket(struct ticket *t)
{
	return (void *)((char *)t - offsetof(struct flush_ask, ticket));
}

/* The answer of another node: its version. */
static void
note_version(uint64_t *highest, struct slice body)
{
	uint64_t version;

	if (body.len != sizeof(version))
		return;
	memcpy(&version, body.ptr, sizeof(version));
	version = le64toh(version);
	if (version > *highest && version <= STORE_ORDER_MAX)
		*highest = version;
}

static void
answered(struct flush_ask *one)
{
	struct flush *flush = one->flush;

	one->open = false;
	flush->open--;
	if (flush->open == 0)
		round_done(flush);
}

static void
on_reply(struct ticket *t, uint8_t flags, struct slice body, bool last)
{
	struct flush_ask *one = of_ticket(t);
	struct flush *flush = one->flush;

	(void)flags;
	note_version(&flush->version, body);
	if (last)
		answered(one);
}

static void
on_fail(struct ticket *t, enum link_failure why)
{
	struct flush_ask *one = of_ticket(t);

	(void)why;
	one->flush->failed = true;
	one->flush->forward->name = one->name;
	answered(one);
}

static const struct ticket_kind kind = {.reply = on_reply, .fail = on_fail};

void
forward_flush(struct conn *c, const struct command *cmd, int64_t delay)
{
	const struct cluster_worker *cw = c->worker->cluster;
	unsigned nodes = (unsigned)topology_count(cw->topology);
	struct forward *f = forward_new(
	    c, FORWARD_FLUSH, 0, sizeof(struct flush) + nodes * sizeof(struct flush_ask));
	struct flush *flush;

	if (f == NULL)
		return;
	flush = flush_of(f);
	memset(flush, 0, sizeof(*flush));
	f->hole = outq_hole(&c->out, &c->worker->source, FORWARD_BLOCKS);
	f->binary = c->protocol == PROTOCOL_BINARY;
	f->silent = cmd->noreply && !f->binary;
	flush->quiet = cmd->noreply;
	f->request = offsetof(struct flush, request);
	flush->forward = f;
	flush->delay = delay;
	if (f->binary) {
		uint32_t opaque = htobe32(cmd->binary.opaque);

		flush->request[1] = (char)cmd->binary.opcode;
		memcpy(flush->request + 12, &opaque, sizeof(opaque));
	}
	for (unsigned i = 0; i < nodes; i++)
		if (i != cw->self)
			flush->asks[flush->count++] = (struct flush_ask){.flush = flush,
			    .name = forward_name_of(c->worker, i),
			    .node = (uint16_t)i};
	if (f->hole != NULL && LIST_NEXT(f, entry) == NULL)
		begin(flush);
}

/* ---------------------------------------------------------------- what is due */

struct due_ask {
	struct ticket ticket;
	struct flush_due *due;
};

/* One that is due and under way. */
struct flush_due {
	struct worker *worker;
	struct flush_news news;
	unsigned open, count;
	struct due_ask asks[];
};

void
flush_due_free(struct worker *w)
{
	struct flush_due *due = w->cluster->forward->due;

	for (unsigned i = 0; due != NULL && i < due->count; i++)
		link_forget(&due->asks[i].ticket);
	free(due);
	w->cluster->forward->due = NULL;
}

/* The answers are there: the second round, whose answers nobody needs. */
static void
due_done(struct flush_due *due)
{
	struct worker *w = due->worker;
	struct flush_news news = due->news;

	flush_due_free(w);
	if (!flush_plan_done(&w->cluster->cluster->flush, news.order))
		return;
	store_version_raise(w->store, news.version);
	news.version = store_version_take(w->store);
	store_flush_version(w->store, news.version);
	for (unsigned i = 0; i < topology_count(w->cluster->topology); i++) {
		struct link *l = link_to(w, i);

		if (l != NULL && link_up(l) && !say(l, FLUSH_DONE, 0, &news))
			link_break(l, "no room to tell of a flush");
	}
}

static void
due_answered(struct flush_due *due)
{
	if (--due->open == 0)
		due_done(due);
}

static void
on_due_reply(struct ticket *t, uint8_t flags, struct slice body, bool last)
{
	struct flush_due *due = ((struct due_ask *)(void *)t)->due;

	(void)flags;
	note_version(&due->news.version, body);
	if (last)
		due_answered(due);
}

static void
on_due_fail(struct ticket *t, enum link_failure why)
{
	(void)why;
	due_answered(((struct due_ask *)(void *)t)->due);
}

static const struct ticket_kind due_kind = {.reply = on_due_reply, .fail = on_due_fail};

/* The first round. */
static void
due_begin(struct worker *w, uint64_t order)
{
	unsigned nodes = (unsigned)topology_count(w->cluster->topology);
	struct flush_due *due = calloc(1, sizeof(*due) + nodes * sizeof(due->asks[0]));

	if (due == NULL)
		return;
	w->cluster->forward->due = due;
	due->worker = w;
	due->news.order = order;
	due->open = 1;
	for (unsigned i = 0; i < nodes; i++) {
		struct due_ask *one = &due->asks[due->count];
		struct link *l = link_to(w, i);
		uint64_t id;

		*one = (struct due_ask){.ticket = {.kind = &due_kind}, .due = due};
		if (l == NULL || !link_up(l) || (id = link_expect(l, &one->ticket)) == 0)
			continue;
		due->count++;
		if (say(l, FLUSH_ASK, id, &due->news))
			due->open++;
		else
			link_forget(&one->ticket);
	}
	due_answered(due);
}

/* Whether no node before this one in the list can be reached. */
static bool
is_first(struct worker *w)
{
	for (unsigned i = 0; i < topology_count(w->cluster->topology); i++) {
		struct link *l = link_to(w, i);

		if (i < w->cluster->self && l != NULL && link_up(l))
			return false;
	}
	return true;
}

void
flush_tick(struct worker *w)
{
	struct flush_plan *plan = &w->cluster->cluster->flush;
	uint64_t now = clock_of(w), order;
	uint64_t patience = 2 * (uint64_t)w->server->settings->peer_timeout;

	if (w->id != 0 || w->cluster->forward->due != NULL || !flush_plan_due(plan, now, &order))
		return;
	if (is_first(w) || (now > patience && flush_plan_due(plan, now - patience, &order)))
		due_begin(w, order);
}

/* ---------------------------------------------------------------- answering */

bool
forward_on_flush(struct link *l, const struct frame *frame)
{
	struct worker *w = link_worker(l);
	struct flush_news news;
	uint64_t version;
	char *p;

	if (frame->body.len != sizeof(news))
		return false;
	memcpy(&news, frame->body.ptr, sizeof(news));
	news = (struct flush_news){
	    le64toh(news.version), le64toh(news.order), le64toh(news.milliseconds)};
	if (frame->flags != FLUSH_ASK && frame->flags != FLUSH_TELL && frame->flags != FLUSH_DONE)
		return false;
	if (news.version > STORE_ORDER_MAX || news.order > STORE_ORDER_MAX ||
	    news.milliseconds > DELAY_MAX)
		return false;
	if (frame->flags == FLUSH_DONE)
		(void)flush_plan_done(&w->cluster->cluster->flush, news.order);
	if (frame->flags != FLUSH_ASK)
		hear(w, &news);
	version = htole64(store_version(w->store));
	if ((p = link_frame(l, sizeof(version))) == NULL)
		return true;
	memcpy(p, &version, sizeof(version));
	link_frame_end(l, FRAME_REPLY, FRAME_LAST, frame->id, p + sizeof(version));
	return true;
}
