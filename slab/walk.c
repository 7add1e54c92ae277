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
			visit(context, &key, &view, (int)queue_class(st, view.item)->id);
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
	uint64_t sets_before;

	lock_take(&c->lock);
	n = counters_now(c);
	sets_before = c->sets_at_reset;
	s->bytes += c->bytes;
	s->memory_used += (uint64_t)c->npages << st->page_shift;
	lock_drop(&c->lock);
	s->total_items += thread_sets(st, c->id) - sets_before;
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

/* What *COUNTER has gone up since a reset noted *NOTED. That is loaded first, and pairs with the release in note: a reset
 * meanwhile would leave less than nothing. */
static uint64_t
since_reset(const uint64_t *counter, const uint64_t *noted)
{
	uint64_t before = load_acquire(noted);

	return load_relaxed(counter) - before;
}

static void
stats_add_moves(const struct store *st, struct store_stats *s)
{
	const struct move_counters *now = &st->moves, *then = &st->moves_at_reset;

	s->pages_moved = since_reset(&st->pages_moved, &st->pages_moved_at_reset);
	s->rescued = since_reset(&now->rescues, &then->rescues);
	s->rescued_pieces = since_reset(&now->piece_rescues, &then->piece_rescues);
	s->reclaimed_in_moves = since_reset(&now->reclaims, &then->reclaims);
	s->busy_in_moves = since_reset(&now->busy, &then->busy);
	s->moving = load_relaxed(&st->mover.page) != NONE;
}

/* As since_reset, of sums over all threads. */
static void
stats_add_reads(const struct store *st, struct store_stats *s)
{
	uint64_t retries = load_acquire(&st->retries_at_reset);
	uint64_t expired = load_acquire(&st->expired_at_reset);
	uint64_t flushed = load_acquire(&st->flushed_at_reset);

	s->read_retries = thread_retries(st) - retries;
	s->found_expired = thread_found_expired(st) - expired;
	s->found_flushed = thread_found_flushed(st) - flushed;
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
	stats_add_reads(st, s);
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
	uint64_t hits_before, sets_before;

	if (slab_class < 1 || slab_class > st->nclasses)
		return false;
	c = &st->classes[slab_class];
	lock_take(&c->lock);
	n = counters_now(c);
	hits_before = c->hits_at_reset;
	sets_before = c->sets_at_reset;
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
	s->sets = thread_sets(st, slab_class) - sets_before;
	s->deletes = n.deletes;
	s->touches = n.touches;
	s->hits = thread_hits(st, slab_class) - hits_before;
	return true;
}

/* Release: who takes NOW off what a counter stands at sees it no lower than this thread did. */
static void
note(uint64_t *noted, uint64_t now)
{
	store_release(noted, now);
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
	note(&st->pages_moved_at_reset, load_relaxed(&st->pages_moved));
	note(&st->moves_at_reset.rescues, load_relaxed(&st->moves.rescues));
	note(&st->moves_at_reset.piece_rescues, load_relaxed(&st->moves.piece_rescues));
	note(&st->moves_at_reset.reclaims, load_relaxed(&st->moves.reclaims));
	note(&st->moves_at_reset.busy, load_relaxed(&st->moves.busy));
	note(&st->retries_at_reset, thread_retries(st));
	note(&st->expired_at_reset, thread_found_expired(st));
	note(&st->flushed_at_reset, thread_found_flushed(st));
}
