/* server/exec_op.h: between the files of the executors. */
#ifndef SERVER_EXEC_OP_H
#define SERVER_EXEC_OP_H

#include "proto/command.h"
#include "server/conn.h"
#include "server/settings.h"
#include "server/worker.h"
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

/* The CAS token that clients are shown: with -C there is none. */
static inline uint64_t
cas_shown(const struct worker *w, uint64_t version)
{
	return likely(w->server->settings->cas) ? version : 0;
}

/* The version that a client asks for with CAS: with -C it is none's. */
static inline uint64_t
cas_asked(const struct worker *w, uint64_t cas)
{
	return likely(w->server->settings->cas) ? cas : 0;
}

/* Bytes that memcached would say an item takes, its header included. */
static inline uint64_t
item_total(const struct worker *w, const struct store_key *key, const struct store_view *view)
{
	return (uint64_t)w->server->limits.item_overhead + (view->flags != 0 ? 4u : 0u) + key->len +
	    1 + view->size + 2;
}

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
	/* What is asked for. */
	bool decrement;
	uint64_t amount;
	bool compare; /* only where the version is COMPARE_TO */
	uint64_t compare_to;
	uint64_t version; /* the version to give it; 0 = the next */
	bool touch;       /* give it EXPTIME */
	uint32_t exptime;
	bool
	    create; /* where there is no item, make one that holds INITIAL and expires at CREATE_EXPTIME */
	uint64_t initial;
	uint32_t create_exptime;
	bool tagged; /* what is made bears STORE_TAGGED */

	/* What came out. */
	bool created;
	uint64_t number, cas;
	uint32_t old_exptime; /* 0 where it was created */
};

/* Adds to or subtracts from the number that the item KEY holds, as memcached does: the sum wraps at 2^64, the
 * difference ends at 0, a shorter result is padded with spaces to the length of the old one. */
enum delta_result exec_delta(struct worker *w, const struct store_key *key, struct delta *delta);

/* A value as a number: blanks in front and a sign are fine, what follows must begin with a blank. */
bool exec_number(struct slice value, uint64_t *number);

/* ---------------------------------------------------------------- exec_store.c */

/* Makes PENDING for KEY, whole, with head->size bytes of VALUE. False where there is no room; PENDING is empty then. */
bool exec_make(struct worker *w, struct store_pending *pending, const struct store_key *key,
    const struct store_head *head, const char *value);

void exec_store(struct conn *c, const struct command *cmd, const struct store_key *key);

/* ---------------------------------------------------------------- exec_count.c */

/* A storage command with a CAS token. */
void count_cas(struct worker *w, enum store_result result);
void count_get(struct worker *w, bool hit);
void count_touch(struct worker *w, bool hit);
void count_delete(struct worker *w, bool hit);
void count_delta(struct worker *w, bool decrement, enum delta_result result);

/* For those who look on: `stats detail` and watchers, where there are any. */
void note_get(struct conn *c, const struct store_key *key, bool hit);
void note_lookup(
    struct conn *c, const struct store_key *key); /* before a command that does not read */
void note_set(struct conn *c, const struct command *cmd, const struct store_key *key,
    enum store_result result);
void note_refused(
    struct conn *c, const struct store_key *key); /* a storage command, for its data block */
void note_created(struct conn *c, const struct store_key *key); /* by arithmetic */

/* Of a deletion: what watchers are to be told of the item, before; and what came of it. ITEM is NULL where the item stays. */
struct watch_item;
void note_before(const struct conn *c, const struct store_key *key, struct watch_item *item);
void note_delete(struct conn *c, const struct command *cmd, const struct store_key *key, bool hit,
    const struct watch_item *item);

/* ---------------------------------------------------------------- exec_classic.c */

void exec_arithmetic(struct conn *c, const struct command *cmd, const struct store_key *key);
void exec_touch(struct conn *c, const struct command *cmd, const struct store_key *key);
void exec_delete(struct conn *c, const struct command *cmd, const struct store_key *key);

/* The last step of a storage command, in each protocol: puts PENDING, which may be an offer, and answers. Returns what
 * came out; STORE_NO_MEMORY is not answered. */
enum store_result classic_stored(struct conn *c, const struct command *cmd,
    const struct store_key *key, struct store_pending *pending);

/* ---------------------------------------------------------------- exec_meta.c */

/* What answers tell of an item. */
struct meta_facts;
void meta_facts_of(const struct worker *w, const struct store_view *view, struct meta_facts *facts);

void exec_meta(struct conn *c, const struct command *cmd, const struct store_key *key);
enum store_result meta_stored(struct conn *c, const struct command *cmd,
    const struct store_key *key, struct store_pending *pending);

/* ---------------------------------------------------------------- exec_binary.c */

void exec_binary(struct conn *c, const struct command *cmd, const struct store_key *key);
enum store_result binary_stored(struct conn *c, const struct command *cmd,
    const struct store_key *key, struct store_pending *pending);
void binary_status(struct conn *c, const struct command *cmd, uint16_t status, uint64_t cas);

/* ---------------------------------------------------------------- exec_admin.c */

void exec_admin(struct conn *c, const struct command *cmd);

/* Whether answers to earlier commands of a pipeline are still to be sent, which memcached's long answers do not stand
 * behind; mn sends what there is. */
bool behind_others(const struct conn *c);

enum flush_result {
	FLUSH_DONE,
	FLUSH_REFUSED,   /* -F forbids it */
	FLUSH_UNDER_WAY, /* in the whole cluster, and it answers by itself */
};

/* Forgets everything, after DELAY (as an exptime; not above 0 = now). */
enum flush_result exec_flush(struct conn *c, const struct command *cmd, int64_t delay);

/* ---------------------------------------------------------------- exec_auth.c */

/* What classic_parse_auth has taken for user and password. */
void exec_auth_text(struct conn *c, const struct command *cmd);

void exec_sasl(struct conn *c, const struct command *cmd);

/* Whether the client may do this; where not, it is answered, and the connection ends. */
bool exec_allowed(struct conn *c, const struct command *cmd);

/* ---------------------------------------------------------------- exec_dump.c */

/* lru_crawler metadump and mgdump: begins a report. */
void exec_dump(struct conn *c, const struct command *cmd);

/* Whether the classes that an lru_crawler command names can be. */
bool crawler_classes(const struct worker *w, const struct command *cmd);

#endif
