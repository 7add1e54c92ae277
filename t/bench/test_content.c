/* t/bench/test_content.c: keys and values can be told from what they are made of, and traces are read. */
#include "bench/content.h"

#include <unistd.h>

#include "bench/encode.h"
#include "bench/trace.h"
#include "t/lib/unit.h"

#define VALUE_ROOM 300000

static struct content content;
static char value[VALUE_ROOM];

static int
setup(void **state)
{
	const char *why;
	static struct dist key_size, value_size;

	(void)state;
	assert_true(dist_parse(&key_size, "uniform:1-40", &why));
	assert_true(dist_parse(&value_size, "loguniform:1-200000", &why));
	content_init(&content, 1000, &key_size, &value_size, true);
	return 0;
}

static void
keys_give_their_number(void **state)
{
	static const uint64_t numbers[] = {0, 1, 9, 10, 99999, UINT64_MAX};
	char key[64];

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		for (size_t size = content_key_digits(numbers[i]); size < sizeof(key); size++) {
			char *end = content_key(key, numbers[i], size);
			uint64_t number = 5;

			assert_int_equal(end - key, size);
			assert_true(content_key_number(slice_of(key, size), &number));
			assert_int_equal(number, numbers[i]);
		}
		assert_true(
		    content_key_size(&content, numbers[i]) >= content_key_digits(numbers[i]));
	}
	assert_false(content_key_number(slice_of("x12", 3), &(uint64_t){0}));
}

static void
values_are_known_again(void **state)
{
	static const size_t sizes[] = {0, 1, 7, 8, 9, 100, 65535, 65536, 65544, 200000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i];
		size_t step = size / 7 + 1;

		assert_ptr_equal(content_value(&content, value, 42, 3, size), value + size);
		for (size_t at = 0; at < size; at += step) {
			size_t n = size - at < step ? size - at : step;

			assert_true(content_check(&content, 42, 3, at, slice_of(value + at, n)));
		}
		assert_true(size == 0 || !content_check(&content, 42, 4, 0, slice_of(value, size)));
		assert_true(size == 0 || !content_check(&content, 41, 3, 0, slice_of(value, size)));
		if (size > 0) {
			value[size - 1] ^= 1;
			assert_false(content_check(&content, 42, 3, 0, slice_of(value, size)));
		}
	}
}

static void
requests_keep_their_bound(void **state)
{
	uint64_t keys[3] = {1, UINT64_MAX, 1000};
	static const enum wire wires[] = {WIRE_TEXT, WIRE_META, WIRE_BINARY};

	(void)state;
	for (size_t w = 0; w < 3; w++) {
		struct encoder e = {wires[w], true, &content};
		struct op op = {UINT64_MAX, keys, 3, 100, UINT32_MAX, UINT32_MAX, 250, OP_GET};

		for (op.kind = OP_GET; op.kind <= OP_DELETE; op.kind++) {
			size_t n = (size_t)(encode_op(&e, value, &op) - value);

			assert_in_range(n, 250, encode_bound(&op));
			op.count = 1;
		}
	}
}

static void
sets_look_as_the_protocol_says(void **state)
{
	struct op op = {7, NULL, 1, 0, 60, 5, 3, OP_SET};
	struct encoder e = {WIRE_TEXT, false, &content};
	static const char text[] = "set k07 5 60 0\r\n\r\n";
	static const char meta[] = "ms k07 0 F5 T60\r\n\r\n";
	static const char binary[] =
	    "\x80\1\0\3\10\0\0\0\0\0\0\13\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0\74k07";

	(void)state;
	assert_int_equal(encode_op(&e, value, &op) - value, sizeof(text) - 1);
	assert_memory_equal(value, text, sizeof(text) - 1);
	e.wire = WIRE_META;
	assert_int_equal(encode_op(&e, value, &op) - value, sizeof(meta) - 1);
	assert_memory_equal(value, meta, sizeof(meta) - 1);
	e.wire = WIRE_BINARY;
	assert_int_equal(encode_op(&e, value, &op) - value, sizeof(binary) - 1);
	assert_memory_equal(value, binary, sizeof(binary) - 1);
}

/* A trace of TEXT in a file that is gone again. */
static struct trace *
trace_of(const char *text)
{
	char path[] = "/tmp/test_content.XXXXXX";
	int fd = mkstemp(path);
	struct trace *t;
	const char *why;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	t = trace_new(path, &why);
	assert_non_null(t);
	assert_int_equal(unlink(path), 0);
	(void)close(fd);
	return t;
}

static void
traces_are_read(void **state)
{
	struct trace *t =
	    trace_of("# trace\n0 g 17 20 100 0\n\n1.5 set 17 20 90 60\r\n2 d user:1 6 0 0");
	struct trace_line line;
	uint64_t number;

	(void)state;
	assert_true(trace_next(t, &line));
	assert_true(
	    line.kind == OP_GET && line.key == 17 && line.key_size == 20 && line.value_size == 100);
	assert_true(trace_next(t, &line));
	assert_true(line.kind == OP_SET && line.time > 1.4 && line.time < 1.6 && line.ttl == 60);
	assert_true(trace_next(t, &line));
	assert_true(line.kind == OP_DELETE && line.key_size == 6);
	assert_false(trace_next(t, &line));
	assert_null(trace_error(t, &number));
	trace_free(&t);
	assert_null(t);
}

static void
bad_traces_are_seen(void **state)
{
	static const char *const texts[] = {"1 g 2 3 4", "1 g 2 3 4 5 6", "x g 2 3 4 5",
	    "1 q 2 3 4 5", "1 g 2 0 4 5", "1 g 2 251 4 5", "1 g 2 3 -4 5", "1 g 2 3 4 5\nx\n"};
	struct trace_line line;
	uint64_t number;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct trace *t = trace_of(texts[i]);

		while (trace_next(t, &line)) {
		}
		assert_non_null(trace_error(t, &number));
		assert_int_equal(number, i == 7 ? 2 : 1);
		trace_free(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_give_their_number),
	    cmocka_unit_test(values_are_known_again),
	    cmocka_unit_test(requests_keep_their_bound),
	    cmocka_unit_test(sets_look_as_the_protocol_says),
	    cmocka_unit_test(traces_are_read),
	    cmocka_unit_test(bad_traces_are_seen),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
