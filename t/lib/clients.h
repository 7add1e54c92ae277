/* t/lib/clients.h: clients of several nodes in one thread (t/lib/nodes.h): what they say and are told, while links break and keys
 * move.
 */
#ifndef T_LIB_CLIENTS_H
#define T_LIB_CLIENTS_H

#include "t/lib/unit.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "t/lib/nodes.h"

#define LINE_MAX 4096u
#define PATIENCE 20000u /* turns */

/* A client of one node, and what it has been told. */
struct client {
	struct conn *c;
	struct answer said;
	size_t reads; /* bytes a turn; 0 = all */
};

static inline struct client
client_of(struct nodes *ns, unsigned node)
{
	return (struct client){.c = machine_conn(&ns->nodes[node].m)};
}

static inline void
client_end(struct client *client)
{
	conn_free(&client->c);
	answer_free(&client->said);
}

/* What a driver does at the end of a turn; returns what the connection wants. */
static inline unsigned
serve(struct client *client)
{
	unsigned want;

	(void)machine_take(client->c, &client->said, client->reads > 0 ? client->reads : SIZE_MAX);
	want = conn_want(client->c);
	if (want & CONN_WANT_TURN)
		worker_queue_turn(client->c->worker, client->c);
	return want;
}

static inline void
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
static inline void
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

/* Says all of BYTES, in pieces of chance. While nothing more is heard, a millisecond passes each turn. */
static inline void
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
		nodes_turn(ns, 1);
	}
}

static inline void __attribute__((format(printf, 2, 3)))
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

/* A value that says whose it is. */
static inline size_t
value_of(unsigned key, unsigned size, char *value)
{
	size_t n = 0;

	while (n < size)
		n += (size_t)snprintf(value + n, 16, "<%u>", key);
	return n;
}

/* Links that are down come up again. */
static inline void
mend(struct nodes *ns)
{
	for (unsigned i = 0; i < ns->count; i++)
		for (unsigned j = 0; j < ns->count; j++)
			if (i != j && !link_up(link_to(node_worker(ns, i), j)))
				nodes_link(ns, i, j);
}

/* For a while a link of chance breaks now and then, wherever its bytes are. */
static inline void
links_break(struct nodes *ns, unsigned turn)
{
	struct wire *wire = &ns->wires[random_below(&ns->r, ns->wire_count)];

	if (turn < 20 && random_below(&ns->r, 2) == 0 && wire->from != NULL) {
		conn_free(&wire->from);
		wires_look(ns);
	}
	if (turn < 20 || turn % 5 == 0)
		mend(ns);
}

static inline struct topology *
weighed(unsigned epoch, unsigned a, unsigned b, unsigned c)
{
	const struct topology_options options = {.cluster = SLICE_LITERAL("test"), .epoch = epoch};
	struct topology *t;
	char list[64];
	int n = snprintf(list, sizeof(list), "a=x:1*%u,b=x:2*%u,c=x:3*%u", a, b, c);

	assert_int_equal(topology_parse(&t, &options, slice_of(list, (size_t)n)), TOPOLOGY_OK);
	return t;
}

#endif
