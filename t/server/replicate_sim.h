/* t/server/replicate_sim.h: a few nodes with their stores, workers and links in one thread, for tests of replication: frames wait
 * in lists until the test delivers them, and links break whenever it likes. Time is a counter.
 */
#ifndef T_SERVER_REPLICATE_SIM_H
#define T_SERVER_REPLICATE_SIM_H

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "server/replicate.h"
#include "slab/store.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"

#define SIM_NODES   3u
#define SIM_WORKERS 2u
#define SIM_PAST    64u
#define SIM_LINKS   (SIM_NODES * SIM_NODES * SIM_WORKERS)

struct sim_message {
	struct frame frame;
	STAILQ_ENTRY(sim_message) entry;
	char body[];
};

/* One end of a link, which is what replication takes for the link. */
struct sim_side {
	struct replicate_end *end;
	const struct replicate_places *places; /* of its node */
	unsigned node, worker;
	size_t unsent;
	STAILQ_HEAD(, sim_message) sent;
};

/* From worker W of a node (side 0) to some worker of another (side 1). */
struct sim_link {
	bool used, up;
	struct sim_side side[2];
};

/* Moves that came before a walk over the store was over, as cluster/past.h has it. */
struct sim_past {
	unsigned count, self, nodes, copies;
	unsigned shifts[SIM_PAST];
	uint64_t until[SIM_PAST];
	uint64_t unknown; /* all before is stale */
};

struct sim_node {
	struct sim_past past;
	struct store *store;
	struct replicate *replicate;
	struct replicate_worker *workers[SIM_WORKERS];
	struct replicate_places places;
	unsigned count, shift; /* its topology */
	uint64_t incarnation;
};

struct sim {
	unsigned count, copies;
	size_t memory, backlog;
	unsigned min_replicas;
	struct sim_node nodes[SIM_NODES];
	struct sim_link links[SIM_LINKS];
	struct ring_hash *hash;
	struct random_state chance;
	uint64_t incarnations;
	unsigned shift; /* of all keys, along the circle, in the last topology */
	unsigned delivered;
};

static uint64_t sim_ids[SIM_NODES] = {11, 22, 33};
static char sim_buffer[FRAME_MAX];
static uint64_t sim_time = 1000;
static uint64_t sim_epoch;
static size_t sim_unsent_extra; /* as if links had so much more to send */
static unsigned
    sim_full; /* of 100 frames so many find no room on a link that has something to send */
static struct random_state sim_fullness;

static inline char *
sim_frame(void *link, size_t body_max)
{
	const struct sim_side *side = link;

	assert_true(body_max <= FRAME_BODY_MAX);
	if (sim_full > 0 && side->unsent > 0 && random_below(&sim_fullness, 100) < sim_full)
		return NULL;
	return sim_buffer;
}

static inline void
sim_frame_end(void *link, enum frame_type type, uint8_t flags, uint64_t id, const char *end)
{
	struct sim_side *side = link;
	size_t n = (size_t)(end - sim_buffer);
	struct sim_message *m = malloc(sizeof(*m) + n);

	assert_non_null(m);
	memcpy(m->body, sim_buffer, n);
	m->frame = (struct frame){.id = id,
	    .epoch = side->places->epoch,
	    .body = slice_of(m->body, n),
	    .type = (uint8_t)type,
	    .flags = flags};
	STAILQ_INSERT_TAIL(&side->sent, m, entry);
	side->unsent += n;
}

static inline size_t
sim_unsent(const void *link)
{
	return ((const struct sim_side *)link)->unsent + sim_unsent_extra;
}

static inline uint64_t
sim_clock(void)
{
	return sim_time += 7;
}

static const struct replicate_means sim_means = {sim_frame, sim_frame_end, sim_unsent, sim_clock};

/* The nodes follow each other in a circle. */
static inline unsigned
sim_holders(const void *topology, uint32_t point, uint16_t *holders, unsigned want)
{
	const struct sim_node *node = topology;

	if (want > node->count)
		want = node->count;
	for (unsigned i = 0; i < want; i++)
		holders[i] = (uint16_t)((point + node->shift + i) % node->count);
	return want;
}

static inline unsigned
sim_primary(struct sim *sim, struct slice key)
{
	return (ring_hash_key(sim->hash, key) + sim->shift) % sim->count;
}

static inline bool
sim_holds(struct sim *sim, struct slice key, unsigned node)
{
	return (node + sim->count - sim_primary(sim, key)) % sim->count <= sim->copies;
}

/* Whether NODE takes itself for the primary. */
static inline bool
sim_is_primary(struct sim *sim, struct slice key, unsigned node)
{
	return (ring_hash_key(sim->hash, key) + sim->nodes[node].shift) % sim->count == node;
}

/* In each topology nodes have other lanes. */
static inline void
sim_lane(struct store *st, unsigned i)
{
	store_lanes(st, 8, (unsigned)(i + sim_epoch) % 4, (sim_epoch + 1) << 40);
}

static inline void
sim_node_start(struct sim *sim, unsigned i)
{
	struct sim_node *node = &sim->nodes[i];
	struct store_options options = {.memory_limit = sim->memory,
	    .index_power = 8,
	    .item_size_max = 1u << 20,
	    .hash_seed = 100 + i};
	struct replicate_options how = {.means = &sim_means,
	    .backlog = sim->backlog,
	    .workers = SIM_WORKERS,
	    .calendar = 1000000 + i,
	    .min_replicas = sim->min_replicas,
	    .seed = random_next(&sim->chance)};
	const char *error;

	assert_int_equal(store_new(&node->store, &options, &error), 0);
	store_clock_set(node->store, 100);
	sim_lane(node->store, i);
	store_version_raise(node->store, sim_epoch << 40);
	how.store = node->store;
	node->replicate = replicate_new(&how);
	assert_non_null(node->replicate);
	node->incarnation = ++sim->incarnations;
	node->count = sim->count;
	node->shift = sim->shift;
	node->places = (struct replicate_places){.topology = node,
	    .holders = sim_holders,
	    .epoch = sim_epoch,
	    .kind = RING_NATIVE,
	    .count = sim->count,
	    .self = i,
	    .copies = sim->copies,
	    .ids = sim_ids};
	for (unsigned w = 0; w < SIM_WORKERS; w++) {
		node->workers[w] = replicate_worker_new(node->replicate, w);
		assert_non_null(node->workers[w]);
		replicate_topology(node->workers[w], &node->places);
	}
}

static inline void
sim_node_stop(struct sim *sim, unsigned i)
{
	struct sim_node *node = &sim->nodes[i];

	for (unsigned w = 0; w < SIM_WORKERS; w++)
		replicate_worker_free(&node->workers[w]);
	store_free(&node->store);
	replicate_free(&node->replicate);
}

static inline void
sim_drop_messages(struct sim_side *side)
{
	struct sim_message *m;

	while ((m = STAILQ_FIRST(&side->sent)) != NULL) {
		STAILQ_REMOVE_HEAD(&side->sent, entry);
		free(m);
	}
	side->unsent = 0;
}

/* As the handshake does it: both learn the other's version, and the last flush. */
static inline void
sim_greet(struct store *a, struct store *b)
{
	uint64_t high = store_version(b), flushed = store_flushed(b);

	store_version_raise(a, high);
	if (flushed > store_flushed(a))
		store_flush_version(a, flushed);
}

static inline void
sim_side_up(struct sim *sim, struct sim_link *link, unsigned which)
{
	struct sim_side *side = &link->side[which], *other = &link->side[!which];
	struct replicate_worker *w = sim->nodes[side->node].workers[side->worker];

	replicate_worker_enter(w);
	side->places = &sim->nodes[side->node].places;
	STAILQ_INIT(&side->sent);
	side->unsent = 0;
	side->end = replicate_link_up(w, side, other->node, sim_ids[other->node],
	    sim->nodes[other->node].incarnation, which == 0);
	assert_non_null(side->end);
}

static inline void
sim_link_up(struct sim *sim, struct sim_link *link)
{
	struct store *a = sim->nodes[link->side[0].node].store;
	struct store *b = sim->nodes[link->side[1].node].store;

	sim_greet(a, b);
	sim_greet(b, a);
	link->side[1].worker = (unsigned)random_below(&sim->chance, SIM_WORKERS);
	sim_side_up(sim, link, 0);
	sim_side_up(sim, link, 1);
	link->up = true;
}

static inline void
sim_link_down(struct sim *sim, struct sim_link *link)
{
	for (unsigned i = 0; i < 2; i++) {
		struct sim_side *side = &link->side[i];

		replicate_worker_enter(sim->nodes[side->node].workers[side->worker]);
		replicate_link_down(side->end);
		sim_drop_messages(side);
	}
	link->up = false;
}

/* COPIES and the rest are set. */
static inline void
sim_start(struct sim *sim)
{
	struct sim_link *link = sim->links;

	sim_epoch = 1;
	sim_fullness.state = random_next(&sim->chance);
	assert_int_equal(ring_hash_new(&sim->hash, RING_NATIVE), RING_OK);
	for (unsigned i = 0; i < sim->count; i++)
		sim_node_start(sim, i);
	for (unsigned from = 0; from < sim->count; from++) {
		for (unsigned to = 0; to < sim->count; to++) {
			for (unsigned w = 0; w < SIM_WORKERS && to != from; w++) {
				link->used = true;
				link->side[0].node = from;
				link->side[0].worker = w;
				link->side[1].node = to;
				sim_link_up(sim, link++);
			}
		}
	}
}

static inline void
sim_stop(struct sim *sim)
{
	for (unsigned i = 0; i < SIM_LINKS; i++)
		if (sim->links[i].up)
			sim_link_down(sim, &sim->links[i]);
	for (unsigned i = 0; i < sim->count; i++)
		sim_node_stop(sim, i);
	ring_hash_free(&sim->hash);
}

static inline bool
sim_stale(const void *past, uint32_t point, uint64_t order)
{
	const struct sim_past *p = past;

	for (unsigned i = 0; i < p->count; i++) {
		unsigned first = (point + p->shifts[i]) % p->nodes;

		if (order < p->until[i] && (p->self + p->nodes - first) % p->nodes > p->copies)
			return true;
	}
	return order < p->unknown;
}

/* What NODE has not walked over yet is remembered. */
static inline void
sim_remember(struct sim *sim, struct sim_node *node)
{
	struct sim_past *p = &node->past;

	if (node->places.epoch + 1 != sim_epoch) {
		p->unknown = sim_epoch << 40;
	} else if (replicate_marked(node->workers[0]) == node->places.epoch) {
		p->count = 0;
		p->unknown = 0;
	} else {
		assert_true(p->count < SIM_PAST);
		p->shifts[p->count] = node->shift;
		p->until[p->count++] = sim_epoch << 40;
	}
	p->self = node->places.self;
	p->nodes = sim->count;
	p->copies = sim->copies;
	node->places.past = p->count > 0 || p->unknown > 0 ? p : NULL;
	node->places.stale = sim_stale;
}

/* A node learns of the last topology. */
static inline void
sim_take_topology(struct sim *sim, unsigned i)
{
	struct sim_node *node = &sim->nodes[i];

	if (node->places.epoch == sim_epoch)
		return;
	sim_remember(sim, node);
	node->shift = sim->shift;
	node->places.epoch = sim_epoch;
	sim_lane(node->store, i);
	store_version_raise(node->store, sim_epoch << 40);
	for (unsigned w = 0; w < SIM_WORKERS; w++) {
		replicate_worker_enter(node->workers[w]);
		replicate_topology(node->workers[w], &node->places);
	}
}

/* All keys move to the next node; some nodes hear of it at once, the others one by one. */
static inline void
sim_move(struct sim *sim)
{
	sim->shift++;
	sim_epoch++;
	for (unsigned i = 0; i < sim->count; i++)
		if (random_below(&sim->chance, 2) == 0)
			sim_take_topology(sim, i);
}

/* A node is gone with all that it knew, and comes back without. It speaks to the others before it serves anybody: else it would
 * give versions again that it gave before. */
static inline void
sim_restart(struct sim *sim, unsigned node)
{
	for (unsigned i = 0; i < SIM_LINKS; i++) {
		struct sim_link *link = &sim->links[i];

		if (link->up && (link->side[0].node == node || link->side[1].node == node))
			sim_link_down(sim, link);
	}
	sim_node_stop(sim, node);
	sim->nodes[node].past = (struct sim_past){0};
	sim_node_start(sim, node);
	for (unsigned i = 0; i < sim->count; i++)
		if (i != node)
			sim_greet(sim->nodes[node].store, sim->nodes[i].store);
}

/* Delivers the first frame that one side of LINK has sent. */
static inline bool
sim_deliver(struct sim *sim, struct sim_link *link, unsigned which)
{
	struct sim_side *from = &link->side[which], *to = &link->side[!which];
	struct sim_message *m = link->up ? STAILQ_FIRST(&from->sent) : NULL;

	if (m == NULL)
		return false;
	STAILQ_REMOVE_HEAD(&from->sent, entry);
	from->unsent -= m->frame.body.len;
	replicate_worker_enter(sim->nodes[to->node].workers[to->worker]);
	assert_true(replicate_receive(to->end, &m->frame));
	sim->delivered++;
	free(m);
	return true;
}

static inline void
sim_turn(struct sim *sim, unsigned node, unsigned worker)
{
	replicate_worker_enter(sim->nodes[node].workers[worker]);
	(void)replicate_turn_end(sim->nodes[node].workers[worker]);
}

/* True where there is more to do. */
static inline bool
sim_tick(struct sim *sim, unsigned node, unsigned worker)
{
	struct replicate_worker *w = sim->nodes[node].workers[worker];

	replicate_worker_enter(w);
	if (replicate_marked(w) == sim->nodes[node].places.epoch)
		replicate_let_go(w);
	return replicate_tick(w);
}

/* One step of something, by chance. */
static inline void
sim_step(struct sim *sim)
{
	unsigned node = (unsigned)random_below(&sim->chance, sim->count);
	unsigned worker = (unsigned)random_below(&sim->chance, SIM_WORKERS);
	struct sim_link *link = &sim->links[random_below(&sim->chance, SIM_LINKS)];

	if (random_below(&sim->chance, 50) == 0)
		sim_take_topology(sim, node);
	switch (random_below(&sim->chance, 4)) {
	case 0:
		sim_turn(sim, node, worker);
		break;
	case 1:
		(void)sim_tick(sim, node, worker);
		break;
	default:
		if (link->used)
			(void)sim_deliver(sim, link, (unsigned)random_below(&sim->chance, 2));
		break;
	}
}

/* All have the last topology, and all goes on over the links that are up until nothing is under way any more. False: that took too
 * long. */
static inline bool
sim_go_on(struct sim *sim)
{
	for (unsigned i = 0; i < sim->count; i++)
		sim_take_topology(sim, i);
	for (unsigned round = 0, quiet = 0; round < 20000; round++) {
		bool busy = false;

		for (unsigned i = 0; i < SIM_LINKS; i++)
			for (unsigned which = 0; which < 2; which++)
				while (sim_deliver(sim, &sim->links[i], which))
					busy = true;
		for (unsigned n = 0; n < sim->count; n++) {
			for (unsigned w = 0; w < SIM_WORKERS; w++) {
				replicate_worker_enter(sim->nodes[n].workers[w]);
				busy |= replicate_turn_end(sim->nodes[n].workers[w]);
				busy |= sim_tick(sim, n, w);
			}
		}
		quiet = busy ? 0 : quiet + 1;
		if (quiet > 5)
			return true;
	}
	return false;
}

/* The same with all links up. */
static inline bool
sim_settle(struct sim *sim)
{
	for (unsigned i = 0; i < sim->count; i++)
		sim_take_topology(sim, i);
	for (unsigned i = 0; i < SIM_LINKS; i++)
		if (sim->links[i].used && !sim->links[i].up)
			sim_link_up(sim, &sim->links[i]);
	return sim_go_on(sim);
}

/* For a whole group of tests: this thread calls stores. */
static inline int
sim_join(void **state)
{
	(void)state;
	store_thread_join();
	return 0;
}

static inline int
sim_leave(void **state)
{
	(void)state;
	store_thread_leave();
	return 0;
}

#endif
