/* slab/balance.c: which class gives a page to which.
 *
 * By marginal hits: the worth of a class is how many of its ghosts were asked for, per page that the ghosts would
 * fill, times the square root of its chunk size (or another power: --balance). Once a window, the poorest class
 * gives a page to the best where that is worth 1.3 times as much. A window is as many requests as there are
 * items, or half the memory written; the worth is smoothed by half.
 *
 * Ghosts say nothing about a class that is hardly there yet, and nothing at all where nobody reads. So a class that has
 * evicted a page full of items may also claim a page from one that lies idle: nobody hit it in the last window,
 * nobody missed what it evicted, and what it would lose is older than what the claimant is losing.
 */
#include <math.h>

#include "slab/impl.h"

#define WORTH_RATIO   1.3
#define MOVE_SHARE    50   /* one in so many pages may move in a window */
#define STEP_CLAIM    64   /* chunks that an allocation works on */
#define STEP_BYTES    128  /* and one more for so many bytes that it has evicted */
#define STEP_MOST     4096 /* but so many at most: below half a millisecond */
#define STEP_MAINTAIN 512
#define NOISE_FACTOR  2 /* times as many ghost hits as chance alone would give count for nothing */
#define CLAIM_MOST    32768 /* chunks that one request works on at the very most */
#define CLAIM_TRIES   16
#define WINDOW_TELLS  8 /* one in so many of the limit, written without a hit */
#define AGE_RATIO_NUM 3
#define AGE_RATIO_DEN 2

static const double exponents[] = {
    [STORE_BALANCE_HITS] = 0.5,
    [STORE_BALANCE_BALANCED] = 0.75,
    [STORE_BALANCE_BYTES] = 1.0,
};

/* ---------------------------------------------------------------- windows */

static void
window_class(struct store *st, struct slab_class *c)
{
	uint64_t hits = thread_hits(st, c->id), sets = thread_sets(st, c->id), ghosts, noise;
	double worth, old, pages;

	lock_take(&c->lock);
	ghosts = c->n.ghost_hits - c->window_ghost_hits;
	noise = (sets - c->window_sets) * GHOST_WAYS * NOISE_FACTOR >> 16;
	ghosts = ghosts > noise ? ghosts - noise : 0;
	pages = (double)ghost_window(c) / c->per_page;
	worth = (double)ghosts / pages * pow(c->chunk_size, exponents[st->options.balance]);
	__atomic_load(&c->worth, &old, __ATOMIC_RELAXED);
	worth = (worth + old) / 2;
	__atomic_store(&c->worth, &worth, __ATOMIC_RELAXED);
	store_relaxed(
	    &c->hit_rate, c->npages == 0 ? 0 : (hits - c->window_hits + c->npages - 1) / c->npages);
	store_relaxed(&c->ghost_rate, ghosts);
	c->window_ghost_hits = c->n.ghost_hits;
	c->window_hits = hits;
	c->window_sets = sets;
	lock_drop(&c->lock);
}

/* Begins a new window where the present one is over. */
static void
window_turn(struct store *st) REQUIRES(st->mover.lock)
{
	uint64_t requests = thread_requests(st), bytes = thread_set_bytes(st);

	if (requests - st->mover.window_requests < load_relaxed(&st->items) &&
	    (bytes - st->mover.window_bytes) * 2 <
		((uint64_t)load_relaxed(&st->pages_limit) << st->page_shift))
		return;
	if (requests == st->mover.window_requests)
		return;
	for (uint32_t id = 1; id <= st->nclasses; id++)
		window_class(st, &st->classes[id]);
	st->mover.window_requests = requests;
	st->mover.window_bytes = bytes;
	st->mover.moves_left = 1 + load_relaxed(&st->pages_limit) / MOVE_SHARE;
}

static double
class_worth(struct slab_class *c)
{
	double worth;

	__atomic_load(&c->worth, &worth, __ATOMIC_RELAXED);
	return worth;
}

/* ---------------------------------------------------------------- claims */

static bool
class_holds_items(struct slab_class *c)
{
	bool holds;

	lock_take(&c->lock);
	holds = c->small.count + c->main.count > 0;
	lock_drop(&c->lock);
	return holds;
}

/* How many versions ago the item next in line was born: how old is what the class would lose. */
static uint64_t
class_tail_age(const struct store *st, struct slab_class *c)
{
	uint64_t now = load_relaxed(&st->sequence), birth = now;

	lock_take(&c->lock);
	if (c->small.tail != 0)
		birth = item_birth(item_at(st, c->small.tail));
	else if (c->main.tail != 0)
		birth = item_birth(item_at(st, c->main.tail));
	lock_drop(&c->lock);
	return birth < now ? now - birth : 0;
}

static bool
class_has_spare_page(const struct slab_class *c)
{
	uint64_t chunks = (uint64_t)load_relaxed(&c->npages) * c->per_page;

	return chunks - load_relaxed(&c->used) >= c->per_page && chunks >= c->per_page;
}

/* A class with a page full of free chunks; 0 = none has. */
static uint32_t
donor_with_spare(struct store *st, const struct slab_class *to)
{
	for (uint32_t id = 1; id <= st->nclasses; id++)
		if (id != to->id && class_has_spare_page(&st->classes[id]))
			return id;
	return 0;
}

/* Whether the present window is long enough to say that what was not hit in it is idle. */
static bool
window_tells(const struct store *st) REQUIRES(st->mover.lock)
{
	uint64_t limit = (uint64_t)load_relaxed(&st->pages_limit) << st->page_shift;

	return (thread_set_bytes(st) - st->mover.window_bytes) * WINDOW_TELLS >= limit;
}

/* Whether C is of no use beside TO: nobody missed what it evicted, and it was hit much less in the last window or not at
 * all in a good part of this one. */
static bool
class_idle(const struct store *st, struct slab_class *c, const struct slab_class *to)
    REQUIRES(st->mover.lock)
{
	if (load_relaxed(&c->npages) == 0 || load_relaxed(&c->ghost_rate) != 0)
		return false;
	return load_relaxed(&c->hit_rate) * 2 <= load_relaxed(&to->hit_rate) ||
	    (window_tells(st) && thread_hits(st, c->id) == c->window_hits);
}

/* How old the next item in line would be with a page less, if things go on as in this window: a class that still grows
 * by itself is not robbed of its only page. */
static uint64_t
age_without_page(const struct store *st, struct slab_class *c)
{
	uint64_t age = class_tail_age(st, c), pages = load_relaxed(&c->npages);

	return thread_sets(st, c->id) == c->window_sets ? age : age / pages * (pages - 1);
}

/* The idle class whose next item in line is the oldest, if it is older than TO's even with a page less. */
static uint32_t
donor_idle(struct store *st, struct slab_class *to) REQUIRES(st->mover.lock)
{
	uint64_t oldest = class_tail_age(st, to) / AGE_RATIO_DEN * AGE_RATIO_NUM;
	uint32_t best = 0;

	for (uint32_t id = 1; id <= st->nclasses; id++) {
		struct slab_class *c = &st->classes[id];
		uint64_t age = c == to || !class_idle(st, c, to) ? 0 : age_without_page(st, c);

		if (age > oldest) {
			oldest = age;
			best = id;
		}
	}
	return best;
}

/* The class that loses least, whatever it is. */
static uint32_t
donor_any(struct store *st, const struct slab_class *to)
{
	double least = INFINITY;
	uint32_t best = 0;

	for (uint32_t id = 1; id <= st->nclasses; id++) {
		struct slab_class *c = &st->classes[id];
		double loss = class_worth(c) + (double)load_relaxed(&c->hit_rate);

		if (c == to || load_relaxed(&c->npages) == 0 || !class_holds_items(c))
			continue;
		loss += load_relaxed(&c->npages) == 1 ? 1 : 0;
		if (loss < least) {
			least = loss;
			best = id;
		}
	}
	return best;
}

static uint32_t
donor_choose(struct store *st, struct slab_class *to, bool force) REQUIRES(st->mover.lock)
{
	uint32_t from = donor_with_spare(st, to);

	/* A spare page that could not be emptied just now would be chosen again and again. */
	if (from != 0 && !st->mover.gave_up)
		return from;
	if (st->eviction == STORE_EVICT_NONE)
		return 0;
	from = donor_idle(st, to);
	return from == 0 && force ? donor_any(st, to) : from;
}

/* Takes the mover, waiting for whoever has it only if WAIT: he may be waiting for this thread to let go of what it
 * read, so it pauses meanwhile. */
static bool
mover_take(struct store *st, bool wait) TRY_ACQUIRES(true, st->mover.lock) NO_LOCK_ANALYSIS
{
	if (lock_try(&st->mover.lock))
		return true;
	if (!wait)
		return false;
	store_thread_pause();
	lock_take(&st->mover.lock);
	store_thread_resume();
	return true;
}

/* How many chunks of a donor's page an allocation works on: in step with what the class evicts for want of pages. */
static unsigned
claim_budget(const struct slab_class *c)
{
	uint64_t bytes = (uint64_t)load_relaxed(&c->since_grant) * c->chunk_size;
	uint64_t budget = STEP_CLAIM + bytes / STEP_BYTES;

	return budget < STEP_MOST ? (unsigned)budget : STEP_MOST;
}

/* One attempt, or a step of the move under way: MOVE_GIVEN_UP also where there is nothing to move. */
static enum move_state
claim_try(struct store *st, struct slab_class *c, bool force, unsigned *budget)
    REQUIRES(st->mover.lock)
{
	enum move_state state;

	if (st->mover.page == NONE) {
		uint32_t from;

		window_turn(st);
		from = donor_choose(st, c, force);

		if (from == 0 || !move_start(st, from, c->id))
			return MOVE_GIVEN_UP;
	}
	do {
		unsigned step = claim_budget(c);

		state = move_step(st, step);
		*budget -= step < *budget ? step : *budget;
	} while (force && state == MOVE_UNDER_WAY && *budget > 0);
	return state;
}

/* A page that was kept back, for a class in need: the upkeep will see to another. */
static bool
claim_reserve(struct store *st, struct slab_class *c)
{
	uint32_t page = page_pool_take(st, true);

	if (page == NONE)
		return false;
	lock_take(&c->lock);
	class_gain_page(st, c, page);
	lock_drop(&c->lock);
	return true;
}

bool
balance_claim(struct store *st, struct slab_class *c, bool force)
{
	enum move_state state;
	unsigned budget = CLAIM_MOST;

	if (load_relaxed(&st->automove) == 0 && !force)
		return false;
	if (force && claim_reserve(st, c))
		return true;
	if (!mover_take(st, force))
		return false;
	state = claim_try(st, c, force, &budget);
	/* A page can hold something that is being made or sent just now; another one will do. */
	for (int tries = 1; force && state == MOVE_GIVEN_UP && tries < CLAIM_TRIES && budget > 0;
	     tries++)
		state = claim_try(st, c, force, &budget);
	lock_drop(&st->mover.lock);
	if (state == MOVE_GIVEN_UP)
		class_granted(c, c->per_page / 2 + 1); /* not at once again */
	return state == MOVE_ARRIVED;
}

/* ---------------------------------------------------------------- upkeep */

/* The classes that would gain most and lose least; false where no move is worth it. */
static bool
balance_choose(struct store *st, uint32_t *from, uint32_t *to)
{
	double best = 0, poorest = INFINITY;

	*from = *to = 0;
	for (uint32_t id = 1; id <= st->nclasses; id++) {
		struct slab_class *c = &st->classes[id];
		double worth = class_worth(c);

		if (worth > best && load_relaxed(&c->ghost_rate) > 0) {
			best = worth;
			*to = id;
		}
		if (worth < poorest && load_relaxed(&c->npages) > 0) {
			poorest = worth;
			*from = id;
		}
	}
	return *to != 0 && *from != 0 && *to != *from && best >= poorest * WORTH_RATIO;
}

/* Starts the next move, if there is reason for one. */
static void
balance_start(struct store *st) REQUIRES(st->mover.lock)
{
	uint32_t from, to;

	if (page_pool_excess(st) > 0) {
		struct slab_class nobody = {.id = 0};

		from = donor_with_spare(st, &nobody);
		if (from == 0 && st->eviction != STORE_EVICT_NONE)
			from = donor_any(st, &nobody);
		if (from != 0)
			(void)move_start(st, from, 0);
		return;
	}
	if (load_relaxed(&st->automove) == 0 || st->mover.moves_left == 0 ||
	    !load_relaxed(&st->limit_kept) || st->eviction != STORE_EVICT_S3FIFO ||
	    !balance_choose(st, &from, &to))
		return;
	st->mover.moves_left--;
	(void)move_start(st, from, to);
}

bool
balance_maintain(struct store *st)
{
	enum move_state state = MOVE_GIVEN_UP;
	bool busy;

	if (!lock_try(&st->mover.lock))
		return false;
	window_turn(st);
	if (st->mover.page == NONE)
		balance_start(st);
	if (st->mover.page != NONE)
		state = move_step(st, STEP_MAINTAIN);
	/* What could not be given back to the system this time may be so for long: it is not tried again at once. */
	busy = state == MOVE_UNDER_WAY || (state == MOVE_ARRIVED && page_pool_excess(st) > 0);
	lock_drop(&st->mover.lock);
	return busy;
}

enum store_reassign
store_reassign(struct store *st, int from, int to)
{
	enum store_reassign result = STORE_REASSIGN_NOSPARE;

	if (to < 1 || to > (int)st->nclasses || from < -1 || from == 0 || from > (int)st->nclasses)
		return STORE_REASSIGN_BADCLASS;
	if (from == to)
		return STORE_REASSIGN_SAME;
	if (!lock_try(&st->mover.lock))
		return STORE_REASSIGN_BUSY;
	if (st->mover.page != NONE) {
		result = STORE_REASSIGN_BUSY;
	} else {
		if (from == -1)
			from = (int)donor_any(st, &st->classes[to]);
		if (from > 0 && load_relaxed(&st->classes[from].npages) > 1 &&
		    move_start(st, (uint32_t)from, (uint32_t)to))
			result = STORE_REASSIGN_OK;
	}
	lock_drop(&st->mover.lock);
	return result;
}

void
store_automove_set(struct store *st, unsigned level)
{
	store_relaxed(&st->automove, level);
}
