/* server/listen.h: listening sockets and the loop that accepts connections.
 *
 * One thread (main's) polls all listening sockets and hands each new connection to a sink, which chooses the
 * worker. Above the limit of connections it answers and closes, or stops accepting, as memcached does. Where
 * descriptors run out it stops accepting for some milliseconds and tries again.
 */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/settings.h"

/* A listening socket. Lives from listen_new to listen_free; connections may keep a pointer to theirs. */
struct listener {
	int fd;
	enum binding protocol; /* what is spoken here: -B, or the proto[]: prefix of -l */
	bool local;            /* a Unix socket */
	uint64_t tag;          /* up to 8 bytes of the tag[]: prefix, first byte lowest; 0 = none */
	char name
	    [128]; /* as stats conns shows it: tcp:127.0.0.1:11211, tcp6:[::]:11211, unix:/path */
};

/* Who takes the connections. Called by the accepting thread only. */
struct listen_sink {
	/* Takes over FD, which is non-blocking and close-on-exec. False where it cannot; FD is closed then. */
	bool (*take)(void *context, int fd, const struct listener *from);
	/* How many connections are open now. */
	uint32_t (*count)(void *context);
	void *context;
};

struct listen_stats {
	uint64_t rejected;     /* turned away above the limit */
	uint64_t disabled_num; /* how often accepting was stopped */
	uint64_t disabled_us;  /* for how long in all */
	bool accepting;
};

struct listen;

/* Opens all sockets that the settings name and begins to listen. Zero, or an exit status of sysexits.h after
 * logging why. */
int listen_new(struct listen **out, const struct settings *s);

/* Closes the sockets and removes the Unix socket's file. */
void listen_free(struct listen **l);

/* The sockets, for stats conns: *COUNT of them. */
const struct listener *listen_sockets(const struct listen *l, size_t *count);

/* Accepts connections until WAKE_FD becomes readable. */
void listen_run(struct listen *l, const struct listen_sink *sink, int wake_fd);

/* Any thread. */
void listen_stats(const struct listen *l, struct listen_stats *stats);

#endif
