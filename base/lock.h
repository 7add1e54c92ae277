/* base/lock.h: a mutex that knows its rank.
 *
 * The order of all locks stands in base/tbl/locks.h. A build with --enable-lock-checks panics on a take against
 * the order (a try counts as a take), on a drop of what the thread does not hold, and on every error of a pthread
 * call; the usual build is the bare mutex.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

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

struct CAPABILITY("mutex") lock {
	pthread_mutex_t mutex;
#ifdef LOCK_CHECKS
	enum lock_rank rank;
#endif
};

/* L is memory of the caller, at one place for as long as it is a lock; nobody holds it at lock_fini. */
void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);

/* lock_try takes the lock only where nobody holds it; true when taken. lock_assert_held is for where the analysis
 * cannot see that this thread holds it: it tells clang so, and a checking build panics where that is not true. */
#ifdef LOCK_CHECKS
void lock_take(struct lock *l) ACQUIRES(*l);
bool lock_try(struct lock *l) TRY_ACQUIRES(true, *l);
void lock_drop(struct lock *l) RELEASES(*l);
void lock_assert_held(const struct lock *l) ASSERTS_HELD(*l);
#else
static inline void lock_take(struct lock *l) ACQUIRES(*l);
static inline bool lock_try(struct lock *l) TRY_ACQUIRES(true, *l);
static inline void lock_drop(struct lock *l) RELEASES(*l);
static inline void lock_assert_held(const struct lock *l) ASSERTS_HELD(*l);

static inline void
lock_take(struct lock *l) NO_LOCK_ANALYSIS
{
	(void)pthread_mutex_lock(&l->mutex);
}

static inline bool
lock_try(struct lock *l) NO_LOCK_ANALYSIS
{
	return pthread_mutex_trylock(&l->mutex) == 0;
}

static inline void
lock_drop(struct lock *l) NO_LOCK_ANALYSIS
{
	(void)pthread_mutex_unlock(&l->mutex);
}

static inline void
lock_assert_held(const struct lock *l) NO_LOCK_ANALYSIS
{
	(void)l;
}
#endif

#endif
