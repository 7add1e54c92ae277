/* server/forward.c: the life of a forwarded request: sent, answered, or sent again, or given up. See forward.h. */
#include "server/forward.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cluster/ring.h"
#include "cluster/topology.h"
#include "proto/binary.h"
#include "proto/reply.h"
#include "server/cluster.h"
#include "server/exec.h"
#include "server/forward_impl.h"
#include "server/replicate_wait.h"
#include "server/settings.h"
#include "server/written.h"

#define ERROR_MAX 512u /* bytes of an error, with the name of the peer */

static const struct ticket_kind kind;

/* ---------------------------------------------------------------- the worker's part */

bool
forward_init(struct worker *w)
{
	struct forward_worker *fw = calloc(1, sizeof(*fw));

	if (fw == NULL)
		return false;
	TAILQ_INIT(&fw->parked);
	TAILQ_INIT(&fw->young);
	TAILQ_INIT(&fw->rests);
	TAILQ_INIT(&fw->stalled);
	SLIST_INIT(&fw->names);
	w->cluster->forward = fw;
	forward_names_take(w);
	fw->routes = route_cache_new();
	return fw->routes != NULL &&
	    ring_hash_new(&fw->hash, topology_kind(w->cluster->topology)) == RING_OK;
}

void
forward_fini(struct worker *w)
{
	struct forward_worker *fw = w->cluster->forward;

	if (fw == NULL)
		return;
	ASSERT(TAILQ_EMPTY(&fw->parked) && TAILQ_EMPTY(&fw->stalled));
	flush_due_free(w);
	for (unsigned i = 0; i < 2; i++)
		if (fw->inner[i] != NULL)
			conn_free(&fw->inner[i]);
	if (fw->hash != NULL)
		ring_hash_free(&fw->hash);
	route_cache_free(&fw->routes);
	forward_names_free(fw);
	free(fw);
	w->cluster->forward = NULL;
}

struct conn *
forward_inner(struct worker *w, bool binary)
{
	struct conn **v = &w->cluster->forward->inner[binary];

	if (*v == NULL)
		*v = conn_inner_new(w, binary ? PROTOCOL_BINARY : PROTOCOL_TEXT);
	return *v;
}

/* ---------------------------------------------------------------- making and ending */

struct forward *
forward_new(struct conn *c, enum forward_kind kind_of, uint16_t count, size_t size)
{
	size_t want = sizeof(struct forward) + count * sizeof(struct forward_key) + size, capacity;
	struct forward *f = (void *)pool_take(&c->worker->pool, want, &capacity);

	if (f == NULL) {
		c->out.broken = true;
		return NULL;
	}
	memset(f, 0, sizeof(*f));
	f->ticket.kind = &kind;
	f->conn = c;
	f->kind = (uint8_t)kind_of;
	f->count = count;
	f->capacity = capacity;
	f->body = (char *)&f->keys[count];
	f->born = c->worker->cluster->forward->ticks;
	f->is_young = true;
	LIST_INSERT_HEAD(&c->forwards, f, entry);
	TAILQ_INSERT_TAIL(&c->worker->cluster->forward->young, f, young);
	return f;
}

/* Takes F out of all lists but its connection's. */
static void
withdraw(struct forward *f)
{
	struct forward_worker *fw = f->conn->worker->cluster->forward;

	if (f->asked)
		link_forget(&f->ticket);
	forward_unrest(f);
	if (f->is_parked)
		TAILQ_REMOVE(&fw->parked, f, parked);
	f->asked = f->is_parked = false;
}

static void
grow_up(struct forward *f)
{
	if (f->is_young)
		TAILQ_REMOVE(&f->conn->worker->cluster->forward->young, f, young);
	f->is_young = false;
}

static void
forward_free(struct forward *f)
{
	withdraw(f);
	grow_up(f);
	LIST_REMOVE(f, entry);
	if (f->kind == FORWARD_FLUSH)
		flush_free(f);
	else if (f->kind == FORWARD_RELAY)
		relay_end(f);
	pool_give(&f->conn->worker->pool, (char *)f, f->capacity);
}

void
forward_end(struct forward *f)
{
	struct conn *c = f->conn;
	struct forward *left;

	forward_free(f);
	left = LIST_FIRST(&c->forwards);
	if (left != NULL && left->kind == FORWARD_FLUSH && LIST_NEXT(left, entry) == NULL)
		flush_poke(left);
	worker_queue_turn(c->worker, c);
}

void
forward_forget(struct conn *c)
{
	while (!LIST_EMPTY(&c->forwards))
		forward_free(LIST_FIRST(&c->forwards));
}

void
forward_break(struct conn *c)
{
	forward_forget(c);
	conn_close(c, CONN_ERROR);
	worker_queue_turn(c->worker, c);
}

/* ---------------------------------------------------------------- holes */

struct segment *
forward_fill(struct forward *f, struct segment *hole, struct slice bytes)
{
	struct conn *c = f->conn;
	struct outq_source *src = &c->worker->source;

	if (!outq_fill(&c->out, src, hole, bytes.ptr, bytes.len))
		return NULL;
	if (likely(bytes.len < FORWARD_HELD / 64) || outq_hole_held(hole) < FORWARD_HELD)
		return hole;
	f->partial = true;
	worker_queue_turn(c->worker, c);
	return outq_hole_release(&c->out, src, hole);
}

struct segment *
forward_fill_from(struct forward *f, struct segment *hole, struct conn *v)
{
	struct outq_source *src = &v->worker->source;
	struct iovec iov[16];
	unsigned n;

	if (v->out.broken)
		hole = NULL;
	while (hole != NULL && (n = outq_gather(&v->out, src, iov, 16)) > 0) {
		size_t sent = 0;

		for (unsigned i = 0; hole != NULL && i < n; i++) {
			hole = forward_fill(f, hole, slice_of(iov[i].iov_base, iov[i].iov_len));
			sent += iov[i].iov_len;
		}
		outq_sent(&v->out, src, sent);
	}
	outq_clear(&v->out, src);
	v->out.broken = false;
	conn_inner_reset(v);
	return hole;
}

struct segment *
forward_hole(const struct forward *f)
{
	return f->kind == FORWARD_KEYS ? f->keys[f->index].hole : f->hole;
}

void
forward_hole_moved(struct forward *f, const struct segment *hole, struct segment *next)
{
	if (f->hole == hole)
		f->hole = next;
	for (unsigned i = f->index; f->kind == FORWARD_KEYS && i < f->count; i++)
		if (f->keys[i].hole == hole)
			f->keys[i].hole = next;
}

/* Nothing of F's answer has come yet: what has is thrown away. */
static void
rewind_reply(struct forward *f)
{
	if (f->kind == FORWARD_KEYS)
		while (f->index > 0 && f->keys[f->index - 1].hole == f->keys[f->index].hole)
			f->index--;
	f->given = 0;
	f->sized = false;
	outq_hole_starve(&f->conn->out, forward_hole(f), false);
	outq_hole_empty(&f->conn->worker->source, forward_hole(f));
}

/* ---------------------------------------------------------------- errors */

static const char *
error_text(enum forward_error error)
{
	static const char *const texts[] = {
#define FORWARD_ERROR(symbol, text) [FORWARD_##symbol] = text,
#include "server/tbl/forward_errors.h"
#undef FORWARD_ERROR
	};

	return texts[error];
}

/* Writes the error reply; returns its length. */
static size_t
error_reply(const struct forward *f, enum forward_error error, char reply[ERROR_MAX])
{
	struct slice name = forward_name_text(f->name);
	struct binary_request asked = {0};
	char text[ERROR_MAX / 2];
	int n = snprintf(
	    text, sizeof(text), "peer %.*s %s", (int)name.len, name.ptr, error_text(error));
	struct slice line = {text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1};

	if (!f->binary)
		return (size_t)snprintf(
		    reply, ERROR_MAX, "SERVER_ERROR %.*s\r\n", (int)line.len, line.ptr);
	asked.opcode = (uint8_t)f->body[f->request + 1];
	memcpy(&asked.opaque, f->body + f->request + 12, sizeof(uint32_t));
	asked.opaque = be32toh(asked.opaque);
	return (size_t)(reply_binary_failure(reply, &asked, BINARY_STATUS_TEMPORARY, line) - reply);
}

/* An error takes the place of what HOLE should have brought; TIMES of them, where that are so many commands. */
static void
hole_fail(struct forward *f, struct segment *hole, struct slice reply, unsigned times)
{
	struct conn *c = f->conn;
	struct outq_source *src = &c->worker->source;

	outq_hole_empty(src, hole);
	if (f->kind == FORWARD_KEYS && !f->ends && !f->silent &&
	    !outq_cut_group(&c->out, src, hole) && c->state == CONN_KEYS)
		c->keys.failed = true;
	while (!f->silent && times-- > 0)
		(void)outq_fill(&c->out, src, hole, reply.ptr, reply.len);
	outq_hole_close(&c->out, src, hole);
}

/* The same for all holes of a KEYS request, from the one on that is being filled. */
static void
keys_fail(struct forward *f, struct slice reply)
{
	unsigned run = 1;

	for (unsigned i = f->index; i < f->count; i++, run++) {
		if (i + 1u < f->count && f->keys[i + 1].hole == f->keys[i].hole)
			continue;
		hole_fail(f, f->keys[i].hole, reply, f->ends ? run : 1);
		run = 0;
	}
}

void
forward_fail(struct forward *f, enum forward_error error)
{
	struct conn *c = f->conn;
	char text[ERROR_MAX];
	struct slice reply = {text, error_reply(f, error, text)};

	counter_add(c->worker, forward_errors, 1);
	if (f->partial) {
		forward_break(c);
		return;
	}
	rewind_reply(f);
	if (f->kind == FORWARD_KEYS)
		keys_fail(f, reply);
	else
		hole_fail(f, f->hole, reply, 1);
	if (c->out.broken)
		forward_break(c);
	else
		forward_end(f);
}

/* ---------------------------------------------------------------- asking, and asking again */

void
forward_park(struct forward *f, enum forward_error error)
{
	struct conn *c = f->conn;

	withdraw(f);
	rewind_reply(f);
	outq_hole_weigh(&c->out, forward_hole(f), FORWARD_BLOCKS);
	f->error = (uint8_t)error;
	f->is_parked = true;
	TAILQ_INSERT_TAIL(&c->worker->cluster->forward->parked, f, parked);
}

void
forward_doom(struct forward *f, enum forward_error error)
{
	forward_park(f, error);
	f->deadline = 0;
	f->conn->worker->cluster->forward->doomed = true;
}

bool
forward_given_up(struct worker *w, unsigned node)
{
	uint64_t *down, now = link_now(w);

	if (node >= TOPOLOGY_NODES_MAX)
		return true;
	down = &w->cluster->forward->down[node];
	if (*down == 0)
		*down = now;
	return now - *down >= w->server->settings->peer_timeout;
}

/* F's node cannot be reached: whoever comes first waits whether it comes back, the others learn that it did not. */
static void
unreachable(struct forward *f)
{
	if (!relay_is_kept(f) || forward_given_up(f->conn->worker, f->node))
		forward_doom(f, FORWARD_DOWN);
	else
		forward_park(f, FORWARD_DOWN);
}

void
forward_ask(struct forward *f)
{
	static const enum frame_type types[] = {
	    [FORWARD_COMMAND] = FRAME_COMMAND,
	    [FORWARD_KEYS] = FRAME_KEYS,
	    [FORWARD_RELAY] = FRAME_STREAM_END,
	};
	struct worker *w = f->conn->worker;
	struct link *l = link_to(w, f->node);
	uint64_t id;
	char *p;

	if (f->deadline == 0)
		f->deadline = link_now(w) + w->server->settings->peer_timeout;
	if (unlikely(l == NULL || !link_up(l))) {
		unreachable(f);
		return;
	}
	if (unlikely(f->kind == FORWARD_RELAY) && !relay_sent(f, l)) {
		if (relay_is_kept(f))
			forward_park(f, FORWARD_BUSY);
		else
			forward_doom(f, FORWARD_CUT);
		return;
	}
	f->ticket.deadline = 0;
	f->bit = link_bit(l);
	id = link_expect(l, &f->ticket);
	f->asked = id != 0;
	if (unlikely(id == 0 || (p = link_frame(l, f->size)) == NULL)) {
		forward_doom(f, FORWARD_BUSY);
		return;
	}
	memcpy(p, f->body, f->size);
	link_frame_end_room(l, types[f->kind], f->flags, id, forward_room(f), p + f->size);
	counter_add(w, forwarded_out, f->count);
}

/* Executes F here: its key has become ours. */
static void
command_here(struct forward *f)
{
	struct conn *v = forward_inner(f->conn->worker, f->binary);

	if (v == NULL) {
		forward_fail(f, FORWARD_MEMORY);
		return;
	}
	wait_writer(f->conn);
	if (f->kind == FORWARD_RELAY)
		relay_execute(f, v);
	else
		conn_input(v, f->body, f->size);
	if (v->state ==
	    CONN_REPORT) { /* it would wait to be copied; too much time has passed already */
		conn_inner_reset(v);
		outq_append_slice(&v->out, &v->worker->source, REPLY_NOT_COPIED);
	}
	f->hole = forward_fill_from(f, f->hole, v);
	if (f->hole == NULL) {
		forward_break(f->conn);
		return;
	}
	outq_hole_close(&f->conn->out, &f->conn->worker->source, f->hole);
	forward_end(f);
}

void
forward_again(struct forward *f)
{
	struct worker *w = f->conn->worker;
	struct store_key key;
	int node;

	if (f->kind == FORWARD_FLUSH) {
		flush_poke(f);
		return;
	}
	outq_hole_weigh(&f->conn->out, forward_hole(f), forward_weight(f->conn));
	if (f->kind == FORWARD_KEYS) {
		keys_again(f);
		return;
	}
	key = store_key(w->store, f->body + f->keys[0].at, f->keys[0].len);
	node = route(w, &key, false);
	if (node == ROUTE_LOCAL) {
		command_here(f);
		return;
	}
	forward_to(f, (unsigned)node);
	forward_ask(f);
}

/* Goes once through what is parked: ends what is over its time, asks for the rest again with RETRY. A failure may take any
 * others out of the list. */
static void
parked_work(struct worker *w, bool retry)
{
	struct forward_worker *fw = w->cluster->forward;
	uint64_t now = link_now(w);
	struct forward *f;

	fw->doomed = false;
	fw->round++;
	while ((f = TAILQ_FIRST(&fw->parked)) != NULL && f->round != fw->round) {
		TAILQ_REMOVE(&fw->parked, f, parked);
		f->round = fw->round;
		f->is_parked = now < f->deadline && !retry;
		if (f->is_parked)
			TAILQ_INSERT_TAIL(&fw->parked, f, parked);
		else if (now >= f->deadline && f->kind != FORWARD_FLUSH)
			forward_fail(f, (enum forward_error)f->error);
		else
			forward_again(f);
	}
}

/* What stands before F's answer goes out without it. */
static void
hurry(struct forward *f)
{
	grow_up(f);
	if (f->kind == FORWARD_KEYS) {
		for (unsigned i = f->index; i < f->count; i++)
			outq_hole_hurry(f->keys[i].hole);
	} else if (f->hole != NULL) {
		outq_hole_hurry(f->hole);
	}
	worker_queue_turn(f->conn->worker, f->conn);
}

/* Those that can be reached again are not given up. */
static void
note_reached(struct worker *w)
{
	struct forward_worker *fw = w->cluster->forward;
	unsigned nodes = (unsigned)topology_count(w->cluster->topology);

	for (unsigned i = 0; i < nodes; i++) {
		const struct link *l = fw->down[i] != 0 ? link_to(w, i) : NULL;

		if (l != NULL && link_up(l))
			fw->down[i] = 0;
	}
}

void
forward_tick(struct worker *w)
{
	struct forward_worker *fw = w->cluster->forward;
	struct forward *f;

	note_reached(w);
	flush_tick(w);
	while ((f = TAILQ_FIRST(&fw->young)) != NULL && f->born != fw->ticks)
		hurry(f);
	fw->ticks++;
	parked_work(w, true);
}

void
forward_turn_end(struct worker *w)
{
	struct forward_worker *fw = w->cluster->forward;

	if (unlikely(!TAILQ_EMPTY(&fw->stalled)))
		relay_unstall(w);
	if (unlikely(!TAILQ_EMPTY(&fw->rests)))
		answer_rests(w);
	if (unlikely(fw->doomed))
		parked_work(w, false);
}

void
forward_turn_begin(struct worker *w)
{
	struct forward_worker *fw = w->cluster->forward;

	route_cache_clear(fw->routes);
	forward_names_take(w);
	memset(fw->down, 0, sizeof(fw->down));
}

/* ---------------------------------------------------------------- what comes back */

static struct forward *
of_ticket(struct ticket *t)
{
	return (void *)((char *)t - offsetof(struct forward, ticket));
}

static void
on_reply(struct ticket *t, uint8_t flags, struct slice body, bool last)
{
	struct forward *f = of_ticket(t);

	if (last)
		f->asked = false;
	forward_came(f, body.len);
	if (unlikely(flags & FRAME_NOT_MINE)) {
		if (f->partial || !relay_is_kept(f))
			forward_fail(f, FORWARD_CHANGING);
		else
			forward_park(f, FORWARD_CHANGING);
		return;
	}
	if (last && !f->reads)
		written_note(f->conn, f->bit);
	if (unlikely(flags & FORWARD_REFUSES)) {
		forward_fail(f, FORWARD_REFUSED);
		return;
	}
	if (f->kind == FORWARD_KEYS) {
		keys_reply(f, body, last);
		return;
	}
	f->hole = forward_fill(f, f->hole, body);
	if (unlikely(f->hole == NULL)) {
		forward_break(f->conn);
	} else if (last) {
		forward_note(f->conn, f->given + body.len);
		outq_hole_close(&f->conn->out, &f->conn->worker->source, f->hole);
		forward_end(f);
	} else {
		f->given += (uint32_t)body.len;
		if (f->left > 0)
			forward_starve(f);
	}
}

static void
on_rest(struct ticket *t, uint16_t left)
{
	of_ticket(t)->left = left;
}

static void
on_fail(struct ticket *t, enum link_failure why)
{
	struct forward *f = of_ticket(t);

	f->asked = false;
	if (why == LINK_UNSENT && !relay_is_kept(f))
		forward_fail(f, FORWARD_CUT);
	else if (f->partial || (why != LINK_UNSENT && !f->repeatable))
		forward_fail(f, FORWARD_SILENT);
	else
		forward_park(f, FORWARD_SILENT);
}

static const struct ticket_kind kind = {.rest = on_rest, .reply = on_reply, .fail = on_fail};

/* ---------------------------------------------------------------- commands */

bool
forward_only_reads(const struct command *cmd)
{
	const uint64_t changes = META_FLAG('N') | META_FLAG('R') | META_FLAG('T') | META_FLAG('E');

	switch ((enum opcode)cmd->op) {
	case OP_GET:
	case OP_GETS:
	case OP_ME:
	case OP_BIN_GET:
		return true;
	case OP_MG:
		return (cmd->meta.flags & changes) == 0;
	default:
		return false;
	}
}

void
forward_request(struct conn *c, struct slice key, unsigned node, struct slice bytes,
    const struct forward_how *how)
{
	struct forward *f = forward_new(c, FORWARD_COMMAND, 1, bytes.len + key.len);

	ASSERT(bytes.len <= UINT16_MAX);
	if (f == NULL)
		return;
	f->hole = outq_hole(&c->out, &c->worker->source, forward_weight(c));
	if (f->hole == NULL) {
		forward_free(f);
		return;
	}
	forward_to(f, node);
	f->binary = c->protocol == PROTOCOL_BINARY;
	f->flags = f->binary ? FORWARD_FLAG_BINARY : 0;
	f->repeatable = f->reads = how->reads;
	f->silent = how->silent;
	f->size = (uint32_t)bytes.len;
	memcpy(f->body, bytes.ptr, bytes.len);
	memcpy(f->body + bytes.len, key.ptr, key.len);
	f->keys[0] = (struct forward_key){.at = (uint16_t)bytes.len, .len = (uint16_t)key.len};
	forward_ask(f);
}

void
forward_command(struct conn *c, const struct command *cmd, unsigned node, struct slice bytes)
{
	const struct forward_how how = {
	    .reads = forward_only_reads(cmd),
	    .silent = cmd->noreply && command_infos[cmd->op].surface == SURFACE_CLASSIC,
	};

	forward_request(c, cmd->key, node, bytes, &how);
}
