/* server/cluster_thread.c: see cluster_thread.h. */
#include "server/cluster_thread.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/log.h"
#include "server/cluster.h"
#include "server/cluster_session.h"
#include "server/link.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/worker.h"

#define SESSIONS_MAX 64u
#define BACKOFF_MIN  10u /* milliseconds between two tries, doubled up to */
#define BACKOFF_MAX  1000u
#define STEADY       1000u /* a link that held for so long was no failed try */

static const struct timeval TICK = {0, 20000};

struct dial {
	struct cluster_thread *thread;
	uint32_t worker;
	uint64_t node_id;
	uint32_t backoff;
	uint64_t up_since; /* ms; 0 = never */
	struct event *timer;
	struct session *session; /* under way, or NULL */
	TAILQ_ENTRY(dial) entry;
};

/* What was last heard of a node. */
struct acquaintance {
	uint64_t node_id;
	bool met;
	uint8_t refusal; /* as logged last; REFUSALS = that it cannot be reached */
	TAILQ_ENTRY(acquaintance) entry;
};

/* From another thread. */
struct request {
	enum { REQUEST_DIAL, REQUEST_OFFER } kind;
	uint32_t worker;
	uint64_t node_id;
	size_t len;
	STAILQ_ENTRY(request) entry;
	char bytes[];
};

struct cluster_thread {
	struct cluster *cluster;
	struct event_base *base;
	struct event *wake, *tick, *accept;
	int wake_fd, listen_fd, met_fd;
	pthread_t thread;
	bool started, stopping; /* the latter is atomic */
	uint32_t next_worker;
	unsigned accepted_count;
	uint64_t stranger_logged; /* ms */
	TAILQ_HEAD(, session) accepted;
	TAILQ_HEAD(, dial) dials;
	TAILQ_HEAD(, acquaintance) known;

	struct lock lock;
	STAILQ_HEAD(, request) requests;
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- what is known of the others */

static struct acquaintance *
acquaintance_of(struct cluster_thread *t, uint64_t node_id)
{
	struct acquaintance *a;

	TAILQ_FOREACH(a, &t->known, entry)
		if (a->node_id == node_id)
			return a;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return NULL;
	a->node_id = node_id;
	TAILQ_INSERT_TAIL(&t->known, a, entry);
	return a;
}

/* Whether all nodes of the topology but this one were met. */
static bool
all_met(struct cluster_thread *t)
{
	const struct topology *top = t->cluster->topology;

	for (unsigned i = 0; i < topology_count(top); i++) {
		uint64_t id = topology_node(top, i)->id;
		const struct acquaintance *a =
		    id == t->cluster->node_id ? NULL : acquaintance_of(t, id);

		if (id != t->cluster->node_id && (a == NULL || !a->met))
			return false;
	}
	return true;
}

static struct slice
name_of(struct cluster_thread *t, uint64_t node_id)
{
	unsigned i;

	if (topology_find_id(t->cluster->topology, node_id, &i))
		return topology_node_name(t->cluster->topology, i);
	return SLICE_LITERAL("(unknown)");
}

/* Logs what became of the handshake with a node, where that is news. */
static void
note_outcome(struct cluster_thread *t, uint64_t node_id, const struct session *s, unsigned refusal)
{
	struct acquaintance *a = acquaintance_of(t, node_id);
	struct slice name = name_of(t, node_id);

	if (a == NULL || (a->refusal == refusal && (a->met || refusal != REFUSAL_NONE)))
		return;
	a->refusal = (uint8_t)refusal;
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

/* Somebody of whom no name is known was refused: at most one line a second. */
static void
note_stranger(struct cluster_thread *t, const struct session *s)
{
	uint64_t now = now_ms();

	if (t->stranger_logged != 0 && now - t->stranger_logged < 1000)
		return;
	t->stranger_logged = now;
	log_warn("a connection from %s to the peer port is refused: it %s", s->address,
	    refusal_text(s->handshake.refusal));
}

/* ---------------------------------------------------------------- dialing */

static void
dial_again(struct dial *d, uint32_t milliseconds)
{
	const struct timeval wait = {milliseconds / 1000, milliseconds % 1000 * 1000};

	if (event_add(d->timer, &wait) != 0)
		log_error("no memory to try a peer again");
}

/* Ends the waits between two tries, of all dials or of those to NODE_ID: there is news that makes another try worth while. */
static void
dial_at_once(struct cluster_thread *t, const uint64_t *node_id)
{
	struct dial *d;

	TAILQ_FOREACH(d, &t->dials, entry) {
		if (node_id != NULL && d->node_id != *node_id)
			continue;
		if (d->session != NULL || !event_pending(d->timer, EV_TIMEOUT, NULL))
			continue;
		d->backoff = BACKOFF_MIN;
		dial_again(d, 0);
	}
}

/* A try came to nothing. */
static void
dial_failed(struct dial *d)
{
	uint32_t jitter;

	ASSERT(getrandom(&jitter, sizeof(jitter), 0) == (ssize_t)sizeof(jitter));
	d->session = NULL;
	dial_again(d, d->backoff / 2 + jitter % d->backoff);
	d->backoff = d->backoff * 2 < BACKOFF_MAX ? d->backoff * 2 : BACKOFF_MAX;
}

static void
dial_free(struct dial *d)
{
	TAILQ_REMOVE(&d->thread->dials, d, entry);
	if (d->session != NULL)
		session_free(d->session, true);
	event_free(d->timer);
	free(d);
}

static void
socket_options(const struct cluster_thread *t, int fd)
{
	int one = 1;
	unsigned user = t->cluster->server->settings->peer_timeout;

	if (user < 1000)
		user = 1000;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user, sizeof(user));
}

/* Begins to connect to the first address that NODE has. -1 where that cannot be. */
static int
connect_to(const struct cluster_thread *t, const struct topology_node *node)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list, *a;
	char host[TOPOLOGY_NAME_MAX + 1], port[8];
	int fd = -1;

	memcpy(host, node->host.ptr, node->host.len);
	host[node->host.len] = '\0';
	(void)snprintf(port, sizeof(port), "%u", node->peer_port);
	if (getaddrinfo(host, port, &hints, &list) != 0)
		return -1;
	for (a = list; fd < 0 && a != NULL; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		socket_options(t, fd);
		if (connect(fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS)
			break;
		(void)close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd;
}

/* What this node says of itself. */
static struct hello
hello_of(const struct cluster *cl)
{
	struct hello hello = {
	    .node_id = cl->node_id,
	    .incarnation = cl->incarnation,
	    .epoch = topology_epoch(cl->topology),
	    .digest = topology_digest(cl->topology),
	    .version = store_version(cl->server->store),
	    .flushed = store_flushed(cl->server->store),
	    .role = HANDSHAKE_PEER,
	};

	topology_cluster_id(cl->topology, hello.cluster);
	return hello;
}

static void
on_dial(evutil_socket_t nothing, short what, void *arg)
{
	struct dial *d = arg;
	struct cluster_thread *t = d->thread;
	struct hello mine = hello_of(t->cluster);
	unsigned i;
	int fd;

	(void)nothing;
	(void)what;
	if (!topology_find_id(t->cluster->topology, d->node_id, &i)) {
		dial_free(d);
		return;
	}
	fd = connect_to(t, topology_node(t->cluster->topology, i));
	if (fd >= 0)
		d->session = session_new(t, t->base, fd, d, &mine, t->cluster->secret);
	if (d->session == NULL) {
		note_outcome(t, d->node_id, NULL, REFUSALS);
		dial_failed(d);
		return;
	}
	(void)snprintf(d->session->address, sizeof(d->session->address), "port %u",
	    topology_node(t->cluster->topology, i)->peer_port);
}

static struct dial *
dial_of(struct cluster_thread *t, uint32_t worker, uint64_t node_id)
{
	struct dial *d;

	TAILQ_FOREACH(d, &t->dials, entry)
		if (d->worker == worker && d->node_id == node_id)
			return d;
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return NULL;
	d->thread = t;
	d->worker = worker;
	d->node_id = node_id;
	d->backoff = BACKOFF_MIN;
	if ((d->timer = event_new(t->base, -1, 0, on_dial, d)) == NULL) {
		free(d);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&t->dials, d, entry);
	return d;
}

/* A worker has lost its link, or has none yet. */
static void
dial_wanted(struct cluster_thread *t, uint32_t worker, uint64_t node_id)
{
	struct dial *d = dial_of(t, worker, node_id);

	if (d == NULL) {
		log_error("no memory to connect to a peer");
		return;
	}
	if (d->session != NULL || event_pending(d->timer, EV_TIMEOUT, NULL))
		return;
	if (d->up_since != 0 && now_ms() - d->up_since >= STEADY)
		d->backoff = BACKOFF_MIN;
	dial_again(d, d->up_since == 0 ? 0 : d->backoff);
}

/* ---------------------------------------------------------------- sessions */

enum refusal
session_judge(void *context, const struct hello *theirs)
{
	const struct session *s = context;
	const struct cluster *cl = s->thread->cluster;
	uint64_t epoch = topology_epoch(cl->topology);
	unsigned i;

	if (theirs->role == HANDSHAKE_OPERATOR)
		return s->dial == NULL ? REFUSAL_NONE : REFUSAL_BYTES;
	if (theirs->role != HANDSHAKE_PEER)
		return REFUSAL_BYTES;
	if (theirs->node_id == cl->node_id)
		return REFUSAL_SELF;
	if (theirs->epoch == epoch && theirs->digest != topology_digest(cl->topology))
		return REFUSAL_RING;
	if (theirs->epoch <= epoch && !topology_find_id(cl->topology, theirs->node_id, &i))
		return REFUSAL_NODE;
	if (s->dial != NULL && s->dial->node_id != theirs->node_id)
		return REFUSAL_NODE;
	return REFUSAL_NONE;
}

/* Hands the socket of S to a worker. */
static bool
hand_over(struct cluster_thread *t, const struct session *s)
{
	const struct handshake *h = &s->handshake;
	struct server *server = t->cluster->server;
	struct link_start *start = malloc(sizeof(*start));
	uint32_t worker =
	    s->dial != NULL ? s->dial->worker : t->next_worker++ % server->worker_count;

	if (start == NULL)
		return false;
	*start = (struct link_start){
	    .fd = s->fd,
	    .outgoing = s->dial != NULL,
	    .node_id = h->theirs.node_id,
	    .incarnation = h->theirs.incarnation,
	    .role = h->theirs.role,
	    .key_out = h->key_out,
	    .key_in = h->key_in,
	};
	if (worker_give_link(server->workers[worker], start))
		return true;
	free(start);
	return false;
}

/* They have proved who they are: what they know of versions and flushes holds here as well. */
static void
meet(struct cluster_thread *t, const struct session *s)
{
	const struct hello *theirs = &s->handshake.theirs;
	struct acquaintance *a;

	if (theirs->role != HANDSHAKE_PEER)
		return;
	a = acquaintance_of(t, theirs->node_id);
	store_version_raise(t->cluster->server->store,
	    theirs->version < STORE_ORDER_MAX ? theirs->version : STORE_ORDER_MAX);
	if (theirs->flushed > store_flushed(t->cluster->server->store) &&
	    theirs->flushed <= STORE_ORDER_MAX)
		store_flush_version(t->cluster->server->store, theirs->flushed);
	if (a != NULL && a->refusal != REFUSAL_NONE)
		dial_at_once(t, &theirs->node_id);
	note_outcome(t, theirs->node_id, s, REFUSAL_NONE);
	if (a != NULL)
		a->met = true;
	if (all_met(t))
		(void)eventfd_write(t->met_fd, 1);
}

static void
accepted_over(struct cluster_thread *t, struct session *s, enum session_end end)
{
	bool handed = false;

	TAILQ_REMOVE(&t->accepted, s, entry);
	t->accepted_count--;
	if (end == SESSION_DONE) {
		meet(t, s);
		handed = hand_over(t, s);
	} else if (end == SESSION_REFUSED && s->handshake.theirs.node_id != 0) {
		note_outcome(t, s->handshake.theirs.node_id, s, s->handshake.refusal);
	} else if (end == SESSION_REFUSED) {
		note_stranger(t, s);
	}
	session_free(s, !handed);
}

static void
dialed_over(struct cluster_thread *t, struct session *s, enum session_end end)
{
	struct dial *d = s->dial;

	d->session = NULL;
	if (end == SESSION_DONE) {
		meet(t, s);
		if (hand_over(t, s)) {
			d->up_since = now_ms();
			session_free(s, false);
			return;
		}
	} else {
		note_outcome(t, d->node_id, s,
		    end == SESSION_REFUSED ? (unsigned)s->handshake.refusal : REFUSALS);
	}
	session_free(s, true);
	dial_failed(d);
}

void
session_over(struct session *s, enum session_end end)
{
	if (s->dial != NULL)
		dialed_over(s->thread, s, end);
	else
		accepted_over(s->thread, s, end);
}

static void
on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct cluster_thread *t = arg;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct hello mine = hello_of(t->cluster);
	char host[48], port[8];
	struct session *s;
	int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd < 0)
		return;
	if (t->accepted_count == SESSIONS_MAX)
		accepted_over(t, TAILQ_FIRST(&t->accepted), SESSION_UNREACHABLE);
	socket_options(t, fd);
	if ((s = session_new(t, t->base, fd, NULL, &mine, t->cluster->secret)) == NULL)
		return;
	if (getnameinfo((struct sockaddr *)&from, len, host, sizeof(host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		(void)snprintf(s->address, sizeof(s->address), "%s:%s", host, port);
	TAILQ_INSERT_TAIL(&t->accepted, s, entry);
	t->accepted_count++;
}

/* ---------------------------------------------------------------- requests and ticks */

static void
take_offer(struct cluster_thread *t, struct slice bytes)
{
	struct topology *top;
	enum topology_status status = topology_decode(&top, bytes);

	if (status != TOPOLOGY_OK) {
		log_warn("a topology is refused: %s", topology_status_text(status));
		return;
	}
	if (!cluster_install(t->cluster, top))
		return;
	dial_at_once(t, NULL);
	if (all_met(t))
		(void)eventfd_write(t->met_fd, 1);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct cluster_thread *t = arg;
	struct request *r;
	eventfd_t count;

	(void)what;
	(void)eventfd_read(fd, &count);
	for (;;) {
		lock_take(&t->lock);
		if ((r = STAILQ_FIRST(&t->requests)) != NULL)
			STAILQ_REMOVE_HEAD(&t->requests, entry);
		lock_drop(&t->lock);
		if (r == NULL)
			break;
		if (r->kind == REQUEST_DIAL)
			dial_wanted(t, r->worker, r->node_id);
		else
			take_offer(t, slice_of(r->bytes, r->len));
		free(r);
	}
	if (load_acquire(&t->stopping))
		(void)event_base_loopbreak(t->base);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	const struct cluster_thread *t = arg;
	const struct server *server = t->cluster->server;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < server->worker_count; i++) {
		store_relaxed(&server->workers[i]->cluster->tick, true);
		worker_wake(server->workers[i]);
	}
}

static void
request_send(struct cluster_thread *t, struct request *r)
{
	lock_take(&t->lock);
	STAILQ_INSERT_TAIL(&t->requests, r, entry);
	lock_drop(&t->lock);
	(void)eventfd_write(t->wake_fd, 1);
}

void
cluster_thread_dial(struct cluster_thread *t, uint32_t worker, uint64_t node_id)
{
	struct request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		panic("no memory to ask for a link");
	r->kind = REQUEST_DIAL;
	r->worker = worker;
	r->node_id = node_id;
	request_send(t, r);
}

void
cluster_thread_offer(struct cluster_thread *t, struct slice bytes)
{
	struct request *r = calloc(1, sizeof(*r) + bytes.len);

	if (r == NULL)
		return;
	r->kind = REQUEST_OFFER;
	r->len = bytes.len;
	memcpy(r->bytes, bytes.ptr, bytes.len);
	request_send(t, r);
}

bool
cluster_thread_wait(struct cluster_thread *t, unsigned milliseconds)
{
	struct pollfd met = {.fd = t->met_fd, .events = POLLIN};

	return topology_count(t->cluster->topology) == 1 || poll(&met, 1, (int)milliseconds) > 0;
}

/* ---------------------------------------------------------------- life */

/* Listens where the other nodes expect this one. */
static bool
open_port(struct cluster_thread *t, char *error)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
			    .ai_flags = AI_NUMERICSERV | AI_PASSIVE},
			*list;
	const struct topology *top = t->cluster->topology;
	const struct topology_node *node;
	char host[TOPOLOGY_NAME_MAX + 1], port[8];
	int one = 1, rc;
	unsigned self;

	ASSERT(topology_find_id(top, t->cluster->node_id, &self));
	node = topology_node(top, self);
	memcpy(host, node->host.ptr, node->host.len);
	host[node->host.len] = '\0';
	(void)snprintf(port, sizeof(port), "%u", node->peer_port);
	if ((rc = getaddrinfo(host, port, &hints, &list)) != 0) {
		(void)snprintf(
		    error, SETTINGS_ERROR_MAX, "cannot resolve %s: %s", host, gai_strerror(rc));
		return false;
	}
	t->listen_fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->listen_fd >= 0)
		(void)setsockopt(t->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	rc = t->listen_fd < 0 || bind(t->listen_fd, list->ai_addr, list->ai_addrlen) != 0 ||
	    listen(t->listen_fd, 256) != 0;
	freeaddrinfo(list);
	if (rc)
		(void)snprintf(error, SETTINGS_ERROR_MAX,
		    "cannot listen on the peer port %s:%s: %s", host, port, strerror(errno));
	return !rc;
}

static void *
thread_main(void *arg)
{
	struct cluster_thread *t = arg;

	(void)pthread_setname_np(pthread_self(), "cluster");
	(void)event_base_dispatch(t->base);
	return NULL;
}

static bool
make_events(struct cluster_thread *t)
{
	t->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	t->met_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	t->base = event_base_new();
	if (t->wake_fd < 0 || t->met_fd < 0 || t->base == NULL)
		return false;
	t->wake = event_new(t->base, t->wake_fd, EV_READ | EV_PERSIST, on_wake, t);
	t->tick = event_new(t->base, -1, EV_PERSIST, on_tick, t);
	t->accept = event_new(t->base, t->listen_fd, EV_READ | EV_PERSIST, on_accept, t);
	return t->wake != NULL && t->tick != NULL && t->accept != NULL &&
	    event_add(t->wake, NULL) == 0 && event_add(t->tick, &TICK) == 0 &&
	    event_add(t->accept, NULL) == 0;
}

struct cluster_thread *
cluster_thread_new(struct cluster *cl, char *error)
{
	struct cluster_thread *t = calloc(1, sizeof(*t));

	(void)snprintf(error, SETTINGS_ERROR_MAX, "no memory for the thread of the cluster");
	if (t == NULL)
		return NULL;
	t->cluster = cl;
	t->listen_fd = t->wake_fd = t->met_fd = -1;
	TAILQ_INIT(&t->accepted);
	TAILQ_INIT(&t->dials);
	TAILQ_INIT(&t->known);
	STAILQ_INIT(&t->requests);
	lock_init(&t->lock, LOCK_CLUSTER);
	if (!open_port(t, error)) {
		cluster_thread_free(&t);
		return NULL;
	}
	(void)snprintf(error, SETTINGS_ERROR_MAX, "no memory for the thread of the cluster");
	if (!make_events(t))
		cluster_thread_free(&t);
	return t;
}

bool
cluster_thread_start(struct cluster_thread *t)
{
	t->started = pthread_create(&t->thread, NULL, thread_main, t) == 0;
	return t->started;
}

static void
free_lists(struct cluster_thread *t)
{
	struct acquaintance *a;
	struct request *r;

	while (!TAILQ_EMPTY(&t->accepted))
		accepted_over(t, TAILQ_FIRST(&t->accepted), SESSION_UNREACHABLE);
	while (!TAILQ_EMPTY(&t->dials))
		dial_free(TAILQ_FIRST(&t->dials));
	while ((a = TAILQ_FIRST(&t->known)) != NULL) {
		TAILQ_REMOVE(&t->known, a, entry);
		free(a);
	}
	while ((r = STAILQ_FIRST(&t->requests)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->requests, entry);
		free(r);
	}
}

void
cluster_thread_stop(struct cluster_thread *t)
{
	if (!t->started)
		return;
	store_release(&t->stopping, true);
	(void)eventfd_write(t->wake_fd, 1);
	(void)pthread_join(t->thread, NULL);
	t->started = false;
}

void
cluster_thread_free(struct cluster_thread **thread)
{
	struct cluster_thread *t = *thread;
	struct event *events[] = {t->wake, t->tick, t->accept};
	int fds[] = {t->wake_fd, t->listen_fd, t->met_fd};

	*thread = NULL;
	free_lists(t);
	for (size_t i = 0; i < 3; i++)
		if (events[i] != NULL)
			event_free(events[i]);
	if (t->base != NULL)
		event_base_free(t->base);
	for (size_t i = 0; i < 3; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	lock_fini(&t->lock);
	free(t);
}
