/* server/io_event.c: the libevent driver.
 *
 * The loop is libevent's: it waits, and has the events of the worker itself. The connections are not events of their own: an event and
 * its place in libevent's tables take 173 bytes, which for an idle connection is nearly as much as the connection. They
 * are in one epoll set, whose descriptor libevent watches:
 *
 *	libevent's loop -+- w->wake_fd
 *	                 +- the second's timer, with an idle timeout
 *	                 +- the set -+- connection
 *	                             +- connection ...
 *
 * A connection is in the set for reading, level-triggered, and stays so from request to request: that is changed only while the socket
 * takes no more or while the connection must not be read (its client does not take its answers). Closing its descriptor
 * takes it out. libevent is asked for one round at a time, so that connections with work left are served between two rounds.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/epoll.h>
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

/* Connections that one look at the set finds ready. */
#define READY_MAX 256u

struct event_loop {
	struct event_base *base;
	struct event wake;  /* w->wake_fd */
	struct event sweep; /* each second, with an idle timeout */
	struct event ready; /* SET: connections are ready */
	int set;

	/* What was found ready, from AT on not served yet. */
	unsigned at, count;
	struct epoll_event found[READY_MAX];
};

struct event_conn {
	uint32_t watched; /* EPOLLIN, EPOLLOUT: for what it is in the set; 0 = it is not */
};

/* C ends: what was found for it is not looked at any more. */
static void
event_forget(struct event_loop *loop, const struct conn *c)
{
	for (unsigned i = loop->at; i < loop->count; i++)
		if (loop->found[i].data.ptr == c)
			loop->found[i].data.ptr = NULL;
}

static void
event_drop(struct conn *c)
{
	int fd = c->fd;

	if (worker_verbose(c->worker))
		log_debug("<%d connection closed.", fd);
	event_forget(c->worker->loop, c);
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

/* What C's descriptor is watched for from now on. False where the kernel has no memory for that. */
static bool
event_watch(struct conn *c, uint32_t what)
{
	const struct event_loop *loop = c->worker->loop;
	struct event_conn *ec = conn_io(c);
	struct epoll_event event = {.events = what, .data.ptr = c};
	int op = ec->watched == 0 ? EPOLL_CTL_ADD : what == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if (epoll_ctl(loop->set, op, c->fd, &event) != 0)
		return false;
	ec->watched = what;
	return true;
}

static void
event_serve(struct conn *c)
{
	struct event_conn *ec = conn_io(c);
	uint32_t watch;
	unsigned want;

	if (unlikely(!event_send(c))) {
		event_drop(c);
		return;
	}
	want = conn_want(c);
	watch = (want & CONN_WANT_INPUT ? EPOLLIN : 0u) | (want & CONN_WANT_OUTPUT ? EPOLLOUT : 0u);
	if (want == CONN_WANT_CLOSE || unlikely(watch != ec->watched && !event_watch(c, watch))) {
		event_drop(c);
		return;
	}
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

	if (likely(conn_is_plain(c) && bytes.len > 0 && ec->watched == EPOLLIN)) {
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

/* EVENTS, which are more than was asked for where the socket is broken, have come for C. */
static ALWAYS_INLINE void
serve_ready(struct conn *c, uint32_t events)
{
	const struct event_conn *ec = conn_io(c);

	/* It may have been poked in this turn. */
	if (likely((events & ~(uint32_t)EPOLLOUT) && (ec->watched & EPOLLIN) && c->waiting))
		event_receive(c);
	else
		event_serve(c);
}

static void
on_ready(evutil_socket_t set, short what, void *arg)
{
	struct worker *w = arg;
	struct event_loop *loop = w->loop;
	int n;

	(void)what;
	worker_turn_begin(w); /* may end connections: before any is found ready */
	n = epoll_wait(set, loop->found, READY_MAX, 0);
	loop->count = n > 0 ? (unsigned)n : 0;
	for (loop->at = 0; loop->at < loop->count; loop->at++) {
		const struct epoll_event *found = &loop->found[loop->at];

		if (likely(found->data.ptr != NULL))
			serve_ready(found->data.ptr, found->events);
	}
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
	return event_watch(c, EPOLLIN);
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

/* What libevent waits for. */
static bool
loop_watch(struct event_loop *loop, struct worker *w)
{
	static const struct timeval second = {1, 0};
	bool timed = w->server->settings->idle_timeout > 0;
	short what = EV_READ | EV_PERSIST;

	return event_assign(&loop->wake, loop->base, w->wake_fd, what, on_wake, w) == 0 &&
	    event_assign(&loop->ready, loop->base, loop->set, what, on_ready, w) == 0 &&
	    event_assign(&loop->sweep, loop->base, -1, EV_PERSIST, on_sweep, w) == 0 &&
	    event_add(&loop->wake, NULL) == 0 && event_add(&loop->ready, NULL) == 0 &&
	    (!timed || event_add(&loop->sweep, &second) == 0);
}

static void
loop_free(struct event_loop *loop)
{
	if (loop->base != NULL)
		event_base_free(loop->base);
	if (loop->set >= 0)
		(void)close(loop->set);
	free(loop);
}

static int
event_start(struct worker *w)
{
	struct event_loop *loop = calloc(1, sizeof(*loop));
	int rc = -ENOMEM;

	if (loop == NULL)
		return rc;
	if ((loop->set = epoll_create1(EPOLL_CLOEXEC)) < 0)
		rc = -errno;
	else if ((loop->base = base_new()) != NULL && loop_watch(loop, w))
		rc = 0;
	if (rc == 0)
		w->loop = loop;
	else
		loop_free(loop);
	return rc;
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
	(void)event_del(&loop->ready);
	(void)event_del(&loop->sweep);
	loop_free(loop);
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
