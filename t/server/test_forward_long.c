/* t/server/test_forward_long.c: long values, which pass to their owners piece by piece: keys that move and links that break meanwhile. */
#include "t/lib/unit.h"

#include <stdlib.h>
#include <string.h>

#include "server/forward_impl.h"
#include "t/lib/clients.h"

/* A long value whose key becomes another node's while it comes is stored nowhere: its owner then does not know of it. */
static void
test_a_key_moves_in_its_value(void **state)
{
	static const unsigned long long size = 900000;
	struct nodes *ns = calloc(1, sizeof(*ns));
	struct answer asked = {0};
	struct random_state r;
	struct client client;
	unsigned errors = 0;

	(void)state;
	random_init(&r);
	assert_non_null(ns);
	nodes_init(ns, 3, r);
	for (unsigned i = 0; i < 3; i++)
		node_take(ns, i, weighed(2, 100, 1, 1));
	client = client_of(ns, 0);
	for (unsigned n = 0; n < 20; n++) {
		asked.len = 0;
		add(&asked, "set moved:%u 0 0 %llu\r\n", n, size);
		for (unsigned long long i = 0; i < size / 2; i += 8)
			answer_add(&asked, "abcdefgh", 8);
		client.said.len = 0;
		say(ns, &client, &asked);
		assert_int_equal(client.said.len, 0);
		for (unsigned i = 0; i < 3; i++)
			node_take(
			    ns, i, n % 2 ? weighed(3 + n, 100, 1, 1) : weighed(3 + n, 1, 100, 100));
		asked.len = 0;
		for (unsigned long long i = 0; i < size / 2; i += 8)
			answer_add(&asked, "abcdefgh", 8);
		add(&asked, "\r\nget moved:%u\r\nmn\r\n", n);
		say(ns, &client, &asked);
		for (unsigned turn = 0; turn < 2000; turn++) {
			nodes_turn(ns, 1);
			(void)serve(&client);
			answer_add(&client.said, "", 1);
			client.said.len--;
			if (strstr(client.said.bytes, "MN\r\n") != NULL)
				break;
		}
		errors += strncmp(client.said.bytes, "SERVER_ERROR ", 13) == 0;
		if (strncmp(client.said.bytes, "STORED\r\n", 8) == 0)
			assert_memory_equal(client.said.bytes + 8, "VALUE ", 6);
		else
			assert_non_null(strstr(client.said.bytes, "\r\nEND\r\nMN\r\n"));
	}
	/* Where it was the asker's own at first it is not kept. */
	assert_true(errors <= 10);
	client_end(&client);
	answer_free(&asked);
	nodes_fini(ns);
	free(ns);
}

/* Clients that go in the middle of anything leave nothing behind (nodes_fini looks). */
/* The link breaks while a long value passes: it is sent once more. */
static void
test_long_values_outlive_links(void **state)
{
	static const size_t size = 600000;
	unsigned stored = 0, errors = 0;
	struct nodes *ns = calloc(1, sizeof(*ns));
	struct random_state r;

	(void)state;
	random_init(&r);
	assert_non_null(ns);
	nodes_init(ns, 3, r);
	for (unsigned n = 0; n < 60; n++) {
		struct client client = client_of(ns, n % 3);
		struct answer half = {0}, rest = {0};
		char *value = malloc(size + 100);

		assert_non_null(value);
		(void)value_of(n, size, value);
		value[size] = '\0';
		add(&half, "set long:%u 0 0 %zu\r\n", n, size);
		answer_add(&half, value, size / 2);
		answer_add(&rest, value + size / 2, size - size / 2);
		add(&rest, "\r\nget long:%u\r\n", n);
		say(ns, &client, &half);
		for (unsigned turn = 0; turn < 4; turn++) {
			links_break(ns, turn);
			nodes_turn(ns, 1);
		}
		say(ns, &client, &rest);
		for (unsigned turn = 0; conn_want(client.c) != CONN_WANT_CLOSE; turn++) {
			assert_true(turn < 1000);
			links_break(ns, n % 2 ? turn : 100 + turn);
			nodes_turn(ns, 20);
			if (serve(&client) == CONN_WANT_INPUT)
				conn_end(client.c);
		}
		answer_add(&client.said, "", 1);
		stored += strncmp(client.said.bytes, "STORED\r\nVALUE long:", 19) == 0 &&
		    strstr(client.said.bytes, value) != NULL;
		errors += strncmp(client.said.bytes, "SERVER_ERROR peer ", 18) == 0;
		assert_int_equal(stored + errors, n + 1);
		free(value);
		answer_free(&half);
		answer_free(&rest);
		client_end(&client);
	}
	print_message("%u stored, %u errors\n", stored, errors);
	assert_true(stored > 40);
	for (unsigned i = 0; i < ns->count; i++)
		assert_int_equal(node_worker(ns, i)->cluster->forward->kept, 0);
	nodes_fini(ns);
	free(ns);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_key_moves_in_its_value),
	    cmocka_unit_test(test_long_values_outlive_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
