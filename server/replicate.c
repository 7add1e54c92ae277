/* server/replicate.c: the process, its workers, their links, and the end of a turn.
 *
 * A position of a worker's backlog is what a peer acknowledges. A link that comes up to the incarnation that had it before goes on
 * behind that; to another one it begins with the oldest entry that is there, and the two compare. So no mutation is missed: it is
 * in the backlog, or was in the store before the comparison began.
 */
#include "server/replicate.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "server/replicate_impl.h"

#define TOMBSTONES    65536u
#define FOREIGN_BYTES ((size_t)1 << 20)
#define HEAT_BODY     ((size_t)16 << 10)
#define HEAT_UNSENT   ((size_t)128 << 10) /* hints do not wait in line behind so much */
#define SKEW_GRAIN    4                   /* seconds: smaller differences of calendars are none */

static _Thread_local struct replicate_worker *here;

/* ---------------------------------------------------------------- what happens in the store */

/* The writer of now writes: whoever had its place leaves it. */
static void
note_writer(struct replicate_worker *w)
{
	struct written *written = &w->written[w->writer % WRITERS];
	uint64_t others = written->others;

	if (written->writer == w->writer && written->since != UINT64_MAX)
		return;
	if (written->since < others)
		others = written->since;
	*written =
	    (struct written){.writer = w->writer, .since = w->backlog.head, .others = others};
}

/* Where the point of the key is known it goes into the entry. */
static void
note_point(const struct replicate_worker *w, struct backlog_entry *e, const struct store_key *key)
{
	const struct known_point *known = &w->points[key->hash % POINTS];

	e->pointed = known->hash == (key->hash | KNOWN);
	e->point = known->point;
}

void
replicate_note(
    struct replicate *r, enum backlog_what what, const struct store_key *key, uint64_t order)
{
	struct slice name = slice_of(key->data, key->len);

	if (here != NULL && here->all == r) {
		note_writer(here);
		note_point(
		    here, backlog_append(&here->backlog, what, name, order, here->writer), key);
		return;
	}
	lock_take(&r->lock);
	(void)backlog_append(&r->foreign, what, name, order, 0);
	store_relaxed(&r->foreign_some, true);
	lock_drop(&r->lock);
}

/* Under the stripe's lock. Who evicts a copy tells its owner, which then does the same: of what one of them has no room for, the
 * other one's is of no use after a failover, and both share their memory by one order. That a touch takes a version makes the states before and after it differ in their stamps. */
static void
observe(void *context, const struct store_mutation *m)
{
	struct replicate *r = context;

	bool copy = m->view->marks & STORE_COPY;

	if (m->event == STORE_EVENT_EVICT) {
		if (!replicate_evicting || !copy)
			replicate_note(r, copy ? BACKLOG_LOST : BACKLOG_EVICT, m->key,
			    store_view_order(m->view));
		return;
	}
	if (replicate_applying)
		return;
	switch (m->event) {
	case STORE_EVENT_DELETE:
		tombstone_put(r->deleted, m->key->hash, m->version);
		replicate_note(r, BACKLOG_DELETE, m->key, m->version);
		break;
	case STORE_EVENT_TOUCH:
		(void)store_version_take(r->store);
		replicate_note(r, BACKLOG_TOUCH, m->key, store_view_order(m->view));
		break;
	case STORE_EVENT_MARK:
		(void)store_version_take(r->store);
		replicate_note(r, BACKLOG_SET, m->key, store_view_order(m->view));
		break;
	case STORE_EVENT_SET:
		replicate_note(r, BACKLOG_SET, m->key, store_view_order(m->view));
		break;
	default: /* each node sees by itself what has expired */
		break;
	}
}

/* ---------------------------------------------------------------- the process */

struct replicate *
replicate_new(const struct replicate_options *options)
{
	struct replicate *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->options = *options;
	r->store = options->store;
	r->means = options->means;
	r->chance = options->seed;
	lock_init(&r->lock, LOCK_MUTATIONS);
	r->deleted = tombstones_new(TOMBSTONES);
	r->stamps = tombstones_new(TOMBSTONES);
	r->workers = calloc(options->workers, sizeof(struct replicate_worker *));
	if (r->deleted == NULL || r->stamps == NULL || r->workers == NULL ||
	    !backlog_init(&r->foreign, FOREIGN_BYTES)) {
		replicate_free(&r);
		return NULL;
	}
	store_observe(r->store, observe, r);
	store_replicated(r->store, true);
	return r;
}

void
replicate_free(struct replicate **rp)
{
	struct replicate *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	for (struct replicate_peer *peer; (peer = LIST_FIRST(&r->peers)) != NULL;) {
		LIST_REMOVE(peer, entry);
		free(peer);
	}
	backlog_fini(&r->foreign);
	tombstones_free(&r->deleted);
	tombstones_free(&r->stamps);
	lock_fini(&r->lock);
	free(r->workers);
	free(r);
}

struct replicate_peer *
replicate_peer(struct replicate *r, uint64_t id)
{
	struct replicate_peer *peer;

	lock_take(&r->lock);
	LIST_FOREACH(peer, &r->peers, entry)
		if (peer->id == id)
			break;
	if (peer == NULL && (peer = calloc(1, sizeof(*peer))) != NULL) {
		peer->id = id;
		LIST_INSERT_HEAD(&r->peers, peer, entry);
	}
	lock_drop(&r->lock);
	return peer;
}

void
replicate_want_sync(struct replicate_peer *peer)
{
	store_relaxed(&peer->compared, 0);
	(void)add_relaxed(&peer->syncs_wanted, 1);
}

/* ---------------------------------------------------------------- calendars */

int64_t
replicate_expiry_out(const struct replicate *r, const struct replicate_end *end, uint32_t expiry)
{
	if (expiry == 0)
		return 0;
	return r->options.calendar + (int64_t)expiry -
	    (end == NULL ? 0 : load_relaxed(&end->peer->skew));
}

uint32_t
replicate_expiry_in(const struct replicate *r, const struct replicate_end *end, int64_t expiry)
{
	int64_t mine;

	if (expiry == 0)
		return 0;
	if (expiry > INT64_MAX / 2)
		return STORE_EXPTIME_MAX;
	mine = expiry + load_relaxed(&end->peer->skew) - r->options.calendar;
	if (mine < 1)
		return 1;
	return mine > STORE_EXPTIME_MAX ? STORE_EXPTIME_MAX : (uint32_t)mine;
}

static int64_t
calendar_now(const struct replicate *r)
{
	return r->options.calendar + (int64_t)store_clock(r->store);
}

static bool
hear_calendar(struct replicate_end *end, struct slice body)
{
	int64_t theirs, skew;

	if (body.len != sizeof(theirs))
		return false;
	memcpy(&theirs, body.ptr, sizeof(theirs));
	if (theirs < 0 || theirs > INT64_MAX / 2)
		return false;
	skew = calendar_now(end->worker->all) - theirs;
	if (skew > -SKEW_GRAIN && skew < SKEW_GRAIN)
		skew = 0;
	/* The first look counts: other links of the pair may see a second more or less. */
	if (load_relaxed(&end->peer->skew) - skew >= SKEW_GRAIN ||
	    skew - load_relaxed(&end->peer->skew) >= SKEW_GRAIN)
		store_relaxed(&end->peer->skew, skew);
	return true;
}

static void
say_calendar(struct replicate_end *end)
{
	int64_t now = calendar_now(end->worker->all);
	char *body = end->worker->all->means->frame(end->link, sizeof(now));

	if (body == NULL)
		return;
	memcpy(body, &now, sizeof(now));
	end->worker->all->means->frame_end(end->link, FRAME_CALENDAR, 0, 0, body + sizeof(now));
}

/* ---------------------------------------------------------------- workers */

struct replicate_worker *
replicate_worker_new(struct replicate *r, unsigned id)
{
	struct replicate_worker *w = calloc(1, sizeof(*w));

	ASSERT(id < r->options.workers);
	if (w == NULL)
		return NULL;
	w->all = r;
	w->id = id;
	for (unsigned i = 0; i < WRITERS; i++)
		w->written[i].since = w->written[i].others = UINT64_MAX;
	w->points = calloc(POINTS, sizeof(w->points[0]));
	if (w->points == NULL ||
	    !backlog_init(&w->backlog, r->options.backlog / r->options.workers)) {
		free(w->points);
		free(w);
		return NULL;
	}
	lock_take(&r->lock);
	r->workers[id] = w;
	lock_drop(&r->lock);
	return w;
}

void
replicate_worker_enter(struct replicate_worker *w)
{
	here = w;
}

/* Lets go of what is under way. */
static void
end_quiet(struct replicate_end *end)
{
	sync_free(end);
	assemblies_drop(end);
	stream_rewind(end, &end->stream);
}

/* The process's lock is held: the lists are others' to read. */
static void
end_free(struct replicate_end *end)
{
	LIST_REMOVE(end, entry);
	counts_add(&end->peer->past, &end->counts);
	free(end->heat);
	free(end);
}

void
replicate_worker_free(struct replicate_worker **wp)
{
	struct replicate_worker *w = *wp;
	struct replicate_end *end;

	*wp = NULL;
	if (w == NULL)
		return;
	if (here == w)
		here = NULL;
	LIST_FOREACH(end, &w->ends, entry)
		end_quiet(end);
	lock_take(&w->all->lock);
	w->all->workers[w->id] = NULL;
	while ((end = LIST_FIRST(&w->ends)) != NULL)
		end_free(end);
	lock_drop(&w->all->lock);
	marking_end(w);
	ring_hash_free(&w->hash);
	backlog_fini(&w->backlog);
	free(w->points);
	free(w);
}

/* ---------------------------------------------------------------- places */

static unsigned
node_of(const struct replicate_worker *w, uint64_t id)
{
	for (unsigned i = 0; i < w->places.count; i++)
		if (w->places.ids[i] == id)
			return i;
	return NODE_NONE;
}

void
replicate_topology(struct replicate_worker *w, const struct replicate_places *places)
{
	struct replicate_end *end;

	if (w->hash == NULL || places->kind != w->places.kind) {
		ring_hash_free(&w->hash);
		memset(w->points, 0, POINTS * sizeof(w->points[0]));
		if (ring_hash_new(&w->hash, places->kind) != RING_OK)
			panic("no memory for a digest");
	}
	w->places = *places;
	memcpy(w->ids, places->ids, places->count * sizeof(*places->ids));
	w->places.ids = w->ids;
	w->topologies++;
	w->moved = w->backlog.number;
	store_release(&w->epoch, places->epoch);
	memset(w->outgoing, 0, sizeof(w->outgoing));
	LIST_FOREACH(end, &w->ends, entry) {
		end->node = node_of(w, end->peer->id);
		stream_pause(end, &end->stream);
		if (end->outgoing && end->node != NODE_NONE)
			w->outgoing[end->node] = end;
		if (end->outgoing && w->id == 0 && end->node > places->self)
			replicate_want_sync(end->peer);
		if (end->sync != NULL)
			sync_moved(end);
	}
	for (uint64_t p = w->backlog.tail; w->topologies > 1;) {
		struct backlog_entry *e = backlog_next(&w->backlog, &p);

		if (e == NULL)
			break;
		e->pointed = false;
	}
}

/* ---------------------------------------------------------------- links */

static struct replicate_end *
end_new(struct replicate_worker *w, uint64_t node_id)
{
	struct replicate_end *end = calloc(1, sizeof(*end));

	if (end == NULL)
		return NULL;
	end->worker = w;
	end->peer = replicate_peer(w->all, node_id);
	end->node = node_of(w, node_id);
	if (end->peer == NULL) {
		free(end);
		return NULL;
	}
	lock_take(&w->all->lock);
	LIST_INSERT_HEAD(&w->ends, end, entry);
	lock_drop(&w->all->lock);
	return end;
}

/* The stream of an outgoing link that has come up goes on, or begins. */
static void
stream_up(struct replicate_end *end, uint64_t incarnation)
{
	struct replicate_worker *w = end->worker;
	struct replicate_peer *peer = end->peer;
	uint64_t before = load_relaxed(&peer->incarnation);

	if (end->incarnation == incarnation && end->stream.acked >= w->backlog.tail) {
		bump_relaxed(&end->counts.resumes, 1);
	} else {
		end->stream.acked = w->backlog.tail;
		if (end->incarnation == incarnation) {
			bump_relaxed(&end->counts.overruns, 1);
			replicate_want_sync(peer);
		}
	}
	stream_rewind(end, &end->stream);
	end->incarnation = incarnation;
	/* One worker notes the new incarnation, and one of the two nodes begins to compare. */
	while (before != incarnation &&
	    !__atomic_compare_exchange_n(
		&peer->incarnation, &before, incarnation, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	if (before != incarnation)
		store_relaxed(&peer->compared, 0);
	if (before != incarnation && end->node > w->places.self)
		replicate_want_sync(peer);
}

struct replicate_end *
replicate_link_up(struct replicate_worker *w, void *link, unsigned node, uint64_t node_id,
    uint64_t incarnation, bool outgoing)
{
	struct replicate_end *end = NULL;

	if (outgoing)
		LIST_FOREACH(end, &w->ends, entry)
			if (end->outgoing && end->peer->id == node_id)
				break;
	if (end == NULL)
		end = end_new(w, node_id);
	if (end == NULL)
		return NULL;
	ASSERT(end->link == NULL);
	end->node = node < w->places.count ? node : NODE_NONE;
	end->link = link;
	end->outgoing = outgoing;
	store_relaxed(&end->counts.links, outgoing);
	if (outgoing) {
		if (end->node != NODE_NONE)
			w->outgoing[end->node] = end;
		stream_up(end, incarnation);
	}
	say_calendar(end);
	return end;
}

void
replicate_link_down(struct replicate_end *end)
{
	struct replicate *r = end->worker->all;

	sync_free(end);
	assemblies_drop(end);
	end->link = NULL;
	end->ack_due = false;
	end->heat_end = end->heat;
	store_relaxed(&end->counts.links, 0);
	if (end->outgoing) {
		stream_rewind(end, &end->stream);
		return;
	}
	lock_take(&r->lock);
	end_free(end);
	lock_drop(&r->lock);
}

/* ---------------------------------------------------------------- acknowledgements */

static void
count_delay(struct replicate_end *end, uint64_t since)
{
	uint64_t now = end->worker->all->means->clock();
	uint64_t us = since != 0 && now > since ? now - since : 1;
	unsigned bits = 64 - (unsigned)__builtin_clzll(us);

	if (since != 0)
		bump_relaxed(&end->counts.delays[bits < DELAYS ? bits : DELAYS - 1], 1);
}

/* Whether an entry of B ends at POSITION, which is not before FROM, where one does. */
static bool
is_boundary(const struct backlog *b, uint64_t from, uint64_t position)
{
	uint64_t at = from < b->tail ? b->tail : from;

	while (at < position && backlog_next(b, &at) != NULL)
		;
	return at == position || position < b->tail;
}

static bool
hear_ack(struct replicate_end *end, const struct frame *frame)
{
	struct stream *s = &end->stream;
	uint64_t since;

	if (!end->outgoing || frame->body.len != sizeof(since) || frame->id > s->framed)
		return false;
	if (frame->id <= s->acked)
		return true;
	if (!is_boundary(&end->worker->backlog, s->acked, frame->id))
		return false;
	memcpy(&since, frame->body.ptr, sizeof(since));
	s->acked = frame->id == s->framed ? s->sent : frame->id;
	end->worker->acked = true;
	count_delay(end, since);
	return true;
}

static void
say_ack(struct replicate_end *end)
{
	char *body;

	if (!end->ack_due || end->link == NULL)
		return;
	body = end->worker->all->means->frame(end->link, sizeof(end->ack_time));
	if (body == NULL)
		return;
	memcpy(body, &end->ack_time, sizeof(end->ack_time));
	end->worker->all->means->frame_end(
	    end->link, FRAME_ACK, 0, end->ack_position, body + sizeof(end->ack_time));
	end->ack_due = false;
}

/* What was said under another topology than the one that counts here was for other holders than there are now, and was judged
 * by it, on one of the two sides: the comparison that came with the new one may have been before it. Only a comparison minds a
 * topology that is yet to come. */
static void
note_epoch(struct replicate_end *end, const struct frame *frame)
{
	uint64_t ours = end->worker->places.epoch;
	bool sync =
	    frame->type == FRAME_REPLICATE ? frame->flags & DATA_SYNC : frame->type > FRAME_HEAT;

	if (frame->type == FRAME_REPLICATE || sync)
		if (frame->epoch < ours || (sync && frame->epoch > ours))
			replicate_want_sync(end->peer);
}

bool
replicate_receive(struct replicate_end *end, const struct frame *frame)
{
	note_epoch(end, frame);
	switch (frame->type) {
	case FRAME_REPLICATE:
		return apply_data(end, frame);
	case FRAME_ACK:
		return hear_ack(end, frame);
	case FRAME_CALENDAR:
		return hear_calendar(end, frame->body);
	case FRAME_HEAT:
		return apply_heat(end, frame);
	default:
		return sync_receive(end, frame);
	}
}

/* ---------------------------------------------------------------- heat */

/* Behind what END's peer is to be told already. */
static void
heat_add(struct replicate_end *end, const struct store_key *key)
{
	if (end == NULL || end->link == NULL)
		return;
	if (end->heat == NULL)
		end->heat = end->heat_end = malloc(HEAT_BODY);
	if (end->heat == NULL || (size_t)(end->heat_end - end->heat) + 1 + key->len > HEAT_BODY)
		return;
	*end->heat_end++ = (char)key->len;
	memcpy(end->heat_end, key->data, key->len);
	end->heat_end += key->len;
	bump_relaxed(&end->counts.heat_sent, 1);
}

static void
heat_visit(void *context, const struct store_key *key)
{
	struct replicate_worker *w = context;
	uint16_t holders[HOLDERS_MAX];
	struct replicate_end *end;
	unsigned n;

	if (replicate_all_hold(w)) {
		LIST_FOREACH(end, &w->ends, entry)
			if (end->outgoing)
				heat_add(end, key);
		return;
	}
	n = replicate_holders(w, replicate_point_of(w, key), holders);
	for (unsigned i = 1; i < n && holders[0] == w->places.self; i++)
		heat_add(w->outgoing[holders[i]], key);
}

static void
heat_send(struct replicate_end *end)
{
	const struct replicate_means *means = end->worker->all->means;
	size_t n = (size_t)(end->heat_end - end->heat);
	char *body;

	if (end->link == NULL || n == 0)
		return;
	end->heat_end = end->heat;
	if (means->unsent(end->link) > HEAT_UNSENT || (body = means->frame(end->link, n)) == NULL)
		return;
	memcpy(body, end->heat, n);
	means->frame_end(end->link, FRAME_HEAT, 0, 0, body + n);
}

/* ---------------------------------------------------------------- turns */

/* Worker 0 takes over what threads have changed that are no workers. */
static void
take_foreign(struct replicate_worker *w)
{
	struct replicate *r = w->all;
	struct backlog_entry *e;

	if (w->id != 0 || !load_relaxed(&r->foreign_some))
		return;
	lock_take(&r->lock);
	if (r->foreign_taken < r->foreign.tail) {
		struct replicate_end *end;

		r->foreign_taken = r->foreign.tail;
		LIST_FOREACH(end, &w->ends, entry)
			if (end->outgoing)
				replicate_want_sync(end->peer);
	}
	while ((e = backlog_next(&r->foreign, &r->foreign_taken)) != NULL)
		(void)backlog_append(&w->backlog, (enum backlog_what)e->what,
		    slice_of(e->key, e->nkey), e->order, 0);
	store_relaxed(&r->foreign_some, false);
	lock_drop(&r->lock);
}

static void
stamp_entries(struct replicate_worker *w)
{
	uint64_t now;
	struct backlog_entry *e;

	if (w->stamped == w->backlog.head)
		return;
	now = w->all->means->clock();
	if (w->stamped < w->backlog.tail)
		w->stamped = w->backlog.tail;
	while ((e = backlog_next(&w->backlog, &w->stamped)) != NULL)
		e->time = now;
}

/* The backlog has gone on without the peer. */
static void
overrun(struct replicate_end *end)
{
	end->stream.acked = end->worker->backlog.tail;
	stream_rewind(end, &end->stream);
	bump_relaxed(&end->counts.overruns, 1);
	replicate_want_sync(end->peer);
}

static void
note_lag(struct replicate_end *end)
{
	struct stream *s = &end->stream;
	const struct backlog *b = &end->worker->backlog;
	uint64_t position = s->acked < b->tail ? b->tail : s->acked, time = 0;
	struct backlog_entry *e = backlog_next(b, &position);

	if (e != NULL)
		time = e->time;
	store_relaxed(&end->counts.lag_operations, e != NULL ? b->number - e->number + 1 : 0);
	store_relaxed(&end->counts.lag_bytes, b->head - s->acked);
	store_relaxed(&end->counts.lag_since, time);
}

static void
outgoing_turn(struct replicate_end *end)
{
	struct replicate_worker *w = end->worker;
	struct stream *s = &end->stream;

	if (end->link != NULL && end->node != NODE_NONE) {
		if (s->sent < w->backlog.tail)
			overrun(end);
		if (s->sent < w->backlog.head)
			stream_send(end, s, &w->backlog, false);
		heat_send(end);
	}
	note_lag(end);
}

bool
replicate_turn_end(struct replicate_worker *w)
{
	struct replicate_end *end;
	bool more = false;

	if (w->hash == NULL)
		return false;
	take_foreign(w);
	stamp_entries(w);
	(void)store_heat_take(w->all->store, heat_visit, w);
	LIST_FOREACH(end, &w->ends, entry) {
		if (end->outgoing) {
			outgoing_turn(end);
			more |= end->link != NULL && end->stream.sent < w->backlog.head;
		}
		say_ack(end);
		more |= end->sync != NULL;
	}
	if (w->acked && w->on_acked != NULL)
		w->on_acked(w->on_acked_context);
	w->acked = false;
	return more;
}

bool
replicate_tick(struct replicate_worker *w)
{
	struct replicate_end *end;
	bool more = marking_slice(w);

	LIST_FOREACH(end, &w->ends, entry) {
		if (end->link == NULL)
			continue;
		if (end->outgoing && w->id == 0 && end->sync == NULL && end->node != NODE_NONE &&
		    load_relaxed(&end->peer->syncs_wanted) != end->peer->syncs_begun)
			sync_begin(end);
		more |= end->sync != NULL && sync_slice(end);
	}
	return more;
}

/* ---------------------------------------------------------------- for the other files */

void
replicate_on_acked(struct replicate_worker *w, void (*call)(void *context), void *context)
{
	w->on_acked = call;
	w->on_acked_context = context;
}

bool
replicate_want(struct replicate_end *end, struct slice key, uint8_t flags)
{
	const struct replicate_means *means = end->worker->all->means;
	char *body = end->link != NULL ? means->frame(end->link, 1 + key.len) : NULL;

	if (body == NULL)
		return false;
	*body = (char)key.len;
	memcpy(body + 1, key.ptr, key.len);
	means->frame_end(end->link, FRAME_WANT, flags, 0, body + 1 + key.len);
	return true;
}

void
replicate_pass_on(
    struct replicate_worker *w, enum backlog_what what, struct slice key, uint64_t order)
{
	(void)backlog_append(&w->backlog, what, key, order, 0);
}

bool
replicate_gone(struct replicate_end *end, struct slice key, uint64_t order)
{
	const struct replicate_means *means = end->worker->all->means;
	char *body = end->link != NULL ? means->frame(end->link, key.len) : NULL;

	if (body == NULL)
		return false;
	memcpy(body, key.ptr, key.len);
	means->frame_end(end->link, FRAME_GONE, 0, order, body + key.len);
	return true;
}
