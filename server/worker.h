/* server/worker.h: the threads that serve connections.
 *
 * Each worker has its own loop, connections, buffers and counters; a connection stays with its worker. The accepting
 * side gives new connections to a worker through a small ring under a lock, and wakes it by an eventfd.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "proto/classic.h"
#include "proto/command.h"
#include "server/cluster.h"
#include "server/conn.h"
#include "server/counters.h"
#include "server/io.h"
#include "server/listen.h"
#include "server/outq.h"
#include "server/pool.h"
#include "server/server.h"
#include "slab/store.h"

#define WORKER_RECEIVE ((size_t)64 << 10) /* bytes of a worker's receive buffer */
#define WORKER_BATCH   32u                /* commands, or keys of other nodes, done together */
#define WORKER_KEYS    64u                /* keys of a multi-get looked up together */
#define WORKER_RING    1024u              /* connections on their way to a worker */

/* A connection that was accepted, or a link to another node: then LINK is not NULL, and tells the rest. */
struct handoff {
	int fd;
	const struct listener *from;
	struct link_start *link;
};

struct worker {
	/* The worker's own. */
	struct server *server;
	struct store *store;
	struct cluster_worker *cluster; /* NULL: a node by itself */
	const struct io_driver *driver;
	void *loop;   /* the driver's */
	uint32_t now; /* the store's clock at the beginning of this turn */
	struct pool pool;
	struct outq_source source;
	char *receive; /* WORKER_RECEIVE bytes, for whoever receives now */
	bool awake;    /* within a turn: joined to the store, the clock read */
	bool
	    follows; /* within conn_input: the driver has more than these bytes of the connection */
	TAILQ_HEAD(conn_turns, conn) turns; /* connections with work left */

	/* One batch. */
	struct command commands[WORKER_BATCH];
	struct plain_set sets[WORKER_BATCH];
	struct store_key keys[WORKER_KEYS];
	size_t ends[WORKER_BATCH]; /* where in the input each command ends */

	/* Others read these. */
	_Alignas(64) struct counters counters;
	uint32_t id;
	pthread_t thread;
	bool started;

	/* Others write these. */
	_Alignas(64) uint32_t connections; /* atomic: those here and those on their way */
	bool stopping;                     /* atomic */
	bool draining;    /* atomic: with STOPPING: answer what has arrived first */
	bool watch_ready; /* atomic: there are lines for watchers here */
	int wake_fd;
	struct lock handoff_lock; /* guards the ring */
	uint32_t ring_head, ring_count;
	struct handoff ring[WORKER_RING];

	struct lock conns_lock; /* guards the list */
	TAILQ_HEAD(conn_list, conn) conns;
};

/* ---------------------------------------------------------------- for the owner of the process */

/* Starts N workers with DRIVER and fills in server->workers. Zero, or a negative errno with a sentence in *ERROR
 * (static storage) and nothing left behind. */
int workers_start(
    struct server *server, const struct io_driver *driver, uint32_t n, const char **error);

/* Gives a connection, accepted FROM a listener that outlives it, to the least loaded worker, which owns the descriptor
 * from then on. False where all rings are full: the caller keeps it. The accepting thread only. */
bool workers_give(struct server *server, int fd, const struct listener *from);

/* Gives a link to W, which owns the descriptor and START from then on. False where its ring is full. The cluster's thread. */
bool worker_give_link(struct worker *w, struct link_start *start);

/* Makes W begin a turn. Any thread. */
void worker_wake(struct worker *w);

/* How many connections of clients there are in all. Any thread. */
uint32_t workers_connections(const struct server *server);

/* Ends all workers and frees them. With DRAIN each connection first gets its answers to what has arrived. */
void workers_stop(struct server *server, bool drain);

/* ---------------------------------------------------------------- for tests and fuzzers: a worker without a thread */

/* All but the thread and the loop. */
struct worker *worker_new(struct server *server, uint32_t id);
void worker_free(struct worker **worker);

/* ---------------------------------------------------------------- for drivers */

/* Begins a turn: the clock is read, once. Called before anything else after each wait; harmless within a turn. */
static inline void
worker_turn_begin(struct worker *w)
{
	if (likely(w->awake))
		return;
	store_thread_resume();
	w->now = store_clock(w->store);
	w->awake = true;
	if (unlikely(w->cluster != NULL))
		cluster_turn(w);
}

/* All that was ready has been served: gives those with work left their turn. True where there is still work left: the
 * next wait must not block. */
bool worker_turn_end(struct worker *w);

/* Takes in what was handed over and clears w->wake_fd. */
void worker_adopt(struct worker *w);

/* Puts C in line for another turn; harmless where it is already. */
void worker_queue_turn(struct worker *w, struct conn *c);

/* Closes the connections that have been idle for too long. */
void worker_sweep(struct worker *w);

/* The end: answers what has arrived where that was asked for, and closes all connections. */
void worker_drop_all(struct worker *w);

/* ---------------------------------------------------------------- for connections */

/* -vv: whether what happens on connections is logged. */
bool worker_verbose(const struct worker *w);

/* A connection is counted from workers_give, which makes it one on its way, to worker_unlist. */
void worker_list(struct worker *w, struct conn *c);
void worker_unlist(struct worker *w, struct conn *c);

#endif
