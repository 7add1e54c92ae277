/* ringctl/ringctl.h: between the files of ringctl, the administrator's tool.
 *
 * A command makes a JSON value of what it found; that is printed as it is with --json, else by the command's own printer, so
 * that both tell the same. What goes wrong ends the program at once, with a sentence on standard error and one of these
 * statuses.
 */
#ifndef RINGCTL_RINGCTL_H
#define RINGCTL_RINGCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cluster/topology.h"

enum status {
	STATUS_OK = 0,
	STATUS_REFUSED = 1, /* not found, or the server said no */
	STATUS_USAGE = 2,
	STATUS_NO_SERVER = 3, /* no connection, or no answer */
};

struct options {
	const char *server;
	const char *secret; /* path, or NULL */
	int timeout;        /* ms */
	int wait;           /* seconds */
	bool json, force;
};

/* Ends the program. */
_Noreturn void die(enum status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---------------------------------------------------------------- client.c */

/* A connection, blocking with the timeout; -1 where there is none and *WHY says why. */
int client_connect(const struct options *o, struct slice host, uint16_t port, const char **why);

/* Sends all of BYTES; false where the connection is broken, or takes nothing in time. */
bool client_send(int fd, struct slice bytes);

/* Sends REQUEST to the server of the options and reads until ENDS says that the answer of LEN bytes is whole. The answer is the
 * caller's, from malloc. */
typedef bool client_ends(const char *answer, size_t len);
char *client_ask(const struct options *o, struct slice request, client_ends *ends, size_t *len);

/* BYTES as a JSON text; where they are not UTF-8, those above 127 as \xHH. NULL where memory is out. */
json_t *json_of(struct slice bytes);

/* `stats cluster`, as an object of its lines; and the topology in it. Dies where the server is no member of a cluster. */
json_t *client_cluster(const struct options *o, struct topology **t);

/* The same of another server; NULL where it does not answer. */
json_t *client_cluster_at(
    const struct options *o, struct slice host, uint16_t port, struct topology **t);

/* `stats WHAT` of a node, as an object of its lines; NULL where it does not answer. */
json_t *client_stats_at(
    const struct options *o, const struct topology_node *node, const char *what);

/* Milliseconds, monotonic. */
uint64_t now_ms(void);

/* ---------------------------------------------------------------- operator.c */

/* Hands T to NODE over its peer port. NULL, or why not (static storage). */
const char *operator_offer(const struct options *o, const struct topology_node *node,
    const struct topology *t, struct slice secret);

/* ---------------------------------------------------------------- catch_up.c */

/* *T becomes the latest list that its nodes, or those of OTHERS (may be NULL), know of the same cluster; tells where it was
 * not. */
void latest_topology(const struct options *o, struct topology **t, const struct topology *others);

/* Waits until the nodes of T that answer have what T says that they hold, and tells for whom. Dies where that takes too long; does
 * nothing with --force. */
void await_comparisons(const struct options *o, const struct topology *t);

/* ---------------------------------------------------------------- commands */

struct arguments {
	int count;
	char **words;
};

typedef json_t *command_run(
    const struct options *o, const struct arguments *a, enum status *status);
typedef void command_print(json_t *result);

#define COMMAND(symbol, ...)                                                                       \
	command_run run_##symbol;                                                                  \
	command_print print_##symbol;
#include "ringctl/tbl/commands.h"
#undef COMMAND

#endif
