/* server/resolve.c: see resolve.h. */
#include "server/resolve.h"

#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct resolve {
	struct event *answer;
	int fd;
	resolve_done *done;
	void *context;
};

/* The thread's. */
struct question {
	int fd;
	uint16_t port;
	char host[];
};

static void
look_up(const char *host, uint16_t port, int flags, struct address_list *found)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags},
			*list;
	char service[8];

	memset(found, 0, sizeof(*found));
	(void)snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &list) != 0)
		return;
	for (const struct addrinfo *a = list; a != NULL && found->count < RESOLVE_ADDRESSES;
	     a = a->ai_next) {
		memcpy(&found->at[found->count].address, a->ai_addr, a->ai_addrlen);
		found->at[found->count++].len = a->ai_addrlen;
	}
	freeaddrinfo(list);
}

void
resolve_numeric(const char *host, uint16_t port, struct address_list *list)
{
	look_up(host, port, AI_NUMERICHOST, list);
}

static void *
thread_main(void *arg)
{
	struct question *q = arg;
	struct address_list list;

	(void)pthread_setname_np(pthread_self(), "resolve");
	look_up(q->host, q->port, 0, &list);
	(void)send(q->fd, &list, sizeof(list), MSG_NOSIGNAL);
	(void)close(q->fd);
	free(q);
	return NULL;
}

static void
on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct resolve *r = arg;
	resolve_done *done = r->done;
	void *context = r->context;
	struct address_list list;

	(void)what;
	if (recv(fd, &list, sizeof(list), 0) != (ssize_t)sizeof(list))
		list.count = 0;
	resolve_cancel(&r);
	done(context, &list);
}

/* Gives the question to a thread, which closes FD. */
static bool
ask(const char *host, uint16_t port, int fd)
{
	size_t n = strlen(host) + 1;
	struct question *q = malloc(sizeof(*q) + n);
	pthread_attr_t attributes;
	pthread_t thread;
	bool begun;

	if (q == NULL)
		return false;
	q->fd = fd;
	q->port = port;
	memcpy(q->host, host, n);
	if (pthread_attr_init(&attributes) != 0) {
		free(q);
		return false;
	}
	begun = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
	    pthread_create(&thread, &attributes, thread_main, q) == 0;
	(void)pthread_attr_destroy(&attributes);
	if (!begun)
		free(q);
	return begun;
}

struct resolve *
resolve_start(
    struct event_base *base, const char *host, uint16_t port, resolve_done *done, void *context)
{
	struct resolve *r = calloc(1, sizeof(*r));
	int ends[2];

	if (r == NULL)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		free(r);
		return NULL;
	}
	r->fd = ends[0];
	r->done = done;
	r->context = context;
	r->answer = event_new(base, r->fd, EV_READ, on_answer, r);
	if (r->answer == NULL || event_add(r->answer, NULL) != 0 || !ask(host, port, ends[1])) {
		(void)close(ends[1]);
		resolve_cancel(&r);
	}
	return r;
}

void
resolve_cancel(struct resolve **resolve)
{
	struct resolve *r = *resolve;

	*resolve = NULL;
	if (r == NULL)
		return;
	if (r->answer != NULL)
		event_free(r->answer);
	(void)close(r->fd);
	free(r);
}
