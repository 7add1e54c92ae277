/* slab/balance.c: which class gives a page to which.
 *
 * By marginal hits: the worth of a class is how many of its ghosts were asked for, per page that the ghosts would
 * fill, times the square root of its chunk size (or another power: --balance). Once a window, the poorest class
 * gives a page to the best where that is worth 1.3 times as much. A window is as many requests as there are
 * items, or half the memory written; the worth is smoothed by half.
 *
 * Ghosts say nothing about a class that is hardly there yet, and nothing at all where nobody reads. So a class that has
 * evicted a page full of items may also claim a page from one that lies idle: nobody hit it lately, nobody missed what it
 * evicted, and what it would lose is older than what the claimant is losing.
 *
 * Memory that a class has no use for any more goes back to the pool, from where it comes to the next class without delay.
 */
#include <math.h>

#include "slab/impl.h"

#define WORTH_RATIO   1.3
#define MOVE_SHARE    50   /* one in so many pages may move in a window */
#define STEP_CLAIM    64   /* chunks that an allocation works on */
#define STEP_BYTES    128  /* and one more for so many bytes that it has evicted */
#define STEP_MOST     1536 /* but so many at most: about half a millisecond */
#define STEP_MAINTAIN 512
#define NOISE_FACTOR  2 /* times as many ghost hits as chance alone would give count for nothing */
#define CLAIM_MOST    32768 /* chunks emptied where there is no other way to a chunk */
#define CLAIM_TRIES   16
#define REST_FULL     10   /* milliseconds between two slices of upkeep */
#define REST          20   /* where memory is not full yet */
#define REST_MOVER    1    /* where somebody else is at it */
#define QUIET_SHARE   16   /* one in so many of the limit, written without a hit: idle */
#define LOSS_OF_ONLY  1e30 /* more than any worth and rate */
#define LOOSE_PAGES_X2                                                                             \
	5 /* twice as many pages' worth of free chunks as a class may keep, as in memcached */
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

/* Sets the next mark, where enough of the BYTES written so far came since the last one. */
static void
mark_turn(struct store *st, uint64_t bytes) REQUIRES(st->mover.lock)
{
	uint64_t limit = (uint64_t)load_relaxed(&st->pages_limit) << st->page_shift;

	if ((bytes - st->mover.mark_bytes) * QUIET_SHARE < limit)
		return;
	for (uint32_t id = 1; id <= st->nclasses; id++) {
		struct slab_class *c = &st->classes[id];
		uint64_t hits = thread_hits(st, id);

		c->quiet = hits == c->mark_hits;
		c->mark_hits = hits;
	}
	st->mover.mark_bytes = bytes;
}

/* Begins a new window where the present one is over. */
static void
window_turn(struct store *st) REQUIRES(st->mover.lock)
{
	uint64_t requests = thread_requests(st), bytes = thread_set_bytes(st);

	mark_turn(st, bytes);
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

	return chunks >= load_relaxed(&c->used) + c->per_page;
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

/* Whether C is of no use beside TO: nobody missed what it evicted, and it was hit much less in the last window or not at
 * all between the last two marks and since. */
static bool
class_idle(const struct store *st, struct slab_class *c, const struct slab_class *to)
    REQUIRES(st->mover.lock)
{
	if (load_relaxed(&c->npages) == 0 || load_relaxed(&c->ghost_rate) != 0)
		return false;
	return load_relaxed(&c->hit_rate) * 2 <= load_relaxed(&to->hit_rate) ||
	    (c->quiet && thread_hits(st, c->id) == c->mark_hits);
}

/* How old the next item in line would be with a page less, if things go on as in this window: a class that still grows
 * by itself is not robbed of its only page. */
static uint64_t
age_without_page(const struct store *st, struct slab_class *c)
{
	uint64_t age = class_tail_age(st, c), pages = load_relaxed(&c->npages);

	return thread_sets(st, c->id) == c->window_sets ? age : age / pages * (pages - 1);
}

/* The idle class whose next item in line is the oldest, if it is older than TO's even with a page less. While there is one, TO
 * asks for the next page with the next item that it evicts. */
static uint32_t
donor_idle(struct store *st, struct slab_class *to) REQUIRES(st->mover.lock)
{
	uint64_t mine = class_tail_age(st, to);
	uint64_t oldest = mine / AGE_RATIO_DEN * AGE_RATIO_NUM;
	uint32_t best = 0;

	for (uint32_t id = 1; id <= st->nclasses; id++) {
		struct slab_class *c = &st->classes[id];
		uint64_t age = c == to || !class_idle(st, c, to) ? 0 : age_without_page(st, c);

		if (age > oldest) {
			oldest = age;
			best = id;
		}
	}
	store_relaxed(&to->claim_after, best == 0 ? to->per_page : 0u);
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
		/* It has just come to its only page, and had no time yet to show what that is worth. */
		if (load_relaxed(&c->npages) == 1)
			loss += LOSS_OF_ONLY;
		if (loss < least) {
			least = loss;
			best = id;
		}
	}
	return best;
}

static uint32_t
donor_choose(struct store *st, struct slab_class *to, bool any) REQUIRES(st->mover.lock)
{
	uint32_t spare = donor_with_spare(st, to), from = 0;

	/* A spare page that could not be emptied just now would be chosen again and again. */
	if (spare != 0 && !mover_gave_up(st))
		return spare;
	if (st->eviction == STORE_EVICT_NONE)
		return 0;
	from = donor_idle(st, to);
	if (from == 0 && any)
		from = donor_any(st, to);
	return from == 0 && any ? spare : from;
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

/* What is left of this request's share. Where there is no upkeep everything is. */
static uint64_t
share_left(const struct store *st)
{
	if (load_relaxed(&st->wake) == NULL)
		return STEP_MOST;
	return thread_share > thread_worked ? thread_share - thread_worked : 0;
}

/* How many chunks of the donor's page an allocation works on: in step with what the class evicts for want of pages; or so
 * that a page comes before the one that came before is used up. */
static unsigned
claim_budget(const struct store *st, const struct slab_class *c, enum claim how)
    REQUIRES(st->mover.lock)
{
	uint64_t bytes = (uint64_t)load_relaxed(&c->since_grant) * c->chunk_size;
	uint64_t budget = STEP_CLAIM + bytes / STEP_BYTES, left = share_left(st);

	if (how == CLAIM_AHEAD)
		budget = STEP_CLAIM + 2 * st->classes[st->mover.from].per_page / c->per_page;
	budget = budget < left ? budget : left;
	return budget < STEP_MOST ? (unsigned)budget : STEP_MOST;
}

/* A step for a request that has not done its share; else the upkeep's turn has come. */
static enum move_state
claim_work(struct store *st, struct slab_class *c, enum claim how) REQUIRES(st->mover.lock)
{
	unsigned budget = claim_budget(st, c, how);

	if (budget == 0)
		(void)upkeep_wake(st);
	return budget == 0 ? MOVE_UNDER_WAY : move_step(st, budget, false);
}

/* Sees to it that a page is being emptied for C; false = there is none to be had. Who needs one has that of another class. */
static bool
claim_start(struct store *st, struct slab_class *c, enum claim how) REQUIRES(st->mover.lock)
{
	uint32_t from;

	if (st->mover.page != NONE) {
		if (how >= CLAIM_NEED)
			st->mover.to = c->id;
		return true;
	}
	if (st->mover.nleaving == LEAVING_MAX)
		return false;
	window_turn(st);
	from = donor_choose(st, c, how != CLAIM_WANT);
	if (from == 0 || !move_start(st, from, c->id))
		return false;
	if (how >= CLAIM_AHEAD)
		(void)upkeep_wake(st);
	return true;
}

/* Waits for the oldest of the pages that are empty already; it comes to C. False = there is none. */
static bool
claim_empty(struct store *st, struct slab_class *c) REQUIRES(st->mover.lock)
{
	if (st->mover.nleaving == 0)
		return false;
	st->mover.leaving[0].to = c->id;
	move_await(st, st->mover.leaving[0].number);
	return move_arrivals(st, c->id);
}

/* All the way to a page. One can hold something that is being made or sent just now; another one will do. */
static bool
claim_press(struct store *st, struct slab_class *c) REQUIRES(st->mover.lock)
{
	uint64_t end = thread_worked + CLAIM_MOST;

	for (int tries = 0; tries < CLAIM_TRIES && thread_worked < end;) {
		if (claim_empty(st, c))
			return true;
		if (!claim_start(st, c, CLAIM_MUST))
			return false;
		tries += move_step(st, STEP_MOST, false) == MOVE_GIVEN_UP;
	}
	return false;
}

/* A step of the way; true = a page has come. */
static bool
claim_step(struct store *st, struct slab_class *c, enum claim how) REQUIRES(st->mover.lock)
{
	enum move_state state = MOVE_GIVEN_UP;

	if (move_arrivals(st, c->id))
		return true;
	if (how >= CLAIM_NEED && st->mover.nleaving > 0)
		st->mover.leaving[0].to = c->id;
	else if (claim_start(st, c, how))
		state = claim_work(st, c, how);
	else
		class_granted(c, c->per_page / 2 + 1); /* not at once again */
	return state == MOVE_LEFT && move_arrivals(st, c->id);
}

/* A page that was kept back, for a class in need: the upkeep will see to another. */
static bool
claim_reserve(struct store *st, struct slab_class *c, enum page_reserve reserve)
{
	uint32_t page = page_pool_take(st, reserve);
	bool gained;

	if (page == NONE)
		return false;
	lock_take(&c->lock);
	gained = class_gain_page(st, c, page);
	if (gained)
		class_granted(c, c->per_page);
	lock_drop(&c->lock);
	(void)upkeep_wake(st);
	return gained;
}

bool
balance_claim(struct store *st, struct slab_class *c, enum claim how)
{
	bool came;

	if (load_relaxed(&st->automove) == 0 && how == CLAIM_WANT)
		return false;
	if (how >= CLAIM_NEED &&
	    claim_reserve(st, c, how == CLAIM_MUST ? RESERVE_ALL : RESERVE_SOME))
		return true;
	if (!mover_take(st, how == CLAIM_MUST))
		return false;
	came = how == CLAIM_MUST ? claim_press(st, c) : claim_step(st, c, how);
	lock_drop(&st->mover.lock);
	return came;
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

/* A class that has much more room than it uses, as after the deletion or expiry of many items; 0 = none has, or there is memory
 * that was never used. */
static uint32_t
donor_loose(struct store *st)
{
	if (page_pool_taken(st) < load_relaxed(&st->pages_limit))
		return 0;
	for (uint32_t id = 1; id <= st->nclasses; id++) {
		struct slab_class *c = &st->classes[id];
		uint64_t chunks = (uint64_t)load_relaxed(&c->npages) * c->per_page;

		if (chunks * 2 > load_relaxed(&c->used) * 2 + LOOSE_PAGES_X2 * c->per_page &&
		    load_relaxed(&c->gained) != load_relaxed(&st->now))
			return id;
	}
	return 0;
}

/* How many pages are on their way to the pool. */
static uint32_t
pages_to_pool(const struct store *st) REQUIRES(st->mover.lock)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < st->mover.nleaving; i++)
		n += st->mover.leaving[i].to == 0;
	return n;
}

/* Starts the next move, if there is reason for one. */
static void
balance_start(struct store *st) REQUIRES(st->mover.lock)
{
	uint32_t from, to;

	if (page_pool_excess(st) > pages_to_pool(st)) {
		struct slab_class nobody = {.id = 0};

		from = donor_with_spare(st, &nobody);
		/* Who has just got a page, for want of it, shall have the time to use it. */
		if (from != 0 && load_relaxed(&st->classes[from].gained) == load_relaxed(&st->now))
			from = 0;
		if (from == 0 && st->eviction != STORE_EVICT_NONE)
			from = donor_any(st, &nobody);
		if (from != 0)
			(void)move_start(st, from, 0);
		return;
	}
	if (load_relaxed(&st->automove) == 0)
		return;
	from = mover_gave_up(st) ? 0 : donor_loose(st);
	if (from != 0) {
		(void)move_start(st, from, 0);
		return;
	}
	if (st->mover.moves_left == 0 || !load_relaxed(&st->limit_kept) ||
	    st->eviction != STORE_EVICT_S3FIFO || !balance_choose(st, &from, &to))
		return;
	st->mover.moves_left--;
	(void)move_start(st, from, to);
}

unsigned
balance_maintain(struct store *st)
{
	enum move_state state = MOVE_GIVEN_UP;
	uint64_t left = 0;

	if (!lock_try(&st->mover.lock))
		return REST_MOVER;
	window_turn(st);
	(void)move_arrivals(st, 0);
	if (st->mover.page == NONE)
		balance_start(st);
	if (st->mover.page != NONE)
		state = move_step(st, STEP_MAINTAIN, true);
	if (st->mover.nleaving > 0)
		left = st->mover.left;
	lock_drop(&st->mover.lock);
	move_await(st, left);
	/* What could not be given back to the system this time may be so for long: it is not tried again at once. */
	if (left != 0 || state != MOVE_GIVEN_UP)
		return 0;
	return load_relaxed(&st->limit_kept) ? REST_FULL : REST;
}

/* A page of the pool for class TO. */
static enum store_reassign
reassign_from_pool(struct store *st, struct slab_class *to)
{
	uint32_t page = NONE;
	bool spare, gained;

	lock_take(&st->pages_lock);
	spare = st->free_pages > 0;
	lock_drop(&st->pages_lock);
	if (spare)
		page = page_pool_take(st, RESERVE_KEPT);
	if (page == NONE)
		return STORE_REASSIGN_NOSPARE;
	lock_take(&to->lock);
	gained = class_gain_page(st, to, page);
	lock_drop(&to->lock);
	return gained ? STORE_REASSIGN_OK : STORE_REASSIGN_NOSPARE;
}

/* Starts to empty a page of class FROM, or of the one that loses least with it (-1). */
static enum store_reassign
reassign_start(struct store *st, int from, int to) REQUIRES(st->mover.lock)
{
	if (st->mover.page != NONE || st->mover.nleaving == LEAVING_MAX)
		return STORE_REASSIGN_BUSY;
	if (from == -1) {
		from = (int)donor_any(st, &st->classes[to]);
		if (load_relaxed(&st->classes[from].npages) < 2)
			return STORE_REASSIGN_BADCLASS;
	}
	if (load_relaxed(&st->classes[from].npages) > 1 &&
	    move_start(st, (uint32_t)from, (uint32_t)to))
		return STORE_REASSIGN_OK;
	return STORE_REASSIGN_NOSPARE;
}

enum store_reassign
store_reassign(struct store *st, int from, int to)
{
	int most = (int)st->nclasses;
	enum store_reassign result;

	if (from == to)
		return STORE_REASSIGN_SAME;
	if (to < STORE_POOL || to > most || from < -1 || from > most)
		return STORE_REASSIGN_BADCLASS;
	if (from == STORE_POOL)
		return reassign_from_pool(st, &st->classes[to]);
	if (!lock_try(&st->mover.lock))
		return STORE_REASSIGN_BUSY;
	result = reassign_start(st, from, to);
	lock_drop(&st->mover.lock);
	return result;
}

void
store_automove_set(struct store *st, unsigned level)
{
	store_relaxed(&st->automove, level);
}
