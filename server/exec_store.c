/* server/exec_store.c: storing, as far as it is the same in all three protocols: making the new item, of a value that
 * is there or that arrives bit by bit, and what follows where there is no room for it. */
#include "proto/binary.h"
#include "proto/reply.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/worker.h"

/* The binary protocol knows no negative times. */
static int64_t
exptime_of(const struct command *cmd)
{
	if (command_infos[cmd->op].surface == SURFACE_BINARY)
		return (uint32_t)cmd->exptime;
	return cmd->exptime;
}

static struct store_head
head_of(const struct worker *w, const struct command *cmd)
{
	bool meta = command_infos[cmd->op].surface == SURFACE_META;

	return (struct store_head){
	    .flags = cmd->client_flags,
	    .exptime = exec_exptime(w, exptime_of(cmd)),
	    .size = cmd->size,
	    .versioned = meta && (cmd->meta.flags & META_FLAG('E')) != 0,
	    .tagged = meta && (cmd->meta.flags & META_FLAG('b')) != 0,
	};
}

bool
exec_make(struct worker *w, struct store_pending *pending, const struct store_key *key,
    const struct store_head *head, const char *value)
{
	return store_alloc(w->store, pending, key, head) == STORE_OK &&
	    store_pending_write(w->store, pending, value, head->size) == STORE_OK;
}

/* memcached removes what a set without room would have replaced: nobody shall take the old value for the new. */
static bool
replaces_always(const struct command *cmd)
{
	return cmd->op == OP_SET || cmd->op == OP_MS || cmd->op == OP_BIN_SET;
}

static void
refuse(struct conn *c, const struct command *cmd, const struct store_key *key,
    enum store_result result)
{
	bool large = result == STORE_TOO_LARGE;

	if (large)
		counter_add(c->worker, store_too_large, 1);
	else
		counter_add(c->worker, store_no_memory, 1);
	if (replaces_always(cmd))
		(void)exec_remove(c->worker, key);
	note_set(c, cmd, key, result);
	if (c->protocol == PROTOCOL_BINARY)
		binary_status(c, cmd, large ? BINARY_STATUS_E2BIG : BINARY_STATUS_ENOMEM, 0);
	else if (cmd->op == OP_MS || !cmd->noreply)
		reply_with(c, large ? REPLY_TOO_LARGE : REPLY_NO_MEMORY);
}

static enum store_result
put_and_answer(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	switch ((enum surface)command_infos[cmd->op].surface) {
	case SURFACE_META:
		return meta_stored(c, cmd, key, pending);
	case SURFACE_BINARY:
		return binary_stored(c, cmd, key, pending);
	default:
		return classic_stored(c, cmd, key, pending);
	}
}

/* PENDING is whole. */
static void
stored(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	enum store_result result = put_and_answer(c, cmd, key, pending);

	counter_add(c->worker, cmd_set, 1);
	if (unlikely(result == STORE_NO_MEMORY))
		refuse(c, cmd, key, result);
	else
		note_set(c, cmd, key, result);
}

/* Whether the item is put by store_put and nothing else. */
static bool
takes_offer(const struct command *cmd)
{
	return cmd->op != OP_MS || !(cmd->meta.flags & META_FLAG('I'));
}

/* Any of the storage commands, in any protocol. */
static void
put_any(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct store_head head = head_of(c->worker, cmd);
	struct store *st = c->worker->store;
	struct store_pending pending;
	enum store_result result;

	if (likely(takes_offer(cmd))) {
		result = store_offer(st, &pending, key, &head, cmd->value.ptr);
	} else {
		result = store_alloc(st, &pending, key, &head);
		if (result == STORE_OK)
			result = store_pending_write(st, &pending, cmd->value.ptr, cmd->value.len);
	}
	if (likely(result == STORE_OK))
		stored(c, cmd, key, &pending);
	else
		refuse(c, cmd, key, result);
}

/* The classic set of a value that is there, which nothing but want of memory can refuse: the shortest way. */
static void
set(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct worker *w = c->worker;
	struct store_head head = {
	    .flags = cmd->client_flags,
	    .exptime = cmd->exptime == 0 ? 0 : exec_exptime(w, cmd->exptime),
	    .size = cmd->size,
	};
	enum store_result result = store_set(w->store, key, &head, cmd->value.ptr);

	counter_add(w, cmd_set, result != STORE_TOO_LARGE);
	if (unlikely(result != STORE_OK)) {
		refuse(c, cmd, key, result);
		return;
	}
	note_set(c, cmd, key, result);
	if (!cmd->noreply)
		outq_append_slice(&c->out, &w->source, REPLY_STORED);
}

void
exec_store(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	note_lookup(c, key);
	if (likely(cmd->op == OP_SET))
		set(c, cmd, key);
	else
		put_any(c, cmd, key);
}

bool
exec_stream_begin(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	struct store_head head = head_of(c->worker, cmd);
	enum store_result result;

	if (!exec_allowed(c, cmd))
		return false;
	result = store_alloc(c->worker->store, pending, key, &head);
	if (result == STORE_OK)
		return true;
	refuse(c, cmd, key, result);
	return false;
}

void
exec_stream_failed(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	refuse(c, cmd, key, STORE_NO_MEMORY);
}

void
exec_stream_end(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	note_lookup(c, key);
	stored(c, cmd, key, pending);
}
