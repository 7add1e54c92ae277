/* t/cluster/test_ring.c: the ring against its definition, against what was published or recorded of other programs, and
 * at its edges.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>

#include "cluster/ring_impl.h"
#include "t/cluster/nodes.h"
#include "t/lib/unit.h"

/* ---------------------------------------------------------------- hashes */

/* RFC 1321, appendix A.5, as little-endian numbers. */
static void
md5_as_published(void **state)
{
	struct ring_hash *hash = hash_of(RING_NATIVE);
	uint32_t words[RING_DIGEST_POINTS];

	(void)state;
	ring_hash_md5(hash, SLICE_LITERAL(""), words);
	assert_true(words[0] == 0xd98c1dd4 && words[1] == 0x04b2008f && words[2] == 0x980980e9 &&
	    words[3] == 0x7e42f8ec);
	ring_hash_md5(hash, SLICE_LITERAL("message digest"), words);
	assert_true(words[0] == 0x7d696bf9 && words[1] == 0x8d93b77c && words[2] == 0x312f5a52 &&
	    words[3] == 0xd061f1aa);
	assert_int_equal(ring_hash_key(hash, SLICE_LITERAL("abc")), 0x98500190);
	assert_int_equal(ring_hash_key(hash, SLICE_LITERAL("abc")), 0x98500190);
	ring_hash_free(&hash);
	assert_null(hash);
	ring_hash_free(&hash);
}

/* FNV: the low halves of the test vectors of its authors; one-at-a-time: those of Wikipedia. */
static void
other_hashes_as_published(void **state)
{
	(void)state;
	assert_int_equal(ring_hash_fnv1a_64(SLICE_LITERAL("")), 0x84222325);
	assert_int_equal(ring_hash_fnv1a_64(SLICE_LITERAL("a")), 0x8601ec8c);
	assert_int_equal(ring_hash_fnv1a_64(SLICE_LITERAL("foobar")), 0xf73967e8);
	assert_int_equal(ring_hash_one_at_a_time(SLICE_LITERAL("a")), 0xca2e9442);
	assert_int_equal(
	    ring_hash_one_at_a_time(SLICE_LITERAL("The quick brown fox jumps over the lazy dog")),
	    0x519e91f5);
}

/* ---------------------------------------------------------------- labels */

static void
expect_label(
    enum ring_kind kind, const char *name, const char *host, uint16_t port, const char *want)
{
	const struct ring_node node = {
	    .name = slice_of(name, strlen(name)),
	    .host = slice_of(host, strlen(host)),
	    .port = port,
	    .weight = 1,
	};
	char label[RING_LABEL_MAX];

	assert_true(ring_label(kind, &node, label));
	assert_string_equal(label, want);
}

static void
labels(void **state)
{
	(void)state;
	expect_label(RING_NATIVE, "a", "10.0.0.1", 11211, "a");
	expect_label(RING_NATIVE, "", "10.0.0.1", 11211, "10.0.0.1:11211");
	expect_label(RING_LIBMEMCACHED, "a", "10.0.0.1", 11211, "a");
	expect_label(RING_LIBMEMCACHED, "a", "10.0.0.1", 11212, "a:11212");
	expect_label(RING_LIBMEMCACHED, "", "10.0.0.1", 11212, "10.0.0.1:11212");
	expect_label(RING_KETAMA100, "a", "10.0.0.1", 11211, "a");
	expect_label(RING_KETAMA100, "/run/m.sock", "10.0.0.1", 0, "/run/m.sock:0");
	expect_label(RING_SPYMEMCACHED, "", "10.0.0.1", 11211, "10.0.0.1:11211");
	expect_label(RING_SPYMEMCACHED, "10.0.0.1", "10.0.0.1", 11211, "10.0.0.1:11211");
	expect_label(RING_SPYMEMCACHED, "a", "10.0.0.1", 11212, "a/10.0.0.1:11212");
	expect_label(RING_SPYMEMCACHED, "a/10.9.9.9", "10.0.0.1", 11212, "a/10.9.9.9:11212");
	expect_label(RING_SPYMEMCACHED, "/[fd00:0:0:0:0:0:0:1]", "fd00::1", 11211,
	    "[fd00:0:0:0:0:0:0:1]:11211");
	expect_label(RING_TWEMPROXY, "a", "10.0.0.1", 22122, "a");
	expect_label(RING_TWEMPROXY, "", "10.0.0.1", 22122, "10.0.0.1:22122");
	expect_label(RING_TWEMPROXY, "", "10.0.0.1", 11211, "10.0.0.1");
}

/* ---------------------------------------------------------------- the native ring by its definition */

/* Point I of the node called NAME: of digest I / 4 the number I % 4. */
static uint32_t
point_by_definition(const char *name, unsigned i)
{
	static unsigned char digest[16];
	char text[NAME_ROOM + 16];
	const unsigned char *p = digest + i % 4 * 4;
	int len = snprintf(text, sizeof(text), "%s-%u", name, i / 4);

	if (i % 4 == 0)
		assert_true(EVP_Digest(text, (size_t)len, digest, NULL, EVP_md5(), NULL));
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* The first point at or after POINT of all "<name>-<i>", seen one after another. */
static size_t
owner_by_definition(const struct node_list *l, uint32_t point)
{
	uint32_t best = UINT32_MAX;
	size_t owner = 0;

	for (size_t n = 0; n < l->count; n++) {
		for (unsigned i = 0; i < 150; i++) {
			uint32_t distance = point_by_definition(l->text[n], i) - point;

			if (distance < best) {
				best = distance;
				owner = n;
			}
		}
	}
	return owner;
}

static void
native_by_definition(void **state)
{
	static struct node_list l;
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 40; round++) {
		struct ring *ring;

		l.count = 0;
		nodes_add_many(&l, 1 + random_below(&r, 9), 11211);
		ring = ring_of(RING_NATIVE, l.nodes, l.count);
		assert_int_equal(ring_size(ring), 150 * l.count);
		for (unsigned i = 0; i < 20; i++) {
			uint32_t point = (uint32_t)random_next(&r);

			assert_int_equal(ring_owner(ring, point), owner_by_definition(&l, point));
		}
		ring_free(&ring);
		assert_null(ring);
	}
}

/* At a point, one before and one behind it, and on both sides of where the ring closes. */
static void
edges_of_points(void **state)
{
	static struct node_list l;
	uint32_t points[150];
	struct ring_hash *hash = hash_of(RING_NATIVE);
	struct ring *ring;

	(void)state;
	l.count = 0;
	nodes_add_many(&l, 3, 11211);
	ring = ring_of(RING_NATIVE, l.nodes, l.count);
	for (size_t n = 0; n < l.count; n++) {
		ring_points_make(hash, RING_NATIVE, l.text[n], points, 150);
		for (size_t i = 0; i < 150; i++) {
			assert_int_equal(ring_owner(ring, points[i]), n);
			assert_int_equal(ring_owner(ring, points[i] - 1),
			    owner_by_definition(&l, points[i] - 1));
			assert_int_equal(ring_owner(ring, points[i] + 1),
			    owner_by_definition(&l, points[i] + 1));
		}
	}
	assert_int_equal(ring_owner(ring, 0), owner_by_definition(&l, 0));
	assert_int_equal(ring_owner(ring, UINT32_MAX), owner_by_definition(&l, UINT32_MAX));
	ring_free(&ring);
	ring_hash_free(&hash);
}

#define CANDIDATES 4096u

static int
compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
candidate(struct node_list *l, size_t i)
{
	char host[NAME_ROOM];

	(void)snprintf(host, sizeof(host), "10.0.%zu.%zu", i / 250, i % 250 + 1);
	nodes_add(l, host, 11211);
}

/* Rings that are as coarse as can be: one point a node, down to one point in all. */
static void
few_points(void **state)
{
	static struct node_list l;
	const struct ring_options options = {.kind = RING_NATIVE, .points = 1};
	struct ring_hash *hash = hash_of(RING_NATIVE);
	struct random_state r;

	(void)state;
	random_init(&r);
	for (size_t count = 1; count <= 20; count++) {
		uint32_t points[20];
		struct ring *ring;

		l.count = 0;
		nodes_add_many(&l, count, 11211);
		assert_int_equal(ring_new(&ring, &options, l.nodes, count), RING_OK);
		assert_int_equal(ring_size(ring), count);
		for (size_t n = 0; n < count; n++)
			ring_points_make(hash, RING_NATIVE, l.text[n], &points[n], 1);
		for (unsigned i = 0; i < 1000; i++) {
			uint32_t point = i < 2 ? i - 1 : (uint32_t)random_next(&r);
			uint16_t holders[20];

			assert_int_equal(ring_holders(ring, point, holders, 20), count);
			for (size_t n = 1; n < count; n++)
				assert_true(
				    points[holders[n - 1]] - point < points[holders[n]] - point);
		}
		ring_free(&ring);
	}
	ring_hash_free(&hash);
}

/* The same node often has the last point and the first: the other one still inherits. */
static void
around_the_end(void **state)
{
	static struct node_list l;
	const struct ring_options options = {.kind = RING_NATIVE, .points = 3};
	struct ring_hash *hash = hash_of(RING_NATIVE);

	(void)state;
	for (size_t i = 0; i < 200; i += 2) {
		uint16_t holders[2];
		struct ring *ring;

		l.count = 0;
		candidate(&l, i);
		candidate(&l, i + 1);
		assert_int_equal(ring_new(&ring, &options, l.nodes, 2), RING_OK);
		for (size_t n = 0; n < 2; n++) {
			uint32_t points[3];

			ring_points_make(hash, RING_NATIVE, l.text[n], points, 3);
			for (size_t j = 0; j < 3; j++) {
				assert_int_equal(ring_holders(ring, points[j], holders, 2), 2);
				assert_true(holders[0] == n && holders[1] == 1 - n);
			}
		}
		assert_int_equal(ring_holders(ring, UINT32_MAX, holders, 2), 2);
		assert_int_equal(holders[0] + holders[1], 1);
		assert_int_equal(ring_owner(ring, 0), holders[0]);
		ring_free(&ring);
	}
	ring_hash_free(&hash);
}

/* The largest ring: some of its points are where a part of the jump table begins. */
static void
as_many_points_as_can_be(void **state)
{
	static struct node_list l;
	static uint64_t all[RING_NODES_MAX * RING_NODE_POINTS_MAX];
	static uint32_t points[RING_NODE_POINTS_MAX];
	const struct ring_options options = {.kind = RING_NATIVE, .points = RING_NODE_POINTS_MAX};
	struct ring_hash *hash = hash_of(RING_NATIVE);
	struct ring *ring;
	size_t n = 0, at_begin = 0;

	(void)state;
	l.count = 0;
	nodes_add_many(&l, RING_NODES_MAX, 11211);
	assert_int_equal(ring_new(&ring, &options, l.nodes, l.count), RING_OK);
	for (size_t i = 0; i < l.count; i++) {
		ring_points_make(hash, RING_NATIVE, l.text[i], points, RING_NODE_POINTS_MAX);
		for (size_t j = 0; j < RING_NODE_POINTS_MAX; j++)
			all[n++] = (uint64_t)points[j] << 32 | i;
	}
	assert_int_equal(ring_size(ring), n);
	qsort(all, n, sizeof(all[0]), compare_numbers);
	for (size_t i = 1; i < n - 1; i++) {
		uint32_t before = (uint32_t)(all[i - 1] >> 32), point = (uint32_t)(all[i] >> 32);

		if (before == point || point == (uint32_t)(all[i + 1] >> 32))
			continue;
		assert_int_equal(ring_owner(ring, point), (uint32_t)all[i]);
		assert_int_equal(ring_owner(ring, before + 1), (uint32_t)all[i]);
		at_begin += point % (1u << 12) == 0;
	}
	assert_true(at_begin > 0);
	ring_free(&ring);
	ring_hash_free(&hash);
}

/* Whatever order its nodes are listed in. */
static void
order_of_the_list_does_not_matter(void **state)
{
	static struct node_list l;
	struct ring_node reversed[10];
	struct random_state r;
	struct ring *one, *other;

	(void)state;
	random_init(&r);
	l.count = 0;
	nodes_add_many(&l, 10, 11211);
	for (size_t i = 0; i < 10; i++)
		reversed[i] = l.nodes[9 - i];
	one = ring_of(RING_NATIVE, l.nodes, 10);
	other = ring_of(RING_NATIVE, reversed, 10);
	for (unsigned i = 0; i < 100000; i++) {
		uint32_t point = (uint32_t)random_next(&r);

		assert_int_equal(ring_owner(one, point), 9 - ring_owner(other, point));
	}
	ring_free(&one);
	ring_free(&other);
}

/* ---------------------------------------------------------------- two nodes at one point */

/* Finds two of 4,096 nodes that have a point in common, some forty of which there should be; which point that is. */
static uint32_t
find_tie(enum ring_kind kind, size_t *first, size_t *second)
{
	static uint64_t all[CANDIDATES * 160];
	static struct node_list l;
	struct ring_hash *hash = hash_of(kind);
	size_t n = 0, each = kind == RING_NATIVE ? 150 : kind == RING_KETAMA100 ? 100 : 160;
	uint32_t points[160];

	for (size_t i = 0; i < CANDIDATES; i++) {
		char label[RING_LABEL_MAX];

		l.count = 0;
		candidate(&l, i);
		assert_true(ring_label(kind, &l.nodes[0], label));
		ring_points_make(hash, kind, label, points, each);
		for (size_t j = 0; j < each; j++)
			all[n++] = (uint64_t)points[j] << 32 | i;
	}
	ring_hash_free(&hash);
	qsort(all, n, sizeof(all[0]), compare_numbers);
	for (size_t i = 1; i < n; i++) {
		*first = (uint32_t)all[i - 1];
		*second = (uint32_t)all[i];
		if (all[i - 1] >> 32 == all[i] >> 32 && *first != *second)
			return (uint32_t)(all[i] >> 32);
	}
	fail_msg("no two nodes share a point");
	return 0;
}

/* Which of two nodes that share a point should own it, as ranks go. */
static unsigned
tie_owner(enum ring_kind kind, const char *one, const char *other)
{
	size_t a = strlen(one), b = strlen(other);

	switch (kind) {
	case RING_NATIVE:
	case RING_TWEMPROXY:
		return a > b || (a == b && strcmp(one, other) > 0);
	case RING_SPYMEMCACHED:
		return 1;
	default:
		return 0;
	}
}

/* libmemcached: the first in the list; spymemcached: the last; by name in the kinds in which the order of the list does not
 * matter. The other one inherits. */
static void
ties(void **state)
{
	static struct node_list l, swapped;

	(void)state;
	for (enum ring_kind kind = 0; kind < RING_KINDS; kind++) {
		size_t first, second;
		uint32_t point = find_tie(kind, &first, &second);
		struct ring *ring, *other;
		uint16_t holders[2];
		unsigned owner;

		l.count = swapped.count = 0;
		candidate(&l, first);
		candidate(&l, second);
		candidate(&swapped, second);
		candidate(&swapped, first);
		ring = ring_of(kind, l.nodes, 2);
		other = ring_of(kind, swapped.nodes, 2);
		owner = tie_owner(kind, l.text[0], l.text[1]);
		assert_int_equal(ring_holders(ring, point, holders, 2), 2);
		assert_int_equal(holders[0], owner);
		assert_int_equal(holders[1], 1 - owner);
		assert_int_equal(ring_owner(other, point), tie_owner(kind, l.text[1], l.text[0]));
		(void)printf("%s: %s and %s share %08x\n", ring_kind_name(kind), l.text[0],
		    l.text[1], point);
		ring_free(&ring);
		ring_free(&other);
	}
}

/* ---------------------------------------------------------------- other programs */

struct vector {
	const char *key;
	unsigned node;
};

/* From spymemcached's KetamaNodeLocatorTest: 127.0.0.1 with the ports 10000, 10001, ...; 10.0.1.1 to 10.0.1.8 (nodes
 * counted from 0). */
static void
spymemcached_as_published(void **state)
{
	static const struct vector four[] = {{"dustin", 0}, {"noelani", 2}, {"some other key", 0},
	    {"V5XS8C8N", 3}, {"8KR2DKR2", 3}, {"L9KH6X4X", 3}};
	static const struct vector five[] = {{"dustin", 0}, {"noelani", 2}, {"some other key", 4},
	    {"36", 2}, {"10037", 3}, {"22051", 1}, {"49044", 4}};
	static const struct vector eight[] = {{"0", 0}, {"233", 6}, {"466", 2}, {"699", 0},
	    {"932", 5}, {"1165", 1}, {"1398", 0}, {"1631", 5}, {"1864", 4}, {"2097", 2},
	    {"2330", 6}, {"2563", 2}, {"2796", 5}, {"3029", 0}, {"3262", 1}, {"3495", 2},
	    {"3728", 7}, {"3961", 3}, {"4194", 3}, {"4427", 2}, {"4660", 3}, {"4893", 6},
	    {"126053", 4}, {"126286", 4}, {"126519", 1}, {"126752", 5}, {"126985", 6}};
	static const struct {
		const struct vector *vectors;
		size_t n, nodes;
	} sets[] = {{four, sizeof(four) / sizeof(four[0]), 4},
	    {five, sizeof(five) / sizeof(five[0]), 5},
	    {eight, sizeof(eight) / sizeof(eight[0]), 8}};
	static struct node_list l;
	struct ring_hash *hash = hash_of(RING_SPYMEMCACHED);

	(void)state;
	for (size_t s = 0; s < 3; s++) {
		struct ring *ring;

		l.count = 0;
		for (unsigned i = 0; i < sets[s].nodes; i++) {
			char host[NAME_ROOM] = "127.0.0.1";

			if (sets[s].vectors == eight)
				(void)snprintf(host, sizeof(host), "10.0.1.%u", i + 1);
			nodes_add(
			    &l, host, sets[s].vectors == eight ? 11211 : (uint16_t)(10000 + i));
		}
		ring = ring_of(RING_SPYMEMCACHED, l.nodes, l.count);
		for (size_t i = 0; i < sets[s].n; i++) {
			const struct vector *v = &sets[s].vectors[i];

			assert_int_equal(
			    ring_owner(ring, ring_hash_key(hash, slice_of(v->key, strlen(v->key)))),
			    v->node);
		}
		ring_free(&ring);
	}
	ring_hash_free(&hash);
}

/* The owners of key:0 to key:19999 among the first 1 to MOST nodes, in this order, as 64-bit FNV-1a of their indexes. */
static uint64_t
owners_digest(const struct ring_node *nodes, size_t most)
{
	struct ring_hash *hash = hash_of(RING_SPYMEMCACHED);
	uint64_t digest = 0xcbf29ce484222325;

	for (size_t count = 1; count <= most; count++) {
		struct ring *ring = ring_of(RING_SPYMEMCACHED, nodes, count);

		for (unsigned i = 0; i < 20000; i++) {
			char key[16];
			int len = snprintf(key, sizeof(key), "key:%u", i);

			digest ^= ring_owner(ring, ring_hash_key(hash, slice_of(key, (size_t)len)));
			digest *= 0x100000001b3;
		}
		ring_free(&ring);
	}
	ring_hash_free(&hash);
	return digest;
}

/* The same digest was taken of spymemcached 2.12.3 (Debian's libspymemcached-java) on Java 17:
 *
 *	nodes.indexOf(new KetamaNodeLocator(nodes, DefaultHashAlgorithm.KETAMA_HASH).getPrimary(key))
 *
 * with the addresses 127.0.0.1:10000 and on; cache0/10.0.0.1:11211 and on; /[fd00:0:0:0:0:0:0:1]:11211 and on; and with two that
 * share a point, each of which is the first once.
 */
static void
spymemcached_as_recorded(void **state)
{
	static char names[3][64][NAME_ROOM], hosts[64][NAME_ROOM];
	struct ring_node by_port[64], by_name[64], by_ipv6[64];
	struct ring_node tied[3] = {
	    {.host = SLICE_LITERAL("10.0.3.170"), .port = 11211, .weight = 1},
	    {.host = SLICE_LITERAL("10.0.4.142"), .port = 11211, .weight = 1},
	};

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		(void)snprintf(hosts[i], NAME_ROOM, "10.0.0.%u", i + 1);
		(void)snprintf(names[1][i], NAME_ROOM, "cache%u", i);
		(void)snprintf(names[2][i], NAME_ROOM, "/[fd00:0:0:0:0:0:0:%x]", i + 1);
		by_port[i] = (struct ring_node){
		    .host = SLICE_LITERAL("127.0.0.1"), .port = (uint16_t)(10000 + i), .weight = 1};
		by_name[i] = (struct ring_node){.name = slice_of(names[1][i], strlen(names[1][i])),
		    .host = slice_of(hosts[i], strlen(hosts[i])),
		    .port = 11211,
		    .weight = 1};
		by_ipv6[i] = by_name[i];
		by_ipv6[i].name = slice_of(names[2][i], strlen(names[2][i]));
	}
	assert_true(owners_digest(by_port, 64) == UINT64_C(0x3b2dfffad57ede51));
	assert_true(owners_digest(by_name, 64) == UINT64_C(0xa5d4cdbad49fb9f2));
	assert_true(owners_digest(by_ipv6, 64) == UINT64_C(0x148bb085187d70f2));
	tied[2] = tied[0];
	assert_true(owners_digest(tied, 2) == UINT64_C(0x55cc5d644a1d1eec));
	assert_true(owners_digest(tied + 1, 2) == UINT64_C(0x18f313250455203e));
}

/* ---------------------------------------------------------------- what is refused, what is kept */

static enum ring_status
try_new(const struct ring_options *options, const struct ring_node *nodes, size_t count)
{
	struct ring *ring;
	enum ring_status status = ring_new(&ring, options, nodes, count);

	assert_true((ring != NULL) == (status == RING_OK));
	ring_free(&ring);
	return status;
}

static void
refused_numbers(void **state)
{
	static struct node_list l;
	struct ring_options native = {.kind = RING_NATIVE}, other = {.kind = RING_LIBMEMCACHED};

	(void)state;
	l.count = 0;
	nodes_add_many(&l, RING_NODES_MAX, 11211);
	assert_int_equal(try_new(&native, l.nodes, 0), RING_NO_NODES);
	assert_int_equal(try_new(&native, l.nodes, RING_NODES_MAX + 1), RING_MANY_NODES);
	assert_int_equal(try_new(&native, l.nodes, RING_NODES_MAX), RING_OK);
	l.nodes[1].weight = 0;
	assert_int_equal(try_new(&native, l.nodes, 2), RING_BAD_WEIGHT);
	l.nodes[1].weight = RING_WEIGHT_MAX + 1;
	assert_int_equal(try_new(&native, l.nodes, 2), RING_BAD_WEIGHT);
	l.nodes[1].weight = RING_WEIGHT_MAX;
	assert_int_equal(try_new(&native, l.nodes, 2), RING_OK);
	assert_int_equal(try_new(&other, l.nodes, 2), RING_BAD_WEIGHT);
	l.nodes[1].weight = 2;
	assert_int_equal(try_new(&other, l.nodes, 2), RING_BAD_WEIGHT);
	l.nodes[1].weight = 1;
	other.points = 160;
	assert_int_equal(try_new(&other, l.nodes, 2), RING_BAD_POINTS);
	native.points = RING_NODE_POINTS_MAX + 1;
	assert_int_equal(try_new(&native, l.nodes, 2), RING_BAD_POINTS);
	native.points = RING_NODE_POINTS_MAX;
	assert_int_equal(try_new(&native, l.nodes, 2), RING_OK);
	for (size_t i = 0; i < RING_NODES_MAX; i++)
		l.nodes[i].weight = 2;
	assert_int_equal(try_new(&native, l.nodes, RING_NODES_MAX), RING_MANY_POINTS);
}

static void
refused_names(void **state)
{
	static char text[RING_NAME_MAX + 2];
	struct ring_options options = {.kind = RING_NATIVE};
	struct ring_node nodes[2] = {
	    {.name = SLICE_LITERAL("a"), .host = SLICE_LITERAL("h"), .port = 1, .weight = 1},
	    {.name = SLICE_LITERAL("b"), .host = SLICE_LITERAL("h"), .port = 1, .weight = 1},
	};
	const struct slice bad[] = {SLICE_LITERAL("a b"), SLICE_LITERAL("a\n"), SLICE_LITERAL("\0"),
	    SLICE_LITERAL("\x7f"), slice_of(text, RING_NAME_MAX + 1)};

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(try_new(&options, nodes, 2), RING_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nodes[1].name = bad[i];
		assert_int_equal(try_new(&options, nodes, 2), RING_BAD_NAME);
		nodes[1].name = SLICE_LITERAL("b");
		nodes[1].host = bad[i];
		assert_int_equal(try_new(&options, nodes, 2), RING_BAD_NAME);
		nodes[1].host = SLICE_LITERAL("h");
	}
	nodes[1].host = slice_of(NULL, 0);
	assert_int_equal(try_new(&options, nodes, 2), RING_BAD_NAME);
	nodes[1].name = nodes[1].host = slice_of(text, RING_NAME_MAX);
	for (options.kind = 0; options.kind < RING_KINDS; options.kind++)
		assert_int_equal(try_new(&options, nodes, 2),
		    options.kind == RING_TWEMPROXY ? RING_BAD_NAME : RING_OK);
	options.kind = RING_SPYMEMCACHED;
	text[RING_NAME_MAX] = 'y';
	nodes[1].host.ptr = text + 1;
	assert_int_equal(try_new(&options, nodes, 2), RING_OK);
	options.kind = RING_TWEMPROXY;
	nodes[1].name.len = 82;
	assert_int_equal(try_new(&options, nodes, 2), RING_OK);
	nodes[1].name.len = 83;
	assert_int_equal(try_new(&options, nodes, 2), RING_BAD_NAME);
}

/* Equal points, not equal addresses, are what two nodes must not have. */
static void
refused_duplicates(void **state)
{
	struct ring_options options = {.kind = RING_NATIVE};
	struct ring_node nodes[3] = {
	    {.name = SLICE_LITERAL("a"), .host = SLICE_LITERAL("h1"), .port = 1, .weight = 1},
	    {.name = SLICE_LITERAL("b"), .host = SLICE_LITERAL("h1"), .port = 1, .weight = 1},
	    {.name = SLICE_LITERAL("a"), .host = SLICE_LITERAL("h2"), .port = 2, .weight = 1},
	};

	(void)state;
	assert_int_equal(try_new(&options, nodes, 2), RING_OK);
	assert_int_equal(try_new(&options, nodes, 3), RING_DUPLICATE);
	options.kind = RING_LIBMEMCACHED;
	assert_int_equal(try_new(&options, nodes, 3), RING_OK);
	nodes[2].port = 1;
	assert_int_equal(try_new(&options, nodes, 3), RING_DUPLICATE);
	options.kind = RING_SPYMEMCACHED;
	assert_int_equal(try_new(&options, nodes, 3), RING_OK);
}

/* The ring has its own copy of what it was made of. */
static void
nodes_are_copied(void **state)
{
	char name[] = "cache1", host[] = "10.0.0.1";
	struct ring_node node = {
	    .name = slice_of(name, 6), .host = slice_of(host, 8), .port = 11299, .weight = 7};
	struct ring *ring = ring_of(RING_NATIVE, &node, 1);
	uint16_t holders[4] = {9, 9, 9, 9};

	(void)state;
	memset(name, 'x', 6);
	memset(host, 'x', 8);
	assert_int_equal(ring_count(ring), 1);
	assert_int_equal(ring_kind_of(ring), RING_NATIVE);
	assert_true(slice_is(ring_node(ring, 0)->name, "cache1") &&
	    slice_is(ring_node(ring, 0)->host, "10.0.0.1"));
	assert_true(ring_node(ring, 0)->port == 11299 && ring_node(ring, 0)->weight == 7);
	assert_int_equal(ring_size(ring), 7 * 150);
	assert_true(ring_share(ring, 0) == RING_SPACE);
	assert_int_equal(ring_holders(ring, 5, holders, 4), 1);
	assert_true(holders[0] == 0 && holders[1] == 9);
	assert_int_equal(ring_holders(ring, 5, holders, 0), 0);
	ring_free(&ring);
}

static void
kinds_by_name(void **state)
{
	enum ring_kind found;

	(void)state;
	for (enum ring_kind kind = 0; kind < RING_KINDS; kind++) {
		const char *name = ring_kind_name(kind);

		assert_true(ring_kind_find(slice_of(name, strlen(name)), &found) && found == kind);
		assert_true(strlen(ring_kind_text(kind)) > 0);
	}
	assert_false(ring_kind_find(SLICE_LITERAL("ketama"), &found));
	assert_false(ring_kind_find(SLICE_LITERAL(""), &found));
	assert_string_equal(ring_status_text(RING_OK), "done");
	assert_string_equal(ring_status_text(RING_NO_MEMORY), "out of memory");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(md5_as_published),
	    cmocka_unit_test(other_hashes_as_published),
	    cmocka_unit_test(labels),
	    cmocka_unit_test(native_by_definition),
	    cmocka_unit_test(edges_of_points),
	    cmocka_unit_test(few_points),
	    cmocka_unit_test(around_the_end),
	    cmocka_unit_test(as_many_points_as_can_be),
	    cmocka_unit_test(order_of_the_list_does_not_matter),
	    cmocka_unit_test(ties),
	    cmocka_unit_test(spymemcached_as_published),
	    cmocka_unit_test(spymemcached_as_recorded),
	    cmocka_unit_test(refused_numbers),
	    cmocka_unit_test(refused_names),
	    cmocka_unit_test(refused_duplicates),
	    cmocka_unit_test(nodes_are_copied),
	    cmocka_unit_test(kinds_by_name),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
