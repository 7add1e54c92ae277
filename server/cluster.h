/* server/cluster.h: this process as a member of a cluster: who it is, what it knows of the others, and the thread that finds
 * them.
 *
 * The topology (cluster/topology.h) is published by swapping a pointer; each worker takes it at the beginning of a turn, says so, and
 * the old one is freed when all have. (That a worker has passed a quiescent point of the store is not enough: it does so
 * within a turn as well, when the store waits for readers.) Topologies before are remembered until what this node may not have
 * any more is removed (cluster/past.h). One thread, the cluster's own, listens on the peer port, connects to the nodes that workers
 * have no link to, shakes hands on both sides, and hands what came out to the workers (server/link.h). It also
 * installs topologies, so there is one at a time.
 *
 *	link down -> cluster_dial -> connect, handshake -> link_start -> worker's ring -> link up
 *
 * Without --peers there is no struct cluster, and nothing here costs anything.
 */
#ifndef SERVER_CLUSTER_H
#define SERVER_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "base/lock.h"
#include "base/slice.h"
#include "cluster/topology.h"
#include "server/flush_plan.h"

struct cluster_thread;
struct forward_worker;
struct link_set;
struct listen;
struct past;
struct replicate;
struct replicate_worker;
struct server;
struct settings;
struct worker;

/* Not a member: the index of this node in a topology that does not name it. */
#define CLUSTER_NOBODY UINT16_MAX

struct cluster {
	struct server *server;
	const struct topology *topology; /* atomic; never NULL */
	struct past *past;               /* see cluster/past.h; NULL = nothing is stale */
	struct past *retired; /* what is over, until no worker looks at it; NULL = none */
	struct slice secret;
	uint64_t node_id;
	uint64_t incarnation; /* by chance, new at each start */
	struct cluster_thread *thread;
	struct replicate *replicate;
	struct flush_plan flush;
};

/* A worker's part; all the worker's own. */
struct cluster_worker {
	struct cluster *cluster;
	const struct topology *topology; /* of this turn */
	const struct topology *settled;  /* atomic: none but this one is looked at */
	const struct past
	    *past;     /* atomic: of this turn as well; NULL when the walk over the store is over */
	unsigned self; /* this node's index in it, or CLUSTER_NOBODY */
	uint64_t now;  /* see link_now; 0 = not read in this turn */
	uint64_t clock; /* when that was */
	uint64_t away;  /* milliseconds that do not count in it */
	bool tick;      /* atomic: 20 ms have passed */
	struct link_set *links;
	struct forward_worker *forward;
	struct replicate_worker *replicate;
	LIST_HEAD(, waiter) waiters; /* see server/replicate_wait.h */
};

/* Makes the cluster that the settings describe: reads the secret, makes the first topology, of epoch 1, and finds out which node
 * this is (LISTEN tells the server's own addresses). NULL with a sentence in ERROR (SETTINGS_ERROR_MAX bytes). */
struct cluster *cluster_new(
    const struct settings *settings, const struct listen *listen, char *error);
void cluster_free(struct cluster **cluster);

/* Belongs to SERVER, which has its store, from now on, and listens on the peer port. False with a sentence in ERROR. */
bool cluster_attach(struct cluster *cluster, struct server *server, char *error);

/* Begins to connect and to accept, when there are workers. False where the thread cannot be started. */
bool cluster_start(struct cluster *cluster);

/* Whether all other nodes have been spoken to once, within MILLISECONDS from now: then what they know of versions is
 * known here. */
bool cluster_wait(struct cluster *cluster, unsigned milliseconds);

/* This node begins at SECONDS of the calendar without what some others know of versions: it begins above what it has given before, in
 * this epoch and as far as the clock can tell. */
void cluster_begin_alone(struct cluster *cluster, uint64_t seconds);

/* Ends the thread, before the workers are stopped. */
void cluster_stop(struct cluster *cluster);

/* Wants a connection of WORKER to a node, which it says once it is without one, and from time to time again: it is in vain where
 * memory is out, or there is no thread to do it. Any thread. */
void cluster_dial(struct cluster *cluster, uint32_t worker, uint64_t node_id);

/* A topology as bytes, from a peer or an operator: it is looked at soon, and taken where its epoch is higher. Any
 * thread. */
void cluster_offer(struct cluster *cluster, struct slice bytes);

/* Publishes T, which is the cluster's from now on. False, with T freed, where its epoch is not higher, or it is another
 * cluster's. The cluster's thread only. */
bool cluster_install(struct cluster *cluster, struct topology *t);

/* Frees what the topology has replaced, as far as no worker looks at it any more. False while a worker has not taken it. The
 * cluster's thread only. */
bool cluster_reap(struct cluster *cluster);

/* ---------------------------------------------------------------- for the worker */

/* W's part, of server->cluster. False where memory is out. */
bool cluster_worker_init(struct worker *w);
void cluster_worker_fini(struct worker *w);

/* Only where w->cluster is not NULL: a turn begins, or goes on behind a quiescent point; and ends. */
void cluster_turn(struct worker *w);
void cluster_turn_end(struct worker *w);

/* Whether connections wait for other nodes, or these for W; or have not acknowledged all that it has changed. Always false without
 * a cluster. */
bool cluster_owes(struct worker *w);

#endif
