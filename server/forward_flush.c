/* server/forward_flush.c: flush_all for the whole cluster.
 *
 * A flush begins when all that its connection has asked for before is answered, and the connection is not read until it has
 * ended. It goes in two rounds, because versions say what is older than what, on all nodes alike:
 *
 *	ask every node for its highest version    F = a version above all of them
 *	FLUSH(F) to every node                    what has a version up to F is gone, and what comes later is above F
 *
 * With a delay there is one round, in which every node notes down when. A node that cannot be reached is waited for, up to the
 * peer timeout, and then makes an error of it; the others flush all the same. It hears of it when it is reached: in the handshake,
 * and when the link is up, because a flush may come between the two.
 */
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "cluster/frame.h"
#include "proto/binary.h"
#include "proto/reply.h"
#include "server/cluster.h"
#include "server/exec.h"
#include "server/forward_impl.h"
#include "server/settings.h"

/* Flags of a FLUSH frame, which say what its number is. */
enum { FLUSH_ASK = 1, FLUSH_VERSION = 2, FLUSH_DELAY = 4 };

struct flush;

struct flush_ask {
	struct ticket ticket;
	struct flush *flush;
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
say(struct link *l, uint8_t flags, uint64_t id, uint64_t number)
{
	char *p = link_frame(l, sizeof(number));

	if (p == NULL)
		return false;
	number = htole64(number);
	memcpy(p, &number, sizeof(number));
	link_frame_end(l, FRAME_FLUSH, flags, id, p + sizeof(number));
	return true;
}

/* Sends one FLUSH. False where the node cannot be reached. */
static bool
ask(struct flush_ask *one, uint8_t flags, uint64_t number)
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
	if (say(l, flags, id, number))
		return true;
	link_forget(&one->ticket);
	return false;
}

/* The answer is to nobody's question (ids begin with 1), and dropped. */
void
forward_link_up(struct link *l)
{
	uint64_t flushed = store_flushed(link_worker(l)->store);

	if (link_outgoing(l) && flushed > 0 && !say(l, FLUSH_VERSION, 0, flushed))
		link_break(l, "no memory to tell of a flush");
}

static void
ask_all(struct flush *flush, uint8_t flags, uint64_t number)
{
	flush->round = flags;
	for (unsigned i = 0; i < flush->count; i++) {
		struct flush_ask *one = &flush->asks[i];

		one->open = ask(one, flags, number);
		if (one->open) {
			flush->open++;
		} else {
			flush->failed = true;
			flush->forward->node = one->node;
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

static void
flush_version(struct worker *w, uint64_t version)
{
	store_version_raise(w->store, version);
	store_flush_version(w->store, version);
	exec_flushed(w, 0);
}

/* All nodes have answered, or cannot. */
static void
round_done(struct flush *flush)
{
	struct worker *w = flush->forward->conn->worker;
	uint64_t version;

	if (flush->round != FLUSH_ASK) {
		finish(flush);
		return;
	}
	store_version_raise(w->store, flush->version);
	version = store_version_take(w->store);
	flush_version(w, version);
	ask_all(flush, FLUSH_VERSION, version);
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

static void
begin(struct flush *flush)
{
	struct forward *f = flush->forward;
	struct worker *w = f->conn->worker;

	if (f->deadline == 0)
		f->deadline = link_now(w) + w->server->settings->peer_timeout;
	if (link_now(w) < f->deadline && must_wait(flush)) {
		forward_park(f, FORWARD_DOWN);
		return;
	}
	if (flush->delay > 0) {
		exec_flush_at(w, flush->delay);
		ask_all(flush, FLUSH_DELAY, (uint64_t)flush->delay);
	} else {
		ask_all(flush, FLUSH_ASK, 0);
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
	uint64_t version;

	(void)flags;
	if (body.len == sizeof(version)) {
		memcpy(&version, body.ptr, sizeof(version));
		version = le64toh(version);
		if (version > flush->version && version <= STORE_ORDER_MAX)
			flush->version = version;
	}
	if (last)
		answered(one);
}

static void
on_fail(struct ticket *t, enum link_failure why)
{
	struct flush_ask *one = of_ticket(t);

	(void)why;
	one->flush->failed = true;
	one->flush->forward->node = one->node;
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
			flush->asks[flush->count++] =
			    (struct flush_ask){.flush = flush, .node = (uint16_t)i};
	if (f->hole != NULL && LIST_NEXT(f, entry) == NULL)
		begin(flush);
}

/* ---------------------------------------------------------------- answering */

bool
forward_on_flush(struct link *l, const struct frame *frame)
{
	struct worker *w = link_worker(l);
	uint64_t number, version;
	char *p;

	if (frame->body.len != sizeof(number))
		return false;
	memcpy(&number, frame->body.ptr, sizeof(number));
	number = le64toh(number);
	if (frame->flags == FLUSH_VERSION && number > STORE_ORDER_MAX)
		return false;
	if (frame->flags == FLUSH_VERSION && number > store_flushed(w->store))
		flush_version(w, number);
	else if (frame->flags == FLUSH_DELAY)
		exec_flush_at(w, (int64_t)number);
	else if (frame->flags != FLUSH_ASK && frame->flags != FLUSH_VERSION)
		return false;
	version = htole64(store_version(w->store));
	if ((p = link_frame(l, sizeof(version))) == NULL)
		return true;
	memcpy(p, &version, sizeof(version));
	link_frame_end(l, FRAME_REPLY, FRAME_LAST, frame->id, p + sizeof(version));
	return true;
}
