/* t/bench/test_histogram.c: buckets cover all values without gap, and quantiles beside sorted values. */
#include "bench/histogram.h"

#include "bench/random.h"
#include "t/lib/unit.h"

#define VALUES 20000

static struct histogram histogram;

static void
buckets_have_no_gap(void **state)
{
	(void)state;
	for (uint32_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
		uint64_t top = histogram_bucket_top(i);

		assert_int_equal(histogram_bucket(top), i);
		assert_int_equal(histogram_bucket(top + 1), i + 1);
	}
	assert_int_equal(
	    histogram_bucket_top(HISTOGRAM_BUCKETS - 1), (1ull << HISTOGRAM_MAX_BITS) - 1);
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void
buckets_are_narrow(void **state)
{
	(void)state;
	for (uint32_t i = 1; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t low = histogram_bucket_top(i - 1) + 1;
		uint64_t width = histogram_bucket_top(i) - low + 1;

		assert_true(width == 1 || width * HISTOGRAM_SUB <= low);
	}
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Spread over the decades from a nanosecond to ten minutes. */
static void
quantiles_match_sorted_values(void **state)
{
	static const double shares[] = {0, 0.001, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
	static uint64_t values[VALUES];
	struct random r;

	(void)state;
	random_init(&r, 7);
	histogram_clear(&histogram);
	for (size_t i = 0; i < VALUES; i++) {
		values[i] = random_u64(&r) >> (25 + random_below(&r, 38));
		histogram_record(&histogram, values[i]);
	}
	qsort(values, VALUES, sizeof(values[0]), compare);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		double rank = shares[i] * VALUES;
		uint64_t exact = values[rank <= 1 ? 0 : (size_t)(rank + 0.999999) - 1];
		uint64_t got = histogram_quantile(&histogram, shares[i]);

		assert_true(got >= exact);
		assert_true(got - exact <= exact / HISTOGRAM_SUB + 1);
	}
	assert_int_equal(histogram_quantile(&histogram, 1), values[VALUES - 1]);
}

static void
empty_gives_zero(void **state)
{
	(void)state;
	histogram_clear(&histogram);
	assert_int_equal(histogram_quantile(&histogram, 0.99), 0);
	assert_true(histogram_mean(&histogram) <= 0);
}

static void
differences_are_what_came_since(void **state)
{
	static struct histogram earlier;

	(void)state;
	histogram_clear(&histogram);
	histogram_record(&histogram, 1000000);
	histogram_clear(&earlier);
	histogram_add(&earlier, &histogram);
	histogram_record(&histogram, 50);
	histogram_record(&histogram, 70);
	histogram_subtract(&histogram, &earlier);
	assert_int_equal(histogram.total, 2);
	assert_int_equal(histogram.max, 70);
	assert_int_equal(histogram_quantile(&histogram, 0.5), 50);
	assert_true(histogram_mean(&histogram) > 59.9 && histogram_mean(&histogram) < 60.1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(buckets_have_no_gap),
	    cmocka_unit_test(buckets_are_narrow),
	    cmocka_unit_test(quantiles_match_sorted_values),
	    cmocka_unit_test(empty_gives_zero),
	    cmocka_unit_test(differences_are_what_came_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
