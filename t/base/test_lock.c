/* t/base/test_lock.c: locks exclude, and the checking build refuses a wrong order (in a child, which panics). */
#include "base/lock.h"

#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "t/lib/child.h"
#include "t/lib/unit.h"

#define THREADS 4
#define ROUNDS  20000

static struct lock counter_lock;
static uint64_t counter;

static void *
count(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		lock_take(&counter_lock);
		counter++;
		lock_drop(&counter_lock);
	}
	return arg;
}

static void
threads_exclude_each_other(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	lock_init(&counter_lock, LOCK_CONFIG);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(counter, THREADS * ROUNDS);
	lock_fini(&counter_lock);
}

static void *
try_once(void *arg)
{
	struct lock *l = arg;

	if (!lock_try(l))
		return NULL;
	lock_drop(l);
	return l;
}

static void
try_takes_only_what_is_free(void **state)
{
	struct lock l;
	pthread_t thread;
	void *got;

	(void)state;
	lock_init(&l, LOCK_CONFIG);
	lock_take(&l);
	assert_int_equal(pthread_create(&thread, NULL, try_once, &l), 0);
	assert_int_equal(pthread_join(thread, &got), 0);
	assert_null(got);
	lock_drop(&l);
	assert_int_equal(pthread_create(&thread, NULL, try_once, &l), 0);
	assert_int_equal(pthread_join(thread, &got), 0);
	assert_ptr_equal(got, &l);
	lock_fini(&l);
}

#ifdef LOCK_CHECKS
static struct lock low, middle, high;
static struct child_end end;

static void
init_three(void)
{
	log_init("locks", LOG_LEVEL_ERROR, false);
	lock_init(&low, LOCK_CONFIG);
	lock_init(&middle, LOCK_STRIPE);
	lock_init(&high, LOCK_PAGES);
}

static void
growing_order(void *arg)
{
	(void)arg;
	init_three();
	lock_take(&low);
	lock_take(&middle);
	lock_take(&high);
	lock_drop(&middle);
	lock_drop(&high);
	lock_take(&middle);
	lock_drop(&middle);
	lock_drop(&low);
	lock_take(&high);
	lock_assert_held(&high);
	lock_drop(&high);
	lock_take(&low);
	lock_assert_below(LOCK_STRIPE);
	lock_drop(&low);
	lock_assert_below(LOCK_CONFIG);
}

static void
wrong_order(void *arg)
{
	(void)arg;
	init_three();
	lock_take(&high);
	lock_take(&low);
}

/* What is left after drops in another order still counts. */
static void
wrong_order_after_drops(void *arg)
{
	(void)arg;
	init_three();
	lock_take(&low);
	lock_take(&middle);
	lock_take(&high);
	lock_drop(&low);
	lock_drop(&high);
	lock_take(&low);
}

static void
same_rank_twice(void *arg)
{
	struct lock other;

	(void)arg;
	init_three();
	lock_init(&other, LOCK_STRIPE);
	lock_take(&middle);
	lock_take(&other);
}

static void
wrong_order_by_try(void *arg)
{
	(void)arg;
	init_three();
	lock_take(&high);
	(void)lock_try(&low);
}

static void
wrong_order_by_a_try_in_vain(void *arg)
{
	(void)arg;
	init_three();
	low.word = LOCK_HELD; /* by somebody else */
	lock_take(&high);
	(void)lock_try(&low);
}

static void
itself_twice(void *arg)
{
	(void)arg;
	init_three();
	lock_take(&low);
	lock_take(&low);
}

static void
drop_what_is_not_held(void *arg)
{
	(void)arg;
	init_three();
	lock_drop(&low);
}

/* A lock of the same rank is held, but not this one. */
static void
drop_the_twin(void *arg)
{
	struct lock twin;

	(void)arg;
	init_three();
	lock_init(&twin, LOCK_STRIPE);
	lock_take(&middle);
	lock_drop(&twin);
}

/* Another lock of its rank is held. */
static void
assert_what_is_not_held(void *arg)
{
	struct lock twin;

	(void)arg;
	init_three();
	lock_init(&twin, LOCK_STRIPE);
	lock_take(&twin);
	lock_assert_held(&middle);
}

/* One of that very rank counts, as does one above it. */
static void
assert_below_what_is_held(void *arg)
{
	(void)arg;
	init_three();
	lock_take(&middle);
	lock_assert_below(LOCK_STRIPE);
}

static void
must_panic(void (*body)(void *), const char *word)
{
	assert_true(child_run(body, NULL, &end));
	assert_true(child_aborted(&end));
	if (strstr(end.err, word) == NULL)
		fail_msg("no \"%s\" in: %s", word, end.err);
}

static void
order_is_checked(void **state)
{
	(void)state;
	assert_true(child_run(growing_order, NULL, &end));
	assert_string_equal(end.err, "");
	assert_true(child_returned(&end));
	must_panic(wrong_order, "CONFIG (rank 10) taken under PAGES (rank 60)");
	must_panic(wrong_order_after_drops, "CONFIG (rank 10) taken under STRIPE (rank 40)");
	must_panic(same_rank_twice, "STRIPE (rank 40) taken under STRIPE (rank 40)");
	must_panic(wrong_order_by_try, "CONFIG (rank 10) taken under PAGES (rank 60)");
	must_panic(wrong_order_by_a_try_in_vain, "CONFIG (rank 10) taken under PAGES (rank 60)");
	must_panic(itself_twice, "CONFIG (rank 10) taken under CONFIG (rank 10)");
}

static void
drops_are_checked(void **state)
{
	(void)state;
	must_panic(
	    drop_what_is_not_held, "CONFIG (rank 10) dropped by a thread that does not hold it");
	must_panic(assert_what_is_not_held, "STRIPE (rank 40) is not held");
	must_panic(assert_below_what_is_held, "STRIPE (rank 40) is held");
	must_panic(drop_the_twin, "STRIPE (rank 40) dropped by a thread that does not hold it");
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_exclude_each_other),
	    cmocka_unit_test(try_takes_only_what_is_free),
#ifdef LOCK_CHECKS
	    cmocka_unit_test(order_is_checked),
	    cmocka_unit_test(drops_are_checked),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
