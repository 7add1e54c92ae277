/* server/forward_relay.c: a value too long to be gathered, for a key of another node: its bytes pass as they arrive.
 *
 *	STREAM_BEGIN  [number 8][the command's head]
 *	STREAM_DATA   [number 8][some of the value and what ends it]      as many as there are
 *	STREAM_END    [number 8]                                          is answered, by what the command answers
 *
 * The number names the stream among those of this link. All of its bytes are executed as if the client were connected there,
 * so a value that is refused, or does not end as it should, is answered and swallowed as by one node. Nothing of it is
 * kept here: where the link breaks, or the other node does not own the key any more, the command fails. It stores nothing
 * before its end, so it has not been executed then.
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

struct relay {
	struct conn *conn;
	TAILQ_ENTRY(relay) stalled;
	struct segment *hole;
	uint64_t number;
	uint64_t left;     /* bytes of the value and its end that are to come */
	uint64_t node;     /* its id: indexes change */
	uint64_t deadline; /* for beginning, in ms */
	size_t capacity;
	size_t head_len;
	bool is_stalled;
	bool begun;
	bool lost; /* the rest is dropped */
	bool silent;
	char head[];
};

/* The link to R's node, where there is one that works. */
static struct link *
link_of(const struct relay *r)
{
	struct worker *w = r->conn->worker;
	struct link *l;
	unsigned node;

	if (!topology_find_id(w->cluster->topology, r->node, &node))
		return NULL;
	l = link_to(w, node);
	return l != NULL && link_up(l) ? l : NULL;
}

/* Sends one frame of the stream. False where the link takes none. */
static bool
send_part(const struct relay *r, enum frame_type type, uint8_t flags, struct slice bytes)
{
	struct link *l = link_of(r);
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

/* Sends what comes first, where the link is up; gives up where it is not and there is no time left. */
static void
begin(struct relay *r)
{
	struct worker *w = r->conn->worker;
	unsigned node = TOPOLOGY_NODES_MAX;

	if (link_of(r) != NULL) {
		r->begun = true;
		r->lost = !send_part(r, FRAME_STREAM_BEGIN,
		    r->conn->protocol == PROTOCOL_BINARY ? FORWARD_FLAG_BINARY : 0,
		    slice_of(r->head, r->head_len));
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

static void
relay_drop(struct relay *r)
{
	unstall(r);
	pool_give(&r->conn->worker->pool, (char *)r, r->capacity);
}

void
relay_free(struct conn *c)
{
	struct relay *r = c->relay;

	if (r->begun && !r->lost)
		(void)send_part(r, FRAME_STREAM_END, FORWARD_FLAG_ABORT, SLICE_LITERAL(""));
	relay_drop(r);
	c->relay = NULL;
}

/* A relay for CMD of C, to NODE, which may be one that there is not; NULL where memory is out. */
static struct relay *
relay_new(struct conn *c, const struct command *cmd, struct slice head, unsigned node)
{
	struct worker *w = c->worker;
	const struct topology *t = w->cluster->topology;
	size_t capacity;
	struct relay *r = (void *)pool_take(&w->pool, sizeof(*r) + head.len, &capacity);

	if (r == NULL)
		return NULL;
	*r = (struct relay){
	    .conn = c,
	    .hole = outq_hole(&c->out, &w->source, FORWARD_WEIGHT),
	    .number = ++w->cluster->forward->streams,
	    .left = cmd->size + (c->protocol == PROTOCOL_TEXT ? 2u : 0u),
	    .node = node < topology_count(t) ? topology_node(t, node)->id : 0,
	    .deadline = link_now(w) + w->server->settings->peer_timeout,
	    .capacity = capacity,
	    .head_len = head.len,
	    .silent = cmd->noreply && command_infos[cmd->op].surface == SURFACE_CLASSIC,
	};
	memcpy(r->head, head.ptr, head.len);
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

/* All has been passed on: what is left to do is to wait for the answer. */
static void
finish(struct conn *c, struct relay *r)
{
	struct forward *f = forward_new(c, FORWARD_RELAY, 1, NUMBER_SIZE + r->head_len);
	uint64_t number = htole64(r->number);
	unsigned node = UINT16_MAX;

	if (f == NULL)
		return;
	memcpy(f->body, &number, sizeof(number));
	memcpy(f->body + NUMBER_SIZE, r->head, r->head_len);
	(void)topology_find_id(c->worker->cluster->topology, r->node, &node);
	f->size = NUMBER_SIZE;
	f->request = NUMBER_SIZE;
	f->hole = r->hole;
	f->node = (uint16_t)node;
	f->binary = c->protocol == PROTOCOL_BINARY;
	f->silent = r->silent;
	if (r->lost)
		forward_doom(f, r->begun ? FORWARD_CUT : FORWARD_DOWN);
	else
		forward_ask(f);
}

/* Passes on what there is of the value. */
static void
pass(struct relay *r, struct slice *input)
{
	const struct link *l = link_of(r);
	size_t n = input->len < r->left ? input->len : (size_t)r->left;

	if (!r->begun && !r->lost) {
		stall(r);
		return;
	}
	r->lost |= l == NULL;
	while (n > 0 && !r->lost) {
		size_t part = n < DATA_MAX ? n : DATA_MAX;

		if (link_unsent(l) > UNSENT_MAX) {
			stall(r);
			return;
		}
		r->lost = !send_part(r, FRAME_STREAM_DATA, 0, slice_of(input->ptr, part));
		slice_advance(input, part);
		r->left -= part;
		n -= part;
	}
	slice_advance(input, n);
	r->left -= n;
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
	relay_drop(r);
	return true;
}
