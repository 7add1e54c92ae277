/* server/link.c: see link.h.
 *
 * A link that is to end is noted in the list of those that have something to send, and ends when that is worked off, at the
 * end of the turn: nobody who holds it in this turn sees it go. When its connection ends by itself, its tickets fail at once, which
 * may lead to anything but to new frames on it: it is down.
 */
#include "server/link.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/assert.h"
#include "base/log.h"
#include "server/cluster.h"
#include "server/conn_step.h"
#include "server/forward.h"
#include "server/link_impl.h"
#include "server/replicate_link.h"
#include "server/settings.h"

#define PLACES_MIN 64u

/* Peer timeouts after which an incoming link on which nothing comes is dead: the other side asks for a sign far more
 * often. */
#define SILENCE_MAX 10u

/* Milliseconds after which a link that is down is asked for once more: memory may have been out the first time. */
#define WANTED_AGAIN 1000u

/* Milliseconds between two looks at the clock, one each 20, that count at most: where there are more, something has kept this
 * worker. */
#define ABSENCE 100u

/* ---------------------------------------------------------------- one link */

uint64_t
link_time(struct worker *w, uint64_t clock)
{
	struct cluster_worker *cw = w->cluster;

	if (cw->clock != 0 && clock - cw->clock > ABSENCE)
		cw->away += clock - cw->clock - ABSENCE;
	cw->clock = clock;
	return clock - cw->away;
}

uint64_t
link_now(struct worker *w)
{
	struct cluster_worker *cw = w->cluster;
	struct timespec ts;

	if (cw->now == 0) {
		(void)clock_gettime(CLOCK_MONOTONIC, &ts);
		cw->now = link_time(w, (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
	}
	return cw->now;
}

struct link *
link_to(struct worker *w, unsigned node)
{
	return node < TOPOLOGY_NODES_MAX ? w->cluster->links->nodes[node] : NULL;
}

bool
link_up(const struct link *l)
{
	return l->conn != NULL && l->broken == NULL;
}

const struct conn *
link_conn(const struct link *l)
{
	return l->conn;
}

bool
link_outgoing(const struct link *l)
{
	return l->outgoing;
}

struct worker *
link_worker(const struct link *l)
{
	return l->worker;
}

uint64_t
link_node_id(const struct link *l)
{
	return l->node_id;
}

uint64_t
link_incarnation(const struct link *l)
{
	return l->incarnation;
}

enum handshake_role
link_role(const struct link *l)
{
	return (enum handshake_role)l->role;
}

uint32_t
link_life(const struct link *l)
{
	return link_up(l) ? l->lives : 0;
}

uint32_t
link_bit(const struct link *l)
{
	return link_up(l) ? l->bit : 0;
}

void **
link_slot(struct link *l)
{
	return &l->slot;
}

static struct link *
link_new(struct worker *w, uint64_t node_id, bool outgoing)
{
	struct link *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->worker = w;
	l->node_id = node_id;
	l->outgoing = outgoing;
	l->next_id = 1;
	TAILQ_INIT(&l->waiting);
	TAILQ_INIT(&l->special);
	TAILQ_INIT(&l->resting);
	if (outgoing)
		LIST_INSERT_HEAD(&w->cluster->links->outgoing, l, entry);
	else
		LIST_INSERT_HEAD(&w->cluster->links->incoming, l, entry);
	return l;
}

/* L is down. */
static void
link_free(struct link *l)
{
	ASSERT(l->conn == NULL && l->count == 0);
	if (l->dirty)
		TAILQ_REMOVE(&l->worker->cluster->links->dirty, l, flush);
	LIST_REMOVE(l, entry);
	free(l->places);
	free(l);
}

/* The name of the other side, for the log. */
static struct slice
name_of(const struct link *l)
{
	const struct topology *t = l->worker->cluster->topology;
	unsigned index;

	if (!topology_find_id(t, l->node_id, &index))
		return SLICE_LITERAL("?");
	return topology_node_name(t, index);
}

/* ---------------------------------------------------------------- output */

size_t
link_unsent(const struct link *l)
{
	return l->conn == NULL ? 0 : outq_bytes(&l->conn->out);
}

static void
note_dirty(struct link *l)
{
	if (l->dirty)
		return;
	l->dirty = true;
	TAILQ_INSERT_TAIL(&l->worker->cluster->links->dirty, l, flush);
}

void
link_break(struct link *l, const char *why)
{
	if (l->conn == NULL || l->broken != NULL)
		return;
	l->broken = why;
	note_dirty(l);
}

char *
link_frame(struct link *l, size_t body_max)
{
	struct worker *w = l->worker;
	char *p;

	ASSERT(body_max <= FRAME_BODY_MAX);
	if (unlikely(!link_up(l) || outq_bytes(&l->conn->out) + body_max > LINK_UNSENT_MAX))
		return NULL;
	p = outq_reserve(&l->conn->out, &w->source, FRAME_HEAD + body_max);
	if (unlikely(p == NULL)) {
		link_break(l, "no memory for its output");
		return NULL;
	}
	l->frame = p;
	return p + FRAME_HEAD;
}

void
link_frame_end(struct link *l, enum frame_type type, uint8_t flags, uint64_t id, const char *end)
{
	link_frame_end_room(l, type, flags, id, 0, end);
}

void
link_frame_end_room(struct link *l, enum frame_type type, uint8_t flags, uint64_t id, uint16_t room,
    const char *end)
{
	size_t body = (size_t)(end - l->frame) - FRAME_HEAD;
	const struct frame frame = {
	    .id = id,
	    .epoch = topology_epoch(l->worker->cluster->topology),
	    .room = room,
	    .type = (uint8_t)type,
	    .flags = flags,
	};

	frame_seal(&l->out, l->frame, &frame, body);
	outq_commit(&l->conn->out, l->frame + FRAME_HEAD + body);
	l->written += FRAME_HEAD + body;
	note_dirty(l);
}

void
link_tell(struct link *l, enum frame_type type, uint64_t id, struct slice body)
{
	char *p = link_frame(l, body.len);

	if (p == NULL)
		return;
	memcpy(p, body.ptr, body.len);
	link_frame_end(l, type, 0, id, p + body.len);
}

/* ---------------------------------------------------------------- tickets */

struct ticket *
link_ticket(const struct link *l, uint64_t id)
{
	struct ticket *t = l->capacity > 0 ? l->places[id % l->capacity] : NULL;

	return t != NULL && t->id == id ? t : NULL;
}

/* Room for more tickets. */
static bool
places_grow(struct link *l)
{
	uint32_t capacity = l->capacity == 0 ? PLACES_MIN : 2 * l->capacity;
	struct ticket **places, *t;

	if (capacity > 2 * LINK_TICKETS_MAX ||
	    (places = calloc(capacity, sizeof(struct ticket *))) == NULL)
		return false;
	TAILQ_FOREACH(t, &l->waiting, entry)
		places[t->id % capacity] = t;
	TAILQ_FOREACH(t, &l->special, entry)
		places[t->id % capacity] = t;
	TAILQ_FOREACH(t, &l->resting, entry)
		places[t->id % capacity] = t;
	free(l->places);
	l->places = places;
	l->capacity = capacity;
	return true;
}

/* The next id whose place is free; 0 where none is. At least every other one is, unless memory was out for more; those that have
 * rested for long may stand in a row, and are passed over once in a round. */
static uint64_t
id_take(struct link *l)
{
	if (l->count >= l->capacity / 2)
		(void)places_grow(l);
	while (l->count < l->capacity) {
		uint64_t id = l->next_id++;

		if (l->places[id % l->capacity] == NULL)
			return id;
	}
	return 0;
}

/* T gets its deadline. */
static void
await(struct ticket *t)
{
	struct link *l = t->link;

	t->deadline = link_now(l->worker) + l->worker->server->settings->peer_timeout;
	TAILQ_INSERT_TAIL(&l->waiting, t, entry);
}

uint64_t
link_expect(struct link *l, struct ticket *t)
{
	uint64_t id = link_up(l) && l->count < LINK_TICKETS_MAX ? id_take(l) : 0;

	t->link = NULL;
	if (unlikely(id == 0))
		return 0;
	t->link = l;
	t->id = id;
	t->position = l->written;
	t->special = t->deadline != 0;
	t->rests = false;
	if (t->special)
		TAILQ_INSERT_TAIL(&l->special, t, entry);
	else
		await(t);
	l->places[id % l->capacity] = t;
	l->count++;
	return id;
}

static struct ticket_list *
list_of(const struct ticket *t)
{
	struct link *l = t->link;

	if (t->rests)
		return &l->resting;
	return t->special ? &l->special : &l->waiting;
}

void
link_rest(struct ticket *t)
{
	TAILQ_REMOVE(list_of(t), t, entry);
	t->rests = true;
	TAILQ_INSERT_TAIL(&t->link->resting, t, entry);
}

bool
link_more(struct ticket *t, uint16_t room)
{
	struct link *l = t->link;
	char *p = link_frame(l, 0);

	ASSERT(t->rests && room > 0);
	if (p == NULL)
		return false;
	link_frame_end_room(l, FRAME_ROOM, 0, t->id, room, p);
	TAILQ_REMOVE(&l->resting, t, entry);
	t->rests = t->special = false;
	await(t);
	return true;
}

void
link_cancel(struct link *l, uint64_t id)
{
	link_tell(l, FRAME_ROOM, id, SLICE_LITERAL(""));
}

void
link_release(struct ticket *t)
{
	struct link *l = t->link;

	TAILQ_REMOVE(list_of(t), t, entry);
	l->places[t->id % l->capacity] = NULL;
	l->count--;
	t->link = NULL;
}

void
link_forget(struct ticket *t)
{
	struct link *l = t->link;

	if (l == NULL)
		return;
	link_release(t);
	if (t->rests)
		link_cancel(l, t->id);
}

static void
ticket_fail(struct ticket *t, enum link_failure why)
{
	link_release(t);
	t->kind->fail(t, why);
}

/* L is down, and the system has taken so many bytes of its output at most: what is behind them cannot have been heard. */
static void
tickets_fail(struct link *l, uint64_t taken)
{
	struct ticket *t;

	while ((t = TAILQ_FIRST(&l->waiting)) != NULL || (t = TAILQ_FIRST(&l->special)) != NULL ||
	    (t = TAILQ_FIRST(&l->resting)) != NULL)
		ticket_fail(t, t->position >= taken ? LINK_UNSENT : LINK_LOST);
}

/* Those whose time is over. */
static void
tickets_expire(struct link *l, uint64_t now)
{
	struct ticket *t, *next;

	while ((t = TAILQ_FIRST(&l->waiting)) != NULL && now >= t->deadline)
		ticket_fail(t, LINK_TIMEOUT);
	for (t = TAILQ_FIRST(&l->special); t != NULL; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (now < t->deadline)
			continue;
		ticket_fail(t, LINK_TIMEOUT);
		next = TAILQ_FIRST(&l->special);
	}
}

/* ---------------------------------------------------------------- coming and going */

/* The connection is the worker's from now on: L is up. False where it cannot be served. */
static bool
link_begin(struct link *l, const struct link_start *start)
{
	struct worker *w = l->worker;
	struct conn *c = conn_new(w, start->fd, NULL, w->driver->conn_size);

	if (c == NULL)
		return false;
	c->linked = true;
	c->eager = l->outgoing;
	c->authenticated = true;
	l->conn = c;
	l->in = (struct frame_lane){start->key_in, 0};
	l->out = (struct frame_lane){start->key_out, 0};
	l->incarnation = start->incarnation;
	l->role = start->role;
	l->their_worker = start->worker;
	l->written = l->pinged = 0;
	l->epoch_ours = l->epoch_theirs = 0;
	l->heard = link_now(w);
	l->lives++;
	l->broken = NULL;
	c->link = l;
	conn_set_state(c, CONN_LINK);
	if (w->driver->attach(c)) {
		l->bit = l->outgoing ? written_bit_take(w) : 0;
		replicate_link_started(l);
		forward_link_up(l);
		return true;
	}
	l->conn = NULL;
	conn_set_state(c, CONN_CLOSING);
	conn_free(&c);
	return false;
}

static struct link *
outgoing_find(const struct link_set *set, uint64_t node_id)
{
	struct link *l;

	LIST_FOREACH(l, &set->outgoing, entry)
		if (l->node_id == node_id)
			return l;
	return NULL;
}

/* Links with what was there before the node of START started: nothing more comes of them. */
static void
break_older(const struct link_list *links, const struct link_start *start)
{
	struct link *l;

	if (start->role != HANDSHAKE_PEER)
		return;
	LIST_FOREACH(l, links, entry)
		if (l->node_id == start->node_id && l->incarnation != start->incarnation)
			link_break(l, "the node has started anew");
}

/* The links in whose place BY comes. What is still under way on them was given up by the other side, whose clients may have
 * written the same keys anew since. */
static void
break_replaced(const struct link_list *incoming, const struct link *by)
{
	struct link *l;

	if (by->role != HANDSHAKE_PEER || by->outgoing)
		return;
	LIST_FOREACH(l, incoming, entry)
		if (l != by && l->role == HANDSHAKE_PEER && l->node_id == by->node_id &&
		    l->their_worker == by->their_worker)
			link_break(l, "another has taken its place");
}

void
link_adopt(struct worker *w, struct link_start *start)
{
	struct link_set *set = w->cluster->links;
	struct link *l = start->outgoing ? outgoing_find(set, start->node_id)
					 : link_new(w, start->node_id, false);

	if (l != NULL && l->conn == NULL && link_begin(l, start)) {
		break_older(&set->incoming, start);
		break_older(&set->outgoing, start);
		break_replaced(&set->incoming, l);
	} else {
		(void)close(start->fd);
		if (l != NULL && l->conn == NULL && l->outgoing)
			cluster_dial(w->cluster->cluster, w->id, l->node_id);
		else if (l != NULL && l->conn == NULL)
			link_free(l);
	}
	free(start);
}

/* Of what L has written, how much the system can have taken from C. */
static uint64_t
taken_of(const struct link *l, const struct conn *c)
{
	const struct io_driver *driver = l->worker->driver;

	if (c->out.broken || (driver->sending != NULL && driver->sending(c)))
		return l->written;
	return l->written - outq_bytes(&c->out);
}

void
link_conn_closed(struct conn *c)
{
	struct link *l = c->link;
	struct worker *w = l->worker;
	uint64_t taken = taken_of(l, c);

	c->link = NULL;
	l->conn = NULL;
	if (l->bit != 0)
		written_bit_break(w, l->bit);
	l->bit = 0;
	replicate_link_ended(l);
	if (l->broken != NULL) {
		struct slice name = name_of(l);

		log_info("link %s %.*s ends: %s", l->outgoing ? "to" : "from", (int)name.len,
		    name.ptr, l->broken);
	}
	l->broken = NULL;
	tickets_fail(l, taken);
	if (!l->outgoing) {
		forward_link_closed(l);
		link_free(l);
	} else if (!l->leaving && !load_relaxed(&w->stopping)) {
		cluster_dial(w->cluster->cluster, w->id, l->node_id);
	}
}

/* A node has left the topology, or the worker ends. */
static void
link_remove(struct link *l)
{
	struct worker *w = l->worker;

	if (l->conn != NULL) {
		struct conn *c = l->conn;

		conn_close(c, CONN_NORMAL);
		w->driver->drop(c);
	}
	link_free(l);
}

/* Whether the node of L has left the topology, and nobody waits for an answer of it. */
static bool
has_left(const struct link *l)
{
	return l->leaving && (!link_up(l) || l->count == 0);
}

/* The link to NODE, which is made, or made anew, where there is none or the node has moved. NULL where memory is out. */
static struct link *
outgoing_update(struct worker *w, const struct topology_node *node)
{
	struct cluster_worker *cw = w->cluster;
	uint64_t address = XXH3_64bits_withSeed(node->host.ptr, node->host.len, node->peer_port);
	struct link *l = outgoing_find(cw->links, node->id);

	if (l == NULL) {
		if ((l = link_new(w, node->id, true)) == NULL)
			return NULL;
		cluster_dial(cw->cluster, w->id, node->id);
	} else if (l->address != address) {
		link_break(l, "the node has another address now");
	}
	l->address = address;
	l->leaving = false;
	return l;
}

static struct link_set *
set_new(void)
{
	struct link_set *set = calloc(1, sizeof(*set));

	if (set != NULL)
		TAILQ_INIT(&set->dirty);
	return set;
}

bool
links_update(struct worker *w)
{
	struct cluster_worker *cw = w->cluster;
	unsigned nodes = (unsigned)topology_count(cw->topology), index;
	struct link *l, *next;

	if (cw->links == NULL && (cw->links = set_new()) == NULL)
		return false;
	memset(cw->links->nodes, 0, sizeof(cw->links->nodes));
	for (l = LIST_FIRST(&cw->links->outgoing); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		l->leaving =
		    !topology_find_id(cw->topology, l->node_id, &index) || index == cw->self;
		if (has_left(l))
			link_remove(l);
	}
	cw->links->incomplete = false;
	for (unsigned i = 0; i < nodes; i++) {
		if (i == cw->self)
			continue;
		cw->links->nodes[i] = outgoing_update(w, topology_node(cw->topology, i));
		cw->links->incomplete |= cw->links->nodes[i] == NULL;
	}
	return !cw->links->incomplete;
}

void
links_free(struct worker *w)
{
	struct link_set *set = w->cluster->links;

	if (set == NULL)
		return;
	while (!LIST_EMPTY(&set->outgoing))
		link_free(LIST_FIRST(&set->outgoing));
	ASSERT(LIST_EMPTY(&set->incoming));
	free(set);
	w->cluster->links = NULL;
}

/* ---------------------------------------------------------------- turns and ticks */

void
links_flush(struct worker *w)
{
	struct link_set *set = w->cluster->links;
	struct link *l;

	while ((l = TAILQ_FIRST(&set->dirty)) != NULL) {
		struct conn *c = l->conn;

		TAILQ_REMOVE(&set->dirty, l, flush);
		l->dirty = false;
		if (c == NULL)
			continue;
		if (unlikely(l->broken != NULL)) {
			conn_close(c, CONN_ERROR);
			w->driver->drop(c);
			continue;
		}
		w->driver->serve(c);
	}
}

/* Asks for a sign of life where there was none for a while; ends the link where none came. */
static void
link_watch(struct link *l, uint64_t now)
{
	uint64_t timeout = l->worker->server->settings->peer_timeout;

	if (!l->outgoing) {
		if (now - l->heard > SILENCE_MAX * timeout)
			link_break(l, "nothing was heard for too long");
		return;
	}
	if (l->pinged != 0 && l->heard < l->pinged && now - l->pinged > timeout) {
		link_break(l, "the node does not answer");
	} else if (now - l->heard > timeout / 2 && (l->pinged == 0 || l->heard >= l->pinged)) {
		l->pinged = now;
		link_tell(l, FRAME_PING, 0, SLICE_LITERAL(""));
	}
}

/* The cluster's thread is at it already, unless memory was out when it was asked or began. */
static void
link_want(struct link *l, uint64_t now)
{
	struct worker *w = l->worker;

	if (now - l->wanted < WANTED_AGAIN)
		return;
	l->wanted = now;
	cluster_dial(w->cluster->cluster, w->id, l->node_id);
}

void
links_tick(struct worker *w)
{
	struct link_set *set = w->cluster->links;
	uint64_t now = link_now(w);
	struct link *l, *next;

	if (unlikely(set->incomplete))
		(void)links_update(w);
	for (l = LIST_FIRST(&set->outgoing); l != NULL; l = next) {
		next = LIST_NEXT(l, entry);
		if (unlikely(has_left(l))) {
			link_remove(l);
			continue;
		}
		if (l->conn == NULL) {
			link_want(l, now);
			continue;
		}
		tickets_expire(l, now);
		link_watch(l, now);
	}
	LIST_FOREACH(l, &set->incoming, entry)
		if (l->conn != NULL)
			link_watch(l, now);
}
