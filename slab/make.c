/* slab/make.c: items in the making: seen by their maker only until they are linked (write.c); and how their memory comes back when
 * nobody holds them any more. */
#include "slab/impl.h"

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
	pending->ref = chunk_alloc(st, class_for(st, need));
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

static void
item_free(struct store *st, uint32_t ref)
{
	struct item *it = item_at(st, ref);

	if (item_is_large(it))
		pieces_free(st, item_aux(it)->piece);
	class_give(st, ref);
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
