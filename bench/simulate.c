/* bench/simulate.c: replays a trace straight into a store, without server and sockets: what eviction, balance and classes
 * make of it, in seconds. A set follows each get that misses. Prints one line of name=value pairs.
 *
 * The store's clock goes on by a second every so many requests, as in a replay over the wire, or by the trace's
 * times (TTLs then count). Resident memory is what the process has more at the end than before it made the store: pages,
 * index and ghosts as far as they were touched.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/number.h"
#include "bench/content.h"
#include "bench/trace.h"
#include "slab/store.h"

#define REQUESTS_PER_SECOND 150000u
#define TURN                16u   /* requests between two quiescent points */
#define UPKEEP              1500u /* requests between two slices of upkeep */
#define UPKEEP_BUSY         100u  /* where the store asks for more at once */

struct simulation {
	struct store_options options;
	const char *trace;
	uint64_t copies, rate;
	bool trace_clock;

	struct trace_line *lines;
	size_t nlines;
	struct store *store;
	struct content content;
	uint64_t requests, misses, bytes, missed_bytes, errors;
	uint64_t upkeep_at;
	char value[STORE_VALUE_MAX >> 10];
};

static size_t
resident(void)
{
	unsigned long all, mine = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu %lu", &all, &mine) != 2)
		mine = 0;
	(void)fclose(f);
	return mine * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---------------------------------------------------------------- requests */

static bool
get(struct simulation *s, const struct store_key *key)
{
	struct store_view view;

	do {
		if (!store_read_begin(s->store, key, STORE_READ_COUNT, &view))
			return false;
	} while (!store_read_end(s->store, &view));
	return true;
}

static void
set(struct simulation *s, const struct store_key *key, uint32_t size, uint32_t ttl)
{
	struct store_head head = {.size = size, .exptime = ttl};
	struct store_put put = {.mode = STORE_SET};
	struct store_pending pending;
	uint64_t version;

	if (store_offer(s->store, &pending, key, &head, s->value) != STORE_OK ||
	    store_put(s->store, key, &pending, &put, &version) != STORE_OK)
		s->errors++;
}

static void
request(struct simulation *s, const struct trace_line *line, uint64_t number)
{
	char text[STORE_KEY_MAX];
	size_t digits = content_key_digits(number);
	size_t size = line->key_size > digits ? line->key_size : digits;
	uint32_t ttl = s->trace_clock && line->ttl != 0 ? store_clock(s->store) + line->ttl : 0;
	struct store_key key;

	(void)content_key(text, number, size);
	key = store_key(s->store, text, size);
	if (line->kind == OP_SET) {
		set(s, &key, line->value_size, ttl);
		return;
	}
	if (line->kind == OP_DELETE) {
		(void)store_delete(s->store, &key);
		return;
	}
	s->requests++;
	s->bytes += line->value_size;
	if (get(s, &key))
		return;
	s->misses++;
	s->missed_bytes += line->value_size;
	set(s, &key, line->value_size, ttl);
}

static void
replay(struct simulation *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->nlines; i++) {
		const struct trace_line *line = &s->lines[i];

		store_clock_set(s->store,
		    1 + (s->trace_clock ? (uint32_t)line->time : (uint32_t)(n / s->rate)));
		for (uint64_t copy = 0; copy < s->copies; copy++, n++) {
			request(s, line, line->key * s->copies + copy);
			if (n % TURN == 0)
				store_thread_quiescent();
			if (n >= s->upkeep_at)
				s->upkeep_at =
				    n + (store_maintain(s->store) == 0 ? UPKEEP_BUSY : UPKEEP);
		}
	}
}

/* ---------------------------------------------------------------- main */

/* The whole trace, so that reading it takes no memory while the store's is measured. */
static bool
trace_load(struct simulation *s)
{
	const char *why;
	struct trace *trace = trace_new(s->trace, &why);
	size_t room = 0;
	uint64_t number = 0;

	for (struct trace_line line; trace != NULL && trace_next(trace, &line);) {
		if (s->nlines == room) {
			room = room == 0 ? 1 << 20 : room * 2;
			s->lines = realloc(s->lines, room * sizeof(*s->lines));
			ASSERT(s->lines != NULL);
		}
		if (line.value_size > sizeof(s->value))
			line.value_size = sizeof(s->value);
		s->lines[s->nlines++] = line;
	}
	if (trace != NULL)
		why = trace_error(trace, &number);
	if (why != NULL)
		(void)fprintf(stderr, "%s:%lu: %s\n", s->trace, number, why);
	if (trace != NULL)
		trace_free(&trace);
	return why == NULL;
}

static void
usage(void)
{
	(void)fputs("usage: simulate [options] TRACE\n"
		    "  -m MIB      memory limit (64), may have a fraction\n"
		    "  -r COPIES   relabelled copies, interleaved (1)\n"
		    "  -e POLICY   eviction (s3fifo)\n"
		    "  -p HITS     promote_hits\n"
		    "  -b POWER    balance: 0 hits, 1 balanced, 2 bytes\n"
		    "  -f FACTOR   growth factor of the classes\n"
		    "  -q RATE     requests a second (150000)\n"
		    "  -s SEED     hash seed: another one shows how much is chance\n"
		    "  -t          the trace's times and TTLs\n",
	    stderr);
	exit(2);
}

static enum store_eviction
eviction_of(const char *name)
{
	for (unsigned e = 0; e <= STORE_EVICT_NONE; e++)
		if (strcmp(name, store_eviction_name((enum store_eviction)e)) == 0)
			return (enum store_eviction)e;
	usage();
	return STORE_EVICT_NONE;
}

static void
options_read(struct simulation *s, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "m:r:e:p:b:f:q:s:t")) != -1) {
		switch (c) {
		case 'm':
			s->options.memory_limit = (size_t)(strtod(optarg, NULL) * (1 << 20));
			break;
		case 'r':
			s->copies = strtoull(optarg, NULL, 10);
			break;
		case 'e':
			s->options.eviction = eviction_of(optarg);
			break;
		case 'p':
			s->options.promote_hits = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'b':
			s->options.balance = (enum store_balance)strtoul(optarg, NULL, 10);
			break;
		case 'f':
			s->options.growth_factor = strtod(optarg, NULL);
			break;
		case 'q':
			s->rate = strtoull(optarg, NULL, 10);
			break;
		case 's':
			s->options.hash_seed = strtoull(optarg, NULL, 10);
			break;
		case 't':
			s->trace_clock = true;
			break;
		default:
			usage();
		}
	}
	if (optind != argc - 1 || s->copies == 0 || s->rate == 0)
		usage();
	s->trace = argv[optind];
}

static void
report(struct simulation *s, size_t memory)
{
	struct store_stats st;

	store_stats(s->store, &st);
	printf("miss=%.5f byte_miss=%.5f resident=%.2f pages=%.2f index=%.2f items=%lu moved=%lu "
	       "ghost_hits=%lu promotions=%lu evictions=%lu overflow=%lu errors=%lu\n",
	    (double)s->misses / (double)s->requests, (double)s->missed_bytes / (double)s->bytes,
	    (double)memory / (1 << 20), (double)(st.memory_used + st.memory_free) / (1 << 20),
	    (double)st.index_bytes / (1 << 20), st.items, st.pages_moved, st.ghost_hits,
	    st.promotions, st.evictions, st.overflow_buckets, s->errors);
}

int
main(int argc, char **argv)
{
	static struct simulation s = {
	    .options = {.memory_limit = 64 << 20, .threads = 1, .hash_seed = 0x9e3779b97f4a7c15},
	    .copies = 1,
	    .rate = REQUESTS_PER_SECOND,
	};
	const char *why;
	size_t before;

	options_read(&s, argc, argv);
	if (!trace_load(&s))
		return 1;
	memset(s.value, 'v', sizeof(s.value));
	before = resident();
	if (store_new(&s.store, &s.options, &why) != 0) {
		(void)fprintf(stderr, "%s\n", why);
		return 1;
	}
	store_thread_join();
	replay(&s);
	report(&s, resident() - before);
	store_thread_leave();
	store_free(&s.store);
	free(s.lines);
	return 0;
}
