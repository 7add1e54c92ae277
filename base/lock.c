/* base/lock.c: the checking form of the locks. The locks that a thread holds are a small stack of its own, in
 * growing rank whatever the order of the drops was. */
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
static _Thread_local const struct lock *held[HELD_MAX];
static _Thread_local unsigned held_count;

static const char *
rank_name(enum lock_rank rank)
{
	switch (rank) {
#define LOCK(name, number, text)                                                                   \
	case LOCK_##name:                                                                          \
		return #name;
#include "base/tbl/locks.h"
#undef LOCK
	}
	return "no lock of the table";
}

/* Before the mutex is waited for: a wrong order is reported instead of being a deadlock. */
static void
held_push(const struct lock *l)
{
	const struct lock *top = held_count > 0 ? held[held_count - 1] : NULL;

	if (top != NULL && top->rank >= l->rank)
		panic("lock %s (rank %u) taken under %s (rank %u)", rank_name(l->rank),
		    (unsigned)l->rank, rank_name(top->rank), (unsigned)top->rank);
	ASSERT(held_count < HELD_MAX);
	held[held_count++] = l;
}

/* Where L stands among the locks that this thread holds; held_count where it does not. */
static unsigned
held_find(const struct lock *l)
{
	unsigned i = 0;

	while (i < held_count && held[i] != l)
		i++;
	return i;
}

static void
held_remove(const struct lock *l)
{
	unsigned i = held_find(l);

	if (i == held_count)
		panic("lock %s (rank %u) dropped by a thread that does not hold it",
		    rank_name(l->rank), (unsigned)l->rank);
	for (held_count--; i < held_count; i++)
		held[i] = held[i + 1];
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
	held_remove(l);
	ASSERT(pthread_mutex_unlock(&l->mutex) == 0);
}

void
lock_assert_held(const struct lock *l) NO_LOCK_ANALYSIS
{
	if (held_find(l) == held_count)
		panic("lock %s (rank %u) is not held", rank_name(l->rank), (unsigned)l->rank);
}
#endif
