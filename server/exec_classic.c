/* server/exec_classic.c: the classic text commands. */
#include "proto/reply.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/exec_value.h"
#include "server/settings.h"
#include "server/watch.h"
#include "server/worker.h"

/* ---------------------------------------------------------------- reading */

static ALWAYS_INLINE char *
classic_head(char *p, const void *context, const struct store_view *view)
{
	const struct store_key *key = context;

	return reply_value(p, slice_of(key->data, key->len), view->flags, view->size);
}

static ALWAYS_INLINE char *
classic_head_cas(char *p, const void *context, const struct store_view *view)
{
	const struct store_key *key = context;

	return reply_value_cas(
	    p, slice_of(key->data, key->len), view->flags, view->size, view->version);
}

static char *
classic_head_no_cas(char *p, const void *context, const struct store_view *view)
{
	const struct store_key *key = context;

	return reply_value_cas(p, slice_of(key->data, key->len), view->flags, view->size, 0);
}

static ALWAYS_INLINE struct value_format
classic_format(const struct store_key *key, bool with_cas)
{
	return (struct value_format){
	    .head = with_cas ? classic_head_cas : classic_head,
	    .context = key,
	    .head_max = REPLY_VALUE_MAX - PROTO_KEY_MAX + key->len,
	    .tail = SLICE_LITERAL("\r\n"),
	};
}

static bool
get(struct conn *c, const struct store_key *key)
{
	struct value_format format = classic_format(key, false);

	return value_read(c, key, STORE_READ_VALUE | STORE_READ_COUNT, &format);
}

/* With -C. */
static bool
get_no_cas(struct conn *c, const struct store_key *key)
{
	struct value_format format = classic_format(key, false);

	format.head = classic_head_no_cas;
	return value_read(c, key, STORE_READ_VALUE | STORE_READ_COUNT, &format);
}

static bool
get_with_cas(struct conn *c, const struct store_key *key)
{
	struct value_format format = classic_format(key, true);

	if (unlikely(!c->worker->server->settings->cas))
		return get_no_cas(c, key);
	return value_read(c, key, STORE_READ_VALUE | STORE_READ_COUNT, &format);
}

/* A get that gives a new expiry. */
static bool
get_and_touch(struct conn *c, const struct store_key *key, bool with_cas, uint32_t exptime)
{
	struct value_format format = classic_format(key, with_cas);
	struct store_entry entry;
	struct store_view view;

	store_enter(c->worker->store, key, &entry);
	if (!entry.found) {
		store_leave(&entry);
		return false;
	}
	store_entry_count(&entry);
	store_entry_touch(&entry, exptime);
	view = entry.view;
	view.version = cas_shown(c->worker, view.version);
	value_leave(c, &entry, &view, &format);
	return true;
}

void
exec_key(struct conn *c, enum opcode op, const struct store_key *key, int32_t exptime)
{
	struct worker *w = c->worker;
	bool hit;

	if (likely(op == OP_GET || op == OP_GETS)) {
		hit = op == OP_GET ? get(c, key) : get_with_cas(c, key);
		count_get(w, hit);
	} else {
		hit = get_and_touch(c, key, op == OP_GATS, exec_exptime(w, exptime));
		count_touch(w, hit);
	}
	note_get(c, key, hit);
}

/* ---------------------------------------------------------------- storing */

static void
put_of(const struct worker *w, const struct command *cmd, struct store_put *put)
{
	static const enum store_mode modes[] = {
	    [OP_SET] = STORE_SET,
	    [OP_ADD] = STORE_ADD,
	    [OP_REPLACE] = STORE_REPLACE,
	    [OP_APPEND] = STORE_APPEND,
	    [OP_PREPEND] = STORE_PREPEND,
	    [OP_CAS] = STORE_SET,
	};

	*put = (struct store_put){
	    .mode = modes[cmd->op],
	    .compare = cmd->op == OP_CAS,
	    .compare_to = cmd->op == OP_CAS ? cas_asked(w, cmd->cas) : 0,
	};
}

static void
reply_stored(struct conn *c, const struct command *cmd, enum store_result result)
{
	static const struct slice *const lines[] = {
	    [STORE_OK] = &REPLY_STORED,
	    [STORE_NOT_STORED] = &REPLY_NOT_STORED,
	    [STORE_NOT_FOUND] = &REPLY_NOT_FOUND,
	    [STORE_EXISTS] = &REPLY_EXISTS,
	    [STORE_TOO_LARGE] = &REPLY_NOT_STORED,
	};

	if (cmd->op == OP_CAS)
		count_cas(c->worker, result);
	reply_unless_quiet(c, cmd, *lines[result]);
}

enum store_result
classic_stored(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	enum store_result result;
	struct store_put put;
	uint64_t version;

	put_of(c->worker, cmd, &put);
	result = store_put(c->worker->store, key, pending, &put, &version);
	if (result != STORE_NO_MEMORY)
		reply_stored(c, cmd, result);
	return result;
}

/* ---------------------------------------------------------------- changing */

static void
reply_delta(struct conn *c, enum delta_result result, uint64_t number)
{
	char *p;

	switch (result) {
	case DELTA_OK:
		if ((p = outq_reserve(&c->out, &c->worker->source, REPLY_NUMBER_MAX)) != NULL)
			outq_commit(&c->out, reply_number(p, number));
		return;
	case DELTA_NOT_FOUND:
		reply_with(c, REPLY_NOT_FOUND);
		return;
	case DELTA_NOT_NUMERIC:
		reply_with(c, REPLY_NON_NUMERIC);
		return;
	case DELTA_EXISTS:
		reply_with(c, REPLY_EXISTS);
		return;
	case DELTA_NO_MEMORY:
		reply_with(c, REPLY_NO_MEMORY_OTHER);
		return;
	}
}

void
exec_arithmetic(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct delta delta = {.decrement = cmd->op == OP_DECR, .amount = cmd->delta};
	enum delta_result result;

	note_lookup(c, key);
	result = exec_delta(c->worker, key, &delta);
	count_delta(c->worker, delta.decrement, result);
	if (!cmd->noreply)
		reply_delta(c, result, delta.number);
}

void
exec_touch(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct worker *w = c->worker;
	struct store_entry entry;
	bool found;

	note_lookup(c, key);
	store_enter(w->store, key, &entry);
	found = entry.found;
	if (found) {
		store_entry_count(&entry);
		store_entry_touch(&entry, exec_exptime(w, cmd->exptime));
	}
	store_leave(&entry);
	count_touch(w, found);
	reply_unless_quiet(c, cmd, found ? REPLY_TOUCHED : REPLY_NOT_FOUND);
}

void
exec_delete(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct worker *w = c->worker;
	struct watch_item item;
	bool found;

	note_lookup(c, key);
	note_before(c, key, &item);
	found = exec_remove(w, key) == STORE_OK;
	count_delete(w, found);
	note_delete(c, cmd, key, found, &item);
	reply_unless_quiet(c, cmd, found ? REPLY_DELETED : REPLY_NOT_FOUND);
}
