/* server/watch.c: see watch.h.
 *
 * One lock guards all buffers. It is taken for the copying of a line only, also under a stripe's lock (evictions), and
 * never while anything waits. A buffer is a ring of bytes that holds whole lines.
 */
#include "server/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/lock.h"
#include "proto/reply.h"
#include "server/clock.h"
#include "server/conn_report.h"
#include "server/escape.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/peer.h"
#include "server/settings.h"
#include "server/worker.h"

/* No line is longer: an escaped key, and what stands around it. */
#define LINE_BYTES 1280u

/* One watcher. Its buffer is [head, head + count) modulo capacity. */
struct watch {
	struct conn_report report;
	struct watchers *all;
	struct conn *conn;
	uint32_t streams;
	uint64_t skipped; /* lines lost since the last one that was put in */
	size_t head, count, capacity;
	char buffer[];
};

struct watchers {
	struct lock lock;
	struct watch *list[WATCHERS_MAX];
	uint32_t count;
	uint32_t *wanted;       /* atomic: the streams of all of them */
	uint64_t ids;           /* atomic: lines made */
	uint64_t sent, skipped; /* lines */
	const struct clock *clock;
	struct store *store;
	bool observing; /* the store's evictions: as long as somebody watches them */
};

/* ---------------------------------------------------------------- lines in */

static void
ring_put(struct watch *watch, const char *bytes, size_t n)
{
	size_t tail = (watch->head + watch->count) % watch->capacity;
	size_t first = n < watch->capacity - tail ? n : watch->capacity - tail;

	memcpy(watch->buffer + tail, bytes, first);
	memcpy(watch->buffer, bytes + first, n - first);
	watch->count += n;
}

/* Puts the line in, after a note of those that were lost before it. */
static void
watch_put(struct watch *watch, const char *line, size_t n)
{
	char note[48];
	size_t noted = 0;

	if (watch->skipped > 0)
		noted =
		    (size_t)snprintf(note, sizeof(note), "skipped=%" PRIu64 "\n", watch->skipped);
	if (watch->capacity - watch->count < n + noted) {
		watch->skipped++;
		watch->all->skipped++;
		return;
	}
	ring_put(watch, note, noted);
	ring_put(watch, line, n);
	watch->skipped = 0;
}

/* Tells the worker of WATCH, once until it has looked. */
static void
watch_notify(struct watch *watch)
{
	struct worker *w = watch->conn->worker;
	uint64_t one = 1;
	ssize_t n;

	if (w->wake_fd < 0 || __atomic_exchange_n(&w->watch_ready, true, __ATOMIC_RELAXED))
		return;
	n = write(w->wake_fd, &one, sizeof(one));
	ASSERT(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

static void
watchers_tell(struct watchers *all, enum watch_stream stream, const char *line, size_t n)
{
	lock_take(&all->lock);
	for (uint32_t i = 0; i < all->count; i++) {
		if (!(all->list[i]->streams & (1u << stream)))
			continue;
		watch_put(all->list[i], line, n);
		watch_notify(all->list[i]);
	}
	lock_drop(&all->lock);
}

/* A line in the making. */
struct line {
	size_t len;
	char bytes[LINE_BYTES];
};

static void line_add(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
line_add(struct line *line, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line->bytes + line->len, LINE_BYTES - line->len, format, arguments);
	va_end(arguments);
	ASSERT(n >= 0 && (size_t)n < LINE_BYTES - line->len);
	line->len += (size_t)n;
}

static void
line_key(struct line *line, const struct store_key *key)
{
	char *p;

	line_add(line, " key=");
	ASSERT(LINE_BYTES - line->len > ESCAPED_MAX(PROTO_KEY_MAX));
	p = escape_key(line->bytes + line->len, slice_of(key->data, key->len));
	line->len = (size_t)(p - line->bytes);
}

static void
line_begin(struct watchers *all, struct line *line, const char *type)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	line->len = 0;
	line_add(line, "ts=%lld.%06ld gid=%" PRIu64 " type=%s", (long long)now.tv_sec,
	    now.tv_nsec / 1000, add_relaxed(&all->ids, 1) + 1, type);
}

static void
line_tell(struct watchers *all, struct line *line, enum watch_stream stream)
{
	line_add(line, "\n");
	watchers_tell(all, stream, line->bytes, line->len);
}

/* ---------------------------------------------------------------- what happens */

void
watch_look(const struct worker *w, const struct store_key *key, struct watch_item *item)
{
	struct store_view view;

	do {
		*item = (struct watch_item){0};
		if (!store_read_begin(w->store, key, STORE_READ_META, &view))
			return;
		*item =
		    (struct watch_item){store_view_class(w->store, &view), view.size, view.exptime};
	} while (!store_read_end(w->store, &view));
}

static void
tell_fetch(struct conn *c, const struct store_key *key, bool hit, const struct watch_item *item)
{
	struct watchers *all = c->worker->server->watchers;
	struct line line;

	line_begin(all, &line, "item_get");
	line_key(&line, key);
	line_add(&line, " status=%s clsid=%u cfd=%d size=%u", hit ? "found" : "not_found",
	    item->slab_class, c->fd, item->size);
	line_tell(all, &line, WATCH_FETCHERS);
}

void
watch_fetch(struct conn *c, const struct store_key *key, bool hit)
{
	struct watch_item item = {0};

	if (hit)
		watch_look(c->worker, key, &item);
	tell_fetch(c, key, hit, &item);
}

void
watch_lookup(struct conn *c, const struct store_key *key)
{
	struct watch_item item;

	watch_look(c->worker, key, &item);
	tell_fetch(c, key, item.slab_class != 0, &item);
}

static void
tell_store(struct conn *c, const char *command, const struct store_key *key,
    enum store_result result, const struct watch_item *item)
{
	static const char *const statuses[] = {
	    [STORE_OK] = "stored",
	    [STORE_NOT_STORED] = "not_stored",
	    [STORE_NOT_FOUND] = "not_found",
	    [STORE_EXISTS] = "exists",
	    [STORE_TOO_LARGE] = "too_large",
	    [STORE_NO_MEMORY] = "no_memory",
	};
	struct watchers *all = c->worker->server->watchers;
	uint32_t now = c->worker->now, exptime = item->exptime;
	struct line line;

	line_begin(all, &line, "item_store");
	line_key(&line, key);
	line_add(&line, " status=%s cmd=%s ttl=%u clsid=%u cfd=%d size=%u", statuses[result],
	    command, exptime > now ? exptime - now : 0, item->slab_class, c->fd, item->size);
	line_tell(all, &line, WATCH_MUTATIONS);
}

/* The classic command that does what CMD does. */
static const char *
store_name(const struct command *cmd)
{
	static const char *const names[OP_COUNT] = {
	    [OP_BIN_SET] = "set",
	    [OP_BIN_ADD] = "add",
	    [OP_BIN_REPLACE] = "replace",
	    [OP_BIN_APPEND] = "append",
	    [OP_BIN_PREPEND] = "prepend",
	};
	char mode = cmd->op == OP_MS ? cmd->meta.mode : 0;

	if (mode == 'E')
		return "add";
	if (mode == 'A' || cmd->op == OP_BIN_APPEND)
		return "append";
	if (mode == 'P' || cmd->op == OP_BIN_PREPEND)
		return "prepend";
	if (cmd->op == OP_MS && (cmd->meta.flags & META_FLAG('C')))
		return "cas";
	if (cmd->op == OP_MS)
		return mode == 'R' ? "replace" : "set";
	if (names[cmd->op] != NULL)
		return cmd->cas != 0 ? "cas" : names[cmd->op];
	return command_infos[cmd->op].name;
}

void
watch_store(struct conn *c, const struct command *cmd, const struct store_key *key,
    enum store_result result)
{
	struct watch_item item = {
	    .size = result == STORE_TOO_LARGE ? 0 : cmd->size,
	    .exptime = exec_exptime(c->worker, cmd->exptime),
	};

	if (result == STORE_OK)
		watch_look(c->worker, key, &item);
	if (result == STORE_OK && item.slab_class == 0)
		item.size = cmd->size; /* expired at once */
	tell_store(c, store_name(cmd), key, result, &item);
}

void
watch_created(struct conn *c, const struct store_key *key)
{
	struct watch_item item;

	watch_look(c->worker, key, &item);
	tell_store(c, "add", key, STORE_OK, &item);
}

void
watch_delete(struct conn *c, const struct command *cmd, const struct store_key *key,
    const struct watch_item *item)
{
	struct watchers *all = c->worker->server->watchers;
	struct line line;

	line_begin(all, &line, "deleted");
	line_key(&line, key);
	line_add(&line, " cmd=%s clsid=%u size=%u", cmd->op == OP_MD ? "md" : "delete",
	    item->slab_class, item->size);
	line_tell(all, &line, WATCH_DELETIONS);
}

static void
tell_connection(struct conn *c, const char *type, const char *reason)
{
	static const char *const transports[] = {
	    [PEER_UNKNOWN] = "unknown",
	    [PEER_TCP] = "tcp",
	    [PEER_TCP6] = "tcp",
	    [PEER_UNIX] = "local",
	};
	struct watchers *all = c->worker->server->watchers;
	char host[INET6_ADDRSTRLEN];
	struct line line;

	peer_host(&c->peer, host);
	line_begin(all, &line, type);
	line_add(&line, " rip=%s rport=%u transport=%s",
	    c->peer.transport == PEER_UNIX ? "unix" : host, c->peer.port,
	    transports[c->peer.transport]);
	if (reason != NULL)
		line_add(&line, " reason=%s", reason);
	line_add(&line, " cfd=%d", c->fd);
	line_tell(all, &line, WATCH_CONNEVENTS);
}

void
watch_opened(struct conn *c)
{
	if (watch_wanted(c->worker, WATCH_CONNEVENTS))
		tell_connection(c, "conn_new", NULL);
}

void
watch_closed(struct conn *c)
{
	static const char *const reasons[] = {
	    [CONN_ERROR] = "error",
	    [CONN_NORMAL] = "normal",
	    [CONN_IDLE] = "idle_timeout",
	    [CONN_SHUTDOWN] = "shutdown",
	};

	if (watch_wanted(c->worker, WATCH_CONNEVENTS))
		tell_connection(c, "conn_close", reasons[c->kicked ? CONN_IDLE : c->reason]);
}

/* Under the stripe's lock. */
static void
observe(void *context, const struct store_mutation *mutation)
{
	struct watchers *all = context;
	const struct store_view *view = mutation->view;
	struct line line;
	int64_t ttl = -1;

	if (mutation->event != STORE_EVENT_EVICT ||
	    !(load_relaxed(all->wanted) & (1u << WATCH_EVICTIONS)))
		return;
	if (view->exptime != 0)
		ttl = (int64_t)view->exptime - clock_now(all->clock);
	line_begin(all, &line, "eviction");
	line_key(&line, mutation->key);
	line_add(&line, " fetch=%s ttl=%" PRId64 " la=%u clsid=%d size=%u",
	    view->fetched ? "yes" : "no", ttl, view->age, mutation->slab_class, view->size);
	line_tell(all, &line, WATCH_EVICTIONS);
}

/* ---------------------------------------------------------------- lines out */

/* Moves what can be sent now from the buffer to the connection. */
static enum report_result
watch_more(struct conn *c, struct conn_report *report)
{
	struct watch *watch = (struct watch *)report;
	struct watchers *all = watch->all;
	size_t n;
	char *p;

	p = outq_reserve(&c->out, &c->worker->source, OUTQ_BLOCK);
	if (p == NULL)
		return REPORT_WAIT;
	lock_take(&all->lock);
	n = watch->capacity - watch->head;
	if (n > watch->count)
		n = watch->count;
	if (n > OUTQ_BLOCK)
		n = OUTQ_BLOCK;
	memcpy(p, watch->buffer + watch->head, n);
	watch->head = (watch->head + n) % watch->capacity;
	watch->count -= n;
	for (size_t i = 0; i < n; i++)
		all->sent += p[i] == '\n';
	lock_drop(&all->lock);
	outq_commit(&c->out, p + n);
	return n > 0 ? REPORT_MORE : REPORT_WAIT;
}

/* What all of them want. Needs the lock. */
static void
update_wanted(struct watchers *all)
{
	uint32_t wanted = 0;
	bool evictions;

	for (uint32_t i = 0; i < all->count; i++)
		wanted |= all->list[i]->streams;
	store_relaxed(all->wanted, wanted);
	evictions = (wanted & (1u << WATCH_EVICTIONS)) != 0;
	if (evictions && !all->observing)
		store_observe(all->store, observe, all);
	else if (!evictions && all->observing)
		store_unobserve(all->store, observe, all);
	all->observing = evictions;
}

static void
watch_free(struct conn_report *report)
{
	struct watch *watch = (struct watch *)report;
	struct watchers *all = watch->all;

	lock_take(&all->lock);
	for (uint32_t i = 0; i < all->count; i++)
		if (all->list[i] == watch)
			all->list[i] = all->list[--all->count];
	update_wanted(all);
	lock_drop(&all->lock);
	free(watch);
}

void
watch_wake(struct worker *w)
{
	struct watchers *all = w->server->watchers;

	if (!__atomic_exchange_n(&w->watch_ready, false, __ATOMIC_RELAXED))
		return;
	lock_take(&all->lock);
	for (uint32_t i = 0; i < all->count; i++)
		if (all->list[i]->conn->worker == w)
			conn_poke(all->list[i]->conn);
	lock_drop(&all->lock);
}

static struct watch *
watch_new(struct conn *c, uint32_t streams)
{
	size_t capacity = c->worker->server->settings->watcher_logbuf_size;
	struct watch *watch = malloc(sizeof(*watch) + capacity);

	if (watch == NULL)
		return NULL;
	*watch = (struct watch){
	    .report = {.more = watch_more, .free = watch_free},
	    .all = c->worker->server->watchers,
	    .conn = c,
	    .streams = streams,
	    .capacity = capacity,
	};
	return watch;
}

/* False where there are too many. */
static bool
watch_add(struct watchers *all, struct watch *watch)
{
	bool room;

	lock_take(&all->lock);
	room = all->count < WATCHERS_MAX;
	if (room)
		all->list[all->count++] = watch;
	update_wanted(all);
	lock_drop(&all->lock);
	return room;
}

void
exec_watch(struct conn *c, const struct command *cmd)
{
	struct server *server = c->worker->server;
	struct watch *watch;

	if (!server->settings->watch_enabled) {
		reply_with(c, REPLY_WATCH_OFF);
		return;
	}
	if (behind_others(c)) {
		reply_with(c, REPLY_WATCH_PIPELINED);
		return;
	}
	if (cmd->admin.numbers[0] == 0) {
		reply_with(c, REPLY_ERROR);
		return;
	}
	if ((watch = watch_new(c, (uint32_t)cmd->admin.numbers[0])) == NULL) {
		reply_with(c, REPLY_WATCH_FAILED);
		return;
	}
	if (!watch_add(server->watchers, watch)) {
		free(watch);
		reply_with(c, REPLY_WATCH_TOO_MANY);
		return;
	}
	reply_with(c, REPLY_OK);
	report_begin(c, &watch->report);
}

/* ---------------------------------------------------------------- all of them */

struct watchers *
watchers_new(struct store *st, const struct clock *clock, uint32_t *watched)
{
	struct watchers *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	lock_init(&all->lock, LOCK_WATCH);
	all->clock = clock;
	all->store = st;
	all->wanted = watched;
	return all;
}

void
watchers_free(struct watchers **watchers)
{
	struct watchers *all = *watchers;

	*watchers = NULL;
	if (all == NULL)
		return;
	ASSERT(all->count == 0);
	lock_fini(&all->lock);
	free(all);
}

void
watch_stats(struct watchers *all, struct watch_stats *stats)
{
	lock_take(&all->lock);
	*stats = (struct watch_stats){
	    .lines = load_relaxed(&all->ids),
	    .sent = all->sent,
	    .skipped = all->skipped,
	    .watchers = all->count,
	};
	lock_drop(&all->lock);
}
