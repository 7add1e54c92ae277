/* server/conn.h: a connection: a state machine that is fed bytes and yields output, and does no I/O.
 *
 * A driver (libevent, io_uring, a test, a fuzzer) hands in the bytes that arrive, in one of two ways:
 *
 *	conn_input(c, bytes, n)   bytes lie in a buffer of the driver's own; worker.follows says whether it has more
 *	conn_room, conn_filled    the driver receives where the connection says
 *
 * then looks at what the connection wants (conn_want) and sends what lies in c->out (conn_sent in conn_io.h says so).
 * Commands are parsed right where the bytes arrived, mostly in the worker's one receive buffer; what is left over (half a command) is kept
 * in a buffer of the worker's pool and is given back when it is used up: an idle connection has no buffer. Buffers
 * grow only with bytes that arrived, never with what was announced.
 *
 *	conn_room:  nothing left over     receive buffer: [room                          ]
 *	            little left over      receive buffer: [rest, copied][room            ]
 *	            much left over        own buffer:     [rest        ][room] grows by doubling
 *
 * The work of one call is bounded: after settings.reqs_per_event batches, or when more than SERVER_OUTPUT_LIMIT
 * bytes wait to be sent, it stops in the middle of its input, which may be in the middle of a multi-get.
 * CONN_WANT_TURN then asks for conn_resume when others have had theirs.
 *
 * All calls are the owning worker's.
 */
#ifndef SERVER_CONN_H
#define SERVER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/command.h"
#include "server/outq.h"
#include "server/peer.h"

struct conn_report;
struct conn_stream;
struct forward;
struct link;
struct listener;
struct relay;
struct worker;

enum conn_want {
	CONN_WANT_INPUT = 1u,  /* more bytes would be read */
	CONN_WANT_OUTPUT = 2u, /* c->out has something to send */
	CONN_WANT_TURN = 4u,   /* there is work left: conn_resume */
	CONN_WANT_CLOSE =
	    8u, /* nothing more is to come: close it. With CONN_WANT_OUTPUT, after that is sent */
};

enum conn_state {
	CONN_COMMANDS, /* the next bytes are a command */
	CONN_KEYS, /* in the middle of a multi-get: KEYS says how much of the input still belongs to it */
	CONN_STREAM,  /* the next bytes are a long value */
	CONN_RELAY,   /* the same, and it belongs to another node */
	CONN_SWALLOW, /* the next bytes are a data block that was refused */
	CONN_REPORT,  /* a long answer is produced piece by piece; input waits */
	CONN_LINK,    /* of another node: the next bytes are a frame */
	CONN_CLOSING, /* what arrives is dropped */
};

/* Why it ended, for `watch connevents`. */
enum conn_reason { CONN_ERROR, CONN_NORMAL, CONN_IDLE, CONN_SHUTDOWN };

/* Bytes that arrived and are not done with: [at, len) of a pool buffer. */
struct conn_buffer {
	char *data;
	uint32_t at, len, capacity;
	/* So many must be there before parsing again is of use; 0 = until a line end comes. Atomic, as the state. */
	uint32_t need;
};

/* The multi-get that is under way. */
struct conn_keys {
	uint32_t left; /* bytes of input up to the end of the line */
	uint16_t tail; /* of which the line's end */
	uint8_t op;
	bool
	    failed; /* a part of it is an error, which was the last word: the rest is passed over */
};

struct conn {
	struct worker *worker;
	struct outq out;
	struct conn_buffer in;
	union {
		struct conn_keys keys;      /* CONN_KEYS */
		struct conn_stream *stream; /* CONN_STREAM */
		struct relay *relay;        /* CONN_RELAY */
		struct link *link;          /* CONN_LINK */
		uint64_t swallow;           /* CONN_SWALLOW: bytes to drop */
		struct conn_report *report; /* CONN_REPORT */
	};
	int32_t keys_exptime; /* CONN_KEYS: of gat, gats */
	uint32_t wrote;   /* links through which it has changed something, see server/written.h */
	bool waiting : 1; /* the input holds half a command: IN.NEED says for what it waits */
	bool authenticated : 1;
	bool kicked : 1;   /* closed for being idle */
	bool in_turns : 1; /* stands in the worker's list of those with work left */
	bool linked : 1;   /* of another node, see server/link.h; no client */
	bool eager : 1;    /* read whatever waits to be sent */
	bool paused : 1;   /* its report has nothing to say yet, and its input waits: not read */
	bool inner : 1;    /* of no client: executes what other nodes ask for (server/forward.h) */
	bool lost : 1;     /* so it has through links that are gone */
	bool told : 1;     /* that was said by a wait */
	bool foreign : 1; /* such a one was asked for a key of which this node is not the primary */
	uint8_t expects : 3;         /* how long answers of other nodes are, see forward_weight */
	enum conn_reason reason : 2; /* what made it CONN_CLOSING */
	uint8_t protocol;            /* enum protocol */
	uint8_t state; /* enum conn_state; atomic: others show it in `stats conns`, as the next */
	uint32_t last_active;        /* on the store's clock */
	int fd;                      /* -1 without one */
	struct peer peer;            /* who it is, as long as it is there to be asked */
	const struct listener *from; /* where it was accepted, or NULL */
	LIST_HEAD(conn_forwards, forward) forwards; /* what is asked of other nodes for it */
	TAILQ_ENTRY(conn) turn;                     /* in that list */
	TAILQ_ENTRY(conn) all; /* in the worker's list of all, under its lock */
};

/* The driver's part, behind the structure itself. */
static inline void *
conn_io(const struct conn *c)
{
	return (void *)(uintptr_t)(c + 1);
}

/* A connection of W with IO_SIZE zeroed bytes for the driver, in W's list. NULL where memory is out. The caller owns
 * the descriptor FD and closes it after conn_free. FROM is where it was accepted, NULL for a test's. */
struct conn *conn_new(struct worker *w, int fd, const struct listener *from, size_t io_size);
void conn_free(struct conn **conn);

/* A connection without a client and a descriptor, in no list and not counted, that speaks PROTOCOL and is allowed
 * everything. The caller feeds it with conn_input and takes its output. */
struct conn *conn_inner_new(struct worker *w, enum protocol protocol);

/* Of such a one: what it was in the middle of is dropped, so that its next bytes are a command. */
void conn_inner_reset(struct conn *c);

/* N bytes arrived, in a buffer of the caller's. */
void conn_input(struct conn *c, const char *bytes, size_t n);

/* Where to receive, and *SIZE how much, until the next call for this worker; NULL where memory is out: the
 * connection then wants to be closed. */
char *conn_room(struct conn *c, size_t *size);

/* N bytes arrived where the last conn_room said. */
void conn_filled(struct conn *c, size_t n);

/* Goes on with work left. */
void conn_resume(struct conn *c);

/* A report that waited has something to say: its connection gets a turn. */
void conn_poke(struct conn *c);

/* The peer will send nothing more. What it sent is still answered. */
void conn_end(struct conn *c);

/* Bits of enum conn_want. */
unsigned conn_want(const struct conn *c);

/* For `stats conns`. */
const char *conn_state_name(const struct conn *c);

/* ---------------------------------------------------------------- for executors */

/* Ends the connection after what is queued so far. */
void conn_close(struct conn *c, enum conn_reason reason);

/* Drops the next N bytes of the input, unless the connection ends anyway. Only from an executor, of the last command of its batch. */
void conn_swallow(struct conn *c, uint64_t n);

#endif
