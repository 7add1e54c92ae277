/* server/cluster.h: this process as a member of a cluster: who it is, what it knows of the others, and the thread that finds
 * them.
 *
 * The topology (cluster/topology.h) is published by swapping a pointer; each worker takes it once a turn, and the old one is freed
 * when all have passed on. One thread, the cluster's own, listens on the peer port, connects to the nodes that workers
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

#include "base/assert.h"
#include "base/atomics.h"
#include "base/lock.h"
#include "base/slice.h"
#include "cluster/topology.h"

struct cluster_thread;
struct forward_worker;
struct link_set;
struct replicate;
struct replicate_worker;
struct server;
struct worker;

/* Not a member: the index of this node in a topology that does not name it. */
#define CLUSTER_NOBODY UINT16_MAX

struct cluster {
	struct server *server;
	const struct topology *topology; /* atomic; never NULL */
	struct slice secret;
	uint64_t node_id;
	uint64_t incarnation; /* by chance, new at each start */
	struct cluster_thread *thread;
	struct replicate *replicate;
};

/* A worker's part; all the worker's own. */
struct cluster_worker {
	struct cluster *cluster;
	const struct topology *topology; /* of this turn */
	unsigned self;                   /* this node's index in it, or CLUSTER_NOBODY */
	uint64_t now;                    /* see link_now; 0 = not read in this turn */
	uint64_t ticked;                 /* when cluster_tick was last run */
	bool tick;                       /* atomic: it is time for cluster_tick */
	struct link_set *links;
	struct forward_worker *forward;
	struct replicate_worker *replicate;
};

/* Makes the cluster that the server's settings describe: reads the secret, finds out which node this is. NULL with a
 * sentence in ERROR (SETTINGS_ERROR_MAX bytes). Before there are workers. */
struct cluster *cluster_new(struct server *server, char *error);

/* Begins to listen on the peer port and to connect; after workers_start. False with a sentence in ERROR. */
bool cluster_start(struct cluster *cluster, char *error);

/* Whether all other nodes have been spoken to once, within MILLISECONDS from now: then what they know of versions is
 * known here. */
bool cluster_wait(struct cluster *cluster, unsigned milliseconds);

/* Ends the thread, before the workers are stopped; and the rest, after. */
void cluster_stop(struct cluster *cluster);
void cluster_free(struct cluster **cluster);

/* Wants a connection of WORKER to a node, which it says once it is without one. Any thread. */
void cluster_dial(struct cluster *cluster, uint32_t worker, uint64_t node_id);

/* A topology as bytes, from a peer or an operator: it is looked at soon, and taken where its epoch is higher. Any
 * thread. */
void cluster_offer(struct cluster *cluster, struct slice bytes);

/* ---------------------------------------------------------------- for the worker; harmless without a cluster */

/* W's part, of server->cluster. False where memory is out. */
bool cluster_worker_init(struct worker *w);
void cluster_worker_fini(struct worker *w);

/* See worker_turn_begin, worker_turn_end. */
void cluster_turn_begin(struct worker *w);
void cluster_turn_end(struct worker *w);

/* The worker was woken. */
void cluster_woken(struct worker *w);

#endif
