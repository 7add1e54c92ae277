/* slab/walk.c: visits to all items, and the store's figures. */
#include "slab/hot.h"
#include "slab/impl.h"

#define WALK_BUCKETS 16 /* buckets visited in one call */

/* ---------------------------------------------------------------- walking */

static void
visit_bucket(struct store *st, uint32_t number, store_visitor *visit, void *context)
{
	struct stripe *s = stripe_of_bucket(st, number);

	stripe_lock(s);
	for (const struct bucket *b = &st->buckets[number]; b != NULL;
	     b = b->next == 0 ? NULL : (struct bucket *)(void *)st->overflow.base + b->next) {
		for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
			struct store_view view;
			struct store_key key;

			if (b->refs[i] == 0 || item_dead(st, item_at(st, b->refs[i])))
				continue;
			key = item_key(st, item_at(st, b->refs[i]));
			item_view(st, b->refs[i], &view);
			visit(context, &key, &view,
			    (int)queue_class(st, b->refs[i], item_at(st, b->refs[i]))->id);
		}
	}
	stripe_unlock(s);
}

bool
store_walk(struct store *st, uint64_t *cursor, store_visitor *visit, void *context)
{
	for (int i = 0; i < WALK_BUCKETS; i++) {
		if (*cursor >= load_acquire(&st->nbuckets))
			return false;
		visit_bucket(st, (uint32_t)(*cursor)++, visit, context);
	}
	return *cursor < load_relaxed(&st->nbuckets);
}

/* ---------------------------------------------------------------- figures */

/* Counters since the last reset. */
static struct class_counters
counters_now(const struct slab_class *c)
{
	struct class_counters n = c->n;
	uint64_t *now = (uint64_t *)(void *)&n;
	const uint64_t *base = (const uint64_t *)(const void *)&c->at_reset;

	static_assert(sizeof(struct class_counters) % sizeof(uint64_t) == 0, "all 64 bits");
	for (size_t i = 0; i < sizeof(n) / sizeof(*now); i++)
		now[i] -= base[i];
	n.evicted_time = c->n.evicted_time;
	return n;
}

static void
stats_add_class(struct store *st, struct store_stats *s, struct slab_class *c)
{
	struct class_counters n;

	lock_take(&c->lock);
	n = counters_now(c);
	s->bytes += c->bytes;
	s->memory_used += (uint64_t)c->npages << st->page_shift;
	lock_drop(&c->lock);
	s->total_items += thread_sets(st, c->id) - c->sets_at_reset;
	s->evictions += n.evicted;
	s->evicted_unfetched += n.evicted_unfetched;
	s->evicted_active += n.evicted_active;
	s->reclaimed += n.reclaimed;
	s->walked += n.walked;
	s->expired_unfetched += n.expired_unfetched;
	s->no_memory += n.no_memory;
	s->ghost_hits += n.ghost_hits;
	s->promotions += n.promotions;
	s->direct_reclaims += n.direct_reclaims;
}

static void
stats_add_moves(const struct store *st, struct store_stats *s)
{
	const struct move_counters *now = &st->moves, *then = &st->moves_at_reset;

	s->pages_moved = load_relaxed(&st->pages_moved) - load_relaxed(&st->pages_moved_at_reset);
	s->rescued = load_relaxed(&now->rescues) - load_relaxed(&then->rescues);
	s->rescued_pieces = load_relaxed(&now->piece_rescues) - load_relaxed(&then->piece_rescues);
	s->reclaimed_in_moves = load_relaxed(&now->reclaims) - load_relaxed(&then->reclaims);
	s->busy_in_moves = load_relaxed(&now->busy) - load_relaxed(&then->busy);
	s->moving = load_relaxed(&st->mover.page) != NONE;
}

void
store_stats(struct store *st, struct store_stats *s)
{
	memset(s, 0, sizeof(*s));
	s->classes = st->nclasses;
	s->page_size = st->page_size;
	for (uint32_t id = 1; id <= st->nclasses; id++)
		stats_add_class(st, s, &st->classes[id]);
	s->items = load_relaxed(&st->items);
	s->memory_taken = (uint64_t)page_pool_taken(st) << st->page_shift;
	stats_add_moves(st, s);
	s->copies = load_relaxed(&st->copies);
	s->copy_bytes = load_relaxed(&st->copy_bytes);
	lock_take(&st->pages_lock);
	s->memory_limit = (uint64_t)st->pages_limit << st->page_shift;
	s->memory_free = (uint64_t)st->free_pages << st->page_shift;
	lock_drop(&st->pages_lock);
	s->index_buckets = load_relaxed(&st->nbuckets);
	lock_take(&st->overflow_lock);
	s->overflow_buckets = st->overflow_used;
	s->index_bytes = load_relaxed(&st->table.committed) +
	    load_relaxed(&st->overflow.committed) + load_relaxed(&st->ghost.committed);
	lock_drop(&st->overflow_lock);
	s->read_retries = thread_retries(st) - load_relaxed(&st->retries_at_reset);
	s->found_expired = thread_found_expired(st) - load_relaxed(&st->expired_at_reset);
	s->found_flushed = thread_found_flushed(st) - load_relaxed(&st->flushed_at_reset);
}

static uint32_t
tail_age(const struct store *st, const struct slab_class *c)
{
	uint32_t ref = c->small.tail != 0 ? c->small.tail : c->main.tail;

	return ref == 0
	    ? 0
	    : (uint16_t)(load_relaxed(&st->now) - load_relaxed(&item_at(st, ref)->atime));
}

bool
store_class_stats(struct store *st, unsigned slab_class, struct store_class_stats *s)
{
	struct slab_class *c;
	struct class_counters n;

	if (slab_class < 1 || slab_class > st->nclasses)
		return false;
	c = &st->classes[slab_class];
	lock_take(&c->lock);
	n = counters_now(c);
	*s = (struct store_class_stats){
	    .chunk_size = c->chunk_size,
	    .chunks_per_page = c->per_page,
	    .pages = c->npages,
	    .used_chunks = c->used,
	    .free_chunks = (uint64_t)c->npages * c->per_page - c->used,
	    .items = c->small.count + c->main.count,
	    .bytes = c->bytes,
	    .small_items = c->small.count,
	    .main_items = c->main.count,
	    .age = tail_age(st, c),
	};
	lock_drop(&c->lock);
	s->evicted = n.evicted;
	s->evicted_nonzero = n.evicted_nonzero;
	s->evicted_unfetched = n.evicted_unfetched;
	s->evicted_active = n.evicted_active;
	s->evicted_time = n.evicted_time;
	s->no_memory = n.no_memory;
	s->reclaimed = n.reclaimed;
	s->walked = n.walked;
	s->expired_unfetched = n.expired_unfetched;
	s->ghost_hits = n.ghost_hits;
	s->promotions = n.promotions;
	s->direct_reclaims = n.direct_reclaims;
	s->pages_in = n.pages_in;
	s->pages_out = n.pages_out;
	s->sets = thread_sets(st, slab_class) - c->sets_at_reset;
	s->deletes = n.deletes;
	s->touches = n.touches;
	s->hits = thread_hits(st, slab_class) - c->hits_at_reset;
	return true;
}

void
store_stats_reset(struct store *st)
{
	for (uint32_t id = 1; id <= st->nclasses; id++) {
		struct slab_class *c = &st->classes[id];

		lock_take(&c->lock);
		c->at_reset = c->n;
		c->hits_at_reset = thread_hits(st, id);
		c->sets_at_reset = thread_sets(st, id);
		lock_drop(&c->lock);
	}
	store_relaxed(&st->pages_moved_at_reset, load_relaxed(&st->pages_moved));
	store_relaxed(&st->moves_at_reset.rescues, load_relaxed(&st->moves.rescues));
	store_relaxed(&st->moves_at_reset.piece_rescues, load_relaxed(&st->moves.piece_rescues));
	store_relaxed(&st->moves_at_reset.reclaims, load_relaxed(&st->moves.reclaims));
	store_relaxed(&st->moves_at_reset.busy, load_relaxed(&st->moves.busy));
	store_relaxed(&st->retries_at_reset, thread_retries(st));
	store_relaxed(&st->expired_at_reset, thread_found_expired(st));
	store_relaxed(&st->flushed_at_reset, thread_found_flushed(st));
}
