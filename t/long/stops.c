/* t/long/stops.c: how long one call of the store takes while the table grows, pages move and long values come and go.
 *
 * Of each call: the processor time of the thread, and the time for which it slept since somebody else held something.
 * What the machine takes away from it (pre-emption) counts for neither; but what the host of a virtual machine takes does, as the
 * first lines show, which only count. So some calls may take longer than 1 ms: one in SPARED and a few.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/assert.h"
#include "slab/store.h"
#include "t/lib/random.h"

#define MIB          (1u << 20)
#define STEP         1000u  /* nanoseconds of a bucket */
#define BUCKETS      10000u /* of the histogram; the last one takes the rest */
#define PART         65536u /* bytes of a long value that come at a time */
#define REST_PART    (4 * PART)
#define KEY          20u
#define OVER         1000000u /* nanoseconds: what no call may take */
#define OVER_HALF    500000u
#define SPARED       400000u
#define SPARED_LEAST 3u

enum call { CALL_SET, CALL_ALLOC, CALL_WRITE, CALL_PUT, CALL_GET, CALL_DELETE, CALLS };

static const char *const call_names[] = {"set", "alloc", "write 64 KB", "put", "get", "delete"};

static unsigned slow_kinds;

struct times {
	uint64_t n, longest, over, over_half, waited, waits;
	uint64_t buckets[BUCKETS];
};

struct world {
	struct store *st;
	struct random_state chance;
	char *value;
	pthread_t upkeep;
	sem_t wanted;
	atomic_bool over;
	bool has_upkeep;
	struct times times[CALLS];
};

struct stamp {
	uint64_t cpu, wall;
	long slept;
};

static uint64_t
clock_read(clockid_t clock)
{
	struct timespec ts;

	ASSERT(clock_gettime(clock, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct stamp
stamp(void)
{
	struct rusage use;

	ASSERT(getrusage(RUSAGE_THREAD, &use) == 0);
	return (struct stamp){
	    clock_read(CLOCK_THREAD_CPUTIME_ID), clock_read(CLOCK_MONOTONIC), use.ru_nvcsw};
}

static void
note(struct world *w, enum call call, const struct stamp *from)
{
	struct stamp to = stamp();
	struct times *t = &w->times[call];
	uint64_t time = to.cpu - from->cpu, slept = to.wall - from->wall;

	t->n++;
	t->longest = time > t->longest ? time : t->longest;
	t->over += time > OVER;
	t->over_half += time > OVER_HALF;
	t->buckets[time / STEP < BUCKETS ? time / STEP : BUCKETS - 1]++;
	slept = slept > time ? slept - time : 0;
	if (to.slept != from->slept) {
		t->waits++;
		t->waited = slept > t->waited ? slept : t->waited;
	}
}

/* Microseconds that PER_MILLION of the calls do not exceed. */
static double
quantile(const struct times *t, uint64_t per_million)
{
	uint64_t rank = t->n * per_million / 1000000, seen = 0;
	unsigned i = 0;

	while (i < BUCKETS - 1 && (seen += t->buckets[i]) <= rank)
		i++;
	return (double)(i + 1) * STEP / 1000;
}

/* Shows what was measured under WHAT, and begins again. */
static void
report(struct world *w, const char *what)
{
	for (int i = 0; i < CALLS; i++) {
		struct times *t = &w->times[i];

		if (t->n == 0)
			continue;
		slow_kinds += t->over > SPARED_LEAST + t->n / SPARED;
		printf("%-34s %-11s %9lu calls  p99 %5.0f  p99.9 %5.0f  p99.99 %5.0f  max %7.0f us"
		       "  > 0.5 ms %4lu  > 1 ms %4lu  slept %5lu, longest %7.0f us\n",
		    what, call_names[i], t->n, quantile(t, 990000), quantile(t, 999000),
		    quantile(t, 999900), (double)t->longest / 1000, t->over_half, t->over, t->waits,
		    (double)t->waited / 1000);
	}
	(void)fflush(stdout);
	memset(w->times, 0, sizeof(w->times));
}

/* ---------------------------------------------------------------- upkeep */

static void
wake(void *context)
{
	struct world *w = context;

	(void)sem_post(&w->wanted);
}

static void *
upkeep_main(void *arg)
{
	struct world *w = arg;

	store_thread_join();
	while (!atomic_load(&w->over)) {
		unsigned pause = store_maintain(w->st);
		struct timespec until;

		store_thread_pause();
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += (pause < 500 ? pause : 500) * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)sem_timedwait(&w->wanted, &until);
		while (sem_trywait(&w->wanted) == 0)
			;
		store_thread_resume();
	}
	store_thread_leave();
	return NULL;
}

static void
world_init(struct world *w, size_t mib, size_t item_max)
{
	struct store_options o = {
	    .memory_limit = mib * MIB, .item_size_max = item_max, .threads = 4};
	const char *error;

	memset(w, 0, sizeof(*w));
	random_init(&w->chance);
	w->value = calloc(1, MIB);
	ASSERT(w->value != NULL && store_new(&w->st, &o, &error) == 0);
	ASSERT(sem_init(&w->wanted, 0, 0) == 0);
	store_upkeep(w->st, wake, w);
	ASSERT(pthread_create(&w->upkeep, NULL, upkeep_main, w) == 0);
}

static void
world_fini(struct world *w)
{
	atomic_store(&w->over, true);
	wake(w);
	store_thread_pause();
	ASSERT(pthread_join(w->upkeep, NULL) == 0);
	store_thread_resume();
	store_free(&w->st);
	free(w->value);
	(void)sem_destroy(&w->wanted);
}

/* ---------------------------------------------------------------- calls */

static struct store_key
key_of(const struct store *st, char *to, uint32_t n)
{
	memset(to, 'k', KEY);
	memcpy(to, &n, sizeof(n));
	return store_key(st, to, KEY);
}

/* What is written faster than the system gives memory has to wait for it. */
static void
rest(void)
{
	const struct timespec time = {.tv_nsec = 1000000};

	store_thread_pause();
	(void)nanosleep(&time, NULL);
	store_thread_resume();
}

static void
set_long(struct world *w, const struct store_key *key, size_t size)
{
	struct store_head head = {.size = size};
	struct store_put put = {.mode = STORE_SET};
	struct store_pending pending;
	struct stamp from = stamp();
	enum store_result result = store_alloc(w->st, &pending, key, &head);
	uint64_t version;

	note(w, CALL_ALLOC, &from);
	for (size_t done = 0; result == STORE_OK && done < size; done += PART) {
		from = stamp();
		result = store_pending_write(
		    w->st, &pending, w->value, size - done < PART ? size - done : PART);
		note(w, CALL_WRITE, &from);
		store_thread_quiescent();
		if (done % REST_PART == 0)
			rest();
	}
	ASSERT(result == STORE_OK);
	from = stamp();
	ASSERT(store_put(w->st, key, &pending, &put, &version) == STORE_OK);
	note(w, CALL_PUT, &from);
}

static void
set(struct world *w, uint32_t n, size_t size, uint32_t exptime)
{
	struct store_head head = {.size = size, .exptime = exptime};
	char name[STORE_KEY_MAX];
	struct store_key key = key_of(w->st, name, n);
	struct stamp from;

	if (size > PART) {
		set_long(w, &key, size);
	} else {
		from = stamp();
		ASSERT(store_set(w->st, &key, &head, w->value) == STORE_OK);
		note(w, CALL_SET, &from);
	}
	store_thread_quiescent();
}

static bool
get(struct world *w, uint32_t n)
{
	char name[STORE_KEY_MAX];
	struct store_key key = key_of(w->st, name, n);
	struct stamp from = stamp();
	struct store_view view;
	bool found;

	do {
		found = store_read_begin(w->st, &key, STORE_READ_VALUE | STORE_READ_COUNT, &view);
	} while (found && !store_read_end(w->st, &view));
	note(w, CALL_GET, &from);
	if (found && view.pin != NULL)
		store_unpin(w->st, view.pin);
	store_thread_quiescent();
	return found;
}

static void
forget(struct world *w, uint32_t n)
{
	char name[STORE_KEY_MAX];
	struct store_key key = key_of(w->st, name, n);
	struct stamp from = stamp();

	(void)store_delete(w->st, &key);
	note(w, CALL_DELETE, &from);
	store_thread_quiescent();
}

/* ---------------------------------------------------------------- what goes on */

/* Rests after so many bytes, if any. */
static void
growth(size_t mib, uint32_t items, size_t size, size_t burst)
{
	struct world w;
	char what[64];

	world_init(&w, mib, 0);
	for (uint32_t n = 0; n < items; n++) {
		set(&w, n, size, 0);
		if (n % 4 == 0)
			(void)get(&w, (uint32_t)random_below(&w.chance, n + 1));
		if (burst != 0 && n % (burst / size) == 0)
			rest();
	}
	(void)snprintf(what, sizeof(what), "growth to %u x %zu B", items, size);
	report(&w, what);
	world_fini(&w);
}

/* Log-uniform between the two. */
static size_t
some_size(struct world *w, size_t low, size_t high)
{
	while (low * 2 <= high && random_below(&w->chance, 2) == 0)
		low *= 2;
	return low == high ? low
			   : low + random_below(&w->chance, low * 2 < high ? low : high - low);
}

static void
fill(struct world *w, uint32_t *next, uint64_t bytes, size_t low, size_t high)
{
	char what[64];

	for (uint64_t done = 0; done < bytes;) {
		size_t size = some_size(w, low, high);

		set(w, *next, size, 0);
		(void)get(w, (uint32_t)random_below(&w->chance, *next + 1));
		done += size + KEY + 26;
		++*next;
	}
	(void)snprintf(what, sizeof(what), "shift to %zu..%zu B, %lu MB", low, high, bytes / MIB);
	report(w, what);
}

static void
shifts(size_t mib)
{
	static const size_t sizes[][2] = {{10, 10}, {1000, 1000}, {10, 1000}, {500000, 500000},
	    {100, 100}, {900000, 900000}, {10, 10}, {10000, 10000}, {10, 900000}, {100, 100},
	    {60000, 60000}, {10, 10}};
	struct world w;
	uint32_t next = 0;

	world_init(&w, mib, 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		fill(&w, &next, (uint64_t)mib * MIB, sizes[i][0], sizes[i][1]);
	world_fini(&w);
}

static void
long_values(size_t mib)
{
	struct world w;
	uint32_t next = 10;

	world_init(&w, mib, STORE_VALUE_MAX);
	fill(&w, &next, (uint64_t)mib * MIB / 4 * 3, 100, 100);
	for (size_t size = MIB; size <= 1000 * (size_t)MIB; size *= 10) {
		char what[64];

		for (int i = 0; i < 3; i++) {
			set(&w, 1, size, 0);
			(void)get(&w, 1);
			set(&w, 1, 10, 0);
			set(&w, 1, size, 0);
			forget(&w, 1);
		}
		set(&w, 2, size, 0);
		(void)snprintf(what, sizeof(what), "long value of %zu MB", size / MIB);
		report(&w, what);
	}
	fill(&w, &next, (uint64_t)mib * MIB, 100, 100);
	fill(&w, &next, (uint64_t)mib * MIB, 65536, 65536);
	for (uint32_t i = 0; i < 4; i++)
		set(&w, 3 + i, 100 * MIB, 0);
	report(&w, "4 of 100 MB");
	fill(&w, &next, (uint64_t)mib * MIB, 70, 70);
	world_fini(&w);
}

/* So many requests while WHAT goes on. */
static void
beside(struct world *w, const char *what, uint32_t items, uint32_t calls, uint32_t exptime)
{
	for (uint32_t i = 0; i < calls; i++) {
		uint32_t n = (uint32_t)random_below(&w->chance, items);

		if (i % 4 == 0)
			set(w, n, 100, exptime);
		else
			(void)get(w, n);
	}
	report(w, what);
}

static void
expiries(size_t mib, uint32_t items)
{
	struct world w;

	world_init(&w, mib, 0);
	store_clock_set(w.st, 100);
	for (uint32_t n = 0; n < items; n++)
		set(&w, n, 100, 200);
	report(&w, "fill");
	store_clock_set(w.st, 200);
	beside(&w, "all expire in one second", items, items, 300);
	for (uint32_t n = 0; n < items; n++)
		set(&w, n, 100, 0);
	report(&w, "fill");
	store_flush(w.st, 0);
	beside(&w, "flush_all", items, items, 0);
	(void)store_limit_set(w.st, mib * MIB / 4);
	beside(&w, "limit to a quarter", items, items, 0);
	(void)store_limit_set(w.st, mib * MIB);
	beside(&w, "limit raised again", items, items, 0);
	for (int i = 0; i < 100; i++) {
		(void)store_reassign(w.st, -1, 30);
		for (uint32_t k = 0; k < 20000; k++)
			(void)get(&w, (uint32_t)random_below(&w.chance, items));
	}
	beside(&w, "slabs reassign", items, items, 0);
	world_fini(&w);
}

static void
noise(void)
{
	static struct world w;
	volatile uint64_t x = 0;

	for (int i = 0; i < 200000; i++) {
		struct stamp from = stamp();

		for (int k = 0; k < 20000; k++)
			x = x + 1;
		note(&w, CALL_SET, &from);
	}
	report(&w, "the clock: 10 us of counting");
}

int
main(void)
{
	store_thread_join();
	noise();
	growth(2000, 12000000, 20, 0);
	growth(2000, 1500000, 1000, 128 << 10);
	shifts(64);
	long_values(2048);
	expiries(1024, 3000000);
	store_thread_leave();
	if (slow_kinds > 0)
		printf("%u kinds of calls took more than 1 ms too often\n", slow_kinds);
	return slow_kinds > 0;
}
