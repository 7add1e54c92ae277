/* t/lib/machine.h: a connection without sockets: store, server, one worker without a thread, and a client that
 * decides how bytes are cut and when answers are taken.
 */
#ifndef T_LIB_MACHINE_H
#define T_LIB_MACHINE_H

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "server/clock.h"
#include "server/conn.h"
#include "server/conn_io.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/worker.h"
#include "slab/store.h"

struct machine {
	struct settings settings;
	struct clock clock;
	struct server server;
	struct worker *worker;
};

/* What the client has been sent. */
struct answer {
	char *bytes;
	size_t len, capacity;
};

static inline void
machine_init(struct machine *m, size_t memory)
{
	struct store_options options = {.memory_limit = memory, .threads = 1, .index_power = 10};
	const char *error = "";

	memset(m, 0, sizeof(*m));
	settings_init(&m->settings);
	clock_init(&m->clock, CLOCK_BEGIN);
	store_thread_join();
	if (store_new(&m->server.store, &options, &error) != 0)
		panic("no store: %s", error);
	store_clock_set(m->server.store, clock_now(&m->clock));
	m->server.settings = &m->settings;
	m->server.clock = &m->clock;
	if (!server_init(&m->server))
		panic("no server");
	m->worker = worker_new(&m->server, 0);
	ASSERT(m->worker != NULL);
	m->server.workers = &m->worker;
	m->server.worker_count = 1;
}

static inline void
machine_fini(struct machine *m)
{
	worker_free(&m->worker);
	server_fini(&m->server);
	store_free(&m->server.store);
	store_thread_leave();
	settings_fini(&m->settings);
}

static inline struct conn *
machine_conn(struct machine *m)
{
	struct conn *c = conn_new(m->worker, -1, NULL, 0);

	ASSERT(c != NULL);
	(void)add_relaxed(&m->worker->connections, 1); /* as workers_give does */
	return c;
}

static inline void
answer_free(struct answer *a)
{
	free(a->bytes);
	*a = (struct answer){0};
}

static inline void
answer_add(struct answer *a, const void *bytes, size_t n)
{
	if (a->len + n > a->capacity) {
		a->capacity = 2 * (a->len + n);
		a->bytes = realloc(a->bytes, a->capacity);
		ASSERT(a->bytes != NULL);
	}
	if (n > 0)
		memcpy(a->bytes + a->len, bytes, n);
	a->len += n;
}

/* Takes up to MOST bytes of what C has to say. */
static inline size_t
machine_take(struct conn *c, struct answer *a, size_t most)
{
	struct iovec iov[16];
	unsigned n = outq_gather(&c->out, &c->worker->source, iov, 16);
	size_t taken = 0;

	for (unsigned i = 0; i < n && taken < most; i++) {
		size_t part = iov[i].iov_len < most - taken ? iov[i].iov_len : most - taken;

		answer_add(a, iov[i].iov_base, part);
		taken += part;
	}
	conn_sent(c, taken);
	return taken;
}

/* Takes all and gives C its turns until it waits for input or wants to be closed. */
static inline void
machine_settle(struct conn *c, struct answer *a, size_t most)
{
	unsigned want;

	while ((want = conn_want(c)) & (CONN_WANT_OUTPUT | CONN_WANT_TURN)) {
		if (want & CONN_WANT_OUTPUT)
			(void)machine_take(c, a, most);
		else
			conn_resume(c);
	}
}

/* N bytes arrive where the connection says; false where it does not want any. */
static inline bool
machine_receive(struct conn *c, const char *bytes, size_t n)
{
	while (n > 0) {
		size_t room, part;
		char *to;

		if (!(conn_want(c) & CONN_WANT_INPUT) || (to = conn_room(c, &room)) == NULL)
			return false;
		part = n < room ? n : room;
		memcpy(to, bytes, part);
		conn_filled(c, part);
		bytes += part;
		n -= part;
	}
	return true;
}

#endif
