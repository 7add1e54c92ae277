/* server/replicate_stream.c: from the backlog to frames.
 *
 * A frame is opened with room for many records and filled until the next one does not fit. Small values are copied from the
 * store into the frame under the stripe's lock; a large one is pinned and goes out in pieces, each record of it in a frame of its
 * own. Where the link has enough to send the stream stops, between two frames, and goes on in a later turn.
 */
#include <string.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "server/replicate_impl.h"

/* The frame that is being filled. */
struct filling {
	struct replicate_end *end;
	struct stream *stream;
	bool sync;
	char *body; /* NULL = none is open */
	char *at, *limit;
};

/* ---------------------------------------------------------------- frames */

static const struct replicate_means *
means_of(const struct replicate_end *end)
{
	return end->worker->all->means;
}

/* The entries up to the stream's SENT are in frames when this one is. */
static void
frame_close(struct filling *f)
{
	if (f->body == NULL)
		return;
	f->stream->framed = f->stream->sent;
	means_of(f->end)->frame_end(
	    f->end->link, FRAME_REPLICATE, f->sync ? DATA_SYNC : 0, f->stream->framed, f->at);
	f->body = NULL;
}

/* Room for N bytes in a frame that is open; TIME is that of the change. False where the link takes no more. */
static bool
frame_room(struct filling *f, size_t n, uint64_t time)
{
	size_t size = DATA_HEAD + n > DATA_BODY ? DATA_HEAD + n : DATA_BODY;

	if (f->body != NULL && (size_t)(f->limit - f->at) >= n)
		return true;
	frame_close(f);
	if (means_of(f->end)->unsent(f->end->link) > UNSENT_MAX)
		return false;
	f->body = means_of(f->end)->frame(f->end->link, size);
	if (f->body == NULL)
		return false;
	f->at = f->body;
	f->limit = f->body + size;
	memcpy(f->at, &time, sizeof(time));
	f->at += DATA_HEAD;
	return true;
}

/* ---------------------------------------------------------------- large values */

static void
large_drop(struct replicate_end *end, struct large *l)
{
	if (l->pin != NULL)
		store_unpin(end->worker->all->store, l->pin);
	l->pin = NULL;
}

static void
large_begin(struct large *l, const struct record *record, struct store_pin *pin)
{
	l->pin = pin;
	l->cursor = 0;
	l->rest = slice_of(NULL, 0);
	l->record = *record;
	memcpy(l->key, record->key.ptr, record->key.len);
	l->record.key.ptr = l->key;
	l->record.offset = 0;
}

/* Copies the next N bytes of the value. */
static void
large_copy(struct store *st, struct large *l, char *to, size_t n)
{
	while (n > 0) {
		size_t part;

		if (l->rest.len == 0) {
			bool more =
			    store_pin_next(st, l->pin, &l->cursor, &l->rest.ptr, &l->rest.len);

			ASSERT(more);
		}
		part = n < l->rest.len ? n : l->rest.len;
		memcpy(to, l->rest.ptr, part);
		l->rest = slice_of(l->rest.ptr + part, l->rest.len - part);
		to += part;
		n -= part;
	}
}

/* False where the link takes no more. An entry counts as sent with its last piece only: so the frames before it repeat the
 * position before it. */
static bool
large_send(struct filling *f, uint64_t before, uint64_t after)
{
	struct large *l = &f->stream->large;

	while (l->pin != NULL) {
		size_t left = l->record.size - l->record.offset;
		size_t n = left < DATA_BODY_MAX ? left : DATA_BODY_MAX;

		f->stream->sent = before;
		if (!frame_room(f, RECORD_HEAD + l->record.key.len + n, 0))
			return false;
		l->record.value = slice_of(NULL, n);
		f->at = record_write(f->at, &l->record);
		large_copy(f->end->worker->all->store, l, f->at, n);
		f->at += n;
		l->record.offset += (uint32_t)n;
		if (l->record.offset == l->record.size) {
			large_drop(f->end, l);
			f->stream->sent = after;
			bump_relaxed(&f->end->counts.sent, 1);
		}
		frame_close(f);
	}
	return true;
}

/* ---------------------------------------------------------------- entries */

/* What a view under the lock says, but for the value. */
static void
record_of_view(struct replicate *r, const struct store_view *view, struct record *record)
{
	record->order = store_view_order(view);
	record->stamp = store_version(r->store);
	record->version = view->version != record->order ? view->version : 0;
	record->marks = view->marks & (STORE_STALE | STORE_WON | STORE_TAGGED);
	record->expiry = replicate_expiry_out(r, NULL, view->exptime);
	record->flags = view->flags;
	record->size = view->size;
}

/* Up to which order an item is gone that is not here any more: where this node did not hold it in a topology since E, or may not count
 * it, its last value may be the present one; those before are not. 0: nothing is known. */
static uint64_t
gone_up_to(const struct replicate_worker *w, const struct backlog_entry *e)
{
	bool whole = e->number > w->moved && w->places.past == NULL;

	return whole || e->order == 0 ? e->order : e->order - 1;
}

/* Writes what the store holds under KEY. False: the frame has no room for it, *NEED says how much. What is gone is sent as
 * gone; a large value is left pinned in the stream's LARGE. */
static bool
write_item(struct filling *f, const struct backlog_entry *e, size_t *need)
{
	struct replicate *r = f->end->worker->all;
	struct store_key key = store_key(r->store, e->key, e->nkey);
	struct record record = {.key = slice_of(e->key, e->nkey)};
	struct store_entry entry;
	size_t room = (size_t)(f->limit - f->at);
	bool fits = true, in_pieces;

	replicate_forget(f->end->worker, &key);
	store_enter(r->store, &key, &entry);
	*need = RECORD_HEAD + record.key.len;
	if (!entry.found) {
		record.kind = RECORD_DELETE;
		record.order = gone_up_to(f->end->worker, e);
		if (record.order != 0)
			f->at = record_write(f->at, &record);
		store_leave(&entry);
		return true;
	}
	record_of_view(r, &entry.view, &record);
	record.kind = e->what == BACKLOG_TOUCH ? RECORD_TOUCH : RECORD_SET;
	if (record.kind == RECORD_SET)
		*need += record.size;
	in_pieces = record.kind == RECORD_SET &&
	    (*need > DATA_BODY_MAX ||
		(*need <= room && entry.view.value == NULL && record.size > 0));
	if (in_pieces) {
		large_begin(&f->stream->large, &record, store_entry_pin(&entry));
	} else if (*need > room) {
		fits = false;
	} else {
		record.value =
		    slice_of(entry.view.value, record.kind == RECORD_SET ? record.size : 0);
		f->at = record_write(f->at, &record);
		if (record.value.len > 0)
			store_copy(f->at, record.value.ptr, record.value.len);
		f->at += record.value.len;
	}
	store_leave(&entry);
	return fits;
}

/* Sends one entry, whole. False where the link takes no more: the stream stands before it. */
static bool
entry_send(struct filling *f, const struct backlog_entry *e, uint64_t before, uint64_t after)
{
	size_t need = RECORD_HEAD + e->nkey;
	struct record record = {.key = slice_of(e->key, e->nkey), .order = e->order};

	f->stream->sent = before;
	if (!frame_room(f, need, e->time))
		return false;
	if (e->what == BACKLOG_DELETE || e->what >= BACKLOG_EVICT) {
		record.kind = e->what == BACKLOG_DELETE ? RECORD_DELETE : RECORD_EVICT;
		f->at = record_write(f->at, &record);
	} else {
		while (!write_item(f, e, &need))
			if (!frame_room(f, need, e->time))
				return false;
		if (f->stream->large.pin != NULL)
			return large_send(f, before, after);
	}
	f->stream->sent = after;
	bump_relaxed(&f->end->counts.sent, 1);
	return true;
}

/* Whether the peer is to be told of the entry: of what this node changed as the primary, and still is. */
static bool
is_for_peer(struct replicate_end *end, struct backlog_entry *e)
{
	struct replicate_worker *w = end->worker;
	uint16_t holders[HOLDERS_MAX];
	unsigned n;

	if (replicate_all_hold(w) && e->number > w->moved && e->what != BACKLOG_LOST)
		return true;
	n = replicate_holders(w, replicate_entry_point(w, e), holders);
	if (e->what == BACKLOG_LOST)
		return n > 0 && holders[0] == end->node;
	if (n == 0 || holders[0] != w->places.self)
		return false;
	for (unsigned i = 1; i < n; i++)
		if (holders[i] == end->node)
			return true;
	return false;
}

void
stream_send(struct replicate_end *end, struct stream *s, struct backlog *b, bool sync)
{
	struct filling f = {.end = end, .stream = s, .sync = sync};
	uint64_t position = s->sent;
	bool going = true;

	while (going) {
		uint64_t before = position;
		struct backlog_entry *e = backlog_next(b, &position);

		if (e == NULL)
			break;
		if (s->large.pin != NULL)
			going = large_send(&f, before, position);
		else if (sync || is_for_peer(end, e))
			going = entry_send(&f, e, before, position);
		else
			s->sent = position;
	}
	frame_close(&f);
	if (s->acked == s->framed || sync)
		s->acked = s->framed = s->sent;
}

void
stream_pause(struct replicate_end *end, struct stream *s)
{
	large_drop(end, &s->large);
}

void
stream_rewind(struct replicate_end *end, struct stream *s)
{
	stream_pause(end, s);
	s->sent = s->framed = s->acked;
}
