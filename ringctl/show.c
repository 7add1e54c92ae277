/* ringctl/show.c: status and ring: what the cluster is, and who owns what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ringctl/ringctl.h"

/* The figure NAME of a node as a number where it is one, else as text; NULL where it is not there. */
static json_t *
figure(json_t *stats, struct slice node, const char *name)
{
	char full[TOPOLOGY_NAME_MAX + 64], *end;
	const char *text;
	long long number;

	(void)snprintf(full, sizeof(full), "%.*s:%s", (int)node.len, node.ptr, name);
	text = json_string_value(json_object_get(stats, full));
	if (text == NULL)
		return NULL;
	number = strtoll(text, &end, 10);
	if (*end == '\0' && end != text && strcmp(name, "id") != 0)
		return json_integer(number);
	return json_of(slice_of(text, strlen(text)));
}

/* ---------------------------------------------------------------- status */

json_t *
run_status(const struct options *o, const struct arguments *a, enum status *status)
{
	static const char *const names[] = {"id", "state", "epoch", "uptime", "threads",
	    "curr_connections", "curr_items", "bytes", "own_items", "own_bytes", "copy_items",
	    "copy_bytes", "limit_maxbytes", "evictions", "cmd_set", "get_hits", "get_misses",
	    "forwarded_out", "forwarded_in", "forward_errors", "lag_operations", "lag_us"};
	struct topology *t;
	json_t *stats = client_cluster(o, &t), *result = json_object(), *nodes = json_array();

	(void)a;
	(void)status;
	(void)json_object_set_new(result, "cluster_id", json_of(topology_options(t)->cluster));
	(void)json_object_set_new(result, "epoch", json_integer((json_int_t)topology_epoch(t)));
	(void)json_object_set_new(result, "ring", json_string(ring_kind_name(topology_kind(t))));
	(void)json_object_set_new(result, "replicas", json_integer(topology_options(t)->replicas));
	for (unsigned i = 0; i < topology_count(t); i++) {
		const struct topology_node *node = topology_node(t, i);
		json_t *one = json_object();

		(void)json_object_set_new(one, "name", json_of(topology_node_name(t, i)));
		(void)json_object_set_new(one, "host", json_of(node->host));
		(void)json_object_set_new(one, "port", json_integer(node->port));
		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
			json_t *value = figure(stats, topology_node_name(t, i), names[j]);

			if (value != NULL)
				(void)json_object_set_new(one, names[j], value);
		}
		(void)json_array_append_new(nodes, one);
	}
	(void)json_object_set_new(result, "nodes", nodes);
	json_decref(stats);
	topology_free(&t);
	return result;
}

static const char *
string_in(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text == NULL ? "-" : text;
}

static long long
number_in(json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

void
print_status(json_t *result)
{
	json_t *nodes = json_object_get(result, "nodes"), *one;
	size_t i;

	(void)printf("cluster %s, epoch %lld, %zu nodes, ring %s, %lld replicas\n\n",
	    string_in(result, "cluster_id"), number_in(result, "epoch"), json_array_size(nodes),
	    string_in(result, "ring"), number_in(result, "replicas"));
	(void)printf("%-20s %-12s %6s %8s %6s %10s %10s %8s %7s %8s %9s\n", "node", "state",
	    "epoch", "uptime", "conns", "items", "copies", "MB", "of MB", "lag ms", "hit ratio");
	json_array_foreach(nodes, i, one)
	{
		long long hits = number_in(one, "get_hits"), misses = number_in(one, "get_misses");

		if (json_object_get(one, "epoch") == NULL) {
			(void)printf(
			    "%-20s %-12s\n", string_in(one, "name"), string_in(one, "state"));
			continue;
		}
		(void)printf("%-20s %-12s %6lld %8lld %6lld %10lld %10lld %8lld %7lld %8.1f ",
		    string_in(one, "name"), string_in(one, "state"), number_in(one, "epoch"),
		    number_in(one, "uptime"), number_in(one, "curr_connections"),
		    number_in(one, "own_items"), number_in(one, "copy_items"),
		    number_in(one, "bytes") >> 20, number_in(one, "limit_maxbytes") >> 20,
		    (double)number_in(one, "lag_us") / 1000);
		if (hits + misses > 0)
			(void)printf("%8.2f%%\n", 100.0 * (double)hits / (double)(hits + misses));
		else
			(void)printf("%9s\n", "-");
	}
}

/* ---------------------------------------------------------------- ring */

static json_t *
shares(const struct topology *t)
{
	json_t *nodes = json_array();

	for (unsigned i = 0; i < topology_count(t); i++) {
		uint64_t share = ring_share(topology_ring(t), i);

		(void)json_array_append_new(nodes,
		    json_pack("{s:o, s:i, s:f}", "name", json_of(topology_node_name(t, i)),
			"weight", (int)topology_node(t, i)->weight, "share",
			(double)share / (double)RING_SPACE));
	}
	return json_pack("{s:s, s:o}", "ring", ring_kind_name(topology_kind(t)), "nodes", nodes);
}

static json_t *
holders_of(const struct topology *t, const char *key)
{
	uint16_t holders[TOPOLOGY_REPLICAS_MAX + 1];
	json_t *copies = json_array();
	struct ring_hash *hash;
	uint32_t point;
	unsigned n;

	if (ring_hash_new(&hash, topology_kind(t)) != RING_OK)
		die(STATUS_USAGE, "no memory");
	point = ring_hash_key(hash, slice_of(key, strlen(key)));
	n = topology_holders(t, point, holders, TOPOLOGY_REPLICAS_MAX + 1);
	ring_hash_free(&hash);
	if (n == 0)
		die(STATUS_REFUSED, "no node can own a key at present");
	for (unsigned i = 1; i < n; i++)
		(void)json_array_append_new(copies, json_of(topology_node_name(t, holders[i])));
	return json_pack("{s:o, s:I, s:o, s:o}", "key", json_of(slice_of(key, strlen(key))),
	    "point", (json_int_t)point, "owner", json_of(topology_node_name(t, holders[0])),
	    "copies", copies);
}

json_t *
run_ring(const struct options *o, const struct arguments *a, enum status *status)
{
	struct topology *t;
	json_t *stats = client_cluster(o, &t), *result;

	(void)status;
	result = a->count == 0 ? shares(t) : holders_of(t, a->words[0]);
	json_decref(stats);
	topology_free(&t);
	return result;
}

void
print_ring(json_t *result)
{
	json_t *list = json_object_get(result, "nodes"), *one;
	size_t i;

	if (list == NULL) {
		(void)printf("owner  %s\n", string_in(result, "owner"));
		json_array_foreach(json_object_get(result, "copies"), i, one)(void)
		    printf("copy   %s\n", json_string_value(one));
		return;
	}
	(void)printf("%-20s %7s %8s\n", "node", "weight", "share");
	json_array_foreach(list, i, one)(void)
	    printf("%-20s %7lld %7.2f%%\n", string_in(one, "name"), number_in(one, "weight"),
		100.0 * json_real_value(json_object_get(one, "share")));
}
