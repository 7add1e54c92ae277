/* server/forward_names.c: what nodes are called in the errors that clients get. A request may end when its node has left the
 * topology, so names stay, once each, as long as the worker. */
#include <stdlib.h>
#include <string.h>

#include "server/cluster.h"
#include "server/forward_impl.h"

struct forward_name {
	SLIST_ENTRY(forward_name) entry;
	size_t len;
	char text[];
};

/* NAME as it is kept; NULL where memory is out. */
static const struct forward_name *
keep(struct forward_worker *fw, struct slice name)
{
	struct forward_name *one;

	SLIST_FOREACH(one, &fw->names, entry)
		if (slice_equal(slice_of(one->text, one->len), name))
			return one;
	if ((one = malloc(sizeof(*one) + name.len)) == NULL)
		return NULL;
	one->len = name.len;
	memcpy(one->text, name.ptr, name.len);
	SLIST_INSERT_HEAD(&fw->names, one, entry);
	return one;
}

void
forward_names_take(struct worker *w)
{
	struct forward_worker *fw = w->cluster->forward;
	const struct topology *t = w->cluster->topology;

	memset(fw->named, 0, sizeof(fw->named));
	for (unsigned i = 0; i < topology_count(t); i++)
		fw->named[i] = keep(fw, topology_node_name(t, i));
}

void
forward_names_free(struct forward_worker *fw)
{
	struct forward_name *one;

	while ((one = SLIST_FIRST(&fw->names)) != NULL) {
		SLIST_REMOVE_HEAD(&fw->names, entry);
		free(one);
	}
}

const struct forward_name *
forward_name_of(struct worker *w, unsigned node)
{
	return node < TOPOLOGY_NODES_MAX ? w->cluster->forward->named[node] : NULL;
}

struct slice
forward_name_text(const struct forward_name *name)
{
	return name != NULL ? slice_of(name->text, name->len) : SLICE_LITERAL("(of no list)");
}
