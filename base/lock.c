/* base/lock.c: waiting for locks, and their checking form. The locks that a thread holds are a small stack of its own,
 * in growing rank whatever the order of the drops was. */
#include "base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

/* How often a lock is looked at before its waiter sleeps: what is done under most of them takes less time than that. */
#define LOOKS 100

void
lock_init(struct lock *l, enum lock_rank rank)
{
	l->word = LOCK_FREE;
#ifdef LOCK_CHECKS
	l->rank = rank;
#else
	(void)rank;
#endif
}

void
lock_fini(struct lock *l)
{
	ASSERT(l->word == LOCK_FREE);
}

/* Tells the core that this is a loop of waiting. */
static inline void
look_again_soon(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

/* Who sleeps has left LOCK_WAITED_FOR behind, and so does who comes after a sleep, for there may be others. */
void
lock_wait(struct lock *l)
{
	for (int i = 0; i < LOOKS; i++) {
		if (__atomic_load_n(&l->word, __ATOMIC_RELAXED) == LOCK_FREE && lock_word_try(l))
			return;
		look_again_soon();
	}
	while (__atomic_exchange_n(&l->word, LOCK_WAITED_FOR, __ATOMIC_ACQUIRE) != LOCK_FREE) {
		long result = syscall(
		    SYS_futex, &l->word, FUTEX_WAIT_PRIVATE, LOCK_WAITED_FOR, NULL, NULL, 0);

		ASSERT(result == 0 || errno == EAGAIN || errno == EINTR);
	}
}

void
lock_wake(struct lock *l)
{
	(void)syscall(SYS_futex, &l->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
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

/* Before the lock is waited for, or tried: a wrong order is reported instead of being a deadlock. */
static void
order_check(const struct lock *l)
{
	const struct lock *top = held_count > 0 ? held[held_count - 1] : NULL;

	if (top != NULL && top->rank >= l->rank)
		panic("lock %s (rank %u) taken under %s (rank %u)", rank_name(l->rank),
		    (unsigned)l->rank, rank_name(top->rank), (unsigned)top->rank);
}

static void
held_push(const struct lock *l)
{
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
	order_check(l);
	lock_word_take(l);
	held_push(l);
}

bool
lock_try(struct lock *l) NO_LOCK_ANALYSIS
{
	order_check(l);
	if (!lock_word_try(l))
		return false;
	held_push(l);
	return true;
}

void
lock_drop(struct lock *l) NO_LOCK_ANALYSIS
{
	held_remove(l);
	lock_word_drop(l);
}

void
lock_assert_held(const struct lock *l) NO_LOCK_ANALYSIS
{
	if (held_find(l) == held_count)
		panic("lock %s (rank %u) is not held", rank_name(l->rank), (unsigned)l->rank);
}

void
lock_assert_below(enum lock_rank rank)
{
	const struct lock *top = held_count > 0 ? held[held_count - 1] : NULL;

	if (top != NULL && top->rank >= rank)
		panic("lock %s (rank %u) is held", rank_name(top->rank), (unsigned)top->rank);
}
#endif
