/* bench/ringbench.c: the load generator's main: threads, phases, progress, result.
 *
 * Main waits with all threads at a barrier between the phases: connected; prefilled; then the measured phase runs
 * until its time is over or all threads are done. What threads count is theirs; main reads it with relaxed loads
 * for the progress line and adds it up after they ended.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/clock.h"
#include "bench/loop.h"
#include "bench/report.h"
#include "bench/source.h"
#include "config.h"

#define PREFILL_DEPTH 32
#define POLL_NS       2000000

struct worker {
	struct loop loop;
	struct generator generator;
	struct prefill prefill;
	struct trace *trace; /* borrowed */
	pthread_barrier_t *barrier;
	pthread_t thread;
};

struct bench {
	struct options options;
	struct address address;
	struct content content;
	struct control control;
	struct trace *trace;
	struct worker *workers;
	pthread_barrier_t barrier;
	int *idle;
};

static bool
next_generated(void *source, struct op *op)
{
	generator_next(source, op);
	return true;
}

static bool
next_prefill(void *source, struct op *op)
{
	return prefill_next(source, op);
}

static void
run_measured(struct worker *w)
{
	struct loop *l = &w->loop;
	const struct options *o = l->options;

	if (o->prefill_only)
		return;
	if (w->trace != NULL)
		(void)loop_run_replay(l, w->trace);
	else if (o->rate > 0)
		(void)loop_run_open(l, next_generated, &w->generator);
	else
		(void)loop_run(l, next_generated, &w->generator, (uint32_t)o->depth);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct control *control = w->loop.control;
	const struct options *o = control->options;
	bool ok = loop_init(&w->loop, control, w->loop.number);

	if (!ok) {
		atomic_store(&control->failed, true);
		atomic_store(&control->stop, true);
	}
	(void)pthread_barrier_wait(w->barrier);
	if (ok && (o->prefill || o->prefill_only))
		ok = loop_run(&w->loop, next_prefill, &w->prefill, PREFILL_DEPTH);
	(void)pthread_barrier_wait(w->barrier);
	(void)pthread_barrier_wait(w->barrier);
	if (ok && !atomic_load(&control->failed))
		run_measured(w);
	atomic_fetch_add(&control->finished, 1);
	return NULL;
}

/* ---- set-up */

static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static bool
open_trace(struct bench *b)
{
	const char *why;

	if (b->options.replay == NULL)
		return true;
	b->trace = trace_new(b->options.replay, &why);
	if (b->trace == NULL)
		fprintf(stderr, "ringbench: %s: %s\n", b->options.replay, why);
	return b->trace != NULL;
}

static bool
open_idle(struct bench *b)
{
	b->idle = calloc(b->options.idle + 1, sizeof(*b->idle));
	ASSERT(b->idle != NULL);
	for (uint64_t i = 0; i < b->options.idle; i++) {
		b->idle[i] = address_connect(&b->address);
		if (b->idle[i] < 0) {
			perror("ringbench: idle connection");
			return false;
		}
	}
	return true;
}

static void
start_workers(struct bench *b)
{
	unsigned count = (unsigned)b->options.threads;

	b->workers = calloc(count, sizeof(*b->workers));
	ASSERT(b->workers != NULL);
	ASSERT(pthread_barrier_init(&b->barrier, NULL, count + 1) == 0);
	for (unsigned i = 0; i < count; i++) {
		struct worker *w = &b->workers[i];

		generator_init(&w->generator, &b->options, &b->content, i);
		prefill_init(&w->prefill, &b->options, &b->content, i);
		w->trace = b->trace;
		w->barrier = &b->barrier;
		w->loop.control = &b->control;
		w->loop.number = i;
		ASSERT(pthread_create(&w->thread, NULL, worker_main, w) == 0);
	}
}

static bool
bench_init(struct bench *b)
{
	const struct options *o = &b->options;

	raise_descriptor_limit();
	content_init(&b->content, o->keys, &o->key_size, &o->value_size, o->resize);
	b->control.options = o;
	b->control.content = &b->content;
	b->control.address = &b->address;
	return address_init(&b->address, o->server, o->unix_path) && open_trace(b) && open_idle(b);
}

static void
bench_fini(struct bench *b)
{
	for (uint64_t i = 0; i < b->options.threads && b->workers != NULL; i++)
		loop_fini(&b->workers[i].loop);
	for (uint64_t i = 0; i < b->options.idle && b->idle != NULL; i++)
		if (b->idle[i] > 0)
			(void)close(b->idle[i]);
	free(b->workers);
	free(b->idle);
	trace_free(&b->trace);
	options_fini(&b->options);
}

/* ---- the measured phase as main sees it */

static void
sum_tallies(const struct bench *b, int phase, struct tally *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (uint64_t i = 0; i < b->options.threads; i++)
		tally_add(sum, &b->workers[i].loop.tallies[phase]);
}

static void
subtract_tally(struct tally *t, const struct tally *earlier)
{
#define COUNTER(field, text) t->field -= earlier->field;
#include "bench/tbl/counters.h"
#undef COUNTER
	histogram_subtract(&t->get_ns, &earlier->get_ns);
	histogram_subtract(&t->set_ns, &earlier->set_ns);
}

static void
sleep_until(uint64_t ns)
{
	struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* Prints progress each second until END or until all threads have finished. */
static void
watch(struct bench *b, uint64_t start, uint64_t end)
{
	struct tally *now = calloc(2, sizeof(*now)), *before = now + 1;
	uint64_t last = start;

	ASSERT(now != NULL);
	while (atomic_load(&b->control.finished) < b->options.threads) {
		uint64_t t = clock_ns();

		if (t >= end)
			break;
		if (!b->options.quiet && t - last >= 1000000000u) {
			struct tally *sum = calloc(1, sizeof(*sum));

			ASSERT(sum != NULL);
			sum_tallies(b, PHASE_MEASURE, sum);
			*now = *sum;
			subtract_tally(now, before);
			report_progress((double)(t - start) / 1e9, (double)(t - last) / 1e9, now);
			*before = *sum;
			free(sum);
			last = t;
		}
		sleep_until(t + POLL_NS < end ? t + POLL_NS : end);
	}
	free(now);
}

static double
rusage_seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Adds what CPU the server and we took so far, times SIGN. */
static void
account(struct bench *b, struct result *r, double sign)
{
	struct procstat s;
	struct rusage own;

	(void)getrusage(RUSAGE_SELF, &own);
	r->user_seconds += sign * rusage_seconds(own.ru_utime);
	r->system_seconds += sign * rusage_seconds(own.ru_stime);
	if (b->options.server_pid == 0)
		return;
	r->has_server = procstat_read(&s, b->options.server_pid);
	if (!r->has_server)
		return;
	r->server.cpu_seconds += sign * s.cpu_seconds;
	r->server.user_seconds += sign * s.user_seconds;
	r->server.system_seconds += sign * s.system_seconds;
	r->server.resident_bytes = s.resident_bytes;
}

/* How long the measured phase lasted: until the last thread was done. */
static double
measured_seconds(const struct bench *b, uint64_t start)
{
	uint64_t end = start + 1;

	for (uint64_t i = 0; i < b->options.threads; i++)
		if (b->workers[i].loop.ended > end)
			end = b->workers[i].loop.ended;
	return (double)(end - start) / 1e9;
}

static bool
has_end_of_its_own(const struct options *o)
{
	return o->requests > 0 || o->replay != NULL || o->prefill_only;
}

static void
measure(struct bench *b, struct result *r)
{
	const struct options *o = &b->options;
	uint64_t start = clock_ns();

	(void)pthread_barrier_wait(&b->barrier);
	if (o->warmup > 0)
		sleep_until(start + (uint64_t)(o->warmup * 1e9));
	account(b, r, -1);
	start = clock_ns();
	atomic_store(&b->control.phase, PHASE_MEASURE);
	watch(b, start, has_end_of_its_own(o) ? UINT64_MAX : start + (uint64_t)(o->seconds * 1e9));
	account(b, r, 1);
	atomic_store(&b->control.stop, true);
	for (uint64_t i = 0; i < o->threads; i++)
		ASSERT(pthread_join(b->workers[i].thread, NULL) == 0);
	r->seconds = measured_seconds(b, start);
}

/* The result of a run that only filled is what the filling was. */
static void
take_result(struct bench *b, struct result *r, uint64_t connected)
{
	const struct options *o = &b->options;
	int phase = o->prefill_only ? PHASE_BEFORE : PHASE_MEASURE;

	sum_tallies(b, phase, &r->tally);
	for (uint64_t i = 0; i < o->threads && r->tally.error[0] == '\0'; i++)
		memcpy(r->tally.error, b->workers[i].loop.tallies[phase].error,
		    sizeof(r->tally.error));
	if (o->prefill_only)
		r->seconds = measured_seconds(b, connected);
}

static void
warn_of_prefill(const struct bench *b)
{
	struct tally *t = calloc(1, sizeof(*t));

	ASSERT(t != NULL);
	sum_tallies(b, PHASE_BEFORE, t);
	if (t->not_stored > 0)
		fprintf(stderr, "ringbench: %llu of %llu sets of the prefill were not stored: %s\n",
		    (unsigned long long)t->not_stored, (unsigned long long)t->set_requests,
		    b->workers[0].loop.tallies[PHASE_BEFORE].error);
	free(t);
}

/* Runs all phases. False where the load could not be kept up. */
static bool
bench_run(struct bench *b, struct result *r)
{
	uint64_t connected;

	start_workers(b);
	(void)pthread_barrier_wait(&b->barrier);
	connected = clock_ns();
	(void)pthread_barrier_wait(&b->barrier);
	warn_of_prefill(b);
	if (b->options.warmup <= 0 && !b->options.prefill_only)
		atomic_store(&b->control.phase, PHASE_MEASURE);
	measure(b, r);
	take_result(b, r, connected);
	return !atomic_load(&b->control.failed);
}

static int
run(struct bench *b)
{
	struct result *r = calloc(1, sizeof(*r));
	bool ok;

	ASSERT(r != NULL);
	r->options = &b->options;
	ok = bench_init(b) && bench_run(b, r);
	if (ok && b->options.json)
		report_json(r);
	else if (ok)
		report_text(r);
	(void)fflush(stdout);
	if (ok && b->options.linger > 0)
		sleep_until(clock_ns() + (uint64_t)(b->options.linger * 1e9));
	ok = ok && r->tally.mismatches == 0;
	bench_fini(b);
	free(r);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static struct bench bench;

	if (!options_parse(&bench.options, argc, argv)) {
		fprintf(stderr, "Try 'ringbench --help'.\n");
		return 2;
	}
	if (bench.options.help) {
		options_print_help();
		return EXIT_SUCCESS;
	}
	if (bench.options.version) {
		printf("ringbench %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}
	return run(&bench);
}
