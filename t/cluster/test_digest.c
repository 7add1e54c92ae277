/* t/cluster/test_digest.c: digests are equal for the same items in any order, and each difference shows in the partition of
 * its key and nowhere else. */
#include <stdio.h>

#include "cluster/digest.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"

#define ITEMS 20000u

static void
add(struct digest *d, unsigned n, uint64_t order, int64_t expiry, uint8_t marks)
{
	char key[32];
	int len = snprintf(key, sizeof(key), "key-%u", n);
	struct digest_item item = {
	    .key = slice_of(key, (size_t)len), .order = order, .expiry = expiry, .marks = marks};

	digest_add(d, &item);
}

static unsigned
part(uint64_t seed, unsigned n)
{
	char key[32];
	int len = snprintf(key, sizeof(key), "key-%u", n);

	return digest_part(seed, slice_of(key, (size_t)len));
}

static void
order_does_not_matter(void **state)
{
	static struct digest a, b;
	struct digest_set set;

	(void)state;
	digest_init(&a, 9);
	digest_init(&b, 9);
	for (unsigned i = 0; i < ITEMS; i++) {
		add(&a, i, i * 3 + 1, i % 5, (uint8_t)(i % 3));
		add(&b, ITEMS - 1 - i, (ITEMS - 1 - i) * 3 + 1, (ITEMS - 1 - i) % 5,
		    (uint8_t)((ITEMS - 1 - i) % 3));
	}
	assert_int_equal(digest_differ(&a, &b, &set), 0);
	assert_int_equal(a.items, ITEMS);
	for (unsigned i = 0; i < DIGEST_PARTS; i++)
		assert_false(digest_set_has(&set, i));
}

static void
each_difference_shows(void **state)
{
	static struct digest a, b;
	struct digest_set set;
	struct random_state r;

	(void)state;
	random_init(&r);
	for (int round = 0; round < 2000; round++) {
		uint64_t seed = random_next(&r);
		unsigned what = (unsigned)random_below(&r, 4);

		digest_init(&a, seed);
		digest_init(&b, seed);
		for (unsigned i = 0; i < 50; i++)
			add(&a, i, 100 + i, 0, 0);
		for (unsigned i = what == 3 ? 1 : 0; i < 50; i++)
			add(&b, i, 100 + i + (i == 0 && what == 0), i == 0 && what == 1,
			    i == 0 && what == 2);
		assert_int_equal(digest_differ(&a, &b, &set), 1);
		assert_true(digest_set_has(&set, part(seed, 0)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(order_does_not_matter),
	    cmocka_unit_test(each_difference_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
