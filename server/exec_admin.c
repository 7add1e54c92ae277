/* server/exec_admin.c: commands that are not about one key. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "proto/reply.h"
#include "server/clock.h"
#include "server/cluster_stats.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/forward.h"
#include "server/replicate_wait.h"
#include "server/settings.h"
#include "server/stats.h"
#include "server/watch.h"
#include "server/worker.h"

void
exec_flushed(struct worker *w, uint32_t at)
{
	counter_add(w, cmd_flush, 1);
	store_relaxed(&w->server->settings->oldest_live, (at != 0 ? at : w->now) - 1);
}

void
exec_flush_at(struct worker *w, int64_t delay)
{
	uint32_t at = delay > 0 ? exec_exptime(w, delay) : 0;

	store_flush(w->store, at);
	exec_flushed(w, at);
}

enum flush_result
exec_flush(struct conn *c, const struct command *cmd, int64_t delay)
{
	struct worker *w = c->worker;

	if (!w->server->settings->flush_enabled)
		return FLUSH_REFUSED;
	if (w->cluster != NULL) {
		forward_flush(c, cmd, delay);
		return FLUSH_UNDER_WAY;
	}
	exec_flush_at(w, delay);
	return FLUSH_DONE;
}

static void
exec_flush_all(struct conn *c, const struct command *cmd)
{
	enum flush_result result = exec_flush(c, cmd, cmd->exptime);

	if (result != FLUSH_UNDER_WAY)
		reply_unless_quiet(c, cmd, result == FLUSH_DONE ? REPLY_OK : REPLY_FLUSH_OFF);
}

bool
behind_others(const struct conn *c)
{
	struct slice line = REPLY_META_NOOP, last;

	if (outq_bytes(&c->out) == 0)
		return false;
	last = outq_plain(&c->out);
	return last.len < line.len ||
	    memcmp(last.ptr + last.len - line.len, line.ptr, line.len) != 0;
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
	conn_close(c, CONN_SHUTDOWN);
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

/* The number that a word is, which the parser has looked at. */
static double
number_of(struct slice word)
{
	char copy[32];

	ASSERT(word.len < sizeof(copy));
	memcpy(copy, word.ptr, word.len);
	copy[word.len] = '\0';
	return strtod(copy, NULL);
}

static void
set_number(double *setting, struct slice word)
{
	double number = number_of(word);

	__atomic_store(setting, &number, __ATOMIC_RELAXED);
}

/* What steers memcached's page mover is remembered and has no effect: pages move by what they are worth. */
static void
tune_automove(struct settings *s, const struct slice *words)
{
	if (slice_is(words[0], "ratio"))
		set_number(&s->slab_automove_ratio, words[1]);
	else if (slice_is(words[0], "freeratio"))
		set_number(&s->slab_automove_freeratio, words[1]);
	else
		store_relaxed(&s->slab_automove_window, (uint32_t)number_of(words[1]));
}

static void
exec_automove(struct conn *c, const struct command *cmd)
{
	struct settings *settings = c->worker->server->settings;
	uint32_t level = (uint32_t)cmd->admin.numbers[0];

	if (level == AUTOMOVE_TUNING) {
		tune_automove(settings, cmd->admin.words);
	} else {
		store_automove_set(c->worker->store, level);
		store_relaxed(&settings->slab_automove, level);
	}
	reply_unless_quiet(c, cmd, REPLY_OK);
}

/* memcached's LRU: what is set is remembered for `stats settings`; this server evicts in another way. As there, mode and
 * temp_ttl are for the maintainer only. */
static void
exec_lru(struct conn *c, const struct command *cmd)
{
	struct settings *s = c->worker->server->settings;
	const struct slice *words = cmd->admin.words;

	if (cmd->op == OP_LRU_TUNE) {
		store_relaxed(&s->hot_lru_pct, (uint32_t)number_of(words[0]));
		store_relaxed(&s->warm_lru_pct, (uint32_t)number_of(words[1]));
		set_number(&s->hot_max_factor, words[2]);
		set_number(&s->warm_max_factor, words[3]);
	} else if (!s->lru_maintainer) {
		reply_unless_quiet(c, cmd, REPLY_ERROR);
		return;
	} else if (cmd->op == OP_LRU_MODE) {
		store_relaxed(&s->lru_segmented, slice_is(words[0], "segmented"));
	} else {
		store_relaxed(&s->temp_lru, cmd->admin.numbers[0] >= 0);
		if (cmd->admin.numbers[0] >= 0)
			store_relaxed(&s->temporary_ttl, (uint32_t)cmd->admin.numbers[0]);
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
		if (!crawler_classes(c->worker, cmd)) {
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
		exec_flush_all(c, cmd);
		return;
	case OP_VERBOSITY:
		exec_verbosity(c, cmd);
		return;
	case OP_SHUTDOWN:
		exec_shutdown(c, cmd);
		return;
	case OP_QUIT:
		conn_close(c, CONN_NORMAL);
		return;
	case OP_WAIT:
		exec_wait(c, cmd);
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
		exec_lru(c, cmd);
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
	case OP_CONFIG_GET:
		exec_config(c, cmd);
		return;
	default:
		reply_unless_quiet(c, cmd, REPLY_ERROR);
		return;
	}
}
