/* server/link_impl.h: between the files of links. */
#ifndef SERVER_LINK_IMPL_H
#define SERVER_LINK_IMPL_H

#include "cluster/topology.h"
#include "server/link.h"
#include "server/worker.h"
#include "server/written.h"

TAILQ_HEAD(ticket_list, ticket);

struct link {
	struct worker *worker;
	struct conn *conn; /* NULL: it is down */
	struct frame_lane in, out;
	uint64_t node_id, incarnation;
	uint64_t address; /* outgoing: stands for where the node is, by the topology */
	uint32_t lives;   /* connections so far */
	bool outgoing;
	bool
	    leaving; /* outgoing: its node is not in the topology any more; what was asked is waited for */
	uint8_t role;
	uint16_t their_worker; /* incoming: whose it is */

	/* Output. */
	char *frame;      /* the head of the frame that is being written */
	uint64_t written; /* bytes since it came up */
	bool dirty; /* in the set's list of those that have something to send, or are to end */
	const char *broken; /* why it is to end, or NULL */

	/* Questions: by id (its place is id % CAPACITY), and in the order of their deadlines; those with deadlines of
	 * their own apart, and those that rest. */
	struct ticket **places;
	uint32_t capacity, count;
	uint64_t next_id;
	struct ticket_list waiting, special, resting;

	uint64_t wanted; /* when it was asked for last, being down */
	uint64_t heard;  /* when something came last */
	uint64_t pinged; /* when a PING was sent that is not answered; 0 = none is */
	uint64_t epoch_ours, epoch_theirs; /* when topologies were last exchanged; 0 = never */
	uint32_t bit;                      /* outgoing: see server/written.h; 0 = it is down */
	uint32_t waiters;                  /* incoming: see server/replicate_wait.c */

	void *slot;
	struct replicate_end *replicate; /* NULL: nothing is copied here */
	LIST_ENTRY(link) entry;          /* in the set's list of its direction */
	TAILQ_ENTRY(link) flush;
};

struct link_set {
	struct link *nodes[TOPOLOGY_NODES_MAX]; /* by index in the topology of this turn */
	LIST_HEAD(link_list, link) outgoing, incoming;
	TAILQ_HEAD(, link) dirty;
	bool incomplete; /* memory was out for some */
	struct written_bits written;
};

/* Gives FRAME to whom it is for. False where it breaks the protocol. */
bool link_frame_take(struct link *l, const struct frame *frame);

/* Of the answer to ID, which has used up its room, nothing more is wanted. */
void link_cancel(struct link *l, uint64_t id);

/* T, which waits, rests until link_more. */
void link_rest(struct ticket *t);

/* A frame without anybody who waits for an answer. BODY may be empty. */
void link_tell(struct link *l, enum frame_type type, uint64_t id, struct slice body);

/* The ticket of ID, or NULL. */
struct ticket *link_ticket(const struct link *l, uint64_t id);

/* T is out of the link's hands. */
void link_release(struct ticket *t);

#endif
