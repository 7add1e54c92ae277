/* t/slab/test_stops.c: how long a request can be stopped by what goes on beside it: sizes that shift from class to class,
 * so that pages move, and a table that grows. Work is counted, since no noise of the machine disturbs that: chunks
 * emptied for page moves and buckets split. Processor time is shown beside it.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "slab/impl.h"
#include "t/slab/model.h"

#define MIB          (1u << 20)
#define KEY          18u
#define STEP         1600u /* chunks, and what goes with them, for each chunk taken, without upkeep */
#define SHARE        2304u  /* for a whole request, with upkeep, and what it evicts for its value */
#define BEYOND       4u     /* requests of a shift that empty whole pages, having no other way */
#define STEP_MUST    40000u /* then: twice all that a value takes the place of */
#define BUDGET       150u   /* of a step */
#define SPLITS       4u     /* buckets that one write may split */
#define TIME_BUCKETS 64u    /* of 100 us each */
#define TIME_BUCKET  100000u

struct load {
	struct random_state chance;
	struct store *st;
	uint32_t next; /* number of the next key */
	char *value;
	bool write_only, has_upkeep;
	pthread_t upkeep;
	sem_t wanted;
	atomic_bool over;
	uint64_t requests, refused;
	uint64_t beyond;  /* requests that emptied more than SHARE, or STEP for each of theirs */
	uint64_t most;    /* chunks emptied by one request, or for each chunk that it took */
	uint64_t longest; /* nanoseconds of processor time of one request */
	uint64_t times[TIME_BUCKETS];
};

struct sizes {
	const char *name;
	size_t low, high;
};

static uint64_t
thread_time(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
wake(void *context)
{
	struct load *l = context;

	(void)sem_post(&l->wanted);
}

static void *
upkeep_main(void *arg)
{
	struct load *l = arg;

	store_thread_join();
	while (!atomic_load(&l->over)) {
		unsigned rest = store_maintain(l->st);
		struct timespec until;

		store_thread_pause();
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += (rest < 10 ? rest : 10) * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)sem_timedwait(&l->wanted, &until);
		store_thread_resume();
	}
	store_thread_leave();
	return NULL;
}

static void
load_init(struct load *l, size_t memory)
{
	struct store_options o = {.memory_limit = memory, .index_power = 10};
	const char *error;

	memset(l, 0, sizeof(*l));
	random_init(&l->chance);
	l->value = test_calloc(1, MIB);
	assert_int_equal(store_new(&l->st, &o, &error), 0);
}

static void
upkeep_start(struct load *l)
{
	assert_int_equal(sem_init(&l->wanted, 0, 0), 0);
	store_upkeep(l->st, wake, l);
	assert_int_equal(pthread_create(&l->upkeep, NULL, upkeep_main, l), 0);
	l->has_upkeep = true;
}

static void
upkeep_stop(struct load *l)
{
	atomic_store(&l->over, true);
	wake(l);
	store_thread_pause();
	assert_int_equal(pthread_join(l->upkeep, NULL), 0);
	store_thread_resume();
	store_upkeep(l->st, NULL, NULL);
	(void)sem_destroy(&l->wanted);
}

static void
load_fini(struct load *l)
{
	store_check(l->st);
	store_free(&l->st);
	test_free(l->value);
}

/* Log-uniform between the two. */
static size_t
some_size(struct load *l, const struct sizes *s)
{
	size_t low = s->low;

	while (low * 2 <= s->high && random_below(&l->chance, 2) == 0)
		low *= 2;
	if (low == s->high)
		return low;
	return low + random_below(&l->chance, (low * 2 < s->high ? low * 2 : s->high) - low);
}

/* All keys are as long: the size of the value alone says which class it is. */
static struct store_key
stop_key(const struct store *st, char *to, uint32_t n)
{
	memset(to, 'k', KEY);
	memcpy(to, &n, sizeof(n));
	return store_key(st, to, KEY);
}

static enum store_result
set(struct load *l, uint32_t n, size_t size)
{
	struct store_head head = {.size = size};
	struct store_put put = {.mode = STORE_SET};
	struct store_pending pending;
	char name[STORE_KEY_MAX];
	struct store_key key = stop_key(l->st, name, n);
	enum store_result result;
	uint64_t version;

	if (size <= l->st->chunk_max / 2) {
		result = store_offer(l->st, &pending, &key, &head, l->value);
		return result != STORE_OK ? result
					  : store_put(l->st, &key, &pending, &put, &version);
	}
	result = store_alloc(l->st, &pending, &key, &head);
	if (result == STORE_OK)
		result = store_pending_write(l->st, &pending, l->value, size);
	return result != STORE_OK ? result : store_put(l->st, &key, &pending, &put, &version);
}

static bool
get(struct load *l, uint32_t n)
{
	struct store_view view;
	char name[STORE_KEY_MAX];
	struct store_key key = stop_key(l->st, name, n);

	do {
		if (!store_read_begin(l->st, &key, STORE_READ_COUNT, &view))
			return false;
	} while (!store_read_end(l->st, &view));
	return true;
}

static void
request(struct load *l, size_t size)
{
	uint64_t chunks = 2 + size / (l->st->chunk_max - ITEM_HEADER);
	uint64_t time = thread_time(), work = thread_worked;

	l->refused += set(l, l->next, size) != STORE_OK;
	work = thread_worked - work;
	if (!l->has_upkeep)
		work = (work + chunks - 1) / chunks;
	time = thread_time() - time;
	l->most = work > l->most ? work : l->most;
	l->beyond += work > (l->has_upkeep ? SHARE : STEP);
	l->longest = time > l->longest ? time : l->longest;
	l->times[time / TIME_BUCKET < TIME_BUCKETS ? time / TIME_BUCKET : TIME_BUCKETS - 1]++;
	if (!l->write_only)
		(void)get(l, (uint32_t)random_below(&l->chance, l->next + 1));
	l->next++;
	store_thread_quiescent();
	l->requests++;
}

/* Stores as many bytes as the limit, and shows what that cost. */
static void
shift(struct load *l, const struct sizes *s)
{
	uint64_t limit = (uint64_t)l->st->pages_limit << l->st->page_shift;
	uint64_t slow = 0;

	l->most = l->longest = l->requests = l->beyond = 0;
	memset(l->times, 0, sizeof(l->times));
	for (uint64_t bytes = 0; bytes < limit;) {
		size_t size = some_size(l, s);

		request(l, size);
		bytes += size + ITEM_HEADER + KEY;
	}
	for (unsigned i = 1000000 / TIME_BUCKET; i < TIME_BUCKETS; i++)
		slow += l->times[i];
	printf(
	    "  %-16s %8lu sets, at most %5lu chunks emptied for one, %lu beyond that, longest %6.3f ms,"
	    " %lu above 1 ms\n",
	    s->name, l->requests, l->most, l->beyond, (double)l->longest / 1e6, slow);
}

static void
shift_all(struct load *l)
{
	static const struct sizes all[] = {
	    {"10 B", 10, 10},
	    {"1000 B", 1000, 1000},
	    {"10 B to 1 KB", 10, 1000},
	    {"500 KB", 500000, 500000},
	    {"100 B", 100, 100},
	    {"10 KB", 10000, 10000},
	    {"10 B to 900 KB", 10, 900000},
	    {"10 B", 10, 10},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		shift(l, &all[i]);
		assert_true(l->beyond <= BEYOND);
		assert_true(l->most <= STEP_MUST);
	}
	assert_int_equal(l->refused, 0);
}

static void
moves_are_done_in_steps(void **state)
{
	struct load l;

	(void)state;
	load_init(&l, 32 * MIB);
	upkeep_start(&l);
	shift_all(&l);
	upkeep_stop(&l);
	load_fini(&l);
}

static void
so_they_are_without_upkeep(void **state)
{
	struct load l;

	(void)state;
	load_init(&l, 16 * MIB);
	shift_all(&l);
	load_fini(&l);
}

/* A write splits a few buckets, whatever the table's size. */
static void
the_table_grows_in_steps(void **state)
{
	struct load l;

	(void)state;
	load_init(&l, 64 * MIB);
	upkeep_start(&l);
	for (int i = 0; i < 300000; i++) {
		uint32_t before = l.st->nbuckets;

		request(&l, 20);
		assert_true(l.st->nbuckets - before <= SPLITS);
	}
	upkeep_stop(&l);
	/* What waited for memory to be there. */
	while (l.st->items > index_room(l.st))
		request(&l, 20);
	load_fini(&l);
}

/* ---------------------------------------------------------------- memory that is faulted in ahead */

struct asked {
	struct store *st;
	bool now;
	unsigned times;
};

static void
ask(void *context)
{
	struct asked *a = context;

	a->now = true;
	a->times++;
}

static void
asked_init(struct asked *a, size_t memory)
{
	struct store_options o = {.memory_limit = memory, .index_power = 10};
	const char *error;

	*a = (struct asked){0};
	assert_int_equal(store_new(&a->st, &o, &error), 0);
	store_upkeep(a->st, ask, a);
	(void)store_maintain(a->st);
}

static void
set_small(struct store *st, uint32_t n, size_t size)
{
	static const char value[1000];
	struct store_head head = {.size = size};
	char name[STORE_KEY_MAX];
	struct store_key key = stop_key(st, name, n);

	assert_int_equal(store_set(st, &key, &head, value), STORE_OK);
	store_thread_quiescent();
}

static bool
is_there(const struct reserve *r, uint64_t used)
{
	return used <= r->touched;
}

/* Where the upkeep comes when it is called no request meets memory that the system has yet to find and clear. */
static void
grow_and_see(size_t memory, uint32_t items, size_t size)
{
	struct asked a;

	asked_init(&a, memory);
	for (uint32_t i = 0; i < items; i++) {
		set_small(a.st, i, size);
		assert_true(
		    is_there(&a.st->table, a.st->nbuckets * (uint64_t)sizeof(struct bucket)));
		assert_true(is_there(
		    &a.st->overflow, a.st->overflow_made * (uint64_t)sizeof(struct bucket)));
		assert_true(is_there(&a.st->arena, (uint64_t)a.st->pages_made << a.st->page_shift));
		if (a.now) {
			a.now = false;
			(void)store_maintain(a.st);
		}
	}
	assert_true(a.st->items <= index_room(a.st));
	assert_true(a.times > 2 && a.times < items / 100);
	store_check(a.st);
	store_free(&a.st);
}

static void
memory_is_there_before_it_is_used(void **state)
{
	(void)state;
	grow_and_see(64 * MIB, 300000, 20);
	grow_and_see(1024 * (size_t)MIB, 300000, 20);
	grow_and_see(1024 * (size_t)MIB, 60000, 1000);
}

/* The stripe is locked while a bucket is split: it waits for its memory, but not until chains are long. */
static void
a_split_waits_for_its_memory(void **state)
{
	struct asked a;
	uint64_t there;
	uint32_t i = 0;

	(void)state;
	asked_init(&a, 64 * MIB);
	there = a.st->table.touched / sizeof(struct bucket);
	for (; a.st->items <= index_room(a.st) || a.st->nbuckets < there; i++)
		set_small(a.st, i, 20);
	for (; a.st->items <= 2 * there * INDEX_LOAD; i++) {
		assert_true(a.st->nbuckets == there);
		set_small(a.st, i, 20);
	}
	assert_true(a.times > 0 && a.times < 5);
	for (uint32_t end = i + 1000; i < end; i++)
		set_small(a.st, i, 20);
	assert_true(a.st->nbuckets > there);
	(void)store_maintain(a.st);
	for (uint32_t end = i + 100000; i < end; i++) {
		set_small(a.st, i, 20);
		(void)store_maintain(a.st);
	}
	assert_true(a.st->items <= index_room(a.st));
	store_check(a.st);
	store_free(&a.st);
}

/* ---------------------------------------------------------------- long values */

static void
set_of(struct store *st, uint32_t n, size_t size)
{
	static const char value[64 << 10];
	struct store_head head = {.size = size};
	struct store_put put = {.mode = STORE_SET};
	struct store_pending pending;
	char name[STORE_KEY_MAX];
	struct store_key key = stop_key(st, name, n);
	uint64_t version;

	assert_int_equal(store_alloc(st, &pending, &key, &head), STORE_OK);
	for (size_t done = 0; done < size; done += sizeof(value))
		assert_int_equal(store_pending_write(st, &pending, value,
				     size - done < sizeof(value) ? size - done : sizeof(value)),
		    STORE_OK);
	assert_int_equal(store_put(st, &key, &pending, &put, &version), STORE_OK);
	store_thread_quiescent();
}

static uint32_t
where_is(struct store *st, uint32_t n)
{
	char name[STORE_KEY_MAX];
	struct store_key key = stop_key(st, name, n);
	struct slot slot;

	return index_find(st, &key, &slot);
}

static void
long_init(struct asked *a)
{
	struct store_options o = {.memory_limit = 128 * MIB, .item_size_max = 120 * MIB};
	const char *error;

	*a = (struct asked){0};
	assert_int_equal(store_new(&a->st, &o, &error), 0);
	store_upkeep(a->st, ask, a);
}

/* To move the head of a long value all its pieces must know. That is not done for a request, nor with a lock held (which a
 * build with lock checks asserts). */
static void
a_long_head_moves_with_the_upkeep(void **state)
{
	struct asked a;
	uint32_t head;
	uint64_t work;

	(void)state;
	long_init(&a);
	set_of(a.st, 1, 40 * MIB);
	head = where_is(a.st, 1);
	lock_take(&a.st->mover.lock);
	assert_true(move_start(a.st, ref_class(a.st, head), a.st->piece_class));
	a.times = 0;
	for (int i = 0; i < 10; i++) {
		work = thread_worked;
		assert_int_equal(move_step(a.st, 64, false), MOVE_UNDER_WAY);
		assert_true(thread_worked - work <= 64);
	}
	assert_int_equal(where_is(a.st, 1), head);
	assert_true(a.times > 0);
	assert_int_equal(move_step(a.st, 64, true), MOVE_LEFT);
	assert_int_not_equal(where_is(a.st, 1), head);
	lock_drop(&a.st->mover.lock);
	(void)store_maintain(a.st);
	store_check(a.st);
	store_free(&a.st);
}

/* Nor by a request where it would never come to an end; but somebody who reads the value keeps it where it is. */
static void
a_pinned_head_stays(void **state)
{
	struct store_entry entry;
	struct store_pin *pin;
	struct asked a;
	char name[STORE_KEY_MAX];
	struct store_key key;
	uint32_t head;

	(void)state;
	long_init(&a);
	set_of(a.st, 1, 10 * MIB);
	key = stop_key(a.st, name, 1);
	head = where_is(a.st, 1);
	store_enter(a.st, &key, &entry);
	pin = store_entry_pin(&entry);
	store_leave(&entry);
	lock_take(&a.st->mover.lock);
	assert_true(move_start(a.st, ref_class(a.st, head), a.st->piece_class));
	while (move_step(a.st, 64, true) == MOVE_UNDER_WAY)
		;
	assert_int_equal(where_is(a.st, 1), head);
	assert_true(move_start(a.st, ref_class(a.st, head), a.st->piece_class));
	for (int i = 0; move_step(a.st, 64, false) == MOVE_UNDER_WAY; i++)
		assert_true(i < 1000);
	lock_drop(&a.st->mover.lock);
	store_unpin(a.st, pin);
	store_check(a.st);
	store_free(&a.st);
}

static uint64_t
pieces_in_use(const struct store *st)
{
	return st->classes[st->piece_class].used;
}

/* Who lets go of a long value frees some of its pieces; the rest is freed by the upkeep, or by those who need them. */
static void
long_values_are_freed_in_steps(void **state)
{
	char name[STORE_KEY_MAX];
	struct store_key key;
	struct asked a;

	(void)state;
	long_init(&a);
	key = stop_key(a.st, name, 1);
	for (int i = 0; i < 2; i++) {
		uint64_t work = thread_worked;

		set_of(a.st, 1, 100 * MIB);
		assert_int_equal(thread_worked, work);
		a.times = 0;
		assert_int_equal(store_delete(a.st, &key), STORE_OK);
		assert_true(thread_worked - work <= 512);
		assert_true(pieces_in_use(a.st) > 1000 && a.times == 1);
		store_check(a.st);
		while (i == 0 && pieces_in_use(a.st) > 0)
			(void)store_maintain(a.st);
	}
	for (uint32_t n = 2; n < 1900; n++) {
		uint64_t work = thread_worked;

		set_of(a.st, n, 60000);
		assert_true(thread_worked - work <= 64);
	}
	for (uint32_t n = 2; n < 1900; n++)
		assert_int_not_equal(where_is(a.st, n), 0);
	store_check(a.st);
	store_free(&a.st);
}

/* ---------------------------------------------------------------- what goes with a chunk */

/* As move_start, but of this page. */
static void
start_with(struct store *st, uint32_t page) REQUIRES(st->mover.lock)
{
	struct slab_class *c = &st->classes[st->page_class[page]];

	lock_take(&c->lock);
	st->pages[page].state = PAGE_DRAINING;
	if (st->pages[page].roomy)
		class_room_remove(st, c, page);
	lock_drop(&c->lock);
	st->mover.page = page;
	st->mover.from = c->id;
	st->mover.to = st->piece_class;
	st->mover.cursor = 0;
}

/* For each head that moves an item has to go, where memory is full: that is work, too, as it is to tell both its pieces. */
static void
evictions_for_room_count(void **state)
{
	struct asked a;
	struct slab_class *c;
	uint32_t page;

	(void)state;
	asked_init(&a, 4 * MIB);
	store_automove_set(a.st, 0);
	for (uint32_t n = 0; n < 100; n++)
		set_of(a.st, n, 10000);
	page = ref_page(a.st, where_is(a.st, 50));
	c = &a.st->classes[a.st->page_class[page]];
	for (uint32_t n = 100; n < 100000; n++)
		set_small(a.st, n, c->chunk_size - ITEM_HEADER - KEY);
	assert_true(a.st->limit_kept && c->n.evicted > 0);
	for (uint32_t n = 0; n < 100; n++)
		assert_int_equal(ref_page(a.st, where_is(a.st, n)), page);
	lock_take(&a.st->mover.lock);
	start_with(a.st, page);
	while (a.st->mover.cursor < 100 - BUDGET / 3) {
		uint64_t evicted = c->n.evicted;
		uint32_t from = a.st->mover.cursor, heads;

		assert_int_equal(move_step(a.st, BUDGET, false), MOVE_UNDER_WAY);
		heads = a.st->mover.cursor - from;
		assert_true(c->n.evicted - evicted + heads * (1 + 2) <= BUDGET + 16 + 1 + 2);
	}
	lock_drop(&a.st->mover.lock);
	store_check(a.st);
	store_free(&a.st);
}

/* ---------------------------------------------------------------- a reader that stays */

struct reader {
	struct store *st;
	atomic_int stage; /* 1: it reads; 2: it shall end */
};

static void *
reader_main(void *arg)
{
	struct reader *r = arg;

	store_thread_join();
	atomic_store(&r->stage, 1);
	while (atomic_load(&r->stage) != 2)
		(void)sched_yield();
	store_thread_leave();
	return NULL;
}

/* A thread that passes no quiescent point for long holds up the page, but no request. */
static void
nobody_waits_for_a_reader(void **state)
{
	static const struct sizes first = {"100 B", 100, 100}, second = {"1000 B", 1000, 1000};
	struct reader reader = {0};
	pthread_t thread;
	struct load l;
	uint64_t moved;

	(void)state;
	load_init(&l, 16 * MIB);
	upkeep_start(&l);
	l.write_only = true;
	shift(&l, &first);
	reader.st = l.st;
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &reader), 0);
	while (atomic_load(&reader.stage) != 1)
		(void)sched_yield();
	moved = load_relaxed(&l.st->pages_moved);
	shift(&l, &second);
	/* Some may have been on their way since before it came. */
	assert_true(load_relaxed(&l.st->pages_moved) - moved <= LEAVING_MAX);
	lock_take(&l.st->mover.lock);
	assert_true(l.st->mover.nleaving > 0);
	lock_drop(&l.st->mover.lock);
	atomic_store(&reader.stage, 2);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (int i = 0; i < 100 && load_relaxed(&l.st->pages_moved) <= moved + 10; i++)
		shift(&l, &second);
	assert_true(load_relaxed(&l.st->pages_moved) > moved + 10);
	assert_int_equal(l.refused, 0);
	upkeep_stop(&l);
	load_fini(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(moves_are_done_in_steps),
	    cmocka_unit_test(so_they_are_without_upkeep),
	    cmocka_unit_test(the_table_grows_in_steps),
	    cmocka_unit_test(memory_is_there_before_it_is_used),
	    cmocka_unit_test(a_split_waits_for_its_memory),
	    cmocka_unit_test(a_long_head_moves_with_the_upkeep),
	    cmocka_unit_test(a_pinned_head_stays),
	    cmocka_unit_test(long_values_are_freed_in_steps),
	    cmocka_unit_test(evictions_for_room_count),
	    cmocka_unit_test(nobody_waits_for_a_reader),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
