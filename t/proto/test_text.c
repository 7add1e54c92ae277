/* t/proto/test_text.c: the small parts of the text parsers: numbers at their limits, words, the search for a byte. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/text.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"
#include "t/proto/wire.h"

/* The text of V, at the edge of what can be read. */
static struct slice
edge_text(const char *text)
{
	return wire_edge(slice_of(text, strlen(text)));
}

/* Every power of two and its neighbours: what the strict functions take, and no more. */
static void
powers_of_two(void **state)
{
	char text[30];

	(void)state;
	for (unsigned shift = 0; shift < 64; shift++) {
		for (uint64_t v = (UINT64_C(1) << shift) - 1; v <= (UINT64_C(1) << shift) + 1;
		     v++) {
			uint64_t u64;
			uint32_t u32;
			int32_t i32;
			int64_t i64;

			(void)snprintf(text, sizeof(text), "%" PRIu64, v);
			assert_true(text_u64(edge_text(text), &u64) && u64 == v);
			assert_true(text_lenient_u32(edge_text(text), &u32) && u32 == (uint32_t)v);
			assert_int_equal(text_u32(edge_text(text), &u32), v <= UINT32_MAX);
			assert_int_equal(text_i32(edge_text(text), &i32), v <= INT32_MAX);
			assert_int_equal(text_i64(edge_text(text), &i64), v <= INT64_MAX);
			assert_int_equal(text_lenient_i32(edge_text(text), &i32), v <= INT64_MAX);
			(void)snprintf(text, sizeof(text), "-%" PRIu64, v);
			assert_false(text_u64(edge_text(text), &u64));
			assert_int_equal(
			    text_i32(edge_text(text), &i32), v <= (uint64_t)INT32_MAX + 1);
			assert_int_equal(
			    text_i64(edge_text(text), &i64), v <= (uint64_t)INT64_MAX + 1);
			assert_int_equal(
			    text_lenient_i32(edge_text(text), &i32), v <= (uint64_t)INT64_MAX + 1);
		}
	}
}

static void
limits_of_length(void **state)
{
	uint64_t u64;
	uint32_t u32;
	int32_t i32;

	(void)state;
	assert_true(text_u32(edge_text("00000000001"), &u32));
	assert_false(text_u32(edge_text("000000000001"), &u32));
	assert_true(text_i32(edge_text("-0000000001"), &i32));
	assert_false(text_i32(edge_text("-00000000001"), &i32));
	assert_true(text_u64(edge_text("0000000000000000000001"), &u64));
	assert_false(text_u64(edge_text("00000000000000000000001"), &u64));
	assert_false(text_u64(edge_text("18446744073709551616"), &u64));
	assert_false(text_u64(edge_text(""), &u64));
	assert_false(text_i32(edge_text("-"), &i32));
	assert_true(text_lenient_u32(edge_text("000000000000000000000000000000000001"), &u32));
}

static void
what_strtol_forgives(void **state)
{
	static const struct {
		const char *text;
		bool good;
		int32_t value;
	} rows[] = {
	    {"+5", true, 5},
	    {"\t 5", true, 5},
	    {"5\t", true, 5},
	    {"5\v6", true, 5},
	    {"-0", true, 0},
	    {"-5", true, -5},
	    {"", false, 0},
	    {"+", false, 0},
	    {"-", false, 0},
	    {"+-5", false, 0},
	    {"5x", false, 0},
	    {"0x5", false, 0},
	    {"- 5", false, 0},
	    {"\t", false, 0},
	};
	int32_t v;
	uint32_t u;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(text_lenient_i32(edge_text(rows[i].text), &v), rows[i].good);
		if (rows[i].good)
			assert_int_equal(v, rows[i].value);
	}
	assert_true(text_lenient_i32(wire_edge(SLICE_LITERAL("5\0x")), &v) && v == 5);
	assert_false(text_lenient_u32(edge_text("-1"), &u));
	assert_true(text_lenient_u32(edge_text("-0"), &u) && u == 0);
	assert_true(text_lenient_u32(edge_text("-18446744073709551615"), &u) && u == 1);
	assert_false(text_lenient_u32(edge_text("-18446744073709551616"), &u));
}

/* Each length, each place of what is looked for, and nothing of it behind the end or in front of the beginning. */
static void
find_anywhere(void **state)
{
	char bytes[80];

	(void)state;
	for (size_t len = 0; len <= 70; len++) {
		for (size_t from = 0; from <= len; from++) {
			for (size_t at = 0; at <= len; at++) {
				struct slice s;
				const char *found;

				memset(bytes, 'x', sizeof(bytes));
				memset(bytes, ' ', from); /* in front of where it looks */
				if (at < len)
					bytes[at] = at % 2 == 0 ? ' ' : '\n';
				s = wire_edge(slice_of(bytes, len));
				found = text_find(s.ptr, s.ptr + from, s.ptr + len, ' ', '\n');
				assert_int_equal(found - s.ptr, at >= from ? at : len);
				found = text_break(s.ptr, s.ptr + from, s.ptr + len);
				assert_int_equal(found - s.ptr, at >= from ? at : len);
			}
		}
	}
}

static void
words_of_a_line(void **state)
{
	struct slice rest = wire_edge(
			 SLICE_LITERAL("  one two   a-word-of-more-than-sixteen-bytes\t3 ")),
		     word;
	struct words words;

	(void)state;
	assert_true(proto_token_next(&rest, &word) && slice_is(word, "one"));
	assert_true(proto_token_next(&rest, &word) && slice_is(word, "two"));
	assert_true(proto_token_next(&rest, &word) &&
	    slice_is(word, "a-word-of-more-than-sixteen-bytes\t3"));
	assert_false(proto_token_next(&rest, &word));
	assert_false(proto_token_next(&rest, &word));
	text_split(
	    SLICE_LITERAL("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 noreply 24"),
	    &words);
	assert_int_equal(words.count, 23);
	assert_true(text_noreply(&words));
	text_split(SLICE_LITERAL("   "), &words);
	assert_int_equal(words.count, 0);
	assert_false(text_noreply(&words));
}

/* What ends a key: a blank and every control byte, nothing else. */
static void
break_at_each_byte(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char bytes[20];

		memset(bytes, 'x', sizeof(bytes));
		bytes[3] = bytes[17] = (char)c;
		for (size_t len = 4; len <= sizeof(bytes); len += 16) {
			struct slice s = wire_edge(slice_of(bytes, len));
			const char *found = text_break(s.ptr, s.ptr + 1, s.ptr + len);

			assert_int_equal(found - s.ptr, c <= ' ' ? 3 : len);
		}
	}
}

/* Many words at once are the same as one by one, wherever they lie and however many are wanted. */
static void
words_at_once(void **state)
{
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 20000; round++) {
		char bytes[300];
		size_t len = random_below(&r, 4) == 0 ? 64 * random_below(&r, 5)
						      : random_below(&r, sizeof(bytes) + 1);
		uint32_t rarity = (uint32_t)random_below(&r, 30) + 2;
		unsigned max = (unsigned)random_below(&r, 40) + 1, n;
		struct slice rest, again, words[40], word;

		for (size_t i = 0; i < len; i++)
			bytes[i] = random_below(&r, rarity) == 0 ? ' ' : 'a';
		rest = again = wire_edge(slice_of(bytes, len));
		do {
			n = proto_tokens_next(&rest, words, max);
			for (unsigned i = 0; i < n; i++) {
				assert_true(proto_token_next(&again, &word));
				assert_ptr_equal(words[i].ptr, word.ptr);
				assert_int_equal(words[i].len, word.len);
			}
		} while (n == max);
		assert_int_equal(rest.len, 0);
		assert_ptr_equal(rest.ptr, again.ptr + again.len);
		assert_false(proto_token_next(&again, &word));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(powers_of_two),
	    cmocka_unit_test(limits_of_length),
	    cmocka_unit_test(what_strtol_forgives),
	    cmocka_unit_test(find_anywhere),
	    cmocka_unit_test(break_at_each_byte),
	    cmocka_unit_test(words_of_a_line),
	    cmocka_unit_test(words_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
