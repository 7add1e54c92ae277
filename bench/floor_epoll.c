/* bench/floor_epoll.c: the floor on epoll; see floor.h. A client that does not read stops the whole server: none of the
 * benchmark's does that. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/floor.h"

#define INPUT_SIZE (256u << 10)
#define EVENTS_MAX 512
#define IOV_MOST   1024

struct epoll_conn {
	int fd;
	struct floor_conn conn;
};

/* Sends all that OUT holds. False where the connection is broken. */
static bool
send_all(int fd, struct floor_out *out)
{
	floor_out_gather(out);
	for (;;) {
		size_t left = out->iov_count - out->iov_at;
		struct msghdr msg = {.msg_iov = out->iov + out->iov_at,
		    .msg_iovlen = left < IOV_MOST ? left : IOV_MOST};
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

		if (n >= 0) {
			if (floor_out_sent(out, (size_t)n))
				return true;
			continue;
		}
		if (errno != EAGAIN || poll(&(struct pollfd){fd, POLLOUT, 0}, 1, -1) < 0)
			return false;
	}
}

static void
accept_one(int epoll, int listener)
{
	struct epoll_conn *c = calloc(1, sizeof(*c));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

	ASSERT(c != NULL);
	c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (c->fd < 0)
		free(c);
	else
		ASSERT(epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) == 0);
}

static void
serve_one(const struct floor_answers *a, struct epoll_conn *c, char *input)
{
	ssize_t n = recv(c->fd, input, INPUT_SIZE, 0);

	if (n > 0) {
		floor_answer(a, &c->conn, slice_of(input, (size_t)n));
		if (c->conn.out.part_count == 0 || send_all(c->fd, &c->conn.out))
			return;
	} else if (n < 0 && errno == EAGAIN) {
		return;
	}
	(void)close(c->fd);
	floor_conn_fini(&c->conn);
	free(c);
}

const char *
floor_serve_epoll(const struct floor_answers *a, int listener)
{
	struct epoll_event events[EVENTS_MAX];
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	char *input = malloc(INPUT_SIZE);
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	ASSERT(input != NULL && epoll >= 0);
	ASSERT(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) == 0);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS_MAX, -1);

		if (n < 0 && errno != EINTR)
			return strerror(errno);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				accept_one(epoll, listener);
			else
				serve_one(a, events[i].data.ptr, input);
		}
	}
}
