/* t/proto/test_plain.c: what is recognised without a parser is what the parsers say of the same bytes, wherever the bytes
 * end and whatever stands in place of one of them. */
#include "proto/binary.h"
#include "proto/classic.h"
#include "proto/plain_read.h"
#include "t/lib/unit.h"
#include "t/proto/wire.h"

static const struct parse_limits limits = {
    .item_size_max = 1 << 20, .item_overhead = 56, .inline_value_max = 64 << 10};

static struct command command;
static struct parse_error error;

static void
same_key(struct slice a, struct slice b)
{
	assert_ptr_equal(a.ptr, b.ptr);
	assert_int_equal(a.len, b.len);
}

/* What plain_get or plain_mg takes, whole = USED bytes of WINDOW, classic_parse takes as OP. */
static void
agrees_text(struct slice window, size_t used, struct slice key, enum opcode op)
{
	if (used == 0)
		return;
	assert_int_equal(classic_parse(window, &limits, &command, &error), PARSE_COMMAND);
	assert_int_equal(command.op, op);
	assert_int_equal(command.used, used);
	same_key(command.key, key);
}

static void
agrees_set(struct slice window)
{
	struct plain_set set;
	size_t used = classic_plain_set(window, &limits, &set);

	agrees_text(window, used, set.key, OP_SET);
	if (used == 0)
		return;
	assert_false(command.noreply);
	same_key(command.value, set.value);
	assert_int_equal(command.client_flags, set.client_flags);
	assert_int_equal(command.exptime, set.exptime);
}

/* A get of any number of keys; of those that classic_parse takes it takes all whose first key stands right behind the name. */
static void
agrees_keys(struct slice window)
{
	struct slice keys, word;
	size_t used = classic_plain_keys(window, &keys);

	if (used == 0) {
		assert_false(classic_parse(window, &limits, &command, &error) == PARSE_COMMAND &&
		    command.op == OP_GET && (unsigned char)window.ptr[4] > ' ');
		return;
	}
	assert_ptr_equal(keys.ptr, window.ptr + 4);
	assert_true(proto_token_next(&keys, &word));
	agrees_text(window, used, word, OP_GET);
	assert_false(command.noreply);
	same_key(command.rest, keys);
}

static void
agrees_binary(struct slice window)
{
	struct slice key;
	size_t used = plain_binary(window.ptr, window.ptr + window.len, &key);
	struct binary_request request;

	if (used == 0)
		return;
	request = plain_binary_request(key);
	assert_int_equal(binary_parse(window, &limits, &command, &error), PARSE_COMMAND);
	assert_int_equal(command.op, OP_BIN_GET);
	assert_int_equal(command.used, used);
	same_key(command.key, key);
	assert_int_equal(command.binary.opaque, request.opaque);
	assert_int_equal(command.binary.opcode, request.opcode);
	assert_int_equal(command.binary.with_key, request.with_key);
	assert_int_equal(command.noreply, plain_binary_quiet(&request));
}

static void
agree(struct slice bytes)
{
	struct slice window = wire_edge(bytes), key;
	const char *p = window.ptr, *end = p + window.len;
	size_t used = plain_get(p, end, &key);

	agrees_text(window, used, key, OP_GET);
	if (used > 0)
		assert_int_equal(command.rest.len, 0);
	used = plain_mg(p, end, &key);
	agrees_text(window, used, key, OP_MG);
	agrees_keys(window);
	agrees_set(window);
	agrees_binary(window);
}

/* BYTES cut short everywhere, and with each byte changed into each of a few. */
static void
agree_changed(struct slice bytes)
{
	static const char others[] = " \r\n\t\0"
				     "0av\x80\xff";
	char copy[300];

	for (size_t n = 0; n <= bytes.len; n++)
		agree(slice_of(bytes.ptr, n));
	for (size_t i = 0; i < bytes.len; i++) {
		memcpy(copy, bytes.ptr, bytes.len);
		for (size_t other = 0; other < sizeof(others) - 1; other++) {
			copy[i] = others[other];
			agree(slice_of(copy, bytes.len));
		}
	}
}

static void
plain_forms_agree_with_the_parsers(void **state)
{
	(void)state;
	agree_changed(SLICE_LITERAL("get k\r\nget key_of_twenty_bytes\r\n"));
	agree_changed(SLICE_LITERAL("get k key_of_twenty_bytes\r\nmn\r\n"));
	agree_changed(SLICE_LITERAL("get  k  l \r\n"));
	agree_changed(SLICE_LITERAL("get k l\nget m\n"));
	agree_changed(SLICE_LITERAL("mg key_of_twenty_bytes v\r\nmn\r\n"));
	agree_changed(SLICE_LITERAL("mg key v f s t c k q Oopaque\r\n"));
	agree_changed(SLICE_LITERAL("mg k\r\nmg k\r\n"));
	agree_changed(SLICE_LITERAL("set key 0 0 5\r\nvalue\r\nget key\r\n"));
	agree_changed(
	    SLICE_LITERAL("set key_of_twenty_bytes 4294967295 1000 10\r\n0123456789\r\n"));
	agree_changed(SLICE_LITERAL("\x80\0\0\3\0\0\0\0\0\0\0\3\1\2\3\4\0\0\0\0\0\0\0\0key"));
	agree_changed(SLICE_LITERAL("\x80\x0d\0\3\0\0\0\0\0\0\0\3\1\2\3\4\0\0\0\0\0\0\0\0key"));
}

/* Keys of the longest lengths, as the first and as a later one. */
static void
plain_keys_are_not_too_long(void **state)
{
	char line[2 * PROTO_KEY_MAX + 64];

	(void)state;
	for (size_t n = PROTO_KEY_MAX - 2; n <= PROTO_KEY_MAX + 2; n++) {
		size_t len = 0;

		memcpy(line, "get ", 4);
		memset(line + 4, 'a', n);
		memcpy(line + 4 + n, " b ", 3);
		memset(line + 7 + n, 'c', n);
		memcpy(line + 7 + 2 * n, "\r\n", 2);
		len = 9 + 2 * n;
		agree(slice_of(line, len));
		line[4 + n / 2] = ' ';
		agree(slice_of(line, len));
		line[7 + n + n / 2] = ' ';
		agree(slice_of(line, len));
	}
}

/* They take what they are for. */
static void
plain_forms_are_taken(void **state)
{
	struct slice get = SLICE_LITERAL("get k\r\n"), mg = SLICE_LITERAL("mg k v q\r\n"), key;
	struct slice binary =
	    SLICE_LITERAL("\x80\x09\0\1\0\0\0\0\0\0\0\1\1\2\3\4\0\0\0\0\0\0\0\0k");
	struct slice whole = SLICE_LITERAL("set k 1 2 3\r\nabc\r\n");
	struct slice keys = SLICE_LITERAL("get k l m\r\n");
	struct plain_set set;

	(void)state;
	assert_int_equal(classic_plain_keys(keys, &key), keys.len);
	assert_int_equal(plain_get(get.ptr, get.ptr + get.len, &key), get.len);
	assert_int_equal(plain_mg(mg.ptr, mg.ptr + mg.len, &key), mg.len);
	assert_int_equal(plain_binary(binary.ptr, binary.ptr + binary.len, &key), binary.len);
	assert_int_equal(classic_plain_set(whole, &limits, &set), whole.len);
	assert_int_equal(set.client_flags, 1);
	assert_int_equal(set.exptime, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain_forms_agree_with_the_parsers),
	    cmocka_unit_test(plain_keys_are_not_too_long),
	    cmocka_unit_test(plain_forms_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
