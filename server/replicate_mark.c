/* server/replicate_mark.c: after a change of the topology the marks of all items are made right again: STORE_COPY on those of which
 * this node is not the primary, on no other.
 *
 * Worker 0 walks over the store when all workers have taken the topology: then whatever is written by a command is this node's
 * own by that topology and is unmarked, and what is applied is marked by it, so the marks stay right. An item that is marked
 * although it is ours costs no more than a look at the ring; the opposite cannot be.
 */
#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "server/replicate_impl.h"

#define MARK_SLICE_US 300u
#define MARK_ROOM     ((size_t)128 << 10) /* keys of one step of the walk */

/* Whose marks are wrong, found by one step: a byte for STORE_COPY or not, the key's length, the key. */
struct marking {
	struct replicate_worker *worker;
	uint64_t epoch;
	uint64_t cursor;
	bool again; /* there was no room: another round */
	size_t size;
	char keys[MARK_ROOM];
};

uint64_t
replicate_marked(const struct replicate_worker *w)
{
	return load_acquire(&w->all->marked);
}

static void
visit(void *context, const struct store_key *key, const struct store_view *view, int id)
{
	struct marking *m = context;
	bool copy =
	    !replicate_is_primary(m->worker, slice_of(key->data, key->len), m->worker->places.self);

	(void)id;
	if (copy == !!(view->marks & STORE_COPY))
		return;
	if (m->size + 2 + key->len > MARK_ROOM) {
		m->again = true;
		return;
	}
	m->keys[m->size] = (char)copy;
	m->keys[m->size + 1] = (char)key->len;
	memcpy(m->keys + m->size + 2, key->data, key->len);
	m->size += 2u + key->len;
}

static void
mark_found(struct marking *m)
{
	struct store *st = m->worker->all->store;

	for (size_t at = 0; at < m->size;) {
		bool copy = m->keys[at];
		size_t len = (unsigned char)m->keys[at + 1];
		struct store_key key = store_key(st, m->keys + at + 2, len);
		struct store_entry entry;

		store_enter(st, &key, &entry);
		if (entry.found)
			store_entry_mark(&entry, copy ? STORE_COPY : 0, copy ? 0 : STORE_COPY, 0);
		store_leave(&entry);
		at += 2 + len;
	}
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
	uint64_t until = r->means->clock() + MARK_SLICE_US;

	do {
		bool more = store_walk(r->store, &m->cursor, visit, m);

		mark_found(m);
		if (more)
			continue;
		m->cursor = 0;
		if (!m->again) {
			store_release(&r->marked, m->epoch);
			marking_end(w);
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
