/* server/resolve.h: the addresses of a host by name, without waiting for the answer.
 *
 * A name is looked up by a thread of its own, which has nothing in common with the asker but one end of a socket pair, so the asker
 * may lose interest, or end, at any time. Nothing that is running elsewhere waits for a name server that is away.
 */
#ifndef SERVER_RESOLVE_H
#define SERVER_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct event_base;
struct resolve;

#define RESOLVE_ADDRESSES 8u /* more are left out */

struct address_list {
	uint32_t count; /* 0 = there are none */
	struct {
		socklen_t len;
		struct sockaddr_storage address;
	} at[RESOLVE_ADDRESSES];
};

/* Called in the event loop, at most once; the question is freed then. */
typedef void resolve_done(void *context, const struct address_list *list);

/* Asks for the stream addresses of HOST with PORT. NULL where memory, threads or descriptors are out. */
struct resolve *resolve_start(
    struct event_base *base, const char *host, uint16_t port, resolve_done *done, void *context);

/* Nobody wants to know any more. */
void resolve_cancel(struct resolve **resolve);

/* The same for a HOST that is an address itself, at once; an empty list for a name. */
void resolve_numeric(const char *host, uint16_t port, struct address_list *list);

#endif
