/* t/server/test_forward.c: several nodes in one thread: what any of them answers is, byte for byte, what one alone answers; and
 * links that break, nodes that stand still, and keys that move lead to errors, never to anything else. */
#include "t/lib/unit.h"

#include <stdlib.h>
#include <string.h>

#include "proto/binary.h"
#include "server/forward_impl.h"
#include "t/lib/clients.h"

#define MEMORY ((size_t)64 << 20)
#define KEYS   60u

/* ---------------------------------------------------------------- commands of chance */

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

			if (random_below(&r, 3) == 0)
				client.reads = random_below(&r, 20000) + 200;
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

/* ---------------------------------------------------------------- faults */

static unsigned
size_of(unsigned key)
{
	return key % 10 == 0 ? 150000 : 30;
}

/* Stores all keys, at any node. */
static void
fill(struct nodes *ns)
{
	struct client client = client_of(ns, 0);
	struct answer asked = {0}, wanted = {0};
	char value[150100];

	for (unsigned key = 0; key < KEYS; key++) {
		size_t n = value_of(key, size_of(key), value);

		add(&asked, "set k%u 0 0 %zu\r\n", key, n);
		answer_add(&asked, value, n);
		add(&asked, "\r\n");
		add(&wanted, "STORED\r\n");
	}
	say(ns, &client, &asked);
	hear_out(ns, &client, &wanted);
	compare(&client.said, &wanted);
	client_end(&client);
	answer_free(&asked);
	answer_free(&wanted);
}

/* What a client that asks for KEYS one by one may be told. */
enum told { TOLD_VALUE, TOLD_MISS, TOLD_ERROR, TOLD_KINDS };

static size_t
starts(const struct answer *a, size_t at, const char *text, size_t n)
{
	return a->len - at >= n && memcmp(a->bytes + at, text, n) == 0 ? n : 0;
}

/* The answer at *AT must be about KEY. */
static enum told
read_answer(const struct answer *a, size_t *at, unsigned key)
{
	char wanted[150200], value[150100];
	size_t n = value_of(key, size_of(key), value), used;
	int head = snprintf(wanted, sizeof(wanted), "VALUE k%u 0 %zu\r\n", key, n);
	const char *end;

	memcpy(wanted + head, value, n);
	memcpy(wanted + head + n, "\r\nEND\r\n", 7);
	if ((used = starts(a, *at, wanted, (size_t)head + n + 7)) > 0) {
		*at += used;
		return TOLD_VALUE;
	}
	if ((used = starts(a, *at, "END\r\n", 5)) > 0) {
		*at += used;
		return TOLD_MISS;
	}
	end = memchr(a->bytes + *at, '\n', a->len - *at);
	if (starts(a, *at, "SERVER_ERROR peer ", 18) == 0 || end == NULL)
		fail_msg("k%u: %.*s", key, (int)(a->len - *at < 100 ? a->len - *at : 100),
		    a->bytes + *at);
	*at = (size_t)(end + 1 - a->bytes);
	return TOLD_ERROR;
}

/* Asks NODE for N keys of chance while DISTURB is called each turn; adds what came to TOLD. Each has its answer within twice the
 * peer timeout of the last disturbance. The client
 * reads so many bytes a turn, 0 = all. */
static void
ask_slowly(struct nodes *ns, unsigned node, unsigned n, size_t reads,
    void (*disturb)(struct nodes *ns, unsigned turn), unsigned told[TOLD_KINDS])
{
	struct client client = client_of(ns, node);
	struct answer asked = {0};
	unsigned keys[200];
	size_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		keys[i] = some_key(&ns->r);
		add(&asked, "get k%u\r\n", keys[i]);
	}
	client.reads = reads;
	say(ns, &client, &asked);
	for (unsigned turn = 0; conn_want(client.c) != CONN_WANT_CLOSE; turn++) {
		assert_true(turn < 2000);
		disturb(ns, turn);
		nodes_turn(ns, 20);
		if (serve(&client) == CONN_WANT_INPUT)
			conn_end(client.c);
	}
	for (unsigned i = 0; i < n; i++)
		told[read_answer(&client.said, &at, keys[i])]++;
	assert_int_equal(at, client.said.len);
	client_end(&client);
	answer_free(&asked);
}

static void
ask(struct nodes *ns, unsigned node, unsigned n, void (*disturb)(struct nodes *ns, unsigned turn),
    unsigned told[TOLD_KINDS])
{
	ask_slowly(ns, node, n, 0, disturb, told);
}

static void
peace(struct nodes *ns, unsigned turn)
{
	(void)ns;
	(void)turn;
}

static void
test_reads_outlive_links(void **state)
{
	unsigned told[TOLD_KINDS] = {0};
	struct nodes *ns = calloc(1, sizeof(*ns));
	struct random_state r;

	(void)state;
	random_init(&r);
	assert_non_null(ns);
	nodes_init(ns, 3, r);
	fill(ns);
	for (unsigned round = 0; round < 50; round++)
		ask(ns, round % 3, 100, links_break, told);
	print_message("%u values, %u misses, %u errors\n", told[TOLD_VALUE], told[TOLD_MISS],
	    told[TOLD_ERROR]);
	assert_int_equal(told[TOLD_MISS], 0);
	assert_true(told[TOLD_VALUE] > 4 * told[TOLD_ERROR]);
	memset(told, 0, sizeof(told));
	mend(ns);
	ask(ns, 0, 200, peace, told);
	assert_int_equal(told[TOLD_VALUE], 200);
	nodes_fini(ns);
	free(ns);
}

/* What waits at another node, for a client that reads slowly, is asked for again. */
static void
test_unread_answers_outlive_links(void **state)
{
	unsigned told[TOLD_KINDS] = {0};
	struct nodes *ns = calloc(1, sizeof(*ns));
	struct random_state r;

	(void)state;
	random_init(&r);
	assert_non_null(ns);
	nodes_init(ns, 3, r);
	fill(ns);
	for (unsigned round = 0; round < 30; round++) {
		ask_slowly(
		    ns, round % 3, 100, random_below(&ns->r, 50000) + 5000, links_break, told);
		mend(ns);
	}
	print_message("%u values, %u errors\n", told[TOLD_VALUE], told[TOLD_ERROR]);
	assert_int_equal(told[TOLD_MISS], 0);
	assert_true(told[TOLD_VALUE] > 4 * told[TOLD_ERROR]);
	for (unsigned i = 0; i < ns->count; i++) {
		assert_int_equal(node_worker(ns, i)->cluster->forward->waiting, 0);
		assert_int_equal(node_worker(ns, i)->cluster->forward->promised, 0);
		assert_int_equal(node_worker(ns, i)->source.filled, 0);
	}
	nodes_fini(ns);
	free(ns);
}

static void
test_a_node_stands_still(void **state)
{
	unsigned told[TOLD_KINDS] = {0};
	struct nodes *ns = calloc(1, sizeof(*ns));
	struct random_state r;

	(void)state;
	random_init(&r);
	assert_non_null(ns);
	nodes_init(ns, 3, r);
	fill(ns);
	ns->nodes[2].stands = true;
	for (unsigned round = 0; round < 5; round++)
		ask(ns, round % 2, 100, peace, told);
	assert_int_equal(told[TOLD_MISS], 0);
	print_message("%u values, %u errors\n", told[TOLD_VALUE], told[TOLD_ERROR]);
	assert_true(told[TOLD_VALUE] > 200 && told[TOLD_ERROR] > 50);
	ns->nodes[2].stands = false;
	for (unsigned turn = 0; turn < 10; turn++)
		nodes_turn(ns, 20);
	mend(ns);
	memset(told, 0, sizeof(told));
	ask(ns, 0, 200, peace, told);
	assert_int_equal(told[TOLD_VALUE], 200);
	nodes_fini(ns);
	free(ns);
}

/* An increment that may have been executed is not sent again, whatever happens to the links. */
static void
test_no_change_is_made_twice(void **state)
{
	struct nodes *ns = calloc(1, sizeof(*ns));
	struct answer once = {0};
	struct random_state r;
	uint64_t before = 0;

	(void)state;
	random_init(&r);
	assert_non_null(ns);
	nodes_init(ns, 3, r);
	add(&once, "incr n 1\r\n");
	for (unsigned round = 0; round < 300; round++) {
		struct client client = client_of(ns, round % 3);
		struct answer zero = {0};
		unsigned long long number;

		if (round == 0) {
			add(&zero, "set n 0 0 1\r\n0\r\n");
			say(ns, &client, &zero);
		}
		say(ns, &client, &once);
		for (unsigned turn = 0; conn_want(client.c) != CONN_WANT_CLOSE; turn++) {
			assert_true(turn < 1000);
			if (round > 0)
				links_break(ns, turn);
			nodes_turn(ns, 20);
			if (serve(&client) == CONN_WANT_INPUT)
				conn_end(client.c);
		}
		answer_add(&client.said, "", 1);
		if (round > 0 && sscanf(client.said.bytes, "%llu", &number) == 1) {
			/* Those that ended with an error count once, or not at all. */
			assert_true(number > before && number <= round + 1);
			before = number;
		} else if (round > 0) {
			assert_memory_equal(client.said.bytes, "SERVER_ERROR peer ", 18);
		}
		answer_free(&zero);
		client_end(&client);
	}
	assert_true(before > 100);
	answer_free(&once);
	nodes_fini(ns);
	free(ns);
}

/* While nodes disagree about who owns a key there are errors at worst; where they agree again all is well, also for what
 * waited meanwhile. */
static void
test_keys_that_move(void **state)
{
	unsigned told[TOLD_KINDS] = {0};
	struct nodes *ns = calloc(1, sizeof(*ns));
	struct random_state r;

	(void)state;
	random_init(&r);
	assert_non_null(ns);
	nodes_init(ns, 3, r);
	fill(ns);
	for (unsigned epoch = 2; epoch < 30; epoch++) {
		unsigned first = (unsigned)random_below(&ns->r, 3);
		unsigned a = (unsigned)random_below(&ns->r, 5) + 1;
		unsigned b = (unsigned)random_below(&ns->r, 5) + 1;

		node_take(ns, first, weighed(epoch, a, b, 3));
		ask(ns, epoch % 3, 50, peace, told);
		node_take(ns, (first + 1) % 3, weighed(epoch, a, b, 3));
		node_take(ns, (first + 2) % 3, weighed(epoch, a, b, 3));
		fill(ns);
		memset(told, 0, sizeof(told));
		ask(ns, epoch % 3, 100, peace, told);
		assert_int_equal(told[TOLD_VALUE], 100);
	}
	nodes_fini(ns);
	free(ns);
}

/* The third node is asked, stands still, and is taken out of the list: the error says which it was. */
static void
test_errors_name_who_has_left(void **state)
{
	static const char wanted[] = "SERVER_ERROR peer c did not answer\r\n";
	struct nodes *ns = calloc(1, sizeof(*ns));
	struct answer asked = {0};
	struct random_state r;
	struct client client;
	struct topology *t;
	struct topology_options options = {.cluster = SLICE_LITERAL("test"), .epoch = 2};
	unsigned n = 0;

	(void)state;
	random_init(&r);
	assert_non_null(ns);
	nodes_init(ns, 3, r);
	client = client_of(ns, 0);
	for (char key[16]; asked.len == 0; n++) {
		struct store_key k = store_key(
		    node_worker(ns, 0)->store, key, (size_t)snprintf(key, sizeof(key), "k%u", n));

		if (route(node_worker(ns, 0), &k, false) == 2)
			add(&asked, "incr %s 1\r\n", key);
	}
	ns->nodes[2].stands = true;
	say(ns, &client, &asked);
	nodes_turn(ns, 20);
	assert_int_equal(topology_parse(&t, &options, SLICE_LITERAL("a=x:1,b=x:2")), TOPOLOGY_OK);
	node_take(ns, 0, t);
	for (unsigned turn = 0; turn < 100 && client.said.len == 0; turn++) {
		nodes_turn(ns, 20);
		(void)serve(&client);
	}
	assert_int_equal(client.said.len, sizeof(wanted) - 1);
	assert_memory_equal(client.said.bytes, wanted, sizeof(wanted) - 1);
	client_end(&client);
	answer_free(&asked);
	nodes_fini(ns);
	free(ns);
}

static void
test_clients_vanish(void **state)
{
	struct nodes *ns = calloc(1, sizeof(*ns));
	unsigned told[TOLD_KINDS] = {0};
	struct random_state r;

	(void)state;
	random_init(&r);
	assert_non_null(ns);
	nodes_init(ns, 3, r);
	for (unsigned round = 0; round < 200; round++) {
		struct client client = client_of(ns, round % 3);
		struct answer asked = {0};

		for (uint64_t n = random_below(&ns->r, 100) + 1; n > 0; n--)
			add_text(&asked, &ns->r);
		asked.len = random_below(&ns->r, asked.len + 1);
		say(ns, &client, &asked);
		for (uint64_t n = random_below(&ns->r, 3); n > 0; n--)
			nodes_turn(ns, 0);
		client_end(&client);
		answer_free(&asked);
	}
	for (unsigned turn = 0; turn < 200; turn++) /* what they had asked is still done */
		nodes_turn(ns, 0);
	fill(ns);
	ask(ns, 0, 200, peace, told);
	assert_int_equal(told[TOLD_VALUE], 200);
	nodes_fini(ns);
	free(ns);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_any_node_answers_as_one_alone),
	    cmocka_unit_test(test_reads_outlive_links),
	    cmocka_unit_test(test_unread_answers_outlive_links),
	    cmocka_unit_test(test_a_node_stands_still),
	    cmocka_unit_test(test_no_change_is_made_twice),
	    cmocka_unit_test(test_keys_that_move),
	    cmocka_unit_test(test_errors_name_who_has_left),
	    cmocka_unit_test(test_clients_vanish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
