/* slab/impl.h: the inside of a store, shared by the files of this folder.
 *
 * Who guards what, and the order of the locks: slab/README.md.
 */
#ifndef SLAB_IMPL_H
#define SLAB_IMPL_H

#include "base/assert.h"
#include "base/atomics.h"
#include "base/lock.h"
#include "slab/item.h"
#include "slab/reserve.h"
#include "slab/store.h"

#define CACHE_LINE  64
#define CLASSES_MAX 192
#define THREADS_MAX 256
#define HEAD_MIN    48u /* the smallest chunk */
#define READ_MARGIN                                                                                \
	65536u /* readable bytes behind the last page, for a reader with a stale length */
#define CHUNK_TOP        65536u /* the largest chunk */
#define NONE             UINT32_MAX
#define HASH_SECRET_SIZE 192u
#define HEATED_MAX       256u /* hits that a thread remembers */
#define THRIFTY_BELOW    (512u << 20)
#define HITS_MAX         3u /* S3-FIFO counts to here */
#define JOIN_LOCKS       64u
#define LEAVING_MAX      8u /* pages that wait for readers at a time */
#define LFU_NEW          5u /* the LFU counter of a new item, as in Redis */

/* ---------------------------------------------------------------- pages and classes */

enum page_state { PAGE_FREE, PAGE_ACTIVE, PAGE_DRAINING, PAGE_LEAVING };

/* Guarded by the lock of its class, in the free pool by PAGES; EARLIEST is lowered by anybody. */
struct page {
	uint32_t carved;     /* chunks that were handed out at least once */
	uint32_t used;       /* chunks in use */
	uint32_t free_head;  /* first free chunk among the carved ones */
	uint32_t next, prev; /* pages with room of the class, or the free pool */
	uint32_t slot;       /* where it stands in its class's PAGES */
	uint32_t earliest;   /* no item of this page expires before; NONE = no item expires */
	uint32_t walked;     /* clock at the last walk over it */
	uint64_t flushed;    /* the store's flush_version at that */
	enum page_state state;
	bool roomy; /* is in the list of pages with room */
};

/* Newest at HEAD, oldest at TAIL. */
struct queue {
	uint32_t head, tail;
	uint64_t count;
};

/* Counters of a class; guarded by its lock. */
struct class_counters {
	uint64_t evicted, evicted_nonzero, evicted_unfetched, evicted_active, evicted_time;
	uint64_t no_memory, reclaimed, walked, expired_unfetched, ghost_hits, promotions,
	    direct_reclaims;
	uint64_t pages_in, pages_out, deletes, touches;
};

struct slab_class {
	struct lock lock;
	uint32_t id;
	uint32_t chunk_size, per_page;
	uint32_t ref_step; /* from the reference of a chunk to that of the next */

	uint32_t roomy;  /* pages with free chunks */
	uint32_t *pages; /* all its pages, in no order */
	uint32_t npages, pages_room;
	uint64_t used; /* chunks */

	struct queue small, main;
	uint64_t bytes; /* that the queued items ask for */
	uint64_t random;
	uint64_t evict_clock; /* evictions so far: the time of this class's ghosts */
	uint32_t since_grant; /* chunks evicted since the last page came */
	uint32_t gained;      /* the clock when that was */
	uint32_t earliest;    /* no item of this class expires before */
	uint32_t glance_slot,
	    glance_chunk; /* where allocations look for dead items: a place in PAGES */
	uint32_t glanced; /* the clock when one looked in vain */
	struct class_counters n;
	struct class_counters at_reset; /* what they stood at when the statistics were reset */
	uint64_t hits_at_reset, sets_at_reset;

	/* The balancer's: see balance.c. Read by anybody. */
	uint64_t window_ghost_hits, window_hits,
	    window_sets;      /* the counters at the window's start */
	double worth;         /* smoothed marginal hits of one more page, weighted */
	uint64_t hit_rate;    /* hits per page in the last window */
	uint64_t ghost_rate;  /* ghost hits in the last window */
	uint64_t mark_hits;   /* the counter at the last mark */
	uint32_t claim_after; /* chunks evicted after which a page is claimed; atomic */
	bool quiet;           /* no hit between the last two marks */
} __attribute__((aligned(CACHE_LINE)));

/* ---------------------------------------------------------------- index */

#define BUCKET_SLOTS 12
#define SLOTS_ALL    ((1u << BUCKET_SLOTS) - 1)
#define INDEX_LOAD   9 /* items for each bucket; more of them cost memory, fewer longer chains */

/*	 0                 12     16                                            64
 *	 +-----------------+------+---------------------------------------------+
 *	 | 12 tags         | next | 12 references                               |
 *	 +-----------------+------+---------------------------------------------+
 * A tag is 8 bits of the hash, never 0; 0 = the slot is empty. NEXT is an overflow bucket, 0 = none. */
struct bucket {
	uint8_t tags[BUCKET_SLOTS];
	uint32_t next;
	uint32_t refs[BUCKET_SLOTS];
} __attribute__((aligned(CACHE_LINE)));

static_assert(sizeof(struct bucket) == CACHE_LINE, "one line");
static_assert(offsetof(struct bucket, refs) == 16, "layout");

/* SEQUENCE is odd while a writer changes what the stripe covers. */
struct stripe {
	struct lock lock;
	uint32_t sequence;
} __attribute__((aligned(CACHE_LINE)));

struct slot {
	struct bucket *bucket;
	unsigned n;
};

/* ---------------------------------------------------------------- ghosts */

#define GHOST_WAYS 8

struct ghost_bucket {
	uint32_t entries[GHOST_WAYS]; /* tag << 16 | time of its class; newest first; 0 = empty */
};

/* ---------------------------------------------------------------- threads */

/* Written by one thread, read by all. */
struct thread_counters {
	uint64_t hits[CLASSES_MAX];
	uint64_t sets[CLASSES_MAX];
	uint64_t set_bytes;
	uint64_t read_retries;
	uint64_t found_expired, found_flushed; /* look-ups that met a dead item */
	uint32_t failed;                       /* reads in a row that came out torn */

	uint32_t heats; /* in HEATED, or more: only the last ones are */
	uint32_t heated[HEATED_MAX];
} __attribute__((aligned(CACHE_LINE)));

/* ---------------------------------------------------------------- moving a page */

/* An empty page, of no class, that may be cut for class TO when the readers that its NUMBER stands for are gone. */
struct leaving {
	uint32_t page, to;
	uint64_t number;
};

/* Guarded by MOVE. */
struct mover {
	struct lock lock;
	struct leaving leaving[LEAVING_MAX]; /* oldest first */
	unsigned nleaving;
	uint64_t left;     /* the last number given */
	uint64_t gone;     /* atomic: the readers of the pages up to this number are gone */
	uint32_t page;     /* being emptied; NONE = none; figures read it without the lock */
	uint32_t from, to; /* classes; TO 0 = back to the system */
	uint32_t cursor;
	unsigned passes;
	unsigned waited;  /* passes that left something to the upkeep */
	bool waits;       /* this one does */
	uint32_t gave_up; /* see mover_gave_up */
	/* The balancer's window. */
	uint64_t window_requests; /* hits and sets at its start */
	uint64_t window_bytes;    /* bytes set until then */
	uint32_t moves_left;      /* pages that may still move in it */
	uint64_t mark_bytes;      /* bytes set until the last mark */
};

/* What became of the chunks of pages that were emptied. Written under MOVE, read by anybody. */
struct move_counters {
	uint64_t rescues, piece_rescues, reclaims, busy;
};

struct observer {
	store_observer *call; /* NULL = the slot was never taken */
	void *context;
	bool on; /* atomic */
};

struct store {
	/* Read by every request, hardly ever written. */
	char *chunk_base; /* CHUNK_UNIT before the arena; see "references" */
	struct stripe *stripes;
	struct bucket *buckets;
	uint8_t *page_class; /* of each page; 0 = none */
	uint16_t
	    *page_cut; /* BY_PAGE: units from one chunk of a page to the next, as it was last cut */
	struct thread_counters *threads;
	uint64_t flush_version; /* what was born at or before it is gone */
	uint64_t stripe_bits;   /* of a hash, those that choose the stripe */
	uint32_t page_shift, page_size;
	uint32_t page_ref_shift; /* a page has so many references, as a power of two */
	bool by_page;            /* references are page and number */
	uint32_t now;
	uint32_t nbuckets;
	enum store_eviction eviction;
	uint32_t heat_full; /* from here on a hit does not raise the hit counter of an item */
	bool lfu;           /* hits are counted so */
	bool replicated;    /* atomic; see store_replicated */
	char hash_secret[HASH_SECRET_SIZE] __attribute__((aligned(CACHE_LINE)));

	/* Written by every writer. */
	uint64_t sequence __attribute__((aligned(CACHE_LINE))); /* the last version given */
	uint64_t
	    lanes; /* atomic: see store_lanes; their number less one, shifted by 32, and ours */
	uint64_t lanes_until; /* atomic: the other half's begin behind it */
	uint64_t items;
	uint64_t copies, copy_bytes; /* of them, those with STORE_COPY, and what these ask for */
	uint64_t held;               /* bytes in pieces of unfinished values */

	/* Set at the start. */
	struct store_options options __attribute__((aligned(CACHE_LINE)));
	uint32_t nclasses, piece_class, chunk_max;
	uint32_t pages_max;         /* as many as there are addresses for */
	uint8_t *size_class;        /* of a size, by size / CHUNK_UNIT rounded up */
	struct slab_class *classes; /* 1 to nclasses */
	struct observer observers[STORE_OBSERVERS_MAX];
	unsigned nobservers;
	struct reserve arena, table, overflow, ghost, counters;

	/* Guarded by PAGES. */
	struct lock pages_lock __attribute__((aligned(CACHE_LINE)));
	struct page *pages;
	uint32_t pages_limit; /* as -m says */
	uint32_t pages_made;  /* pages below this number were used at least once */
	uint32_t free_page;   /* list */
	uint32_t free_pages;
	uint32_t pages_held; /* in classes, or on the way from one to another */
	bool limit_kept;     /* no longer growing: memory is full */

	/* By hash; see concat_put. */
	struct lock joins[JOIN_LOCKS] __attribute__((aligned(CACHE_LINE)));

	/* Guarded by GROW. */
	struct lock grow_lock __attribute__((aligned(CACHE_LINE)));

	/* Guarded by OVERFLOW. */
	struct lock overflow_lock __attribute__((aligned(CACHE_LINE)));
	uint32_t overflow_made, overflow_free, overflow_used;

	uint32_t ghost_buckets __attribute__((aligned(CACHE_LINE))); /* grows under GROW */
	uint32_t flush_at; /* a flush that is not due yet; 0 = none */
	unsigned automove;
	store_waker *wake; /* atomic, NULL = there is no upkeep */
	void *wake_context;
	bool memory_asked; /* atomic: see memory_ask */
	uint32_t dropped;  /* atomic: as thread_dropped, what waits for the upkeep */
	struct mover mover;
	uint64_t pages_moved, pages_moved_at_reset, retries_at_reset;
	struct move_counters moves, moves_at_reset;
	uint64_t expired_at_reset, flushed_at_reset;

	bool huge_pages; /* there were some, of those that were asked for */

	/* What became of the memory file. */
	bool restarted;
	const char *restart_error;

	/* The maintenance thread's own. */
	uint32_t walk_page; /* where expiry walks on */
};

/* Whether 2 MiB here and there are a good part of the limit. */
static inline bool
store_thrifty(const struct store *st)
{
	return st->options.memory_limit < THRIFTY_BELOW;
}

/* ---------------------------------------------------------------- references */

/* Of stores up to 8 GiB: where the chunk lies, in CHUNK_UNITs from the arena's start, counted from 1, so that 0 is none.
 *
 *	 31              PAGE_REF_SHIFT                0
 *	 +----------------+-----------------------------+
 *	 | page           | unit of the page            | + 1
 *	 +----------------+-----------------------------+
 *
 * Of larger ones (BY_PAGE): the page and which of its chunks it is, so that they reach farther and chunks are multiples of CHUNK_UNIT as
 * well. How a page is cut changes only when no reader can have a reference of before (move.c). A stale one that was kept over that, as
 * one to a piece's owner may be, leads to somewhere in its page, as any does. */

/* What leads from a reference by page to its chunk; in a local, where it stays in registers. */
struct page_map {
	char *base;
	const uint16_t *cut;
	uint32_t numbers, units; /* of a page, those that there can be, less one */
	unsigned ref_shift, unit_shift;
};

static ALWAYS_INLINE struct page_map
page_map_of(const struct store *st)
{
	return (struct page_map){
	    .base = st->chunk_base,
	    .cut = st->page_cut,
	    .numbers = (1u << st->page_ref_shift) - 1,
	    .units = st->page_size / CHUNK_UNIT - 1,
	    .ref_shift = st->page_ref_shift,
	    .unit_shift = st->page_shift - CHUNK_UNIT_SHIFT,
	};
}

static ALWAYS_INLINE void *
chunk_by_page(const struct page_map *map, uint32_t ref)
{
	size_t page = (ref - 1) >> map->ref_shift;
	uint32_t within = ((ref - 1) & map->numbers) * load_relaxed(&map->cut[page]) & map->units;

	return map->base + ((page << map->unit_shift) + within + 1) * CHUNK_UNIT;
}

static ALWAYS_INLINE void *
chunk_by_unit(char *base, uint32_t ref)
{
	return base + (uintptr_t)ref * CHUNK_UNIT;
}

static inline void *
chunk_at(const struct store *st, uint32_t ref)
{
	struct page_map map;

	if (likely(!st->by_page))
		return chunk_by_unit(st->chunk_base, ref);
	map = page_map_of(st);
	return chunk_by_page(&map, ref);
}

static inline struct item *
item_at(const struct store *st, uint32_t ref)
{
	return chunk_at(st, ref);
}

static inline struct piece *
piece_at(const struct store *st, uint32_t ref)
{
	return chunk_at(st, ref);
}

/* The reference of the chunk that begins at CHUNK. */
static inline uint32_t
ref_of(const struct store *st, const void *chunk)
{
	size_t offset = (size_t)((const char *)chunk - st->chunk_base), page;
	uint32_t within;

	if (likely(!st->by_page))
		return (uint32_t)(offset / CHUNK_UNIT);
	page = (offset - CHUNK_UNIT) >> st->page_shift;
	within = (uint32_t)(offset - CHUNK_UNIT) & (st->page_size - 1);
	return ((uint32_t)page << st->page_ref_shift) +
	    within / CHUNK_UNIT / load_relaxed(&st->page_cut[page]) + 1;
}

/* The class of the page in which IT lies. */
static inline uint32_t
item_class(const struct store *st, const struct item *it)
{
	/* A chunk lies a unit behind its offset from there, so the byte before it is one of its page. */
	size_t before = (size_t)((const char *)it - st->chunk_base) - 1;

	return load_relaxed(&st->page_class[before >> st->page_shift]);
}

static inline uint32_t
ref_page(const struct store *st, uint32_t ref)
{
	return (ref - 1) >> st->page_ref_shift;
}

static inline uint32_t
ref_class(const struct store *st, uint32_t ref)
{
	return load_relaxed(&st->page_class[ref_page(st, ref)]);
}

/* The reference of chunk N of a page. */
static inline uint32_t
page_chunk(const struct store *st, uint32_t page, const struct slab_class *c, uint32_t n)
{
	return (page << st->page_ref_shift) + n * c->ref_step + 1;
}

/* A large item is queued where its pieces are, any other where its chunk is. */
static inline struct slab_class *
queue_class(const struct store *st, const struct item *it)
{
	return &st->classes[item_is_large(it) ? st->piece_class : item_class(st, it)];
}

/* An item that somebody takes off its queue to evict or move it. Until he is done nobody else frees it. */
static inline bool
item_detached(uint32_t ref, const struct item *it)
{
	return load_relaxed(&it->next) == ref && load_relaxed(&it->prev) == ref;
}

static inline bool
item_expired(const struct store *st, const struct item *it)
{
	uint32_t expiry = item_expiry(it);

	return expiry != 0 && expiry <= load_relaxed(&st->now);
}

static inline bool
item_flushed(const struct store *st, const struct item *it)
{
	uint64_t flushed = load_relaxed(&st->flush_version);

	return unlikely(flushed != 0) && item_birth(it) <= flushed;
}

static inline bool
item_dead(const struct store *st, const struct item *it)
{
	return item_expired(st, it) || item_flushed(st, it);
}

/* ---------------------------------------------------------------- class.c */

enum loss { LOSS_EVICTED, LOSS_EXPIRED, LOSS_WALKED /* expired, and found by a walk */ };

int classes_init(struct store *st);
void classes_fini(struct store *st);

/* The class whose chunks hold SIZE bytes; 0 = none does. */
static inline uint32_t
class_for(const struct store *st, uint32_t size)
{
	return size > st->chunk_max ? 0 : st->size_class[(size + CHUNK_UNIT - 1) / CHUNK_UNIT];
}

/* A free chunk of class C, from its pages or with a new one; 0 = none. */
uint32_t class_take(struct store *st, struct slab_class *c);

/* Gives a chunk back. */
void class_give(struct store *st, uint32_t ref);
void class_give_locked(struct store *st, struct slab_class *c, uint32_t ref) REQUIRES(c->lock);

/* A page leaves its class (it must be empty) or comes to one: false where memory is out for its list, the page goes to the pool
 * then. */
void class_lose_page(struct store *st, struct slab_class *c, uint32_t page) REQUIRES(c->lock);
bool class_gain_page(struct store *st, struct slab_class *c, uint32_t page) REQUIRES(c->lock);

/* Takes CHUNKS off what the class has evicted since it last got a page, or was to get one. */
void class_granted(struct slab_class *c, uint32_t chunks);

/* The list of pages with room. */
void class_room_add(struct store *st, struct slab_class *c, uint32_t page) REQUIRES(c->lock);
void class_room_remove(struct store *st, struct slab_class *c, uint32_t page) REQUIRES(c->lock);

/* The free pool. page_pool_take says NONE when it is empty and the limit reached, but for what is kept back: SOME of that is for
 * a class that has nothing, all of it for one that can have nothing else. */
enum page_reserve { RESERVE_KEPT, RESERVE_SOME, RESERVE_ALL };
uint32_t page_pool_take(struct store *st, enum page_reserve reserve);
void page_pool_give(struct store *st, uint32_t page);

/* How many bytes behind the pages used so far the upkeep faults in. */
size_t pages_ahead(const struct store *st);

/* How many pages classes hold beyond the limit, less what is to be kept back. */
uint32_t page_pool_excess(struct store *st);

/* How many pages were used once; all of the limit where those that were not are kept back. */
uint32_t page_pool_taken(struct store *st);

/* Lowers *EARLIEST, of a page or class, to EXPIRY where that is less. */
void earliest_lower(uint32_t *earliest, uint32_t expiry);

/* Lowers the time before which no item of REF's page and class expires; item_note_expiry to the expiry of the queued item REF, after
 * that was written. */
void page_note_expiry(struct store *st, uint32_t ref, uint32_t expiry);
void item_note_expiry(struct store *st, uint32_t ref);

/* Random numbers for sampling; xorshift64. */
uint64_t class_random(struct slab_class *c) REQUIRES(c->lock);

/* ---------------------------------------------------------------- queue.c */

/* Puts a new item at the head of one of its class's queues, or takes it off. The item's LIFE_MAIN says which. */
void queue_push(struct store *st, struct slab_class *c, uint32_t ref, bool main) REQUIRES(c->lock);
void queue_remove(struct store *st, struct slab_class *c, uint32_t ref) REQUIRES(c->lock);

/* Puts a detached item back, or its copy: as the newest, but a large one where its age says. Takes the class's lock. */
void queue_attach(struct store *st, struct slab_class *c, uint32_t ref);

/* Takes it off and leaves it detached. */
void queue_detach(struct store *st, struct slab_class *c, uint32_t ref) REQUIRES(c->lock);

/* Whether REF is a linked item that is in a queue (so that it may be detached). */
bool queue_holds(const struct store *st, uint32_t ref);

/* ---------------------------------------------------------------- index.c */

int index_init(struct store *st);
void index_fini(struct store *st);

/* The item under KEY: its reference, 0 = none. *SLOT says where. Under the stripe's lock the answer is right;
 * without it, it is to be believed only if the stripe's sequence has not moved. */
uint32_t index_find(const struct store *st, const struct store_key *key, struct slot *slot);

/* Where REF stands; false = it is not there. */
bool index_find_ref(const struct store *st, uint64_t hash, uint32_t ref, struct slot *slot);

/* These need the stripe's lock and its sequence odd. False where no memory is to be had. */
bool index_insert(struct store *st, uint64_t hash, uint32_t ref);
void index_remove(struct store *st, uint64_t hash, struct slot slot);

/* Splits a few buckets: see index_grow. Those whose memory is not there yet wait for the upkeep, unless the table is much too
 * full. */
void index_split_some(struct store *st);

/* The upkeep's: faults in what the table will take next. */
void index_ahead(struct store *st);

/* How many items the index is made for. */
static inline uint64_t
index_room(const struct store *st)
{
	return (uint64_t)load_relaxed(&st->nbuckets) * INDEX_LOAD;
}

/* ---------------------------------------------------------------- batch.c */

/* Makes the secret that the hashes of keys depend on. */
void hash_init(struct store *st, uint64_t seed);

/* ---------------------------------------------------------------- ghost.c */

int ghost_init(struct store *st);
void ghost_fini(struct store *st);

void ghost_prefetch(const struct store *st, uint64_t hash);

/* Remembers that a key of class C was evicted. */
void ghost_add(struct store *st, struct slab_class *c, uint64_t hash) REQUIRES(c->lock);

/* Whether the key was evicted from C not long ago; forgets it. */
bool ghost_take(struct store *st, struct slab_class *c, uint64_t hash) REQUIRES(c->lock);

/* How many evictions of C are remembered. */
uint64_t ghost_window(const struct slab_class *c);

/* The upkeep's: adds buckets where there are too few; before memory is full, sees that the first are there. */
void ghost_grow(struct store *st);

/* ---------------------------------------------------------------- write.c, large.c */

struct store_key item_key(const struct store *st, const struct item *it);

/* The large items that this thread let go of under a stripe's lock and that nobody else holds, linked by NEXT; 0 = none. */
extern _Thread_local uint32_t thread_dropped;

/* Drops the hold of the link or of the maker; the chunks are free when it was the last. item_drop_later is for where a stripe is
 * locked: what is in pieces is free when the thread has unlocked it and calls drops_settle. */
void item_drop(struct store *st, uint32_t ref);
void item_drop_later(struct store *st, uint32_t ref);

void drops_free(struct store *st);

/* Frees up to MOST pieces of values that were too long to be freed by who let go of them; false = there are none. */
bool drops_work(struct store *st, unsigned most);

static inline void
drops_settle(struct store *st)
{
	if (unlikely(thread_dropped != 0))
		drops_free(st);
}

/* Takes a detached item out of the index (if nobody did) and drops it. */
void item_lose(struct store *st, uint32_t ref, enum loss loss);

/* Unlinks the item REF, which is dead or to be evicted and stands in SLOT under KEY; its stripe is locked. Who unlocks that
 * calls drops_settle. */
void item_bury(
    struct store *st, const struct store_key *key, uint32_t ref, struct slot slot, enum loss loss);

/* The value of a large item: pieces_write as store_pending_write; pieces_free up to MOST from the first on: how many, and
 * *FIRST is the rest. */
enum store_result pieces_write(
    struct store *st, struct store_pending *pending, const char *data, size_t n);
unsigned pieces_free(struct store *st, uint32_t *first, unsigned most);

/* PENDING is linked or gone: its pieces no longer count as unfinished. */
void pieces_unhold(struct store *st, struct store_pending *pending);

/* Puts PENDING's value, which is left to the caller, behind or before the one that is there. */
enum store_result concat_put(struct store *st, const struct store_key *key,
    struct store_pending *pending, const struct store_put *put, uint64_t *version);

/* Fills VIEW from a linked item under its stripe's lock. */
void item_view(const struct store *st, uint32_t ref, struct store_view *view);

/* The next version: above all others but those that a client chose to lie far above. */
uint64_t version_next(struct store *st);

/* Lets all later versions be above VERSION, unless that is so high that only nonsense can have led there. */
void version_raise(struct store *st, uint64_t version);

/* ---------------------------------------------------------------- observe.c */

void observers_tell(const struct store *st, enum store_event event, const struct store_key *key,
    const struct store_view *view, uint64_t version, uint32_t slab_class);

/* The same of item REF, which is not large, as it was set where it is. */
void observers_tell_set(const struct store *st, const struct store_key *key, uint32_t ref);

/* ---------------------------------------------------------------- evict.c, move.c, balance.c, expire.c */

/* A chunk of class C for PENDING, whatever must go for it; 0 = no memory. */
uint32_t chunk_alloc(struct store *st, uint32_t slab_class, struct store_pending *pending);

/* A step towards a page for the next pieces of PENDING: where their class has nothing to evict for them, so that not one of them has
 * to go all the way; and where it evicts for want of pages, since of the pieces of a value only the first has something to evict. */
void chunk_claim_ahead(struct store *st, struct store_pending *pending);

/* Loses the item that the policy likes least; false = there is none. */
bool evict_one(struct store *st, struct slab_class *c);

/* Whether the policy lets the item go at all. */
bool evictable(const struct store *st, const struct item *it);

/* Has store_maintain called soon; false = there is nobody to call it. */
bool upkeep_wake(const struct store *st);

/* Has memory faulted in soon; false = there is nobody to do it. */
bool memory_ask(struct store *st);

/* Begins to move a page of class FROM to class TO (0 = back to the system); false = FROM has none to give. */
bool move_start(struct store *st, uint32_t from, uint32_t to) REQUIRES(st->mover.lock);

/* Whether a page was busy just now, and would be so again: a move gave up in this second, and none has arrived since. */
static inline bool
mover_gave_up(const struct store *st)
{
	return st->mover.gave_up == load_relaxed(&st->now) + 1;
}

/* Works on it, on its chunks and all that goes with them up to BUDGET (see thread_worked) and one chunk more. What takes longer
 * waits for the UPKEEP, which is woken for it. MOVE_LEFT: it is empty; where there is an upkeep it has been told, else the readers have been
 * waited for. */
enum move_state { MOVE_UNDER_WAY, MOVE_LEFT, MOVE_GIVEN_UP };
enum move_state move_step(struct store *st, unsigned budget, bool upkeep) REQUIRES(st->mover.lock);

/* Hands over the pages whose readers are gone; true = one of them came to class TO. */
bool move_arrivals(struct store *st, uint32_t to) REQUIRES(st->mover.lock);

/* Waits for the readers of the pages up to number LEFT. The upkeep does it without the lock: meanwhile all others pass by. */
void move_await(struct store *st, uint64_t left);

/* Tries to get a page for C. WANT: from a class to which it is of no use. AHEAD: from any class, since C will need it. NEED: C
 * has nothing; also what was kept back. All of these do a step of the way at most. MUST: as NEED, but goes all the way, and
 * waits for other threads. True = there is progress and a chunk may be had. */
enum claim { CLAIM_WANT, CLAIM_AHEAD, CLAIM_NEED, CLAIM_MUST };
bool balance_claim(struct store *st, struct slab_class *c, enum claim how);

/* A slice of balancing; the milliseconds to wait before the next. */
unsigned balance_maintain(struct store *st);

/* Removes the expired items of a page; returns how many. */
unsigned expire_page(struct store *st, uint32_t page);

/* A slice of the walk over all pages; returns the milliseconds to wait before the next. */
unsigned expire_maintain(struct store *st);

/* Removes dead items of class C and says how many: expire_glance of a few chunks, expire_class of up to a few pages. */
unsigned expire_glance(struct store *st, struct slab_class *c);
unsigned expire_class(struct store *st, struct slab_class *c);

/* ---------------------------------------------------------------- restart.c */

/* Takes up what the last process saved: NULL, or why the store is empty. BROKEN: it is not even that. */
const char *restart_take_up(struct store *st, bool *broken);

/* The descriptor of the memory file, made SIZE bytes large, or a negative errno. */
int memory_file_open(const char *path, size_t size);

/* ---------------------------------------------------------------- thread.c */

/* This thread's number, from 1; 0 = it has not joined. */
extern _Thread_local unsigned thread_number;

/* Where this thread's counters are, in bytes from the first thread's. */
extern _Thread_local size_t thread_place;

/* How often this thread has let go of what it saw: passed a quiescent point or paused, be it within a call. */
extern _Thread_local uint16_t thread_lapses;

/* The item that this thread does not evict, or 0: it is making the longer one that will take its place. */
extern _Thread_local uint32_t thread_spares;

/* How much this thread has done for page moves and for what others left: chunks emptied, items evicted to make room for those that
 * move, pieces freed or told their new owner, and COPIES of bytes. A unit takes a third of a microsecond or less. */
#define WORK_COPY 2048u
extern _Thread_local uint64_t thread_worked;

/* Where thread_worked stands when this request has done its share: what more there is for page moves is left to the upkeep, but
 * where there is no other way to a chunk. All chunks of a value are one request; but one of more than SHARE_FREE bytes, which takes
 * its time by its length, does a unit more for so many bytes. */
#define SHARE_WORK  2048u
#define SHARE_FREE  (1u << 20)
#define SHARE_BYTES 32u
extern _Thread_local uint64_t thread_share;

/* Returns when every other thread has passed a quiescent point since the call, or is paused, so that nobody uses what could not
 * be found any more when it began. A quiescent point of the caller's. No lock that others wait for without pausing may be held,
 * which are all but MOVE and JOIN. */
void thread_await_readers(void);

static inline struct thread_counters *
thread_counters(const struct store *st)
{
	ASSERT(thread_number != 0);
	return (struct thread_counters *)(void *)((char *)st->threads + thread_place);
}

/* Sums over all threads: hits and sets of a class, bytes set. */
uint64_t thread_hits(const struct store *st, uint32_t slab_class);
uint64_t thread_sets(const struct store *st, uint32_t slab_class);
uint64_t thread_set_bytes(const struct store *st);
uint64_t thread_requests(const struct store *st); /* hits and sets of all classes */
uint64_t thread_retries(const struct store *st);
uint64_t thread_found_expired(const struct store *st);
uint64_t thread_found_flushed(const struct store *st);

#endif
