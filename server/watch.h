/* server/watch.h: watch: connections that are told what happens, line by line.
 *
 * Whoever does something asks watch_wanted first, which is one relaxed load where nobody watches. A line is put into a
 * buffer of each watcher that asked for its stream; a watcher that does not read loses lines, which are counted and
 * told to it, and slows nobody. Its own worker takes the lines from the buffer to the connection.
 */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomics.h"
#include "proto/command.h"
#include "server/conn.h"
#include "server/server.h"
#include "server/worker.h"
#include "slab/store.h"

/* memcached has as many. */
#define WATCHERS_MAX 20u

struct clock;
struct watchers;

/* NULL where memory is out. The streams that somebody watches are kept in *WATCHED, which is 0 at first. When somebody watches
 * evictions it begins to observe ST, which must not be called any more when this is freed. */
struct watchers *watchers_new(struct store *st, const struct clock *clock, uint32_t *watched);
void watchers_free(struct watchers **watchers);

struct watch_stats {
	uint64_t lines;         /* made */
	uint64_t sent, skipped; /* lines that watchers took, and that they lost */
	uint32_t watchers;
};
void watch_stats(struct watchers *watchers, struct watch_stats *stats);

/* Executes the command: C becomes a watcher. */
void exec_watch(struct conn *c, const struct command *cmd);

/* There are lines for watchers of W: gives them a turn. */
void watch_wake(struct worker *w);

/* Whether anybody watches one of STREAMS (1 << enum watch_stream), or STREAM. */
static inline bool
watch_wanted_any(const struct worker *w, uint32_t streams)
{
	return load_relaxed(&w->server->watched) & streams;
}

static inline bool
watch_wanted(const struct worker *w, enum watch_stream stream)
{
	return watch_wanted_any(w, 1u << stream);
}

/* What lines tell of an item; zeros where there is none. */
struct watch_item {
	unsigned slab_class;
	uint32_t size;    /* bytes of the value */
	uint32_t exptime; /* 0 = never */
};
void watch_look(const struct worker *w, const struct store_key *key, struct watch_item *item);

/* What happened. Only where somebody watches. */
void watch_fetch(struct conn *c, const struct store_key *key, bool hit);
void watch_lookup(struct conn *c,
    const struct store_key *key); /* by a command that does not read: finds out itself */
void watch_store(struct conn *c, const struct command *cmd, const struct store_key *key,
    enum store_result result);
void watch_created(struct conn *c, const struct store_key *key); /* a number, by arithmetic */
void watch_delete(struct conn *c, const struct command *cmd, const struct store_key *key,
    const struct watch_item *item); /* ITEM as it was */

/* A connection came, or goes. */
void watch_opened(struct conn *c);
void watch_closed(struct conn *c);

#endif
