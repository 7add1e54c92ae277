/* server/link.h: links: the connections between nodes, once they have proved who they are.
 *
 * Each worker has a link of its own to every other node: what it asks goes out there, and the answers come back on it. What
 * other nodes ask comes in on links that they have made, each served by one worker. A link is a connection (server/conn.h) in the
 * state CONN_LINK, moved by the same drivers; its frames (cluster/frame.h) are handed to the table of handlers in
 * server/link_frames.c. The cluster's thread connects, accepts and shakes hands (server/cluster.h); here begins what follows.
 *
 * Frames are written into the link's output and leave at the end of the worker's turn, all at once. An outgoing link is an object
 * that stays while its connection comes and goes. A link that breaks fails its tickets; so does a peer that is silent for
 * longer than the peer timeout while it owes something.
 *
 * All calls are the owning worker's.
 */
#ifndef SERVER_LINK_H
#define SERVER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/slice.h"
#include "cluster/frame.h"
#include "cluster/handshake.h"

struct conn;
struct link;
struct ticket;
struct worker;

/* A link never has more questions open, nor more bytes that wait to be sent, than these. */
#define LINK_TICKETS_MAX 131072u
#define LINK_UNSENT_MAX  ((size_t)32 << 20)

/* A connection whose ends have shaken hands, on its way to a worker. From malloc. */
struct link_start {
	int fd;
	bool outgoing;
	uint64_t node_id, incarnation; /* the other side's */
	uint8_t role;                  /* enum handshake_role */
	uint16_t worker;               /* incoming: of the other side */
	uint64_t key_out, key_in;
};

/* ---------------------------------------------------------------- for everybody */

/* The link to a node of the topology of this turn; NULL for this node itself. */
struct link *link_to(struct worker *w, unsigned node);

bool link_up(const struct link *l);
const struct conn *link_conn(const struct link *l); /* NULL where it is down */
bool link_outgoing(const struct link *l);
struct worker *link_worker(const struct link *l);
uint64_t link_node_id(const struct link *l);
uint64_t link_incarnation(const struct link *l); /* of the other side, of the last connection */
enum handshake_role link_role(const struct link *l);

/* Its connections are numbered from 1 on; 0 where it is down. */
uint32_t link_life(const struct link *l);

/* Its bit in the sets of server/written.h; 0 where it is down. */
uint32_t link_bit(const struct link *l);

/* Bytes that are not with the kernel yet. */
size_t link_unsent(const struct link *l);

/* Room for the body of one frame; NULL where the link is down or takes no more, or memory is out. Nothing else may be
 * done with the link before link_frame_end, but to leave it at that. */
char *link_frame(struct link *l, size_t body_max);
void link_frame_end(
    struct link *l, enum frame_type type, uint8_t flags, uint64_t id, const char *end);

/* The same of a frame with ROOM, see cluster/frame.h. */
void link_frame_end_room(struct link *l, enum frame_type type, uint8_t flags, uint64_t id,
    uint16_t room, const char *end);

/* Ends the connection at the end of this turn, for WHY (for the log). */
void link_break(struct link *l, const char *why);

/* Milliseconds, monotonic, of this worker: time in which it was kept from running does not count, as what came meanwhile could not be
 * read. Read at most once a turn. */
uint64_t link_now(struct worker *w);

/* What link_now says when the clock says CLOCK, which never goes back. For tests, which are the clock. */
uint64_t link_time(struct worker *w, uint64_t clock);

/* A place for what the answering side keeps with an incoming link; see forward_link_closed. */
void **link_slot(struct link *l);

/* ---------------------------------------------------------------- tickets */

enum link_failure {
	LINK_UNSENT,  /* not a byte of the question has left */
	LINK_LOST,    /* the link broke: it may have been heard or not */
	LINK_TIMEOUT, /* no answer in time: as LINK_LOST */
};

/* Called with the ticket out of the link's hands where LAST, and by fail. */
struct ticket_kind {
	void (*reply)(struct ticket *t, uint8_t flags, struct slice body, bool last);
	void (*fail)(struct ticket *t, enum link_failure why);
	/* Before the reply that has used up the room of its answer, of which LEFT KiB are left: the ticket rests, without a deadline,
	 * until link_more. NULL where no room was given. */
	void (*rest)(struct ticket *t, uint16_t left);
};

/* A question that waits for its answer; embedded in the asker's own structure. */
struct ticket {
	const struct ticket_kind *kind;
	struct link *link; /* NULL = with none */
	uint64_t id;
	uint64_t deadline; /* as link_now; 0 = the peer timeout from now */
	uint64_t position; /* in the link's output */
	bool special;      /* the deadline is the asker's own */
	bool rests;        /* there is none: the other side waits for ROOM */
	TAILQ_ENTRY(ticket) entry;
};

/* Expects the answer to the next frame. Returns the id that it must bear; 0 where too many wait already: T is
 * with no link then. */
uint64_t link_expect(struct link *l, struct ticket *t);

/* T, which rests, has room for ROOM KiB more, at least 1. False where the link takes no frame: T rests on. */
bool link_more(struct ticket *t, uint16_t room);

/* Nobody waits for it any more; fine where it is with no link. */
void link_forget(struct ticket *t);

/* ---------------------------------------------------------------- for the worker */

/* The topology of W has changed: links to those that are new, none to those that are gone, once these have answered what they were
 * asked. False where memory is out for some:
 * these are made at a later tick. */
bool links_update(struct worker *w);

/* A connection has come from the cluster's thread. START is freed. */
void link_adopt(struct worker *w, struct link_start *start);

/* Sends what was written in this turn. */
void links_flush(struct worker *w);

/* Time-outs, and whether those that have been silent are still there. */
void links_tick(struct worker *w);

/* When the worker ends and its connections are closed. */
void links_free(struct worker *w);

/* ---------------------------------------------------------------- for connections */

/* CONN_LINK. */
bool step_link(struct conn *c, struct slice *input);

/* The connection ends. */
void link_conn_closed(struct conn *c);

#endif
