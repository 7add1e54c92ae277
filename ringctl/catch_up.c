/* ringctl/catch_up.c: what is to be known, and to be over, before the cluster is given another list of nodes.
 *
 * A node that comes to hold a key by a list gets it by comparing what it has with those who held it before. Another list, before that
 * is over, may take the key from those as well; so the comparisons between all nodes that answer are waited for. A node that does not
 * answer is waited for by nobody: it may be the one that is to be taken out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ringctl/ringctl.h"

#define POLL_MS  100
#define TEXT_MAX 512u

/* ---------------------------------------------------------------- the latest list */

/* Takes the list of NODE in place of *LATEST where it is later. */
static bool
learn_from(const struct options *o, const struct topology_node *node, struct topology **latest)
{
	struct topology *theirs = NULL;
	json_t *stats = client_cluster_at(o, node->host, node->port, &theirs);
	bool later = stats != NULL && topology_epoch(theirs) > topology_epoch(*latest) &&
	    slice_equal(topology_options(theirs)->cluster, topology_options(*latest)->cluster);

	json_decref(stats);
	if (later) {
		topology_free(latest);
		*latest = theirs;
	} else if (theirs != NULL) {
		topology_free(&theirs);
	}
	return later;
}

/* Asks the nodes of T; true where one of them has a later list than *LATEST, which that is then. T may be *LATEST. */
static bool
learn_from_all(const struct options *o, const struct topology *t, struct topology **latest)
{
	for (unsigned i = 0; i < topology_count(t); i++)
		if (learn_from(o, topology_node(t, i), latest))
			return true;
	return false;
}

void
latest_topology(const struct options *o, struct topology **t, const struct topology *others)
{
	uint64_t epoch = topology_epoch(*t);

	if (others != NULL)
		while (learn_from_all(o, others, t))
			;
	while (learn_from_all(o, *t, t))
		;
	if (topology_epoch(*t) > epoch)
		(void)fprintf(stderr,
		    "ringctl: %s has an old list of nodes, of epoch %llu; others have epoch %llu\n",
		    o->server, (unsigned long long)epoch, (unsigned long long)topology_epoch(*t));
}

/* ---------------------------------------------------------------- comparisons */

/* What the nodes say of their comparisons; NULL: no answer. */
struct asked {
	const struct topology *t;
	json_t *stats[TOPOLOGY_NODES_MAX];
};

static void
ask_all(const struct options *o, struct asked *a)
{
	for (unsigned i = 0; i < topology_count(a->t); i++)
		a->stats[i] = client_stats_at(o, topology_node(a->t, i), "replication");
}

static void
forget_all(struct asked *a)
{
	for (unsigned i = 0; i < topology_count(a->t); i++)
		json_decref(a->stats[i]);
}

/* Whether the figure NAME of node I is the epoch of the list, or I does not know such a figure. */
static bool
has_epoch(const struct asked *a, unsigned i, const char *name)
{
	const char *text = json_string_value(json_object_get(a->stats[i], name));

	return text == NULL || strtoull(text, NULL, 10) == topology_epoch(a->t);
}

static bool
have_compared(const struct asked *a, unsigned i, unsigned other)
{
	struct slice name = topology_node_name(a->t, other);
	char figure[TOPOLOGY_NAME_MAX + 16];

	(void)snprintf(figure, sizeof(figure), "%.*s:compared", (int)name.len, name.ptr);
	return has_epoch(a, i, figure);
}

/* Whether node I waits for nothing; of the first that it waits for TEXT tells. */
static bool
is_through(const struct asked *a, unsigned i, char text[TEXT_MAX])
{
	struct slice name = topology_node_name(a->t, i), other;

	if (a->stats[i] == NULL)
		return true;
	if (!has_epoch(a, i, "epoch") || !has_epoch(a, i, "marked")) {
		(void)snprintf(text, TEXT_MAX, "%.*s to take it", (int)name.len, name.ptr);
		return false;
	}
	for (unsigned j = 0; j < topology_count(a->t); j++) {
		if (j == i || a->stats[j] == NULL || have_compared(a, i, j))
			continue;
		other = topology_node_name(a->t, j);
		(void)snprintf(text, TEXT_MAX, "%.*s to compare with %.*s what they hold",
		    (int)name.len, name.ptr, (int)other.len, other.ptr);
		return false;
	}
	return true;
}

static bool
are_through(const struct options *o, const struct topology *t, char text[TEXT_MAX])
{
	struct asked a = {.t = t};
	bool through = true;

	ask_all(o, &a);
	for (unsigned i = 0; through && i < topology_count(t); i++)
		through = is_through(&a, i, text);
	forget_all(&a);
	return through;
}

void
await_comparisons(const struct options *o, const struct topology *t)
{
	const struct timespec rest = {0, POLL_MS * 1000000L};
	unsigned long long epoch = topology_epoch(t);
	uint64_t end = now_ms() + (uint64_t)o->wait * 1000;
	char text[TEXT_MAX] = "";

	if (o->force || are_through(o, t, text))
		return;
	(void)fprintf(stderr,
	    "ringctl: the nodes are not through with the list of epoch %llu: waiting for %s (%d s at most)\n",
	    epoch, text, o->wait);
	while (!are_through(o, t, text)) {
		if (now_ms() >= end)
			die(STATUS_REFUSED,
			    "nothing was changed: after %d s the list of epoch %llu still waits for %s; another one now may lose items "
			    "(--force gives it all the same)",
			    o->wait, epoch, text);
		(void)nanosleep(&rest, NULL);
	}
}
