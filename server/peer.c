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
		memcpy(peer->address, &address.v4.sin_addr, sizeof(address.v4.sin_addr));
	} else if (address.any.sa_family == AF_INET6) {
		peer->transport = PEER_TCP6;
		peer->port = ntohs(address.v6.sin6_port);
		memcpy(peer->address, &address.v6.sin6_addr, sizeof(address.v6.sin6_addr));
	} else if (address.any.sa_family == AF_UNIX) {
		peer->transport = PEER_UNIX;
	}
}

void
peer_host(const struct peer *peer, char text[INET6_ADDRSTRLEN])
{
	text[0] = '\0';
	if (peer->transport == PEER_TCP || peer->transport == PEER_TCP6)
		(void)inet_ntop(peer->transport == PEER_TCP ? AF_INET : AF_INET6, peer->address,
		    text, INET6_ADDRSTRLEN);
}

void
peer_text(const struct peer *peer, char text[PEER_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN];

	peer_host(peer, host);
	switch ((enum peer_transport)peer->transport) {
	case PEER_TCP:
		(void)snprintf(text, PEER_TEXT_MAX, "tcp:%s:%u", host, peer->port);
		return;
	case PEER_TCP6:
		(void)snprintf(text, PEER_TEXT_MAX, "tcp6:[%s]:%u", host, peer->port);
		return;
	case PEER_UNIX:
		(void)snprintf(text, PEER_TEXT_MAX, "unix:");
		return;
	case PEER_UNKNOWN:
		break;
	}
	(void)snprintf(text, PEER_TEXT_MAX, "(unknown)");
}
