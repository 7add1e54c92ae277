/* server/exec_classic.c: the classic text commands. */
#include <string.h>

#include "base/assert.h"
#include "proto/reply.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/prefix.h"
#include "server/settings.h"
#include "server/worker.h"

static bool
detail_enabled(const struct worker *w)
{
	return unlikely(load_relaxed(&w->server->settings->detail_enabled));
}

/* ---------------------------------------------------------------- reading */

static char *
value_head(char *p, const struct store_key *key, const struct store_view *view, bool with_cas)
{
	struct slice name = {key->data, key->len};

	if (with_cas)
		return reply_value_cas(p, name, view->flags, view->size, view->version);
	return reply_value(p, name, view->flags, view->size);
}

static char *
line_end(char *p)
{
	memcpy(p, "\r\n", 2);
	return p + 2;
}

/* Room for a whole answer with N bytes of value. */
static char *
value_reserve(struct conn *c, const struct store_key *key, size_t n)
{
	return outq_reserve(
	    &c->out, &c->worker->source, REPLY_VALUE_MAX - PROTO_KEY_MAX + key->len + n + 2);
}

/* A large value, held by PIN: only what stands around it is copied. */
static void
value_pinned(struct conn *c, const struct store_key *key, const struct store_view *view,
    struct store_pin *pin, bool with_cas)
{
	char *p = value_reserve(c, key, 0);

	if (p == NULL) {
		store_unpin(c->worker->store, pin);
		return;
	}
	outq_commit(&c->out, value_head(p, key, view, with_cas));
	outq_pin(&c->out, &c->worker->source, pin, view->size);
	outq_append(&c->out, &c->worker->source, "\r\n", 2);
}

/* The value of KEY into the output; false where there is none. */
static bool
read_value(struct conn *c, const struct store_key *key, bool with_cas)
{
	struct store *st = c->worker->store;
	struct store_view view;
	char *p = NULL;

	do {
		if (!store_read_begin(st, key, STORE_READ_VALUE | STORE_READ_COUNT, &view))
			return false;
		if (view.pin != NULL)
			continue;
		p = value_reserve(c, key, view.size);
		if (unlikely(p == NULL))
			continue;
		p = value_head(p, key, &view, with_cas);
		store_copy(p, view.value, view.size);
		p = line_end(p + view.size);
	} while (!store_read_end(st, &view));
	if (view.pin != NULL)
		value_pinned(c, key, &view, view.pin, with_cas);
	else if (likely(p != NULL))
		outq_commit(&c->out, p);
	return true;
}

/* The same under the lock, with a new expiry. */
static bool
touch_value(struct conn *c, const struct store_key *key, bool with_cas, uint32_t exptime)
{
	struct store_pin *pin = NULL;
	struct store_entry entry;
	struct store_view view;
	char *p = NULL;

	store_enter(c->worker->store, key, &entry);
	if (!entry.found) {
		store_leave(&entry);
		return false;
	}
	store_entry_count(&entry);
	store_entry_touch(&entry, exptime);
	view = entry.view;
	if (view.value == NULL && view.size > 0) {
		pin = store_entry_pin(&entry);
	} else if ((p = value_reserve(c, key, view.size)) != NULL) {
		p = value_head(p, key, &view, with_cas);
		memcpy(p, view.value, view.size);
		p = line_end(p + view.size);
	}
	store_leave(&entry);
	if (pin != NULL)
		value_pinned(c, key, &view, pin, with_cas);
	else if (p != NULL)
		outq_commit(&c->out, p);
	return true;
}

static void
count_get(struct worker *w, bool hit)
{
	if (hit)
		counter_add(w, get_hits, 1);
	else
		counter_add(w, get_misses, 1);
}

static void
count_touch(struct worker *w, bool hit)
{
	counter_add(w, cmd_touch, 1);
	if (hit)
		counter_add(w, touch_hits, 1);
	else
		counter_add(w, touch_misses, 1);
}

void
exec_key(struct conn *c, enum opcode op, const struct store_key *key, int32_t exptime)
{
	struct worker *w = c->worker;
	bool hit;

	if (likely(op == OP_GET || op == OP_GETS)) {
		hit = read_value(c, key, op == OP_GETS);
		count_get(w, hit);
	} else {
		hit = touch_value(c, key, op == OP_GATS, exec_exptime(w, exptime));
		count_touch(w, hit);
	}
	if (detail_enabled(w))
		prefixes_count_get(w->server->prefixes, slice_of(key->data, key->len), hit);
}

/* ---------------------------------------------------------------- storing */

static void
put_of(const struct command *cmd, struct store_put *put)
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
	    .compare_to = cmd->op == OP_CAS ? cmd->cas : 0,
	};
}

static void
count_cas(struct worker *w, enum store_result result)
{
	if (result == STORE_OK)
		counter_add(w, cas_hits, 1);
	else if (result == STORE_EXISTS)
		counter_add(w, cas_badval, 1);
	else if (result == STORE_NOT_FOUND)
		counter_add(w, cas_misses, 1);
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
	    [STORE_NO_MEMORY] = &REPLY_NOT_STORED,
	};

	if (cmd->op == OP_CAS)
		count_cas(c->worker, result);
	reply_unless_quiet(c, cmd, *lines[result]);
}

/* No room for the new item: a set leaves nothing behind that could be taken for it. */
static void
store_refused(struct conn *c, const struct command *cmd, const struct store_key *key,
    enum store_result result)
{
	bool large = result == STORE_TOO_LARGE;

	if (large)
		counter_add(c->worker, store_too_large, 1);
	else
		counter_add(c->worker, store_no_memory, 1);
	if (cmd->op == OP_SET)
		(void)store_delete(c->worker->store, key);
	reply_unless_quiet(c, cmd, large ? REPLY_TOO_LARGE : REPLY_NO_MEMORY);
}

static void
store_finish(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	struct worker *w = c->worker;
	struct store_put put;
	uint64_t version;

	put_of(cmd, &put);
	reply_stored(c, cmd, store_put(w->store, key, pending, &put, &version));
	counter_add(w, cmd_set, 1);
	if (detail_enabled(w))
		prefixes_count_set(w->server->prefixes, cmd->key);
}

void
exec_store(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct store *st = c->worker->store;
	struct store_head head = {.flags = cmd->client_flags,
	    .exptime = exec_exptime(c->worker, cmd->exptime),
	    .size = cmd->size};
	struct store_pending pending;
	enum store_result result;

	result = store_alloc(st, &pending, key, &head);
	if (result == STORE_OK)
		result = store_pending_write(st, &pending, cmd->value.ptr, cmd->value.len);
	if (unlikely(result != STORE_OK))
		store_refused(c, cmd, key, result);
	else
		store_finish(c, cmd, key, &pending);
}

bool
exec_stream_begin(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	struct store_head head = {.flags = cmd->client_flags,
	    .exptime = exec_exptime(c->worker, cmd->exptime),
	    .size = cmd->size};
	enum store_result result = store_alloc(c->worker->store, pending, key, &head);

	if (result == STORE_OK)
		return true;
	store_refused(c, cmd, key, result);
	return false;
}

void
exec_stream_failed(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	store_refused(c, cmd, key, STORE_NO_MEMORY);
}

void
exec_stream_end(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	store_finish(c, cmd, key, pending);
}

/* ---------------------------------------------------------------- changing */

static void
count_delta(struct worker *w, bool decrement, enum delta_result result)
{
	if (result == DELTA_OK && decrement)
		counter_add(w, decr_hits, 1);
	else if (result == DELTA_OK)
		counter_add(w, incr_hits, 1);
	else if (result == DELTA_NOT_FOUND && decrement)
		counter_add(w, decr_misses, 1);
	else if (result == DELTA_NOT_FOUND)
		counter_add(w, incr_misses, 1);
}

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
	enum delta_result result = exec_delta(c, key, &delta);

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
	bool found = store_delete(w->store, key) == STORE_OK;

	if (found)
		counter_add(w, delete_hits, 1);
	else
		counter_add(w, delete_misses, 1);
	if (detail_enabled(w))
		prefixes_count_delete(w->server->prefixes, cmd->key);
	reply_unless_quiet(c, cmd, found ? REPLY_DELETED : REPLY_NOT_FOUND);
}
