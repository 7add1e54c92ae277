/* t/server/test_forward.c: several nodes in one thread: what any of them answers is, byte for byte, what one alone answers; and
 * links that break, nodes that stand still, and keys that move lead to errors, never to anything else. */
#include "t/lib/unit.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proto/binary.h"
#include "t/lib/nodes.h"

#define MEMORY   ((size_t)64 << 20)
#define KEYS     60u
#define LINE_MAX 4096u
#define PATIENCE 20000u /* turns */

/* A client of one node, and what it has been told. */
struct client {
	struct conn *c;
	struct answer said;
};

static struct client
client_of(struct nodes *ns, unsigned node)
{
	return (struct client){.c = machine_conn(&ns->nodes[node].m)};
}

static void
client_end(struct client *client)
{
	conn_free(&client->c);
	answer_free(&client->said);
}

/* What a driver does at the end of a turn; returns what the connection wants. */
static unsigned
serve(struct client *client)
{
	unsigned want;

	(void)machine_take(client->c, &client->said, SIZE_MAX);
	want = conn_want(client->c);
	if (want & CONN_WANT_TURN)
		worker_queue_turn(client->c->worker, client->c);
	return want;
}

static void
compare(const struct answer *got, const struct answer *wanted)
{
	size_t at = 0;

	while (at < got->len && at < wanted->len && got->bytes[at] == wanted->bytes[at])
		at++;
	if (at == got->len && at == wanted->len)
		return;
	fail_msg("%zu bytes in place of %zu; at %zu:\n%.*s\nin place of:\n%.*s", got->len,
	    wanted->len, at, (int)(got->len - at < 200 ? got->len - at : 200), got->bytes + at,
	    (int)(wanted->len - at < 200 ? wanted->len - at : 200), wanted->bytes + at);
}

/* CLIENT has said all: lets time pass until it has been told all. */
static void
hear_out(struct nodes *ns, struct client *client, const struct answer *wanted)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		nodes_turn(ns, 0);
		if (serve(client) == CONN_WANT_INPUT)
			conn_end(client->c);
		if (conn_want(client->c) == CONN_WANT_CLOSE)
			return;
	}
	print_message("no more comes\n");
	compare(&client->said, wanted);
	fail();
}

/* Says all of BYTES, in pieces of chance. */
static void
say(struct nodes *ns, struct client *client, const struct answer *bytes)
{
	size_t at = 0;

	for (unsigned i = 0; at < bytes->len; i++) {
		size_t n =
		    random_below(&ns->r, 4) == 0 ? bytes->len : random_below(&ns->r, 3000) + 1;

		assert_true(i < PATIENCE);
		if (n > bytes->len - at)
			n = bytes->len - at;
		if (serve(client) == CONN_WANT_CLOSE)
			return;
		if (conn_want(client->c) & CONN_WANT_INPUT) {
			size_t room;
			char *p = conn_room(client->c, &room);

			assert_non_null(p);
			n = n < room ? n : room;
			memcpy(p, bytes->bytes + at, n);
			conn_filled(client->c, n);
			at += n;
			if (random_below(&ns->r, 3) != 0)
				continue;
		}
		nodes_turn(ns, 0);
	}
}

/* ---------------------------------------------------------------- commands of chance */

static void
add(struct answer *a, const char *format, ...)
{
	char line[LINE_MAX];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < sizeof(line));
	answer_add(a, line, (size_t)n);
}

static unsigned
some_key(struct random_state *r)
{
	return (unsigned)random_below(r, KEYS);
}

static void
add_value(struct answer *a, struct random_state *r, size_t size, const char *end)
{
	for (size_t i = 0; i < size; i++)
		answer_add(a, &"abcdefgh"[random_below(r, 8)], 1);
	answer_add(a, end, 2);
}

static size_t
some_size(struct random_state *r)
{
	switch (random_below(r, 12)) {
	case 0:
		return 16000 + random_below(r, 1000);
	case 1:
		return random_below(r, 120000);
	default:
		return random_below(r, 60);
	}
}

static void
add_store(struct answer *a, struct random_state *r)
{
	static const char *const names[] = {"set", "set", "add", "replace", "append", "prepend"};
	size_t size = some_size(r);

	add(a, "%s k%u %u 0 %zu%s\r\n", names[random_below(r, 6)], some_key(r),
	    (unsigned)random_below(r, 3), size, random_below(r, 3) == 0 ? " noreply" : "");
	add_value(a, r, size, random_below(r, 20) == 0 ? "XY" : "\r\n");
}

static void
add_get(struct answer *a, struct random_state *r)
{
	unsigned n = random_below(r, 3) == 0 ? (unsigned)random_below(r, 100) + 1 : 1;

	if (random_below(r, 5) == 0)
		add(a, "gat 0");
	else
		add(a, "get");
	while (n-- > 0)
		add(a, " k%u", some_key(r));
	add(a, "\r\n");
}

static void
add_number(struct answer *a, struct random_state *r)
{
	unsigned key = some_key(r);

	if (random_below(r, 2) == 0)
		add(a, "set k%u 0 0 2\r\n%02u\r\n", key, (unsigned)random_below(r, 100));
	add(a, "%s k%u %u%s\r\n", random_below(r, 2) ? "incr" : "decr", key,
	    (unsigned)random_below(r, 50), random_below(r, 4) == 0 ? " noreply" : "");
}

static void
add_meta(struct answer *a, struct random_state *r)
{
	static const char *const flags[] = {"v", "v k q", "s f t", "v O123 k", "", "N30 v t", "q"};
	unsigned key = some_key(r);
	size_t size;

	switch (random_below(r, 6)) {
	case 0:
		size = some_size(r);
		add(a, "ms k%u %zu %s\r\n", key, size, random_below(r, 2) ? "q" : "O7 k T0");
		add_value(a, r, size, "\r\n");
		return;
	case 1:
		add(a, "md k%u %s\r\n", key, random_below(r, 2) ? "q" : "");
		return;
	case 2:
		add(a, "ma k%u v N0 J13\r\n", key);
		return;
	case 3:
		add(a, "ms azE= 2 b\r\nxx\r\nmg azE= b k v\r\n");
		return;
	case 4:
		add(a, "mn\r\n");
		return;
	default:
		add(a, "mg k%u %s\r\n", key, flags[random_below(r, 7)]);
		return;
	}
}

static void
add_other(struct answer *a, struct random_state *r)
{
	switch (random_below(r, 9)) {
	case 0:
		add(a, "delete k%u\r\n", some_key(r));
		return;
	case 1:
		add(a, "touch k%u 0\r\n", some_key(r));
		return;
	case 2:
		add(a, "bogus\r\n");
		return;
	case 3:
		add(a, "set k%u 0 0 x\r\n", some_key(r));
		return;
	case 4:
		add(a, "set k%u 0 0 2000000\r\n", some_key(r));
		add_value(a, r, 2000000, "\r\n");
		return;
	case 5:
		add(a, "flush_all%s\r\n", random_below(r, 2) ? " noreply" : "");
		return;
	default:
		add(a, "delete k%u noreply\r\nversion\r\n", some_key(r));
		return;
	}
}

static void
add_text(struct answer *a, struct random_state *r)
{
	switch (random_below(r, 12)) {
	case 0:
	case 1:
	case 2:
		add_store(a, r);
		return;
	case 3:
	case 4:
	case 5:
	case 6:
		add_get(a, r);
		return;
	case 7:
		add_number(a, r);
		return;
	case 8:
		add_other(a, r);
		return;
	default:
		add_meta(a, r);
		return;
	}
}

static void
add_binary_head(struct answer *a, struct random_state *r, unsigned opcode, size_t extras,
    size_t key, size_t value)
{
	size_t body = extras + key + value;
	const unsigned char head[BINARY_HEADER_SIZE] = {
	    PROTO_BINARY_MAGIC,
	    (unsigned char)opcode,
	    0,
	    (unsigned char)key,
	    (unsigned char)extras,
	    [8] = (unsigned char)(body >> 24),
	    (unsigned char)(body >> 16),
	    (unsigned char)(body >> 8),
	    (unsigned char)body,
	    [12] = (unsigned char)random_next(r),
	    (unsigned char)random_next(r),
	};

	answer_add(a, head, sizeof(head));
}

static void
add_binary(struct answer *a, struct random_state *r)
{
	static const unsigned char zero[20] = {0};
	static const unsigned stores[] = {0x01, 0x02, 0x03, 0x11};
	static const unsigned reads[] = {0x00, 0x09, 0x0c, 0x0d, 0x04, 0x14};
	char key[8];
	size_t n = (size_t)snprintf(key, sizeof(key), "k%u", some_key(r)), size;

	switch (random_below(r, 5)) {
	case 0:
		size = some_size(r);
		add_binary_head(a, r, stores[random_below(r, 4)], 8, n, size + 2);
		answer_add(a, zero, 8);
		answer_add(a, key, n);
		add_value(a, r, size, "zz");
		return;
	case 1:
		add_binary_head(a, r, random_below(r, 2) ? 0x05 : 0x15, 20, n, 0);
		answer_add(a, zero, 20);
		answer_add(a, key, n);
		return;
	case 2:
		add_binary_head(a, r, 0x0a, 0, 0, 0);
		return;
	default:
		add_binary_head(a, r, reads[random_below(r, 6)], 0, n, 0);
		answer_add(a, key, n);
		return;
	}
}

/* ---------------------------------------------------------------- the same as one node */

/* CAS numbers, at 16 to 23 of each binary answer, are those of different stores. */
static void
forget_cas(struct answer *a)
{
	size_t at = 0;

	if (a->len == 0 || (unsigned char)a->bytes[0] != 0x81)
		return;
	while (at + BINARY_HEADER_SIZE <= a->len) {
		const unsigned char *head = (const unsigned char *)a->bytes + at;
		size_t body = (size_t)head[8] << 24 | (size_t)head[9] << 16 |
		    (size_t)head[10] << 8 | head[11];

		memset(a->bytes + at + 16, 0, 8);
		at += BINARY_HEADER_SIZE + body;
	}
}

/* What one node alone answers to ASKED. */
static void
ask_one(struct machine *m, const struct answer *asked, struct answer *answered)
{
	struct conn *c = machine_conn(m);

	for (size_t at = 0; at < asked->len; at += 5000) {
		size_t n = asked->len - at < 5000 ? asked->len - at : 5000;

		(void)machine_receive(c, asked->bytes + at, n);
		machine_settle(c, answered, SIZE_MAX);
	}
	conn_free(&c);
}

static void
test_any_node_answers_as_one_alone(void **state)
{
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 10; round++) {
		unsigned count = (unsigned)random_below(&r, 4) + 2;
		struct nodes *ns = calloc(1, sizeof(*ns));
		struct machine one;

		assert_non_null(ns);
		nodes_init(ns, count, r);
		store_thread_leave();
		machine_init(&one, MEMORY);
		for (unsigned talk = 0; talk < 40; talk++) {
			struct client client = client_of(ns, (unsigned)random_below(&r, count));
			struct answer asked = {0}, wanted = {0};
			bool binary = random_below(&r, 3) == 0;

			for (uint64_t n = random_below(&r, 60) + 1; n > 0; n--) {
				if (binary)
					add_binary(&asked, &r);
				else
					add_text(&asked, &r);
			}
			ask_one(&one, &asked, &wanted);
			say(ns, &client, &asked);
			hear_out(ns, &client, &wanted);
			forget_cas(&wanted);
			forget_cas(&client.said);
			compare(&client.said, &wanted);
			client_end(&client);
			answer_free(&asked);
			answer_free(&wanted);
		}
		machine_fini(&one);
		store_thread_join();
		nodes_fini(ns);
		free(ns);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_any_node_answers_as_one_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
