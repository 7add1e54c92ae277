/* server/peer.h: who is at the other end of a socket, for people and log lines. */
#ifndef SERVER_PEER_H
#define SERVER_PEER_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum peer_transport { PEER_UNKNOWN, PEER_TCP, PEER_TCP6, PEER_UNIX };

struct peer {
	uint8_t transport; /* enum peer_transport */
	uint16_t port;
	uint8_t address[16]; /* of TCP the first 4 bytes; none of a Unix socket */
};

/* Asks the kernel. A descriptor that is no socket, or no more connected, is PEER_UNKNOWN. */
void peer_of(int fd, struct peer *peer);

/* The address; empty where there is none. */
void peer_host(const struct peer *peer, char text[INET6_ADDRSTRLEN]);

/* As `stats conns` shows it: tcp:127.0.0.1:4711, tcp6:[::1]:4711, unix: */
#define PEER_TEXT_MAX (INET6_ADDRSTRLEN + 16)
void peer_text(const struct peer *peer, char text[PEER_TEXT_MAX]);

#endif
