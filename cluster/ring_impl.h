/* cluster/ring_impl.h: what the parts of the ring share among each other. */
#ifndef CLUSTER_RING_IMPL_H
#define CLUSTER_RING_IMPL_H

#include "cluster/ring.h"

/* Room for what a node's points are made of: two names, a slash, a port and the terminator. */
#define RING_LABEL_MAX (2 * RING_NAME_MAX + sizeof("/:65535"))

/* The points in a node's digest. */
#define RING_DIGEST_POINTS 4u

/* MD5 (RFC 1321) of TEXT as four little-endian numbers. HASH must be of a kind that uses MD5: any but ketama100. */
void ring_hash_md5(struct ring_hash *hash, struct slice text, uint32_t words[RING_DIGEST_POINTS]);

/* Bob Jenkins' one-at-a-time hash (Dr. Dobb's Journal, September 1997), as libhashkit has it: bytes of 128 and more count as
 * negative numbers, which they are where char is signed. */
uint32_t ring_hash_one_at_a_time(struct slice text);

/* The low half of FNV-1a with 64 bits (draft-eastlake-fnv), as nutcracker has it: bytes of 128 and more count as negative
 * numbers, which they are where char is signed. */
uint32_t ring_hash_fnv1a_64(struct slice text);

/* Writes what the points of NODE are made of to LABEL, terminated. False where the node's names are not allowed. */
bool ring_label(enum ring_kind kind, const struct ring_node *node, char label[RING_LABEL_MAX]);

/* How many points NODE has in a ring of COUNT nodes. */
size_t ring_points_of(
    const struct ring_options *options, const struct ring_node *node, size_t count);

/* Writes the N points of the node with this label to POINTS. */
void ring_points_make(
    struct ring_hash *hash, enum ring_kind kind, const char *label, uint32_t *points, size_t n);

#endif
