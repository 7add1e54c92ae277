/* server/exec.h: commands, executed: where the protocol meets the store.
 *
 * An executor gets a command that is whole, with its key hashed, does it, and writes its reply into the
 * connection's output. Executors never wait and never touch the input. Reads format their reply right into the
 * output buffer between store_read_begin and store_read_end and commit it only where the read was sound.
 */
#ifndef SERVER_EXEC_H
#define SERVER_EXEC_H

#include <stdint.h>

#include "proto/classic.h"
#include "proto/command.h"
#include "server/conn.h"
#include "server/settings.h"
#include "server/watch.h"
#include "server/worker.h"
#include "slab/store.h"

/* Executes CMD. KEY is the hashed CMD->key, where CMD has one. A multi-get is executed for its first key only:
 * see exec_key and exec_keys_end. */
void exec_command(struct conn *c, struct command *cmd, const struct store_key *key);

/* One key of get, gets, gat or gats (OP); EXPTIME as it came. */
void exec_key(struct conn *c, enum opcode op, const struct store_key *key, int32_t exptime);

/* Reads that come in runs: the forms of proto/plain_read.h, and the keys of a multi-get. */
enum read_form { READ_KEY, READ_GET, READ_MG, READ_BINARY };

/* Whether exec_reads and exec_sets may answer: nobody looks on at each request, and the client may ask. */
static inline bool
exec_runs(const struct conn *c)
{
	const struct worker *w = c->worker;
	const struct settings *settings = w->server->settings;

	return c->authenticated && load_relaxed(&settings->verbosity) <= 1 &&
	    !load_relaxed(&settings->detail_enabled) &&
	    !watch_wanted_any(w, 1u << WATCH_FETCHERS | 1u << WATCH_MUTATIONS);
}

/* Answers up to N (at least 1) reads in a row, whose KEYS lie where they came and are prepared; returns how many, which is
 * fewer where the output became full, or the next one needs exec_command or exec_key. */
unsigned exec_reads(struct conn *c, enum read_form form, const struct store_key *keys, unsigned n);

/* The same for one; false where it needs exec_command or exec_key. */
bool exec_read_one(struct conn *c, enum read_form form, const struct store_key *key);

/* The same for READ_KEY and READ_GET; the bytes of each answer go to SIZES. */
unsigned exec_reads_sized(
    struct conn *c, enum read_form form, const struct store_key *keys, unsigned n, uint32_t *sizes);

/* The same for N sets, SETS[i] under KEYS[i]; of those that are not done the first needs exec_command. */
unsigned exec_sets(
    struct conn *c, const struct plain_set *sets, const struct store_key *keys, unsigned n);

/* Deletes KEY here, and where others may have it although it is not here. STORE_OK or STORE_NOT_FOUND. */
enum store_result exec_remove(struct worker *w, const struct store_key *key);

/* The end of such a command. */
void exec_keys_end(struct conn *c);

/* A storage command whose value does not come in one piece (PARSE_STREAM): makes PENDING. False where it is
 * refused: the answer is queued, and the value is to be swallowed. */
bool exec_stream_begin(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending);

/* The store's memory ran out in the middle of it: PENDING is empty; answers. */
void exec_stream_failed(struct conn *c, const struct command *cmd, const struct store_key *key);

/* The whole value is in PENDING and what ends it is right: stores it and answers. */
void exec_stream_end(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending);

/* The value of a storage command was there, but not what ends it: counts. */
void exec_bad_data(struct conn *c, const struct command *cmd);

/* What follows from an error of the parser: the answer, the counters, the item removed. Not: swallow, close. */
void exec_error(struct conn *c, const struct command *cmd, const struct parse_error *error);

/* This node forgets everything, after DELAY as above, and counts it; and: it has been done, and counts, AT on the store's
 * clock (0 = now). */
void exec_flush_at(struct worker *w, int64_t delay);
void exec_flushed(struct worker *w, uint32_t at);

/* An expiry as clients write it (0, relative up to 30 days, absolute, negative) on the store's clock, where 0 is
 * never. What is in the past is 1: the clock begins there, so it has passed at once. */
uint32_t exec_exptime(const struct worker *w, int64_t exptime);

#endif
