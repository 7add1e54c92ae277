/* server/cluster_known.c: see cluster_known.h. */
#include "server/cluster_known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/log.h"
#include "server/cluster.h"
#include "server/cluster_session.h"

/* A stranger is logged again after so long, and another one, where many are remembered, after so long. */
#define STRANGER_AGAIN 600000u
#define STRANGER_NEXT  1000u

uint64_t
known_now(void)
{
	struct timespec ts;

	ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void
known_init(struct known *k, const struct cluster *cluster)
{
	*k = (struct known){.cluster = cluster};
	TAILQ_INIT(&k->nodes);
}

void
known_fini(struct known *k)
{
	struct acquaintance *a;

	while ((a = TAILQ_FIRST(&k->nodes)) != NULL) {
		TAILQ_REMOVE(&k->nodes, a, entry);
		free(a);
	}
}

/* ---------------------------------------------------------------- nodes */

static struct acquaintance *
node_find(const struct known *k, uint64_t node_id)
{
	struct acquaintance *a;

	TAILQ_FOREACH(a, &k->nodes, entry)
		if (a->node_id == node_id)
			return a;
	return NULL;
}

static struct acquaintance *
node_take(struct known *k, uint64_t node_id)
{
	struct acquaintance *a = node_find(k, node_id);

	if (a != NULL || (a = calloc(1, sizeof(*a))) == NULL)
		return a;
	a->node_id = node_id;
	TAILQ_INSERT_TAIL(&k->nodes, a, entry);
	return a;
}

bool
known_in_trouble(const struct known *k, uint64_t node_id)
{
	const struct acquaintance *a = node_find(k, node_id);

	return a != NULL && a->refusal != REFUSAL_NONE;
}

void
known_epoch(struct known *k, uint64_t epoch)
{
	if (epoch > k->epoch)
		k->epoch = epoch;
}

bool
known_all(const struct known *k)
{
	const struct topology *t = k->cluster->topology;

	if (k->epoch > topology_epoch(t))
		return false;
	for (unsigned i = 0; i < topology_count(t); i++) {
		uint64_t id = topology_node(t, i)->id;
		const struct acquaintance *a = node_find(k, id);

		if (id != k->cluster->node_id && (a == NULL || !a->met))
			return false;
	}
	return true;
}

static struct slice
name_of(const struct known *k, uint64_t node_id)
{
	unsigned i;

	if (topology_find_id(k->cluster->topology, node_id, &i))
		return topology_node_name(k->cluster->topology, i);
	return SLICE_LITERAL("that is not in the list of nodes");
}

void
known_outcome(struct known *k, uint64_t node_id, const struct session *s, unsigned refusal)
{
	struct acquaintance *a = node_take(k, node_id);
	struct slice name = name_of(k, node_id);

	if (a == NULL || (a->refusal == refusal && (a->met || refusal != REFUSAL_NONE)))
		return;
	a->refusal = (uint8_t)refusal;
	a->met |= refusal == REFUSAL_NONE;
	if (refusal == REFUSAL_NONE)
		log_info("peer %.*s: linked", (int)name.len, name.ptr);
	else if (refusal == REFUSALS)
		log_warn("peer %.*s: cannot be reached", (int)name.len, name.ptr);
	else if (s->handshake.by_them)
		log_warn("peer %.*s at %s refuses this node: by its word this node %s",
		    (int)name.len, name.ptr, s->address, refusal_text((enum refusal)refusal));
	else
		log_warn("peer %.*s at %s is refused: it %s", (int)name.len, name.ptr, s->address,
		    refusal_text((enum refusal)refusal));
}

/* ---------------------------------------------------------------- strangers */

/* Where to note that HOST was refused for REFUSAL; NULL where that is no news. */
static struct stranger *
stranger_place(struct known *k, const char *host, uint8_t refusal, uint64_t now)
{
	struct stranger *oldest = &k->strangers[0];

	for (unsigned i = 0; i < KNOWN_STRANGERS; i++) {
		struct stranger *one = &k->strangers[i];

		if (one->logged != 0 && now - one->logged < STRANGER_AGAIN &&
		    one->refusal == refusal && strcmp(one->host, host) == 0)
			return NULL;
		if (one->logged < oldest->logged)
			oldest = one;
	}
	return oldest->logged != 0 && now - oldest->logged < STRANGER_NEXT ? NULL : oldest;
}

void
known_stranger(struct known *k, const struct session *s)
{
	const char *colon = strrchr(s->address, ':');
	uint8_t refusal = (uint8_t)s->handshake.refusal;
	struct stranger one = {.refusal = refusal, .logged = known_now()}, *place;

	(void)snprintf(one.host, sizeof(one.host), "%.*s",
	    colon == NULL ? 0 : (int)(colon - s->address), s->address);
	if ((place = stranger_place(k, one.host, refusal, one.logged)) == NULL)
		return;
	*place = one;
	log_warn("a connection from %s to the peer port is refused: it %s", s->address,
	    refusal_text(s->handshake.refusal));
}
