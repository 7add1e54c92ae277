/* t/server/test_flush_plan.c: the last flush counts, and is due until it is done. */
#include "server/flush_plan.h"
#include "t/lib/unit.h"

static void
the_last_counts(void **state)
{
	struct flush_plan plan;
	uint64_t left, order;

	(void)state;
	flush_plan_init(&plan);
	assert_int_equal(flush_plan_tell(&plan, 100, &left), 0);
	assert_int_equal(left, 0);
	assert_true(flush_plan_hear(&plan, 7, 100, 50));
	assert_false(flush_plan_hear(&plan, 7, 100, 10));
	assert_false(flush_plan_hear(&plan, 6, 100, 0));
	assert_int_equal(flush_plan_tell(&plan, 120, &left), 7);
	assert_int_equal(left, 30);
	assert_int_equal(flush_plan_tell(&plan, 500, &left), 7);
	assert_int_equal(left, 1);
	assert_true(flush_plan_hear(&plan, 8, 120, 0));
	assert_int_equal(flush_plan_tell(&plan, 120, &left), 8);
	assert_int_equal(left, 0);
	assert_false(flush_plan_due(&plan, 1000, &order));
	flush_plan_fini(&plan);
}

static void
is_due_until_done(void **state)
{
	struct flush_plan plan;
	uint64_t left, order;

	(void)state;
	flush_plan_init(&plan);
	assert_true(flush_plan_hear(&plan, 7, 100, 50));
	assert_false(flush_plan_due(&plan, 149, &order));
	assert_true(flush_plan_due(&plan, 150, &order));
	assert_int_equal(order, 7);
	assert_false(flush_plan_done(&plan, 6));
	assert_true(flush_plan_due(&plan, 151, &order));
	assert_true(flush_plan_done(&plan, 7));
	assert_false(flush_plan_done(&plan, 7));
	assert_false(flush_plan_due(&plan, 151, &order));
	assert_int_equal(flush_plan_tell(&plan, 160, &left), 7);
	assert_int_equal(left, 0);
	assert_false(flush_plan_hear(&plan, 7, 160, 20));
	flush_plan_fini(&plan);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_last_counts),
	    cmocka_unit_test(is_due_until_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
