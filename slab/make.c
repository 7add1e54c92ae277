/* slab/make.c: items in the making: seen by their maker only until they are linked (write.c); and how their memory comes back when
 * nobody holds them any more. */
#include <limits.h>

#include "slab/impl.h"

#define FREED_MOST 512u /* pieces that who drops a value frees himself */

static bool
too_large(const struct store *st, const struct store_key *key, const struct store_head *head)
{
	return key->len + head->size + st->options.item_overhead + (head->flags != 0 ? 4 : 0) >
	    st->options.item_size_max;
}

/* An LFU counter starts where chance begins, else a new item would always be the one to go. */
static uint8_t
heat_new(const struct store *st)
{
	return st->lfu ? LFU_NEW : 0;
}

static void
item_init(const struct store *st, uint32_t ref, const struct store_key *key,
    const struct store_head *head, unsigned ext, uint32_t vlen)
{
	struct item *it = item_at(st, ref);
	struct aux aux = {.references = 1, .size = (uint32_t)head->size};
	char *p = it->data + key->len;

	version_store(it, ext != 0 ? VERSION_EXT : 0);
	store_relaxed(&it->next, ref);
	store_relaxed(&it->prev, ref);
	/* Now it is an item: who walks over the page sees that it is in no queue. */
	store_release(&it->nkey, (uint8_t)key->len);
	store_relaxed(&it->life, expiry_of(head));
	store_relaxed(&it->heat, heat_new(st));
	store_relaxed(&it->vlen, (uint16_t)vlen);
	store_relaxed(&it->atime, (uint16_t)load_relaxed(&st->now));
	chunk_write(it->data, key->data, key->len);
	if (ext != 0) {
		store_relaxed((unsigned char *)p, (unsigned char)ext);
		if (ext & EXT_FLAGS)
			chunk_write(p + 1, &head->flags, sizeof(head->flags));
	}
	if (vlen_pinnable(vlen))
		chunk_write(aux_at(it, key->len, item_ext_size(ext)), &aux, sizeof(aux));
}

enum store_result
store_alloc(struct store *st, struct store_pending *pending, const struct store_key *key,
    const struct store_head *head)
{
	unsigned ext = ext_kind_of(head);
	uint32_t ext_size = item_ext_size(ext);
	uint32_t vlen = VLEN_LARGE, need;

	ASSERT(key->len > 0 && key->len <= STORE_KEY_MAX);
	*pending = (struct store_pending){.size = (uint32_t)head->size};
	if (too_large(st, key, head))
		return STORE_TOO_LARGE;
	if (head->size < VLEN_LARGE &&
	    value_offset(key->len, ext_size, (uint32_t)head->size) + head->size <= st->chunk_max)
		vlen = (uint32_t)head->size;
	need = value_offset(key->len, ext_size, vlen) + (vlen == VLEN_LARGE ? 0 : vlen);
	pending->ref = chunk_alloc(st, class_for(st, need), pending);
	if (pending->ref == 0)
		return STORE_NO_MEMORY;
	item_init(st, pending->ref, key, head, ext, vlen);
	return STORE_OK;
}

enum store_result
store_offer(struct store *st, struct store_pending *pending, const struct store_key *key,
    const struct store_head *head, const char *value)
{
	pending->ref = 0;
	pending->held = 0;
	pending->offer = value;
	pending->head = *head;
	return too_large(st, key, head) ? STORE_TOO_LARGE : STORE_OK;
}

enum store_result
store_pending_write(struct store *st, struct store_pending *pending, const char *data, size_t n)
{
	struct item *it = item_at(st, pending->ref);

	ASSERT(pending->ref != 0 && n <= pending->size - pending->written);
	if (item_is_large(it))
		return pieces_write(st, pending, data, n);
	chunk_write(item_value(it) + pending->written, data, n);
	pending->written += (uint32_t)n;
	return STORE_OK;
}

/* ---------------------------------------------------------------- dropping */

_Thread_local uint32_t thread_dropped;

/* Drops a hold; true when it was the last. Release: what this holder read or wrote is done; acquire: the last one frees
 * after all. */
static bool
item_let_go(struct item *it)
{
	return !vlen_pinnable(it->vlen) ||
	    __atomic_fetch_sub(&item_aux(it)->references, 1, __ATOMIC_ACQ_REL) == 1;
}

/* Leaves a large item of which nobody knows any more to the upkeep, or to who needs its pieces before. */
static void
item_leave(struct store *st, uint32_t ref)
{
	uint32_t first = load_relaxed(&st->dropped);

	do
		store_relaxed(&item_at(st, ref)->next, first);
	while (!__atomic_compare_exchange_n(
	    &st->dropped, &first, ref, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* Frees an item of which nobody knows any more, and up to MOST of its pieces; what is left is left. Returns how many. */
static unsigned
item_free_some(struct store *st, uint32_t ref, unsigned most)
{
	struct item *it = item_at(st, ref);
	struct aux *aux = item_is_large(it) ? item_aux(it) : NULL;
	unsigned n = aux != NULL ? pieces_free(st, &aux->piece, most) : 0;

	if (aux != NULL && aux->piece != 0)
		item_leave(st, ref);
	else
		class_give(st, ref);
	return n;
}

static void
item_free(struct store *st, uint32_t ref)
{
	bool upkeep = load_relaxed(&st->wake) != NULL;

	if (item_free_some(st, ref, upkeep ? FREED_MOST : UINT_MAX) == FREED_MOST)
		(void)upkeep_wake(st);
}

bool
drops_work(struct store *st, unsigned most)
{
	uint32_t ref = 0, next;

	/* Acquire: who left them is done with them. All are taken, since one alone could be taken and left again meanwhile. */
	if (load_relaxed(&st->dropped) != 0)
		ref = __atomic_exchange_n(&st->dropped, 0u, __ATOMIC_ACQUIRE);
	if (ref == 0)
		return false;
	for (; ref != 0; ref = next) {
		next = load_relaxed(&item_at(st, ref)->next);
		if (most > 0)
			most -= item_free_some(st, ref, most);
		else
			item_leave(st, ref);
	}
	return true;
}

void
item_drop(struct store *st, uint32_t ref)
{
	if (item_let_go(item_at(st, ref)))
		item_free(st, ref);
}

void
item_drop_later(struct store *st, uint32_t ref)
{
	struct item *it = item_at(st, ref);

	if (!item_let_go(it))
		return;
	if (!item_is_large(it)) {
		class_give(st, ref);
		return;
	}
	store_relaxed(&it->next, thread_dropped);
	thread_dropped = ref;
}

void
drops_free(struct store *st)
{
	while (thread_dropped != 0) {
		uint32_t ref = thread_dropped;

		thread_dropped = load_relaxed(&item_at(st, ref)->next);
		item_free(st, ref);
	}
}

void
store_abort(struct store *st, struct store_pending *pending)
{
	pieces_unhold(st, pending);
	if (pending->ref != 0)
		item_drop(st, pending->ref);
	pending->ref = 0;
}
