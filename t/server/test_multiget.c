/* t/server/test_multiget.c: gets of many keys against what a table of the items says: keys and values of all lengths, keys that are
 * not there or hold control characters, blanks anywhere, lines cut anywhere; and what is counted of them. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "t/lib/machine.h"
#include "t/lib/random.h"

#define ITEMS     90u
#define KEY_MAX   250u
#define KEYS_MOST 200u

static const unsigned key_lengths[] = {
    1, 2, 3, 7, 8, 9, 15, 16, 17, 20, 31, 32, 33, 48, 64, 100, 127, 128, 129, 249, 250};
static const unsigned value_sizes[] = {0, 1, 9, 10, 15, 16, 31, 32, 33, 63, 64, 65, 99, 100, 127,
    128, 129, 250, 999, 1000, 1001, 4096, 8192, 8193, 20000};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct line {
	char bytes[KEYS_MOST * (KEY_MAX + 4) + 64];
	size_t len;
};

struct fixture {
	struct machine m;
	struct conn *c;
	struct answer answer, expected;
	struct random_state chance;
	struct line line;
	uint64_t hits, misses;
};

static void
line_add(struct line *line, const char *bytes, size_t n)
{
	assert_true(line->len + n <= sizeof(line->bytes));
	memcpy(line->bytes + line->len, bytes, n);
	line->len += n;
}

/* ---------------------------------------------------------------- the items */

/* The key of item I at KEY; returns its length. Those of one byte are few, and every fifth of the others holds what is no blank and no
 * letter. */
static size_t
item_key_of(unsigned i, char key[KEY_MAX])
{
	static const char odd[] = "\t\x01\x7f\x80\xff\v";
	size_t len = key_lengths[i % COUNT(key_lengths)];

	for (size_t at = 0; at < len; at++)
		key[at] = (char)('a' + (i * 7 + at * (i + 1)) % 26);
	key[0] = (char)('!' + i);
	if (i % 5 == 0 && len > 2)
		key[len / 2] = odd[i % (sizeof(odd) - 1)];
	return len;
}

static unsigned
item_size_of(unsigned i)
{
	return value_sizes[i * 7 % COUNT(value_sizes)];
}

static unsigned
item_flags_of(unsigned i)
{
	return i % 4 == 0 ? i * 40000003u : 0;
}

/* Every sixth one is never stored. */
static bool
item_is_there(unsigned i)
{
	return i % 6 != 5;
}

static void
value_of(unsigned i, char *value)
{
	for (unsigned at = 0; at < item_size_of(i); at++)
		value[at] = (char)(i + at * 11);
	memcpy(value + item_size_of(i), "\r\n", 2);
}

static void
store_item(struct fixture *f, unsigned i)
{
	char key[KEY_MAX], head[KEY_MAX + 64], value[20002];
	size_t len = item_key_of(i, key);
	int n = snprintf(head, sizeof(head), "set %.*s %u 0 %u\r\n", (int)len, key,
	    item_flags_of(i), item_size_of(i));

	value_of(i, value);
	assert_true(machine_receive(f->c, head, (size_t)n));
	assert_true(machine_receive(f->c, value, item_size_of(i) + 2));
	machine_settle(f->c, &f->answer, SIZE_MAX);
	assert_int_equal(f->answer.len, 8);
	assert_memory_equal(f->answer.bytes, "STORED\r\n", 8);
	f->answer.len = 0;
}

static void
expect_item(struct fixture *f, unsigned i)
{
	char key[KEY_MAX], head[KEY_MAX + 64], value[20002];
	size_t len = item_key_of(i, key);
	int n;

	if (!item_is_there(i)) {
		f->misses++;
		return;
	}
	n = snprintf(head, sizeof(head), "VALUE %.*s %u %u\r\n", (int)len, key, item_flags_of(i),
	    item_size_of(i));
	value_of(i, value);
	answer_add(&f->expected, head, (size_t)n);
	answer_add(&f->expected, value, item_size_of(i) + 2);
	f->hits++;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	machine_init(&f->m, (size_t)64 << 20);
	f->c = machine_conn(&f->m);
	for (unsigned i = 0; i < ITEMS; i++)
		if (item_is_there(i))
			store_item(f, i);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	conn_free(&f->c);
	answer_free(&f->answer);
	answer_free(&f->expected);
	machine_fini(&f->m);
	free(f);
	return 0;
}

/* ---------------------------------------------------------------- asking */

static void
add_blanks(struct fixture *f, bool some)
{
	uint64_t n = random_below(&f->chance, 8) == 0 ? random_below(&f->chance, 70) : 0;

	for (n += some; n > 0; n--)
		line_add(&f->line, " ", 1);
}

/* A get of N items, and what it is answered. */
static void
make_get(struct fixture *f, unsigned n)
{
	char key[KEY_MAX];

	line_add(&f->line, "get", 3);
	for (unsigned k = 0; k < n; k++) {
		unsigned i = (unsigned)random_below(&f->chance, ITEMS);

		add_blanks(f, true);
		line_add(&f->line, key, item_key_of(i, key));
		expect_item(f, i);
	}
	add_blanks(f, false);
	if (random_below(&f->chance, 4) == 0)
		line_add(&f->line, "\n", 1);
	else
		line_add(&f->line, "\r\n", 2);
	answer_add(&f->expected, "END\r\n", 5);
}

/* The bytes arrive from FROM on up to TO, and what is answered is taken. */
static void
say(struct fixture *f, size_t from, size_t to)
{
	size_t take =
	    random_below(&f->chance, 2) == 0 ? SIZE_MAX : 1 + random_below(&f->chance, 30000);

	if (random_below(&f->chance, 2) == 0) {
		conn_input(f->c, f->line.bytes + from, to - from);
		machine_settle(f->c, &f->answer, take);
		return;
	}
	while (from < to) {
		size_t room;
		char *at = conn_room(f->c, &room);

		assert_non_null(at);
		room = room < to - from ? room : to - from;
		memcpy(at, f->line.bytes + from, room);
		conn_filled(f->c, room);
		machine_settle(f->c, &f->answer, take);
		from += room;
	}
}

static void
expect_answer(struct fixture *f)
{
	assert_int_equal(f->answer.len, f->expected.len);
	assert_memory_equal(f->answer.bytes, f->expected.bytes, f->expected.len);
	f->answer.len = f->expected.len = 0;
	assert_int_equal(f->m.worker->counters.get_hits, f->hits);
	assert_int_equal(f->m.worker->counters.get_misses, f->misses);
}

static void
gets_of_many_keys(void **state)
{
	static const unsigned counts[] = {
	    1, 2, 3, 23, 24, 31, 32, 33, 50, 63, 64, 65, 128, 129, 200};
	struct fixture *f = *state;

	random_init(&f->chance);
	for (unsigned round = 0; round < 600; round++) {
		size_t cut;

		f->line.len = 0;
		make_get(f, counts[random_below(&f->chance, COUNT(counts))]);
		cut = random_below(&f->chance, 2) == 0 ? 0 : random_below(&f->chance, f->line.len);
		if (cut > 0)
			say(f, 0, cut);
		say(f, cut, f->line.len);
		expect_answer(f);
	}
	assert_int_equal(f->m.worker->pool.count_out, 0);
}

/* Several in one piece, other requests between. */
static void
gets_in_a_row(void **state)
{
	struct fixture *f = *state;

	random_init(&f->chance);
	for (unsigned round = 0; round < 200; round++) {
		f->line.len = 0;
		for (unsigned n = 0; n < 10; n++) {
			make_get(f, (unsigned)random_below(&f->chance, 12) + 1);
			if (random_below(&f->chance, 3) == 0) {
				line_add(&f->line, "mn\r\n", 4);
				answer_add(&f->expected, "MN\r\n", 4);
			}
		}
		say(f, 0, f->line.len);
		expect_answer(f);
	}
}

static void
gets_cut_at_each_byte(void **state)
{
	struct fixture *f = *state;

	random_init(&f->chance);
	for (unsigned n = 1; n <= 7; n++) {
		size_t len, expected;

		f->line.len = 0;
		make_get(f, n);
		len = f->line.len;
		expected = f->expected.len;
		for (size_t cut = 1; cut < len; cut++) {
			say(f, 0, cut);
			say(f, cut, len);
			assert_int_equal(f->answer.len, expected);
			assert_memory_equal(f->answer.bytes, f->expected.bytes, expected);
			f->answer.len = 0;
		}
		f->expected.len = 0;
	}
}

/* Each hit is one of the class in which its item lies. */
static void
hits_are_of_classes(void **state)
{
	struct fixture *f = *state;
	struct store *st = f->m.server.store;
	uint64_t before[256] = {0}, hits = 0;
	struct store_class_stats s;

	random_init(&f->chance);
	for (unsigned i = 0; i < ITEMS; i++) {
		char key[KEY_MAX];

		if (!item_is_there(i))
			continue;
		for (int id = 1; store_class_stats(st, (unsigned)id, &s); id++)
			before[id] = s.hits;
		f->line.len = 0;
		line_add(&f->line, "get ", 4);
		for (unsigned n = 0; n < 3; n++) {
			line_add(&f->line, key, item_key_of(i, key));
			line_add(&f->line, " ", 1);
			expect_item(f, i);
		}
		line_add(&f->line, "\r\n", 2);
		answer_add(&f->expected, "END\r\n", 5);
		say(f, 0, f->line.len);
		expect_answer(f);
		for (int id = 1; store_class_stats(st, (unsigned)id, &s); id++)
			if (s.hits != before[id]) {
				assert_int_equal(s.hits, before[id] + 3);
				hits += 3;
			}
	}
	assert_int_equal(hits, f->hits);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(gets_of_many_keys, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(gets_in_a_row, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(gets_cut_at_each_byte, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(hits_are_of_classes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
