/* server/io.h: the face of an I/O driver: what moves bytes between sockets and connections.
 *
 * A worker's thread calls run and stays in it; the driver calls the machine (server/conn.h) as bytes come and go, and
 * the worker at these points:
 *
 *	worker_turn_begin  after each wait, before anything else
 *	worker_adopt       when w->wake_fd is readable
 *	worker_turn_end    when all that was ready has been served; says whether the next wait may block
 *	worker_sweep       each second, where connections are closed for being idle
 *	worker_drop_all    before run returns
 */
#ifndef SERVER_IO_H
#define SERVER_IO_H

#include <stdbool.h>
#include <stddef.h>

#include "server/settings.h"

struct conn;
struct worker;

struct io_driver {
	const char *name;
	size_t conn_size; /* bytes that it wants behind a struct conn */

	/* Makes W's loop, which watches w->wake_fd (an eventfd). Zero, or a negative errno. */
	int (*start)(struct worker *w);

	/* Serves until w->stopping. */
	void (*run)(struct worker *w);

	void (*finish)(struct worker *w);

	/* Begins to serve C. False where that cannot be done: the caller frees it. */
	bool (*attach)(struct conn *c);

	/* Serves what has arrived on all connections, without waiting; with LINKS on those with other nodes, as far as the system tells
	 * them apart. */
	void (*drain)(struct worker *w, bool links);

	/* C has output or work done outside of its own events: sends, and rearms what it waits for. May
	 * free C. */
	void (*serve)(struct conn *c);

	/* Whether the system may have taken more of C's output than conn_sent was told of. NULL where that is never so. */
	bool (*sending)(const struct conn *c);

	/* Closes C. It may be freed now, or before run returns, when the system has let go of it. */
	void (*drop)(struct conn *c);
};

extern const struct io_driver io_event;
#ifdef HAVE_LIBURING
extern const struct io_driver io_uring;
#endif

/* The driver for CHOICE; says in the log which that is and why. NULL with a sentence in *ERROR
 * (static storage) where CHOICE cannot be had. Before there are workers. */
const struct io_driver *io_choose(enum io_choice choice, const char **error);

#endif
