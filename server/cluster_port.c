/* server/cluster_port.c: see cluster_port.h. */
#include "server/cluster_port.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "server/settings.h"

#define BACKLOG 256

/* A socket that listens there, or a negative errno. One of IPv6 takes IPv4 as well, where it is for all addresses. */
static int
listen_at(const struct sockaddr *address, socklen_t len)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, off = 0, saved;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, address, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	(void)close(fd);
	return -saved;
}

/* Whether it says no more than that this machine has not that address, or not its family. */
static bool
is_absent(int result)
{
	return result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT;
}

static int
listen_first(const struct addrinfo *list)
{
	int result = -EADDRNOTAVAIL;

	for (; list != NULL && is_absent(result); list = list->ai_next)
		result = listen_at(list->ai_addr, list->ai_addrlen);
	return result;
}

static int
listen_anywhere(uint16_t port)
{
	const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	int result = listen_at((const struct sockaddr *)&v6, sizeof(v6));

	return is_absent(result) ? listen_at((const struct sockaddr *)&v4, sizeof(v4)) : result;
}

int
cluster_port_open(const struct topology_node *node, bool anywhere, char *error)
{
	const struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
	struct addrinfo *list;
	char host[TOPOLOGY_NAME_MAX + 1], port[8];
	int result;

	memcpy(host, node->host.ptr, node->host.len);
	host[node->host.len] = '\0';
	(void)snprintf(port, sizeof(port), "%u", node->peer_port);
	if ((result = getaddrinfo(host, port, &hints, &list)) != 0) {
		(void)snprintf(
		    error, SETTINGS_ERROR_MAX, "cannot resolve %s: %s", host, gai_strerror(result));
		return -1;
	}
	result = listen_first(list);
	freeaddrinfo(list);
	if (is_absent(result) && anywhere) {
		log_info("%s is no address of this machine: the peer port %s is open at all of its "
			 "addresses",
		    host, port);
		result = listen_anywhere(node->peer_port);
	}
	if (result >= 0)
		return result;
	(void)snprintf(error, SETTINGS_ERROR_MAX, "cannot listen on the peer port %s:%s: %s", host,
	    port, strerror(-result));
	return -1;
}
