/* server/exec.c: which executor a command has, and what is common to them. */
#include "server/exec.h"

#include "proto/reply.h"
#include "server/clock.h"
#include "server/cluster.h"
#include "server/exec_op.h"
#include "server/forward.h"
#include "server/replicate.h"
#include "server/route.h"
#include "server/worker.h"

uint32_t
exec_exptime(const struct worker *w, int64_t exptime)
{
	return exptime == 0 ? 0 : clock_exptime(w->server->clock, exptime);
}

void
reply_with(struct conn *c, struct slice line)
{
	outq_append_slice(&c->out, &c->worker->source, line);
}

static void
exec_classic(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	switch ((enum opcode)cmd->op) {
	case OP_GET:
	case OP_GETS:
	case OP_GAT:
	case OP_GATS:
		exec_key(c, (enum opcode)cmd->op, key, cmd->exptime);
		return;
	case OP_INCR:
	case OP_DECR:
		exec_arithmetic(c, cmd, key);
		return;
	case OP_TOUCH:
		exec_touch(c, cmd, key);
		return;
	case OP_DELETE:
		exec_delete(c, cmd, key);
		return;
	default:
		exec_store(c, cmd, key);
		return;
	}
}

void
exec_command(struct conn *c, struct command *cmd, const struct store_key *key)
{
	if (unlikely(!c->authenticated)) {
		if (c->protocol == PROTOCOL_TEXT) {
			exec_auth_text(c, cmd);
			return;
		}
		if (!exec_allowed(c, cmd))
			return;
	}
	switch ((enum surface)command_infos[cmd->op].surface) {
	case SURFACE_CLASSIC:
		exec_classic(c, cmd, key);
		return;
	case SURFACE_META:
		exec_meta(c, cmd, key);
		return;
	case SURFACE_ADMIN:
		exec_admin(c, cmd);
		return;
	case SURFACE_BINARY:
		exec_binary(c, cmd, key);
		return;
	}
}

void
exec_keys_end(struct conn *c)
{
	reply_with(c, REPLY_END);
}

enum store_result
exec_remove(struct worker *w, const struct store_key *key)
{
	enum store_result result = store_delete(w->store, key);

	if (result == STORE_NOT_FOUND && w->cluster != NULL)
		result = replicate_delete_missing(w->cluster->replicate, key);
	return result;
}

/* Removes the item, wherever it is. */
static void
drop_key(struct conn *c, const struct store_key *key)
{
	struct worker *w = c->worker;
	int node = w->cluster != NULL && !c->inner ? route(w, key, false) : ROUTE_LOCAL;

	if (node == ROUTE_LOCAL)
		(void)exec_remove(w, key);
	else
		forward_drop(c, key, (unsigned)node);
}

/* A value too large: counted, told, and what the set would have replaced is removed, because nobody shall read the
 * old value for the new one. */
static void
too_large(struct conn *c, const struct command *cmd, bool drop)
{
	struct store_key key = store_key(c->worker->store, cmd->key.ptr, cmd->key.len);

	counter_add(c->worker, store_too_large, 1);
	note_set(c, cmd, &key, STORE_TOO_LARGE);
	note_lookup(c, &key);
	if (drop)
		drop_key(c, &key);
}

/* A data block that does not end where it should: counted as memcached does, when the line was accepted. */
void
exec_bad_data(struct conn *c, const struct command *cmd)
{
	struct store_key key = store_key(c->worker->store, cmd->key.ptr, cmd->key.len);

	counter_add(c->worker, cmd_set, 1);
	note_refused(c, &key);
}

/* Whether -F, which is asked before the delay of a flush_all is looked at, forbids this one. */
static bool
refused_before(const struct conn *c, const struct command *cmd, const struct parse_error *error)
{
	return slice_equal(error->reply, REPLY_BAD_EXPTIME) && cmd->op == OP_FLUSH_ALL &&
	    !c->worker->server->settings->flush_enabled;
}

void
exec_error(struct conn *c, const struct command *cmd, const struct parse_error *error)
{
	if (c->protocol == PROTOCOL_BINARY && error->too_large && !exec_allowed(c, cmd))
		return;
	if (error->too_large)
		too_large(c, cmd, error->drop_key);
	else if (slice_equal(error->reply, REPLY_BAD_DATA_CHUNK))
		exec_bad_data(c, cmd);
	if (error->silent)
		return;
	if (c->protocol == PROTOCOL_BINARY && error->status != 0)
		binary_status(c, cmd, error->status, 0);
	else if (c->protocol != PROTOCOL_BINARY)
		reply_with(c, refused_before(c, cmd, error) ? REPLY_FLUSH_OFF : error->reply);
}
