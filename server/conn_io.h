/* server/conn_io.h: of the connection's face (conn.h), what a driver asks for each request, in line. */
#ifndef SERVER_CONN_IO_H
#define SERVER_CONN_IO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"
#include "server/conn.h"
#include "server/worker.h"

/* Whether all that C has to send is one piece and it wants nothing but input then, as most do after each request; conn_want knows
 * all others. */
static inline bool
conn_is_plain(const struct conn *c)
{
	return c->state == CONN_COMMANDS && c->waiting && outq_is_plain(&c->out) && !c->paused &&
	    !c->out.broken;
}

/* As conn_room. */
static inline char *
conn_room_fast(struct conn *c, size_t *size)
{
	if (unlikely(c->in.len != c->in.at))
		return conn_room(c, size);
	*size = WORKER_RECEIVE;
	return c->worker->receive;
}

/* The first N bytes of c->out are with the kernel. */
static inline void
conn_sent(struct conn *c, size_t n)
{
	counter_add(c->worker, bytes_written, n);
	outq_sent(&c->out, &c->worker->source, n);
}

#endif
