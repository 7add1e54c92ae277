/* server/replicate_apply.c: what other nodes have changed.
 *
 * A record is applied where its order is above the present item's and above the tombstone of its key. Of one order there can be
 * several states, since a new expiry and marks change none: then the later one wins, and two records of one primary, which may
 * come by different links, are told apart by their stamps. The table of stamps is of limited size; what it has forgotten counts
 * as older. A copy is never passed on: the observer is silent while records are applied, but for evictions, which hit others.
 */
#include <string.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "server/replicate_impl.h"

_Thread_local bool replicate_applying;
_Thread_local bool replicate_evicting;

/* The others are fixed when an item is made. */
#define MARKS_CHANGING (STORE_STALE | STORE_WON)

struct applying {
	struct replicate_end *end;
	const struct record *record;
	struct store_key key;
	bool sync;
	bool ours;        /* this node is the primary */
	bool primary;     /* the sender is: its stamps count */
	uint64_t deleted; /* the tombstone of the key */
};

/* ---------------------------------------------------------------- sets */

/* Under the stripe's lock, where the order would do. */
static bool
guard(void *context, const struct store_entry *entry)
{
	struct applying *a = context;
	struct replicate *r = a->end->worker->all;
	const struct record *record = a->record;

	a->deleted = tombstone_find(r->deleted, a->key.hash);
	if (a->deleted >= record->order)
		return false;
	if (entry->found && store_view_order(&entry->view) == record->order) {
		if (!a->primary || tombstone_find(r->stamps, a->key.hash) > record->stamp)
			return false;
	}
	if (a->primary)
		tombstone_put(r->stamps, a->key.hash, record->stamp);
	return true;
}

static struct store_head
head_of(const struct replicate_end *end, const struct record *record)
{
	return (struct store_head){.flags = record->flags,
	    .exptime = replicate_expiry_in(end->worker->all, end, record->expiry),
	    .size = record->size,
	    .versioned = record->version != 0,
	    .tagged = record->marks & STORE_TAGGED};
}

static void
count_result(struct replicate_end *end, enum store_result result)
{
	if (result == STORE_OK)
		bump_relaxed(&end->counts.applied, 1);
	else if (result == STORE_EXISTS || result == STORE_NOT_FOUND)
		bump_relaxed(&end->counts.stale, 1);
	else
		bump_relaxed(&end->counts.refused, 1);
}

/* One copy has given this to another: it may have been deleted, which only its primary is sure to know. */
static void
ask_primary(const struct applying *a)
{
	struct replicate_worker *w = a->end->worker;
	uint16_t holders[HOLDERS_MAX];
	unsigned n = replicate_holders(w, replicate_point(w, a->record->key), holders);

	if (n > 0 && w->outgoing[holders[0]] != NULL)
		replicate_want_sync(w->outgoing[holders[0]]->peer);
}

/* Puts PENDING, which is whole. */
static void
put(struct applying *a, struct store_pending *pending)
{
	struct store *st = a->end->worker->all->store;
	const struct record *record = a->record;
	struct store_newer newer = {
	    .order = record->order, .or_equal = true, .guard = guard, .guard_context = a};
	struct store_put how = {.mode = STORE_SET,
	    .newer = &newer,
	    .version = record->version,
	    .marks = (record->marks & MARKS_CHANGING) | (a->ours ? 0 : STORE_COPY)};
	uint64_t version;
	enum store_result result = store_put(st, &a->key, pending, &how, &version);

	count_result(a->end, result);
	/* The sender does not know: it has lost what it knew. */
	if (result == STORE_EXISTS && a->deleted >= record->order)
		replicate_gone(a->end, record->key, a->deleted);
	if (result == STORE_OK && !a->ours && !a->primary)
		ask_primary(a);
	/* What the primary has got back, the other holders may have to learn as well. */
	if (result == STORE_OK && a->ours)
		replicate_pass_on(a->end->worker, BACKLOG_SET, record->key, record->order);
}

static void
set_whole(struct applying *a)
{
	struct store *st = a->end->worker->all->store;
	struct store_head head = head_of(a->end, a->record);
	struct store_pending pending;
	enum store_result result = store_offer(st, &pending, &a->key, &head, a->record->value.ptr);

	if (result == STORE_OK)
		put(a, &pending);
	else
		count_result(a->end, result);
}

/* ---------------------------------------------------------------- long values */

static void
assembly_abort(struct replicate_end *end, struct assembly *as)
{
	if (as->active)
		store_abort(end->worker->all->store, &as->pending);
	as->active = false;
}

void
assemblies_drop(struct replicate_end *end)
{
	for (unsigned i = 0; i < 2; i++)
		assembly_abort(end, &end->assemblies[i]);
}

/* Makes room for what is announced; where there is none its pieces are let pass. */
static void
assembly_begin(struct applying *a, struct assembly *as)
{
	struct store *st = a->end->worker->all->store;
	struct store_head head = head_of(a->end, a->record);
	enum store_result result = store_alloc(st, &as->pending, &a->key, &head);

	as->active = result == STORE_OK;
	as->record = *a->record;
	memcpy(as->key, a->key.data, a->key.len);
	as->record.key.ptr = as->key;
	if (!as->active)
		count_result(a->end, result);
}

/* Whether the record is the next piece of what is under way. */
static bool
assembly_goes_on(const struct assembly *as, const struct record *record)
{
	return as->active && slice_equal(as->record.key, record->key) &&
	    as->record.order == record->order && as->record.size == record->size &&
	    as->pending.written == record->offset;
}

static void
set_piece(struct applying *a)
{
	struct store *st = a->end->worker->all->store;
	struct assembly *as = &a->end->assemblies[a->sync];
	const struct record *record = a->record;

	if (record->offset == 0) {
		assembly_abort(a->end, as);
		assembly_begin(a, as);
	} else if (!assembly_goes_on(as, record)) {
		assembly_abort(a->end, as);
	}
	if (!as->active)
		return;
	if (store_pending_write(st, &as->pending, record->value.ptr, record->value.len) !=
	    STORE_OK) {
		as->active = false;
		count_result(a->end, STORE_NO_MEMORY);
	} else if (as->pending.written == as->pending.size) {
		put(a, &as->pending);
		as->active = false;
	}
}

/* ---------------------------------------------------------------- the other kinds */

bool
apply_delete(struct replicate *r, const struct store_key *key, uint64_t order)
{
	struct store_entry entry;
	bool gone;

	store_enter(r->store, key, &entry);
	tombstone_put(r->deleted, key->hash, order);
	gone = entry.found && store_view_order(&entry.view) <= order;
	if (gone)
		store_entry_delete(&entry);
	store_leave(&entry);
	store_version_raise(r->store, order);
	return gone;
}

/* A new expiry, and the marks as they are by now. Where the item is not there yet, its record, by another link, may be older than this one: it is asked for once
 * more. */
static void
touch(struct applying *a)
{
	struct replicate *r = a->end->worker->all;
	const struct record *record = a->record;
	struct store_entry entry;
	uint64_t present;
	bool touched;

	store_enter(r->store, &a->key, &entry);
	present =
	    entry.found ? store_view_order(&entry.view) : tombstone_find(r->deleted, a->key.hash);
	touched = entry.found && present == record->order && guard(a, &entry);
	if (touched) {
		store_entry_touch(&entry, replicate_expiry_in(r, a->end, record->expiry));
		store_entry_mark(&entry, record->marks & MARKS_CHANGING,
		    (uint8_t)~record->marks & MARKS_CHANGING, 0);
	}
	store_leave(&entry);
	count_result(a->end, touched ? STORE_OK : STORE_EXISTS);
	if (touched && a->ours)
		replicate_pass_on(a->end->worker, BACKLOG_TOUCH, record->key, record->order);
	if (present < record->order && record->order > store_flushed(r->store) &&
	    !replicate_want(a->end, record->key, WANT_ALONE))
		replicate_want_sync(a->end->peer);
}

static void
forget(struct applying *a)
{
	bool gone = apply_delete(a->end->worker->all, &a->key, a->record->order);

	count_result(a->end, gone ? STORE_OK : STORE_EXISTS);
	if (gone && a->ours)
		replicate_pass_on(a->end->worker, BACKLOG_DELETE, a->record->key, a->record->order);
}

static void
apply_record(struct applying *a)
{
	struct replicate *r = a->end->worker->all;
	const struct record *record = a->record;

	switch (record->kind) {
	case RECORD_SET:
		if (record->value.len == record->size)
			set_whole(a);
		else
			set_piece(a);
		break;
	case RECORD_DELETE:
		forget(a);
		break;
	case RECORD_TOUCH:
		touch(a);
		break;
	case RECORD_EVICT:
		replicate_evicting = true;
		count_result(
		    a->end, store_lose_older(r->store, &a->key, record->order, STORE_EVENT_EVICT));
		replicate_evicting = false;
		break;
	}
}

/* ---------------------------------------------------------------- frames */

/* What one says that does not know the present topology yet, without another one in between. It must be the primary in that as well; or
 * hold the key no longer: then nobody would ever compare, and what it had acknowledged as the primary before would be lost. */
static bool
authorised_before(struct applying *a)
{
	struct replicate_worker *w = a->end->worker;
	uint16_t holders[HOLDERS_MAX];
	unsigned n = replicate_holders(w, replicate_point(w, a->record->key), holders);
	unsigned here = n, there = n;

	for (unsigned i = 0; i < n; i++) {
		here = holders[i] == w->places.self ? i : here;
		there = holders[i] == a->end->node ? i : there;
	}
	if (here == n)
		return false;
	a->ours = here == 0;
	return there == 0 || (there == n && a->record->kind != RECORD_EVICT);
}

/* Whether what END's peer says of KEY counts: nobody but the primary changes an item. By a comparison also a primary learns what
 * it has lost. */
static bool
authorised(struct applying *a, const struct frame *frame)
{
	struct replicate_worker *w = a->end->worker;

	a->ours = false;
	a->primary = true;
	if (a->sync) {
		a->ours = replicate_is_primary(w, a->record->key, w->places.self);
		a->primary = replicate_is_primary(w, a->record->key, a->end->node);
		return frame->epoch >= w->places.epoch &&
		    replicate_both_hold(w, a->record->key, a->end->node);
	}
	return frame->epoch >= w->places.epoch ||
	    (frame->epoch + 1 == w->places.epoch && authorised_before(a));
}

bool
apply_data(struct replicate_end *end, const struct frame *frame)
{
	struct slice rest = frame->body;
	struct record record;
	struct applying a = {.end = end, .record = &record, .sync = frame->flags & DATA_SYNC};
	uint64_t stamp = 0;
	bool sound = rest.len >= DATA_HEAD;

	if (!sound)
		return false;
	memcpy(&end->ack_time, rest.ptr, sizeof(end->ack_time));
	rest = slice_of(rest.ptr + DATA_HEAD, rest.len - DATA_HEAD);
	replicate_applying = true;
	while (rest.len > 0 && (sound = record_read(&rest, &record))) {
		a.key = store_key(end->worker->all->store, record.key.ptr, record.key.len);
		a.deleted = 0;
		stamp = record.stamp > stamp ? record.stamp : stamp;
		replicate_forget(end->worker, &a.key);
		if (authorised(&a, frame))
			apply_record(&a);
		else
			bump_relaxed(&end->counts.refused, 1);
	}
	replicate_applying = false;
	/* So that what this node says, should it become the primary, counts as later. */
	store_version_raise(end->worker->all->store, stamp);
	if (!a.sync) {
		end->ack_position = frame->id;
		end->ack_due = true;
	}
	return sound;
}

/* Keys, each behind its length. */
bool
apply_heat(struct replicate_end *end, const struct frame *frame)
{
	struct store *st = end->worker->all->store;
	struct slice rest = frame->body;

	while (rest.len > 0) {
		size_t len = (unsigned char)rest.ptr[0];
		struct store_key key;

		if (len == 0 || len > STORE_KEY_MAX || len >= rest.len)
			return false;
		key = store_key(st, rest.ptr + 1, len);
		if (store_heat(st, &key))
			bump_relaxed(&end->counts.heat_applied, 1);
		rest = slice_of(rest.ptr + 1 + len, rest.len - 1 - len);
	}
	return true;
}
