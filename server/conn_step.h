/* server/conn_step.h: between the files of the connection: how each state takes its input.
 *
 * A step takes what it can off the front of INPUT and returns true, or returns false where it cannot go on
 * without more bytes (or without anything to do). It stops by itself when c->state changes.
 */
#ifndef SERVER_CONN_STEP_H
#define SERVER_CONN_STEP_H

#include <stdbool.h>

#include "base/slice.h"
#include "server/conn.h"
#include "server/worker.h"

/* Atomic, because `stats conns` of another worker looks at it. */
static inline void
conn_set_state(struct conn *c, enum conn_state state)
{
	store_relaxed(&c->state, (uint8_t)state);
}

/* Whether so much waits to be sent that nothing more may be added. */
static inline bool
conn_full(const struct conn *c)
{
	return outq_bytes(&c->out) > SERVER_OUTPUT_LIMIT && !c->eager;
}

static inline void
slice_advance(struct slice *s, size_t n)
{
	s->ptr += n;
	s->len -= n;
}

/* CONN_COMMANDS: one batch. */
bool step_commands(struct conn *c, struct slice *input);

/* CONN_KEYS: a chunk of the keys of a multi-get. */
bool step_keys(struct conn *c, struct slice *input);

/* CONN_STREAM; CONN_RELAY is in server/forward.h. */
bool step_stream(struct conn *c, struct slice *input);

/* Begins it: HEAD are the bytes of the command, which parsed as PARSE_STREAM. */
void stream_begin(struct conn *c, struct slice head);

/* Drops what there is of a stream, when the connection ends. */
void stream_free(struct conn *c);

/* Parses the first command of WINDOW in the protocol that C speaks, which the first byte may decide now. */
enum parse_result conn_parse(
    struct conn *c, struct slice window, struct command *command, struct parse_error *error);

/* -vv: what was asked, and what is answered. */
void conn_log_command(const struct conn *c, const struct command *cmd, struct slice bytes);
void conn_log_error(const struct conn *c, struct slice bytes, const struct parse_error *error);

/* FROM is where the reply begins in the output block that is being filled. */
void conn_log_reply(const struct conn *c, const char *from);

#endif
