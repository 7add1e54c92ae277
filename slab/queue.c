/* slab/queue.c: the queues of a class: doubly linked lists of references through the items.
 *
 * An item stands in its class's small or main queue, as LIFE_MAIN says, from being linked until it is unlinked
 * or detached. A detached item points to itself; whoever detached it frees it.
 *
 * Who was detached for a move and comes back stands as the newest of its queue. Not so a large value: its head moves whenever
 * the page of small items goes in which it lies, which says nothing about the value, and for a megabyte that counts.
 */
#include "slab/impl.h"

#define PLACE_LOOKS 64 /* items looked at to find the place of one that was moved */

static struct queue *
queue_of(struct slab_class *c, const struct item *it)
{
	return (load_relaxed(&it->life) & LIFE_MAIN) ? &c->main : &c->small;
}

void
queue_push(struct store *st, struct slab_class *c, uint32_t ref, bool main)
{
	struct item *it = item_at(st, ref);
	struct queue *q = main ? &c->main : &c->small;

	if (main != !!(load_relaxed(&it->life) & LIFE_MAIN))
		item_life_change(it, LIFE_MAIN, main ? LIFE_MAIN : 0);
	store_relaxed(&it->prev, 0u);
	store_relaxed(&it->next, q->head);
	if (q->head != 0)
		store_relaxed(&item_at(st, q->head)->prev, ref);
	else
		q->tail = ref;
	q->head = ref;
	q->count++;
}

void
queue_remove(struct store *st, struct slab_class *c, uint32_t ref)
{
	struct item *it = item_at(st, ref);
	struct queue *q = queue_of(c, it);
	uint32_t next = load_relaxed(&it->next), prev = load_relaxed(&it->prev);

	ASSERT(q->count > 0 && next != ref && prev != ref);
	if (prev != 0)
		store_relaxed(&item_at(st, prev)->next, next);
	else
		q->head = next;
	if (next != 0)
		store_relaxed(&item_at(st, next)->prev, prev);
	else
		q->tail = prev;
	q->count--;
}

void
queue_detach(struct store *st, struct slab_class *c, uint32_t ref)
{
	struct item *it = item_at(st, ref);

	queue_remove(st, c, ref);
	c->bytes -= item_asks(it);
	store_relaxed(&it->next, ref);
	store_relaxed(&it->prev, ref);
}

bool
queue_holds(const struct store *st, uint32_t ref)
{
	struct item *it = item_at(st, ref);

	/* Acquire: who sees the key length sees the version and the links that were there before it; and as the chunk may be made
	 * anew meanwhile, who sees its new version (which stands behind a release fence, of stripe_change) sees the new links. */
	return load_acquire(&it->nkey) != 0 && version_load_first(it) << 1 != 0 &&
	    !item_detached(ref, it);
}

/* Behind which item of Q an older one belongs: the first from the tail that was born later. 0 = before all of them, or that was
 * not to be seen at once. */
static uint32_t
queue_place(const struct store *st, const struct queue *q, const struct item *it)
{
	uint64_t birth = item_birth(it);
	uint32_t ref = q->tail;

	for (int looks = 0; ref != 0 && looks < PLACE_LOOKS; looks++) {
		const struct item *other = item_at(st, ref);

		if (item_birth(other) > birth)
			return ref;
		ref = load_relaxed(&other->prev);
	}
	return 0;
}

/* Links REF behind AFTER, so that it goes before that. */
static void
queue_insert(struct store *st, struct queue *q, uint32_t ref, uint32_t after)
{
	struct item *it = item_at(st, ref), *before = item_at(st, after);
	uint32_t next = load_relaxed(&before->next);

	store_relaxed(&it->prev, after);
	store_relaxed(&it->next, next);
	if (next != 0)
		store_relaxed(&item_at(st, next)->prev, ref);
	else
		q->tail = ref;
	store_relaxed(&before->next, ref);
	q->count++;
}

void
queue_attach(struct store *st, struct slab_class *c, uint32_t ref)
{
	struct item *it = item_at(st, ref);
	struct queue *q = queue_of(c, it);
	uint32_t after;

	lock_take(&c->lock);
	after = item_is_large(it) ? queue_place(st, q, it) : 0;
	if (after != 0)
		queue_insert(st, q, ref, after);
	else
		queue_push(st, c, ref, q == &c->main);
	c->bytes += item_asks(it);
	lock_drop(&c->lock);
}
