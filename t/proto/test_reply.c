/* t/proto/test_reply.c: every formatter, byte for byte, and never more bytes than its maximum. */
#include <inttypes.h>

#include "proto/base64.h"
#include "proto/binary.h"
#include "proto/reply.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"
#include "t/proto/wire.h"

static char room[4096];

static void
expect(const char *end, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(end - room, len);
	assert_memory_equal(room, text, len);
}

static void
classic_lines(void **state)
{
	struct slice key = SLICE_LITERAL("key");

	(void)state;
	expect(reply_value(room, key, 0, 0), "VALUE key 0 0\r\n");
	expect(reply_value(room, key, 42, 1048500), "VALUE key 42 1048500\r\n");
	expect(reply_value_cas(room, key, UINT32_MAX, 9, UINT64_MAX),
	    "VALUE key 4294967295 9 18446744073709551615\r\n");
	expect(reply_number(room, 0), "0\r\n");
	expect(reply_number(room, UINT64_MAX), "18446744073709551615\r\n");
	expect(reply_stat(room, SLICE_LITERAL("pid"), SLICE_LITERAL("1")), "STAT pid 1\r\n");
	expect(reply_slice(room, REPLY_END), "END\r\n");
	assert_int_equal(REPLY_STORED.len, 8);
}

static void
maximum_is_enough(void **state)
{
	char bytes[PROTO_KEY_MAX];
	struct slice key = {bytes, sizeof(bytes)};

	(void)state;
	memset(bytes, 'k', sizeof(bytes));
	assert_int_equal(
	    reply_value_cas(room, key, UINT32_MAX, UINT32_MAX, UINT64_MAX) - room, REPLY_VALUE_MAX);
	assert_int_equal(reply_number(room, UINT64_MAX) - room, REPLY_NUMBER_MAX);
	assert_int_equal(
	    reply_stat(room, SLICE_LITERAL("a"), SLICE_LITERAL("b")) - room, 2 + REPLY_STAT_EXTRA);
}

/* ---------------------------------------------------------------- meta */

static struct command command;

static void
parse(const char *line)
{
	struct parse_error error;

	assert_int_equal(
	    wire_parse(WIRE_TEXT, wire_edge(slice_of(line, strlen(line))), &command, &error),
	    PARSE_COMMAND);
}

static const struct meta_facts facts = {
    .cas = 77,
    .ttl = 30,
    .size = 2,
    .flags = 5,
    .age = 3,
    .fetched = true,
};

static void
meta_get(void **state)
{
	struct meta_facts f = facts;

	(void)state;
	parse("mg a\r\n");
	expect(reply_meta(room, META_HD, &command, &f), "HD\r\n");
	expect(reply_meta(room, META_EN, &command, NULL), "EN\r\n");
	parse("mg a s t f k h l Oabc v\r\n");
	expect(reply_meta(room, META_VA, &command, &f), "VA 2 s2 t30 f5 ka h1 l3 Oabc\r\n");
	expect(reply_meta(room, META_EN, &command, NULL), "EN ka Oabc\r\n");
	parse("mg a h q k c N1 R1 T1 u P L\r\n");
	expect(reply_meta(room, META_HD, &command, &f), "HD h1 ka c77\r\n");
	parse("mg a t\r\n");
	f.ttl = -1;
	expect(reply_meta(room, META_HD, &command, &f), "HD t-1\r\n");
	f.ttl = 0;
	f.others_won = true;
	expect(reply_meta(room, META_HD, &command, &f), "HD t0 Z\r\n");
	f.stale = true;
	expect(reply_meta(room, META_HD, &command, &f), "HD t0 Z X\r\n");
	f.won = true;
	expect(reply_meta(room, META_HD, &command, &f), "HD t0 Z X W\r\n");
}

static void
meta_keys_in_base64(void **state)
{
	struct meta_facts f = facts;

	(void)state;
	parse("mg foo k O1\r\n");
	f.binary_key = true;
	expect(reply_meta(room, META_HD, &command, &f), "HD kZm9v b O1\r\n");
	parse("mg Zm9v b k\r\n");
	f.binary_key = false;
	expect(reply_meta(room, META_HD, &command, &f), "HD kZm9v b\r\n");
	expect(reply_meta(room, META_EN, &command, NULL), "EN kZm9v b\r\n");
	parse("md AAE= k b\r\n");
	expect(reply_meta(room, META_HD, &command, NULL), "HD kAAE= b\r\n");
}

static void
meta_set_flags(void **state)
{
	const struct meta_facts f = {.cas = 9, .size = 4};

	(void)state;
	parse("ms a 2 k c Ox s MA t f h l v\r\nhi\r\n");
	expect(reply_meta(room, META_HD, &command, &f), "HD ka c9 Ox s4\r\n");
	expect(reply_meta(room, META_NS, &command, NULL), "NS ka c0 Ox s2\r\n");
	parse("md a k c Ox s t\r\n");
	expect(reply_meta(room, META_NF, &command, NULL), "NF ka Ox\r\n");
	expect(reply_meta(room, META_EX, &command, &f), "EX ka Ox\r\n");
}

static void
meta_arithmetic(void **state)
{
	(void)state;
	parse("ma a c t k O1 s f\r\n");
	expect(reply_meta_number(room, &command, &facts, 10), "HD c77 t30 ka O1\r\n");
	expect(reply_meta(room, META_NF, &command, NULL), "NF ka O1\r\n");
	parse("ma a v c\r\n");
	expect(reply_meta_number(room, &command, &facts, 10), "VA 2 c77\r\n10\r\n");
	expect(reply_meta_number(room, &command, &facts, UINT64_MAX),
	    "VA 20 c77\r\n18446744073709551615\r\n");
}

static void
quiet(void **state)
{
	static const struct {
		const char *line;
		unsigned hidden; /* 1 << meta_code */
	} rows[] = {
	    {"mg a q\r\n", 1u << META_EN},
	    {"mg a v\r\n", 0},
	    {"ms a 1 q\r\nx\r\n", 1u << META_HD},
	    {"ms a 1\r\nx\r\n", 0},
	    {"md a q\r\n", 1u << META_HD},
	    {"ma a q\r\n", 1u << META_HD | 1u << META_VA},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		parse(rows[i].line);
		for (enum meta_code code = META_HD; code <= META_NF; code++)
			assert_int_equal(
			    reply_meta_quiet(&command, code), rows[i].hidden >> code & 1);
	}
}

static void
meta_debug(void **state)
{
	struct meta_facts f = facts;

	(void)state;
	parse("me foo\r\n");
	expect(reply_me(room, &command, &f, 1, 63),
	    "ME foo exp=30 la=3 cas=77 fetch=yes cls=1 size=63\r\n");
	parse("me Zm9v b\r\n");
	expect(reply_me(room, &command, &f, 1, 63),
	    "ME Zm9v exp=30 la=3 cas=77 fetch=yes cls=1 size=63\r\n");
	parse("me foo\r\n");
	f.ttl = -1;
	f.fetched = false;
	f.binary_key = true;
	expect(reply_me(room, &command, &f, 12, 63),
	    "ME Zm9v exp=-1 la=3 cas=77 fetch=no cls=12 size=63\r\n");
}

static void
meta_maximum_is_enough(void **state)
{
	static const struct meta_facts most = {
	    .cas = UINT64_MAX,
	    .ttl = INT64_MAX,
	    .size = UINT32_MAX,
	    .flags = UINT32_MAX,
	    .age = UINT32_MAX,
	    .won = true,
	    .stale = true,
	    .others_won = true,
	    .binary_key = true,
	};
	char line[500];
	size_t n = (size_t)snprintf(line, sizeof(line), "mg %0250d", 1);

	(void)state;
	(void)snprintf(
	    line + n, sizeof(line) - n, " s t c f l h k v Oxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
	parse(line);
	assert_true(reply_meta(room, META_VA, &command, &most) - room <= REPLY_META_MAX);
	assert_true(reply_me(room, &command, &most, UINT32_MAX, SIZE_MAX) - room <= REPLY_ME_MAX);
}

/* ---------------------------------------------------------------- base64 */

static void
base64_there_and_back(void **state)
{
	struct random_state r;
	char text[400], back[400];

	(void)state;
	random_init(&r);
	for (size_t len = 1; len <= 250; len++) {
		char bytes[250];
		char *end;

		for (size_t i = 0; i < len; i++)
			bytes[i] = (char)random_next(&r);
		end = base64_encode(text, slice_of(bytes, len));
		assert_int_equal(end - text, BASE64_ENCODED_LEN(len));
		assert_int_equal(base64_decode(back, slice_of(text, (size_t)(end - text))), len);
		assert_memory_equal(back, bytes, len);
	}
}

/* ---------------------------------------------------------------- binary */

static void
binary_command(uint8_t opcode, bool with_key)
{
	command.key = SLICE_LITERAL("key");
	command.binary =
	    (struct binary_request){.opaque = 0x01020304, .opcode = opcode, .with_key = with_key};
}

static void
expect_bytes(const char *end, struct slice bytes)
{
	assert_int_equal(end - room, bytes.len);
	assert_memory_equal(room, bytes.ptr, bytes.len);
}

static void
binary_replies(void **state)
{
	(void)state;
	binary_command(0x00, false);
	expect_bytes(reply_binary_value(room, &command.binary, command.key, 0xdeadbeef, 5, 0x0102),
	    SLICE_LITERAL(
		"\x81\x00\0\0\4\0\0\0\0\0\0\x09\1\2\3\4\0\0\0\0\0\0\1\2\xde\xad\xbe\xef"));
	expect_bytes(reply_binary_status(room, &command, BINARY_STATUS_KEY_ENOENT, 0),
	    SLICE_LITERAL("\x81\x00\0\0\0\0\0\1\0\0\0\x09\1\2\3\4\0\0\0\0\0\0\0\0Not found"));
	binary_command(0x0c, true);
	expect_bytes(reply_binary_value(room, &command.binary, command.key, 0, 0, 1),
	    SLICE_LITERAL("\x81\x0c\0\3\4\0\0\0\0\0\0\x07\1\2\3\4\0\0\0\0\0\0\0\1\0\0\0\0key"));
	expect_bytes(reply_binary_status(room, &command, BINARY_STATUS_KEY_ENOENT, 0),
	    SLICE_LITERAL("\x81\x0c\0\3\0\0\0\1\0\0\0\x03\1\2\3\4\0\0\0\0\0\0\0\0key"));
	binary_command(0x01, false);
	expect_bytes(reply_binary_status(room, &command, BINARY_STATUS_OK, 7),
	    SLICE_LITERAL("\x81\x01\0\0\0\0\0\0\0\0\0\0\1\2\3\4\0\0\0\0\0\0\0\7"));
	binary_command(0x05, false);
	expect_bytes(reply_binary_number(room, &command, 0x1122334455667788, 7),
	    SLICE_LITERAL("\x81\x05\0\0\0\0\0\0\0\0\0\x08\1\2\3\4\0\0\0\0\0\0\0\7"
			  "\x11\x22\x33\x44\x55\x66\x77\x88"));
	binary_command(0x0b, false);
	expect_bytes(reply_binary_text(room, &command, SLICE_LITERAL("1.6")),
	    SLICE_LITERAL("\x81\x0b\0\0\0\0\0\0\0\0\0\3\1\2\3\4\0\0\0\0\0\0\0\0"
			  "1.6"));
	binary_command(0x10, false);
	expect_bytes(reply_binary_stat(room, &command, SLICE_LITERAL("pid"), SLICE_LITERAL("42")),
	    SLICE_LITERAL("\x81\x10\0\3\0\0\0\0\0\0\0\5\1\2\3\4\0\0\0\0\0\0\0\0pid42"));
	expect_bytes(reply_binary_stat(room, &command, SLICE_LITERAL(""), SLICE_LITERAL("")),
	    SLICE_LITERAL("\x81\x10\0\0\0\0\0\0\0\0\0\0\1\2\3\4\0\0\0\0\0\0\0\0"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(classic_lines),
	    cmocka_unit_test(maximum_is_enough),
	    cmocka_unit_test(meta_get),
	    cmocka_unit_test(meta_keys_in_base64),
	    cmocka_unit_test(meta_set_flags),
	    cmocka_unit_test(meta_arithmetic),
	    cmocka_unit_test(quiet),
	    cmocka_unit_test(meta_debug),
	    cmocka_unit_test(meta_maximum_is_enough),
	    cmocka_unit_test(base64_there_and_back),
	    cmocka_unit_test(binary_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
