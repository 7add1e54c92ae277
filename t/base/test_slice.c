/* t/base/test_slice.c: slices compare by their bytes, whatever these are. */
#include "base/slice.h"

#include "t/lib/unit.h"

static void
literal_has_no_terminator(void **state)
{
	struct slice s = SLICE_LITERAL("END\r\n");

	(void)state;
	assert_int_equal(s.len, 5);
	assert_memory_equal(s.ptr, "END\r\n", 5);
	assert_int_equal(SLICE_LITERAL("").len, 0);
	assert_int_equal(SLICE_LITERAL("a\0b").len, 3);
}

static void
equal_by_bytes(void **state)
{
	(void)state;
	assert_true(slice_equal(SLICE_LITERAL("abc"), slice_of("abcd", 3)));
	assert_false(slice_equal(SLICE_LITERAL("abc"), SLICE_LITERAL("abd")));
	assert_false(slice_equal(SLICE_LITERAL("abc"), SLICE_LITERAL("ab")));
	assert_false(slice_equal(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
	assert_true(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0b")));
	assert_false(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0c")));
}

/* A slice of no bytes may point nowhere. */
static void
empty_is_empty(void **state)
{
	struct slice nowhere = {0};

	(void)state;
	assert_true(slice_equal(nowhere, nowhere));
	assert_true(slice_equal(nowhere, SLICE_LITERAL("")));
	assert_false(slice_equal(nowhere, SLICE_LITERAL("a")));
	assert_true(slice_is(nowhere, ""));
	assert_false(slice_is(nowhere, "a"));
}

static void
is_the_whole_string(void **state)
{
	(void)state;
	assert_true(slice_is(slice_of("getter", 3), "get"));
	assert_false(slice_is(slice_of("getter", 4), "get"));
	assert_false(slice_is(slice_of("getter", 2), "get"));
	assert_false(slice_is(SLICE_LITERAL("GET"), "get"));
	assert_false(slice_is(SLICE_LITERAL("get\0"), "get"));
}

/* Copies of all lengths take all that they should and nothing beside it. */
static void
copies_are_exact(void **state)
{
	char from[300], to[302];

	(void)state;
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)(i * 7 + i / 256);
	for (size_t n = 0; n <= sizeof(from); n++) {
		memset(to, '#', sizeof(to));
		bytes_copy(to + 1, from, n);
		assert_memory_equal(to + 1, from, n);
		assert_true(to[0] == '#' && to[n + 1] == '#');
		memset(to, '#', sizeof(to));
		assert_ptr_equal(slice_copy_short(to + 1, slice_of(from, n)), to + 1 + n);
		assert_memory_equal(to + 1, from, n);
		assert_true(to[0] == '#' && to[n + 1] == '#');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(literal_has_no_terminator),
	    cmocka_unit_test(copies_are_exact),
	    cmocka_unit_test(equal_by_bytes),
	    cmocka_unit_test(empty_is_empty),
	    cmocka_unit_test(is_the_whole_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
