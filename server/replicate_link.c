/* server/replicate_link.c: replication meets the server. */
#include "server/replicate_link.h"

#include <sys/random.h>
#include <time.h>

#include "base/assert.h"
#include "cluster/past.h"
#include "server/clock.h"
#include "server/cluster.h"
#include "server/link_impl.h"
#include "server/replicate.h"
#include "server/replicate_wait.h"
#include "server/settings.h"

static char *
means_frame(void *link, size_t body_max)
{
	return link_frame(link, body_max);
}

static void
means_frame_end(void *link, enum frame_type type, uint8_t flags, uint64_t id, const char *end)
{
	link_frame_end(link, type, flags, id, end);
}

static size_t
means_unsent(const void *link)
{
	return link_unsent(link);
}

static uint64_t
means_clock(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static const struct replicate_means means = {
    means_frame, means_frame_end, means_unsent, means_clock};

static unsigned
holders(const void *topology, uint32_t point, uint16_t *to, unsigned want)
{
	return topology_holders(topology, point, to, want);
}

static bool
stale(const void *past, uint32_t point, uint64_t order)
{
	return past_is_stale(past, point, order);
}

/* ---------------------------------------------------------------- the process */

bool
replicate_start(struct cluster *cl)
{
	const struct server *server = cl->server;
	struct replicate_options options = {.store = server->store,
	    .means = &means,
	    .backlog = server->settings->replication_backlog,
	    .workers = server->settings->threads,
	    .calendar = load_relaxed(&server->clock->wall_zero),
	    .min_replicas = server->settings->min_replicas};

	ASSERT(getrandom(&options.seed, sizeof(options.seed), 0) == (ssize_t)sizeof(options.seed));
	cl->replicate = replicate_new(&options);
	return cl->replicate != NULL;
}

void
replicate_stop(struct cluster *cl)
{
	replicate_free(&cl->replicate);
}

/* ---------------------------------------------------------------- workers */

void
replicate_took_topology(struct worker *w)
{
	struct cluster_worker *cw = w->cluster;
	const struct topology *t = cw->topology;
	uint64_t ids[TOPOLOGY_NODES_MAX];
	struct replicate_places places = {.topology = t,
	    .holders = holders,
	    .epoch = topology_epoch(t),
	    .kind = topology_kind(t),
	    .count = (unsigned)topology_count(t),
	    .self = cw->self,
	    .copies = topology_options(t)->replicas,
	    .ids = ids,
	    .past = cw->past,
	    .stale = stale};

	for (unsigned i = 0; i < places.count; i++)
		ids[i] = topology_node(t, i)->id;
	replicate_topology(cw->replicate, &places);
}

static void
on_acked(void *context)
{
	wait_look(context);
}

bool
replicate_worker_start(struct worker *w)
{
	w->cluster->replicate = replicate_worker_new(w->cluster->cluster->replicate, w->id);
	if (w->cluster->replicate == NULL)
		return false;
	replicate_on_acked(w->cluster->replicate, on_acked, w);
	replicate_took_topology(w);
	return true;
}

void
replicate_worker_stop(struct worker *w)
{
	replicate_worker_free(&w->cluster->replicate);
}

void
replicate_begin_turn(struct worker *w)
{
	replicate_worker_enter(w->cluster->replicate);
}

void
replicate_end_turn(struct worker *w)
{
	(void)replicate_turn_end(w->cluster->replicate);
}

void
replicate_ticks(struct worker *w)
{
	(void)replicate_tick(w->cluster->replicate);
	wait_look(w);
}

/* ---------------------------------------------------------------- links */

void
replicate_link_started(struct link *l)
{
	struct worker *w = l->worker;
	unsigned node;

	ASSERT(l->replicate == NULL);
	if (l->role != HANDSHAKE_PEER)
		return;
	if (!topology_find_id(w->cluster->topology, l->node_id, &node))
		node = CLUSTER_NOBODY;
	l->replicate = replicate_link_up(
	    w->cluster->replicate, l, node, l->node_id, l->incarnation, l->outgoing);
	if (l->replicate == NULL)
		link_break(l, "no memory for replication");
}

void
replicate_link_ended(struct link *l)
{
	wait_link_closed(l);
	if (l->replicate != NULL)
		replicate_link_down(l->replicate);
	l->replicate = NULL;
}

bool
replicate_on_frame(struct link *l, const struct frame *frame)
{
	return l->replicate != NULL && replicate_receive(l->replicate, frame);
}
