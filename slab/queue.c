/* slab/queue.c: the queues of a class: doubly linked lists of references through the items.
 *
 * An item stands in its class's small or main queue, as LIFE_MAIN says, from being linked until it is unlinked
 * or detached. A detached item points to itself; whoever detached it frees it.
 */
#include "slab/impl.h"

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

void
queue_attach(struct store *st, struct slab_class *c, uint32_t ref)
{
	struct item *it = item_at(st, ref);

	lock_take(&c->lock);
	queue_push(st, c, ref, load_relaxed(&it->life) & LIFE_MAIN);
	c->bytes += item_asks(it);
	lock_drop(&c->lock);
}
