/* server/io.h: the face of an I/O driver: what moves bytes between sockets and connections.
 *
 * A worker's thread calls run and stays in it; the driver calls the machine (server/conn.h) as bytes come and go,
 * and these of the worker:
 *
 *	worker_turn_begin  after each wait, before anything else: the clock, once a turn
 *	worker_adopt       when the worker was waked: for the connections handed over
 *	worker_turn_end    when all that was ready has been served; says whether the next wait may block
 */
#ifndef SERVER_IO_H
#define SERVER_IO_H

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct worker;

struct io_driver {
	const char *name;
	size_t conn_size; /* bytes that it wants behind a struct conn */

	/* Makes W's loop, which watches w->wake_fd (an eventfd). Zero, or a negative errno. */
	int (*start)(struct worker *w);

	/* Serves until w->stopping. Connections are closed by the driver before it returns. */
	void (*run)(struct worker *w);

	void (*finish)(struct worker *w);

	/* Begins to serve C. False where that cannot be done: the caller drops it. */
	bool (*attach)(struct conn *c);

	/* C has output or work done outside of its own events: sends, and rearms what it waits for. May
	 * free C. */
	void (*serve)(struct conn *c);

	/* Closes C now. */
	void (*drop)(struct conn *c);
};

extern const struct io_driver io_event;

#endif
