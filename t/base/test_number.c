/* t/base/test_number.c: the number parser at every edge that it has, and the output beside snprintf. */
#include "base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "t/lib/random.h"
#include "t/lib/unit.h"

#define RANDOM_ROUNDS 200000

/* Text that ends where readable memory ends, so that a look past it is a crash. */
static char *edge_page;
static size_t edge_size;

static int
edge_setup(void **state)
{
	(void)state;
	edge_size = (size_t)sysconf(_SC_PAGESIZE);
	edge_page =
	    mmap(NULL, 2 * edge_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (edge_page == MAP_FAILED)
		return -1;
	return mprotect(edge_page + edge_size, edge_size, PROT_NONE);
}

static int
edge_teardown(void **state)
{
	(void)state;
	return munmap(edge_page, 2 * edge_size);
}

static struct slice
edge_slice(const char *text, size_t len)
{
	char *at = edge_page + edge_size - len;

	memcpy(at, text, len);
	return slice_of(at, len);
}

/* What the four parsers must say of a decimal text: digits, maybe with a '-' in front, of any length.
 * MAGNITUDE is exact where FITS. */
static void
check_all(const char *text, size_t len, bool valid, bool negative, bool fits, uint64_t magnitude)
{
	struct slice s = edge_slice(text, len);
	bool small = valid && fits;
	uint64_t u64 = 77;
	uint32_t u32 = 77;
	int64_t i64 = 77;
	int32_t i32 = 77;
	bool ok;

	ok = small && !negative;
	assert_int_equal(number_parse_u64(s, &u64), ok);
	assert_true(u64 == (ok ? magnitude : 77));

	ok = ok && magnitude <= UINT32_MAX;
	assert_int_equal(number_parse_u32(s, &u32), ok);
	assert_true(u32 == (ok ? magnitude : 77));

	ok = small && magnitude <= (negative ? (uint64_t)1 << 63 : (uint64_t)INT64_MAX);
	assert_int_equal(number_parse_i64(s, &i64), ok);
	assert_true((uint64_t)i64 == (ok ? (negative ? 0 - magnitude : magnitude) : 77));

	ok = small && magnitude <= (negative ? (uint64_t)1 << 31 : (uint64_t)INT32_MAX);
	assert_int_equal(number_parse_i32(s, &i32), ok);
	assert_true((uint64_t)(int64_t)i32 == (ok ? (negative ? 0 - magnitude : magnitude) : 77));
}

static void
check_magnitude(uint64_t v, bool negative)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "%s%" PRIu64, negative ? "-" : "", v);

	check_all(text, (size_t)n, true, negative, true, v);
	n = snprintf(text, sizeof(text), "%s000%" PRIu64, negative ? "-" : "", v);
	check_all(text, (size_t)n, true, negative, true, v);
}

static void
parse_every_power_of_two(void **state)
{
	(void)state;
	for (unsigned power = 0; power < 64; power++) {
		uint64_t v = (uint64_t)1 << power;

		for (uint64_t d = 0; d < 5; d++) {
			check_magnitude(v + d - 2, false);
			check_magnitude(v + d - 2, true);
		}
	}
	check_magnitude(UINT64_MAX, false);
	check_magnitude(UINT64_MAX, true);
}

static void
parse_every_power_of_ten(void **state)
{
	uint64_t v = 1;

	(void)state;
	for (unsigned power = 0; power < 20; power++, v *= 10) {
		for (uint64_t d = 0; d < 3; d++) {
			check_magnitude(v + d - 1, false);
			check_magnitude(v + d - 1, true);
		}
	}
}

static void
parse_too_large(void **state)
{
	static const char *const texts[] = {"18446744073709551616", "18446744073709551617",
	    "18446744073709551620", "18446744073709551625", "18446744073709551700",
	    "18446744073709552000", "20000000000000000000", "27670116110564327423",
	    "28446744073709551615", "36893488147419103231", "99999999999999999999",
	    "100000000000000000000", "184467440737095516150",
	    "340282366920938463463374607431768211456"};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int n = snprintf(text, sizeof(text), "-%s", texts[i]);

		check_all(text + 1, (size_t)n - 1, true, false, false, 0);
		check_all(text, (size_t)n, true, true, false, 0);
	}
}

static void
parse_refuses_all_else(void **state)
{
	static const char *const texts[] = {"", "-", "+", "+1", "--1", "-+1", " 1", "1 ", "1-",
	    "-1-", "\t1", "1\n", "1\r", "0x10", "1e3", "1.0", "1,000", "a", "-a", "12x", "x12",
	    "1 2", "- 1", "\xff", "\xb2", "1\xb9"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_all(texts[i], strlen(texts[i]), false, false, false, 0);
	check_all("1\0002", 3, false, false, false, 0);
	check_all("\0", 1, false, false, false, 0);
}

/* Every byte, alone, in front of and behind a digit. */
static void
parse_every_byte(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		bool digit = c >= '0' && c <= '9';
		uint64_t d = digit ? (uint64_t)c - '0' : 0;
		char alone[1] = {(char)c};
		char before[2] = {(char)c, '7'};
		char behind[2] = {'7', (char)c};

		check_all(alone, 1, digit, false, digit, d);
		check_all(behind, 2, digit, false, digit, 70 + d);
		if (c == '-')
			check_all(before, 2, true, true, true, 7);
		else
			check_all(before, 2, digit, false, digit, 10 * d + 7);
	}
}

static void
check_format(uint64_t v)
{
	char want[32];
	char got[32];
	int n = snprintf(want, sizeof(want), "%" PRIu64, v);
	char *end;

	memset(got, '#', sizeof(got));
	end = number_format_u64(got, v);
	assert_int_equal(end - got, n);
	assert_memory_equal(got, want, (size_t)n);
	assert_int_equal(got[n > 4 ? n : 4], '#'); /* the room that it is promised */
	memset(got, '#', sizeof(got));
	end = number_format_line(got, v);
	assert_int_equal(end - got, n + 2);
	assert_memory_equal(got, want, (size_t)n);
	assert_memory_equal(got + n, "\r\n", 2);
	assert_int_equal(got[n + 2 > 8 ? n + 2 : 8], '#');
	assert_int_equal(number_length_u64(v), (size_t)n);
	assert_true((size_t)n <= NUMBER_U64_MAX_LEN);
}

static void
format_boundaries(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < 100000; v++)
		check_format(v);
	for (unsigned power = 0; power < 64; power++) {
		for (uint64_t d = 0; d < 3; d++)
			check_format(((uint64_t)1 << power) + d - 1);
	}
	for (uint64_t v = 1, power = 0; power < 20; power++, v *= 10) {
		for (uint64_t d = 0; d < 3; d++)
			check_format(v + d - 1);
	}
	check_format(UINT64_MAX);
}

/* Random numbers of every length: written, compared, read back. */
static void
random_numbers(void **state)
{
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned i = 0; i < RANDOM_ROUNDS; i++) {
		uint64_t v = random_next(&r) >> random_below(&r, 64);

		check_format(v);
		check_magnitude(v, random_below(&r, 2) == 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse_every_power_of_two),
	    cmocka_unit_test(parse_every_power_of_ten),
	    cmocka_unit_test(parse_too_large),
	    cmocka_unit_test(parse_refuses_all_else),
	    cmocka_unit_test(parse_every_byte),
	    cmocka_unit_test(format_boundaries),
	    cmocka_unit_test(random_numbers),
	};

	return cmocka_run_group_tests(tests, edge_setup, edge_teardown);
}
