/* cluster/ring.c: the ring itself: made once, then only read.
 *
 *	jump[point >> shift] ->  vnodes: point owner heir | point owner heir | ... | 2^32-1, owner and heir of the first
 *
 * The points are sorted. An entry of the jump table is the index of the first point that is not before the entry's own part of
 * the ring; there are at least as many parts as points, so the scan from there is short. It ends at the last vnode
 * at the latest, which is no point of the ring but the way around to the first. Beside each owner stands its heir, the
 * next node that is another: the first replica, and the owner once the owner has left.
 *
 * Where two nodes have the same point the one of the lower rank owns it, as its original would have it: in libmemcached
 * the first in the list, in spymemcached the last (its map is overwritten), in nutcracker, which sorts its servers
 * by name, the one with the shorter name or of two of one length the one that is first by bytes. The native kind does as
 * nutcracker, since then the order of the list does not matter. Both points stay, so that either node inherits when the other
 * leaves.
 */
#include "cluster/ring.h"

#include <assert.h>
#include <stdlib.h>

#include "base/assert.h"
#include "cluster/ring_impl.h"

struct vnode {
	uint32_t point;
	uint16_t owner, heir;
};

static_assert(sizeof(struct vnode) == 8, "eight of them a cache line");
static_assert(RING_NODES_MAX <= UINT16_MAX, "nodes are numbered by 16 bits");

struct ring {
	struct vnode *vnodes; /* SIZE, and the one that closes the ring */
	uint32_t *jump;
	unsigned shift;
	size_t size;
	size_t count;
	enum ring_kind kind;
	struct ring_node *nodes;
	char *names; /* all that NODES point to */
};

/* What is needed while a ring is made. */
struct build {
	const struct ring_options *options;
	const struct ring_node *nodes;
	size_t count;
	struct ring_hash *hash;
	char (*labels)[RING_LABEL_MAX];
	const char **sorted; /* labels in order */
	uint64_t *points;    /* point, rank and node, in one number each */
	uint32_t *own;       /* points of one node */
	size_t size;
};

static enum ring_status
options_check(const struct ring_options *options, const struct ring_node *nodes, size_t count)
{
	unsigned heaviest = options->kind == RING_NATIVE ? RING_WEIGHT_MAX : 1;

	ASSERT(options->kind < RING_KINDS);
	if (count == 0)
		return RING_NO_NODES;
	if (count > RING_NODES_MAX)
		return RING_MANY_NODES;
	if (options->points > (options->kind == RING_NATIVE ? RING_NODE_POINTS_MAX : 0))
		return RING_BAD_POINTS;
	for (size_t i = 0; i < count; i++) {
		if (nodes[i].weight < 1 || nodes[i].weight > heaviest)
			return RING_BAD_WEIGHT;
	}
	return RING_OK;
}

/* As nutcracker orders the servers of its configuration: the shorter first, then by bytes. */
static int
compare_labels(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	size_t nx = strlen(x), ny = strlen(y);

	return nx != ny ? (nx > ny) - (nx < ny) : memcmp(x, y, nx);
}

static enum ring_status
labels_make(struct build *b)
{
	for (size_t i = 0; i < b->count; i++) {
		if (!ring_label(b->options->kind, &b->nodes[i], b->labels[i]))
			return RING_BAD_NAME;
		b->sorted[i] = b->labels[i];
	}
	qsort(b->sorted, b->count, sizeof(b->sorted[0]), compare_labels);
	for (size_t i = 1; i < b->count; i++) {
		if (strcmp(b->sorted[i - 1], b->sorted[i]) == 0)
			return RING_DUPLICATE;
	}
	return RING_OK;
}

static size_t
node_rank(const struct build *b, size_t node)
{
	const char *label = b->labels[node], **place;

	switch (b->options->kind) {
	case RING_NATIVE:
	case RING_TWEMPROXY:
		place = bsearch(&label, b->sorted, b->count, sizeof(b->sorted[0]), compare_labels);
		ASSERT(place != NULL);
		return (size_t)(place - b->sorted);
	case RING_SPYMEMCACHED:
		return b->count - 1 - node;
	default:
		return node;
	}
}

static int
compare_points(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static enum ring_status
points_collect(struct build *b)
{
	size_t most = 0, at = 0;

	for (size_t i = 0; i < b->count; i++) {
		size_t n = ring_points_of(b->options, &b->nodes[i], b->count);

		most = n > most ? n : most;
		b->size += n;
	}
	if (b->size > RING_POINTS_MAX)
		return RING_MANY_POINTS;
	b->points = calloc(b->size, sizeof(b->points[0]));
	b->own = calloc(most, sizeof(b->own[0]));
	if (b->points == NULL || b->own == NULL)
		return RING_NO_MEMORY;
	for (size_t i = 0; i < b->count; i++) {
		size_t n = ring_points_of(b->options, &b->nodes[i], b->count);
		uint64_t low = (uint64_t)node_rank(b, i) << 16 | i;

		ring_points_make(b->hash, b->options->kind, b->labels[i], b->own, n);
		for (size_t j = 0; j < n; j++)
			b->points[at++] = (uint64_t)b->own[j] << 32 | low;
	}
	qsort(b->points, b->size, sizeof(b->points[0]), compare_points);
	return RING_OK;
}

/* From the end to the beginning, twice around the last points, whose heirs may stand at the beginning. */
static void
heirs_link(struct ring *r)
{
	struct vnode *next = &r->vnodes[0];

	next->heir = next->owner;
	for (size_t i = 2 * r->size; i-- > 0;) {
		struct vnode *v = &r->vnodes[i % r->size];

		v->heir = next->owner != v->owner ? next->owner : next->heir;
		next = v;
	}
}

static void
jump_fill(struct ring *r)
{
	size_t at = 0;

	for (uint64_t part = 0; part << r->shift < RING_SPACE; part++) {
		while (at < r->size && r->vnodes[at].point < part << r->shift)
			at++;
		r->jump[part] = (uint32_t)at;
	}
}

static enum ring_status
vnodes_make(struct ring *r, const struct build *b)
{
	unsigned bits = 1;

	while (UINT64_C(1) << bits < b->size)
		bits++;
	r->shift = 32 - bits;
	r->size = b->size;
	r->vnodes = calloc(r->size + 1, sizeof(r->vnodes[0]));
	r->jump = calloc((size_t)1 << bits, sizeof(r->jump[0]));
	if (r->vnodes == NULL || r->jump == NULL)
		return RING_NO_MEMORY;
	for (size_t i = 0; i < r->size; i++) {
		r->vnodes[i].point = (uint32_t)(b->points[i] >> 32);
		r->vnodes[i].owner = (uint16_t)b->points[i];
	}
	heirs_link(r);
	r->vnodes[r->size] = r->vnodes[0];
	r->vnodes[r->size].point = UINT32_MAX;
	jump_fill(r);
	return RING_OK;
}

static struct slice
name_keep(char **at, struct slice name)
{
	char *begin = *at;

	*at = slice_copy_short(begin, name);
	return slice_of(begin, name.len);
}

static enum ring_status
nodes_copy(struct ring *r, const struct build *b)
{
	size_t bytes = 1;
	char *at;

	for (size_t i = 0; i < b->count; i++)
		bytes += b->nodes[i].name.len + b->nodes[i].host.len;
	r->count = b->count;
	r->kind = b->options->kind;
	r->nodes = calloc(r->count, sizeof(r->nodes[0]));
	r->names = at = malloc(bytes);
	if (r->nodes == NULL || r->names == NULL)
		return RING_NO_MEMORY;
	for (size_t i = 0; i < r->count; i++) {
		r->nodes[i] = b->nodes[i];
		r->nodes[i].name = name_keep(&at, b->nodes[i].name);
		r->nodes[i].host = name_keep(&at, b->nodes[i].host);
	}
	return RING_OK;
}

static enum ring_status
build_begin(struct build *b)
{
	b->labels = calloc(b->count, sizeof(b->labels[0]));
	b->sorted = calloc(b->count, sizeof(b->sorted[0]));
	if (b->labels == NULL || b->sorted == NULL)
		return RING_NO_MEMORY;
	return ring_hash_new(&b->hash, b->options->kind);
}

static void
build_end(struct build *b)
{
	free(b->own);
	free(b->points);
	ring_hash_free(&b->hash);
	free(b->sorted);
	free(b->labels);
}

static enum ring_status
ring_build(struct ring *r, struct build *b)
{
	enum ring_status status = build_begin(b);

	if (status == RING_OK)
		status = labels_make(b);
	if (status == RING_OK)
		status = points_collect(b);
	if (status == RING_OK)
		status = vnodes_make(r, b);
	if (status == RING_OK)
		status = nodes_copy(r, b);
	build_end(b);
	return status;
}

enum ring_status
ring_new(struct ring **ring, const struct ring_options *options, const struct ring_node *nodes,
    size_t count)
{
	struct build b = {.options = options, .nodes = nodes, .count = count};
	enum ring_status status = options_check(options, nodes, count);

	*ring = NULL;
	if (status != RING_OK)
		return status;
	*ring = calloc(1, sizeof(**ring));
	if (*ring == NULL)
		return RING_NO_MEMORY;
	status = ring_build(*ring, &b);
	if (status != RING_OK)
		ring_free(ring);
	return status;
}

void
ring_free(struct ring **ring)
{
	struct ring *r = *ring;

	*ring = NULL;
	if (r == NULL)
		return;
	free(r->names);
	free(r->nodes);
	free(r->jump);
	free(r->vnodes);
	free(r);
}

enum ring_kind
ring_kind_of(const struct ring *ring)
{
	return ring->kind;
}

size_t
ring_count(const struct ring *ring)
{
	return ring->count;
}

const struct ring_node *
ring_node(const struct ring *ring, size_t index)
{
	ASSERT(index < ring->count);
	return &ring->nodes[index];
}

size_t
ring_size(const struct ring *ring)
{
	return ring->size;
}

uint64_t
ring_share(const struct ring *ring, size_t index)
{
	uint64_t share = 0;
	uint32_t before = ring->vnodes[ring->size - 1].point;

	ASSERT(index < ring->count);
	if (ring->count == 1)
		return RING_SPACE;
	for (size_t i = 0; i < ring->size; i++) {
		if (ring->vnodes[i].owner == index)
			share += (uint32_t)(ring->vnodes[i].point - before);
		before = ring->vnodes[i].point;
	}
	return share;
}

static ALWAYS_INLINE size_t
ring_find(const struct ring *ring, uint32_t point)
{
	size_t i = ring->jump[point >> ring->shift];

	while (ring->vnodes[i].point < point)
		i++;
	return i;
}

unsigned
ring_owner(const struct ring *ring, uint32_t point)
{
	return ring->vnodes[ring_find(ring, point)].owner;
}

static bool
holds_already(const uint16_t *holders, size_t n, uint16_t node)
{
	for (size_t i = 0; i < n; i++) {
		if (holders[i] == node)
			return true;
	}
	return false;
}

size_t
ring_holders(const struct ring *ring, uint32_t point, uint16_t *holders, size_t want)
{
	size_t i = ring_find(ring, point), n = 0;

	want = want < ring->count ? want : ring->count;
	if (want > 0)
		holders[n++] = ring->vnodes[i].owner;
	if (want > 1)
		holders[n++] = ring->vnodes[i].heir;
	/* Every node has a point, so this ends within one round. */
	while (n < want) {
		i = i + 1 < ring->size ? i + 1 : 0;
		if (!holds_already(holders, n, ring->vnodes[i].owner))
			holders[n++] = ring->vnodes[i].owner;
	}
	return n;
}
