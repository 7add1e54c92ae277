/* server/exec_binary.c: the binary protocol. Quiet reads hide misses, quiet changes hide success; errors always
 * show. */
#include "base/number.h"
#include "proto/binary.h"
#include "proto/reply.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/exec_value.h"
#include "server/settings.h"
#include "server/stats.h"
#include "server/watch.h"
#include "server/worker.h"

void
binary_status(struct conn *c, const struct command *cmd, uint16_t status, uint64_t cas)
{
	char *p = outq_reserve(&c->out, &c->worker->source, REPLY_BINARY_STATUS_MAX);

	if (p != NULL)
		outq_commit(&c->out, reply_binary_status(p, cmd, status, cas));
}

/* It went well. */
static void
success(struct conn *c, const struct command *cmd, uint64_t cas)
{
	if (!cmd->noreply)
		binary_status(c, cmd, BINARY_STATUS_OK, cas);
}

/* ---------------------------------------------------------------- reading */

static ALWAYS_INLINE char *
binary_head(char *p, const void *context, const struct store_view *view)
{
	const struct command *cmd = context;

	return reply_binary_value(
	    p, &cmd->binary, cmd->key, view->flags, view->size, view->version);
}

static char *
binary_head_no_cas(char *p, const void *context, const struct store_view *view)
{
	const struct command *cmd = context;

	return reply_binary_value(p, &cmd->binary, cmd->key, view->flags, view->size, 0);
}

static ALWAYS_INLINE struct value_format
binary_format(const struct command *cmd)
{
	return (struct value_format){
	    .head = binary_head,
	    .context = cmd,
	    .head_max = REPLY_BINARY_VALUE_MAX - PROTO_KEY_MAX + cmd->key.len,
	    .tail = SLICE_LITERAL(""),
	};
}

static void
miss(struct conn *c, const struct command *cmd)
{
	if (!cmd->noreply)
		binary_status(c, cmd, BINARY_STATUS_KEY_ENOENT, 0);
}

/* With -C. */
static bool
get_no_cas(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct value_format format = binary_format(cmd);

	format.head = binary_head_no_cas;
	return value_read(c, key, STORE_READ_VALUE | STORE_READ_COUNT, &format);
}

static void
exec_get(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct value_format format = binary_format(cmd);
	bool hit = likely(c->worker->server->settings->cas)
	    ? value_read(c, key, STORE_READ_VALUE | STORE_READ_COUNT, &format)
	    : get_no_cas(c, cmd, key);

	count_get(c->worker, hit);
	note_get(c, key, hit);
	if (!hit)
		miss(c, cmd);
}

/* GAT, and TOUCH, whose answer has no value. */
static void
exec_gat(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct worker *w = c->worker;
	struct value_format format = binary_format(cmd);
	struct store_entry entry;
	struct store_view view;
	bool hit;

	store_enter(w->store, key, &entry);
	hit = entry.found;
	if (!hit) {
		store_leave(&entry);
	} else {
		store_entry_count(&entry);
		store_entry_touch(&entry, exec_exptime(w, (uint32_t)cmd->exptime));
		view = entry.view;
		view.version = cas_shown(w, view.version);
		if (cmd->op == OP_BIN_TOUCH) {
			format.omit = true;
			view.size = 0;
		}
		value_leave(c, &entry, &view, &format);
	}
	count_touch(w, hit);
	note_get(c, key, hit);
	if (!hit)
		miss(c, cmd);
}

/* ---------------------------------------------------------------- writing */

static enum store_mode
mode_of(const struct command *cmd)
{
	switch ((enum opcode)cmd->op) {
	case OP_BIN_APPEND:
		return STORE_APPEND;
	case OP_BIN_PREPEND:
		return STORE_PREPEND;
	case OP_BIN_ADD:
		return cmd->cas != 0 ? STORE_SET : STORE_ADD;
	case OP_BIN_REPLACE:
		return cmd->cas != 0 ? STORE_SET : STORE_REPLACE;
	default:
		return STORE_SET;
	}
}

/* Why nothing was stored, for a command without CAS. */
static uint16_t
not_stored_status(const struct command *cmd)
{
	if (cmd->op == OP_BIN_ADD)
		return BINARY_STATUS_KEY_EEXISTS;
	if (cmd->op == OP_BIN_REPLACE)
		return BINARY_STATUS_KEY_ENOENT;
	return BINARY_STATUS_NOT_STORED;
}

enum store_result
binary_stored(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	struct store_put put = {
	    .mode = mode_of(cmd),
	    .compare = cmd->cas != 0,
	    .compare_to = cas_asked(c->worker, cmd->cas),
	};
	bool appends = put.mode == STORE_APPEND || put.mode == STORE_PREPEND;
	uint64_t version = 0;
	enum store_result result = store_put(c->worker->store, key, pending, &put, &version);

	if (put.compare && !appends)
		count_cas(c->worker, result);
	if (result == STORE_OK)
		success(c, cmd, cas_shown(c->worker, version));
	else if (result == STORE_NO_MEMORY)
		return result;
	else if (result == STORE_EXISTS)
		binary_status(c, cmd, BINARY_STATUS_KEY_EEXISTS, 0);
	else if (result == STORE_NOT_FOUND && !appends)
		binary_status(c, cmd, BINARY_STATUS_KEY_ENOENT, 0);
	else
		binary_status(c, cmd, not_stored_status(cmd), 0);
	return result;
}

/* Deletes the item where it has the version asked for. */
static enum store_result
delete_version(struct worker *w, const struct store_key *key, uint64_t version)
{
	enum store_result result = STORE_OK;
	struct store_entry entry;

	store_enter(w->store, key, &entry);
	if (!entry.found)
		result = STORE_NOT_FOUND;
	else if (cas_shown(w, entry.view.version) != version)
		result = STORE_EXISTS;
	else
		store_entry_delete(&entry);
	store_leave(&entry);
	return result;
}

static void
exec_bin_delete(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct worker *w = c->worker;
	enum store_result result;
	struct watch_item item;

	note_lookup(c, key);
	note_before(c, key, &item);
	result = cmd->cas == 0 ? exec_remove(w, key) : delete_version(w, key, cmd->cas);
	if (result != STORE_EXISTS)
		count_delete(w, result == STORE_OK);
	note_delete(c, cmd, key, result == STORE_OK, &item);
	if (result == STORE_OK)
		success(c, cmd, 0);
	else
		binary_status(c, cmd,
		    result == STORE_EXISTS ? BINARY_STATUS_KEY_EEXISTS : BINARY_STATUS_KEY_ENOENT,
		    0);
}

static void
exec_bin_delta(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	static const uint16_t statuses[] = {
	    [DELTA_NOT_FOUND] = BINARY_STATUS_KEY_ENOENT,
	    [DELTA_NOT_NUMERIC] = BINARY_STATUS_DELTA_BADVAL,
	    [DELTA_EXISTS] = BINARY_STATUS_KEY_EEXISTS,
	    [DELTA_NO_MEMORY] = BINARY_STATUS_ENOMEM,
	};
	struct worker *w = c->worker;
	struct delta delta = {
	    .decrement = cmd->op == OP_BIN_DECREMENT,
	    .amount = cmd->delta,
	    .compare = cmd->cas != 0,
	    .compare_to = cmd->cas,
	    .create = cmd->exptime != -1,
	    .initial = cmd->initial,
	    .create_exptime = exec_exptime(w, (uint32_t)cmd->exptime),
	};
	enum delta_result result;
	char *p;

	note_lookup(c, key);
	result = exec_delta(w, key, &delta);
	if (!delta.created || result == DELTA_NOT_FOUND)
		count_delta(w, delta.decrement, result);
	if (delta.created && result == DELTA_OK)
		note_created(c, key);
	if (result != DELTA_OK) {
		binary_status(c, cmd, statuses[result], 0);
		return;
	}
	if (cmd->noreply)
		return;
	if ((p = outq_reserve(&c->out, &w->source, REPLY_BINARY_NUMBER_MAX)) != NULL)
		outq_commit(&c->out, reply_binary_number(p, cmd, delta.number, delta.cas));
}

/* ---------------------------------------------------------------- the rest */

static void
exec_bin_flush(struct conn *c, const struct command *cmd)
{
	int64_t delay = cmd->binary.has_extras ? (uint32_t)cmd->exptime : 0;

	switch (exec_flush(c, cmd, delay)) {
	case FLUSH_REFUSED:
		binary_status(c, cmd, BINARY_STATUS_AUTH_ERROR, 0);
		return;
	case FLUSH_DONE:
		success(c, cmd, 0);
		return;
	case FLUSH_UNDER_WAY:
		return;
	}
}

static void
exec_bin_version(struct conn *c, const struct command *cmd)
{
	struct slice version = SLICE_LITERAL(SERVER_VERSION);
	char *p = outq_reserve(&c->out, &c->worker->source, BINARY_HEADER_SIZE + version.len);

	if (p != NULL)
		outq_commit(&c->out, reply_binary_text(p, cmd, version));
}

static void
exec_other(struct conn *c, const struct command *cmd)
{
	switch ((enum opcode)cmd->op) {
	case OP_BIN_FLUSH:
		exec_bin_flush(c, cmd);
		return;
	case OP_BIN_QUIT:
		success(c, cmd, 0);
		conn_close(c, CONN_NORMAL);
		return;
	case OP_BIN_NOOP:
		binary_status(c, cmd, BINARY_STATUS_OK, 0);
		return;
	case OP_BIN_VERSION:
		exec_bin_version(c, cmd);
		return;
	case OP_BIN_STAT:
		exec_stats(c, cmd, cmd->key);
		return;
	case OP_BIN_SASL_LIST:
	case OP_BIN_SASL_AUTH:
	case OP_BIN_SASL_STEP:
		exec_sasl(c, cmd);
		return;
	default:
		binary_status(c, cmd, BINARY_STATUS_UNKNOWN_COMMAND, 0);
		return;
	}
}

void
exec_binary(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	switch ((enum opcode)cmd->op) {
	case OP_BIN_GET:
		exec_get(c, cmd, key);
		return;
	case OP_BIN_GAT:
	case OP_BIN_TOUCH:
		exec_gat(c, cmd, key);
		return;
	case OP_BIN_SET:
	case OP_BIN_ADD:
	case OP_BIN_REPLACE:
	case OP_BIN_APPEND:
	case OP_BIN_PREPEND:
		exec_store(c, cmd, key);
		return;
	case OP_BIN_DELETE:
		exec_bin_delete(c, cmd, key);
		return;
	case OP_BIN_INCREMENT:
	case OP_BIN_DECREMENT:
		exec_bin_delta(c, cmd, key);
		return;
	default:
		exec_other(c, cmd);
		return;
	}
}
