/* server/exec_admin.c: commands that are not about one key. */
#include <inttypes.h>

#include "base/log.h"
#include "proto/reply.h"
#include "server/clock.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/settings.h"
#include "server/stats.h"
#include "server/watch.h"
#include "server/worker.h"

bool
exec_flush(struct worker *w, int64_t delay)
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

static void
exec_memlimit(struct conn *c, const struct command *cmd)
{
	struct settings *settings = c->worker->server->settings;
	uint64_t bytes = (uint64_t)cmd->admin.numbers[0] << 20;

	if (!store_limit_set(c->worker->store, bytes)) {
		reply_unless_quiet(c, cmd, REPLY_MEMLIMIT_REFUSED);
		return;
	}
	store_relaxed(&settings->memory_limit, bytes);
	log_info("memory limit set to %" PRId64 " megabytes", cmd->admin.numbers[0]);
	reply_unless_quiet(c, cmd, REPLY_OK);
}

static void
exec_reassign(struct conn *c, const struct command *cmd)
{
	static const struct slice *const lines[] = {
	    [STORE_REASSIGN_OK] = &REPLY_OK,
	    [STORE_REASSIGN_BUSY] = &REPLY_REASSIGN_BUSY,
	    [STORE_REASSIGN_BADCLASS] = &REPLY_BAD_SOURCE_CLASS,
	    [STORE_REASSIGN_NOSPARE] = &REPLY_NO_SPARE,
	    [STORE_REASSIGN_SAME] = &REPLY_SAME_CLASS,
	};
	int from = (int)cmd->admin.numbers[0], to = (int)cmd->admin.numbers[1];

	reply_unless_quiet(c, cmd, *lines[store_reassign(c->worker->store, from, to)]);
}

static void
exec_automove(struct conn *c, const struct command *cmd)
{
	uint32_t level = (uint32_t)cmd->admin.numbers[0];

	if (level != AUTOMOVE_TUNING) {
		store_automove_set(c->worker->store, level);
		store_relaxed(&c->worker->server->settings->slab_automove, level);
	}
	reply_unless_quiet(c, cmd, REPLY_OK);
}

/* Expired items are looked for all the time; what these change is what `stats settings` shows. */
static void
exec_crawler(struct conn *c, const struct command *cmd)
{
	struct settings *settings = c->worker->server->settings;

	switch ((enum opcode)cmd->op) {
	case OP_CRAWLER_ENABLE:
	case OP_CRAWLER_DISABLE:
		store_relaxed(&settings->lru_crawler, cmd->op == OP_CRAWLER_ENABLE);
		break;
	case OP_CRAWLER_TOCRAWL:
		store_relaxed(&settings->lru_crawler_tocrawl, (uint32_t)cmd->admin.numbers[0]);
		break;
	case OP_CRAWLER_SLEEP:
		store_relaxed(&settings->lru_crawler_sleep, (uint32_t)cmd->admin.numbers[0]);
		break;
	default:
		if (!load_relaxed(&settings->lru_crawler)) {
			reply_unless_quiet(c, cmd, REPLY_CRAWLER_OFF);
			return;
		}
		if (!crawler_classes(cmd)) {
			reply_unless_quiet(c, cmd, REPLY_BAD_CLASS);
			return;
		}
		break;
	}
	reply_unless_quiet(c, cmd, REPLY_OK);
}

static void
exec_debugtime(struct conn *c, const struct command *cmd)
{
#ifdef DEBUG_COMMANDS
	struct worker *w = c->worker;
	struct clock *clock = w->server->clock;

	if (slice_is(cmd->admin.words[0], "p"))
		clock_pause(clock, true);
	else if (slice_is(cmd->admin.words[0], "r"))
		clock_pause(clock, false);
	else
		clock_shift(clock, cmd->admin.numbers[0]);
	store_clock_set(w->store, clock_now(clock));
	w->now = store_clock(w->store);
	reply_unless_quiet(c, cmd, REPLY_OK);
#else
	reply_unless_quiet(c, cmd, REPLY_ERROR);
#endif
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
	case OP_CACHE_MEMLIMIT:
		exec_memlimit(c, cmd);
		return;
	case OP_SLABS_REASSIGN:
		exec_reassign(c, cmd);
		return;
	case OP_SLABS_AUTOMOVE:
		exec_automove(c, cmd);
		return;
	case OP_LRU_TUNE:
	case OP_LRU_MODE:
	case OP_LRU_TEMP_TTL:
		reply_unless_quiet(c, cmd, REPLY_OK);
		return;
	case OP_CRAWLER_ENABLE:
	case OP_CRAWLER_DISABLE:
	case OP_CRAWLER_CRAWL:
	case OP_CRAWLER_TOCRAWL:
	case OP_CRAWLER_SLEEP:
		exec_crawler(c, cmd);
		return;
	case OP_CRAWLER_METADUMP:
	case OP_CRAWLER_MGDUMP:
		exec_dump(c, cmd);
		return;
	case OP_WATCH:
		exec_watch(c, cmd);
		return;
	case OP_DEBUGTIME:
		exec_debugtime(c, cmd);
		return;
	default:
		reply_unless_quiet(c, cmd, REPLY_ERROR);
		return;
	}
}
