/* server/cluster_session.h: between the files of the cluster's thread: one handshake over one socket. */
#ifndef SERVER_CLUSTER_SESSION_H
#define SERVER_CLUSTER_SESSION_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cluster/handshake.h"

struct cluster_thread;
struct dial;

/* How it ended; the session is freed then, and its socket closed unless DONE. */
enum session_end {
	SESSION_DONE,       /* the socket is the caller's */
	SESSION_REFUSED,    /* s->handshake says why */
	SESSION_UNREACHABLE /* no connection, no answer in time, or a broken one */
};

struct session {
	struct cluster_thread *thread;
	struct dial *dial; /* NULL of an accepted one */
	int fd;
	struct event *io, *timeout;
	struct handshake handshake;
	bool connected;
	size_t in_len, out_at;
	struct slice out;
	unsigned char in[HANDSHAKE_PROVE];
	char address[64];
	TAILQ_ENTRY(session) entry;
};

/* Begins a handshake over FD, which is non-blocking, and is the session's; session_judge and session_over get the session. NULL
 * where memory is out: FD is closed. */
struct session *session_new(struct cluster_thread *t, struct event_base *base, int fd,
    struct dial *dial, const struct hello *mine, struct slice secret);

/* Nothing more is done with its socket. */
void session_rest(struct session *s);

/* Drops it, whatever became of it. */
void session_free(struct session *s, bool close_socket);

/* ---------------------------------------------------------------- cluster_thread.c */

enum refusal session_judge(void *context, const struct hello *theirs);
void session_over(struct session *s, enum session_end end);

#endif
