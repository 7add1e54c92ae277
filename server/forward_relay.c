/* server/forward_relay.c: a value too long to be gathered, for a key of another node: its bytes pass as they arrive.
 *
 *	STREAM_BEGIN  [number 8][the command's head]
 *	STREAM_DATA   [number 8][some of the value and what ends it]      as many as there are
 *	STREAM_END    [number 8]                                          is answered, by what the command answers
 *
 * The number names the stream among those of this link. All of its bytes are executed as if the client were connected there,
 * so a value that is refused, or does not end as it should, is answered and swallowed as by one node. It stores nothing
 * before its end, so it has not been executed where the link breaks before that has left, or where the other node does not own the
 * key any more: then it is sent once more, to whoever owns the key now, as any request. For that a copy of its bytes is kept, if it
 * is not longer than FORWARD_HELD and all that are kept not more than KEPT_ALL; what is not kept fails.
 *
 * A connection whose link has much to send is not read, until that has left; nor one whose link is down at the beginning, up to
 * the peer timeout.
 */
#include <endian.h>
#include <string.h>

#include "base/assert.h"
#include "proto/binary.h"
#include "server/cluster.h"
#include "server/conn_step.h"
#include "server/forward_impl.h"
#include "server/settings.h"

/* Unsent bytes of a link at which its streams wait. */
#define UNSENT_MAX ((size_t)1 << 20)

#define NUMBER_SIZE sizeof(uint64_t)
#define DATA_MAX    ((size_t)32 << 10)

/* Of all workers together. */
#define KEPT_ALL ((size_t)32 << 20)

struct relay {
	struct conn *conn;
	TAILQ_ENTRY(relay) stalled;
	struct segment *hole;
	uint64_t number;
	uint64_t left; /* bytes of the value and its end that are to come */
	uint64_t node; /* its id: indexes change */
	const struct forward_name *name;
	uint64_t deadline; /* for beginning, in ms */
	size_t capacity;
	size_t head_len;
	char *kept; /* the bytes behind the head so far; NULL where there are none */
	size_t kept_len, kept_capacity;
	uint32_t life; /* of the link that it goes through */
	uint16_t key_len;
	bool is_stalled;
	bool begun;
	bool lost; /* the rest does not go through that link */
	bool keeps;
	bool silent;
	char head[]; /* and behind it the key */
};

/* The id of NODE, 0 where there is no such one. */
static uint64_t
node_id_of(const struct worker *w, unsigned node)
{
	const struct topology *t = w->cluster->topology;

	return node < topology_count(t) ? topology_node(t, node)->id : 0;
}

/* The link to R's node, where there is one that works, and is the one that R goes through. */
static struct link *
link_of(const struct relay *r)
{
	struct worker *w = r->conn->worker;
	struct link *l;
	unsigned node;

	if (!topology_find_id(w->cluster->topology, r->node, &node))
		return NULL;
	l = link_to(w, node);
	return l != NULL && link_up(l) && (!r->begun || link_life(l) == r->life) ? l : NULL;
}

/* Sends one frame of the stream to L, which may be NULL. False where the link takes none. */
static bool
send_part(
    const struct relay *r, struct link *l, enum frame_type type, uint8_t flags, struct slice bytes)
{
	uint64_t number = htole64(r->number);
	char *p = l != NULL ? link_frame(l, NUMBER_SIZE + bytes.len) : NULL;

	if (p == NULL)
		return false;
	memcpy(p, &number, sizeof(number));
	memcpy(p + NUMBER_SIZE, bytes.ptr, bytes.len);
	link_frame_end(l, type, flags, 0, p + NUMBER_SIZE + bytes.len);
	return true;
}

static void
unstall(struct relay *r)
{
	if (!r->is_stalled)
		return;
	TAILQ_REMOVE(&r->conn->worker->cluster->forward->stalled, r, stalled);
	r->is_stalled = false;
	outq_hole_weigh(&r->conn->out, r->hole, FORWARD_WEIGHT);
}

/* The connection is not read as long as the link is full. */
static void
stall(struct relay *r)
{
	if (r->is_stalled)
		return;
	TAILQ_INSERT_TAIL(&r->conn->worker->cluster->forward->stalled, r, stalled);
	r->is_stalled = true;
	outq_hole_weigh(&r->conn->out, r->hole, FORWARD_BLOCKS);
}

/* Sends what comes first to L. */
static bool
send_head(struct relay *r, struct link *l)
{
	r->begun = true;
	r->life = link_life(l);
	return send_part(r, l, FRAME_STREAM_BEGIN,
	    r->conn->protocol == PROTOCOL_BINARY ? FORWARD_FLAG_BINARY : 0,
	    slice_of(r->head, r->head_len));
}

/* The same where the link is up; gives up where it is not and there is no time left. */
static void
begin(struct relay *r)
{
	struct worker *w = r->conn->worker;
	struct link *l = link_of(r);
	unsigned node = TOPOLOGY_NODES_MAX;

	if (l != NULL) {
		r->lost = !send_head(r, l);
		return;
	}
	(void)topology_find_id(w->cluster->topology, r->node, &node);
	r->lost = link_now(w) >= r->deadline || forward_given_up(w, node);
}

/* Whether R can go on. */
static bool
is_free(struct relay *r)
{
	const struct link *l;

	if (!r->begun)
		begin(r);
	if (!r->begun)
		return r->lost;
	l = link_of(r);
	return l == NULL || link_unsent(l) <= UNSENT_MAX / 2;
}

void
relay_unstall(struct worker *w)
{
	struct relay *r, *next;

	for (r = TAILQ_FIRST(&w->cluster->forward->stalled); r != NULL; r = next) {
		next = TAILQ_NEXT(r, stalled);
		if (!is_free(r))
			continue;
		unstall(r);
		worker_queue_turn(w, r->conn);
	}
}

/* Nothing is kept any more. */
static void
keep_nothing(struct relay *r)
{
	struct worker *w = r->conn->worker;

	w->cluster->forward->kept -= r->kept_capacity;
	pool_give(&w->pool, r->kept, r->kept_capacity);
	r->kept = NULL;
	r->kept_len = r->kept_capacity = 0;
	r->keeps = false;
}

/* Room for N bytes more, which grows with what has come. */
static bool
kept_reserve(struct relay *r, size_t n)
{
	struct worker *w = r->conn->worker;
	size_t want = r->kept_len + n, capacity = r->kept_capacity;
	char *kept;

	if (want <= capacity)
		return true;
	want = want > 2 * capacity ? want : 2 * capacity;
	if (w->cluster->forward->kept - capacity + want > KEPT_ALL / w->server->worker_count)
		return false;
	kept = r->kept == NULL ? pool_take(&w->pool, want, &capacity)
			       : pool_grow(&w->pool, r->kept, r->kept_len, want, &capacity);
	if (kept == NULL)
		return false;
	w->cluster->forward->kept += capacity - r->kept_capacity;
	r->kept = kept;
	r->kept_capacity = capacity;
	return true;
}

static void
keep(struct relay *r, struct slice bytes)
{
	if (!r->keeps)
		return;
	if (!kept_reserve(r, bytes.len)) {
		keep_nothing(r);
		return;
	}
	memcpy(r->kept + r->kept_len, bytes.ptr, bytes.len);
	r->kept_len += bytes.len;
}

static void
relay_drop(struct relay *r)
{
	unstall(r);
	keep_nothing(r);
	pool_give(&r->conn->worker->pool, (char *)r, r->capacity);
}

/* The other side drops what it has of R. */
static void
relay_abort(struct relay *r)
{
	(void)send_part(r, link_of(r), FRAME_STREAM_END, FORWARD_FLAG_ABORT, SLICE_LITERAL(""));
}

void
relay_free(struct conn *c)
{
	struct relay *r = c->relay;

	if (r->begun && !r->lost)
		relay_abort(r);
	relay_drop(r);
	c->relay = NULL;
}

/* A relay for CMD of C, to NODE, which may be one that there is not; NULL where memory is out. */
static struct relay *
relay_new(struct conn *c, const struct command *cmd, struct slice head, unsigned node)
{
	struct worker *w = c->worker;
	size_t capacity;
	struct relay *r =
	    (void *)pool_take(&w->pool, sizeof(*r) + head.len + cmd->key.len, &capacity);

	if (r == NULL)
		return NULL;
	*r = (struct relay){
	    .conn = c,
	    .hole = outq_hole(&c->out, &w->source, FORWARD_WEIGHT),
	    .number = ++w->cluster->forward->streams,
	    .left = cmd->size + (c->protocol == PROTOCOL_TEXT ? 2u : 0u),
	    .node = node_id_of(w, node),
	    .name = forward_name_of(w, node),
	    .deadline = link_now(w) + w->server->settings->peer_timeout,
	    .capacity = capacity,
	    .head_len = head.len,
	    .key_len = (uint16_t)cmd->key.len,
	    .keeps = cmd->size <= FORWARD_HELD,
	    .silent = cmd->noreply && command_infos[cmd->op].surface == SURFACE_CLASSIC,
	};
	memcpy(r->head, head.ptr, head.len);
	memcpy(r->head + head.len, cmd->key.ptr, cmd->key.len);
	if (r->hole == NULL) {
		pool_give(&w->pool, (char *)r, capacity);
		return NULL;
	}
	/* The client may wait for what stands before it, and send the rest of the value then. */
	outq_hole_hurry(r->hole);
	return r;
}

bool
relay_begin(struct conn *c, const struct command *cmd, struct slice head)
{
	struct worker *w = c->worker;
	struct store_key key = store_key(w->store, cmd->key.ptr, cmd->key.len);
	int node;

	if (!c->authenticated || (node = route(w, &key, false)) == ROUTE_LOCAL)
		return false;
	if (c->inner) {
		c->foreign = true;
		conn_swallow(c, cmd->size + (c->protocol == PROTOCOL_TEXT ? 2u : 0u));
		return true;
	}
	if ((c->relay = relay_new(c, cmd, head, (unsigned)node)) == NULL) {
		conn_close(c, CONN_ERROR);
		return true;
	}
	conn_set_state(c, CONN_RELAY);
	begin(c->relay);
	return true;
}

/* Whether R's key has become another node's, or ours: commands behind this one are for that one. */
static bool
has_moved(const struct relay *r)
{
	struct worker *w = r->conn->worker;
	struct store_key key = store_key(w->store, r->head + r->head_len, r->key_len);
	int node = route(w, &key, false);

	return node == ROUTE_LOCAL || node_id_of(w, (unsigned)node) != r->node;
}

/* All has been passed on, or is kept: what is left to do is to wait for the answer. R is F's from now on. */
static void
finish(struct conn *c, struct relay *r)
{
	size_t key = NUMBER_SIZE + r->head_len;
	struct forward *f = forward_new(c, FORWARD_RELAY, 1, key + r->key_len);
	uint64_t number = htole64(r->number);
	unsigned node = UINT16_MAX;
	bool moved = has_moved(r);

	if (f == NULL) {
		relay_drop(r);
		return;
	}
	memcpy(f->body, &number, sizeof(number));
	memcpy(f->body + NUMBER_SIZE, r->head, r->head_len + r->key_len);
	f->keys[0] = (struct forward_key){.at = (uint16_t)key, .len = r->key_len};
	f->relay = r;
	(void)topology_find_id(c->worker->cluster->topology, r->node, &node);
	f->size = NUMBER_SIZE;
	f->request = NUMBER_SIZE;
	f->hole = r->hole;
	forward_to(f, node);
	if (f->name == NULL)
		f->name = r->name;
	f->binary = c->protocol == PROTOCOL_BINARY;
	f->silent = r->silent;
	if (moved && !r->lost) {
		relay_abort(r);
		r->lost = true;
	}
	if (r->lost && !r->keeps && moved)
		forward_doom(f, FORWARD_CHANGING);
	else if (r->lost && !r->keeps)
		forward_doom(f, r->begun ? FORWARD_CUT : FORWARD_DOWN);
	else if (moved)
		forward_again(f);
	else
		forward_ask(f);
}

/* Sends all but the end to L, as another stream. */
static bool
send_again(struct relay *r, struct link *l)
{
	bool sent;

	r->number = ++r->conn->worker->cluster->forward->streams;
	sent = send_head(r, l);
	for (size_t at = 0, n; sent && at < r->kept_len; at += n) {
		n = r->kept_len - at < DATA_MAX ? r->kept_len - at : DATA_MAX;
		sent = send_part(r, l, FRAME_STREAM_DATA, 0, slice_of(r->kept + at, n));
	}
	if (!sent)
		(void)send_part(r, l, FRAME_STREAM_END, FORWARD_FLAG_ABORT, SLICE_LITERAL(""));
	return sent;
}

bool
relay_sent(struct forward *f, struct link *l)
{
	struct relay *r = f->relay;
	bool there = !r->lost && link_life(l) == r->life && link_node_id(l) == r->node;
	uint64_t number;

	r->lost = true; /* with its end it is used up */
	if (there)
		return true;
	if (!r->keeps || link_unsent(l) > LINK_UNSENT_MAX / 2 || !send_again(r, l))
		return false;
	r->node = link_node_id(l);
	number = htole64(r->number);
	memcpy(f->body, &number, sizeof(number));
	return true;
}

bool
relay_is_kept(const struct forward *f)
{
	return f->kind != FORWARD_RELAY || f->relay->keeps;
}

void
relay_execute(const struct forward *f, struct conn *v)
{
	conn_input(v, f->relay->head, f->relay->head_len);
	conn_input(v, f->relay->kept, f->relay->kept_len);
}

void
relay_end(struct forward *f)
{
	if (f->relay != NULL)
		relay_drop(f->relay);
	f->relay = NULL;
}

/* Passes on what there is of the value. */
static void
pass(struct relay *r, struct slice *input)
{
	struct link *l = link_of(r);
	size_t n = input->len < r->left ? input->len : (size_t)r->left;

	if (!r->begun && !r->lost) {
		stall(r);
		return;
	}
	r->lost |= l == NULL;
	while (n > 0) {
		struct slice part = {input->ptr, n < DATA_MAX ? n : DATA_MAX};

		if (!r->lost && link_unsent(l) > UNSENT_MAX) {
			stall(r);
			return;
		}
		keep(r, part);
		r->lost = r->lost || !send_part(r, l, FRAME_STREAM_DATA, 0, part);
		slice_advance(input, part.len);
		r->left -= part.len;
		n -= part.len;
	}
}

bool
step_relay(struct conn *c, struct slice *input)
{
	struct relay *r = c->relay;

	if (input->len > 0)
		pass(r, input);
	if (r->left > 0)
		return input->len > 0;
	unstall(r);
	conn_set_state(c, CONN_COMMANDS);
	c->relay = NULL;
	finish(c, r);
	return true;
}
