/* base/lock.h: a mutex that knows its rank.
 *
 * The order of all locks stands in base/tbl/locks.h. A build with --enable-lock-checks panics on a take against
 * the order (a try counts as a take) and on a drop of what the thread does not hold; the usual build is the bare mutex.
 *
 * That is a word, and a futex where somebody waits: the third form in U. Drepper, "Futexes Are Tricky" (2011). Nearly all
 * takes find the lock free, and then a pair costs a few instructions in line, where the library's costs 65.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "config.h"

enum lock_rank {
#define LOCK(name, rank, text) LOCK_##name = (rank),
#include "base/tbl/locks.h"
#undef LOCK
};

#if defined(__clang__)
#define THREAD_ATTR(x) __attribute__((x))
#else
#define THREAD_ATTR(x)
#endif
/* Names the lock that guards a field, for the reader: clang cannot see a field's neighbours in C. */
#define GUARDED_BY(x)

#define CAPABILITY(x)     THREAD_ATTR(capability(x))
#define REQUIRES(...)     THREAD_ATTR(requires_capability(__VA_ARGS__))
#define ACQUIRES(...)     THREAD_ATTR(acquire_capability(__VA_ARGS__))
#define RELEASES(...)     THREAD_ATTR(release_capability(__VA_ARGS__))
#define ASSERTS_HELD(...) THREAD_ATTR(assert_capability(__VA_ARGS__))
#define TRY_ACQUIRES(...) THREAD_ATTR(try_acquire_capability(__VA_ARGS__))
#define NO_LOCK_ANALYSIS  THREAD_ATTR(no_thread_safety_analysis)

enum lock_word { LOCK_FREE, LOCK_HELD, LOCK_WAITED_FOR };

struct CAPABILITY("mutex") lock {
	uint32_t word; /* atomic: enum lock_word */
#ifdef LOCK_CHECKS
	enum lock_rank rank;
#endif
};

/* For a lock in static memory, which needs no lock_init. */
#ifdef LOCK_CHECKS
#define LOCK_INITIALIZER(name)                                                                     \
	{                                                                                          \
		LOCK_FREE, LOCK_##name                                                             \
	}
#else
#define LOCK_INITIALIZER(name)                                                                     \
	{                                                                                          \
		LOCK_FREE                                                                          \
	}
#endif

/* L is memory of the caller, at one place for as long as it is a lock; nobody holds it at lock_fini. */
void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);

/* Between lock.h and lock.c: waits until the lock is taken; wakes one that waits. */
void lock_wait(struct lock *l);
void lock_wake(struct lock *l);

static inline bool
lock_word_try(struct lock *l)
{
	uint32_t found = LOCK_FREE;

	return __atomic_compare_exchange_n(
	    &l->word, &found, LOCK_HELD, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void
lock_word_take(struct lock *l)
{
	if (unlikely(!lock_word_try(l)))
		lock_wait(l);
}

static inline void
lock_word_drop(struct lock *l)
{
	if (unlikely(__atomic_exchange_n(&l->word, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_WAITED_FOR))
		lock_wake(l);
}

/* lock_try takes the lock only where nobody holds it; true when taken. lock_assert_held is for where the analysis
 * cannot see that this thread holds it: it tells clang so, and a checking build panics where that is not true; as it does at
 * lock_assert_below where this thread holds a lock of RANK or above. */
#ifdef LOCK_CHECKS
void lock_take(struct lock *l) ACQUIRES(*l);
bool lock_try(struct lock *l) TRY_ACQUIRES(true, *l);
void lock_drop(struct lock *l) RELEASES(*l);
void lock_assert_held(const struct lock *l) ASSERTS_HELD(*l);
void lock_assert_below(enum lock_rank rank);
#else
static inline void lock_take(struct lock *l) ACQUIRES(*l);
static inline bool lock_try(struct lock *l) TRY_ACQUIRES(true, *l);
static inline void lock_drop(struct lock *l) RELEASES(*l);
static inline void lock_assert_held(const struct lock *l) ASSERTS_HELD(*l);
static inline void lock_assert_below(enum lock_rank rank);

static inline void
lock_take(struct lock *l) NO_LOCK_ANALYSIS
{
	lock_word_take(l);
}

static inline bool
lock_try(struct lock *l) NO_LOCK_ANALYSIS
{
	return lock_word_try(l);
}

static inline void
lock_drop(struct lock *l) NO_LOCK_ANALYSIS
{
	lock_word_drop(l);
}

static inline void
lock_assert_held(const struct lock *l) NO_LOCK_ANALYSIS
{
	(void)l;
}

static inline void
lock_assert_below(enum lock_rank rank)
{
	(void)rank;
}
#endif

#endif
