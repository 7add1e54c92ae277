/* server/exec_op.h: between the files of the executors. */
#ifndef SERVER_EXEC_OP_H
#define SERVER_EXEC_OP_H

#include "proto/command.h"
#include "server/conn.h"
#include "slab/store.h"

/* Appends LINE to the output. */
void reply_with(struct conn *c, struct slice line);

/* The same where the client wants to be answered. */
static inline void
reply_unless_quiet(struct conn *c, const struct command *cmd, struct slice line)
{
	if (!cmd->noreply)
		reply_with(c, line);
}

/* ---------------------------------------------------------------- exec_classic.c */

void exec_store(struct conn *c, const struct command *cmd, const struct store_key *key);
void exec_arithmetic(struct conn *c, const struct command *cmd, const struct store_key *key);
void exec_touch(struct conn *c, const struct command *cmd, const struct store_key *key);
void exec_delete(struct conn *c, const struct command *cmd, const struct store_key *key);

/* ---------------------------------------------------------------- exec_admin.c */

void exec_admin(struct conn *c, const struct command *cmd);

/* ---------------------------------------------------------------- exec_number.c */

/* What comes of adding to a number. */
enum delta_result {
	DELTA_OK,
	DELTA_NOT_FOUND,
	DELTA_NOT_NUMERIC,
	DELTA_EXISTS, /* the version is another one */
	DELTA_NO_MEMORY,
};

struct delta {
	bool decrement;
	uint64_t amount;
	uint64_t compare_to; /* the version that it must have; 0 = any */
	uint64_t version;    /* the version to give it; 0 = the next */
	uint64_t number;     /* what came out */
	uint64_t cas;        /* its version */
};

/* Adds to or subtracts from the number that the item KEY holds, as memcached does: the sum wraps at 2^64, the
 * difference ends at 0, a shorter result is padded with spaces to the length of the old one. */
enum delta_result exec_delta(struct conn *c, const struct store_key *key, struct delta *delta);

/* A value as a number: blanks in front and a sign are fine, what follows must begin with a blank. */
bool exec_number(struct slice value, uint64_t *number);

#endif
