/* slab/store.h: the store, whole: memory, items, index, expiry, eviction. The only header of this folder
 * that others include.
 *
 * A store keeps items (key, value, 32-bit client flags, expiry, version) within a memory limit. It knows no
 * socket, no protocol and no other node, starts no thread and reads no clock: its owner sets the clock and
 * calls store_maintain(). Every function may be called by any thread at any time unless it says otherwise.
 *
 * Times are seconds on the store's own clock, which begins at 1; 0 as an expiry means never.
 * Versions are 63-bit numbers that only grow for a key; they are the CAS tokens.
 */
#ifndef SLAB_STORE_H
#define SLAB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define STORE_KEY_MAX     250u
#define STORE_VALUE_MAX   (1u << 30) /* bytes; the highest item_size_max that store_new takes */
#define STORE_EXPTIME_MAX ((1u << 29) - 1) /* later expiries are cut to this: 17 years of uptime */
#define STORE_VERSION_MAX (UINT64_MAX >> 1)
#define STORE_ORDER_MAX   ((UINT64_C(1) << 61) - 1) /* of versions that the store gives by itself */

struct store;

/* ---------------------------------------------------------------- making one */

/* EVICTION(symbol, name, text): the policies, once. */
#define STORE_EVICTIONS(EVICTION)                                                                  \
	EVICTION(S3FIFO, "s3fifo", "S3-FIFO: a small queue filters what is read once")             \
	EVICTION(LRU, "lru", "the least recently read of a sample")                                \
	EVICTION(LFU, "lfu", "the least often read of a sample, with decay")                       \
	EVICTION(RANDOM, "random", "a random item")                                                \
	EVICTION(VOLATILE_LRU, "volatile-lru", "as lru, among items with an expiry")               \
	EVICTION(VOLATILE_LFU, "volatile-lfu", "as lfu, among items with an expiry")               \
	EVICTION(VOLATILE_RANDOM, "volatile-random", "as random, among items with an expiry")      \
	EVICTION(VOLATILE_TTL, "volatile-ttl", "the soonest to expire of a sample")                \
	EVICTION(NONE, "noeviction", "refuse what does not fit")

enum store_eviction {
#define EVICTION(symbol, name, text) STORE_EVICT_##symbol,
	STORE_EVICTIONS(EVICTION)
#undef EVICTION
};

/* How pages move between size classes: the weight of a class is its marginal hits times its chunk size to
 * the power of 1/2 (hits count most), 3/4 (balanced) or 1 (bytes). */
enum store_balance { STORE_BALANCE_HITS, STORE_BALANCE_BALANCED, STORE_BALANCE_BYTES };

struct store_options {
	size_t memory_limit;  /* bytes for pages; the index comes on top */
	size_t memory_max;    /* bytes that store_limit_set may raise it to; 0 = see there */
	size_t item_size_max; /* bytes; the largest item: key, value and ITEM_OVERHEAD; 0 = 1 MiB */
	unsigned
	    item_overhead; /* bytes that this limit counts beside key and value; 4 more for flags that are not 0 */
	unsigned index_power; /* the index starts with room for about 2^index_power items; 0 = 16 */
	unsigned threads;   /* how many threads will call, to choose the number of stripes; 0 = 4 */
	unsigned chunk_min; /* bytes; the smallest chunk, header included; 0 = 48 */
	double growth_factor; /* from one size class to the next; 0 = the built-in fine classes */
	enum store_eviction eviction;
	unsigned eviction_samples; /* for the sampling policies; 0 = 5 */
	unsigned promote_hits; /* hits in the small queue that make an item stay; 1 to 3; 0 = 1 */
	enum store_balance balance;
	bool
	    huge_pages; /* explicit huge pages, if there are any; transparent ones are always asked for */
	bool preallocate;        /* touch all memory at once */
	bool by_page;            /* name chunks as stores above 8 GiB do; for tests of small ones */
	uint64_t hash_seed;      /* random in production, so that nobody can aim at one bucket */
	const char *memory_file; /* holds the pages, for a warm restart; NULL = anonymous memory */
	uint64_t wall;           /* with a memory file: seconds of the calendar clock now */
};

/* Zero, or a negative errno with a sentence for the operator in *ERROR (static storage). The caller
 * owns *OUT. */
int store_new(struct store **out, const struct store_options *options, const char **error);
void store_free(struct store **st);

/* With a memory file: saves what the next store on the same file takes up, when nobody else calls the store any more. WALL
 * is the calendar clock's time in seconds; the time until the next start counts for expiry. 0 or a negative errno. */
int store_save(struct store *st, uint64_t wall);

/* Whether this store took its items up from the memory file; else *WHY says why it is empty (NULL where it has no
 * memory file). Its clock goes on from where that store's was: see store_clock. */
bool store_restarted(const struct store *st, const char **why);

/* Whether its memory is explicit huge pages. */
bool store_has_huge_pages(const struct store *st);

/* The largest sum of key and value bytes that this store can take at all. */
size_t store_item_max(const struct store *st);

/* Moves the clock; never backwards. Cheap enough for every turn of a loop. */
void store_clock_set(struct store *st, uint32_t now);
uint32_t store_clock(const struct store *st);

/* ---------------------------------------------------------------- threads */

/* Readers take no lock, so memory that changes its shape waits until every thread has let go of what it saw. Each
 * thread that calls a store (any store of the process) joins first and leaves before it ends. While joined it either
 * passes a quiescent point often (each turn of its loop, holding no view) or is paused (around whatever
 * blocks). Pins survive both. (userspace RCU, quiescent-state flavour.) */
void store_thread_join(void);
void store_thread_leave(void);
void store_thread_quiescent(void);
void store_thread_pause(void);
void store_thread_resume(void);

/* ---------------------------------------------------------------- keys */

/* A key with its hash. DATA belongs to the caller. */
struct store_key {
	const char *data;
	uint16_t len;

	/* The store's own: where store_prepare saw it, if it did, and when. */
	uint16_t lapses;
	uint64_t hash;
	void *hint;
};

/* LEN is 1 to STORE_KEY_MAX. */
struct store_key store_key(const struct store *st, const char *data, size_t len);

/* The same for N keys at once, of which DATA and LEN are set; and what their look-ups will touch is fetched into the
 * cache meanwhile, for all of them at the same time. */
void store_prepare(const struct store *st, struct store_key *keys, unsigned n);

/* The same for one that is to be looked up at once. */
void store_prepare_one(const struct store *st, struct store_key *key);

/* ---------------------------------------------------------------- reading */

enum {
	STORE_STALE = 1u,  /* invalidated; may be served while somebody recomputes it */
	STORE_WON = 2u,    /* somebody has been told to recompute it */
	STORE_TAGGED = 4u, /* a sign of the caller's, fixed when the item is made */
	STORE_COPY = 8u,   /* another node's; any change but of marks and expiry makes it our own */
};

struct store_pin;

/* What a reader sees of an item. */
struct store_view {
	uint64_t version;
	const char *value;     /* SIZE bytes; NULL where PIN holds it or it was not asked for */
	struct store_pin *pin; /* of a large value; the caller must store_unpin it */
	uint32_t size;         /* bytes of the value */
	uint32_t flags;        /* the client's */
	uint32_t exptime;      /* 0 = never */
	uint32_t age;          /* seconds since the last access; exact below STORE_AGE_EXACT */
	uint8_t marks;         /* STORE_STALE, STORE_WON */
	bool fetched;          /* read at least once before */

	/* The store's own. */
	uint8_t how;
	bool locked;
	uint32_t sequence;
	void *stripe;
	void *item;
	uint32_t ref; /* only of entries */
};

#define STORE_AGE_EXACT 36000u

enum {
	STORE_READ_VALUE = 1u, /* the value is wanted */
	STORE_READ_COUNT = 2u, /* it counts as an access: hit counter, time of last access */
	STORE_READ_META = 4u,  /* EXPTIME, AGE, MARKS and FETCHED are wanted */
};

/* Reads without a lock, in this pattern:
 *
 *	do {
 *		if (!store_read_begin(st, &key, STORE_READ_VALUE | STORE_READ_COUNT, &view))
 *			return miss;
 *		... copy what is needed out of VIEW and VALUE, to where it can be thrown away ...
 *	} while (!store_read_end(st, &view));
 *
 * Between the two calls VALUE may change under the reader, but is always readable memory and SIZE is always
 * within bounds; store_read_end says whether all that was copied is sound. Each begin that returned true
 * must be followed by its end before anything else is called on the store by this thread. A view with a PIN
 * needs no copy: it is sound at once, and the bytes stay until store_unpin. */
bool store_read_begin(
    struct store *st, const struct store_key *key, unsigned how, struct store_view *view);
bool store_read_end(struct store *st, struct store_view *view);

/* Reading many keys that were prepared is done faster, in line: slab/look.h. */

/* The size class of an item that is seen, as store_class_stats numbers them. A reader without a lock asks before
 * store_read_end. */
unsigned store_view_class(const struct store *st, const struct store_view *view);

/* The way to copy out of VIEW.value: memcpy, but for the thread sanitizer, which is told that the bytes may change
 * meanwhile. */
#if defined(__SANITIZE_THREAD__)
void store_copy(void *to, const void *from, size_t n);
#else
static inline void
store_copy(void *to, const void *from, size_t n)
{
	bytes_copy(to, from, n);
}
#endif

/* Walks the pieces of a pinned value: *CURSOR is 0 at first; false after the last piece. */
bool store_pin_next(
    struct store *st, struct store_pin *pin, uint32_t *cursor, const char **data, size_t *len);
void store_unpin(struct store *st, struct store_pin *pin);

/* ---------------------------------------------------------------- writing */

/* What happens to items; see "observers". */
enum store_event {
	STORE_EVENT_SET,
	STORE_EVENT_DELETE,
	STORE_EVENT_TOUCH,
	STORE_EVENT_MARK,
	STORE_EVENT_EVICT,
	STORE_EVENT_EXPIRE
};

enum store_result {
	STORE_OK,
	STORE_NOT_STORED, /* the mode's condition does not hold */
	STORE_NOT_FOUND,
	STORE_EXISTS, /* the version is another one */
	STORE_TOO_LARGE,
	STORE_NO_MEMORY,
};

/* What the item shall be. */
struct store_head {
	uint32_t flags;   /* the client's */
	uint32_t exptime; /* 0 = never; not after now = expired at once */
	size_t size;      /* bytes of the value */
	bool versioned;   /* it will be put with a version of the caller's choice */
	bool tagged;      /* its views bear STORE_TAGGED */
};

/* An item in the making: room for a value, invisible to others until it is put. The struct belongs to
 * the caller, what it refers to belongs to the store. A large value takes memory only as it arrives, and all that are
 * in the making together at most a quarter of the limit (unless it is one alone). */
struct store_pending {
	uint32_t ref;      /* 0 = none */
	uint32_t size;     /* bytes announced */
	uint32_t written;  /* bytes there */
	uint32_t tail;     /* the piece being filled */
	uint32_t held;     /* bytes of memory in pieces */
	uint32_t worked;   /* what its maker did for page moves meanwhile */
	const char *offer; /* the whole value, the caller's; NULL = it is in memory of the store */
	struct store_head head; /* with an offer */
};

/* STORE_OK, STORE_TOO_LARGE or STORE_NO_MEMORY; in the latter cases PENDING is empty. */
enum store_result store_alloc(struct store *st, struct store_pending *pending,
    const struct store_key *key, const struct store_head *head);

/* Instead of store_alloc and store_pending_write, for a value that is all there: STORE_OK or STORE_TOO_LARGE. VALUE stays
 * the caller's and must stay until the put, which takes memory only where it must: not where its condition does not hold,
 * nor where the old item has the same size. For store_put only. */
enum store_result store_offer(struct store *st, struct store_pending *pending,
    const struct store_key *key, const struct store_head *head, const char *value);

/* Appends N bytes of the value: STORE_OK, or STORE_NO_MEMORY after which PENDING is empty. */
enum store_result store_pending_write(
    struct store *st, struct store_pending *pending, const char *data, size_t n);

/* Gives PENDING back; an empty one is fine. */
void store_abort(struct store *st, struct store_pending *pending);

/* The condition of a put. */
enum store_mode {
	STORE_SET,
	STORE_ADD,     /* only where there is none */
	STORE_REPLACE, /* only where there is one */
	STORE_APPEND,  /* behind the value that is there, keeping its flags and expiry */
	STORE_PREPEND,
};

struct store_entry;

/* Asked last, under the stripe's lock; must not call the store. False: it is not to be stored (STORE_EXISTS). */
typedef bool store_guard(void *context, const struct store_entry *entry);

/* What another node has decided: stored only where ORDER (1 to STORE_ORDER_MAX) is above the present item's, and above the
 * last flush; STORE_EXISTS else. All later versions will be above it. */
struct store_newer {
	uint64_t order;
	bool or_equal; /* also where the orders are the same */
	store_guard *guard;
	void *guard_context;
};

struct store_put {
	enum store_mode mode;
	bool compare; /* only where the version is COMPARE_TO; STORE_NOT_FOUND without an item */
	uint64_t compare_to;
	bool create;      /* append and prepend: where there is none, PENDING becomes one */
	uint64_t version; /* the version to give it; 0 = the next */
	uint8_t marks;    /* marks of the new item */

	/* Not NULL: with STORE_SET, instead of COMPARE. VERSION is then for a versioned head whose client chose one; where
	 * it is 0, the order is the version. */
	const struct store_newer *newer;
};

/* Puts a complete PENDING under KEY, which must be the key that it was allocated for, and empties it whatever
 * comes out. *VERSION is the new version on STORE_OK. An offered one can also end in STORE_NO_MEMORY. STORE_APPEND and STORE_PREPEND can also answer
 * STORE_TOO_LARGE and STORE_NO_MEMORY, with the old value untouched. */
enum store_result store_put(struct store *st, const struct store_key *key,
    struct store_pending *pending, const struct store_put *put, uint64_t *version);

/* store_offer and store_put without a condition, in one call: STORE_OK, STORE_TOO_LARGE or STORE_NO_MEMORY. */
enum store_result store_set(struct store *st, const struct store_key *key,
    const struct store_head *head, const char *value);

/* Deletes: STORE_OK or STORE_NOT_FOUND. */
enum store_result store_delete(struct store *st, const struct store_key *key);

/* Where the item's order is at most ORDER, it is lost as by EVENT: STORE_EVENT_DELETE (observers are told that version) or
 * STORE_EVENT_EVICT. STORE_OK, STORE_NOT_FOUND, or STORE_EXISTS where it is newer. */
enum store_result store_lose_older(
    struct store *st, const struct store_key *key, uint64_t order, enum store_event event);

/* Items of one key are ordered by a number that grows with each change but of marks and expiry: the version, unless the
 * client chose that itself. This is the order of the item in a view that is locked: of an entry, an observer, a
 * walk. */
uint64_t store_view_order(const struct store_view *view);

/* ---------------------------------------------------------------- reading and writing under the lock */

/* An entry is a key whose stripe this thread has locked. Between store_enter and store_leave, which are at
 * most microseconds apart, only store_entry_* may be called by this thread. FOUND and VIEW are kept up to date
 * by the calls. A value in VIEW can be read in place; a large one only through store_entry_pin. */
struct store_entry {
	bool found;
	struct store_view view;

	/* The store's own. */
	struct store *store;
	const struct store_key *key;
	void *slot;
	unsigned slot_number;
};

/* An expired or flushed item is removed first, and is not found. */
void store_enter(struct store *st, const struct store_key *key, struct store_entry *entry);
void store_leave(struct store_entry *entry);

/* These four need FOUND. Mark's VERSION is the new one; 0 = it stays, STORE_VERSION_NEXT = the next. */
#define STORE_VERSION_NEXT UINT64_MAX

void store_entry_count(struct store_entry *entry);                   /* as an access */
void store_entry_touch(struct store_entry *entry, uint32_t exptime); /* the version stays */
void store_entry_mark(struct store_entry *entry, uint8_t set, uint8_t clear, uint64_t version);
void store_entry_delete(struct store_entry *entry);

/* The value in place: SIZE must equal the present size, and the value must not be a large one. The new
 * version is VERSION, or the next where that is 0. False where it cannot be done in place: put a new item then. */
bool store_entry_overwrite(
    struct store_entry *entry, const char *value, size_t size, uint64_t version);

/* Links a complete PENDING in place of what is there; empties it. VERSION as above; another than 0 needs a PENDING
 * that was allocated as versioned. False where the index had no memory: nothing is changed. */
bool store_entry_put(
    struct store_entry *entry, struct store_pending *pending, uint64_t version, uint8_t marks);

/* Holds the value beyond store_leave; only where SIZE > 0 and VALUE is NULL. */
struct store_pin *store_entry_pin(struct store_entry *entry);

/* ---------------------------------------------------------------- whole-store operations */

/* The highest order given or heard of; one above all of them, for the caller; and: all later ones will be above VERSION (at
 * most STORE_ORDER_MAX). */
uint64_t store_version(const struct store *st);
uint64_t store_version_take(struct store *st);
void store_version_raise(struct store *st, uint64_t version);

/* Of the versions that the store gives, every LANES-th is its own (a power of two; 1 at the start), the LANE-th of these: stores that
 * hear of each other's and have different lanes never give the same. LANE is one of the first half of them; from the version UNTIL
 * on, which others began, the one in the same place of the second half is taken: none of those who give versions there rightly do. */
void store_lanes(struct store *st, uint32_t lanes, uint32_t lane, uint64_t until);

/* All that has an order up to VERSION (at most STORE_ORDER_MAX) is gone, and refused by store_put.newer from then on; and the
 * highest such version so far. */
void store_flush_version(struct store *st, uint64_t version);
uint64_t store_flushed(const struct store *st);

/* All that was stored before AT (on the store's clock; 0 or the past = now) is gone from then on. A later call
 * replaces one that is not due yet. */
void store_flush(struct store *st, uint32_t at);

/* The limit while serving; pages are given back by store_maintain. False below the least that works or
 * above memory_max, by default 64 times the first limit and 4 GiB at least (4 times, where the process may have a limited
 * number of addresses), as far as references reach: 16 GiB in stores that begin with 8 GiB or less, 128 GiB in
 * those that begin with at most that. */
bool store_limit_set(struct store *st, size_t bytes);

/* One slice of upkeep, below 1 ms: expired memory, balance of the classes, memory faulted ahead, growth of the
 * index. One thread at a time. It may also wait for readers, which no request does then: the call is a quiescent point, and lasts
 * as long as the longest turn of any thread. Returns the milliseconds after which it should be called again (0 = at once). */
unsigned store_maintain(struct store *st);

/* There is a thread that calls store_maintain; WAKE makes it do so at once (any thread calls it, with locks held; it must not
 * block or call the store). It and CONTEXT are good until all threads that call the store are gone, or have passed a quiescent
 * point after store_upkeep(st, NULL, NULL). */
typedef void store_waker(void *context);
void store_upkeep(struct store *st, store_waker *wake, void *context);

/* Moves one page from class FROM (-1 = any; STORE_REASSIGN_BADCLASS where none has one to spare) to class TO; STORE_POOL is the
 * pool of free pages. Of a class's pages one stays. */
#define STORE_POOL 0
enum store_reassign {
	STORE_REASSIGN_OK,
	STORE_REASSIGN_BUSY,
	STORE_REASSIGN_BADCLASS,
	STORE_REASSIGN_NOSPARE,
	STORE_REASSIGN_SAME
};
enum store_reassign store_reassign(struct store *st, int from, int to);

/* 0 = pages never move by themselves; 1 = they do (the default). */
void store_automove_set(struct store *st, unsigned level);

/* ---------------------------------------------------------------- observers */

struct store_mutation {
	enum store_event event;
	const struct store_key *key;
	const struct store_view *view; /* the new state; for the last two the state that was lost */
	uint64_t version;              /* of the mutation: a deletion has one of its own */
	int slab_class;
};

/* Called under the stripe's lock for each mutation: it must not block nor call the store, but for store_view_order,
 * store_version and store_version_take. A change of STORE_COPY alone is no mutation. */
typedef void store_observer(void *context, const struct store_mutation *mutation);

/* At most STORE_OBSERVERS_MAX different ones in the store's life; calls of these two not at the same time. As long as there
 * is none, mutations cost less. One that is taken off may be called a last few times, so what it refers to must outlive
 * the store; it can be put on again. */
#define STORE_OBSERVERS_MAX 4
void store_observe(struct store *st, store_observer *observer, void *context);
void store_unobserve(struct store *st, store_observer *observer, void *context);

/* Whether copies of items are kept elsewhere. Then the order of a key's items always grows, at the price that a client's choice of a
 * version for an item without room for it (one that was not made with such a choice) gives way to the next one; and
 * each thread remembers the last items whose hit counter its reads have raised: store_heat_take visits them, those that are
 * no copies, and forgets them. Returns how many were too many to be remembered. The visitor must not call the store. */
void store_replicated(struct store *st, bool replicated);
typedef void store_heat_visitor(void *context, const struct store_key *key);
unsigned store_heat_take(struct store *st, store_heat_visitor *visit, void *context);

/* Raises the hit counter of the copy KEY: it was read elsewhere. False where there is none. */
bool store_heat(struct store *st, const struct store_key *key);

/* ---------------------------------------------------------------- walking */

/* Visits live items in no order: *CURSOR is 0 at first, false when all were seen. Each call visits the items of a
 * few buckets, one stripe locked at a time; what is stored or moved meanwhile may be missed or seen twice. The
 * visitor must not call the store. */
typedef void store_visitor(
    void *context, const struct store_key *key, const struct store_view *view, int slab_class);
bool store_walk(struct store *st, uint64_t *cursor, store_visitor *visit, void *context);

/* ---------------------------------------------------------------- figures */

struct store_stats {
	uint64_t items, bytes;       /* bytes: what the items ask for, headers included */
	uint64_t copies, copy_bytes; /* of those, what bears STORE_COPY */
	uint64_t total_items;        /* ever linked */
	uint64_t evictions, evicted_unfetched, evicted_active;
	uint64_t reclaimed, expired_unfetched; /* expired items whose memory came back */
	uint64_t walked;                       /* those of them that a walk found */
	uint64_t no_memory;                    /* refused for want of memory */
	uint64_t pages_moved;
	uint64_t rescued,
	    rescued_pieces;          /* what lived in pages that were emptied, and was copied */
	uint64_t reclaimed_in_moves; /* what was dead there */
	uint64_t busy_in_moves;      /* what could not be touched at the time */
	bool moving;                 /* a page is being emptied */
	uint64_t ghost_hits, promotions, direct_reclaims;
	uint64_t memory_limit, memory_used,
	    memory_free; /* pages in bytes: all, in classes, in the free pool */
	uint64_t
	    memory_taken; /* of the limit, by pages that were used once: all of it when only the reserve is left */
	uint64_t index_bytes, index_buckets, overflow_buckets;
	uint64_t read_retries;                 /* lock-free reads that had to start again */
	uint64_t found_expired, found_flushed; /* look-ups of any verb that met a dead item */
	size_t page_size;
	unsigned classes;
};
void store_stats(struct store *st, struct store_stats *stats);

struct store_class_stats {
	uint32_t chunk_size, chunks_per_page;
	uint64_t pages, used_chunks, free_chunks;
	uint64_t items, bytes;            /* bytes: what they ask for */
	uint64_t small_items, main_items; /* by queue */
	uint64_t evicted, evicted_nonzero, evicted_unfetched, evicted_active, no_memory, reclaimed,
	    walked, expired_unfetched;
	uint64_t evicted_time; /* seconds since the last access of the latest evicted */
	uint64_t ghost_hits, promotions, direct_reclaims, pages_in, pages_out;
	uint64_t sets, hits, deletes, touches; /* store-side counts of this class */
	uint32_t age; /* seconds since the last access of the item next in line */
};

/* Classes are numbered 1 to store_stats.classes; false for a number without one. */
bool store_class_stats(struct store *st, unsigned slab_class, struct store_class_stats *stats);

/* All counters that are not levels go to zero. */
void store_stats_reset(struct store *st);

/* Panics where an invariant is broken. Nobody else may call the store meanwhile. */
void store_check(struct store *st);

const char *store_eviction_name(enum store_eviction eviction);

#endif
