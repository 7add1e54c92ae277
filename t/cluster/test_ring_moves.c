/* t/cluster/test_ring_moves.c: what moves when nodes come and go, how even the load is, what a look-up costs.
 *
 * What is printed as a figure of merit is a measurement, not a condition, except where a bound is asserted.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "t/cluster/nodes.h"
#include "t/lib/unit.h"

#define POINTS 200000u
#define ROUNDS (1u << 19) /* of look-ups that are timed */
#define KEYS   (1u << 17) /* that are hashed for time */

/* The kinds in which a node's points depend on no other node. */
static const enum ring_kind steady[] = {RING_NATIVE, RING_KETAMA100, RING_SPYMEMCACHED};

#define STEADY (sizeof(steady) / sizeof(steady[0]))

static void
replicas_are_distinct(void **state)
{
	static struct node_list l;
	struct random_state r;

	(void)state;
	random_init(&r);
	nodes_add_many(&l, 64, 11311);
	for (enum ring_kind kind = 0; kind < RING_KINDS; kind++) {
		for (size_t count = 1; count <= 64; count += count < 8 ? 1 : 7) {
			struct ring *ring = ring_of(kind, l.nodes, count);

			for (size_t i = 0; i < 2000; i++) {
				uint32_t point = (uint32_t)random_next(&r);
				size_t want = 1 + random_below(&r, 80), n;
				uint16_t holders[80];
				bool seen[64] = {false};

				n = ring_holders(ring, point, holders, want);
				assert_int_equal(n, want < count ? want : count);
				assert_int_equal(holders[0], ring_owner(ring, point));
				for (size_t j = 0; j < n; j++) {
					assert_true(holders[j] < count && !seen[holders[j]]);
					seen[holders[j]] = true;
				}
			}
			ring_free(&ring);
		}
	}
}

/* The owner by name in a ring without one of its nodes. */
static struct slice
owner_name(const struct ring *ring, uint32_t point)
{
	return ring_node(ring, ring_owner(ring, point))->name;
}

/* All holders but the one that left, in the same order. */
static void
check_without(const struct ring *all, const struct ring *rest, size_t gone, uint32_t point)
{
	uint16_t before[RING_NODES_MAX], after[RING_NODES_MAX];
	size_t n = ring_holders(all, point, before, RING_NODES_MAX), at = 0;

	assert_int_equal(ring_holders(rest, point, after, RING_NODES_MAX), n - 1);
	for (size_t i = 0; i < n; i++) {
		if (before[i] != gone)
			assert_int_equal(after[at++], before[i] - (before[i] > gone));
	}
}

static size_t
nodes_without(struct ring_node *to, const struct node_list *l, size_t gone)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++) {
		if (i != gone)
			to[n++] = l->nodes[i];
	}
	return n;
}

static void
leave(enum ring_kind kind, size_t count, struct random_state *r)
{
	static struct node_list l;
	static struct ring_node rest_nodes[RING_NODES_MAX];
	size_t gone = random_below(r, count), moved = 0;
	struct ring *all, *rest;

	l.count = 0;
	nodes_add_many(&l, count, 11311);
	all = ring_of(kind, l.nodes, l.count);
	rest = ring_of(kind, rest_nodes, nodes_without(rest_nodes, &l, gone));
	for (size_t i = 0; i < POINTS; i++) {
		uint32_t point = (uint32_t)random_next(r);
		uint16_t holders[2];

		assert_int_equal(ring_holders(all, point, holders, 2), 2);
		moved += holders[0] == gone;
		assert_true(slice_equal(
		    owner_name(rest, point), l.nodes[holders[holders[0] == gone]].name));
		if (i % 1000 == 0)
			check_without(all, rest, gone, point);
	}
	(void)printf("%s, %zu nodes: one leaves, %.2f %% of the keys move, 1/N is %.2f %%\n",
	    ring_kind_name(kind), count, 100.0 * (double)moved / POINTS, 100.0 / (double)count);
	ring_free(&rest);
	ring_free(&all);
}

/* Its keys go to their former first replicas, all others stay; of every key's holders the others keep their order. */
static void
who_leaves_is_inherited(void **state)
{
	struct random_state r;

	(void)state;
	random_init(&r);
	for (size_t k = 0; k < STEADY; k++) {
		for (size_t count = 2; count <= 64; count *= 2)
			leave(steady[k], count, &r);
	}
}

/* The share of all points that change their owner when a node is added to COUNT, exactly, on average over each of 20
 * names that it may have. */
static double
share_moved(enum ring_kind kind, size_t count, double *most)
{
	static struct node_list l;
	struct ring *before, *after;
	double sum = 0;

	l.count = 0;
	*most = 0;
	nodes_add_many(&l, count, 11311);
	before = ring_of(kind, l.nodes, l.count);
	for (unsigned i = 0; i < 20; i++) {
		char host[NAME_ROOM];
		double moved;

		(void)snprintf(host, sizeof(host), "10.1.0.%u", i);
		l.count = count;
		nodes_add(&l, host, 11311);
		after = ring_of(kind, l.nodes, l.count);
		moved = (double)ring_share(after, count) / (double)RING_SPACE;
		for (size_t node = 0; node < count; node++)
			assert_true(ring_share(after, node) <= ring_share(before, node));
		*most = moved > *most ? moved : *most;
		sum += moved;
		ring_free(&after);
	}
	ring_free(&before);
	return sum / 20;
}

/* What an added node takes is its share, and it takes from every other node or leaves it alone. */
static void
who_joins_takes_its_share(void **state)
{
	(void)state;
	for (size_t k = 0; k < STEADY; k++) {
		for (size_t count = 1; count < 64; count = count * 2 + 1) {
			double most, mean = share_moved(steady[k], count, &most),
				     fair = 1 / (double)(count + 1);

			(void)printf("%s: node %zu joins and takes %.3f x 1/N, at most %.3f x\n",
			    ring_kind_name(steady[k]), count + 1, mean / fair, most / fair);
			assert_true(mean <= 1.1 * fair && most <= fair + 0.1);
		}
	}
}

/* In the other kinds the node's share moves as well, and more where the number of points a node changes. */
static void
joins_at_a_change_of_points(void **state)
{
	static const enum ring_kind kinds[] = {RING_LIBMEMCACHED, RING_TWEMPROXY};
	static struct node_list l;
	struct random_state r;

	(void)state;
	random_init(&r);
	nodes_add_many(&l, 65, 11311);
	for (size_t k = 0; k < 2; k++) {
		for (size_t count = 1; count < 65; count++) {
			struct ring *before = ring_of(kinds[k], l.nodes, count);
			struct ring *after = ring_of(kinds[k], l.nodes, count + 1);
			bool same = ring_size(before) / count == ring_size(after) / (count + 1);
			size_t moved = 0, astray = 0;

			for (size_t i = 0; i < POINTS / 10; i++) {
				uint32_t point = (uint32_t)random_next(&r);
				unsigned now = ring_owner(after, point);

				moved += now != ring_owner(before, point);
				astray += now != ring_owner(before, point) && now != count;
			}
			if (same)
				assert_int_equal(astray, 0);
			else
				(void)printf(
				    "%s, %zu to %zu nodes, other points: %.2f %% move, %.2f %% of them astray\n",
				    ring_kind_name(kinds[k]), count, count + 1,
				    100.0 * (double)moved / (POINTS / 10),
				    100.0 * (double)astray / (POINTS / 10));
			ring_free(&before);
			ring_free(&after);
		}
	}
}

/* The largest load over the mean one, of keys that are numbered. */
static double
imbalance_of_keys(const struct ring *ring, struct ring_hash *hash)
{
	static size_t loads[RING_NODES_MAX];
	size_t most = 0;

	memset(loads, 0, sizeof(loads));
	for (unsigned i = 0; i < POINTS; i++) {
		char key[NAME_ROOM];
		int len = snprintf(key, sizeof(key), "user:%u:profile", i);
		unsigned owner = ring_owner(ring, ring_hash_key(hash, slice_of(key, (size_t)len)));

		loads[owner]++;
		most = loads[owner] > most ? loads[owner] : most;
	}
	return (double)most * (double)ring_count(ring) / POINTS;
}

/* The largest share over the mean one. */
static double
imbalance(const struct ring *ring)
{
	uint64_t most = 0, sum = 0;

	for (size_t i = 0; i < ring_count(ring); i++) {
		uint64_t share = ring_share(ring, i);

		most = share > most ? share : most;
		sum += share;
	}
	assert_true(sum == RING_SPACE);
	return (double)most * (double)ring_count(ring) / (double)RING_SPACE;
}

/* Shares say how even the ring is, keys how even the hash of keys is on top of that. */
static void
balance(void **state)
{
	static const size_t counts[] = {2, 3, 4, 5, 6, 8, 10, 16, 25, 32, 50, 64, 100};
	static struct node_list l;

	(void)state;
	nodes_add_many(&l, 100, 11311);
	for (enum ring_kind kind = 0; kind < RING_KINDS; kind++) {
		struct ring_hash *hash = hash_of(kind);

		(void)printf("max/mean of shares (of %u keys) %s:", POINTS, ring_kind_name(kind));
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
			struct ring *ring = ring_of(kind, l.nodes, counts[i]);
			double most = imbalance(ring);

			(void)printf(
			    "  %zu: %.2f (%.2f)", counts[i], most, imbalance_of_keys(ring, hash));
			assert_true(most < 1.5);
			ring_free(&ring);
		}
		(void)printf("\n");
		ring_hash_free(&hash);
	}
}

/* A node's share follows its weight. */
static void
weights(void **state)
{
	static struct node_list l;
	struct ring *ring;
	double sum = 0;

	(void)state;
	nodes_add_many(&l, 8, 11311);
	for (size_t i = 0; i < l.count; i++) {
		l.nodes[i].weight = (unsigned)(1 + i);
		sum += (double)l.nodes[i].weight;
	}
	ring = ring_of(RING_NATIVE, l.nodes, l.count);
	assert_int_equal(ring_size(ring), 36 * 150);
	for (size_t i = 0; i < l.count; i++) {
		double share = (double)ring_share(ring, i) / (double)RING_SPACE,
		       fair = (double)l.nodes[i].weight / sum;

		(void)printf("weight %u: %.3f x its part\n", l.nodes[i].weight, share / fair);
		assert_true(share > 0.75 * fair && share < 1.25 * fair);
	}
	ring_free(&ring);
}

/* What is looked up is written here, so that the compiler leaves nothing out. */
static volatile unsigned sink;

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
cost(void **state)
{
	static struct node_list l;
	static uint32_t points[1u << 16];
	struct random_state r;
	uint16_t holders[3];

	(void)state;
	random_init(&r);
	nodes_add_many(&l, RING_NODES_MAX, 11311);
	for (size_t i = 0; i < 1u << 16; i++)
		points[i] = (uint32_t)random_next(&r);
	for (size_t count = 1; count <= RING_NODES_MAX; count *= 4) {
		double begin = now(), made, owner, two, three;
		struct ring *ring = ring_of(RING_NATIVE, l.nodes, count);
		unsigned sum = 0;

		made = now() - begin;
		begin = now();
		for (size_t i = 0; i < ROUNDS; i++)
			sum += ring_owner(ring, points[i & 0xffff]);
		owner = now() - begin;
		begin = now();
		for (size_t i = 0; i < ROUNDS; i++)
			sum += (unsigned)ring_holders(ring, points[i & 0xffff], holders, 2);
		two = now() - begin;
		begin = now();
		for (size_t i = 0; i < ROUNDS; i++)
			sum += (unsigned)ring_holders(ring, points[i & 0xffff], holders, 3);
		three = now() - begin;
		sink = sum;
		(void)printf(
		    "%4zu nodes: made in %.0f us, owner %.1f ns, with 1 replica %.1f ns, with 2 %.1f ns\n",
		    count, made / 1e3, owner / ROUNDS, two / ROUNDS, three / ROUNDS);
		ring_free(&ring);
	}
	for (enum ring_kind kind = 0; kind < RING_KINDS; kind++) {
		struct ring_hash *hash = hash_of(kind);
		char key[] = "user:12345678:profile";
		uint32_t sum = 0;
		double begin = now();

		for (unsigned i = 0; i < KEYS; i++) {
			key[5] = (char)('a' + i % 26);
			sum += ring_hash_key(hash, SLICE_LITERAL(key));
		}
		sink = sum;
		(void)printf(
		    "%s: a key's point %.1f ns\n", ring_kind_name(kind), (now() - begin) / KEYS);
		ring_hash_free(&hash);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replicas_are_distinct),
	    cmocka_unit_test(who_leaves_is_inherited),
	    cmocka_unit_test(who_joins_takes_its_share),
	    cmocka_unit_test(joins_at_a_change_of_points),
	    cmocka_unit_test(balance),
	    cmocka_unit_test(weights),
	    cmocka_unit_test(cost),
	};

	return cmocka_run_group_tests_name("ring_moves", tests, NULL, NULL);
}
