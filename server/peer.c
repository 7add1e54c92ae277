/* server/peer.c: see peer.h. */
#include "server/peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void
peer_of(int fd, struct peer *peer)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	} address = {0};
	socklen_t len = sizeof(address);

	*peer = (struct peer){.transport = PEER_UNKNOWN};
	if (fd < 0 || getpeername(fd, &address.any, &len) != 0)
		return;
	if (address.any.sa_family == AF_INET) {
		peer->transport = PEER_TCP;
		peer->port = ntohs(address.v4.sin_port);
		(void)inet_ntop(AF_INET, &address.v4.sin_addr, peer->host, sizeof(peer->host));
	} else if (address.any.sa_family == AF_INET6) {
		peer->transport = PEER_TCP6;
		peer->port = ntohs(address.v6.sin6_port);
		(void)inet_ntop(AF_INET6, &address.v6.sin6_addr, peer->host, sizeof(peer->host));
	} else if (address.any.sa_family == AF_UNIX) {
		peer->transport = PEER_UNIX;
	}
}

void
peer_text(const struct peer *peer, char text[PEER_TEXT_MAX])
{
	switch (peer->transport) {
	case PEER_TCP:
		(void)snprintf(text, PEER_TEXT_MAX, "tcp:%s:%u", peer->host, peer->port);
		return;
	case PEER_TCP6:
		(void)snprintf(text, PEER_TEXT_MAX, "tcp6:[%s]:%u", peer->host, peer->port);
		return;
	case PEER_UNIX:
		(void)snprintf(text, PEER_TEXT_MAX, "unix:");
		return;
	case PEER_UNKNOWN:
		break;
	}
	(void)snprintf(text, PEER_TEXT_MAX, "(unknown)");
}
