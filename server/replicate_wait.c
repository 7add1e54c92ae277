/* server/replicate_wait.c: those who wait, in a list of their worker.
 *
 * A waiter of a connection is that connection's report and ends with it. One that waits for another node is the list's own: of
 * these no link has more than a limit, what is too much is answered at once. Each is looked at when something was acknowledged, and
 * each 20 ms for the sake of its deadline.
 */
#include "server/replicate_wait.h"

#include <endian.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"
#include "proto/reply.h"
#include "server/cluster.h"
#include "server/conn_report.h"
#include "server/conn_step.h"
#include "server/exec_op.h"
#include "server/link_impl.h"
#include "server/replicate.h"
#include "server/settings.h"
#include "server/written.h"

/* Bytes of an answer that is held back: as many as any of these commands makes room for, or it would not lie where it is looked
 * for. */
#define HELD_MAX    ((size_t)REPLY_META_MAX + REPLY_NUMBER_MAX)
#define WAITERS_MAX 16384u /* that wait for one link's other end */
#define WAY         60u /* milliseconds by which another node answers earlier, to be heard in time */

struct waiter;

struct wait_ask {
	struct ticket ticket;
	struct waiter *waiter;
};

struct waiter {
	struct conn_report report;
	struct worker *worker;
	struct conn *conn; /* NULL: for LINK, which is answered with the reply to ID */
	struct link *link;
	uint64_t id;
	struct replicate_wait wait;
	uint32_t writer;
	uint64_t since; /* 0: all that was not waited for yet */
	unsigned need;
	uint64_t deadline; /* as link_now */
	bool begun, over;
	bool holds;     /* HELD is the answer; otherwise it is the number of replicas */
	bool hopeless;  /* nobody can say any more: it is 0 */
	unsigned acked; /* on so many replicas it is, at the least */
	unsigned open;  /* other nodes that have not answered */
	LIST_ENTRY(waiter) entry;
	struct wait_ask *asks; /* of other nodes, or NULL */
	unsigned count;
	uint32_t held_size;
	char held[]; /* HELD_MAX bytes, where it holds */
};

/* What a link's inner connections write is the link's. */
static uint32_t
writer_of(const void *who)
{
	uint32_t number = (uint32_t)((uintptr_t)who >> 6);

	return number == 0 ? 1 : number;
}

void
wait_writer(struct conn *c)
{
	replicate_writer(c->worker->cluster->replicate, writer_of(c));
}

/* ---------------------------------------------------------------- the end */

static void
waiter_free(struct conn_report *report)
{
	struct waiter *x = (struct waiter *)report;

	for (unsigned i = 0; i < x->count; i++)
		link_forget(&x->asks[i].ticket);
	LIST_REMOVE(x, entry);
	if (x->link != NULL)
		x->link->waiters--;
	free(x->asks);
	free(x);
}

static struct slice
answer(const struct waiter *x, char *room, size_t size)
{
	int n;

	if (x->holds)
		return x->acked >= x->need ? slice_of(x->held, x->held_size) : REPLY_NOT_COPIED;
	n = snprintf(room, size, "WAIT %u\r\n", x->acked);
	return slice_of(room, (size_t)n);
}

/* Answers the other node. */
static void
tell_link(struct waiter *x)
{
	uint32_t acked = htole32(x->acked);
	char room[32];
	struct slice text = x->holds ? answer(x, room, sizeof(room))
				     : slice_of((const char *)&acked, sizeof(acked));
	char *p = link_frame(x->link, text.len);

	if (p != NULL) {
		memcpy(p, text.ptr, text.len);
		link_frame_end(x->link, FRAME_REPLY, FRAME_LAST, x->id, p + text.len);
	}
	waiter_free(&x->report);
}

static void
look(struct waiter *x)
{
	struct replicate_worker *r = x->worker->cluster->replicate;
	bool late = link_now(x->worker) >= x->deadline;

	if (!x->over &&
	    (late || x->hopeless ||
		(x->begun && x->open == 0 && replicate_wait_done(r, &x->wait)))) {
		unsigned acked = x->begun ? replicate_wait_end(r, &x->wait) : 0;

		x->over = true;
		if (acked < x->acked)
			x->acked = acked;
		if (x->open > 0 || x->hopeless)
			x->acked = 0;
	}
	if (x->conn == NULL && x->over)
		tell_link(x);
	else if (x->conn != NULL && !x->conn->inner && (x->over || !x->begun))
		conn_poke(x->conn);
}

void
wait_look(struct worker *w)
{
	struct waiter *x, *next;

	for (x = LIST_FIRST(&w->cluster->waiters); x != NULL; x = next) {
		next = LIST_NEXT(x, entry);
		look(x);
	}
}

/* ---------------------------------------------------------------- other nodes */

static struct waiter *
ask_waiter(struct ticket *t)
{
	return ((struct wait_ask *)(void *)((char *)t - offsetof(struct wait_ask, ticket)))->waiter;
}

static void
ask_answered(struct waiter *x, unsigned acked)
{
	x->open--;
	if (acked < x->acked)
		x->acked = acked;
	look(x);
}

static void
on_reply(struct ticket *t, uint8_t flags, struct slice body, bool last)
{
	uint32_t acked = 0;

	(void)flags;
	if (!last)
		return;
	if (body.len == sizeof(acked))
		memcpy(&acked, body.ptr, sizeof(acked));
	ask_answered(ask_waiter(t), le32toh(acked));
}

static void
on_fail(struct ticket *t, enum link_failure why)
{
	(void)why;
	ask_answered(ask_waiter(t), 0);
}

static const struct ticket_kind kind = {.reply = on_reply, .fail = on_fail};

/* Asks one node, which may have changed something for this worker. */
static void
ask(struct waiter *x, struct wait_ask *one, struct link *l)
{
	uint64_t now = link_now(x->worker), id;
	uint32_t left = (uint32_t)(x->deadline > now ? x->deadline - now : 0);
	uint32_t there = left - (left / 2 < WAY ? left / 2 : WAY);
	uint32_t body[2] = {htole32(x->need), htole32(there)};
	char *p;

	one->waiter = x;
	one->ticket.kind = &kind;
	one->ticket.deadline = x->deadline + x->worker->server->settings->peer_timeout;
	id = link_expect(l, &one->ticket);
	if (id == 0 || (p = link_frame(l, sizeof(body))) == NULL) {
		link_forget(&one->ticket);
		x->hopeless = true;
		return;
	}
	memcpy(p, body, sizeof(body));
	link_frame_end(l, FRAME_WAIT, 0, id, p + sizeof(body));
	x->open++;
}

/* Asks those nodes at which the connection has changed something, if they are still linked as they were then. */
static void
ask_written(struct waiter *x)
{
	const struct conn *c = x->conn;
	unsigned nodes = (unsigned)topology_count(x->worker->cluster->topology);
	uint32_t asked = 0;

	x->asks = calloc(nodes, sizeof(x->asks[0]));
	for (unsigned i = 0; x->asks != NULL && i < nodes; i++) {
		struct link *l = link_to(x->worker, i);

		if (l == NULL || !(link_bit(l) & c->wrote))
			continue;
		asked |= link_bit(l);
		ask(x, &x->asks[x->count++], l);
	}
	x->hopeless |= c->lost || (c->wrote & ~asked);
}

/* ---------------------------------------------------------------- the beginning */

/* NULL where memory is out. */
static struct waiter *
waiter_new(struct worker *w, unsigned need, uint64_t milliseconds, bool holds)
{
	struct waiter *x = calloc(1, sizeof(*x) + (holds ? HELD_MAX : 0));

	if (x == NULL)
		return NULL;
	x->worker = w;
	x->need = need;
	x->holds = holds;
	x->acked = replicate_copies(w->cluster->replicate);
	x->deadline = link_now(w) + milliseconds;
	LIST_INSERT_HEAD(&w->cluster->waiters, x, entry);
	return x;
}

static void
begin(struct waiter *x)
{
	replicate_wait_begin(x->worker->cluster->replicate, &x->wait, x->writer, x->need, x->since);
	x->begun = true;
	if (x->conn != NULL && !x->holds && (x->conn->wrote != 0 || x->conn->lost))
		ask_written(x);
}

/* X waits for L's other end from now on, which gets its answer as the reply to ID. */
static void
wait_for_link(struct waiter *x, struct link *l, uint64_t id)
{
	x->conn = NULL;
	x->link = l;
	x->id = id;
	x->hopeless |= l->waiters++ >= WAITERS_MAX;
	if (!x->begun)
		begin(x);
	look(x);
}

/* What was asked of other nodes before must be answered first: only then it is known to be done. */
static enum report_result
more(struct conn *c, struct conn_report *report)
{
	struct waiter *x = (struct waiter *)report;
	char room[32];

	if (!x->begun && LIST_EMPTY(&c->forwards)) {
		begin(x);
		look(x);
	}
	if (!x->over)
		return REPORT_PAUSE;
	if (!x->holds)
		written_waited(c, x->acked == replicate_copies(c->worker->cluster->replicate));
	reply_with(c, answer(x, room, sizeof(room)));
	return REPORT_DONE;
}

static void
wait_for_conn(struct conn *c, struct waiter *x)
{
	x->report = (struct conn_report){.more = more, .free = waiter_free};
	x->conn = c;
	x->writer = replicate_writer_now(c->worker->cluster->replicate);
	report_begin(c, &x->report);
}

void
exec_wait(struct conn *c, const struct command *cmd)
{
	struct worker *w = c->worker;
	struct waiter *x;

	if (w->cluster == NULL) {
		reply_with(c, SLICE_LITERAL("WAIT 0\r\n"));
		return;
	}
	x = waiter_new(w, (unsigned)cmd->admin.numbers[0], (uint64_t)cmd->admin.numbers[1], false);
	if (x == NULL)
		reply_with(c, REPLY_NO_MEMORY_OTHER);
	else
		wait_for_conn(c, x);
}

/* ---------------------------------------------------------------- Psync */

unsigned
wait_wanted(const struct command *cmd)
{
	const struct slice name = SLICE_LITERAL("Psync=");
	struct slice rest = cmd->meta.tokens, flag;
	uint32_t number;

	if (likely(!(cmd->meta.flags & META_FLAG('P'))) ||
	    (cmd->op != OP_MS && cmd->op != OP_MD && cmd->op != OP_MA))
		return 0;
	while (proto_token_next(&rest, &flag))
		if (flag.len > name.len && memcmp(flag.ptr, name.ptr, name.len) == 0 &&
		    number_parse_u32(slice_of(flag.ptr + name.len, flag.len - name.len), &number))
			return number;
	return 0;
}

void
wait_hold_begin(struct conn *c, unsigned need, struct wait_mark *mark)
{
	*mark = (struct wait_mark){.need = need,
	    .at = outq_reserve(&c->out, &c->worker->source, HELD_MAX),
	    .position = replicate_position(c->worker->cluster->replicate)};
	mark->block = c->out.block;
}

/* Takes back what was said since MARK; returns how much that was. */
static size_t
take_back(struct conn *c, const struct wait_mark *mark, char *to)
{
	size_t n =
	    mark->at == NULL || c->out.block != mark->block ? 0 : (size_t)(c->out.at - mark->at);

	ASSERT(n <= HELD_MAX);
	memcpy(to, mark->at, n);
	c->out.at -= n;
	return n;
}

void
wait_hold_end(struct conn *c, const struct wait_mark *mark)
{
	struct worker *w = c->worker;
	struct waiter *x;

	if (c->state != CONN_COMMANDS || c->out.broken ||
	    replicate_position(w->cluster->replicate) == mark->position)
		return;
	x = waiter_new(w, mark->need, w->server->settings->peer_timeout * 3 / 4, true);
	if (x == NULL) {
		char ignored[HELD_MAX];

		(void)take_back(c, mark, ignored);
		reply_with(c, REPLY_NOT_COPIED);
		return;
	}
	x->held_size = (uint32_t)take_back(c, mark, x->held);
	x->since = mark->position;
	if (mark->need > x->acked)
		x->deadline = 0;
	wait_for_conn(c, x);
}

bool
wait_take_over(struct link *l, uint64_t id, struct conn *v)
{
	struct waiter *x = (struct waiter *)v->report;

	if (v->state != CONN_REPORT || x->report.more != more)
		return false;
	v->report = NULL;
	conn_set_state(v, CONN_COMMANDS);
	wait_for_link(x, l, id);
	return true;
}

/* ---------------------------------------------------------------- too few replicas */

void
wait_refuse(struct conn *c, const struct command *cmd, struct slice line)
{
	const size_t begin = sizeof("SERVER_ERROR ") - 1;
	struct slice text = slice_of(line.ptr + begin, line.len - begin - 2);
	char room[256], *end;

	if (c->protocol == PROTOCOL_BINARY) {
		end = reply_binary_failure(room, &cmd->binary, BINARY_STATUS_TEMPORARY, text);
		reply_with(c, slice_of(room, (size_t)(end - room)));
	} else if (!cmd->noreply || cmd->op == OP_MS || cmd->op == OP_MD || cmd->op == OP_MA) {
		reply_with(c, line);
	}
}

bool
wait_refuses(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct worker *w = c->worker;
	unsigned flags = command_infos[cmd->op].flags;

	if (likely(w->server->settings->min_replicas == 0) || !(flags & CMD_WRITE) ||
	    (flags & CMD_READ) || !replicate_refuses(w->cluster->replicate, key))
		return false;
	wait_refuse(c, cmd, REPLY_TOO_FEW_REPLICAS);
	return true;
}

/* ---------------------------------------------------------------- for other nodes */

bool
wait_on_frame(struct link *l, const struct frame *frame)
{
	uint32_t body[2];
	struct waiter *x;

	if (link_outgoing(l) || frame->body.len != sizeof(body))
		return false;
	memcpy(body, frame->body.ptr, sizeof(body));
	x = waiter_new(link_worker(l), le32toh(body[0]), le32toh(body[1]), false);
	if (x == NULL)
		return false;
	x->writer = writer_of(link_conn(l));
	wait_for_link(x, l, frame->id);
	return true;
}

void
wait_link_closed(struct link *l)
{
	struct waiter *x, *next;

	for (x = LIST_FIRST(&link_worker(l)->cluster->waiters); x != NULL; x = next) {
		next = LIST_NEXT(x, entry);
		if (x->conn == NULL && x->link == l)
			waiter_free(&x->report);
	}
}
