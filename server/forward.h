/* server/forward.h: commands for keys of other nodes: asked there, answered here, in order.
 *
 *	client -> connection -> route: not mine -> frame on this worker's link to the owner
 *	             |                               |
 *	           a hole in its output              inner connection of the incoming link: executes the bytes
 *	             |                               |
 *	client <- filled <---------------------- reply frame
 *
 * What is sent are the client's own bytes, executed at the owner by the same machine on an inner connection, so that
 * every command of every protocol is answered byte for byte as by one node. Keys of gets go together in one frame, and their
 * values come back in one: see forward_keys.c. A value that is too long to be gathered passes piece by piece: see
 * forward_relay.c. Nothing that was forwarded is forwarded again: a node that is asked for a key of which it is not the primary
 * says so, and the asker, which has kept the request, asks again after the nodes have exchanged their topologies.
 *
 * Reads are asked again where a link breaks; what may have changed something is never sent twice. All of it ends within the
 * peer timeout: then the client gets an error in place of the answer. All calls are the owning worker's, and only where it has a
 * cluster (w->cluster is not NULL).
 */
#ifndef SERVER_FORWARD_H
#define SERVER_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "proto/command.h"
#include "server/conn.h"
#include "slab/store.h"

struct frame;
struct link;
struct worker;

/* ---------------------------------------------------------------- for the worker */

/* Makes what a worker needs, w->cluster->forward; false where memory is out. */
bool forward_init(struct worker *w);
void forward_fini(struct worker *w);

/* The worker has taken a new topology. */
void forward_turn_begin(struct worker *w);

/* Before the links are flushed. */
void forward_turn_end(struct worker *w);

/* Each 20 ms: asks again what is to be asked again, and sends what has waited for long enough for answers behind it. */
void forward_tick(struct worker *w);

/* ---------------------------------------------------------------- for connections: asking */

/* How the keys of a get are asked for. */
struct forward_get {
	enum opcode op; /* GET, GETS, GAT, GATS */
	int32_t exptime;
	bool ends;  /* each is a command of its own, answered with its END */
	bool quick; /* as exec_runs says */
};

/* Answers up to N (at least 1) keys of gets, here or elsewhere; returns how many, which is fewer where the output became
 * full. */
unsigned forward_gets(
    struct conn *c, const struct store_key *keys, unsigned n, const struct forward_get *how);

/* Whether CMD changes nothing, so that a copy can answer it. */
bool forward_only_reads(const struct command *cmd);

/* Has NODE execute CMD, whole, whose bytes are BYTES. */
void forward_command(struct conn *c, const struct command *cmd, unsigned node, struct slice bytes);

/* The same for a command that was not parsed: KEY is its key as the ring knows it. */
struct forward_how {
	bool reads;  /* it changes nothing */
	bool silent; /* nothing is answered, no error either */
};

void forward_request(struct conn *c, struct slice key, unsigned node, struct slice bytes,
    const struct forward_how *how);

/* Has NODE forget KEY: a new value for it was refused here. */
void forward_drop(struct conn *c, const struct store_key *key, unsigned node);

/* A storage command with a long value, whose HEAD are these bytes. False where it is to be executed here. */
bool relay_begin(struct conn *c, const struct command *cmd, struct slice head);

/* Ends it, when the connection ends. */
void relay_free(struct conn *c);

/* CONN_RELAY. */
bool step_relay(struct conn *c, struct slice *input);

/* flush_all for the whole cluster, after all that this connection has asked for before; answers. CMD is its last command before the
 * answer is there. */
void forward_flush(struct conn *c, const struct command *cmd, int64_t delay);

/* C is new. */
void forward_expect(struct conn *c);

/* Whether an answer to C waits at another node, and there is room for it here. */
bool forward_is_hungry(const struct conn *c);

/* Has it sent. */
void forward_feed(struct conn *c);

/* C ends: nobody waits for its answers any more. */
void forward_forget(struct conn *c);

/* ---------------------------------------------------------------- for links: answering */

/* Frames that ask. False where they break the protocol: the link ends. */
bool forward_on_command(struct link *l, const struct frame *frame);
bool forward_on_keys(struct link *l, const struct frame *frame);
bool forward_on_room(struct link *l, const struct frame *frame);
bool forward_on_stream(struct link *l, const struct frame *frame);
bool forward_on_flush(struct link *l, const struct frame *frame);

/* A link is up: the other side is told of the last flush. One that happened after the HELLO, and before this, was not told. */
void forward_link_up(struct link *l);

/* The link ends: what it had under way is dropped. */
void forward_link_closed(struct link *l);

#endif
