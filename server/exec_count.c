/* server/exec_count.c: what commands count, the same in all three protocols. */
#include "server/exec_op.h"
#include "server/prefix.h"
#include "server/settings.h"
#include "server/watch.h"
#include "server/worker.h"

void
count_cas(struct worker *w, enum store_result result)
{
	if (result == STORE_OK)
		counter_add(w, cas_hits, 1);
	else if (result == STORE_EXISTS)
		counter_add(w, cas_badval, 1);
	else if (result == STORE_NOT_FOUND)
		counter_add(w, cas_misses, 1);
}

void
count_get(struct worker *w, bool hit)
{
	if (hit)
		counter_add(w, get_hits, 1);
	else
		counter_add(w, get_misses, 1);
}

void
count_touch(struct worker *w, bool hit)
{
	counter_add(w, cmd_touch, 1);
	if (hit)
		counter_add(w, touch_hits, 1);
	else
		counter_add(w, touch_misses, 1);
}

void
count_delete(struct worker *w, bool hit)
{
	if (hit)
		counter_add(w, delete_hits, 1);
	else
		counter_add(w, delete_misses, 1);
}

static void
count_incr(struct worker *w, bool hit)
{
	if (hit)
		counter_add(w, incr_hits, 1);
	else
		counter_add(w, incr_misses, 1);
}

static void
count_decr(struct worker *w, bool hit)
{
	if (hit)
		counter_add(w, decr_hits, 1);
	else
		counter_add(w, decr_misses, 1);
}

void
count_delta(struct worker *w, bool decrement, enum delta_result result)
{
	if (result != DELTA_OK && result != DELTA_NOT_FOUND)
		return;
	if (decrement)
		count_decr(w, result == DELTA_OK);
	else
		count_incr(w, result == DELTA_OK);
}

/* ---------------------------------------------------------------- who looks on */

static bool
detail_enabled(const struct worker *w)
{
	return unlikely(load_relaxed(&w->server->settings->detail_enabled));
}

void
note_get(struct conn *c, const struct store_key *key, bool hit)
{
	struct worker *w = c->worker;

	if (detail_enabled(w))
		prefixes_count_get(w->server->prefixes, slice_of(key->data, key->len), hit);
	if (unlikely(watch_wanted(w, WATCH_FETCHERS)))
		watch_fetch(c, key, hit);
}

void
note_lookup(struct conn *c, const struct store_key *key)
{
	if (unlikely(watch_wanted(c->worker, WATCH_FETCHERS)))
		watch_lookup(c, key);
}

void
note_set(struct conn *c, const struct command *cmd, const struct store_key *key,
    enum store_result result)
{
	struct worker *w = c->worker;

	if (detail_enabled(w))
		prefixes_count_set(w->server->prefixes, slice_of(key->data, key->len));
	if (unlikely(watch_wanted(w, WATCH_MUTATIONS)))
		watch_store(c, cmd, key, result);
}

void
note_refused(struct conn *c, const struct store_key *key)
{
	struct worker *w = c->worker;

	if (detail_enabled(w))
		prefixes_count_set(w->server->prefixes, slice_of(key->data, key->len));
}

void
note_created(struct conn *c, const struct store_key *key)
{
	if (unlikely(watch_wanted(c->worker, WATCH_MUTATIONS)))
		watch_created(c, key);
}

void
note_before(const struct conn *c, const struct store_key *key, struct watch_item *item)
{
	if (unlikely(watch_wanted(c->worker, WATCH_DELETIONS)))
		watch_look(c->worker, key, item);
	else
		*item = (struct watch_item){0};
}

void
note_delete(struct conn *c, const struct command *cmd, const struct store_key *key, bool hit,
    const struct watch_item *item)
{
	struct worker *w = c->worker;

	if (detail_enabled(w))
		prefixes_count_delete(w->server->prefixes, slice_of(key->data, key->len));
	if (hit && item != NULL && unlikely(watch_wanted(w, WATCH_DELETIONS)))
		watch_delete(c, cmd, key, item);
}
