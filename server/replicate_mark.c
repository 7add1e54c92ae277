/* server/replicate_mark.c: after a change of the topology what this node does not hold any more is removed, and the marks of all other
 * items are made right again: STORE_COPY on those of which this node is not the primary, on no other.
 *
 * What is removed leaves no tombstone: it is not deleted, only of no use here. What it held in topologies that came so fast one after
 * the other that no walk came to its end is removed likewise where it did not hold it in between (cluster/past.h); until the walk
 * is over, that is done for each key before it is looked at. What has come from nodes that have a later topology than this one is let
 * be: they know.
 *
 * Worker 0 walks over the store when all workers have taken the topology: then whatever is written by a command is this node's
 * own by that topology and is unmarked, and what is applied is marked by it, so the marks stay right. An item that is marked
 * although it is ours costs no more than a look at the ring; the opposite cannot be.
 */
#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "server/replicate_impl.h"

#define MARK_SLICE_US  300u
#define STALE_SLICE_US 1000u               /* as long as something can be stale */
#define MARK_ROOM      ((size_t)128 << 10) /* keys of one step of the walk */

enum { MARK_OURS, MARK_COPY, MARK_REMOVE };

/* What is not as it should be, found by one step: the key's length, the key. */

struct marking {
	struct replicate_worker *worker;
	uint64_t epoch;
	uint64_t cursor;
	bool again; /* there was no room: another round */
	size_t size;
	char keys[MARK_ROOM];
};

uint64_t
replicate_marked_in(const struct replicate *r)
{
	return load_acquire(&r->marked);
}

uint64_t
replicate_marked(const struct replicate_worker *w)
{
	return replicate_marked_in(w->all);
}

bool
replicate_is_stale(struct replicate_worker *w, struct slice key, uint64_t order)
{
	return w->places.past != NULL &&
	    w->places.stale(w->places.past, replicate_point(w, key), order);
}

void
replicate_let_go(struct replicate_worker *w)
{
	if (w->places.past != NULL)
		w->moved = w->backlog.number;
	w->places.past = NULL;
}

/* How the item KEY of ORDER should be. */
static unsigned
judge(struct replicate_worker *w, struct slice key, uint64_t order)
{
	uint64_t later = (w->places.epoch + 1) << TOPOLOGY_EPOCH_SHIFT;
	uint16_t holders[HOLDERS_MAX];
	uint32_t point = replicate_point(w, key);
	unsigned n = replicate_holders(w, point, holders);

	if (w->places.past != NULL && w->places.stale(w->places.past, point, order))
		return MARK_REMOVE;
	if (n > 0 && holders[0] == w->places.self)
		return MARK_OURS;
	for (unsigned i = 1; i < n; i++)
		if (holders[i] == w->places.self)
			return MARK_COPY;
	return n == 0 || order >= later ? MARK_COPY : MARK_REMOVE;
}

/* Makes ENTRY be as it should; it is there. */
static void
make_right(struct replicate_worker *w, struct slice key, struct store_entry *entry)
{
	unsigned should = judge(w, key, store_view_order(&entry->view));

	if (should == MARK_REMOVE)
		store_entry_delete(entry);
	else
		store_entry_mark(entry, should == MARK_COPY ? STORE_COPY : 0,
		    should == MARK_COPY ? 0 : STORE_COPY, 0);
}

void
replicate_forget(struct replicate_worker *w, const struct store_key *key)
{
	struct slice name = slice_of(key->data, key->len);
	bool before = replicate_applying;
	struct store_entry entry;

	if (w->places.past == NULL)
		return;
	store_enter(w->all->store, key, &entry);
	replicate_applying = true;
	if (entry.found && replicate_is_stale(w, name, store_view_order(&entry.view)))
		store_entry_delete(&entry);
	store_leave(&entry);
	replicate_applying = before;
}

static void
visit(void *context, const struct store_key *key, const struct store_view *view, int id)
{
	struct marking *m = context;
	struct replicate_worker *w = m->worker;
	unsigned should = judge(w, slice_of(key->data, key->len), store_view_order(view));

	(void)id;
	if (should == (view->marks & STORE_COPY ? MARK_COPY : MARK_OURS))
		return;
	if (m->size + 1 + key->len > MARK_ROOM) {
		m->again = true;
		return;
	}
	m->keys[m->size] = (char)key->len;
	memcpy(m->keys + m->size + 1, key->data, key->len);
	m->size += 1u + key->len;
}

static void
mark_found(struct marking *m)
{
	struct store *st = m->worker->all->store;

	replicate_applying = true;
	for (size_t at = 0; at < m->size;) {
		size_t len = (unsigned char)m->keys[at];
		struct store_key key = store_key(st, m->keys + at + 1, len);
		struct store_entry entry;

		store_enter(st, &key, &entry);
		if (entry.found)
			make_right(m->worker, slice_of(key.data, len), &entry);
		store_leave(&entry);
		at += 1 + len;
	}
	replicate_applying = false;
	m->size = 0;
}

/* Whether all workers have the topology of W. */
static bool
all_have(struct replicate_worker *w)
{
	struct replicate *r = w->all;
	bool all = true;

	lock_take(&r->lock);
	for (unsigned i = 0; i < r->options.workers; i++)
		all &=
		    r->workers[i] != NULL && load_acquire(&r->workers[i]->epoch) == w->places.epoch;
	lock_drop(&r->lock);
	return all;
}

/* Copies may have been taken for stale that had just come: all is compared once more. */
static void
marking_over(struct replicate_worker *w)
{
	struct replicate_end *end;

	store_release(&w->all->marked, w->marking->epoch);
	LIST_FOREACH(end, &w->ends, entry)
		if (w->places.past != NULL && end->outgoing)
			replicate_want_sync(end->peer);
	marking_end(w);
}

static bool
marking_begin(struct replicate_worker *w)
{
	if (w->marking == NULL && (w->marking = calloc(1, sizeof(*w->marking))) == NULL)
		return false;
	w->marking->worker = w;
	w->marking->epoch = w->places.epoch;
	w->marking->cursor = 0;
	w->marking->again = false;
	return true;
}

/* Walks until the time is over. */
static void
marking_walk(struct replicate_worker *w)
{
	struct replicate *r = w->all;
	struct marking *m = w->marking;
	uint64_t until =
	    r->means->clock() + (w->places.past != NULL ? STALE_SLICE_US : MARK_SLICE_US);

	do {
		bool more = store_walk(r->store, &m->cursor, visit, m);

		mark_found(m);
		if (more)
			continue;
		m->cursor = 0;
		if (!m->again) {
			marking_over(w);
			return;
		}
		m->again = false;
	} while (r->means->clock() < until);
}

void
marking_end(struct replicate_worker *w)
{
	free(w->marking);
	w->marking = NULL;
}

bool
marking_slice(struct replicate_worker *w)
{
	if (w->id != 0 || w->hash == NULL || load_relaxed(&w->all->marked) == w->places.epoch)
		return false;
	if (!all_have(w))
		return true;
	if ((w->marking == NULL || w->marking->epoch != w->places.epoch) && !marking_begin(w))
		return true;
	marking_walk(w);
	return w->marking != NULL;
}
