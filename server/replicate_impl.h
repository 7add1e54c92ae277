/* server/replicate_impl.h: between the files of replication. */
#ifndef SERVER_REPLICATE_IMPL_H
#define SERVER_REPLICATE_IMPL_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/lock.h"
#include "cluster/digest.h"
#include "cluster/tombstone.h"
#include "cluster/topology.h"
#include "server/replicate.h"
#include "server/replicate_backlog.h"
#include "server/replicate_record.h"

#define DATA_BODY     ((size_t)32 << 10) /* bytes of a frame, unless a record needs more */
#define DATA_BODY_MAX ((size_t)96 << 10)
#define DATA_HEAD     8u                /* the time of the first change in it */
#define UNSENT_MAX    ((size_t)1 << 20) /* a stream waits while its link has more to send */
#define WRITERS       4096u
#define LOOKS_MAX     4096u /* entries looked at in one go for who waits */
#define DELAYS        32u   /* classes of delay: powers of two of microseconds */
#define HOLDERS_MAX   (TOPOLOGY_REPLICAS_MAX + 1)

enum { DATA_SYNC = 1 };  /* a flag of DATA frames: not of the stream but of a comparison */
enum { WANT_ALONE = 1 }; /* a flag of WANT frames: it is no part of a comparison */

/* ---------------------------------------------------------------- streams */

/* A value that goes out in pieces. */
struct large {
	struct store_pin *pin; /* NULL = none is under way */
	uint32_t cursor;
	struct slice rest; /* of the present piece */
	struct record record;
	char key[STORE_KEY_MAX];
};

/* What is sent from a backlog to one peer. Acknowledged <= framed <= sent: up to SENT entries were looked at, those up to
 * FRAMED are in frames (of those behind it none is for this peer). */
struct stream {
	uint64_t sent, framed, acked;
	struct large large;
};

/* A value that arrives in pieces. */
struct assembly {
	bool active;
	struct store_pending pending;
	struct record record;
	char key[STORE_KEY_MAX];
};

/* ---------------------------------------------------------------- peers and links */

/* What is counted at an end. Written by its worker, read by any thread. */
struct peer_counts {
	uint64_t sent, applied, stale, refused, resumes, overruns;
	uint64_t comparisons, parts_compared, parts_differing, compared_sent;
	uint64_t heat_sent, heat_applied;
	uint64_t delays[DELAYS];

	/* How it is now. */
	uint64_t lag_operations, lag_bytes, lag_since, links;
};

/* What the process knows of a peer: by its id, for as long as the process lives. */
struct replicate_peer {
	uint64_t id;
	uint64_t incarnation;    /* atomic; the last one seen, 0 = none */
	int64_t skew;            /* atomic: its calendar is so many seconds behind ours */
	uint64_t syncs_wanted;   /* atomic: grows with each reason to compare */
	struct peer_counts past; /* of links that are gone; guarded by the process's lock */
	uint64_t syncs_begun; /* atomic, worker 0's: how many of them the last comparison covers */
	uint64_t
	    compared; /* atomic: the epoch of the last comparison that was made to its end; 0 = there is reason for one */
	LIST_ENTRY(replicate_peer) entry;
};

struct marking;
struct sync;

/* One side of a link, or (an outgoing one that is down) the place where it will be again. */
struct replicate_end {
	struct replicate_worker *worker;
	void *link; /* NULL = down */
	struct replicate_peer *peer;
	struct peer_counts counts;
	unsigned node; /* its index in the present topology; NODE_NONE = it is not there */
	bool outgoing;
	uint64_t incarnation; /* of the peer that STREAM is for */
	struct stream stream;
	struct assembly assemblies[2]; /* of the peer's stream, of a comparison: their pieces mix */
	uint64_t ack_position, ack_time;
	bool ack_due;
	char *heat, *heat_end; /* keys for the peer */
	struct sync *sync;
	LIST_ENTRY(replicate_end) entry;
};

#define NODE_NONE UINT_MAX

LIST_HEAD(replicate_ends, replicate_end);

/* ---------------------------------------------------------------- process and worker */

/* The ring's points of keys that were asked for last, by the store's hash of them: so a key that changes often, or was just read, does
 * not cost a hash of the ring each time. */
#define POINTS 65536u
#define KNOWN  UINT64_C(1)

struct known_point {
	uint64_t hash; /* with KNOWN; 0 = none */
	uint32_t point;
};

/* Since when a writer has written what is not known to be on all replicas. What is before SURE is on COPIES of them at
 * least. Writers can come to share a place: of those that had to leave it, it is only known since when. */
struct written {
	uint64_t since, sure, others; /* positions, UINT64_MAX = nothing was written */
	uint32_t writer;
	uint32_t copies;
};

struct replicate_worker {
	struct replicate *all;
	unsigned id;
	struct backlog backlog;
	uint64_t stamped; /* entries before this position have their time */
	struct replicate_places places;
	uint64_t ids[RING_NODES_MAX]; /* of its nodes */
	struct ring_hash *hash;
	struct known_point *points; /* POINTS of them; none are of another kind of ring */
	struct replicate_ends ends;
	struct replicate_end *outgoing[RING_NODES_MAX]; /* by node */
	uint64_t
	    moved; /* the number of the last entry before PLACES came, or the last walk was over that removed what is stale */
	uint64_t epoch;          /* atomic: of PLACES, for other workers */
	struct marking *marking; /* worker 0's; NULL = none is under way */
	uint32_t writer;         /* whose mutations are noted now */
	struct written written[WRITERS];
	uint64_t topologies; /* how many were taken */
	bool acked;          /* something, in this turn */
	void (*on_acked)(void *context);
	void *on_acked_context;
};

struct replicate {
	struct replicate_options options;
	struct store *store;
	const struct replicate_means *means;
	struct tombstones *deleted;
	struct tombstones *stamps; /* of the last record that was applied to a key */
	struct replicate_worker **workers;
	uint64_t chance; /* atomic */
	uint64_t marked; /* atomic: the epoch for which all items are marked rightly; 0 = none */

	struct lock lock; /* guards what follows */
	LIST_HEAD(, replicate_peer) peers;
	struct backlog foreign; /* of threads that are no workers */
	uint64_t foreign_taken;
	bool foreign_some; /* atomic: there is something */
};

/* The records that this thread applies are others' mutations: its observer is silent. */
extern _Thread_local bool replicate_applying;

/* What this thread evicts others have evicted. */
extern _Thread_local bool replicate_evicting;

/* ---------------------------------------------------------------- replicate.c */

/* The peer with that id, made where there is none; NULL where memory is out. */
struct replicate_peer *replicate_peer(struct replicate *r, uint64_t id);

/* There is a reason to compare with PEER. */
void replicate_want_sync(struct replicate_peer *peer);

/* A mutation of this thread's, for all that hold KEY. Under the stripe's lock. */
void replicate_note(
    struct replicate *r, enum backlog_what what, const struct store_key *key, uint64_t order);

/* What this node has learnt as the primary of KEY is told to all that hold it. */
void replicate_pass_on(
    struct replicate_worker *w, enum backlog_what what, struct slice key, uint64_t order);

/* Tells the peer that KEY was deleted, up to ORDER. False where the link takes nothing. */
bool replicate_gone(struct replicate_end *end, struct slice key, uint64_t order);

/* Asks the peer for the item KEY, as part of a comparison or with WANT_ALONE in FLAGS. False where the link takes nothing. */
bool replicate_want(struct replicate_end *end, struct slice key, uint8_t flags);

/* An expiry of the store in calendar seconds of END's peer, or in our own with END NULL; and back. */
int64_t replicate_expiry_out(
    const struct replicate *r, const struct replicate_end *end, uint32_t expiry);
uint32_t replicate_expiry_in(
    const struct replicate *r, const struct replicate_end *end, int64_t expiry);

/* ---------------------------------------------------------------- replicate_places.c */

/* The ring's point of KEY; and of a key of the store, which is remembered. */
uint32_t replicate_point(struct replicate_worker *w, struct slice key);
uint32_t replicate_point_of(struct replicate_worker *w, const struct store_key *key);

/* The point of the key of an entry. */
uint32_t replicate_entry_point(struct replicate_worker *w, struct backlog_entry *e);

/* Who holds what has POINT; [0] is the primary. At most HOLDERS_MAX. */
unsigned replicate_holders(const struct replicate_worker *w, uint32_t point, uint16_t *holders);

/* Whether all nodes hold all keys: then it is not asked which. */
static inline bool
replicate_all_hold(const struct replicate_worker *w)
{
	return w->places.count <= 1 + w->places.copies && w->places.self < w->places.count;
}

/* Whether this node is the primary of KEY, or NODE. */
bool replicate_is_primary(struct replicate_worker *w, struct slice key, unsigned node);

/* Whether both this node and NODE hold KEY. */
bool replicate_both_hold(struct replicate_worker *w, struct slice key, unsigned node);

/* ---------------------------------------------------------------- replicate_mark.c */

/* Whether the item KEY of ORDER is stale. */
bool replicate_is_stale(struct replicate_worker *w, struct slice key, uint64_t order);

/* A slice of the walk, where one is needed; true where there is more to do. */
bool marking_slice(struct replicate_worker *w);
void marking_end(struct replicate_worker *w);

/* ---------------------------------------------------------------- replicate_stats.c */

/* Adds what was counted. */
void counts_add(struct peer_counts *sum, const struct peer_counts *counts);

/* ---------------------------------------------------------------- replicate_stream.c */

/* Sends what B holds behind S->sent, as far as the link takes it. ENTRIES: whether an entry is for this peer is asked. */
void stream_send(struct replicate_end *end, struct stream *s, struct backlog *b, bool sync);

/* Lets go of the value that is under way: its entry is looked at again. */
void stream_pause(struct replicate_end *end, struct stream *s);

/* The same, and all begins again behind what is acknowledged. */
void stream_rewind(struct replicate_end *end, struct stream *s);

/* ---------------------------------------------------------------- replicate_apply.c */

/* Handlers of frames: false = they break the protocol. */
bool apply_data(struct replicate_end *end, const struct frame *frame);
bool apply_heat(struct replicate_end *end, const struct frame *frame);

/* Drops the values that are under way. */
void assemblies_drop(struct replicate_end *end);

/* KEY is deleted, up to ORDER: true where there was something. */
bool apply_delete(struct replicate *r, const struct store_key *key, uint64_t order);

/* ---------------------------------------------------------------- replicate_sync.c */

bool sync_receive(struct replicate_end *end, const struct frame *frame);

/* Begins a comparison on this link. */
void sync_begin(struct replicate_end *end);

/* A slice, below 1 ms; true where there is more to do. */
bool sync_slice(struct replicate_end *end);

/* There is another topology: what is compared now is compared once more. */
void sync_moved(struct replicate_end *end);

/* Gives it up: the side that began does so again; the other one does where the first may take it for over. */
void sync_free(struct replicate_end *end);

#endif
