/* server/exec_admin.c: commands that are not about one key. */
#include "base/log.h"
#include "proto/reply.h"
#include "server/clock.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/settings.h"
#include "server/stats.h"
#include "server/worker.h"

bool
exec_flush(struct worker *w, int32_t delay)
{
	struct settings *settings = w->server->settings;
	uint32_t at = delay > 0 ? exec_exptime(w, delay) : 0;

	if (!settings->flush_enabled)
		return false;
	counter_add(w, cmd_flush, 1);
	store_flush(w->store, at);
	store_relaxed(&settings->oldest_live, (at != 0 ? at : w->now) - 1);
	return true;
}

static void
exec_verbosity(struct conn *c, const struct command *cmd)
{
	int64_t level = cmd->admin.numbers[0] > 2 ? 2 : cmd->admin.numbers[0];

	store_relaxed(&c->worker->server->settings->verbosity, (uint32_t)level);
	log_set_level(settings_log_level((uint32_t)level));
	reply_unless_quiet(c, cmd, REPLY_OK);
}

static void
exec_shutdown(struct conn *c, const struct command *cmd)
{
	const struct server *server = c->worker->server;

	if (!server->settings->shutdown_command) {
		reply_with(c, REPLY_SHUTDOWN_OFF);
		return;
	}
	if (cmd->admin.numbers[0] == SHUTDOWN_UNKNOWN) {
		reply_with(c, REPLY_SHUTDOWN_MODE);
		return;
	}
	conn_close(c);
	if (server->hooks.shutdown != NULL)
		server->hooks.shutdown(
		    server->hooks.context, cmd->admin.numbers[0] == SHUTDOWN_GRACEFUL);
}

void
exec_admin(struct conn *c, const struct command *cmd)
{
	switch ((enum opcode)cmd->op) {
	case OP_VERSION:
		reply_with(c, SLICE_LITERAL("VERSION " SERVER_VERSION "\r\n"));
		return;
	case OP_STATS:
		exec_stats(c, cmd, cmd->rest);
		return;
	case OP_FLUSH_ALL:
		reply_unless_quiet(
		    c, cmd, exec_flush(c->worker, cmd->exptime) ? REPLY_OK : REPLY_FLUSH_OFF);
		return;
	case OP_VERBOSITY:
		exec_verbosity(c, cmd);
		return;
	case OP_SHUTDOWN:
		exec_shutdown(c, cmd);
		return;
	case OP_QUIT:
		conn_close(c);
		return;
	default:
		reply_unless_quiet(c, cmd, REPLY_ERROR);
		return;
	}
}
