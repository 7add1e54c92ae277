/* slab/thread.c: threads that call stores: their registration with userspace RCU, and a number each, by which
 * they find counters of their own. */
#include "slab/impl.h"

#include <urcu-qsbr.h>

static struct lock numbers_lock = LOCK_INITIALIZER(THREADS);
static bool numbers_taken[THREADS_MAX];
static unsigned numbers_used; /* all numbers ever taken are below */
_Thread_local unsigned thread_number;
_Thread_local size_t thread_place;
_Thread_local uint16_t thread_lapses;
_Thread_local uint32_t thread_spares;
_Thread_local uint64_t thread_worked;
_Thread_local uint64_t thread_share;

void
store_thread_join(void)
{
	unsigned n = 0;

	ASSERT(thread_number == 0);
	lock_take(&numbers_lock);
	while (n < THREADS_MAX && numbers_taken[n])
		n++;
	if (n == THREADS_MAX)
		panic("more than %d threads call the store", THREADS_MAX);
	numbers_taken[n] = true;
	if (n >= numbers_used)
		store_relaxed(&numbers_used, n + 1);
	lock_drop(&numbers_lock);
	thread_number = n + 1;
	thread_place = n * sizeof(struct thread_counters);
	urcu_qsbr_register_thread();
}

void
store_thread_leave(void)
{
	ASSERT(thread_number != 0);
	urcu_qsbr_unregister_thread();
	lock_take(&numbers_lock);
	numbers_taken[thread_number - 1] = false;
	lock_drop(&numbers_lock);
	thread_number = 0;
}

void
store_thread_quiescent(void)
{
	thread_lapses++;
	urcu_qsbr_quiescent_state();
}

void
store_thread_pause(void)
{
	thread_lapses++;
	urcu_qsbr_thread_offline();
}

void
store_thread_resume(void)
{
	urcu_qsbr_thread_online();
}

void
thread_await_readers(void)
{
	lock_assert_below(LOCK_STRIPE);
	thread_lapses++;
	urcu_qsbr_synchronize_rcu();
}

/* Of all threads, the counter that lies OFFSET bytes into their struct thread_counters. */
static uint64_t
sum_of(const struct store *st, size_t offset)
{
	unsigned used = load_relaxed(&numbers_used);
	uint64_t sum = 0;

	for (unsigned i = 0; i < used; i++)
		sum += load_relaxed(
		    (const uint64_t *)(const void *)((const char *)&st->threads[i] + offset));
	return sum;
}

uint64_t
thread_hits(const struct store *st, uint32_t slab_class)
{
	return sum_of(st, offsetof(struct thread_counters, hits) + slab_class * sizeof(uint64_t));
}

uint64_t
thread_sets(const struct store *st, uint32_t slab_class)
{
	return sum_of(st, offsetof(struct thread_counters, sets) + slab_class * sizeof(uint64_t));
}

uint64_t
thread_set_bytes(const struct store *st)
{
	return sum_of(st, offsetof(struct thread_counters, set_bytes));
}

uint64_t
thread_requests(const struct store *st)
{
	unsigned used = load_relaxed(&numbers_used);
	uint64_t sum = 0;

	for (unsigned i = 0; i < used; i++) {
		const struct thread_counters *one = &st->threads[i];

		for (uint32_t id = 1; id <= st->nclasses; id++)
			sum += load_relaxed(&one->hits[id]) + load_relaxed(&one->sets[id]);
	}
	return sum;
}

uint64_t
thread_retries(const struct store *st)
{
	return sum_of(st, offsetof(struct thread_counters, read_retries));
}

uint64_t
thread_found_expired(const struct store *st)
{
	return sum_of(st, offsetof(struct thread_counters, found_expired));
}

uint64_t
thread_found_flushed(const struct store *st)
{
	return sum_of(st, offsetof(struct thread_counters, found_flushed));
}
