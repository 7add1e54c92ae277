/* t/server/test_clock.c: exptimes, and the clock under debugtime. */
#include "t/lib/unit.h"

#include <time.h>

#include "server/clock.h"

#define NOW  1000u
#define ZERO 1700000000ll /* the wall clock when NOW was 0 */

static void
test_exptime(void **state)
{
	static const struct {
		int64_t exptime;
		uint32_t expected;
	} cases[] = {
	    {0, 0},
	    {1, NOW + 1},
	    {60, NOW + 60},
	    {CLOCK_RELATIVE_MAX - 1, NOW + CLOCK_RELATIVE_MAX - 1},
	    {CLOCK_RELATIVE_MAX, NOW + CLOCK_RELATIVE_MAX},
	    {CLOCK_RELATIVE_MAX + 1, 1},
	    {-1, 1},
	    {INT32_MIN, 1},
	    {INT64_MIN, 1},
	    {ZERO - 1, 1},
	    {ZERO, 1},
	    {ZERO + 1, 1},
	    {ZERO + 2, 2},
	    {ZERO + NOW, NOW},
	    {ZERO + NOW + 500, NOW + 500},
	    {INT32_MAX, (uint32_t)(INT32_MAX - ZERO)},
	    {UINT32_MAX, (uint32_t)(UINT32_MAX - ZERO)},
	    {INT64_MAX, UINT32_MAX},
	};
	const struct clock c = {.now = NOW, .wall_zero = ZERO};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(clock_exptime(&c, cases[i].exptime), cases[i].expected);
	assert_int_equal(clock_wall(&c), ZERO + NOW);
}

static void
test_begin(void **state)
{
	struct clock c;

	(void)state;
	clock_init(&c, CLOCK_BEGIN);
	assert_int_equal(clock_now(&c), CLOCK_BEGIN);
	assert_int_equal(clock_uptime(&c), 0);
	assert_in_range(clock_tick(&c), CLOCK_BEGIN, CLOCK_BEGIN + 1);
	assert_in_range(clock_wall(&c) - time(NULL) + 1, 0, 2);
	assert_in_range(clock_exptime(&c, time(NULL) + 100), CLOCK_BEGIN + 99, CLOCK_BEGIN + 101);
	clock_init(&c, 5000);
	assert_int_equal(clock_now(&c), 5000);
	assert_int_equal(clock_uptime(&c), 0);
}

static void
test_ticks_with_the_monotonic_clock(void **state)
{
	struct clock c;

	(void)state;
	clock_init(&c, CLOCK_BEGIN);
	c.monotonic_zero -= 10;
	assert_in_range(clock_tick(&c), CLOCK_BEGIN + 10, CLOCK_BEGIN + 11);
	c.monotonic_zero += 100;
	assert_in_range(clock_tick(&c), CLOCK_BEGIN + 10, CLOCK_BEGIN + 11);
}

static void
test_follows_a_wall_clock_that_jumps(void **state)
{
	struct clock c;

	(void)state;
	clock_init(&c, CLOCK_BEGIN);
	c.wall_zero -= 3600;
	assert_in_range(clock_tick(&c), CLOCK_BEGIN, CLOCK_BEGIN + 1);
	assert_in_range(clock_wall(&c) - time(NULL) + 1, 0, 2);
	c.wall_zero += 1;
	(void)clock_tick(&c);
	assert_in_range(clock_wall(&c) - time(NULL), 0, 2);
}

static void
test_shift_and_pause(void **state)
{
	struct clock c;

	(void)state;
	clock_init(&c, CLOCK_BEGIN);
	clock_shift(&c, 100);
	assert_int_equal(clock_now(&c), CLOCK_BEGIN + 100);
	assert_in_range(clock_tick(&c), CLOCK_BEGIN + 100, CLOCK_BEGIN + 101);
	clock_pause(&c, true);
	c.monotonic_zero -= 50;
	assert_in_range(clock_tick(&c), CLOCK_BEGIN + 100, CLOCK_BEGIN + 101);
	clock_pause(&c, false);
	assert_in_range(clock_tick(&c), CLOCK_BEGIN + 150, CLOCK_BEGIN + 151);
	clock_shift(&c, -1000);
	assert_in_range(clock_tick(&c), CLOCK_BEGIN + 150, CLOCK_BEGIN + 151);
	clock_shift(&c, 1000 + INT64_C(1) * UINT32_MAX);
	assert_int_equal(clock_now(&c), UINT32_MAX);
	assert_int_equal(clock_tick(&c), UINT32_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exptime),
	    cmocka_unit_test(test_begin),
	    cmocka_unit_test(test_ticks_with_the_monotonic_clock),
	    cmocka_unit_test(test_follows_a_wall_clock_that_jumps),
	    cmocka_unit_test(test_shift_and_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
