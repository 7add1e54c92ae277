/* cluster/topology.h: which nodes there are, and who holds a key: what all nodes of a cluster agree on.
 *
 * A topology is made whole, never changes, and may be read by any number of threads; a change is another one with a higher
 * epoch. It knows no socket, no time, and not which of the nodes is asking.
 *
 * A key's holders are the first 1 + REPLICAS distinct nodes on the ring from the key's point on. Its primary is the first
 * of them that is eligible; so where a node is not, the next one, which has the data, is primary, and no point moves.
 *
 * As text (a list of nodes as operators write it, and what nodes send to each other):
 *
 *	list = node {"," node}
 *	node = [name "="] host ":" port ["/" peer-port] ["*" weight] ["#" id] ["~"]
 *	all  = "ringcache-topology 1 " epoch " " cluster " " ring " " points " " replicas " " list
 *
 * HOST is a name, an IPv4 address or an IPv6 address in brackets; the id is 16 hexadecimal digits; a tilde says that the node is
 * not eligible. Without a peer port it is PORT + TOPOLOGY_PEER_PORT, without an id the hash of the cluster's id and the node's
 * name.
 */
#ifndef CLUSTER_TOPOLOGY_H
#define CLUSTER_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cluster/ring.h"

#define TOPOLOGY_NODES_MAX    256u
#define TOPOLOGY_REPLICAS_MAX 8u
#define TOPOLOGY_CLUSTER_MAX  64u  /* bytes of a cluster's id */
#define TOPOLOGY_NAME_MAX     128u /* bytes of a node's name, and of its host */
#define TOPOLOGY_PEER_PORT    10000u
#define TOPOLOGY_EPOCH_MAX    ((UINT64_C(1) << 20) - 1)
/* Versions bear the epoch above so many bits (see STORE_ORDER_MAX): whoever is the primary in a later one is above all that was given
 * before. */
#define TOPOLOGY_EPOCH_SHIFT  40u
#define TOPOLOGY_TEXT_MAX     ((size_t)64 << 10)

enum topology_status {
#define TOPOLOGY_STATUS(symbol, text) TOPOLOGY_##symbol,
#include "cluster/tbl/topology_statuses.h"
#undef TOPOLOGY_STATUS
};

/* NAME is what the ring is made of and people call it; where it is empty, HOST and PORT are. */
struct topology_node {
	uint64_t id;
	struct slice name, host; /* the host of an IPv6 address has no brackets */
	uint16_t port, peer_port;
	unsigned weight;
	bool eligible;
};

struct topology_options {
	struct slice cluster;
	uint64_t epoch; /* 1 to TOPOLOGY_EPOCH_MAX */
	enum ring_kind kind;
	unsigned points;   /* of the ring; 0 = its default */
	unsigned replicas; /* copies beside the primary's */
};

struct topology;

/* What a status means, for people. */
const char *topology_status_text(enum topology_status status);

/* Makes *T of a list of nodes in the syntax above. Anything but TOPOLOGY_OK leaves NULL there. */
enum topology_status topology_parse(
    struct topology **t, const struct topology_options *options, struct slice list);

/* Makes *T of what topology_encode wrote, or anybody else: hostile bytes are refused. */
enum topology_status topology_decode(struct topology **t, struct slice bytes);

/* The whole of T as text, below TOPOLOGY_TEXT_MAX; valid as long as T. */
struct slice topology_encode(const struct topology *t);

/* Makes *T of what OF was made of, with another epoch. */
enum topology_status topology_renew(struct topology **t, const struct topology *of, uint64_t epoch);

void topology_free(struct topology **t);

/* What it was made of; valid as long as T. Nodes are in the list's order. */
const struct topology_options *topology_options(const struct topology *t);
static inline uint64_t
topology_epoch(const struct topology *t)
{
	return topology_options(t)->epoch;
}
size_t topology_count(const struct topology *t);
const struct topology_node *topology_node(const struct topology *t, unsigned index);
const struct ring *topology_ring(const struct topology *t);
enum ring_kind topology_kind(const struct topology *t);

/* The node's name, or "host:port" where it has none. */
struct slice topology_node_name(const struct topology *t, unsigned index);

/* Equal for topologies that place all keys alike: everything but the epoch. */
uint64_t topology_digest(const struct topology *t);

/* The first 16 bytes of the SHA-256 of the cluster's id. */
#define TOPOLOGY_CLUSTER_ID 16u
void topology_cluster_id(const struct topology *t, unsigned char id[TOPOLOGY_CLUSTER_ID]);

/* The node with this name ("name" or "host:port"), or this id; false where there is none. */
bool topology_find(const struct topology *t, struct slice name, unsigned *index);
bool topology_find_id(const struct topology *t, uint64_t id, unsigned *index);

/* Writes the holders of POINT, the primary first, at most WANT of them; returns how many, 0 where none is
 * eligible. WANT is at most TOPOLOGY_REPLICAS_MAX + 1. Holders that are not eligible follow the primary, too: they have copies. */
unsigned topology_holders(
    const struct topology *t, uint32_t point, uint16_t *holders, unsigned want);

#endif
