/* bench/net.h: the server's address, and connections to it. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdbool.h>
#include <sys/socket.h>

struct address {
	struct sockaddr_storage sockaddr;
	socklen_t len;
};

/* Resolves "HOST:PORT", or with UNIX_PATH that path instead. False after a message on stderr. */
bool address_init(struct address *a, const char *server, const char *unix_path);

/* A connected, non-blocking socket without Nagle's delay; -1 with errno. Blocks while it connects. */
int address_connect(const struct address *a);

#endif
