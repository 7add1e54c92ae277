/* t/proto/test_binary.c: binary requests: every opcode, every length that lies. */
#include <stdlib.h>

#include "base/assert.h"
#include "proto/binary.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"
#include "t/proto/wire.h"

/* A request under construction; the lengths are what it claims. */
struct request {
	uint8_t opcode;
	uint16_t key_length;
	uint8_t extras_length;
	uint32_t body_length;
	uint64_t cas;
	const char *body;
	size_t sent; /* bytes of BODY */
};

static void
put(char *p, uint64_t v, unsigned bytes)
{
	while (bytes-- > 0) {
		p[bytes] = (char)v;
		v >>= 8;
	}
}

static size_t
encode(char *p, const struct request *r)
{
	memset(p, 0, 24);
	p[0] = (char)0x80;
	p[1] = (char)r->opcode;
	put(p + 2, r->key_length, 2);
	p[4] = (char)r->extras_length;
	put(p + 8, r->body_length, 4);
	put(p + 12, 0xdeadbeef, 4);
	put(p + 16, r->cas, 8);
	if (r->sent > 0)
		memcpy(p + 24, r->body, r->sent);
	return 24 + r->sent;
}

#define EXTRAS4  "\0\0\0\x0a"
#define EXTRAS8  "\0\0\0\x05\0\0\0\x0a"
#define EXTRAS20 "\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x07\xff\xff\xff\xff"

/* An honest request: the body is EXTRAS bytes, a key of KEY bytes and the value. */
#define HONEST(op, extras, key, text)                                                              \
	{                                                                                          \
		.opcode = (op), .extras_length = (extras), .key_length = (key),                    \
		.body_length = sizeof(text) - 1, .body = (text), .sent = sizeof(text) - 1          \
	}

/* One that claims other lengths than it sends. */
#define CLAIMS(op, extras, key, length, text)                                                      \
	{                                                                                          \
		.opcode = (op), .extras_length = (extras), .key_length = (key),                    \
		.body_length = (length), .body = (text), .sent = sizeof(text) - 1                  \
	}

struct example {
	struct request request;
	const char *transcript;
};

/* Each alone, then with a NOOP behind it and in front of it. */
static void
check_examples(const struct example *examples, size_t count, bool exact)
{
	static const struct request noop = HONEST(0x0a, 0, 0, "");
	static char stream[2000];
	char expected[2000];

	for (size_t i = 0; i < count; i++) {
		const char *text = examples[i].transcript;
		bool ends = strchr(text, '#') != NULL || strcmp(text, "BIN_QUIT") == 0 ||
		    strcmp(text, "BIN_QUIT noreply") == 0;
		size_t n = encode(stream, &noop);
		size_t m = encode(stream + n, &examples[i].request);

		wire_check(WIRE_BINARY, slice_of(stream + n, m), text);
		wire_check_prefixes(WIRE_BINARY, slice_of(stream + n, m));
		if (!exact)
			continue;
		m += encode(stream + n + m, &noop);
		(void)snprintf(
		    expected, sizeof(expected), "BIN_NOOP | %s%s", text, ends ? "" : " | BIN_NOOP");
		wire_check(WIRE_BINARY, slice_of(stream, n + m), expected);
	}
}

#define CHECK_EXAMPLES(examples, exact)                                                            \
	check_examples(examples, sizeof(examples) / sizeof((examples)[0]), exact)

static void
every_opcode(void **state)
{
	static const struct example examples[] = {
	    {HONEST(0x00, 0, 1, "a"), "BIN_GET a"},
	    {HONEST(0x09, 0, 1, "a"), "BIN_GET a noreply"},
	    {HONEST(0x0c, 0, 1, "a"), "BIN_GET a with-key"},
	    {HONEST(0x0d, 0, 1, "a"), "BIN_GET a with-key noreply"},
	    {HONEST(0x01, 8, 1, EXTRAS8 "axy"), "BIN_SET a f=5 t=10 v=xy"},
	    {HONEST(0x11, 8, 1, EXTRAS8 "a"), "BIN_SET a f=5 t=10 v= noreply"},
	    {HONEST(0x02, 8, 2, EXTRAS8 "abxy"), "BIN_ADD ab f=5 t=10 v=xy"},
	    {HONEST(0x12, 8, 2, EXTRAS8 "abxy"), "BIN_ADD ab f=5 t=10 v=xy noreply"},
	    {HONEST(0x03, 8, 1, EXTRAS8 "axy"), "BIN_REPLACE a f=5 t=10 v=xy"},
	    {HONEST(0x13, 8, 1, EXTRAS8 "axy"), "BIN_REPLACE a f=5 t=10 v=xy noreply"},
	    {HONEST(0x04, 0, 1, "a"), "BIN_DELETE a"},
	    {HONEST(0x14, 0, 1, "a"), "BIN_DELETE a noreply"},
	    {HONEST(0x05, 20, 1, EXTRAS20 "a"), "BIN_INCREMENT a t=-1 d=3 i=7"},
	    {HONEST(0x15, 20, 1, EXTRAS20 "a"), "BIN_INCREMENT a t=-1 d=3 i=7 noreply"},
	    {HONEST(0x06, 20, 1, EXTRAS20 "a"), "BIN_DECREMENT a t=-1 d=3 i=7"},
	    {HONEST(0x16, 20, 1, EXTRAS20 "a"), "BIN_DECREMENT a t=-1 d=3 i=7 noreply"},
	    {HONEST(0x07, 0, 0, ""), "BIN_QUIT"},
	    {HONEST(0x17, 0, 0, ""), "BIN_QUIT noreply"},
	    {HONEST(0x08, 0, 0, ""), "BIN_FLUSH t=0"},
	    {HONEST(0x08, 4, 0, EXTRAS4), "BIN_FLUSH t=10 extras"},
	    {HONEST(0x18, 4, 0, EXTRAS4), "BIN_FLUSH t=10 extras noreply"},
	    {HONEST(0x0a, 0, 0, ""), "BIN_NOOP"},
	    {HONEST(0x0b, 0, 0, ""), "BIN_VERSION"},
	    {HONEST(0x0e, 0, 1, "axy"), "BIN_APPEND a f=0 t=0 v=xy"},
	    {HONEST(0x19, 0, 1, "axy"), "BIN_APPEND a f=0 t=0 v=xy noreply"},
	    {HONEST(0x0f, 0, 1, "a"), "BIN_PREPEND a f=0 t=0 v="},
	    {HONEST(0x1a, 0, 1, "axy"), "BIN_PREPEND a f=0 t=0 v=xy noreply"},
	    {HONEST(0x10, 0, 0, ""), "BIN_STAT "},
	    {HONEST(0x10, 0, 5, "items"), "BIN_STAT items"},
	    {HONEST(0x1c, 4, 1, EXTRAS4 "a"), "BIN_TOUCH a t=10"},
	    {HONEST(0x1d, 4, 1, EXTRAS4 "a"), "BIN_GAT a t=10"},
	    {HONEST(0x1e, 4, 1, EXTRAS4 "a"), "BIN_GAT a t=10 noreply"},
	    {HONEST(0x23, 4, 1, EXTRAS4 "a"), "BIN_GAT a t=10 with-key"},
	    {HONEST(0x24, 4, 1, EXTRAS4 "a"), "BIN_GAT a t=10 with-key noreply"},
	    {HONEST(0x20, 0, 0, ""), "BIN_SASL_LIST"},
	    {HONEST(0x21, 0, 5, "PLAINuser"), "BIN_SASL_AUTH PLAIN v=user"},
	    {HONEST(0x22, 0, 5, "PLAIN"), "BIN_SASL_STEP PLAIN v="},
	    {HONEST(0x1b, 4, 0, EXTRAS4), "!81"},
	    {HONEST(0x1f, 0, 0, ""), "!81"},
	    {HONEST(0xff, 4, 2, EXTRAS4 "abvalue"), "!81"},
	};

	(void)state;
	CHECK_EXAMPLES(examples, true);
}

static void
cas_and_opaque(void **state)
{
	struct request r = HONEST(0x01, 8, 1, EXTRAS8 "ax");
	struct parse_error error;
	struct command command;
	char stream[100];

	(void)state;
	r.cas = UINT64_C(0x0102030405060708);
	assert_int_equal(wire_parse(WIRE_BINARY, wire_edge(slice_of(stream, encode(stream, &r))),
			     &command, &error),
	    PARSE_COMMAND);
	assert_true(command.cas == UINT64_C(0x0102030405060708));
	assert_int_equal(command.binary.opaque, 0xdeadbeef);
	assert_int_equal(command.binary.opcode, 0x01);
}

static void
wrong_forms(void **state)
{
	static const struct example examples[] = {
	    {HONEST(0x00, 0, 0, ""), "!04#"},
	    {HONEST(0x00, 0, 1, "ab"), "!04#"},
	    {HONEST(0x00, 4, 1, EXTRAS4 "a"), "!04#"},
	    {HONEST(0x01, 0, 1, "a"), "!04#"},
	    {HONEST(0x01, 7, 1, EXTRAS8), "!04#"},
	    {HONEST(0x01, 8, 0, EXTRAS8), "!04#"},
	    {HONEST(0x04, 0, 1, "ab"), "!04#"},
	    {HONEST(0x05, 8, 1, EXTRAS8 "a"), "!04#"},
	    {HONEST(0x05, 20, 1, EXTRAS20 "ab"), "!04#"},
	    {HONEST(0x05, 20, 0, EXTRAS20), "!04#"},
	    {HONEST(0x07, 0, 1, "a"), "!04#"},
	    {HONEST(0x08, 0, 1, "a"), "!04#"},
	    {HONEST(0x08, 2, 0, "ab"), "!04#"},
	    {HONEST(0x08, 4, 0, EXTRAS4 "x"), "!04#"},
	    {HONEST(0x0a, 0, 0, "x"), "!04#"},
	    {HONEST(0x0b, 0, 1, "a"), "!04#"},
	    {HONEST(0x0e, 8, 1, EXTRAS8 "a"), "!04#"},
	    {HONEST(0x0e, 0, 0, "x"), "!04#"},
	    {HONEST(0x10, 4, 0, EXTRAS4), "!04#"},
	    {HONEST(0x10, 0, 1, "ax"), "!04#"},
	    {HONEST(0x1c, 0, 1, "a"), "!04#"},
	    {HONEST(0x1c, 4, 0, EXTRAS4), "!04#"},
	    {HONEST(0x1d, 4, 1, EXTRAS4 "ax"), "!04#"},
	    {HONEST(0x20, 0, 1, "a"), "!04#"},
	    {HONEST(0x21, 0, 0, ""), "!04#"},
	    {HONEST(0x21, 4, 1, EXTRAS4 "a"), "!04#"},
	    {HONEST(0x22, 0, 0, "x"), "!04#"},
	    {HONEST(0x21, 0, 33, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaxyz"), "!04"},
	};

	(void)state;
	CHECK_EXAMPLES(examples, true);
}

/* What has broken other servers: none of these lengths may be used before it is compared with the others. */
static void
lengths_that_lie(void **state)
{
	static const struct example examples[] = {
	    {CLAIMS(0x01, 8, 1, 0xffffffe8, ""), "!04#"}, /* CVE-2011-4971 */
	    {CLAIMS(0x0e, 0, 250, 0, ""), "!81#"},        /* CVE-2016-8704 */
	    {CLAIMS(0x19, 0, 250, 0, ""), "!81#"},
	    {CLAIMS(0x0f, 0, 250, 0, ""), "!81#"},
	    {CLAIMS(0x01, 8, 250, 0xffffffd0, ""), "!04#"}, /* CVE-2016-8705 */
	    {CLAIMS(0x21, 0, 32, 1, ""), "!81#"},           /* CVE-2016-8706 */
	    {CLAIMS(0x00, 255, 0, 0, ""), "!81#"},          /* CVE-2020-10931 */
	    {CLAIMS(0x00, 0, 1, 0, ""), "!81#"},
	    {CLAIMS(0x01, 8, 1, 8, ""), "!81#"},
	    {CLAIMS(0x00, 24, 0, 24, ""), "!04#"},
	    {CLAIMS(0x00, 0, 251, 251, ""), "!04#"},
	    {CLAIMS(0x00, 0, 65535, 65535, ""), "!04#"},
	    {CLAIMS(0x00, 255, 65535, 65535, ""), "!81#"},
	    {CLAIMS(0xff, 0, 251, 251, ""), "!04#"},
	    {CLAIMS(0x01, 8, 1, (1u << 30) + 1, ""), "!04#"},
	    {CLAIMS(0x01, 8, 1, 1u << 31, ""), "!04#"},
	    {CLAIMS(0xff, 0, 0, 0xffffffff, ""), "!04#"},
	    {CLAIMS(0x01, 8, 1, 1u << 30, EXTRAS8 "a"), "!03 -a"},
	    {CLAIMS(0x02, 8, 1, 1u << 30, EXTRAS8 "a"), "!03"},
	    {CLAIMS(0x0e, 0, 1, 1u << 30, "a"), "!03"},
	    {CLAIMS(0x21, 0, 5, 5 + 16385, "PLAIN"), "!82"},
	};

	(void)state;
	CHECK_EXAMPLES(examples, false);
}

static void
not_binary(void **state)
{
	(void)state;
	wire_check(WIRE_BINARY, SLICE_LITERAL("\x81\0\0\0"), "#");
	wire_check(WIRE_BINARY, SLICE_LITERAL("get a\r\n"), "#");
}

static void
without_sasl_its_opcodes_are_unknown(void **state)
{
	static const struct example examples[] = {
	    {HONEST(0x20, 0, 0, ""), "!81"},
	    {HONEST(0x21, 0, 5, "PLAINuser"), "!81"},
	    {HONEST(0x22, 0, 5, "PLAINuser"), "!81"},
	};

	(void)state;
	wire_limits.sasl = false;
	CHECK_EXAMPLES(examples, true);
	wire_limits.sasl = true;
}

static void
too_large(void **state)
{
	static const struct example examples[] = {
	    {HONEST(0x01, 8, 1, EXTRAS8 "a0123456789012345678901234567890123456789"), "!03 -a"},
	    {HONEST(0x11, 8, 1, EXTRAS8 "a0123456789012345678901234567890123456789"), "!03 -a"},
	    {HONEST(0x02, 8, 1, EXTRAS8 "a0123456789012345678901234567890123456789"), "!03"},
	    {HONEST(0x0f, 0, 1, "a01234567890123456789012345678901234567890"), "!03"},
	    {HONEST(0x0f, 0, 1, "a0123456789012345678901234567890123456789"),
		"BIN_PREPEND a f=0 t=0 v=0123456789012345678901234567890123456789"},
	};

	(void)state;
	wire_limits.item_size_max = 100;
	CHECK_EXAMPLES(examples, true);
	wire_limits.item_size_max = 1 << 20;
}

static void
long_values_are_streamed(void **state)
{
	static const struct example examples[] = {
	    {HONEST(0x01, 8, 1, EXTRAS8 "axyz"), "BIN_SET a f=5 t=10 v=xyz"},
	    {HONEST(0x01, 8, 1, EXTRAS8 "awxyz"), "BIN_SET a f=5 t=10 n=4"},
	    {HONEST(0x19, 0, 1, "awxyz"), "BIN_APPEND a f=0 t=0 n=4 noreply"},
	};

	(void)state;
	wire_limits.inline_value_max = 3;
	CHECK_EXAMPLES(examples, true);
	wire_limits.inline_value_max = 1 << 16;
}

/* Any bytes behind the magic: the same whatever the cut, and never beyond the window. */
static void
random_streams_cut_anywhere(void **state)
{
	static char stream[600], once[1 << 16];
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 50000; round++) {
		size_t n = 0, cut;

		while (n < 400) {
			struct request request = {
			    .opcode = (uint8_t)random_below(&r, 0x28),
			    .extras_length = (uint8_t[]){0, 4, 8, 20,
				(uint8_t)random_next(&r)}[random_below(&r, 5)],
			    .key_length = (uint16_t)random_below(&r, 4),
			    .body_length = (uint32_t)random_below(&r, 40),
			    .body = (const char[40]){0},
			};

			request.sent = request.body_length;
			n += encode(stream + n, &request);
		}
		cut = 1 + random_below(&r, n - 1);
		(void)snprintf(once, sizeof(once), "%s",
		    wire_transcript(WIRE_BINARY, slice_of(stream, n), NULL, 0));
		assert_string_equal(
		    wire_transcript(WIRE_BINARY, slice_of(stream, n), &cut, 1), once);
	}
}

static void
status_texts(void **state)
{
	(void)state;
	assert_true(slice_is(binary_status_text(BINARY_STATUS_KEY_ENOENT), "Not found"));
	assert_true(slice_is(binary_status_text(BINARY_STATUS_EINVAL), "Invalid arguments"));
	assert_int_equal(binary_status_text(BINARY_STATUS_OK).len, 0);
	assert_int_equal(binary_status_text(0x7777).len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_opcode),
	    cmocka_unit_test(cas_and_opaque),
	    cmocka_unit_test(wrong_forms),
	    cmocka_unit_test(lengths_that_lie),
	    cmocka_unit_test(not_binary),
	    cmocka_unit_test(without_sasl_its_opcodes_are_unknown),
	    cmocka_unit_test(too_large),
	    cmocka_unit_test(long_values_are_streamed),
	    cmocka_unit_test(random_streams_cut_anywhere),
	    cmocka_unit_test(status_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
