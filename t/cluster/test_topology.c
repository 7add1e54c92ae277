/* t/cluster/test_topology.c: lists of nodes as operators write them, topologies as nodes send them, and who holds a key. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cluster/topology.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"

static const struct topology_options usual = {
    .cluster = {"ringcache", 9}, .epoch = 1, .kind = RING_NATIVE, .replicas = 1};

static enum topology_status
parse(struct topology **t, const struct topology_options *options, const char *list)
{
	return topology_parse(t, options, slice_of(list, strlen(list)));
}

static struct topology *
topology_of(const char *list)
{
	struct topology *t;

	assert_int_equal(parse(&t, &usual, list), TOPOLOGY_OK);
	return t;
}

static void
assert_slice(struct slice s, const char *text)
{
	if (!slice_is(s, text))
		fail_msg("%.*s is not %s", (int)s.len, s.ptr, text);
}

static void
lists_are_read(void **state)
{
	struct topology *t = topology_of(
	    "a=10.0.0.1:11211,10.0.0.2:11211/7,c=[::1]:11211*3,d=host.example:5/6*100#00000000000000ff~");
	const struct topology_node *n = topology_node(t, 0);
	unsigned index;

	(void)state;
	assert_int_equal(topology_count(t), 4);
	assert_slice(n->name, "a");
	assert_slice(n->host, "10.0.0.1");
	assert_int_equal(n->port, 11211);
	assert_int_equal(n->peer_port, 21211);
	assert_int_equal(n->weight, 1);
	assert_true(n->eligible);
	assert_int_equal(topology_node(t, 1)->peer_port, 7);
	assert_slice(topology_node_name(t, 1), "10.0.0.2:11211");
	assert_slice(topology_node(t, 2)->host, "::1");
	assert_int_equal(topology_node(t, 2)->weight, 3);
	assert_int_equal(topology_node(t, 3)->id, 255);
	assert_int_equal(topology_node(t, 3)->weight, 100);
	assert_false(topology_node(t, 3)->eligible);

	assert_true(topology_find(t, SLICE_LITERAL("10.0.0.2:11211"), &index) && index == 1);
	assert_true(topology_find(t, SLICE_LITERAL("10.0.0.1:11211"), &index) && index == 0);
	assert_true(topology_find(t, SLICE_LITERAL("[::1]:11211"), &index) && index == 2);
	assert_true(topology_find(t, SLICE_LITERAL("d"), &index) && index == 3);
	assert_false(topology_find(t, SLICE_LITERAL("e"), &index));
	assert_true(topology_find_id(t, 255, &index) && index == 3);
	assert_false(topology_find_id(t, 254, &index));
	topology_free(&t);
}

static void
bad_lists_are_refused(void **state)
{
	static const struct {
		const char *list;
		enum topology_status status;
	} rows[] = {
	    {"", TOPOLOGY_NO_NODES}, {"a", TOPOLOGY_BAD_NODE}, {"a=", TOPOLOGY_BAD_NODE},
	    {":1", TOPOLOGY_BAD_NODE}, {"=h:1", TOPOLOGY_BAD_NAME}, {"h:1,", TOPOLOGY_BAD_NODE},
	    {",h:1", TOPOLOGY_BAD_NODE}, {"h:0", TOPOLOGY_BAD_PORT}, {"h:65536", TOPOLOGY_BAD_PORT},
	    {"h:1x", TOPOLOGY_BAD_PORT},
	    {"h:60000", TOPOLOGY_BAD_PORT}, /* the default peer port would be above all ports */
	    {"h:1/0", TOPOLOGY_BAD_PORT}, {"h:1*0", TOPOLOGY_BAD_WEIGHT},
	    {"h:1*101", TOPOLOGY_BAD_WEIGHT}, {"h:1*", TOPOLOGY_BAD_WEIGHT},
	    {"h:1#12", TOPOLOGY_BAD_NODE}, {"h:1#0000000000000000", TOPOLOGY_BAD_NODE},
	    {"h:1#00000000000000FF", TOPOLOGY_BAD_NODE}, {"::1:1", TOPOLOGY_BAD_NODE},
	    {"a b=h:1", TOPOLOGY_BAD_NAME}, {"a=h\t:1", TOPOLOGY_BAD_NAME},
	    {"h:1,h:1/9", TOPOLOGY_DUPLICATE}, {"a=h:1,a=i:1", TOPOLOGY_DUPLICATE},
	    {"a=h:1/5,b=h:2/5", TOPOLOGY_DUPLICATE},
	    {"a=h:1,b=h:10001", TOPOLOGY_DUPLICATE}, /* one's port is the other's peer port */
	};
	struct topology_options options = usual;
	struct topology *t;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (parse(&t, &usual, rows[i].list) != rows[i].status || t != NULL)
			fail_msg("\"%s\" is not refused with: %s", rows[i].list,
			    topology_status_text(rows[i].status));
	options.replicas = TOPOLOGY_REPLICAS_MAX + 1;
	assert_int_equal(parse(&t, &options, "h:1"), TOPOLOGY_BAD_REPLICAS);
	options = usual;
	options.epoch = 0;
	assert_int_equal(parse(&t, &options, "h:1"), TOPOLOGY_BAD_EPOCH);
	options = usual;
	options.cluster = SLICE_LITERAL("a b");
	assert_int_equal(parse(&t, &options, "h:1"), TOPOLOGY_BAD_CLUSTER);
	options = usual;
	options.kind = RING_LIBMEMCACHED;
	assert_int_equal(parse(&t, &options, "h:1*2,i:1"), TOPOLOGY_BAD_WEIGHT);
}

static struct topology *
decode(struct slice bytes)
{
	struct topology *t;

	return topology_decode(&t, bytes) == TOPOLOGY_OK ? t : NULL;
}

/* What is sent is read as the same; with anything cut off or changed it is either refused or something that is whole. */
static void
bytes_survive_or_are_refused(void **state)
{
	struct topology *t = topology_of("a=10.0.0.1:11211*2,b=[fe80::1]:11211,c=h:1/2~"), *again;
	struct slice text = topology_encode(t);
	struct random_state r;
	char bytes[512];

	(void)state;
	random_init(&r);
	again = decode(text);
	assert_non_null(again);
	assert_true(slice_equal(topology_encode(again), text));
	assert_true(topology_digest(again) == topology_digest(t));
	topology_free(&again);
	assert_true(text.len < sizeof(bytes));
	for (unsigned i = 0; i < 20000; i++) {
		size_t n = random_below(&r, 4) == 0 ? random_below(&r, text.len + 1) : text.len;

		memcpy(bytes, text.ptr, text.len);
		for (uint64_t flips = random_below(&r, 4); flips > 0; flips--)
			bytes[random_below(&r, text.len)] = (char)random_next(&r);
		again = decode(slice_of(bytes, n));
		if (again == NULL)
			continue;
		assert_true(topology_count(again) > 0 && topology_epoch(again) > 0);
		topology_free(&again);
	}
	topology_free(&t);
}

static void
the_digest_tells_placements(void **state)
{
	static const char *const lists[] = {"a=h:1,b=i:1", "b=i:1,a=h:1", "a=h:1,b=i:1*2",
	    "a=h:1,b=j:1", "a=h:1,b=i:1,c=j:1", "a=h:1,b=i:1~"};
	struct topology_options later = usual;
	struct topology *all[6], *t;

	(void)state;
	for (size_t i = 0; i < 6; i++)
		all[i] = topology_of(lists[i]);
	for (size_t i = 0; i < 6; i++)
		for (size_t j = 0; j < i; j++)
			assert_true(topology_digest(all[i]) != topology_digest(all[j]));
	later.epoch = 9;
	assert_int_equal(parse(&t, &later, lists[0]), TOPOLOGY_OK);
	assert_true(topology_digest(t) == topology_digest(all[0]));
	topology_free(&t);
	for (size_t i = 0; i < 6; i++)
		topology_free(&all[i]);
}

/* A node that is not eligible is passed over as a primary, but keeps its copies, and no other key moves. */
static void
holders_follow_the_ring(void **state)
{
	struct topology_options options = usual;
	struct topology *all, *without;
	struct random_state r;

	(void)state;
	random_init(&r);
	options.replicas = 2;
	assert_int_equal(parse(&all, &options, "a=h:1,b=i:1,c=j:1,d=k:1"), TOPOLOGY_OK);
	assert_int_equal(parse(&without, &options, "a=h:1,b=i:1~,c=j:1,d=k:1"), TOPOLOGY_OK);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t point = (uint32_t)random_next(&r);
		uint16_t ring[3], before[3], after[3];

		assert_int_equal(ring_holders(topology_ring(all), point, ring, 3), 3);
		assert_int_equal(topology_holders(all, point, before, 3), 3);
		assert_memory_equal(before, ring, sizeof(ring));
		assert_int_equal(topology_holders(without, point, after, 3), 3);
		assert_int_equal(after[0], ring[0] == 1 ? ring[1] : ring[0]);
		assert_int_equal(before[0] + before[1] + before[2], after[0] + after[1] + after[2]);
		assert_int_equal(topology_holders(all, point, after, 1), 1);
		assert_int_equal(after[0], before[0]);
	}
	topology_free(&all);
	topology_free(&without);
	assert_int_equal(parse(&all, &options, "a=h:1~,b=i:1~"), TOPOLOGY_OK);
	assert_int_equal(topology_holders(all, 7, (uint16_t[3]){0}, 3), 0);
	topology_free(&all);
}

static void
renewed_is_the_same_in_another_epoch(void **state)
{
	const struct topology_options options = {
	    .cluster = SLICE_LITERAL("test"), .epoch = 7, .replicas = 2};
	struct topology *t, *next;

	(void)state;
	assert_int_equal(
	    topology_parse(&t, &options, SLICE_LITERAL("a=x:1*3,b=y:2/77,[::1]:5")), TOPOLOGY_OK);
	assert_int_equal(topology_renew(&next, t, 8), TOPOLOGY_OK);
	assert_int_equal(topology_epoch(next), 8);
	assert_true(topology_digest(next) == topology_digest(t));
	assert_int_equal(topology_count(next), 3);
	topology_free(&next);
	assert_int_equal(topology_renew(&next, t, TOPOLOGY_EPOCH_MAX + 1), TOPOLOGY_BAD_EPOCH);
	assert_null(next);
	topology_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lists_are_read),
	    cmocka_unit_test(bad_lists_are_refused),
	    cmocka_unit_test(bytes_survive_or_are_refused),
	    cmocka_unit_test(the_digest_tells_placements),
	    cmocka_unit_test(renewed_is_the_same_in_another_epoch),
	    cmocka_unit_test(holders_follow_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
