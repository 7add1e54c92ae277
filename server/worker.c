/* server/worker.c: see worker.h.
 *
 * A worker touches nothing of another one, but for the lists of connections (stats conns) and the counters, which are
 * only read. Starting and stopping is the business of one thread, the process's main one.
 */
#include "server/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "server/link.h"
#include "server/settings.h"
#include "server/watch.h"

/* ---------------------------------------------------------------- one worker */

struct worker *
worker_new(struct server *server, uint32_t id)
{
	struct worker *w = aligned_alloc(64, sizeof(*w));

	if (w == NULL)
		return NULL;
	memset(w, 0, sizeof(*w));
	if ((w->receive = malloc(WORKER_RECEIVE)) == NULL) {
		free(w);
		return NULL;
	}
	w->server = server;
	w->store = server->store;
	w->id = id;
	w->now = store_clock(w->store);
	w->wake_fd = -1;
	pool_init(&w->pool);
	outq_source_init(&w->source, &w->pool, w->store);
	TAILQ_INIT(&w->turns);
	lock_init(&w->handoff_lock, LOCK_HANDOFF);
	lock_init(&w->conns_lock, LOCK_CONNS);
	TAILQ_INIT(&w->conns);
	if (!cluster_worker_init(w))
		worker_free(&w);
	return w;
}

void
worker_free(struct worker **worker)
{
	struct worker *w = *worker;

	*worker = NULL;
	if (w == NULL)
		return;
	ASSERT(TAILQ_EMPTY(&w->conns));
	cluster_worker_fini(w);
	lock_fini(&w->conns_lock);
	lock_fini(&w->handoff_lock);
	outq_source_fini(&w->source);
	pool_fini(&w->pool);
	free(w->receive);
	free(w);
}

bool
worker_verbose(const struct worker *w)
{
	return load_relaxed(&w->server->settings->verbosity) > 1;
}

void
worker_list(struct worker *w, struct conn *c)
{
	lock_take(&w->conns_lock);
	TAILQ_INSERT_TAIL(&w->conns, c, all);
	lock_drop(&w->conns_lock);
}

void
worker_unlist(struct worker *w, struct conn *c)
{
	if (c->in_turns)
		TAILQ_REMOVE(&w->turns, c, turn);
	c->in_turns = false;
	lock_take(&w->conns_lock);
	TAILQ_REMOVE(&w->conns, c, all);
	lock_drop(&w->conns_lock);
	if (!c->linked)
		(void)sub_relaxed(&w->connections, 1);
}

void
worker_queue_turn(struct worker *w, struct conn *c)
{
	if (c->in_turns)
		return;
	c->in_turns = true;
	TAILQ_INSERT_TAIL(&w->turns, c, turn);
}

/* Those that come back into the list while it is gone through wait for the next round. */
static void
run_turns(struct worker *w)
{
	struct conn *last = TAILQ_LAST(&w->turns, conn_turns), *c;
	bool more = last != NULL;

	while (more && (c = TAILQ_FIRST(&w->turns)) != NULL) {
		more = c != last;
		TAILQ_REMOVE(&w->turns, c, turn);
		c->in_turns = false;
		conn_resume(c);
		w->driver->serve(c);
	}
}

bool
worker_turn_end(struct worker *w)
{
	worker_turn_begin(w);
	run_turns(w);
	if (unlikely(w->cluster != NULL))
		cluster_turn_end(w);
	if (!TAILQ_EMPTY(&w->turns)) {
		store_thread_quiescent();
		w->now = store_clock(w->store);
		if (unlikely(w->cluster != NULL))
			cluster_turn(w);
		return true;
	}
	w->awake = false;
	store_thread_pause();
	return false;
}

void
worker_sweep(struct worker *w)
{
	uint32_t limit = w->server->settings->idle_timeout;
	struct conn *c, *next;

	if (limit == 0)
		return;
	for (c = TAILQ_FIRST(&w->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, all);
		if (c->kicked || c->linked || w->now - c->last_active <= limit)
			continue;
		counter_add(w, idle_kicks, 1);
		c->kicked = true;
		w->driver->drop(c);
	}
}

/* Answers what has arrived, and waits for what other nodes owe, are owed, or are to have copies of. */
static void
drain(struct worker *w)
{
	const struct timespec moment = {0, 1000000};
	unsigned rounds = 2 * w->server->settings->peer_timeout;

	w->driver->drain(w, false);
	for (unsigned i = 0; i < rounds && cluster_owes(w); i++) {
		(void)worker_turn_end(w);
		(void)nanosleep(&moment, NULL);
		if (i % 20 == 0)
			store_relaxed(&w->cluster->tick, true);
		worker_turn_begin(w);
		w->driver->drain(w, true);
	}
	(void)worker_turn_end(w);
	worker_turn_begin(w);
}

void
worker_drop_all(struct worker *w)
{
	struct conn *c, *next;

	worker_adopt(w);
	if (load_relaxed(&w->draining))
		drain(w);
	for (c = TAILQ_FIRST(&w->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, all);
		w->driver->drop(c);
	}
}

/* ---------------------------------------------------------------- handing over */

static bool
ring_push(struct worker *w, const struct handoff *handoff)
{
	bool room;

	lock_take(&w->handoff_lock);
	room = w->ring_count < WORKER_RING;
	if (room) {
		w->ring[(w->ring_head + w->ring_count) % WORKER_RING] = *handoff;
		w->ring_count++;
	}
	lock_drop(&w->handoff_lock);
	return room;
}

static bool
ring_pop(struct worker *w, struct handoff *handoff)
{
	bool any;

	lock_take(&w->handoff_lock);
	any = w->ring_count > 0;
	if (any) {
		*handoff = w->ring[w->ring_head];
		w->ring_head = (w->ring_head + 1) % WORKER_RING;
		w->ring_count--;
	}
	lock_drop(&w->handoff_lock);
	return any;
}

void
worker_wake(struct worker *w)
{
	uint64_t one = 1;
	ssize_t n = write(w->wake_fd, &one, sizeof(one));

	ASSERT(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

static void
adopt_one(struct worker *w, const struct handoff *handoff)
{
	struct conn *c = conn_new(w, handoff->fd, handoff->from, w->driver->conn_size);

	if (c != NULL && w->driver->attach(c)) {
		counter_add(w, total_connections, 1);
		watch_opened(c);
		if (worker_verbose(w))
			log_debug(
			    "<%d new client connection on %s", handoff->fd, handoff->from->name);
		return;
	}
	if (c != NULL)
		conn_free(&c);
	else
		(void)sub_relaxed(&w->connections, 1);
	log_error("no memory for a connection");
	(void)close(handoff->fd);
}

void
worker_adopt(struct worker *w)
{
	struct handoff handoff;
	uint64_t count;
	ssize_t n = read(w->wake_fd, &count, sizeof(count));

	ASSERT(n == (ssize_t)sizeof(count) || errno == EAGAIN);
	while (ring_pop(w, &handoff)) {
		if (handoff.link != NULL)
			link_adopt(w, handoff.link);
		else
			adopt_one(w, &handoff);
	}
	watch_wake(w);
}

static struct worker *
least_loaded(const struct server *server)
{
	struct worker *best = server->workers[0];

	for (uint32_t i = 1; i < server->worker_count; i++)
		if (load_relaxed(&server->workers[i]->connections) <
		    load_relaxed(&best->connections))
			best = server->workers[i];
	return best;
}

bool
workers_give(struct server *server, int fd, const struct listener *from)
{
	struct worker *w = least_loaded(server);
	struct handoff handoff = {.fd = fd, .from = from};

	(void)add_relaxed(&w->connections, 1);
	if (!ring_push(w, &handoff)) {
		(void)sub_relaxed(&w->connections, 1);
		return false;
	}
	worker_wake(w);
	return true;
}

bool
worker_give_link(struct worker *w, struct link_start *start)
{
	struct handoff handoff = {.fd = start->fd, .link = start};

	if (!ring_push(w, &handoff))
		return false;
	worker_wake(w);
	return true;
}

uint32_t
workers_connections(const struct server *server)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < server->worker_count; i++)
		sum += load_relaxed(&server->workers[i]->connections);
	return sum;
}

/* ---------------------------------------------------------------- all workers */

/* The N-th core that this process may use. Workers are left alone where there are too few cores, and, unless --pin says
 * otherwise, where most are for others: two small servers on a machine would else stand on the same core. */
static void
pin_to_core(const struct worker *w)
{
	cpu_set_t allowed, one;
	uint32_t seen = 0, workers = w->server->worker_count, cores;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return;
	cores = (uint32_t)CPU_COUNT(&allowed);
	if (workers > cores || (workers <= cores / 2 && !w->server->settings->given[SETTING_pin]))
		return;
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || seen++ != w->id)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one) != 0)
			log_warn("cannot pin worker %u to core %u", w->id, cpu);
		return;
	}
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	char name[16];

	(void)snprintf(name, sizeof(name), "worker %u", w->id);
	(void)pthread_setname_np(pthread_self(), name);
	if (w->server->settings->pin)
		pin_to_core(w);
	store_thread_join();
	w->awake = true;
	w->driver->run(w);
	store_thread_leave();
	return NULL;
}

static int
worker_start(struct worker *w, const struct io_driver *driver, const char **error)
{
	int rc;

	w->driver = driver;
	*error = "cannot make an eventfd";
	if ((w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		return -errno;
	*error = "cannot make the event loop of a worker";
	if ((rc = driver->start(w)) != 0)
		return rc;
	*error = "cannot start the thread of a worker";
	if ((rc = pthread_create(&w->thread, NULL, worker_main, w)) != 0) {
		driver->finish(w);
		return -rc;
	}
	w->started = true;
	return 0;
}

int
workers_start(struct server *server, const struct io_driver *driver, uint32_t n, const char **error)
{
	int rc = 0;

	*error = "no memory for the workers";
	if ((server->workers = calloc(n, sizeof(struct worker *))) == NULL)
		return -ENOMEM;
	for (server->worker_count = 0; server->worker_count < n; server->worker_count++) {
		struct worker *w = worker_new(server, server->worker_count);

		server->workers[server->worker_count] = w;
		if (w == NULL) {
			rc = -ENOMEM;
			break;
		}
	}
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = worker_start(server->workers[i], driver, error);
	if (rc != 0)
		workers_stop(server, false);
	return rc;
}

/* What was on its way when the worker ended. */
static void
ring_drain(struct worker *w)
{
	struct handoff handoff;

	while (ring_pop(w, &handoff)) {
		(void)close(handoff.fd);
		free(handoff.link);
	}
}

void
workers_stop(struct server *server, bool drain)
{
	for (uint32_t i = 0; i < server->worker_count; i++) {
		struct worker *w = server->workers[i];

		store_relaxed(&w->draining, drain);
		store_release(&w->stopping, true);
		if (w->started)
			worker_wake(w);
	}
	for (uint32_t i = 0; i < server->worker_count; i++) {
		if (server->workers[i]->started)
			(void)pthread_join(server->workers[i]->thread, NULL);
	}
	/* Only now: one that still ran could look at the others, or hand them a connection. */
	for (uint32_t i = 0; i < server->worker_count; i++) {
		struct worker *w = server->workers[i];

		if (w->started)
			w->driver->finish(w);
		ring_drain(w);
		if (w->wake_fd >= 0)
			(void)close(w->wake_fd);
		worker_free(&server->workers[i]);
	}
	free(server->workers);
	server->workers = NULL;
	server->worker_count = 0;
}
