/* server/cluster_session.c: a handshake over a socket: moves bytes between it and cluster/handshake.c, for at most two
 * seconds. It reads exactly what the handshake wants, because frames follow. */
#include "server/cluster_session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

static const struct timeval LIMIT = {2, 0};

/* Sends what there is. False where the connection is broken. */
static bool
send_out(struct session *s)
{
	while (s->out_at < s->out.len) {
		ssize_t n =
		    send(s->fd, s->out.ptr + s->out_at, s->out.len - s->out_at, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		s->out_at += (size_t)n;
	}
	s->out = handshake_output(&s->handshake);
	s->out_at = 0;
	return s->out.len == 0 || send_out(s);
}

/* Receives what is wanted. False where the connection is broken or has ended. */
static bool
receive(struct session *s)
{
	size_t want;

	while (s->out_at == s->out.len && (want = handshake_wants(&s->handshake)) > 0) {
		ssize_t n = recv(s->fd, s->in + s->in_len, want - s->in_len, 0);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0) {
			handshake_closed(&s->handshake);
			return true;
		}
		s->in_len += (size_t)n;
		if (s->in_len < want)
			continue;
		s->in_len = 0;
		handshake_take(&s->handshake, s->in);
		if (!send_out(s))
			return false;
	}
	return true;
}

static bool
has_connected(struct session *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	s->connected = getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
	return s->connected;
}

/* False where memory is out. */
static bool
wait_for(struct session *s, short what)
{
	return event_del(s->io) == 0 &&
	    event_assign(s->io, event_get_base(s->io), s->fd, (short)(what | EV_PERSIST),
		event_get_callback(s->io), s) == 0 &&
	    event_add(s->io, NULL) == 0;
}

static void
on_io(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	if ((!s->connected && !has_connected(s)) || !send_out(s) || !receive(s)) {
		session_over(s, SESSION_UNREACHABLE);
		return;
	}
	if (s->out_at == s->out.len && s->handshake.state != HANDSHAKE_GOING)
		session_over(
		    s, s->handshake.state == HANDSHAKE_DONE ? SESSION_DONE : SESSION_REFUSED);
	else if (!wait_for(s, s->out_at < s->out.len ? EV_READ | EV_WRITE : EV_READ))
		session_over(s, SESSION_UNREACHABLE);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	session_over(s, SESSION_UNREACHABLE);
}

struct session *
session_new(struct cluster_thread *t, struct event_base *base, int fd, struct dial *dial,
    const struct hello *mine, struct slice secret)
{
	struct session *s = calloc(1, sizeof(*s));
	unsigned char nonce[HANDSHAKE_NONCE];

	if (s == NULL) {
		(void)close(fd);
		return NULL;
	}
	s->thread = t;
	s->dial = dial;
	s->fd = fd;
	s->connected = dial == NULL;
	s->handshake.secret = secret;
	s->handshake.mine = *mine;
	s->handshake.judge = session_judge;
	s->handshake.context = s;
	s->handshake.asks = dial != NULL;
	ASSERT(getrandom(nonce, sizeof(nonce), 0) == (ssize_t)sizeof(nonce));
	handshake_begin(&s->handshake, nonce);
	s->io = event_new(base, fd, EV_READ | (dial != NULL ? EV_WRITE : 0) | EV_PERSIST, on_io, s);
	s->timeout = event_new(base, -1, 0, on_timeout, s);
	if (s->io != NULL && s->timeout != NULL && event_add(s->io, NULL) == 0 &&
	    event_add(s->timeout, &LIMIT) == 0)
		return s;
	session_free(s, true);
	return NULL;
}

void
session_rest(struct session *s)
{
	(void)event_del(s->io);
	(void)event_del(s->timeout);
}

void
session_free(struct session *s, bool close_socket)
{
	if (s->io != NULL)
		event_free(s->io);
	if (s->timeout != NULL)
		event_free(s->timeout);
	if (close_socket)
		(void)close(s->fd);
	explicit_bzero(s, sizeof(*s));
	free(s);
}
