/* t/server/test_conn.c: the connection as a machine: dialogues cut everywhere, clients that do not read, requests that
 * ask for much at once, values that arrive bit by bit. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "t/lib/machine.h"
#include "t/lib/random.h"

#define MEMORY ((size_t)64 << 20)

/* How a client behaves. */
struct manner {
	bool own_buffer; /* conn_input, else conn_room and conn_filled */
	size_t take;     /* bytes that it takes at a time */
};

static void
say(struct conn *c, struct answer *a, const char *bytes, size_t n, const struct manner *manner)
{
	if (manner->own_buffer)
		conn_input(c, bytes, n);
	else
		(void)machine_receive(c, bytes, n);
	machine_settle(c, a, manner->take);
}

/* ---------------------------------------------------------------- dialogues */

struct dialogue {
	const char *asked;
	size_t asked_len;
	const char *answered;
	size_t answered_len;
};

#define DIALOGUE(asked, answered)                                                                  \
	{                                                                                          \
		asked, sizeof(asked) - 1, answered, sizeof(answered) - 1                           \
	}

#define BIN_GET_A                                                                                  \
	"\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x07\0\0\0\0\0\0\0\0a"
#define BIN_SET_A                                                                                  \
	"\x80\x11\x00\x01\x08\x00\x00\x00\x00\x00\x00\x0b\x00\x00\x00\x01\0\0\0\0\0\0\0\0"         \
	"\x00\x00\x00\x05\x00\x00\x00\x00"                                                         \
	"aXY"
#define BIN_NOOP "\x80\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0"

static const struct dialogue dialogues[] = {
    DIALOGUE("set a 5 0 3\r\nabc\r\nget a\r\nget a b a\r\n",
	"STORED\r\nVALUE a 5 3\r\nabc\r\nEND\r\n"
	"VALUE a 5 3\r\nabc\r\nVALUE a 5 3\r\nabc\r\nEND\r\n"),
    DIALOGUE("set a 0 0 3\r\nabcXYget a\r\nset a 0 0 1\r\nx\r\nget a\r\n",
	"CLIENT_ERROR bad data chunk\r\nEND\r\nSTORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n"),
    DIALOGUE("set n 0 0 2\r\n99\r\nincr n 1\r\ndecr n 95\r\nget n\r\nincr m 1\r\nincr n x\r\n",
	"STORED\r\n100\r\n5\r\nVALUE n 0 3\r\n5  \r\nEND\r\nNOT_FOUND\r\n"
	"CLIENT_ERROR invalid numeric delta argument\r\n"),
    DIALOGUE("set a 0 0 1 noreply\r\n1\r\nappend a 0 0 1\r\n2\r\nprepend a 0 0 1\r\n0\r\nget a\r\n",
	"STORED\r\nSTORED\r\nVALUE a 0 3\r\n012\r\nEND\r\n"),
    DIALOGUE("bogus\r\n\r\nx\r\nversion\r\nget\r\nadd a 0 0 1\r\n1\r\nreplace b 0 0 1\r\n1\r\n",
	"ERROR\r\nCLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad command line format\r\n"
	"VERSION 1.6.45\r\nCLIENT_ERROR bad command line format\r\nSTORED\r\nNOT_STORED\r\n"),
    DIALOGUE("set a 0 abc 5\r\nget a\r\ndelete a\r\ntouch a 5\r\ngat 0 a\r\n",
	"CLIENT_ERROR bad command line format\r\nNOT_FOUND\r\nNOT_FOUND\r\nEND\r\n"),
    DIALOGUE("set big 0 0 2000000\r\nno such length comes\r\n",
	"SERVER_ERROR object too large for cache\r\n"),
    DIALOGUE(
	"ms a 3 T100 F7\r\nabc\r\nmg a v f t k Oxy\r\nmg b v\r\nmg b v q\r\nmn\r\nmd a q\r\nmd a\r\n",
	"HD\r\nVA 3 f7 t100 ka Oxy\r\nabc\r\nEN\r\nMN\r\nNF\r\n"),
    DIALOGUE(
	"ms a 1 T100\r\n1\r\nmd a I T30\r\nmg a v t\r\nmg a v t\r\nms a 1\r\n2\r\nmg a v t\r\n",
	"HD\r\nHD\r\nVA 1 t30 X W\r\n1\r\nVA 1 t30 Z X\r\n1\r\nHD\r\nVA 1 t-1\r\n2\r\n"),
    DIALOGUE(
	"mg v N30 v t\r\nmg v N30 v t\r\nma n\r\nma n N0 J5 v\r\nma n v D3\r\nma n MD D9 v\r\n",
	"VA 0 t30 W\r\n\r\nVA 0 t30 Z\r\n\r\nNF\r\nVA 1\r\n5\r\nVA 1\r\n8\r\nVA 1\r\n0\r\n"),
    DIALOGUE(
	"ms a 1\r\n1\r\nms a 1 MA\r\n2\r\nms b 1 MA\r\n2\r\nms b 1 MA N0 s\r\n3\r\nmg a v\r\nmg b v\r\n",
	"HD\r\nHD\r\nNS\r\nHD s1\r\nVA 2\r\n12\r\nVA 1\r\n3\r\n"),
    DIALOGUE("stats detail on\r\nget p:1\r\nset p:1 0 0 1\r\n1\r\nget p:1\r\nstats detail dump\r\n",
	"OK\r\nEND\r\nSTORED\r\nVALUE p:1 0 1\r\n1\r\nEND\r\nPREFIX p get 2 hit 1 set 1 del 0\r\nEND\r\n"),
    DIALOGUE("ms Zm9v 1 b\r\n1\r\nmg foo v k\r\nmg Zm9v b v k\r\nget foo\r\nme Zm9v b x\r\n",
	"HD\r\nVA 1 kZm9v b\r\n1\r\nVA 1 kZm9v b\r\n1\r\nVALUE foo 0 1\r\n1\r\nEND\r\n"
	"ME Zm9v exp=-1 la=0 cas=1 fetch=yes cls=1 size=63\r\n"),
    DIALOGUE("get a\r\nquit\r\nget a\r\n", "END\r\n"),
    DIALOGUE("get a\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "END\r\n"),
    DIALOGUE(BIN_SET_A BIN_GET_A BIN_NOOP,
	"\x81\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x07\0\0\0\0\0\0\0\x01"
	"\x00\x00\x00\x05XY"
	"\x81\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0"),
};

/* One dialogue with a fresh server, cut at A and B. */
static void
hold(const struct dialogue *d, size_t cut_a, size_t cut_b, const struct manner *manner)
{
	struct answer answer = {0};
	struct machine m;
	struct conn *c;

	machine_init(&m, MEMORY);
	c = machine_conn(&m);
	say(c, &answer, d->asked, cut_a, manner);
	say(c, &answer, d->asked + cut_a, cut_b - cut_a, manner);
	say(c, &answer, d->asked + cut_b, d->asked_len - cut_b, manner);
	if (answer.len != d->answered_len || memcmp(answer.bytes, d->answered, answer.len) != 0)
		fail_msg("cut at %zu and %zu of:\n%s\nanswered:\n%.*s", cut_a, cut_b, d->asked,
		    (int)answer.len, answer.bytes);
	conn_free(&c);
	assert_int_equal(m.worker->pool.count_out, 0);
	answer_free(&answer);
	machine_fini(&m);
}

static void
test_dialogues_cut_in_two(void **state)
{
	const struct manner manners[] = {{true, SIZE_MAX}, {false, SIZE_MAX}, {false, 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++)
		for (size_t cut = 0; cut <= dialogues[i].asked_len; cut++)
			hold(&dialogues[i], cut, cut, &manners[cut % 3]);
}

static void
test_dialogues_cut_in_three(void **state)
{
	const struct manner manner = {false, SIZE_MAX};
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 300; round++) {
		const struct dialogue *d =
		    &dialogues[random_next(&r) % (sizeof(dialogues) / sizeof(dialogues[0]))];
		size_t b = random_next(&r) % (d->asked_len + 1), a = random_next(&r) % (b + 1);

		hold(d, a, b, &manner);
	}
}

static void
test_dialogues_byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++) {
		const struct dialogue *d = &dialogues[i];
		const struct manner manner = {i % 2 == 0, 3};
		struct answer answer = {0};
		struct machine m;
		struct conn *c;

		machine_init(&m, MEMORY);
		c = machine_conn(&m);
		for (size_t at = 0; at < d->asked_len; at++)
			say(c, &answer, d->asked + at, 1, &manner);
		assert_int_equal(answer.len, d->answered_len);
		assert_memory_equal(answer.bytes, d->answered, answer.len);
		conn_free(&c);
		answer_free(&answer);
		machine_fini(&m);
	}
}

/* ---------------------------------------------------------------- one machine for the rest */

struct fixture {
	struct machine m;
	struct conn *c;
	struct answer answer;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	machine_init(&f->m, MEMORY);
	f->c = machine_conn(&f->m);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	conn_free(&f->c);
	answer_free(&f->answer);
	machine_fini(&f->m);
	free(f);
	return 0;
}

static const struct manner plain = {false, SIZE_MAX};

static void
say_text(struct fixture *f, const char *text)
{
	say(f->c, &f->answer, text, strlen(text), &plain);
}

static void
expect(struct fixture *f, const char *text)
{
	if (f->answer.len != strlen(text) || memcmp(f->answer.bytes, text, f->answer.len) != 0)
		fail_msg(
		    "expected:\n%s\nanswered:\n%.*s", text, (int)f->answer.len, f->answer.bytes);
	f->answer.len = 0;
}

/* Stores a value of SIZE bytes of LETTER. */
static void
store_value(struct fixture *f, const char *key, size_t size, char letter)
{
	char *value = malloc(size + 2);
	char head[64];

	assert_non_null(value);
	memset(value, letter, size);
	memcpy(value + size, "\r\n", 2);
	(void)snprintf(head, sizeof(head), "set %s 0 0 %zu\r\n", key, size);
	say_text(f, head);
	say(f->c, &f->answer, value, size + 2, &plain);
	free(value);
	expect(f, "STORED\r\n");
}

/* ---------------------------------------------------------------- clients that do not read */

#define ONE_REPLY ((size_t)512 << 10)

static void
test_pipeline_of_large_values_is_bounded(void **state)
{
	struct fixture *f = *state;
	size_t one = strlen("VALUE big 0 524000\r\n") + 524000 + strlen("\r\nEND\r\n");
	unsigned n = 0;

	store_value(f, "big", 524000, 'b');
	while (n < 2000 && machine_receive(f->c, "get big\r\nget big\r\n", 18))
		n += 2;
	assert_in_range(n, 1, 20);
	assert_in_range(outq_bytes(&f->c->out), 1, SERVER_OUTPUT_LIMIT + ONE_REPLY + 4096);
	assert_in_range(f->m.worker->pool.bytes_out, 1, 128 << 10);
	machine_settle(f->c, &f->answer, 100000);
	assert_int_equal(f->answer.len, n * one);
	assert_int_equal(f->m.worker->pool.count_out, 0);
}

/* A window full of small requests with middling answers stops in its middle. */
static void
test_pipeline_of_small_values_is_bounded(void **state)
{
	struct fixture *f = *state;
	size_t one = strlen("VALUE k 0 1000\r\n") + 1000 + strlen("\r\nEND\r\n");
	char window[7 * 8000];

	store_value(f, "k", 1000, 'k');
	for (size_t i = 0; i < sizeof(window); i += 7)
		memcpy(window + i, "get k\r\n", 7);
	assert_true(machine_receive(f->c, window, sizeof(window)));
	assert_in_range(outq_bytes(&f->c->out), 1, SERVER_OUTPUT_LIMIT + OUTQ_BLOCK);
	assert_false(conn_want(f->c) & (CONN_WANT_INPUT | CONN_WANT_TURN));
	machine_settle(f->c, &f->answer, 5000);
	assert_int_equal(f->answer.len, 8000 * one);
	assert_int_equal(f->m.worker->pool.count_out, 0);
}

/* ---------------------------------------------------------------- requests that ask for much */

#define KEYS 50000u

static void
test_huge_multiget_yields(void **state)
{
	struct fixture *f = *state;
	size_t one = strlen("VALUE kkk 0 100\r\n") + 102, turns = 0;
	char *line = malloc(4 + KEYS * 4 + 16);
	char *p = line;

	assert_non_null(line);
	store_value(f, "kkk", 100, 'v');
	memcpy(p, "get", 3);
	p += 3;
	for (unsigned i = 0; i < KEYS; i++, p += 4)
		memcpy(p, " kkk", 4);
	memcpy(p, "\r\nversion\r\n", 11);
	p += 11;
	assert_true(machine_receive(f->c, line, (size_t)(p - line)));
	while (conn_want(f->c) & (CONN_WANT_OUTPUT | CONN_WANT_TURN)) {
		assert_in_range(outq_bytes(&f->c->out), 0, SERVER_OUTPUT_LIMIT + OUTQ_BLOCK);
		if (conn_want(f->c) & CONN_WANT_TURN) {
			conn_resume(f->c);
			turns++;
		}
		(void)machine_take(f->c, &f->answer, SIZE_MAX);
	}
	assert_in_range(turns, KEYS / 32 / 20 / 2, KEYS);
	assert_int_equal(f->answer.len, KEYS * one + 5 + 16);
	assert_memory_equal(f->answer.bytes + KEYS * one, "END\r\nVERSION 1.6.45\r\n", 21);
	assert_int_equal(f->m.worker->pool.count_out, 0);
	free(line);
}

static void
test_long_pipeline_yields(void **state)
{
	struct fixture *f = *state;
	char window[6000 * 4];

	for (size_t i = 0; i < sizeof(window); i += 4)
		memcpy(window + i, "mn\r\n", 4);
	assert_true(machine_receive(f->c, window, sizeof(window)));
	assert_true(conn_want(f->c) & CONN_WANT_TURN);
	assert_true(f->m.worker->counters.conn_yields > 0);
	machine_settle(f->c, &f->answer, SIZE_MAX);
	assert_int_equal(f->answer.len, sizeof(window));
}

static void
test_line_without_end(void **state)
{
	struct fixture *f = *state;
	char line[3000];

	memset(line, 'x', sizeof(line));
	say(f->c, &f->answer, line, 2000, &plain);
	assert_int_equal(conn_want(f->c), CONN_WANT_INPUT);
	say(f->c, &f->answer, line, 1000, &plain);
	assert_true(conn_want(f->c) & CONN_WANT_CLOSE);
	assert_int_equal(f->m.worker->pool.count_out, 0);
}

/* A driver whose buffers are small says when it has more. */
static void
test_line_that_came_at_once(void **state)
{
	struct fixture *f = *state;
	char line[12000];

	memset(line, 'x', sizeof(line));
	f->m.worker->follows = true;
	for (unsigned i = 0; i < 6; i++)
		conn_input(f->c, line, 2000);
	assert_int_equal(conn_want(f->c), CONN_WANT_INPUT);
	f->m.worker->follows = false;
	conn_input(f->c, "\r\nmn\r\n", 6);
	machine_settle(f->c, &f->answer, SIZE_MAX);
	expect(f, "ERROR\r\nMN\r\n");

	f->m.worker->follows = true;
	conn_input(f->c, line, 5000);
	assert_int_equal(conn_want(f->c), CONN_WANT_INPUT);
	f->m.worker->follows = false;
	conn_input(f->c, line, 1);
	assert_true(conn_want(f->c) & CONN_WANT_CLOSE);
}

/* One who has more and more is not waited for without end. */
static void
test_line_that_goes_on(void **state)
{
	struct fixture *f = *state;
	char line[2000];
	unsigned n = 0;

	memset(line, 'x', sizeof(line));
	f->m.worker->follows = true;
	while (!(conn_want(f->c) & CONN_WANT_CLOSE) && n++ < 20)
		conn_input(f->c, line, sizeof(line));
	assert_int_equal(n, 9);
}

/* A get may be as long as it likes, but pays for what it sends. */
static void
test_multiget_line_that_arrives_slowly(void **state)
{
	struct fixture *f = *state;

	say_text(f, "get ");
	for (unsigned i = 0; i < 20000; i++)
		assert_true(machine_receive(f->c, "abcdefg ", 8));
	assert_int_equal(conn_want(f->c), CONN_WANT_INPUT);
	assert_in_range(f->m.worker->pool.bytes_out, 160000, 600000);
	say_text(f, "x\r\n");
	expect(f, "END\r\n");
	assert_int_equal(f->m.worker->pool.count_out, 0);
}

/* ---------------------------------------------------------------- values that arrive bit by bit */

static void
test_streamed_value(void **state)
{
	struct fixture *f = *state;
	const size_t size = 300000;
	char head[64];

	(void)snprintf(head, sizeof(head), "set s 9 0 %zu\r\n", size);
	say_text(f, head);
	for (size_t i = 0; i < size; i += 1000) {
		char piece[1000];

		memset(piece, 'a' + (int)(i / 1000 % 26), sizeof(piece));
		say(f->c, &f->answer, piece, sizeof(piece), &plain);
	}
	assert_int_equal(f->answer.len, 0);
	say_text(f, "\r");
	say_text(f, "\nversion\r\n");
	expect(f, "STORED\r\nVERSION 1.6.45\r\n");
	say_text(f, "get s\r\n");
	assert_int_equal(f->answer.len, strlen("VALUE s 9 300000\r\n\r\nEND\r\n") + size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(f->answer.bytes[18 + i], 'a' + (int)(i / 1000 % 26));
}

static void
test_streamed_value_with_a_bad_end(void **state)
{
	struct fixture *f = *state;
	char *value = malloc(100002);

	assert_non_null(value);
	memset(value, 'v', 100000);
	memcpy(value + 100000, "XY", 2);
	store_value(f, "s", 5, 'o');
	say_text(f, "set s 0 0 100000\r\n");
	say(f->c, &f->answer, value, 100002, &plain);
	say_text(f, "get s\r\n");
	expect(f, "CLIENT_ERROR bad data chunk\r\nVALUE s 0 5\r\nooooo\r\nEND\r\n");
	say_text(f, "set s 0 0 100000 noreply\r\n");
	say(f->c, &f->answer, value, 100002, &plain);
	expect(f, "");
	say_text(f, "ms s 100000 q\r\n");
	say(f->c, &f->answer, value, 100002, &plain);
	expect(f, "CLIENT_ERROR bad data chunk\r\n");
	free(value);
}

static void
test_stream_that_is_cut_off_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_stats before, after;

	store_stats(f->m.server.store, &before);
	say_text(f, "set s 0 0 800000\r\n");
	for (unsigned i = 0; i < 500; i++)
		say_text(f, "0123456789012345678901234567890123456789");
	conn_free(&f->c);
	store_stats(f->m.server.store, &after);
	assert_int_equal(before.items, after.items);
	assert_int_equal(f->m.worker->pool.count_out, 0);
	store_check(f->m.server.store);
	f->c = machine_conn(&f->m);
}

/* Whoever declares much and sends nothing has taken nothing. */
static void
test_declared_values_cost_nothing(void **state)
{
	struct fixture *f = *state;
	struct conn *all[500];
	struct store_stats stats;

	for (unsigned i = 0; i < 500; i++) {
		static const char head[] = "set key 0 0 1000000\r\n";

		all[i] = machine_conn(&f->m);
		assert_true(machine_receive(all[i], head, sizeof(head) - 1));
	}
	store_stats(f->m.server.store, &stats);
	assert_in_range(f->m.worker->pool.bytes_out, 0, 500 * 4096);
	assert_in_range(stats.memory_used, 0, 8 << 20);
	for (unsigned i = 0; i < 500; i++)
		conn_free(&all[i]);
}

static void
test_value_too_large_removes_the_old_one(void **state)
{
	struct fixture *f = *state;
	char *value = malloc(1100002);

	assert_non_null(value);
	memset(value, 'v', 1100000);
	memcpy(value + 1100000, "\r\n", 2);
	store_value(f, "k", 3, 'o');
	say_text(f, "add k 0 0 1100000\r\n");
	say(f->c, &f->answer, value, 1100002, &plain);
	say_text(f, "get k\r\nset k 0 0 1100000\r\n");
	say(f->c, &f->answer, value, 1100002, &plain);
	say_text(f, "get k\r\n");
	expect(f,
	    "SERVER_ERROR object too large for cache\r\nVALUE k 0 3\r\nooo\r\nEND\r\n"
	    "SERVER_ERROR object too large for cache\r\nEND\r\n");
	free(value);
}

/* ---------------------------------------------------------------- idle */

static void
test_idle_connection_holds_no_buffer(void **state)
{
	struct fixture *f = *state;

	store_value(f, "k", 100, 'k');
	say_text(f, "get k\r\nget missing\r\nset k 0 0 1 noreply\r\n1\r\n");
	assert_int_equal(f->m.worker->pool.count_out, 0);
	assert_null(f->c->out.block);
	say_text(f, "mg a v q\r\nmg b v q\r\nmg c v q\r\n"); /* answered with nothing */
	assert_null(f->c->out.block);
	assert_true(sizeof(struct conn) < 512);
	say_text(f, "set k 0 0 5\r\nab");
	assert_int_equal(f->m.worker->pool.count_out, 1);
	assert_in_range(f->m.worker->pool.bytes_out, 1, 1024);
}

static void
test_long_reports_are_bounded(void **state)
{
	struct fixture *f = *state;
	char line[64];

	for (unsigned i = 0; i < 20000; i++) {
		(void)snprintf(line, sizeof(line), "set key%u 0 0 1 noreply\r\nx\r\n", i);
		say_text(f, line);
	}
	assert_true(machine_receive(f->c, "stats cachedump 1 0\r\nversion\r\n", 30));
	assert_in_range(
	    outq_bytes(&f->c->out), SERVER_OUTPUT_LIMIT, SERVER_OUTPUT_LIMIT + (64 << 10));
	machine_settle(f->c, &f->answer, SIZE_MAX);
	assert_memory_equal(f->answer.bytes + f->answer.len - 21, "END\r\nVERSION 1.6.45\r\n", 21);
	assert_in_range(f->answer.len, 20000 * 20, 20000 * 40);
}

#define WITH_MACHINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialogues_cut_in_two),
	    cmocka_unit_test(test_dialogues_cut_in_three),
	    cmocka_unit_test(test_dialogues_byte_by_byte),
	    WITH_MACHINE(test_pipeline_of_large_values_is_bounded),
	    WITH_MACHINE(test_pipeline_of_small_values_is_bounded),
	    WITH_MACHINE(test_huge_multiget_yields),
	    WITH_MACHINE(test_long_pipeline_yields),
	    WITH_MACHINE(test_line_without_end),
	    WITH_MACHINE(test_line_that_came_at_once),
	    WITH_MACHINE(test_line_that_goes_on),
	    WITH_MACHINE(test_multiget_line_that_arrives_slowly),
	    WITH_MACHINE(test_streamed_value),
	    WITH_MACHINE(test_streamed_value_with_a_bad_end),
	    WITH_MACHINE(test_stream_that_is_cut_off_leaves_nothing),
	    WITH_MACHINE(test_declared_values_cost_nothing),
	    WITH_MACHINE(test_value_too_large_removes_the_old_one),
	    WITH_MACHINE(test_idle_connection_holds_no_buffer),
	    WITH_MACHINE(test_long_reports_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
