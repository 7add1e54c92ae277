/* server/io_event.c: the libevent driver.
 *
 * Each connection has one persistent level-triggered event, which stays as it is from request to request: it is for
 * reading, and is changed only while the socket takes no more or while the connection must not be read (its client does
 * not take its answers). A second one for writing would be a third of an idle connection's memory. The loop is this
 * file's: libevent is asked for one round at a time, so that connections with work left are served between two rounds.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "server/conn.h"
#include "server/conn_io.h"
#include "server/io.h"
#include "server/settings.h"
#include "server/worker.h"

/* Pieces of one sendmsg. */
#define PIECES_MAX 256u

struct event_loop {
	struct event_base *base;
	struct event wake;  /* w->wake_fd */
	struct event sweep; /* each second, with an idle timeout */
};

struct event_conn {
	struct event event;
	short watched; /* EV_READ, EV_WRITE: for what it is added; 0 = it is not */
};

static void
event_drop(struct conn *c)
{
	struct event_conn *ec = conn_io(c);
	int fd = c->fd;

	if (worker_verbose(c->worker))
		log_debug("<%d connection closed.", fd);
	(void)event_del(&ec->event);
	conn_free(&c);
	(void)close(fd);
}

/* The calls themselves: no thread is ever cancelled, which the library's functions would prepare for at each call. */
static ssize_t
receive_call(int fd, char *to, size_t n)
{
	return syscall(SYS_recvfrom, fd, to, n, 0, NULL, NULL);
}

static ssize_t
send_call(int fd, struct slice bytes)
{
	return syscall(SYS_sendto, fd, bytes.ptr, bytes.len, MSG_NOSIGNAL, NULL, 0);
}

/* One call's worth of what there is. */
static ssize_t
send_pieces(struct conn *c)
{
	struct iovec pieces[PIECES_MAX];
	struct msghdr message = {.msg_iov = pieces};

	message.msg_iovlen = outq_gather(&c->out, &c->worker->source, pieces, PIECES_MAX);
	return sendmsg(c->fd, &message, MSG_NOSIGNAL);
}

/* Sends what there is. False where the connection is broken. */
static bool
event_send(struct conn *c)
{
	while (outq_sendable(&c->out)) {
		ssize_t n = likely(outq_is_plain(&c->out)) ? send_call(c->fd, outq_plain(&c->out))
							   : send_pieces(c);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		conn_sent(c, (size_t)n);
	}
	return true;
}

static void on_ready(evutil_socket_t fd, short what, void *arg);

/* What C's descriptor is watched for from now on. */
static bool
event_watch(struct conn *c, short what)
{
	struct event_loop *loop = c->worker->loop;
	struct event_conn *ec = conn_io(c);

	if (ec->watched != 0)
		(void)event_del(&ec->event);
	ec->watched = what;
	if (what == 0)
		return true;
	return event_assign(
		   &ec->event, loop->base, c->fd, (short)(what | EV_PERSIST), on_ready, c) == 0 &&
	    event_add(&ec->event, NULL) == 0;
}

static void
event_serve(struct conn *c)
{
	struct event_conn *ec = conn_io(c);
	unsigned want;
	short watch;

	if (unlikely(!event_send(c))) {
		event_drop(c);
		return;
	}
	want = conn_want(c);
	if (want == CONN_WANT_CLOSE) {
		event_drop(c);
		return;
	}
	watch = (short)((want & CONN_WANT_INPUT ? EV_READ : 0) |
	    (want & CONN_WANT_OUTPUT ? EV_WRITE : 0));
	if (unlikely(watch != ec->watched) && !event_watch(c, watch))
		panic("cannot change what a connection waits for");
	if (want & CONN_WANT_TURN)
		worker_queue_turn(c->worker, c);
}

/* The same where, as after most requests, what is to be sent goes with one call and nothing is wanted then but more input. */
static ALWAYS_INLINE void
event_answer(struct conn *c)
{
	const struct event_conn *ec = conn_io(c);
	struct slice bytes = outq_plain(&c->out);
	ssize_t n;

	if (likely(conn_is_plain(c) && bytes.len > 0 && ec->watched == EV_READ)) {
		n = send_call(c->fd, bytes);
		if (unlikely(n < 0 && errno != EAGAIN && errno != EINTR)) {
			event_drop(c);
			return;
		}
		if (likely(n > 0))
			conn_sent(c, (size_t)n);
		if (likely(n == (ssize_t)bytes.len))
			return;
	}
	event_serve(c);
}

static ALWAYS_INLINE void
event_receive(struct conn *c)
{
	size_t size;
	char *room;
	ssize_t n;

	room = conn_room_fast(c, &size);
	if (room != NULL) {
		n = receive_call(c->fd, room, size);
		if (likely(n > 0))
			conn_filled(c, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			conn_end(c);
	}
	event_answer(c);
}

static void
event_drain(struct worker *w, bool links)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&w->conns); c != NULL; c = next) {
		unsigned want = conn_want(c);

		next = TAILQ_NEXT(c, all);
		if ((want & CONN_WANT_INPUT) && (c->linked || !links))
			event_receive(c);
		else if (want & CONN_WANT_OUTPUT)
			event_serve(c);
	}
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	worker_turn_begin(c->worker);
	if (likely((what & EV_READ) && c->waiting)) /* it may have been poked in this turn */
		event_receive(c);
	else if (what & EV_WRITE)
		event_serve(c);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	worker_turn_begin(w);
	worker_adopt(w);
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	worker_turn_begin(w);
	worker_sweep(w);
}

static bool
event_attach(struct conn *c)
{
	return event_watch(c, EV_READ);
}

static struct event_base *
base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (config == NULL)
		return NULL;
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static int
event_start(struct worker *w)
{
	static const struct timeval second = {1, 0};
	struct event_loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return -ENOMEM;
	w->loop = loop;
	if ((loop->base = base_new()) == NULL) {
		free(loop);
		return -ENOMEM;
	}
	if (event_assign(&loop->wake, loop->base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w) !=
		0 ||
	    event_add(&loop->wake, NULL) != 0 ||
	    event_assign(&loop->sweep, loop->base, -1, EV_PERSIST, on_sweep, w) != 0 ||
	    (w->server->settings->idle_timeout > 0 && event_add(&loop->sweep, &second) != 0)) {
		event_base_free(loop->base);
		free(loop);
		return -ENOMEM;
	}
	return 0;
}

static void
event_run(struct worker *w)
{
	struct event_loop *loop = w->loop;

	while (!load_acquire(&w->stopping)) {
		bool more = worker_turn_end(w);

		if (event_base_loop(loop->base, EVLOOP_ONCE | (more ? EVLOOP_NONBLOCK : 0)) < 0)
			panic("the event loop of worker %u failed", w->id);
	}
	worker_turn_begin(w);
	worker_drop_all(w);
}

static void
event_finish(struct worker *w)
{
	struct event_loop *loop = w->loop;

	(void)event_del(&loop->wake);
	(void)event_del(&loop->sweep);
	event_base_free(loop->base);
	free(loop);
	w->loop = NULL;
}

const struct io_driver io_event = {
    .name = "event",
    .conn_size = sizeof(struct event_conn),
    .start = event_start,
    .run = event_run,
    .finish = event_finish,
    .attach = event_attach,
    .drain = event_drain,
    .serve = event_serve,
    .drop = event_drop,
};
