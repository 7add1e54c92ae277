/* t/cluster/test_past.c: what is stale after several changes of the topology. */
#include "cluster/past.h"
#include "t/lib/unit.h"

#define POINTS 1000u

static struct topology *
topology_of(const char *list, uint64_t epoch)
{
	const struct topology_options options = {
	    .cluster = SLICE_LITERAL("test"), .epoch = epoch, .replicas = 1};
	struct topology *t;

	assert_int_equal(topology_parse(&t, &options, slice_of(list, strlen(list))), TOPOLOGY_OK);
	return t;
}

static uint32_t
point_of(unsigned n)
{
	return n * (UINT32_MAX / POINTS);
}

static bool
holds(const struct topology *t, const char *name, uint32_t point)
{
	uint16_t holders[TOPOLOGY_REPLICAS_MAX + 1];
	unsigned n = topology_holders(t, point, holders, TOPOLOGY_REPLICAS_MAX + 1), self;

	if (!topology_find(t, slice_of(name, strlen(name)), &self))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (holders[i] == self)
			return true;
	return false;
}

static uint64_t
order_in(uint64_t epoch)
{
	return (epoch << TOPOLOGY_EPOCH_SHIFT) + 77;
}

static uint64_t
id_of(const struct topology *t, const char *name)
{
	unsigned self;

	assert_true(topology_find(t, slice_of(name, strlen(name)), &self));
	return topology_node(t, self)->id;
}

/* B holds the key in all of them, or it must not count. */
static void
what_was_not_held_in_between_is_stale(void **state)
{
	struct topology *two = topology_of("a=x:1,b=x:2,c=x:3", 2);
	struct topology *three = topology_of("a=x:1,b=x:2,c=x:3,d=x:4,e=x:5", 3);
	uint64_t b = id_of(two, "b");
	struct past *past = past_new(past_new(NULL, two, b, 3), three, b, 4);
	unsigned stale = 0;

	(void)state;
	assert_int_equal(past_length(past), 2);
	for (unsigned n = 0; n < POINTS; n++) {
		bool in_two = holds(two, "b", point_of(n)),
		     in_three = holds(three, "b", point_of(n));

		assert_int_equal(
		    past_is_stale(past, point_of(n), order_in(2)), !in_two || !in_three);
		assert_int_equal(past_is_stale(past, point_of(n), order_in(3)), !in_three);
		assert_false(past_is_stale(past, point_of(n), order_in(4)));
		stale += !in_two || !in_three;
	}
	assert_true(stale > 0 && stale < POINTS);
	past_free(&past);
	assert_null(past);
}

static void
who_was_no_member_has_nothing(void **state)
{
	struct topology *t = topology_of("a=x:1,b=x:2", 2), *other = topology_of("c=x:3", 1);
	struct past *past = past_new(NULL, t, id_of(other, "c"), 3);

	(void)state;
	for (unsigned n = 0; n < POINTS; n++) {
		assert_true(past_is_stale(past, point_of(n), order_in(2)));
		assert_false(past_is_stale(past, point_of(n), order_in(3)));
	}
	past_free(&past);
	topology_free(&other);
}

static void
who_missed_something_knows_nothing(void **state)
{
	struct past *past = past_unknown(topology_of("a=x:1,b=x:2", 2), 5);

	(void)state;
	for (unsigned n = 0; n < POINTS; n++) {
		assert_true(past_is_stale(past, point_of(n), order_in(4)));
		assert_false(past_is_stale(past, point_of(n), order_in(5)));
	}
	assert_int_equal(past_length(past), 1);
	past_free(&past);
}

static void
without_a_past_nothing_is_stale(void **state)
{
	(void)state;
	assert_false(past_is_stale(NULL, 7, 1));
	assert_int_equal(past_length(NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_past_nothing_is_stale),
	    cmocka_unit_test(what_was_not_held_in_between_is_stale),
	    cmocka_unit_test(who_was_no_member_has_nothing),
	    cmocka_unit_test(who_missed_something_knows_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
