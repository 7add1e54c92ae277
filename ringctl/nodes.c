/* ringctl/nodes.c: the list of nodes, and giving the cluster another one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/handshake.h"
#include "ringctl/ringctl.h"

#define POLL_MS 50

/* ---------------------------------------------------------------- showing */

static json_t *
node_list(const struct topology *t)
{
	json_t *nodes = json_array();

	for (unsigned i = 0; i < topology_count(t); i++) {
		const struct topology_node *node = topology_node(t, i);
		struct slice name = topology_node_name(t, i);

		(void)json_array_append_new(nodes,
		    json_pack("{s:o, s:o, s:i, s:i, s:i, s:b}", "name", json_of(name), "host",
			json_of(node->host), "port", node->port, "peer_port", node->peer_port,
			"weight", (int)node->weight, "eligible", node->eligible));
	}
	return nodes;
}

/* ---------------------------------------------------------------- changing */

static struct slice
read_secret(const char *path)
{
	static char secret[HANDSHAKE_SECRET_MAX];
	ssize_t n;
	int fd;

	if (path == NULL)
		die(STATUS_USAGE,
		    "nodes set needs --secret: the file with the secret of the cluster");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, secret, sizeof(secret));
	if (n < 0)
		die(STATUS_USAGE, "cannot read %s: %s", path, strerror(errno));
	(void)close(fd);
	while (n > 0 && (secret[n - 1] == '\n' || secret[n - 1] == '\r'))
		n--;
	if (n < (ssize_t)HANDSHAKE_SECRET_MIN)
		die(STATUS_USAGE, "the secret in %s is too short", path);
	return slice_of(secret, (size_t)n);
}

static struct topology *
next_topology(const struct topology *now, const char *list)
{
	struct topology_options options = *topology_options(now);
	enum topology_status status;
	struct topology *t;

	options.epoch++;
	status = topology_parse(&t, &options, slice_of(list, strlen(list)));
	if (status != TOPOLOGY_OK)
		die(STATUS_USAGE, "%s: %s", list, topology_status_text(status));
	return t;
}

/* Offers NEXT to all nodes of T that SEEN does not have; returns how many took it, and adds who did not to FAILED. */
static unsigned
offer_all(const struct options *o, const struct topology *t, const struct topology *seen,
    const struct topology *next, struct slice secret, json_t *failed)
{
	unsigned taken = 0, other;

	for (unsigned i = 0; i < topology_count(t); i++) {
		const struct topology_node *node = topology_node(t, i);
		struct slice name = topology_node_name(t, i);
		const char *why;

		if (seen != NULL && topology_find_id(seen, node->id, &other))
			continue;
		why = operator_offer(o, node, next, secret);
		if (why == NULL)
			taken++;
		else
			(void)json_array_append_new(
			    failed, json_pack("{s:o, s:s}", "name", json_of(name), "why", why));
	}
	return taken;
}

/* Whether the node has WANTED. Somebody else may have made another one at the same time: that takes the next epoch, or this one does. */
static bool
has_topology(
    const struct options *o, const struct topology_node *node, const struct topology *wanted)
{
	struct topology *t = NULL;
	json_t *stats = client_cluster_at(o, node->host, node->port, &t);
	bool has = false;

	if (stats != NULL && t != NULL)
		has = topology_epoch(t) >= topology_epoch(wanted) &&
		    topology_digest(t) == topology_digest(wanted);
	json_decref(stats);
	if (t != NULL)
		topology_free(&t);
	return has;
}

/* Waits until the nodes of T have it; adds who has not in time to LATE. */
static void
wait_all(const struct options *o, const struct topology *t, json_t *late)
{
	const struct timespec rest = {0, POLL_MS * 1000000L};
	uint64_t end = now_ms() + (uint64_t)o->timeout;

	for (unsigned i = 0; i < topology_count(t); i++) {
		struct slice name = topology_node_name(t, i);
		bool has;

		while (!(has = has_topology(o, topology_node(t, i), t)) && now_ms() < end)
			(void)nanosleep(&rest, NULL);
		if (!has)
			(void)json_array_append_new(late, json_of(name));
	}
}

/* Refuses to call a running node by another name than it has itself: it would take itself for no member. */
static void
check_names(const struct options *o, const struct topology *now, const struct topology *next)
{
	for (unsigned i = 0; i < topology_count(next); i++) {
		const struct topology_node *node = topology_node(next, i);
		struct slice name = topology_node_name(next, i);
		struct topology *theirs = NULL;
		const char *self;
		json_t *stats;
		unsigned same;

		if (topology_find_id(now, node->id, &same) ||
		    (stats = client_cluster_at(o, node->host, node->port, &theirs)) == NULL)
			continue;
		self = json_string_value(json_object_get(stats, "self"));
		if (self != NULL && !slice_is(name, self))
			die(STATUS_USAGE,
			    "the node at %.*s:%u is %s: it cannot be called %.*s while it runs",
			    (int)node->host.len, node->host.ptr, node->port, self, (int)name.len,
			    name.ptr);
		json_decref(stats);
		topology_free(&theirs);
	}
}

static json_t *
set_nodes(const struct options *o, const char *list, enum status *status)
{
	struct slice secret = read_secret(o->secret);
	json_t *failed = json_array(), *late = json_array(), *result;
	struct topology *now, *next, *holds;
	json_t *stats = client_cluster(o, &now);
	unsigned taken;

	json_decref(stats);
	next = next_topology(now, list);
	latest_topology(o, &now, next);
	topology_free(&next);
	next = next_topology(now, list);
	check_names(o, now, next);
	await_comparisons(o, now);
	taken = offer_all(o, next, NULL, next, secret, failed);
	(void)offer_all(o, now, next, next, secret, failed);
	if (taken > 0)
		wait_all(o, next, late);
	if (taken == 0 || json_array_size(late) > 0)
		*status = STATUS_REFUSED;
	holds = taken > 0 ? next : now;
	result = json_pack("{s:I, s:o, s:o, s:o}", "epoch", (json_int_t)topology_epoch(holds),
	    "nodes", node_list(holds), "not_told", failed, "without_it", late);
	topology_free(&now);
	topology_free(&next);
	return result;
}

json_t *
run_nodes(const struct options *o, const struct arguments *a, enum status *status)
{
	struct topology *t;
	json_t *stats, *result;

	if (a->count > 0 && (a->count != 2 || strcmp(a->words[0], "set") != 0))
		die(STATUS_USAGE, "usage: ringctl nodes [set LIST]");
	if (a->count == 2)
		return set_nodes(o, a->words[1], status);
	stats = client_cluster(o, &t);
	json_decref(stats);
	result =
	    json_pack("{s:I, s:o}", "epoch", (json_int_t)topology_epoch(t), "nodes", node_list(t));
	topology_free(&t);
	return result;
}

void
print_nodes(json_t *result)
{
	json_t *one;
	size_t i;

	(void)printf("epoch %lld\n\n%-20s %-28s %6s %10s %7s\n",
	    (long long)json_integer_value(json_object_get(result, "epoch")), "node", "host", "port",
	    "peer port", "weight");
	json_array_foreach(json_object_get(result, "nodes"), i, one)(void) printf(
	    "%-20s %-28s %6lld %10lld %7lld\n", json_string_value(json_object_get(one, "name")),
	    json_string_value(json_object_get(one, "host")),
	    (long long)json_integer_value(json_object_get(one, "port")),
	    (long long)json_integer_value(json_object_get(one, "peer_port")),
	    (long long)json_integer_value(json_object_get(one, "weight")));
	json_array_foreach(json_object_get(result, "not_told"), i, one)(void) fprintf(stderr,
	    "ringctl: %s was not told: %s\n", json_string_value(json_object_get(one, "name")),
	    json_string_value(json_object_get(one, "why")));
	json_array_foreach(json_object_get(result, "without_it"), i, one)(void)
	    fprintf(stderr, "ringctl: %s does not show this list yet\n", json_string_value(one));
}
