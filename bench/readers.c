/* bench/readers.c: what a read costs where 1 to N threads read one store at once, in process: requests are handed to connections
 * without sockets, so that all of the server's way from the request's bytes to the answer's is in it, and nothing of the kernel's (nor the
 * copying of values above 8 KiB, which it does).
 *
 * Each thread has a core, a worker and a connection of its own, as in the server, and goes through requests of its own that were made
 * before: reads of one key, of keys drawn alike, or by Zipf's law. In the last load requests come one by one, and
 * after each all threads add one to the same word, as where references are counted in the item: it shows what a line costs that all write.
 *
 * Prints a line of JSON for each load and number of threads, loads and numbers taking turns: CPU time of the threads for each read, in
 * which what else the machine does is not counted; bench/scaling makes a table of them.
 */
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/number.h"
#include "bench/clock.h"
#include "bench/random.h"
#include "bench/zipf.h"
#include "server/clock.h"
#include "server/conn.h"
#include "server/conn_io.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/worker.h"
#include "slab/store.h"

#define THREADS_MOST 256u
#define DEPTH        32u   /* requests that arrive together */
#define BATCHES      2048u /* that often, and then again from the first on */
#define KEY_SIZE     20
#define REQUEST_SIZE (KEY_SIZE + 6) /* get KEY\r\n */
#define ZIPF_THETA   0.99

enum load { LOAD_UNIFORM, LOAD_HOT, LOAD_ZIPF, LOAD_SHARED, LOADS };

static const char *const load_names[LOADS] = {
    [LOAD_UNIFORM] = "uniform keys",
    [LOAD_HOT] = "one hot key",
    [LOAD_ZIPF] = "Zipf 0.99",
    [LOAD_SHARED] = "one hot key, one by one, counted in one word",
};

struct reader {
	struct bench *bench;
	pthread_t thread;
	unsigned id;
	enum load load;
	struct worker *worker;
	struct conn *conn;
	char *requests;
	uint64_t reads, cpu_ns;
};

struct bench {
	/* Options. */
	uint32_t threads, rounds, keys, value_size;
	double seconds;

	cpu_set_t cores;
	struct settings settings;
	struct clock clock;
	struct server server;
	pthread_barrier_t warm;
	struct reader readers[THREADS_MOST];

	_Alignas(64) bool stop;       /* atomic */
	_Alignas(64) uint64_t shared; /* atomic: of LOAD_SHARED */
};

/* ---------------------------------------------------------------- one thread */

/* The N-th of the cores that this process may use; behind the last the first is next. */
static void
pin_to(const cpu_set_t *cores, unsigned n)
{
	cpu_set_t one;

	n %= (unsigned)CPU_COUNT(cores);
	CPU_ZERO(&one);
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, cores) && n-- == 0)
			CPU_SET(cpu, &one);
	}
	ASSERT(pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0);
}

static uint64_t
cpu_ns(void)
{
	struct timespec t;

	ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
key_of(char *p, uint64_t n)
{
	char text[KEY_SIZE + 1];

	(void)snprintf(text, sizeof(text), "key-%016llu", (unsigned long long)n);
	memcpy(p, text, KEY_SIZE);
}

static void
requests_make(struct reader *r)
{
	const struct bench *b = r->bench;
	struct zipf zipf;
	struct random random;
	char *p = r->requests;

	zipf_init(&zipf, b->keys, ZIPF_THETA);
	random_init(&random, r->id + 1);
	for (unsigned i = 0; i < BATCHES * DEPTH; i++, p += REQUEST_SIZE) {
		uint64_t n = 0;

		if (r->load == LOAD_UNIFORM)
			n = random_below(&random, b->keys);
		else if (r->load == LOAD_ZIPF)
			n = zipf_draw(&zipf, &random);
		memcpy(p, "get ", 4);
		key_of(p + 4, n);
		memcpy(p + 4 + KEY_SIZE, "\r\n", 2);
	}
}

/* N requests arrive and are answered. */
static void
ask(struct conn *c, const char *requests, unsigned n)
{
	unsigned want;

	conn_input(c, requests, n * REQUEST_SIZE);
	while ((want = conn_want(c)) != CONN_WANT_INPUT) {
		ASSERT(!(want & CONN_WANT_CLOSE));
		conn_sent(c, outq_bytes(&c->out));
		if (want & CONN_WANT_TURN)
			conn_resume(c);
	}
}

/* A turn of the worker's loop: DEPTH requests, at once or each by itself. */
static void
turn(struct reader *r, unsigned batch)
{
	const char *requests = r->requests + batch * DEPTH * REQUEST_SIZE;

	worker_turn_begin(r->worker);
	if (r->load != LOAD_SHARED)
		ask(r->conn, requests, DEPTH);
	for (unsigned i = 0; r->load == LOAD_SHARED && i < DEPTH; i++) {
		ask(r->conn, requests + i * REQUEST_SIZE, 1);
		(void)add_relaxed(&r->bench->shared, 1);
	}
	(void)worker_turn_end(r->worker);
}

static void *
reader_main(void *arg)
{
	struct reader *r = arg;
	struct bench *b = r->bench;
	unsigned batch = 0;
	uint64_t begin;

	pin_to(&b->cores, r->id);
	store_thread_join();
	r->worker->awake = true;
	requests_make(r);
	for (unsigned i = 0; i < 4 * BATCHES; i++)
		turn(r, i % BATCHES);
	(void)pthread_barrier_wait(&b->warm);
	begin = cpu_ns();
	r->reads = 0;
	/* On a busy machine the time may be over before a thread has begun: each has figures nevertheless. */
	do {
		turn(r, batch);
		batch = (batch + 1) % BATCHES;
		r->reads += DEPTH;
	} while (!load_relaxed(&b->stop));
	r->cpu_ns = cpu_ns() - begin;
	worker_turn_begin(r->worker);
	store_thread_leave();
	return NULL;
}

/* ---------------------------------------------------------------- all of them */

/* Lets the threads run for as long as was asked, while the store's clock goes on. */
static void
wait_seconds(struct bench *b)
{
	const struct timespec tick = {0, 10000000};
	uint64_t begin = clock_ns(), end = begin + (uint64_t)(b->seconds * 1e9), now;
	uint32_t clock = store_clock(b->server.store);

	while ((now = clock_ns()) < end) {
		store_clock_set(b->server.store, clock + (uint32_t)((now - begin) / 1000000000u));
		(void)nanosleep(&tick, NULL);
	}
}

static void
measure(struct bench *b, enum load load, unsigned threads)
{
	uint64_t reads = 0, cpu = 0, hits = 0;
	double seconds;

	ASSERT(pthread_barrier_init(&b->warm, NULL, threads + 1) == 0);
	store_relaxed(&b->stop, false);
	for (unsigned i = 0; i < threads; i++) {
		struct reader *r = &b->readers[i];

		r->load = load;
		ASSERT(pthread_create(&r->thread, NULL, reader_main, r) == 0);
	}
	(void)pthread_barrier_wait(&b->warm);
	seconds = (double)clock_ns();
	wait_seconds(b);
	store_relaxed(&b->stop, true);
	seconds = ((double)clock_ns() - seconds) / 1e9;
	for (unsigned i = 0; i < threads; i++) {
		struct reader *r = &b->readers[i];

		ASSERT(pthread_join(r->thread, NULL) == 0);
		reads += r->reads;
		cpu += r->cpu_ns;
		hits += r->worker->counters.get_hits;
		ASSERT(r->worker->counters.get_misses == 0);
	}
	ASSERT(hits >= reads && pthread_barrier_destroy(&b->warm) == 0);
	printf("{\"load\": \"%s\", \"threads\": %u, \"ns_per_read\": %.2f, "
	       "\"reads_per_second\": %.0f}\n",
	    load_names[load], threads, (double)cpu / (double)reads, (double)reads / seconds);
	(void)fflush(stdout);
}

static void
fill(struct bench *b)
{
	struct store *st = b->server.store;
	struct store_head head = {.size = b->value_size};
	char *value = malloc(b->value_size + 1), key[KEY_SIZE];

	ASSERT(value != NULL);
	memset(value, 'v', b->value_size);
	for (uint64_t i = 0; i < b->keys; i++) {
		struct store_key name;

		key_of(key, i);
		name = store_key(st, key, KEY_SIZE);
		ASSERT(store_set(st, &name, &head, value) == STORE_OK);
		store_thread_quiescent();
	}
	free(value);
}

/* The server without sockets, filled. */
static void
begin(struct bench *b)
{
	struct store_options options = {
	    .memory_limit = ((size_t)64 << 20) + 2 * (size_t)b->keys * (b->value_size + 128),
	    .threads = b->threads + 1,
	};
	const char *error;

	settings_init(&b->settings);
	clock_init(&b->clock, CLOCK_BEGIN);
	store_thread_join();
	if (store_new(&b->server.store, &options, &error) != 0)
		panic("no store: %s", error);
	store_clock_set(b->server.store, clock_now(&b->clock));
	b->server.settings = &b->settings;
	b->server.clock = &b->clock;
	ASSERT(server_init(&b->server));
	fill(b);
	for (unsigned i = 0; i < b->threads; i++) {
		struct reader *r = &b->readers[i];

		r->bench = b;
		r->id = i;
		r->worker = worker_new(&b->server, i);
		ASSERT(r->worker != NULL);
		r->conn = conn_inner_new(r->worker, PROTOCOL_TEXT);
		r->requests = malloc((size_t)BATCHES * DEPTH * REQUEST_SIZE);
		ASSERT(r->conn != NULL && r->requests != NULL);
	}
	store_thread_pause();
}

static void
end(struct bench *b)
{
	store_thread_resume();
	for (unsigned i = 0; i < b->threads; i++) {
		struct reader *r = &b->readers[i];

		free(r->requests);
		conn_free(&r->conn);
		worker_free(&r->worker);
	}
	server_fini(&b->server);
	store_free(&b->server.store);
	store_thread_leave();
	settings_fini(&b->settings);
}

static bool
parse_options(struct bench *b, int argc, char **argv)
{
	bool ok = true;
	int c;

	while (ok && (c = getopt(argc, argv, "t:r:k:v:T:")) != -1) {
		struct slice text = slice_of(optarg, optarg == NULL ? 0 : strlen(optarg));

		if (c == 't')
			ok = number_parse_u32(text, &b->threads) && b->threads > 0 &&
			    b->threads <= THREADS_MOST;
		else if (c == 'r')
			ok = number_parse_u32(text, &b->rounds);
		else if (c == 'k')
			ok = number_parse_u32(text, &b->keys) && b->keys > 0;
		else if (c == 'v')
			ok = number_parse_u32(text, &b->value_size) && b->value_size <= 1000000;
		else if (c == 'T')
			ok = (b->seconds = strtod(optarg, NULL)) > 0;
		else
			ok = false;
	}
	return ok && optind == argc;
}

int
main(int argc, char **argv)
{
	static struct bench b = {.rounds = 3, .keys = 100000, .value_size = 32, .seconds = 1};

	ASSERT(sched_getaffinity(0, sizeof(b.cores), &b.cores) == 0);
	b.threads = (uint32_t)CPU_COUNT(&b.cores);
	if (b.threads > THREADS_MOST)
		b.threads = THREADS_MOST;
	if (!parse_options(&b, argc, argv)) {
		(void)fprintf(stderr,
		    "usage: readers [-t threads] [-r rounds] [-T seconds] [-k keys] [-v value's size]\n");
		return 2;
	}
	begin(&b);
	for (unsigned round = 0; round < b.rounds; round++)
		for (unsigned threads = 1; threads <= b.threads; threads++)
			for (unsigned load = 0; load < LOADS; load++)
				measure(&b, (enum load)load, threads);
	end(&b);
	return 0;
}
