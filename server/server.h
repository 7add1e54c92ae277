/* server/server.h: what all workers of the process share. The owner (main, or a test) fills in the first part
 * before workers_start or worker_new; the rest is the workers' own.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/slice.h"
#include "proto/command.h"

/* The version that we say we are: clients look at it to know what they may ask for. */
#define SERVER_VERSION "1.6.45"

/* Bytes of pending output beyond one reply at which a connection is no longer read. */
#define SERVER_OUTPUT_LIMIT ((size_t)256 << 10)

/* Values above this are written into the store as they arrive instead of being gathered first. */
#define SERVER_INLINE_VALUE_MAX (16u << 10)

struct clock;
struct cluster;
struct counter_baseline;
struct listen;
struct prefixes;
struct settings;
struct store;
struct watchers;
struct worker;

/* What the rest of the process does for a few commands. A NULL member is answered as not available. */
struct server_hooks {
	/* Ends the process, GRACEFUL as SIGUSR1 does. Returns at once. */
	void (*shutdown)(void *context, bool graceful);

	/* Whether PASSWORD is right for USER. */
	bool (*authenticate)(void *context, struct slice user, struct slice password);

	void *context;
};

struct server {
	/* The owner's. */
	struct store *store;
	struct settings *settings;
	struct clock *clock;
	const struct listen *listen; /* NULL without listening sockets */
	struct cluster *cluster;     /* NULL: a node by itself */
	struct server_hooks hooks;

	/* Made by server_init. */
	struct parse_limits limits;
	bool auth_required;                /* clients say first who they are: -Y, -S */
	struct watchers *watchers;         /* of the watch command */
	uint32_t watched;                  /* atomic: the streams that they watch, see watch.h */
	struct prefixes *prefixes;         /* the counts of stats detail */
	struct counter_baseline *baseline; /* what `stats reset` took off */

	/* Made by workers_start, and by worker_new for a test's single one. */
	struct worker **workers;
	uint32_t worker_count;
};

/* Completes a server whose first part is filled in. False where memory is out. */
bool server_init(struct server *server);
void server_fini(struct server *server);

#endif
