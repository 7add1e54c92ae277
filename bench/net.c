/* bench/net.c: see net.h. */
#include "bench/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static bool
unix_init(struct address *a, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&a->sockaddr;

	if (strlen(path) >= sizeof(un->sun_path)) {
		fprintf(stderr, "ringbench: the path of a Unix socket has at most %zu bytes\n",
		    sizeof(un->sun_path) - 1);
		return false;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strlen(path) + 1);
	a->len = sizeof(*un);
	return true;
}

/* Cuts SERVER at its last colon; HOST without brackets. False where there is none or no room. */
static bool
split_server(const char *server, char *host, size_t room, const char **port)
{
	const char *colon = strrchr(server, ':');
	size_t len;

	if (colon == NULL)
		return false;
	len = (size_t)(colon - server);
	if (len >= 2 && server[0] == '[' && server[len - 1] == ']') {
		server++;
		len -= 2;
	}
	if (len == 0 || len >= room)
		return false;
	memcpy(host, server, len);
	host[len] = '\0';
	*port = colon + 1;
	return true;
}

bool
address_init(struct address *a, const char *server, const char *unix_path)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	const char *port;
	char host[256];
	int rc;

	memset(a, 0, sizeof(*a));
	if (unix_path != NULL)
		return unix_init(a, unix_path);
	if (!split_server(server, host, sizeof(host), &port)) {
		fprintf(stderr, "ringbench: expected HOST:PORT, got '%s'\n", server);
		return false;
	}
	rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0) {
		fprintf(stderr, "ringbench: %s: %s\n", server, gai_strerror(rc));
		return false;
	}
	memcpy(&a->sockaddr, list->ai_addr, list->ai_addrlen);
	a->len = list->ai_addrlen;
	freeaddrinfo(list);
	return true;
}

int
address_connect(const struct address *a)
{
	int one = 1;
	int fd = socket(a->sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&a->sockaddr, a->len) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
		return -1;
	}
	if (a->sockaddr.ss_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}
