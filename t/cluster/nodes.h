/* t/cluster/nodes.h: nodes, rings and keys for tests. */
#ifndef T_CLUSTER_NODES_H
#define T_CLUSTER_NODES_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cluster/ring.h"
#include "t/lib/random.h"

#define NAME_ROOM 64

/* COUNT nodes of weight 1 whose names and hosts are in TEXT. */
struct node_list {
	struct ring_node nodes[RING_NODES_MAX];
	char text[RING_NODES_MAX][NAME_ROOM];
	size_t count;
};

/* Adds a node that its address is the only name of. */
static inline void
nodes_add(struct node_list *l, const char *host, uint16_t port)
{
	struct ring_node *n = &l->nodes[l->count];
	int len = snprintf(l->text[l->count], NAME_ROOM, "%s", host);

	ASSERT(l->count < RING_NODES_MAX && len > 0 && len < NAME_ROOM);
	*n = (struct ring_node){
	    .name = slice_of(l->text[l->count], (size_t)len), .port = port, .weight = 1};
	n->host = n->name;
	l->count++;
}

/* Adds 10.0.0.1 and so on. */
static inline void
nodes_add_many(struct node_list *l, size_t count, uint16_t port)
{
	char host[NAME_ROOM];

	for (size_t i = 0; i < count; i++) {
		(void)snprintf(
		    host, sizeof(host), "10.0.%zu.%zu", l->count / 250, l->count % 250 + 1);
		nodes_add(l, host, port);
	}
}

/* A ring that there must be. */
static inline struct ring *
ring_of(enum ring_kind kind, const struct ring_node *nodes, size_t count)
{
	const struct ring_options options = {.kind = kind};
	struct ring *ring;
	enum ring_status status = ring_new(&ring, &options, nodes, count);

	if (status != RING_OK)
		panic("%s ring of %zu nodes: %s", ring_kind_name(kind), count,
		    ring_status_text(status));
	return ring;
}

static inline struct ring_hash *
hash_of(enum ring_kind kind)
{
	struct ring_hash *hash;
	enum ring_status status = ring_hash_new(&hash, kind);

	if (status != RING_OK)
		panic("%s", ring_status_text(status));
	return hash;
}

struct random_key {
	char bytes[250];
	size_t len;
};

/* A key as clients have them; one in eight holds any bytes. */
static inline struct slice
key_random(struct random_key *k, struct random_state *r)
{
	uint64_t n = random_next(r);
	bool any = n % 8 == 0;

	k->len = 1 + n / 8 % (n / 512 % 16 == 0 ? 250 : 40);
	for (size_t i = 0; i < k->len; i++) {
		uint64_t c = random_next(r);

		k->bytes[i] = any ? (char)(1 + c % 255) : (char)('!' + c % 94);
	}
	return slice_of(k->bytes, k->len);
}

#endif
