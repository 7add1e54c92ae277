/* t/bench/test_dist.c: Zipf ranks beside their exact shares, and the distributions of sizes. */
#include "bench/dist.h"

#include <math.h>
#include <unistd.h>

#include "bench/random.h"
#include "bench/zipf.h"
#include "t/lib/unit.h"

#define DRAWS 1000000
#define RANKS 1000

/* Each of the first ranks, and all behind them, within five standard deviations of what the weights say. */
static void
check_zipf(double theta, uint64_t count)
{
	static uint64_t seen[RANKS];
	double sum = 0;
	struct random r;
	struct zipf z;

	memset(seen, 0, sizeof(seen));
	random_init(&r, 11);
	zipf_init(&z, count, theta);
	for (uint64_t i = 1; i <= count; i++)
		sum += pow((double)i, -theta);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t rank = zipf_draw(&z, &r);

		assert_true(rank < count);
		if (rank < RANKS)
			seen[rank]++;
	}
	for (uint64_t i = 0; i < RANKS && i < count; i++) {
		double expected = DRAWS * pow((double)i + 1, -theta) / sum;

		assert_true(fabs((double)seen[i] - expected) <= 5 * sqrt(expected) + 1);
	}
}

static void
zipf_ranks_have_their_shares(void **state)
{
	static const double thetas[] = {0.1, 0.5, 0.99, 1, 1.0000001, 1.2, 2, 10};

	(void)state;
	for (size_t i = 0; i < sizeof(thetas) / sizeof(thetas[0]); i++) {
		check_zipf(thetas[i], 1);
		check_zipf(thetas[i], 2);
		check_zipf(thetas[i], 100000);
	}
}

/* The share of draws up to LIMIT. */
static double
share_up_to(const struct dist *d, uint32_t limit)
{
	struct random r;
	int below = 0;

	random_init(&r, 5);
	for (int i = 0; i < DRAWS; i++) {
		uint32_t value = dist_at(d, random_u64(&r));

		assert_true(value <= dist_max(d));
		below += value <= limit;
	}
	return (double)below / DRAWS;
}

static void
check_share(const char *text, uint32_t limit, double expected)
{
	const char *why;
	struct dist d;

	assert_true(dist_parse(&d, text, &why));
	assert_true(fabs(share_up_to(&d, limit) - expected) < 0.005);
	dist_fini(&d);
}

static void
sizes_have_their_shares(void **state)
{
	(void)state;
	check_share("32", 31, 0);
	check_share("32", 32, 1);
	check_share("uniform:10-19", 9, 0);
	check_share("uniform:10-19", 14, 0.5);
	check_share("uniform:10-19", 19, 1);
	check_share("loguniform:10-999", 99, 0.5);
	check_share("loguniform:1-1", 1, 1);
	check_share("lognormal:500,1", 500, 0.5);
	check_share("lognormal:500,1,1000", 999, 0.7559);
}

static void
files_weigh_their_lines(void **state)
{
	char path[] = "/tmp/test_dist.XXXXXX";
	char text[64];
	int fd = mkstemp(path);
	static const char lines[] = "# sizes\n10 1\n\n20 6\n30\n40 2\n";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, lines, sizeof(lines) - 1), sizeof(lines) - 1);
	snprintf(text, sizeof(text), "file:%s", path);
	check_share(text, 9, 0);
	check_share(text, 10, 0.1);
	check_share(text, 20, 0.7);
	check_share(text, 30, 0.8);
	check_share(text, 40, 1);
	assert_int_equal(unlink(path), 0);
	(void)close(fd);
}

static void
wrong_texts_are_refused(void **state)
{
	static const char *const texts[] = {"", "x", "-1", "10x", "1073741825",
	    "uniform:", "uniform:5", "uniform:9-8", "loguniform:0-9", "lognormal:5",
	    "lognormal:0,1", "lognormal:5,-1", "lognormal:5,1,x", "file:/nonexistent",
	    "file:/dev/null", "zipf:1"};
	const char *why = NULL;
	struct dist d;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_false(dist_parse(&d, texts[i], &why));
		assert_non_null(why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zipf_ranks_have_their_shares),
	    cmocka_unit_test(sizes_have_their_shares),
	    cmocka_unit_test(files_weigh_their_lines),
	    cmocka_unit_test(wrong_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
