/* t/cluster/test_ring_libmemcached.c: the owner is the server that libmemcached chooses, in both of its kinds of ketama.
 *
 * For each of 1 to 64 servers 200,000 random keys, and the server counts above at which KETAMA_WEIGHTED makes 39
 * digests a server in place of 40. libmemcached chooses without talking to any server.
 */
#include <libmemcached/memcached.h>
#include <stdint.h>
#include <stdio.h>

#include "t/cluster/nodes.h"
#include "t/lib/unit.h"

#define KEYS        200000u
#define SERVERS_MAX 64u

/* More and libmemcached ends the process. */
#define SERVERS_LIMIT 100u

/* Ports that are elided, all the same, and all different. */
enum naming { DEFAULT_PORTS, ONE_PORT, OWN_PORTS, HOST_NAMES, NAMINGS };

static void
servers_name(struct node_list *l, size_t count, enum naming naming)
{
	char host[NAME_ROOM];

	for (size_t i = 0; i < count; i++) {
		uint16_t port = naming == DEFAULT_PORTS ? 11211
		    : naming == OWN_PORTS               ? (uint16_t)(11211 + i)
							: 11212;

		(void)snprintf(host, sizeof(host), "10.0.0.%zu", i + 1);
		if (naming == OWN_PORTS)
			(void)snprintf(host, sizeof(host), "127.0.0.1");
		if (naming == HOST_NAMES)
			(void)snprintf(host, sizeof(host), "cache-%zu.example.com", i);
		nodes_add(l, host, port);
	}
}

static memcached_st *
client_new(enum ring_kind kind, const struct node_list *l)
{
	memcached_st *client = memcached_create(NULL);
	memcached_server_st *servers = NULL;
	memcached_return_t result;

	assert_non_null(client);
	for (size_t i = 0; i < l->count; i++) {
		servers =
		    memcached_server_list_append(servers, l->text[i], l->nodes[i].port, &result);
		assert_int_equal(result, MEMCACHED_SUCCESS);
	}
	if (kind == RING_LIBMEMCACHED)
		result = memcached_behavior_set(client, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
	else
		result = memcached_behavior_set(client, MEMCACHED_BEHAVIOR_DISTRIBUTION,
		    MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA);
	assert_int_equal(result, MEMCACHED_SUCCESS);
	assert_int_equal(memcached_server_push(client, servers), MEMCACHED_SUCCESS);
	memcached_server_list_free(servers);
	return client;
}

static void
compare_list(enum ring_kind kind, const struct node_list *l, struct random_state *r)
{
	struct ring *ring = ring_of(kind, l->nodes, l->count);
	struct ring_hash *hash = hash_of(kind);
	memcached_st *client = client_new(kind, l);

	for (size_t i = 0; i < KEYS; i++) {
		struct random_key room;
		struct slice key = key_random(&room, r);
		unsigned ours = ring_owner(ring, ring_hash_key(hash, key));
		unsigned theirs = memcached_generate_hash(client, key.ptr, key.len);

		if (ours != theirs)
			fail_msg("%zu servers, the first %s:%u, key %.*s: %u, libmemcached says %u",
			    l->count, l->text[0], (unsigned)l->nodes[0].port, (int)key.len, key.ptr,
			    ours, theirs);
	}
	memcached_free(client);
	ring_hash_free(&hash);
	ring_free(&ring);
}

static void
compare(enum ring_kind kind, size_t count, enum naming naming, struct random_state *r)
{
	static struct node_list l;

	l.count = 0;
	servers_name(&l, count, naming);
	compare_list(kind, &l, r);
}

/* Two servers that share a point, each of them the first once: enough keys lie before it. */
static void
compare_tied(enum ring_kind kind, const char *one, const char *other, struct random_state *r)
{
	static struct node_list l;

	for (unsigned i = 0; i < 2; i++) {
		l.count = 0;
		nodes_add(&l, i == 0 ? one : other, 11211);
		nodes_add(&l, i == 0 ? other : one, 11211);
		compare_list(kind, &l, r);
	}
}

static void
compare_all(enum ring_kind kind)
{
	static const size_t more[] = {71, 94, 99, SERVERS_LIMIT};
	struct random_state r;

	random_init(&r);
	for (size_t count = 1; count <= SERVERS_MAX; count++)
		compare(kind, count, (enum naming)(count % NAMINGS), &r);
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		compare(kind, more[i], (enum naming)(i % NAMINGS), &r);
	for (enum naming naming = 0; naming < NAMINGS; naming++)
		compare(kind, 25, naming, &r);
	if (kind == RING_LIBMEMCACHED)
		compare_tied(kind, "10.0.4.203", "10.0.10.130", &r);
	else
		compare_tied(kind, "10.0.11.200", "10.0.15.8", &r);
}

static void
weighted_ketama(void **state)
{
	(void)state;
	compare_all(RING_LIBMEMCACHED);
}

static void
plain_ketama(void **state)
{
	(void)state;
	compare_all(RING_KETAMA100);
}

/* It is so whatever the servers are called. */
static void
server_counts_with_fewer_points(void **state)
{
	static struct node_list l;
	size_t fewer = 0;

	(void)state;
	(void)printf("156 points a server at");
	for (size_t count = 1; count <= 200; count++) {
		struct ring *ring;

		l.count = 0;
		nodes_add_many(&l, count, 11211);
		ring = ring_of(RING_LIBMEMCACHED, l.nodes, l.count);
		if (ring_size(ring) != 160 * count) {
			assert_int_equal(ring_size(ring), 156 * count);
			(void)printf(" %zu", count);
			fewer++;
		}
		ring_free(&ring);
	}
	(void)printf(" servers\n");
	assert_int_equal(fewer, 19);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(weighted_ketama),
	    cmocka_unit_test(plain_ketama),
	    cmocka_unit_test(server_counts_with_fewer_points),
	};

	return cmocka_run_group_tests_name("ring_libmemcached", tests, NULL, NULL);
}
