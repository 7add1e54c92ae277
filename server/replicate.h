/* server/replicate.h: copies of what this node is the primary of, on the nodes that come next on the ring.
 *
 *	store --observer--> backlog of the worker --turn's end--> a stream per peer --frames--> peer: newer wins
 *	                                                              ^                           |
 *	                                                              +---- position applied -----+
 *
 * Who changes an item knows nothing of it: the store's observer notes key and order in the backlog of the thread. At the end of
 * the turn the entries are made into records, with what the store holds at that moment, for each peer that keeps a copy of the key.
 * The order decides at the peer whether a record is news, so streams need no order among each other, and what is sent
 * twice does no harm. Deletions leave tombstones (cluster/tombstone.h) on both sides. A copy never goes on from where it is.
 *
 * A peer that was away goes on behind what it last acknowledged, if the backlog reaches back so far. Otherwise, and whenever
 * either side was started anew, the two compare what they both hold (replicate_sync.c).
 *
 * The owner also tells its peers what was read often (heat) and what it has evicted, so that copies stay and go with their
 * originals.
 *
 * What follows is about one process: struct replicate, and about each of its workers: struct replicate_worker, whose calls are
 * all that worker's. Links and the ring come in through small structs of functions, so that a test can be them.
 */
#ifndef SERVER_REPLICATE_H
#define SERVER_REPLICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cluster/frame.h"
#include "cluster/ring.h"
#include "slab/store.h"

struct replicate;
struct replicate_worker;
struct replicate_end;

/* ---------------------------------------------------------------- what it needs of others */

/* How frames leave: as link_frame, link_frame_end and link_unsent have it. */
struct replicate_means {
	char *(*frame)(void *link, size_t body_max);
	void (*frame_end)(
	    void *link, enum frame_type type, uint8_t flags, uint64_t id, const char *end);
	size_t (*unsent)(const void *link);
	uint64_t (*clock)(void); /* microseconds; never backwards */
};

/* Who holds what, in one epoch. */
struct replicate_places {
	const void *topology;
	unsigned (*holders)(const void *topology, uint32_t point, uint16_t *holders, unsigned want);
	uint64_t epoch;
	enum ring_kind kind;
	unsigned count;      /* of nodes */
	unsigned self;       /* this one's index */
	unsigned copies;     /* replicas of each key */
	const uint64_t *ids; /* of the nodes; copied */

	/* What this node may have and must not count, see cluster/past.h; NULL: nothing is stale. */
	const void *past;
	bool (*stale)(const void *past, uint32_t point, uint64_t order);
};

struct replicate_options {
	struct store *store;
	const struct replicate_means *means;
	size_t backlog; /* bytes, for all workers together */
	unsigned workers;
	int64_t calendar;      /* the calendar's second when the store's clock was 0 */
	uint64_t seed;         /* of chance */
	unsigned min_replicas; /* writes are refused where fewer have a key */
};

/* ---------------------------------------------------------------- the process */

/* NULL where memory is out. From now on it observes the store, which must not be called any more when this is freed. */
struct replicate *replicate_new(const struct replicate_options *options);
void replicate_free(struct replicate **r);

/* ---------------------------------------------------------------- a worker */

/* Worker number ID; NULL where memory is out. */
struct replicate_worker *replicate_worker_new(struct replicate *r, unsigned id);
void replicate_worker_free(struct replicate_worker **w);

/* Mutations of this thread are W's from now on. */
void replicate_worker_enter(struct replicate_worker *w);

/* There is a new topology, which stays until the next call. */
void replicate_topology(struct replicate_worker *w, const struct replicate_places *places);

/* The turn ends: sends what has happened, and says what was applied. True where more is to be done soon. */
bool replicate_turn_end(struct replicate_worker *w);

/* From time to time, 20 ms or less apart, while replicate_turn_end or this says that there is more to do: a slice of
 * comparison, below 1 ms. */
bool replicate_tick(struct replicate_worker *w);

/* ---------------------------------------------------------------- links */

/* LINK to or from the node at index NODE is ready. OUTGOING: this side has made it, its stream goes there. NULL where memory is
 * out: the link is to be closed. */
struct replicate_end *replicate_link_up(struct replicate_worker *w, void *link, unsigned node,
    uint64_t node_id, uint64_t incarnation, bool outgoing);

/* The link is gone. */
void replicate_link_down(struct replicate_end *end);

/* A frame of a type from FRAME_REPLICATE to FRAME_COMPARED has come. False where it breaks the protocol: the link is to be
 * closed. */
bool replicate_receive(struct replicate_end *end, const struct frame *frame);

/* ---------------------------------------------------------------- how far copies are */

/* Whether a peer that is linked has not acknowledged all that this worker has changed. */
bool replicate_is_behind(const struct replicate_worker *w);

/* How many copies of a key there are when all is well. */
unsigned replicate_copies(const struct replicate_worker *w);

/* The position behind all that this worker has changed so far. */
uint64_t replicate_position(const struct replicate_worker *w);

/* What is changed from now on, is changed by WRITER (not 0): a number of the caller's; two that share one wait for each
 * other's. */
void replicate_writer(struct replicate_worker *w, uint32_t writer);
uint32_t replicate_writer_now(const struct replicate_worker *w);

/* What WRITER has changed so far, as far as it is not known to be on all replicas; or behind the position SINCE where that is
 * not 0. */
struct replicate_wait {
	uint32_t writer;
	unsigned need;
	uint64_t since, from, position; /* FROM goes from the first to the last */
	unsigned before; /* on so many replicas is what was changed before SINCE, at the least */
	bool all;        /* the first of the two */
};
void replicate_wait_begin(struct replicate_worker *w, struct replicate_wait *wait, uint32_t writer,
    unsigned need, uint64_t since);

/* Whether each change is on NEED replicas. To be asked again when something was acknowledged, and from time to time. */
bool replicate_wait_done(struct replicate_worker *w, struct replicate_wait *wait);

/* The end, with success or without: on how many replicas each is, at the least. */
unsigned replicate_wait_end(struct replicate_worker *w, const struct replicate_wait *wait);

/* Whether writes to KEY are to be refused, because fewer than --min-replicas of its replicas are connected and up to date. */
bool replicate_refuses(struct replicate_worker *w, const struct store_key *key);

/* KEY was not found and is to be deleted. A node that has not got its copies back yet, or cannot know what others hold, has it
 * deleted there as well, so that it does not come back. STORE_OK where it came in between, and was deleted here. */
enum store_result replicate_delete_missing(struct replicate_worker *w, const struct store_key *key);

/* Is called at the end of a turn in which something was acknowledged. */
void replicate_on_acked(struct replicate_worker *w, void (*call)(void *context), void *context);

/* ---------------------------------------------------------------- marks

 * After a change of the topology worker 0 walks over the store: what this node does not hold is removed, the rest is marked for what it
 * is.
 */

/* The epoch of the last topology for which the marks of all items are right: an item of the store without STORE_COPY is then one
 * of which this node is the primary in that topology. 0: there is none yet. */
uint64_t replicate_marked(const struct replicate_worker *w);
uint64_t replicate_marked_in(const struct replicate *r); /* any thread */

/* Before the item KEY of this node is looked at by whoever asks for it, as long as some can be stale: removes it where it is. */
void replicate_forget(struct replicate_worker *w, const struct store_key *key);

/* All marks are right for the present topology: nothing is stale any more. */
void replicate_let_go(struct replicate_worker *w);

/* ---------------------------------------------------------------- figures */

/* Of one other node, all workers together. */
struct replicate_stats {
#define REPLICATE_STAT(name, text) uint64_t name;
#include "server/tbl/replicate_stats.h"
#undef REPLICATE_STAT
};
struct replicate_totals {
	uint64_t backlog_bytes, backlog_used, tombstones, forgotten;
};
void replicate_stats(struct replicate *r, uint64_t node_id, struct replicate_stats *stats);
void replicate_totals(struct replicate *r, struct replicate_totals *totals);

#endif
