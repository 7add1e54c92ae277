/* t/lib/nodes.h: several nodes in one thread, without sockets: each is a machine (t/lib/machine.h) with a worker that has a
 * cluster; their links are connections whose bytes this file carries, in pieces of chance, at a time of its own.
 */
#ifndef T_LIB_NODES_H
#define T_LIB_NODES_H

#include <stdio.h>

#include "cluster/topology.h"
#include "server/cluster.h"
#include "server/forward.h"
#include "server/link.h"
#include "server/replicate_link.h"
#include "t/lib/machine.h"
#include "t/lib/random.h"

#define NODES_MAX 5u

/* One direction of a link: from a connection to a connection. */
struct wire {
	struct conn *from, *to; /* NULL: that end is closed */
	struct answer bytes;
	size_t at;
};

struct node {
	struct machine m;
	struct cluster cluster;
	bool stands; /* does nothing at all */
};

struct nodes {
	unsigned count;
	struct node nodes[NODES_MAX];
	struct wire wires[2 * NODES_MAX * NODES_MAX];
	unsigned wire_count;
	struct random_state r;
	uint64_t now;  /* milliseconds */
	uint64_t keys; /* of links, so far */
};

static inline bool
memory_attach(struct conn *c)
{
	(void)c;
	return true;
}

static inline void
memory_drop(struct conn *c)
{
	conn_free(&c);
}

/* For links, whose bytes the wires take; clients are looked at by the test. */
static inline void
memory_serve(struct conn *c)
{
	unsigned want = conn_want(c);

	if (c->linked && want == CONN_WANT_CLOSE)
		conn_free(&c);
	else if (c->linked && (want & CONN_WANT_TURN))
		worker_queue_turn(c->worker, c);
}

static const struct io_driver memory_driver = {
    .name = "memory",
    .attach = memory_attach,
    .serve = memory_serve,
    .drop = memory_drop,
};

static inline struct worker *
node_worker(struct nodes *ns, unsigned i)
{
	return ns->nodes[i].m.worker;
}

/* The connection that was listed last: of the link that has just been adopted. */
static inline struct conn *
newest(struct worker *w)
{
	return TAILQ_LAST(&w->conns, conn_list);
}

static inline struct conn *
adopt(struct nodes *ns, unsigned node, unsigned other, bool outgoing, uint64_t out, uint64_t in)
{
	struct worker *w = node_worker(ns, node);
	struct link_start *start = malloc(sizeof(*start));

	ASSERT(start != NULL);
	*start = (struct link_start){
	    .fd = -1,
	    .outgoing = outgoing,
	    .node_id = topology_node(w->cluster->topology, other)->id,
	    .key_out = out,
	    .key_in = in,
	};
	link_adopt(w, start);
	return newest(w);
}

/* A wire that is not in use. */
static inline struct wire *
wire_take(struct nodes *ns)
{
	for (unsigned i = 0; i < ns->wire_count; i++)
		if (ns->wires[i].from == NULL && ns->wires[i].to == NULL)
			return &ns->wires[i];
	ASSERT(ns->wire_count < sizeof(ns->wires) / sizeof(ns->wires[0]));
	return &ns->wires[ns->wire_count++];
}

/* FROM gets a link to TO. */
static inline void
nodes_link(struct nodes *ns, unsigned from, unsigned to)
{
	uint64_t there = ++ns->keys, back = ++ns->keys;
	struct conn *out = adopt(ns, from, to, true, there, back);
	struct conn *in = adopt(ns, to, from, false, back, there);
	struct wire *wire = wire_take(ns);

	wire->from = out;
	wire->to = in;
	wire->at = wire->bytes.len = 0;
	wire = wire_take(ns);
	wire->from = in;
	wire->to = out;
	wire->at = wire->bytes.len = 0;
}

static inline void
node_init(struct nodes *ns, unsigned i, const char *list)
{
	struct node *node = &ns->nodes[i];
	const struct topology_options options = {.cluster = SLICE_LITERAL("test"), .epoch = 1};
	struct topology *t;

	if (i > 0)
		store_thread_leave();
	machine_init(&node->m, (size_t)64 << 20);
	node->m.settings.peer_timeout = 1000;
	if (topology_parse(&t, &options, slice_of(list, strlen(list))) != TOPOLOGY_OK)
		panic("no topology of %s", list);
	node->cluster = (struct cluster){
	    .server = &node->m.server,
	    .topology = t,
	    .node_id = topology_node(t, i)->id,
	};
	flush_plan_init(&node->cluster.flush);
	node->m.server.cluster = &node->cluster;
	node->m.worker->driver = &memory_driver;
	if (!replicate_start(&node->cluster) || !cluster_worker_init(node->m.worker))
		panic("no memory");
	node->m.worker->cluster->now = link_time(node->m.worker, ns->now);
}

static inline void
nodes_init(struct nodes *ns, unsigned count, struct random_state r)
{
	static const char list[] = "a=x:1,b=x:2,c=x:3,d=x:4,e=x:5";

	*ns = (struct nodes){.count = count, .r = r, .now = 1000};
	for (unsigned i = 0; i < count; i++) {
		char some[sizeof(list)];

		(void)snprintf(some, sizeof(some), "%.*s", (int)(6 * count - 1), list);
		node_init(ns, i, some);
	}
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < count; j++)
			if (i != j)
				nodes_link(ns, i, j);
}

/* Node I takes another topology, which is its own from then on. */
static inline void
node_take(struct nodes *ns, unsigned i, struct topology *t)
{
	struct worker *w = node_worker(ns, i);
	struct topology *old = (struct topology *)(uintptr_t)w->cluster->topology;

	ns->nodes[i].cluster.topology = w->cluster->topology = t;
	if (!links_update(w))
		panic("no memory");
	forward_turn_begin(w);
	replicate_took_topology(w);
	topology_free(&old);
}

/* Whether C is still one of W's connections. */
static inline bool
is_there(const struct worker *w, const struct conn *c)
{
	const struct conn *one;

	TAILQ_FOREACH(one, &w->conns, all)
		if (one == c)
			return true;
	return false;
}

static inline bool
any_has(const struct nodes *ns, const struct conn *c)
{
	for (unsigned i = 0; i < ns->count; i++)
		if (is_there(ns->nodes[i].m.worker, c))
			return true;
	return false;
}

/* Ends of wires that are gone take the other end with them, as a closed socket does. */
static inline void
wires_look(struct nodes *ns)
{
	for (unsigned i = 0; i < ns->wire_count; i++) {
		struct wire *wire = &ns->wires[i];

		if (wire->from != NULL && !any_has(ns, wire->from))
			wire->from = NULL;
		if (wire->to != NULL && !any_has(ns, wire->to))
			wire->to = NULL;
		if (wire->to != NULL && wire->from == NULL) {
			conn_free(&wire->to);
			wire->to = NULL;
			wires_look(ns);
			return;
		}
	}
}

/* Whether the node that C belongs to does nothing. */
static inline bool
is_still(const struct nodes *ns, const struct conn *c)
{
	for (unsigned i = 0; i < ns->count; i++)
		if (ns->nodes[i].m.worker == c->worker)
			return ns->nodes[i].stands;
	return false;
}

static inline void
wire_carry(struct nodes *ns, struct wire *wire)
{
	size_t n;

	if (wire->from == NULL || wire->to == NULL || is_still(ns, wire->from) ||
	    is_still(ns, wire->to))
		return;
	(void)machine_take(wire->from, &wire->bytes, random_below(&ns->r, 200000) + 1);
	memory_serve(wire->from);
	n = wire->bytes.len - wire->at;
	if (random_below(&ns->r, 3) == 0)
		n = random_below(&ns->r, n + 1);
	while (n > 0 && any_has(ns, wire->to) && (conn_want(wire->to) & CONN_WANT_INPUT)) {
		size_t room, part;
		char *p = conn_room(wire->to, &room);

		ASSERT(p != NULL);
		part = n < room ? n : room;
		memcpy(p, wire->bytes.bytes + wire->at, part);
		wire->at += part;
		n -= part;
		conn_filled(wire->to, part);
		memory_serve(wire->to);
	}
	if (wire->at == wire->bytes.len)
		wire->at = wire->bytes.len = 0;
}

static inline void
node_turn(struct nodes *ns, unsigned i)
{
	struct worker *w = node_worker(ns, i);
	struct conn *c;

	w->cluster->now = link_time(w, ns->now);
	forward_turn_end(w);
	for (unsigned n = 0; n < 1000 && (c = TAILQ_FIRST(&w->turns)) != NULL; n++) {
		TAILQ_REMOVE(&w->turns, c, turn);
		c->in_turns = false;
		conn_resume(c);
		if (c->linked)
			memory_serve(c);
	}
	cluster_turn_end(w);
}

/* All that happens in MILLISECONDS, at most 20. */
static inline void
nodes_turn(struct nodes *ns, uint64_t milliseconds)
{
	for (unsigned i = 0; i < ns->count; i++)
		if (!ns->nodes[i].stands)
			node_turn(ns, i);
	wires_look(ns);
	for (unsigned i = 0; i < ns->wire_count; i++) {
		wire_carry(ns, &ns->wires[i]);
		wires_look(ns);
	}
	ns->now += milliseconds;
	for (unsigned i = 0; i < ns->count && milliseconds > 0; i++) {
		struct worker *w = node_worker(ns, i);

		if (ns->nodes[i].stands)
			continue;
		w->cluster->now = link_time(w, ns->now);
		links_tick(w);
		forward_tick(w);
		cluster_turn_end(w);
	}
}

static inline void
node_fini(struct nodes *ns, unsigned i)
{
	struct node *node = &ns->nodes[i];
	struct worker *w = node->m.worker;
	struct topology *t = (struct topology *)(uintptr_t)node->cluster.topology;
	struct conn *c;

	if (i > 0)
		store_thread_join();
	store_relaxed(&w->stopping, true);
	while ((c = TAILQ_FIRST(&w->conns)) != NULL)
		conn_free(&c);
	cluster_worker_fini(w);
	ASSERT(w->pool.count_out == 0);
	machine_fini(&node->m);
	replicate_stop(&node->cluster);
	flush_plan_fini(&node->cluster.flush);
	topology_free(&t);
}

static inline void
nodes_fini(struct nodes *ns)
{
	for (unsigned i = 0; i < ns->wire_count; i++)
		answer_free(&ns->wires[i].bytes);
	for (unsigned i = 0; i < ns->count; i++)
		node_fini(ns, i);
}

#endif
