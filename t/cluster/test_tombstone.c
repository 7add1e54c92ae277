/* t/cluster/test_tombstone.c: the highest number of a key is kept, and what is pushed out is never below what is
 * remembered as forgotten. */
#include "cluster/tombstone.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"

#define KEYS 4000u

static uint64_t
hash_of(uint64_t n)
{
	struct random_state r = {n};

	return random_next(&r);
}

static void
keeps_the_highest(void **state)
{
	struct tombstones *t = tombstones_new(1);

	(void)state;
	assert_int_equal(tombstone_find(t, 7), 0);
	tombstone_put(t, 7, 100);
	tombstone_put(t, 7, 90);
	assert_int_equal(tombstone_find(t, 7), 100);
	tombstone_put(t, 7, 110);
	assert_int_equal(tombstone_find(t, 7), 110);
	assert_int_equal(tombstone_find(t, 8), 0);
	assert_int_equal(tombstones_count(t), 1);
	assert_int_equal(tombstones_forgotten(t), 0);
	tombstones_free(&t);
	assert_null(t);
}

/* For each key: its number is found, or is not above the mark. */
static void
forgets_no_more_than_it_says(void **state)
{
	static uint64_t numbers[KEYS];
	struct tombstones *t = tombstones_new(1024);
	struct random_state r = {5};
	size_t found = 0;

	(void)state;
	for (uint64_t i = 1; i <= 20000; i++) {
		uint64_t key = random_next(&r) % KEYS;
		uint64_t number = i > 50 ? i - random_next(&r) % 50 : i;

		if (number > numbers[key])
			numbers[key] = number;
		tombstone_put(t, hash_of(key), number);
	}
	for (uint64_t key = 0; key < KEYS; key++) {
		uint64_t number = tombstone_find(t, hash_of(key));

		assert_true(number <= numbers[key]);
		if (number != numbers[key])
			assert_true(numbers[key] <= tombstones_forgotten(t));
		found += number != 0;
	}
	assert_true(found > 900 && found == tombstones_count(t));
	assert_true(tombstones_forgotten(t) < 20000);
	tombstones_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keeps_the_highest),
	    cmocka_unit_test(forgets_no_more_than_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
