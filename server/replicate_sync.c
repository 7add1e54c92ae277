/* server/replicate_sync.c: two nodes compare what they both hold, and each gets what the other has newer.
 *
 *	begins                                     other side
 *	counts: a digest of all shared items
 *	                --- DIGEST(seed) -->       counts likewise, compares
 *	                <-- DIFFER(partitions) --
 *	lists the items of these partitions        lists likewise
 *	                <-- LIST, END(lists) -->
 *	of each item listed that is newer than ours:
 *	                <-- WANT -->               answered by DATA
 *	of each that was deleted:
 *	                <-- GONE -->
 *	                <-- END(wants) -->         all that was wanted is sent
 *	                <-- END(sent) -->          over
 *
 * Mutations go on meanwhile and take their usual way; what they make differ is listed for nothing. Of one order the primary's
 * state counts (expiry and marks). An item that the other side lacks: was it deleted there? Its tombstone tells; where that may be
 * forgotten (the item is not newer than the highest forgotten one), the primary says that it was, a copy takes what it is given.
 *
 * Walks are done in slices of a part of a millisecond, from the worker's tick, and stop where the link has enough to send. The
 * walk's visitor must not call the store, so it only collects.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "server/replicate_impl.h"

#define SLICE_US  500u
#define LIST_BODY ((size_t)96 << 10)
#define LIST_SENT                                                                                  \
	((size_t)16                                                                                \
	    << 10) /* sent when it has become so long: the rest is for what one step of a walk visits */
#define LISTED_HEAD 18u /* bytes of an entry before its key */
#define LIST_UNSENT ((size_t)128 << 10)
#define QUEUE_BYTES                                                                                \
	((size_t)4                                                                                 \
	    << 20) /* keys that the other side wants; more of them wait for another comparison */
#define DIFFER_BODY sizeof(struct digest_set)
#define DIGEST_BODY (sizeof(uint64_t) * DIGEST_PARTS)

enum { END_LISTS, END_WANTS, END_SENT, END_KINDS };

enum sync_state { SYNC_COUNTS, SYNC_WAITS, SYNC_LISTS, SYNC_ENDS };

struct sync {
	enum sync_state state;
	bool begins;  /* this side began */
	bool started; /* the walk under way has begun */
	bool said[END_KINDS], heard[END_KINDS];
	bool again;     /* something had no room */
	uint64_t epoch; /* of the topology when it began */
	uint64_t cursor;
	struct digest mine, theirs;
	struct digest_set differing;
	char list[LIST_BODY];
	size_t listed;
	struct backlog queue; /* what the other side wants */
	struct stream stream;
	struct replicate_end *end;
};

void
sync_moved(struct replicate_end *end)
{
	end->sync->again = true;
}

static void
sync_end(struct replicate_end *end)
{
	struct sync *s = end->sync;

	stream_rewind(end, &s->stream);
	backlog_fini(&s->queue);
	free(s);
	end->sync = NULL;
}

void
sync_free(struct replicate_end *end)
{
	if (end->sync == NULL)
		return;
	if (end->sync->begins || end->sync->said[END_SENT])
		replicate_want_sync(end->peer);
	sync_end(end);
}

static struct sync *
sync_new(struct replicate_end *end, uint64_t seed, bool begins)
{
	struct sync *s = calloc(1, sizeof(*s));

	if (s == NULL || !backlog_init(&s->queue, QUEUE_BYTES)) {
		free(s);
		return NULL;
	}
	s->begins = begins;
	s->end = end;
	s->epoch = end->worker->places.epoch;
	digest_init(&s->mine, seed);
	end->sync = s;
	bump_relaxed(&end->counts.comparisons, 1);
	return s;
}

static const struct replicate_means *
means_of(const struct replicate_end *end)
{
	return end->worker->all->means;
}

static bool
send_frame(struct replicate_end *end, enum frame_type type, uint64_t id, const void *body, size_t n)
{
	char *to = means_of(end)->frame(end->link, n);

	if (to == NULL)
		return false;
	memcpy(to, body, n);
	means_of(end)->frame_end(end->link, type, 0, id, to + n);
	return true;
}

/* ---------------------------------------------------------------- what both hold */

/* What must be the same on both sides; in the calendar of the side that began. */
static bool
shared(struct sync *s, const struct store_key *key, const struct store_view *view,
    struct digest_item *item)
{
	struct replicate *r = s->end->worker->all;

	item->key = slice_of(key->data, key->len);
	if (!replicate_both_hold(s->end->worker, item->key, s->end->node))
		return false;
	item->order = store_view_order(view);
	if (replicate_is_stale(s->end->worker, item->key, item->order))
		return false;
	item->expiry = replicate_expiry_out(r, s->begins ? NULL : s->end, view->exptime);
	item->marks = view->marks & (STORE_STALE | STORE_WON | STORE_TAGGED);
	return true;
}

static void
count_visit(void *context, const struct store_key *key, const struct store_view *view, int id)
{
	struct sync *s = context;
	struct digest_item item;

	(void)id;
	if (shared(s, key, view, &item))
		digest_add(&s->mine, &item);
}

/* ---------------------------------------------------------------- lists */

/* An entry: order (8), expiry (8), marks (1), length of the key (1), key. */
static void
list_visit(void *context, const struct store_key *key, const struct store_view *view, int id)
{
	struct sync *s = context;
	struct digest_item item;
	uint64_t order, expiry;
	char *to = s->list + s->listed;

	(void)id;
	if (!digest_set_has(
		&s->differing, digest_part(s->mine.seed, slice_of(key->data, key->len))) ||
	    !shared(s, key, view, &item))
		return;
	if (s->listed + LISTED_HEAD + key->len > LIST_BODY) {
		s->again = true;
		return;
	}
	order = htole64(item.order);
	expiry = htole64((uint64_t)item.expiry);
	memcpy(to, &order, sizeof(order));
	memcpy(to + 8, &expiry, sizeof(expiry));
	to[16] = (char)item.marks;
	to[17] = (char)key->len;
	memcpy(to + LISTED_HEAD, key->data, key->len);
	s->listed += LISTED_HEAD + key->len;
}

static void
list_send(struct sync *s)
{
	if (s->listed > 0 && !send_frame(s->end, FRAME_LIST, s->mine.seed, s->list, s->listed))
		s->again = true;
	s->listed = 0;
}

struct listed {
	struct slice key;
	uint64_t order;
	int64_t expiry;
	uint8_t marks;
};

static bool
list_next(struct slice *rest, struct listed *item)
{
	uint64_t order, expiry;
	size_t len;

	if (rest->len < LISTED_HEAD)
		return false;
	memcpy(&order, rest->ptr, sizeof(order));
	memcpy(&expiry, rest->ptr + 8, sizeof(expiry));
	item->order = le64toh(order);
	item->expiry = (int64_t)le64toh(expiry);
	item->marks = (uint8_t)rest->ptr[16];
	len = (unsigned char)rest->ptr[17];
	if (len == 0 || len > STORE_KEY_MAX || len > rest->len - LISTED_HEAD || item->order == 0 ||
	    item->order > STORE_ORDER_MAX)
		return false;
	item->key = slice_of(rest->ptr + LISTED_HEAD, len);
	*rest = slice_of(rest->ptr + LISTED_HEAD + len, rest->len - LISTED_HEAD - len);
	return true;
}

enum verdict { VERDICT_NOTHING, VERDICT_WANT, VERDICT_GONE };

/* Of an item that is not here. *GONE is up to where it was deleted. */
static enum verdict
judge_missing(struct replicate_end *end, const struct store_key *key, const struct listed *item,
    uint64_t *gone)
{
	struct replicate_worker *w = end->worker;
	struct replicate *r = w->all;
	uint64_t forgotten = tombstones_forgotten(r->deleted);

	*gone = tombstone_find(r->deleted, key->hash);
	if (*gone < store_flushed(r->store))
		*gone = store_flushed(r->store);
	if (*gone < forgotten && item->order <= forgotten &&
	    replicate_is_primary(w, item->key, w->places.self))
		*gone = forgotten;
	return item->order <= *gone ? VERDICT_GONE : VERDICT_WANT;
}

static enum verdict
judge(struct sync *s, const struct listed *item, uint64_t *gone)
{
	struct replicate_end *end = s->end;
	struct replicate *r = end->worker->all;
	struct store_key key = store_key(r->store, item->key.ptr, item->key.len);
	struct store_entry entry;
	struct digest_item mine = {0};
	bool found;

	store_enter(r->store, &key, &entry);
	found = entry.found && shared(s, &key, &entry.view, &mine);
	store_leave(&entry);
	if (!found && !replicate_both_hold(end->worker, item->key, end->node))
		return VERDICT_NOTHING;
	if (!found)
		return judge_missing(end, &key, item, gone);
	if (mine.order != item->order)
		return mine.order < item->order ? VERDICT_WANT : VERDICT_NOTHING;
	if (mine.expiry == item->expiry && mine.marks == item->marks)
		return VERDICT_NOTHING;
	return replicate_is_primary(end->worker, item->key, end->node) ? VERDICT_WANT
								       : VERDICT_NOTHING;
}

static bool
hear_list(struct sync *s, struct slice rest)
{
	struct replicate_end *end = s->end;
	struct listed item;

	while (rest.len > 0) {
		uint64_t gone = 0;
		enum verdict verdict;

		if (!list_next(&rest, &item))
			return false;
		verdict = judge(s, &item, &gone);
		if ((verdict == VERDICT_WANT && !replicate_want(end, item.key, 0)) ||
		    (verdict == VERDICT_GONE && !replicate_gone(end, item.key, gone)))
			s->again = true;
	}
	return true;
}

/* ---------------------------------------------------------------- wants */

/* What one key's primary is asked for outside of a comparison is sent with all that it changes: a comparison under way may have
 * said already that it has sent all. */
static void
take_want(struct replicate_end *end, struct slice key, uint8_t flags)
{
	struct replicate_worker *w = end->worker;
	struct sync *s = end->sync;

	if (s == NULL || (flags & WANT_ALONE)) {
		if (replicate_is_primary(w, key, w->places.self))
			replicate_pass_on(w, BACKLOG_SET, key, 0);
		return;
	}
	if (s->queue.head - s->stream.sent < QUEUE_BYTES / 2)
		(void)backlog_append(&s->queue, BACKLOG_SET, key, 0, 0);
	else
		s->again = true;
}

/* Keys, each behind its length. */
static bool
hear_want(struct replicate_end *end, const struct frame *frame)
{
	struct slice rest = frame->body;

	while (rest.len > 0) {
		size_t len = (unsigned char)rest.ptr[0];

		if (len == 0 || len > STORE_KEY_MAX || len >= rest.len)
			return false;
		take_want(end, slice_of(rest.ptr + 1, len), frame->flags);
		rest = slice_of(rest.ptr + 1 + len, rest.len - 1 - len);
	}
	return true;
}

static bool
hear_gone(struct replicate_end *end, const struct frame *frame)
{
	struct replicate *r = end->worker->all;
	struct store_key key;
	bool gone;

	if (frame->body.len == 0 || frame->body.len > STORE_KEY_MAX || frame->id == 0 ||
	    frame->id > STORE_ORDER_MAX)
		return false;
	/* After a change of the topology another comparison will tell. */
	if (frame->epoch < end->worker->places.epoch)
		return true;
	key = store_key(r->store, frame->body.ptr, frame->body.len);
	replicate_applying = true;
	gone = apply_delete(r, &key, frame->id);
	replicate_applying = false;
	if (gone && replicate_is_primary(end->worker, frame->body, end->worker->places.self))
		replicate_pass_on(end->worker, BACKLOG_DELETE, frame->body, frame->id);
	return true;
}

/* ---------------------------------------------------------------- the steps */

void
sync_begin(struct replicate_end *end)
{
	uint64_t seed = add_relaxed(&end->worker->all->chance, 0x9e3779b97f4a7c15u);

	store_relaxed(&end->peer->syncs_begun, load_relaxed(&end->peer->syncs_wanted));
	if (sync_new(end, seed, true) == NULL)
		replicate_want_sync(end->peer);
}

/* The other side begins. (It does so on its own links: both sides can at the same time.) */
static bool
hear_digest(struct replicate_end *end, const struct frame *frame)
{
	struct sync *s;

	if (frame->body.len != DIGEST_BODY)
		return false;
	if (end->sync != NULL && end->sync->begins)
		return false;
	if (end->sync != NULL)
		sync_end(end);
	s = sync_new(end, frame->id, false);
	if (s == NULL)
		return false;
	digest_init(&s->theirs, frame->id);
	for (unsigned i = 0; i < DIGEST_PARTS; i++) {
		uint64_t part;

		memcpy(&part, frame->body.ptr + sizeof(part) * i, sizeof(part));
		s->theirs.parts[i] = le64toh(part);
	}
	return true;
}

/* Where nothing differs there is nothing to walk for. */
static void
list_begin(struct sync *s, unsigned differing)
{
	s->state = SYNC_LISTS;
	s->cursor = 0;
	s->started = differing == 0;
	bump_relaxed(&s->end->counts.parts_compared, DIGEST_PARTS);
	bump_relaxed(&s->end->counts.parts_differing, differing);
}

static bool
hear_differ(struct sync *s, struct slice body)
{
	unsigned differing = 0;

	if (s->state != SYNC_WAITS || body.len != DIFFER_BODY)
		return false;
	memcpy(&s->differing, body.ptr, DIFFER_BODY);
	for (unsigned i = 0; i < DIGEST_PARTS / 64; i++) {
		s->differing.bits[i] = le64toh(s->differing.bits[i]);
		differing += (unsigned)__builtin_popcountll(s->differing.bits[i]);
	}
	list_begin(s, differing);
	return true;
}

static bool
hear_end(struct sync *s, const struct frame *frame)
{
	if (frame->body.len != 1 || (unsigned char)frame->body.ptr[0] >= END_KINDS)
		return false;
	s->heard[(unsigned char)frame->body.ptr[0]] = true;
	return true;
}

bool
sync_receive(struct replicate_end *end, const struct frame *frame)
{
	struct sync *s = end->sync;

	if (frame->type == FRAME_DIGESTS)
		return hear_digest(end, frame);
	if (frame->type == FRAME_WANT)
		return hear_want(end, frame);
	if (frame->type == FRAME_GONE)
		return hear_gone(end, frame);
	/* What is left of a comparison that this side has given up. */
	if (s == NULL || frame->id != s->mine.seed)
		return true;
	if (frame->type == FRAME_DIFFER)
		return hear_differ(s, frame->body);
	if (frame->type == FRAME_LIST)
		return hear_list(s, frame->body);
	return hear_end(s, frame);
}

static bool
say_digest(struct sync *s)
{
	char *body = means_of(s->end)->frame(s->end->link, DIGEST_BODY);

	if (body == NULL)
		return false;
	for (unsigned i = 0; i < DIGEST_PARTS; i++) {
		uint64_t part = htole64(s->mine.parts[i]);

		memcpy(body + sizeof(part) * i, &part, sizeof(part));
	}
	means_of(s->end)->frame_end(
	    s->end->link, FRAME_DIGESTS, 0, s->mine.seed, body + DIGEST_BODY);
	return true;
}

static bool
say_differ(struct sync *s)
{
	struct digest_set set;
	unsigned differing = digest_differ(&s->mine, &s->theirs, &s->differing);

	for (unsigned i = 0; i < DIGEST_PARTS / 64; i++)
		set.bits[i] = htole64(s->differing.bits[i]);
	if (!send_frame(s->end, FRAME_DIFFER, s->mine.seed, &set, sizeof(set)))
		return false;
	list_begin(s, differing);
	return true;
}

static void
say_end(struct sync *s, char kind)
{
	if (!s->said[(unsigned char)kind])
		s->said[(unsigned char)kind] =
		    send_frame(s->end, FRAME_COMPARED, s->mine.seed, &kind, 1);
}

/* Walks until the time is over; true when all was seen. */
static bool
walk(struct sync *s, store_visitor *visit)
{
	struct replicate *r = s->end->worker->all;
	uint64_t until = r->means->clock() + SLICE_US;

	for (;;) {
		if (s->started && s->cursor == 0)
			return true;
		if (visit == list_visit && r->means->unsent(s->end->link) > LIST_UNSENT)
			return false;
		s->started = true;
		if (!store_walk(r->store, &s->cursor, visit, s))
			s->cursor = 0;
		if (s->listed > LIST_SENT)
			list_send(s);
		if (r->means->clock() >= until)
			return s->cursor == 0;
	}
}

static void
list_slice(struct sync *s)
{
	if (!walk(s, list_visit))
		return;
	list_send(s);
	say_end(s, END_LISTS);
	if (s->said[END_LISTS])
		s->state = SYNC_ENDS;
}

static bool
over(const struct sync *s)
{
	return s->state == SYNC_ENDS && s->said[END_SENT] && s->heard[END_SENT];
}

bool
sync_slice(struct replicate_end *end)
{
	struct sync *s = end->sync;
	uint64_t sent = end->counts.sent;

	/* Until it is known what is stale there is nothing to compare. */
	if (s->state == SYNC_COUNTS && end->worker->places.past != NULL)
		return true;
	if (s->state == SYNC_COUNTS && walk(s, count_visit)) {
		if (s->begins && say_digest(s))
			s->state = SYNC_WAITS;
		else if (!s->begins)
			(void)say_differ(s);
	} else if (s->state == SYNC_LISTS) {
		list_slice(s);
	}
	if (s->heard[END_LISTS])
		say_end(s, END_WANTS);
	if (s->stream.sent < s->queue.head)
		stream_send(end, &s->stream, &s->queue, true);
	if (s->heard[END_WANTS] && s->stream.sent == s->queue.head)
		say_end(s, END_SENT);
	bump_relaxed(&end->counts.compared_sent, end->counts.sent - sent);
	if (!over(s))
		return true;
	if (s->again)
		replicate_want_sync(end->peer);
	else if (load_relaxed(&end->peer->syncs_wanted) == load_relaxed(&end->peer->syncs_begun))
		store_relaxed(&end->peer->compared, s->epoch);
	sync_end(end);
	return false;
}

/* ---------------------------------------------------------------- what is missing */

/* Whether another node may have what was here, or would be if nothing had failed. */
static bool
is_behind(const struct replicate_worker *w)
{
	for (unsigned i = 0; i < w->places.count && w->places.copies > 0; i++) {
		const struct replicate_end *end = w->outgoing[i];

		if (i != w->places.self &&
		    (end == NULL || end->link == NULL ||
			load_relaxed(&end->peer->compared) != w->places.epoch))
			return true;
	}
	return false;
}

enum store_result
replicate_delete_missing(struct replicate_worker *w, const struct store_key *key)
{
	struct replicate *r = w->all;
	enum store_result result = STORE_NOT_FOUND;
	struct store_entry entry;

	if (likely(!is_behind(w)))
		return STORE_NOT_FOUND;
	store_enter(r->store, key, &entry);
	if (entry.found) {
		store_entry_delete(&entry);
		result = STORE_OK;
	} else {
		uint64_t order = store_version_take(r->store);

		tombstone_put(r->deleted, key->hash, order);
		replicate_note(r, BACKLOG_DELETE, key, order);
	}
	store_leave(&entry);
	return result;
}
