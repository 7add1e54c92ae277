/* cluster/ring.h: who holds a key: consistent hashing on a ring of 2^32 points (ketama).
 *
 * Each node stands at many points of the ring; a key has one. Its owner is the node of the first point at or after the
 * key's, wrapping; its replicas are the next distinct nodes from there on. So when a node leaves, its keys' new owner is
 * their former first replica and nothing else moves, as long as the other nodes' points stay the same: that is so in the
 * kinds native, ketama100 and spymemcached, but in libmemcached and twemproxy only between numbers of nodes for
 * which the original yields equally many points a node (see ring_size).
 *
 * A ring is made from a list of nodes, never changes, and may be read by any number of threads. It knows no time, no
 * socket and no other ring. Nodes are named by their index in that list. What a kind must replay of its original
 * stands in cluster/ring_points.c.
 *
 * Limits: 1 to RING_NODES_MAX nodes, RING_POINTS_MAX points. Memory: 8 bytes a point, 4 bytes for each of the
 * jump table's 2^k entries (the least 2^k that is not below the number of points), 40 bytes and its two names a node:
 * 10 nodes of the native kind 21 KB, 100 nodes 190 KB, the largest ring 12 MB. Making one costs about 200 ns a point.
 */
#ifndef CLUSTER_RING_H
#define CLUSTER_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define RING_NODES_MAX       1024u
#define RING_POINTS_MAX      (1u << 20)
#define RING_NODE_POINTS_MAX 1000u /* of the option */
#define RING_WEIGHT_MAX      100u
#define RING_NAME_MAX        255u /* bytes of a ring name or a host */
#define RING_SPACE           (UINT64_C(1) << 32)

enum ring_kind {
#define RING_KIND(symbol, name, points, text) RING_##symbol,
#include "cluster/tbl/ring_kinds.h"
#undef RING_KIND
	RING_KINDS
};

enum ring_status {
#define RING_STATUS(symbol, text) RING_##symbol,
#include "cluster/tbl/ring_statuses.h"
#undef RING_STATUS
};

/* A node as its clients and its ring see it. NAME is what clients type for it, without the port; where it is empty, HOST is.
 * What the points are made of ("-<i>" follows):
 *
 *	native          NAME; without one HOST:PORT
 *	libmemcached    NAME:PORT, NAME alone where the port is 11211
 *	ketama100       the same
 *	spymemcached    NAME/HOST:PORT, HOST:PORT where NAME is HOST or empty. That is how Java prints a resolved name; a NAME
 *	                with a slash is what it prints, whole but for :PORT ("cache1/10.0.0.1", "/[0:0:0:0:0:0:0:1]"), and
 *	                a slash at its beginning is left out, as the client does
 *	twemproxy       NAME, as written behind host:port:weight; without one HOST:PORT, HOST alone where the port is 11211;
 *	                82 bytes at most, a longer one breaks nutcracker itself
 */
struct ring_node {
	struct slice name, host;
	uint16_t port;
	unsigned weight; /* 1 to RING_WEIGHT_MAX; 1 in all kinds but native */
};

struct ring_options {
	enum ring_kind kind;
	unsigned points; /* of a node of weight 1, in the kind native; 0: its default */
};

struct ring;
struct ring_hash;

/* The name of a kind, as settings have it, and a line about it. */
const char *ring_kind_name(enum ring_kind kind);
const char *ring_kind_text(enum ring_kind kind);

/* Finds the kind called NAME; false where there is none. */
bool ring_kind_find(struct slice name, enum ring_kind *kind);

/* What a status means, for people. */
const char *ring_status_text(enum ring_status status);

/* Makes *RING of NODES[0] to NODES[COUNT - 1], which are copied. Anything but RING_OK leaves NULL there. */
enum ring_status ring_new(struct ring **ring, const struct ring_options *options,
    const struct ring_node *nodes, size_t count);

void ring_free(struct ring **ring);

/* What it was made of; valid as long as the ring. */
enum ring_kind ring_kind_of(const struct ring *ring);
size_t ring_count(const struct ring *ring);
const struct ring_node *ring_node(const struct ring *ring, size_t index);

/* The number of points on the ring. Where two rings of the kinds libmemcached or twemproxy have not the same number a node
 * (156 in place of 160 at 25, 47, 50, 55, 61, 71, 94 and 100 nodes, and at others above), more moves between them than the
 * share of the node that came or went. */
size_t ring_size(const struct ring *ring);

/* How much of RING_SPACE the node owns; those of all nodes add up to it. Walks the ring. */
uint64_t ring_share(const struct ring *ring, size_t index);

/* The owner of POINT: some ns. */
unsigned ring_owner(const struct ring *ring, uint32_t point);

/* Writes the owner of POINT and its replicas, in order, to HOLDERS, WANT nodes or as many as there are, and returns how many
 * these are. Two cost what one costs; further ones cost a walk over the next points. */
size_t ring_holders(const struct ring *ring, uint32_t point, uint16_t *holders, size_t want);

/* What turns keys into points of rings of one kind: a context of the digest, for one thread at a time. It depends on no ring,
 * so a thread keeps one for as long as it likes. Anything but RING_OK leaves NULL in *HASH. */
enum ring_status ring_hash_new(struct ring_hash **hash, enum ring_kind kind);

void ring_hash_free(struct ring_hash **hash);

/* The point of KEY: about 130 ns where the kind hashes keys by MD5, all of it OpenSSL's. */
uint32_t ring_hash_key(struct ring_hash *hash, struct slice key);

#endif
