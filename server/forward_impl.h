/* server/forward_impl.h: between the files of forwarding.
 *
 * A request lies in one buffer of the worker's pool, with what is needed to send it again:
 *
 *	[struct forward][struct forward_key x COUNT][body of the frame, SIZE bytes]
 *
 * It stands in its connection's list from its making to its end, and is in one of two states: asked (its ticket is with the
 * link) or parked (in the worker's list of those that are tried again at the next tick; the weight of its holes then keeps the
 * connection from reading more, so that no later command overtakes it).
 */
#ifndef SERVER_FORWARD_IMPL_H
#define SERVER_FORWARD_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/slice.h"
#include "cluster/topology.h"
#include "server/conn.h"
#include "server/forward.h"
#include "server/link.h"
#include "server/route.h"
#include "server/server.h"
#include "server/worker.h"

/* What a reply is expected to bring, at the least: no connection has more than 256 of them open. */
#define FORWARD_WEIGHT (SERVER_OUTPUT_LIMIT / 256)

/* A hole that must keep its connection from being read. */
#define FORWARD_BLOCKS (SERVER_OUTPUT_LIMIT + 1)

/* A reply longer than this is passed on before it is whole: if it breaks off then, the connection ends. */
#define FORWARD_HELD ((size_t)4 << 20)

struct flush_due;
struct forward_name;
struct ring_hash;

enum forward_kind { FORWARD_COMMAND, FORWARD_KEYS, FORWARD_RELAY, FORWARD_FLUSH };

/* Why a request has no answer. */
enum forward_error {
#define FORWARD_ERROR(symbol, text) FORWARD_##symbol,
#include "server/tbl/forward_errors.h"
#undef FORWARD_ERROR
};

struct forward_key {
	struct segment *hole; /* keys in a row may share one */
	uint32_t size;        /* bytes of its reply */
	uint16_t at;          /* where it lies in the body */
	uint16_t len;
};

struct forward {
	struct ticket ticket;
	struct conn *conn;
	LIST_ENTRY(forward) entry;   /* in conn->forwards */
	TAILQ_ENTRY(forward) parked; /* in the worker's list */
	TAILQ_ENTRY(forward) young;  /* in its list of those that nobody has lost patience with */
	struct segment *hole;        /* of all but KEYS */
	uint64_t deadline;           /* ms, as link_now; 0 = it was not asked yet */
	size_t capacity;             /* of this buffer */
	char *body;
	struct relay *relay; /* RELAY: the value, as long as it is kept, or NULL */
	uint32_t size;
	uint16_t request; /* where in the body the command begins; KEYS have none */
	uint16_t count;
	uint16_t index; /* KEYS: which of them is being answered */
	uint32_t given; /* and how much of it was */
	uint16_t node;  /* its index in the topology of the turn in which it was asked */
	const struct forward_name *name; /* of that node */
	uint32_t born;                   /* in which tick of the worker */
	uint32_t round;    /* of the worker's walks over what is parked: the last that saw it */
	uint8_t kind;      /* enum forward_kind */
	uint8_t flags;     /* of its frame */
	uint8_t error;     /* enum forward_error: what it ends with unless it is answered in time */
	uint32_t bit;      /* of the link that it was asked on, see server/written.h */
	uint32_t promised; /* bytes that will come, and be held until all are there */
	uint16_t left;     /* KiB of the answer that wait at the other node; 0 = none do */
	bool asked;        /* its ticket is with a link */
	bool is_parked;
	bool is_young;
	bool repeatable; /* it may be executed twice */
	bool reads;      /* it changes nothing */
	bool binary;
	bool silent;  /* an error is not told */
	bool ends;    /* KEYS: each is a command of its own */
	bool sized;   /* KEYS: the sizes have come */
	bool partial; /* a part of the reply may be with the client */
	struct forward_key keys[];
};

TAILQ_HEAD(forward_list, forward);
TAILQ_HEAD(rest_list, rest);

/* The worker's part. */
struct forward_worker {
	struct route_cache *routes;
	struct ring_hash *hash;
	struct forward_list parked, young;
	struct rest_list rests; /* of answers to others that are too long for their links */
	size_t waiting;         /* memory of those that wait for room */
	uint32_t ticks;
	SLIST_HEAD(, forward_name) names;
	const struct forward_name *named[TOPOLOGY_NODES_MAX]; /* by node; see forward_names.c */
	TAILQ_HEAD(, relay) stalled; /* those that wait for their link to be less full */
	struct conn *inner[2]; /* text, binary: execute what has become ours while it was parked */
	size_t promised;       /* the sum of what its requests are */
	uint32_t shorter;      /* answers so far that were shorter than expected */
	uint64_t streams;      /* numbers given to long values */
	size_t kept;           /* memory of those that can be sent again */
	uint32_t round;
	struct flush_due *due; /* a flush that is due and under way, or NULL */
	bool doomed;           /* of the parked there are some whose end is at hand */
	uint64_t down
	    [TOPOLOGY_NODES_MAX]; /* by node: since when it cannot be reached, in ms; 0 = it can */
};

/* ---------------------------------------------------------------- forward.c */

/* A request of C, in its list, with room for COUNT keys and a body of SIZE bytes. NULL where memory is out: the
 * connection is broken then. */
struct forward *forward_new(struct conn *c, enum forward_kind kind, uint16_t count, size_t size);

/* Takes F out of all lists, forgets its ticket and frees it; its connection gets a turn. */
void forward_end(struct forward *f);

/* Sends F to its node, or parks it, or ends it with an error. */
void forward_ask(struct forward *f);

/* Whether NODE, to which there is no link now, has been without one for longer than the peer timeout. */
bool forward_given_up(struct worker *w, unsigned node);

/* Ends F at the end of this turn, when its connection is not in the middle of something. */
void forward_doom(struct forward *f, enum forward_error error);

/* Ends F: the client gets an error in place of all that is open of the answer. */
void forward_fail(struct forward *f, enum forward_error error);

/* F, which is with no link and not parked, is tried again now, at whoever owns its key. */
void forward_again(struct forward *f);

/* F is tried again at the next tick, and ends with ERROR if that comes to nothing in time. */
void forward_park(struct forward *f, enum forward_error error);

/* Fills HOLE of F with BYTES; passes on what is too much to be held. Returns the hole to go on with, or NULL where memory was
 * out. */
struct segment *forward_fill(struct forward *f, struct segment *hole, struct slice bytes);

/* Fills HOLE of F with all that V has to say, V as new after that. NULL as above. */
struct segment *forward_fill_from(struct forward *f, struct segment *hole, struct conn *v);

/* The inner connection of W for a protocol. NULL where memory is out. */
struct conn *forward_inner(struct worker *w, bool binary);

/* The connection cannot get an answer that makes sense any more: it ends. F, and all that it has asked for, is gone. */
void forward_break(struct conn *c);

/* The hole that F fills next. */
struct segment *forward_hole(const struct forward *f);

/* NEXT has taken the place of HOLE, which was filled by F. */
void forward_hole_moved(struct forward *f, const struct segment *hole, struct segment *next);

/* Flags of COMMAND and STREAM_BEGIN frames, and of STREAM_END. */
enum { FORWARD_FLAG_BINARY = 1, FORWARD_FLAG_ABORT = 2 };

/* A flag of REPLY frames, beside those of cluster/frame.h: it has not been executed, for want of memory. */
enum { FORWARD_REFUSES = 4 };

/* ---------------------------------------------------------------- forward_room.c */

/* The weight of a new hole of C. */
size_t forward_weight(const struct conn *c);

/* An answer of N bytes has come to C. */
void forward_note(struct conn *c, size_t n);

/* The room of F's frame. */
uint16_t forward_room(const struct forward *f);

/* N bytes of F's answer have come. */
void forward_came(struct forward *f, size_t n);

/* F's answer has used up its room, and F->LEFT KiB of it are left. */
void forward_starve(struct forward *f);

/* Nothing more comes of what F was asked for. */
void forward_unrest(struct forward *f);

/* ---------------------------------------------------------------- forward_names.c */

/* The topology of W is another one, or the first. */
void forward_names_take(struct worker *w);
void forward_names_free(struct forward_worker *fw);

/* The name of the node with that index in the topology of this turn, as long as W lives; NULL where there is none. */
const struct forward_name *forward_name_of(struct worker *w, unsigned node);
struct slice forward_name_text(const struct forward_name *name);

/* F goes to NODE, which may be one that there is not. */
static inline void
forward_to(struct forward *f, unsigned node)
{
	f->node = (uint16_t)node;
	f->name = forward_name_of(f->conn->worker, node);
}

/* ---------------------------------------------------------------- forward_relay.c */

/* Gives those a turn whose links have room again. */
void relay_unstall(struct worker *w);

/* Sees to it that the stream of F has gone through L but for its end: sends it, unless it has. False where it cannot be. */
bool relay_sent(struct forward *f, struct link *l);

/* Whether F, of whatever kind, can be sent once more. */
bool relay_is_kept(const struct forward *f);

/* Executes the command of F on V, which is as new. */
void relay_execute(const struct forward *f, struct conn *v);

/* F ends. */
void relay_end(struct forward *f);

/* ---------------------------------------------------------------- forward_keys.c */

/* A reply frame for F. */
void keys_reply(struct forward *f, struct slice body, bool last);

/* F is parked and its keys may have other owners now: makes a request of each. */
void keys_again(struct forward *f);

/* ---------------------------------------------------------------- forward_answer.c */

/* Sends more of long answers, where links have room. */
void answer_rests(struct worker *w);

/* The body of a KEYS frame. */
struct keys_body {
	enum opcode op;
	bool ends;
	bool drops; /* the keys are to be forgotten, nothing is answered */
	uint16_t count;
	int32_t exptime;
	struct slice rest; /* COUNT times: length (1 byte), key */
};

#define KEYS_HEAD 8u

/* Writes the head; returns its end. */
char *keys_body_write(char *p, const struct keys_body *keys);

/* False where BYTES are no such body. */
bool keys_body_read(struct slice bytes, struct keys_body *keys);

/* The next key; there is one. */
struct slice keys_body_next(struct keys_body *keys);

/* Executes a KEYS body on V; the bytes of each answer go to SIZES. False where a key is not ours: nothing is done then. */
bool keys_execute_here(struct conn *v, struct keys_body *keys, uint32_t *sizes);

/* ---------------------------------------------------------------- forward_flush.c */

/* F, a flush, is the only request of its connection that is open, or was parked: it begins, unless it has begun. */
void flush_poke(struct forward *f);
void flush_free(struct forward *f);

/* Each 20 ms: does what is due; and gives up what is under way of it. */
void flush_tick(struct worker *w);
void flush_due_free(struct worker *w);

#endif
