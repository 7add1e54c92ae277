/* server/cluster_known.h: between the files of the cluster's thread: what came of the handshakes with others, and what the log has
 * said of it. Each change is logged once, on both sides, and not once a try.
 */
#ifndef SERVER_CLUSTER_KNOWN_H
#define SERVER_CLUSTER_KNOWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct cluster;
struct session;

/* Refused connections of unknown senders that are remembered. */
#define KNOWN_STRANGERS 16u

/* What was last heard of a node. */
struct acquaintance {
	uint64_t node_id;
	bool met;
	uint8_t refusal; /* as logged last; REFUSALS = that it cannot be reached */
	TAILQ_ENTRY(acquaintance) entry;
};

/* Whose connections were refused. */
struct stranger {
	char host[48];
	uint8_t refusal;
	uint64_t logged; /* ms; 0 = nobody */
};

struct known {
	const struct cluster *cluster;
	uint64_t epoch; /* the highest of a list of nodes that others have */
	TAILQ_HEAD(, acquaintance) nodes;
	struct stranger strangers[KNOWN_STRANGERS];
};

void known_init(struct known *k, const struct cluster *cluster);
void known_fini(struct known *k);

/* A handshake with a node has ended: REFUSAL_NONE, a refusal that S tells more about, or REFUSALS where it cannot be
 * reached (S may be NULL). */
void known_outcome(struct known *k, uint64_t node_id, const struct session *s, unsigned refusal);

/* Somebody who did not say a name was refused. */
void known_stranger(struct known *k, const struct session *s);

/* Whether the last handshake with it failed. */
bool known_in_trouble(const struct known *k, uint64_t node_id);

/* Another node has a list of EPOCH. */
void known_epoch(struct known *k, uint64_t epoch);

/* Whether there was a good one with all nodes of the topology, and none of them has a later one. */
bool known_all(const struct known *k);

/* Milliseconds, monotonic. */
uint64_t known_now(void);

#endif
