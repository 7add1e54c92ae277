/* base/lock.h: a mutex that knows its rank.
 *
 * The order of all locks stands in base/tbl/locks.h. Errors of the pthread calls are bugs of ours and panic.
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
#define CAPABILITY(x)    THREAD_ATTR(capability(x))
#define GUARDED_BY(x)    THREAD_ATTR(guarded_by(x))
#define REQUIRES(...)    THREAD_ATTR(requires_capability(__VA_ARGS__))
#define ACQUIRES(...)    THREAD_ATTR(acquire_capability(__VA_ARGS__))
#define RELEASES(...)    THREAD_ATTR(release_capability(__VA_ARGS__))
#define TRY_ACQUIRES(...) THREAD_ATTR(try_acquire_capability(__VA_ARGS__))
#define NO_LOCK_ANALYSIS THREAD_ATTR(no_thread_safety_analysis)

struct CAPABILITY("mutex") lock {
	pthread_mutex_t mutex;
#ifdef LOCK_CHECKS
	enum lock_rank rank;
#endif
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);

#ifdef LOCK_CHECKS
void lock_take(struct lock *l) ACQUIRES(*l);
bool lock_try(struct lock *l) TRY_ACQUIRES(true, *l);
void lock_drop(struct lock *l) RELEASES(*l);
#else
static inline void ACQUIRES(*l) NO_LOCK_ANALYSIS
lock_take(struct lock *l)
{
	(void)pthread_mutex_lock(&l->mutex);
}

/* Takes the lock only where nobody holds it; true when taken. */
static inline bool TRY_ACQUIRES(true, *l) NO_LOCK_ANALYSIS
lock_try(struct lock *l)
{
	return pthread_mutex_trylock(&l->mutex) == 0;
}

static inline void RELEASES(*l) NO_LOCK_ANALYSIS
lock_drop(struct lock *l)
{
	(void)pthread_mutex_unlock(&l->mutex);
}
#endif

#endif
