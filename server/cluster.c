/* server/cluster.c: which node of which cluster this is, and what a worker does with it once a turn. See cluster.h. */
#include "server/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/number.h"
#include "cluster/handshake.h"
#include "cluster/past.h"
#include "server/cluster_thread.h"
#include "server/forward.h"
#include "server/link.h"
#include "server/listen.h"
#include "server/replicate.h"
#include "server/replicate_link.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/worker.h"

/* Topologies that are remembered at a time: with more of them all is stale. */
#define PAST_MAX  16u
#define LANES_MAX 16u

/* Of who begins alone: all of the calendar's seconds are half of an epoch's versions. */
#define VERSIONS_A_SECOND (UINT64_C(1) << (TOPOLOGY_EPOCH_SHIFT - 1 - 32))

/* ---------------------------------------------------------------- the secret */

static bool __attribute__((format(printf, 2, 3))) fail(char *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(error, SETTINGS_ERROR_MAX, format, arguments);
	va_end(arguments);
	return false;
}

/* Without the line's end that editors put there. */
static size_t
trimmed(const char *bytes, size_t n)
{
	while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
		n--;
	return n;
}

static bool
read_secret(struct cluster *cl, const char *path, int fd, char *error)
{
	char *bytes = malloc(HANDSHAKE_SECRET_MAX);
	struct stat st;
	ssize_t n;

	if (bytes == NULL)
		return fail(error, "no memory for the secret");
	cl->secret = slice_of(bytes, 0);
	if (fstat(fd, &st) != 0 || (n = read(fd, bytes, HANDSHAKE_SECRET_MAX)) < 0)
		return fail(error, "cannot read the secret %s: %s", path, strerror(errno));
	cl->secret.len = trimmed(bytes, (size_t)n);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return fail(error, "the secret %s can be read by others: chmod 600 it", path);
	if (cl->secret.len < HANDSHAKE_SECRET_MIN)
		return fail(error, "the secret in %s is too short: %zu bytes, it needs %u", path,
		    cl->secret.len, HANDSHAKE_SECRET_MIN);
	return true;
}

static bool
load_secret(struct cluster *cl, const char *path, char *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return fail(error, "cannot open the secret %s: %s", path, strerror(errno));
	good = read_secret(cl, path, fd, error);
	(void)close(fd);
	return good;
}

/* ---------------------------------------------------------------- the first topology */

static bool
make_topology(struct cluster *cl, const struct settings *s, char *error)
{
	const char *id = s->cluster_id != NULL ? s->cluster_id : "ringcache";
	struct topology_options options = {
	    .cluster = slice_of(id, strlen(id)),
	    .epoch = 1,
	    .kind = s->ring,
	    .points = s->ring_points,
	    .replicas = s->replicas,
	};
	struct topology *t;
	enum topology_status status =
	    topology_parse(&t, &options, slice_of(s->peers, strlen(s->peers)));

	if (status != TOPOLOGY_OK)
		return fail(error, "--peers: %s", topology_status_text(status));
	cl->topology = t;
	return true;
}

/* Whether HOST is an address of this machine: only then can a socket be bound to it. */
static bool
is_local(struct slice host)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list;
	char text[TOPOLOGY_NAME_MAX + 1];
	bool local = false;

	memcpy(text, host.ptr, host.len);
	text[host.len] = '\0';
	if (getaddrinfo(text, NULL, &hints, &list) != 0)
		return false;
	for (const struct addrinfo *a = list; !local && a != NULL; a = a->ai_next) {
		int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		local = fd >= 0 && bind(fd, a->ai_addr, a->ai_addrlen) == 0;
		if (fd >= 0)
			(void)close(fd);
	}
	freeaddrinfo(list);
	return local;
}

/* Whether one of our sockets has this port. */
static bool
listens_at(const struct listen *listen, uint16_t port)
{
	size_t count = 0;
	const struct listener *sockets = listen == NULL ? NULL : listen_sockets(listen, &count);

	for (size_t i = 0; i < count; i++) {
		const char *colon = sockets[i].local ? NULL : strrchr(sockets[i].name, ':');
		uint32_t number;

		if (colon != NULL &&
		    number_parse_u32(slice_of(colon + 1, strlen(colon + 1)), &number) &&
		    number == port)
			return true;
	}
	return false;
}

/* The one node that has an address of this machine and a port of this server. */
static bool
find_self(struct cluster *cl, const struct listen *listen, char *error)
{
	unsigned found = 0;

	for (unsigned i = 0; i < topology_count(cl->topology); i++) {
		const struct topology_node *node = topology_node(cl->topology, i);

		if (!listens_at(listen, node->port) || !is_local(node->host))
			continue;
		cl->node_id = node->id;
		found++;
	}
	if (found == 1)
		return true;
	return fail(error,
	    "%s of --peers has an address of this machine and a port that this server listens on: say by --node which "
	    "it is",
	    found == 0 ? "none" : "more than one");
}

static bool
choose_self(struct cluster *cl, const struct settings *s, const struct listen *listen, char *error)
{
	unsigned self;

	if (s->node == NULL)
		return find_self(cl, listen, error);
	if (!topology_find(cl->topology, slice_of(s->node, strlen(s->node)), &self))
		return fail(error, "--node %s is not one of --peers", s->node);
	cl->node_id = topology_node(cl->topology, self)->id;
	return true;
}

/* ---------------------------------------------------------------- life */

struct cluster *
cluster_new(const struct settings *settings, const struct listen *listen, char *error)
{
	struct cluster *cl = calloc(1, sizeof(*cl));

	if (cl == NULL) {
		(void)fail(error, "no memory for the cluster");
		return NULL;
	}
	flush_plan_init(&cl->flush);
	ASSERT(getrandom(&cl->incarnation, sizeof(cl->incarnation), 0) ==
	    (ssize_t)sizeof(cl->incarnation));
	if (load_secret(cl, settings->secret, error) && make_topology(cl, settings, error) &&
	    choose_self(cl, settings, listen, error))
		return cl;
	cluster_free(&cl);
	return NULL;
}

void
cluster_free(struct cluster **cluster)
{
	struct cluster *cl = *cluster;
	struct topology *t;

	*cluster = NULL;
	if (cl == NULL)
		return;
	if (cl->thread != NULL)
		cluster_thread_free(&cl->thread);
	replicate_stop(cl);
	t = (struct topology *)(uintptr_t)cl->topology;
	topology_free(&t);
	past_free(&cl->past);
	past_free(&cl->retired);
	if (cl->secret.ptr != NULL)
		explicit_bzero((char *)(uintptr_t)cl->secret.ptr, cl->secret.len);
	free((char *)(uintptr_t)cl->secret.ptr);
	flush_plan_fini(&cl->flush);
	free(cl);
}

/* So that a CAS token is one item's in the whole cluster, and no version that of two changes of a key: who has heard of versions of a
 * later epoch without its topology may take itself for a primary and give such ones, but in a lane where no primary of that epoch
 * gives any. More lanes would use up too many versions. */
static void
take_lane(struct cluster *cl, const struct topology *t)
{
	uint64_t until = (topology_epoch(t) + 1) << TOPOLOGY_EPOCH_SHIFT;
	uint32_t lanes = 1, lane = 0;
	unsigned self;

	if (!topology_find_id(t, cl->node_id, &self))
		return;
	while (lanes < topology_count(t) && lanes < LANES_MAX)
		lanes *= 2;
	for (unsigned i = 0; i < topology_count(t); i++)
		lane += topology_node(t, i)->id < cl->node_id;
	store_lanes(cl->server->store, 2 * lanes, lane % lanes, until);
}

bool
cluster_attach(struct cluster *cl, struct server *server, char *error)
{
	cl->server = server;
	server->cluster = cl;
	take_lane(cl, cl->topology);
	store_version_raise(server->store, topology_epoch(cl->topology) << TOPOLOGY_EPOCH_SHIFT);
	if (!replicate_start(cl))
		return fail(error, "no memory for replication");
	cl->thread = cluster_thread_new(cl, error);
	return cl->thread != NULL;
}

/* Each takes the topology at the beginning of its turn. */
static void
wake_workers(struct cluster *cl)
{
	struct server *server = cl->server;

	for (uint32_t i = 0; i < server->worker_count; i++)
		worker_wake(server->workers[i]);
}

bool
cluster_start(struct cluster *cl)
{
	return cluster_thread_start(cl->thread);
}

bool
cluster_wait(struct cluster *cl, unsigned milliseconds)
{
	return cluster_thread_wait(cl->thread, milliseconds);
}

void
cluster_begin_alone(struct cluster *cl, uint64_t seconds)
{
	uint64_t epoch = topology_epoch(cl->topology) << TOPOLOGY_EPOCH_SHIFT;
	uint64_t since = (seconds < UINT32_MAX ? seconds : UINT32_MAX) * VERSIONS_A_SECOND;

	store_version_raise(cl->server->store, epoch + since);
}

void
cluster_stop(struct cluster *cl)
{
	cluster_thread_stop(cl->thread);
}

void
cluster_dial(struct cluster *cl, uint32_t worker, uint64_t node_id)
{
	if (cl->thread != NULL)
		cluster_thread_dial(cl->thread, worker, node_id);
}

void
cluster_offer(struct cluster *cl, struct slice bytes)
{
	if (cl->thread != NULL)
		cluster_thread_offer(cl->thread, bytes);
}

/* ---------------------------------------------------------------- changes */

/* Whether T may follow OLD. */
static bool
follows(const struct topology *old, const struct topology *t)
{
	if (topology_epoch(t) <= topology_epoch(old))
		return false;
	if (slice_equal(topology_options(t)->cluster, topology_options(old)->cluster) &&
	    topology_kind(t) == topology_kind(old))
		return true;
	log_warn("a topology of epoch %llu is refused: it is of another cluster or kind of ring",
	    (unsigned long long)topology_epoch(t));
	return false;
}

/* Whether all workers have taken the topology and let go of those before. */
static bool
all_settled(const struct cluster *cl)
{
	const struct server *server = cl->server;

	for (uint32_t i = 0; i < server->worker_count; i++)
		if (load_acquire(&server->workers[i]->cluster->settled) != cl->topology)
			return false;
	return true;
}

/* Whether none of them looks at the past. */
static bool
all_let_go(const struct cluster *cl)
{
	const struct server *server = cl->server;

	for (uint32_t i = 0; i < server->worker_count; i++)
		if (load_acquire(&server->workers[i]->cluster->past) != NULL)
			return false;
	return true;
}

bool
cluster_reap(struct cluster *cl)
{
	if (cl->retired == NULL && cl->past == NULL)
		return true;
	if (!all_settled(cl))
		return false;
	past_free(&cl->retired);
	if (all_let_go(cl))
		past_free(&cl->past);
	return true;
}

/* The present topology, which T is to follow, is over: it is remembered as long as this node may have something of it, or
 * of those before, that it must not have. False where memory is out. */
static bool
retire(struct cluster *cl, const struct topology *t)
{
	struct topology *old = (struct topology *)(uintptr_t)cl->topology;
	uint64_t epoch = topology_epoch(t);
	bool missed = epoch != topology_epoch(old) + 1 || past_length(cl->past) >= PAST_MAX;
	bool over = !missed && replicate_marked_in(cl->replicate) == topology_epoch(old);
	struct past *past =
	    missed ? past_unknown(old, epoch) : past_new(cl->past, old, cl->node_id, epoch);

	if (past == NULL)
		return false;
	if (missed)
		cl->retired = cl->past;
	else if (over)
		cl->retired = past;
	cl->past = over ? NULL : past;
	return true;
}

bool
cluster_install(struct cluster *cl, struct topology *t)
{
	const struct timespec moment = {0, 1000000};
	unsigned self;

	if (!follows(cl->topology, t)) {
		topology_free(&t);
		return false;
	}
	while (!cluster_reap(cl))
		(void)nanosleep(&moment, NULL);
	if (!retire(cl, t)) {
		log_error("no memory for a change of the topology");
		topology_free(&t);
		return false;
	}
	/* First the versions, then the keys that come under them. */
	take_lane(cl, t);
	store_version_raise(cl->server->store, topology_epoch(t) << TOPOLOGY_EPOCH_SHIFT);
	store_release(&cl->topology, t);
	wake_workers(cl);
	log_info("topology of epoch %llu: %zu nodes", (unsigned long long)topology_epoch(t),
	    topology_count(t));
	if (!topology_find_id(t, cl->node_id, &self))
		log_warn(
		    "this node is not in the list of nodes of epoch %llu: it holds nothing and asks the others for all keys",
		    (unsigned long long)topology_epoch(t));
	return true;
}

/* ---------------------------------------------------------------- a worker's part */

static void
take_topology(struct cluster_worker *cw)
{
	cw->topology = load_acquire(&cw->cluster->topology);
	store_relaxed(&cw->past, (const struct past *)cw->cluster->past);
	if (!topology_find_id(cw->topology, cw->cluster->node_id, &cw->self))
		cw->self = CLUSTER_NOBODY;
}

bool
cluster_worker_init(struct worker *w)
{
	struct cluster_worker *cw;

	if (w->server->cluster == NULL)
		return true;
	if ((cw = calloc(1, sizeof(*cw))) == NULL)
		return false;
	w->cluster = cw;
	cw->cluster = w->server->cluster;
	take_topology(cw);
	store_release(&cw->settled, cw->topology);
	return links_update(w) && forward_init(w) && replicate_worker_start(w);
}

void
cluster_worker_fini(struct worker *w)
{
	if (w->cluster == NULL)
		return;
	forward_fini(w);
	replicate_worker_stop(w);
	links_free(w);
	free(w->cluster);
	w->cluster = NULL;
}

void
cluster_turn(struct worker *w)
{
	struct cluster_worker *cw = w->cluster;

	cw->now = 0;
	if (unlikely(load_acquire(&cw->cluster->topology) != cw->topology)) {
		take_topology(cw);
		(void)links_update(w);
		forward_turn_begin(w);
		replicate_took_topology(w);
		/* Pairs with the one who frees the old one. */
		store_release(&cw->settled, cw->topology);
	}
	if (unlikely(cw->past != NULL) &&
	    replicate_marked(cw->replicate) == topology_epoch(cw->topology)) {
		replicate_let_go(cw->replicate);
		store_release(&cw->past, (const struct past *)NULL);
	}
	replicate_begin_turn(w);
	if (unlikely(load_relaxed(&cw->tick))) {
		store_relaxed(&cw->tick, false);
		links_tick(w);
		replicate_ticks(w);
		forward_tick(w);
	}
}

bool
cluster_owes(struct worker *w)
{
	const struct conn *c;

	if (w->cluster == NULL)
		return false;
	TAILQ_FOREACH(c, &w->conns, all)
		if (!LIST_EMPTY(&c->forwards) || c->paused)
			return true;
	return !LIST_EMPTY(&w->cluster->waiters) || replicate_is_behind(w->cluster->replicate);
}

void
cluster_turn_end(struct worker *w)
{
	replicate_end_turn(w);
	forward_turn_end(w);
	links_flush(w);
}
