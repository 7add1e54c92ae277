/* base/lock.c: the checking form of the locks. The ranks that a thread holds are a small stack of its own. */
#include "base/lock.h"

#include "base/assert.h"

void
lock_init(struct lock *l, enum lock_rank rank)
{
	if (pthread_mutex_init(&l->mutex, NULL) != 0)
		panic("cannot make a mutex");
#ifdef LOCK_CHECKS
	l->rank = rank;
#else
	(void)rank;
#endif
}

void
lock_fini(struct lock *l)
{
	(void)pthread_mutex_destroy(&l->mutex);
}

#ifdef LOCK_CHECKS
#define HELD_MAX 16
static _Thread_local enum lock_rank held[HELD_MAX];
static _Thread_local unsigned held_count;

static void
held_push(const struct lock *l)
{
	if (held_count > 0 && held[held_count - 1] >= l->rank)
		panic("lock of rank %d taken under rank %d", l->rank, held[held_count - 1]);
	ASSERT(held_count < HELD_MAX);
	held[held_count++] = l->rank;
}

void
lock_take(struct lock *l) NO_LOCK_ANALYSIS
{
	held_push(l);
	ASSERT(pthread_mutex_lock(&l->mutex) == 0);
}

bool
lock_try(struct lock *l) NO_LOCK_ANALYSIS
{
	if (pthread_mutex_trylock(&l->mutex) != 0)
		return false;
	held_push(l);
	return true;
}

void
lock_drop(struct lock *l) NO_LOCK_ANALYSIS
{
	unsigned i = held_count;

	while (i > 0 && held[i - 1] != l->rank)
		i--;
	ASSERT(i > 0);
	for (; i < held_count; i++)
		held[i - 1] = held[i];
	held_count--;
	ASSERT(pthread_mutex_unlock(&l->mutex) == 0);
}
#endif
