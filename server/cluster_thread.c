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
#include "server/cluster_known.h"
#include "server/cluster_port.h"
#include "server/cluster_session.h"
#include "server/link.h"
#include "server/resolve.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/worker.h"

#define SESSIONS_MAX 64u
#define BACKOFF_MIN  10u /* milliseconds between two tries, doubled up to */
#define BACKOFF_MAX  1000u
#define STEADY       1000u /* a link that held for so long was no failed try */

static const struct timeval TICK = {0, 20000};

/* Handshakes with one node that are under way at a time: many workers of many nodes together are no flood. */
#define DIALS_A_NODE 4u
#define DIAL_PAUSE   20u

/* Names that are looked up at a time; the others wait. */
#define LOOKUPS_MAX  16u
#define LOOKUP_PAUSE 100u

struct dial {
	struct cluster_thread *thread;
	uint32_t worker;
	uint64_t node_id;
	uint32_t backoff;
	uint64_t up_since; /* ms; 0 = never */
	struct event *timer;
	uint32_t tries;          /* which of several addresses is next */
	struct resolve *lookup;  /* under way, or NULL */
	struct session *session; /* so as well */
	TAILQ_ENTRY(dial) entry;
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
	unsigned lookups;
	bool deaf; /* no descriptors are left for who connects: until the next tick */
	TAILQ_HEAD(, session) accepted;
	TAILQ_HEAD(, dial) dials;
	struct known known;

	struct lock lock;
	STAILQ_HEAD(, request) requests;
};

/* ---------------------------------------------------------------- dialing */

static void
dial_again(struct dial *d, uint32_t milliseconds)
{
	const struct timeval wait = {milliseconds / 1000, milliseconds % 1000 * 1000};

	if (event_add(d->timer, &wait) != 0)
		log_error("no memory to try a peer again");
}

/* Lets go of what is under way. */
static void
dial_stop(struct dial *d)
{
	if (d->session != NULL)
		session_free(d->session, true);
	d->session = NULL;
	if (d->lookup != NULL)
		d->thread->lookups--;
	resolve_cancel(&d->lookup);
}

/* There is news that makes another try worth while. Ends the waits between two tries to reach NODE_ID, and those for a connection,
 * whose first packets may have been lost; or all (NULL), and all tries as well: a node may have moved. */
static void
dial_at_once(struct cluster_thread *t, const uint64_t *node_id)
{
	struct dial *d;

	TAILQ_FOREACH(d, &t->dials, entry) {
		if (node_id != NULL && d->node_id != *node_id)
			continue;
		if (node_id == NULL ? d->session != NULL || d->lookup != NULL
				    : d->session != NULL && !d->session->connected)
			dial_stop(d);
		else if (!event_pending(d->timer, EV_TIMEOUT, NULL))
			continue;
		d->backoff = BACKOFF_MIN;
		dial_again(d, 0);
	}
}

/* A try came to nothing, or to little: the next one is later than the last. */
static void
dial_later(struct dial *d)
{
	uint32_t jitter;

	ASSERT(getrandom(&jitter, sizeof(jitter), 0) == (ssize_t)sizeof(jitter));
	d->tries++;
	dial_again(d, d->backoff / 2 + jitter % (d->backoff / 2 + 1));
	d->backoff = d->backoff * 2 < BACKOFF_MAX ? d->backoff * 2 : BACKOFF_MAX;
}

static void
dial_free(struct dial *d)
{
	TAILQ_REMOVE(&d->thread->dials, d, entry);
	dial_stop(d);
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

/* Begins to connect to one of the addresses of LIST, another one with each try. -1 where that cannot be. */
static int
connect_to(const struct dial *d, const struct address_list *list)
{
	unsigned i = list->count == 0 ? 0 : d->tries % list->count;
	const struct sockaddr_storage *to = &list->at[i].address;
	int fd = list->count == 0
	    ? -1
	    : socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	socket_options(d->thread, fd);
	if (connect(fd, (const struct sockaddr *)to, list->at[i].len) == 0 || errno == EINPROGRESS)
		return fd;
	(void)close(fd);
	return -1;
}

static void
address_text(struct session *s, const struct sockaddr *address, socklen_t len)
{
	char host[48], port[8];

	if (getnameinfo(address, len, host, sizeof(host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		(void)snprintf(s->address, sizeof(s->address), "%s:%s", host, port);
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

/* The addresses of D's node are known; the list may be empty. */
static void
dial_connect(struct dial *d, const struct address_list *list)
{
	struct cluster_thread *t = d->thread;
	struct hello mine = hello_of(t->cluster);
	int fd = connect_to(d, list);

	mine.worker = (uint16_t)d->worker;
	if (fd >= 0)
		d->session = session_new(t, t->base, fd, d, &mine, t->cluster->secret);
	if (d->session == NULL) {
		known_outcome(&t->known, d->node_id, NULL, REFUSALS);
		dial_later(d);
		return;
	}
	address_text(d->session, (const struct sockaddr *)&list->at[d->tries % list->count].address,
	    list->at[d->tries % list->count].len);
}

static void
on_resolved(void *context, const struct address_list *list)
{
	struct dial *d = context;

	d->lookup = NULL;
	d->thread->lookups--;
	dial_connect(d, list);
}

/* Whether others that wait for the same node are enough. */
static bool
is_crowded(const struct dial *d)
{
	const struct dial *other;
	unsigned count = 0;

	TAILQ_FOREACH(other, &d->thread->dials, entry)
		count += other->node_id == d->node_id && other->session != NULL;
	return count >= DIALS_A_NODE;
}

static void
on_dial(evutil_socket_t nothing, short what, void *arg)
{
	struct dial *d = arg;
	struct cluster_thread *t = d->thread;
	const struct topology_node *node;
	struct address_list list;
	char host[TOPOLOGY_NAME_MAX + 1];
	unsigned i;

	(void)nothing;
	(void)what;
	if (!topology_find_id(t->cluster->topology, d->node_id, &i)) {
		dial_free(d);
		return;
	}
	if (is_crowded(d)) {
		dial_again(d, DIAL_PAUSE);
		return;
	}
	node = topology_node(t->cluster->topology, i);
	memcpy(host, node->host.ptr, node->host.len);
	host[node->host.len] = '\0';
	resolve_numeric(host, node->peer_port, &list);
	if (list.count > 0) {
		dial_connect(d, &list);
		return;
	}
	if (t->lookups < LOOKUPS_MAX)
		d->lookup = resolve_start(t->base, host, node->peer_port, on_resolved, d);
	if (d->lookup != NULL)
		t->lookups++;
	else
		dial_again(d, LOOKUP_PAUSE);
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
	if (d->session != NULL || d->lookup != NULL || event_pending(d->timer, EV_TIMEOUT, NULL))
		return;
	if (d->up_since != 0 && known_now() - d->up_since >= STEADY)
		d->backoff = BACKOFF_MIN;
	if (d->up_since == 0)
		dial_again(d, 0);
	else
		dial_later(d);
}

/* ---------------------------------------------------------------- sessions */

/* A node that is not in our list is let in: it may be one that was taken out of it and does not know. It is told of the list, and has
 * its clients' commands executed by those who are. */
enum refusal
session_judge(void *context, const struct hello *theirs)
{
	const struct session *s = context;
	const struct cluster *cl = s->thread->cluster;

	if (theirs->role == HANDSHAKE_OPERATOR)
		return s->dial == NULL ? REFUSAL_NONE : REFUSAL_BYTES;
	if (theirs->role != HANDSHAKE_PEER)
		return REFUSAL_BYTES;
	if (theirs->node_id == cl->node_id)
		return REFUSAL_SELF;
	if (theirs->epoch == topology_epoch(cl->topology) &&
	    theirs->digest != topology_digest(cl->topology))
		return REFUSAL_RING;
	if (s->dial != NULL && s->dial->node_id != theirs->node_id)
		return REFUSAL_NODE;
	return REFUSAL_NONE;
}

/* The worker that serves the link which S becomes: always the same for one worker of another node, so that it sees when a new link
 * takes the place of an old one. */
static uint32_t
session_worker(struct cluster_thread *t, const struct session *s)
{
	const struct hello *theirs = &s->handshake.theirs;
	uint32_t workers = t->cluster->server->worker_count;

	if (s->dial != NULL)
		return s->dial->worker;
	if (theirs->role != HANDSHAKE_PEER)
		return t->next_worker++ % workers;
	return (uint32_t)((theirs->node_id + theirs->worker) % workers);
}

/* Hands the socket of S to a worker. */
static bool
hand_over(struct cluster_thread *t, struct session *s)
{
	const struct handshake *h = &s->handshake;
	struct server *server = t->cluster->server;
	struct link_start *start = malloc(sizeof(*start));
	uint32_t worker = session_worker(t, s);

	if (start == NULL)
		return false;
	*start = (struct link_start){
	    .fd = s->fd,
	    .outgoing = s->dial != NULL,
	    .node_id = h->theirs.node_id,
	    .incarnation = h->theirs.incarnation,
	    .role = h->theirs.role,
	    .worker = h->theirs.worker,
	    .key_out = h->key_out,
	    .key_in = h->key_in,
	};
	/* From then on the socket is the worker's, who may have closed it already. */
	session_rest(s);
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

	if (theirs->role != HANDSHAKE_PEER)
		return;
	store_version_raise(t->cluster->server->store,
	    theirs->version < STORE_ORDER_MAX ? theirs->version : STORE_ORDER_MAX);
	if (theirs->flushed > store_flushed(t->cluster->server->store) &&
	    theirs->flushed <= STORE_ORDER_MAX)
		store_flush_version(t->cluster->server->store, theirs->flushed);
	known_epoch(&t->known, theirs->epoch);
	if (known_in_trouble(&t->known, theirs->node_id))
		dial_at_once(t, &theirs->node_id);
	known_outcome(&t->known, theirs->node_id, s, REFUSAL_NONE);
	if (known_all(&t->known))
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
		known_outcome(&t->known, s->handshake.theirs.node_id, s, s->handshake.refusal);
	} else if (end == SESSION_REFUSED) {
		known_stranger(&t->known, s);
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
			d->up_since = known_now();
			session_free(s, false);
			return;
		}
	} else {
		known_outcome(&t->known, d->node_id, s,
		    end == SESSION_REFUSED ? (unsigned)s->handshake.refusal : REFUSALS);
	}
	session_free(s, true);
	dial_later(d);
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
	struct session *s;
	int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd < 0) {
		/* Where descriptors or memory are out, it would be tried again without end. */
		t->deaf = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED &&
		    event_del(t->accept) == 0;
		return;
	}
	if (t->accepted_count == SESSIONS_MAX)
		accepted_over(t, TAILQ_FIRST(&t->accepted), SESSION_UNREACHABLE);
	socket_options(t, fd);
	if ((s = session_new(t, t->base, fd, NULL, &mine, t->cluster->secret)) == NULL)
		return;
	address_text(s, (struct sockaddr *)&from, len);
	TAILQ_INSERT_TAIL(&t->accepted, s, entry);
	t->accepted_count++;
}

/* ---------------------------------------------------------------- requests and ticks */

/* Two operators have made a list of one epoch each: *T and the present one. All nodes that hear of both take the same of them, as a list of
 * the next epoch: *T is that then. */
static void
settle_tie(const struct topology *present, struct topology **t)
{
	uint64_t epoch = topology_epoch(present);
	const struct topology *winner =
	    topology_digest(*t) > topology_digest(present) ? *t : present;
	struct topology *next;

	if (topology_epoch(*t) != epoch || topology_digest(*t) == topology_digest(present) ||
	    topology_renew(&next, winner, epoch + 1) != TOPOLOGY_OK)
		return;
	log_warn("two lists of nodes of epoch %llu: one of them is epoch %llu now",
	    (unsigned long long)epoch, (unsigned long long)epoch + 1);
	topology_free(t);
	*t = next;
}

static void
take_offer(struct cluster_thread *t, struct slice bytes)
{
	struct topology *top;
	enum topology_status status = topology_decode(&top, bytes);

	if (status != TOPOLOGY_OK) {
		log_warn("a topology is refused: %s", topology_status_text(status));
		return;
	}
	settle_tie(t->cluster->topology, &top);
	if (!cluster_install(t->cluster, top))
		return;
	dial_at_once(t, NULL);
	if (known_all(&t->known))
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
	struct cluster_thread *t = arg;
	const struct server *server = t->cluster->server;

	(void)fd;
	(void)what;
	if (t->deaf)
		t->deaf = event_add(t->accept, NULL) != 0;
	(void)cluster_reap(t->cluster);
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
		return;
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

	return poll(&met, 1, (int)milliseconds) > 0;
}

/* ---------------------------------------------------------------- life */

/* Listens where the other nodes expect this one. */
static bool
open_port(struct cluster_thread *t, char *error)
{
	const struct topology *top = t->cluster->topology;
	unsigned self;

	ASSERT(topology_find_id(top, t->cluster->node_id, &self));
	t->listen_fd = cluster_port_open(
	    topology_node(top, self), t->cluster->server->settings->node != NULL, error);
	return t->listen_fd >= 0;
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
	known_init(&t->known, t->cluster);
	STAILQ_INIT(&t->requests);
	lock_init(&t->lock, LOCK_CLUSTER);
	if (!open_port(t, error)) {
		cluster_thread_free(&t);
		return NULL;
	}
	(void)snprintf(error, SETTINGS_ERROR_MAX, "no memory for the thread of the cluster");
	if (!make_events(t))
		cluster_thread_free(&t);
	else if (known_all(&t->known))
		(void)eventfd_write(t->met_fd, 1);
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
	struct request *r;

	while (!TAILQ_EMPTY(&t->accepted))
		accepted_over(t, TAILQ_FIRST(&t->accepted), SESSION_UNREACHABLE);
	while (!TAILQ_EMPTY(&t->dials))
		dial_free(TAILQ_FIRST(&t->dials));
	known_fini(&t->known);
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
