/* server/cluster_thread.h: the cluster's thread: finds the other nodes and shakes hands; see cluster.h.
 *
 * One libevent loop. A connection to be made is a *dial* (one for each worker and node), a handshake under way, in either
 * direction, is a *session*; at most SESSIONS_MAX accepted ones at a time, of which the oldest has to go for a new one: who floods the
 * peer port keeps nobody out for long. What others ask of the thread comes through a queue under a lock.
 */
#ifndef SERVER_CLUSTER_THREAD_H
#define SERVER_CLUSTER_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct cluster;

/* Opens the peer port; NULL with a sentence in ERROR. From now on it can be asked. */
struct cluster_thread *cluster_thread_new(struct cluster *cl, char *error);

/* Starts the thread itself; false where it cannot be. */
bool cluster_thread_start(struct cluster_thread *t);

/* Ends the thread; what it is asked for after that is in vain. */
void cluster_thread_stop(struct cluster_thread *t);

/* When nobody can ask any more. */
void cluster_thread_free(struct cluster_thread **thread);

/* As cluster_dial, cluster_offer and cluster_wait. */
void cluster_thread_dial(struct cluster_thread *t, uint32_t worker, uint64_t node_id);
void cluster_thread_offer(struct cluster_thread *t, struct slice bytes);
bool cluster_thread_wait(struct cluster_thread *t, unsigned milliseconds);

#endif
