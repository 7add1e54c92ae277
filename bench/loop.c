/* bench/loop.c: see loop.h. */
#include "bench/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/assert.h"
#include "bench/clock.h"

#define INPUT_SIZE    (256u << 10)
#define EVENTS_MAX    512
#define IDLE_WAIT_NS  20000000u /* how soon a change of phase is seen when nothing happens */
#define RUN_DEPTH_MIN 32u       /* what the prefill uses */

/* ---- set-up */

static bool
open_conn(struct loop *l, struct conn *c, uint32_t depth)
{
	const struct options *o = l->options;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	int fd = address_connect(l->control->address);

	if (fd < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		fprintf(stderr, "ringbench: cannot connect: %s\n", strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	conn_init(c, fd, depth, o->wire, o->multi > 1);
	return true;
}

bool
loop_init(struct loop *l, struct control *control, unsigned number)
{
	const struct options *o = control->options;
	uint32_t depth = o->depth > RUN_DEPTH_MIN ? (uint32_t)o->depth : RUN_DEPTH_MIN;
	uint64_t count = o->connections / o->threads + (number < o->connections % o->threads);

	memset(l, 0, sizeof(*l));
	l->control = control;
	l->options = o;
	l->number = number;
	l->encoder = (struct encoder){o->wire, o->verify, control->content};
	l->tally = &l->tallies[PHASE_BEFORE];
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->conns = calloc(count, sizeof(*l->conns));
	l->input = malloc(INPUT_SIZE);
	ASSERT(l->epoll >= 0 && l->conns != NULL && l->input != NULL);
	(void)prctl(PR_SET_TIMERSLACK, 1);
	for (; l->conn_count < count; l->conn_count++)
		if (!open_conn(l, &l->conns[l->conn_count], depth))
			return false;
	return true;
}

void
loop_fini(struct loop *l)
{
	for (uint32_t i = 0; i < l->conn_count; i++)
		conn_fini(&l->conns[i]);
	(void)close(l->epoll);
	free(l->conns);
	free(l->input);
}

static bool
fail(struct loop *l, const char *what, const char *why)
{
	if (!atomic_exchange(&l->control->failed, true))
		fprintf(stderr, "ringbench: %s: %s\n", what, why);
	atomic_store(&l->control->stop, true);
	return false;
}

/* ---- output */

static void
arm_output(struct loop *l, struct conn *c, bool wanted)
{
	struct epoll_event event = {.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};

	if (c->out_armed == wanted)
		return;
	c->out_armed = wanted;
	ASSERT(epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &event) == 0);
}

bool
loop_flush(struct loop *l, struct conn *c)
{
	if (c->out_len > 0) {
		ssize_t n = conn_send(c);

		if (n < 0)
			return fail(l, "send", strerror(errno));
		bump_relaxed(&l->tally->bytes_out, (uint64_t)n);
	}
	arm_output(l, c, c->out_len > 0);
	return true;
}

/* The next request: a set after a miss before all others. */
static bool
next_op(struct loop *l, struct conn *c, struct op *op)
{
	if (flights_count(&c->misses) > 0) {
		l->outstanding--; /* it was counted when it was queued */
		return conn_take_miss(c, op);
	}
	if (l->exhausted)
		return false;
	if (l->limited && l->budget == 0) {
		l->exhausted = true;
		return false;
	}
	if (!l->next(l->source, op)) {
		l->exhausted = true;
		return false;
	}
	if (l->limited)
		l->budget--;
	return true;
}

/* Closed loop: makes and sends what C's quota and its room for output allow. */
static bool
fill(struct loop *l, struct conn *c, uint64_t now)
{
	uint32_t waiting = flights_count(&c->waiting);
	struct op op;

	if (l->options->window)
		c->quota = l->depth - waiting;
	else if (waiting == 0 && c->quota == 0)
		c->quota = l->depth;
	for (;;) {
		while (c->quota > 0 && c->out_len < CONN_OUT_HIGH) {
			if (!next_op(l, c, &op)) {
				c->quota = 0;
				break;
			}
			conn_push(c, &l->encoder, &op, now);
			l->outstanding++;
			c->quota--;
		}
		if (!loop_flush(l, c))
			return false;
		if (c->quota == 0 || c->out_len > 0)
			return true;
	}
}

/* When the next request of the open loop is due. */
static uint64_t
next_due(const struct loop *l)
{
	return l->start + (uint64_t)((double)(l->issued - l->issued % l->burst) * l->interval);
}

/* Gives up to MOST due bursts to C, each whole. */
static bool
fill_due(struct loop *l, struct conn *c, uint64_t most)
{
	struct op op;

	for (; most > 0 && flights_count(&c->waiting) + l->burst <= l->depth; most--) {
		uint64_t due = next_due(l);

		for (uint32_t i = 0; i < l->burst && next_op(l, c, &op); i++) {
			conn_push(c, &l->encoder, &op, due);
			l->outstanding++;
			l->issued++;
		}
	}
	return loop_flush(l, c);
}

/* Open loop: hands out all bursts that are due by NOW, evenly, as far as there is room. */
static bool
dispatch_due(struct loop *l, uint64_t now)
{
	uint64_t room = (uint64_t)l->conn_count * l->depth;
	uint64_t bursts = now < l->start
	    ? 0
	    : (uint64_t)((double)(now - l->start) / (l->interval * l->burst)) + 1;

	for (uint32_t tried = 0; tried < l->conn_count; tried++) {
		struct conn *c = &l->conns[l->cursor];

		uint64_t late = bursts - l->issued / l->burst;

		if (bursts <= l->issued / l->burst || l->outstanding >= room || l->exhausted)
			break;
		if (!fill_due(l, c, (late + l->conn_count - 1) / l->conn_count))
			return false;
		l->cursor = l->cursor + 1 == l->conn_count ? 0 : l->cursor + 1;
	}
	return true;
}

/* ---- input */

/* Looks at a piece of a value when values are verified. */
static void
check_value(struct loop *l, struct conn *c, const struct scan_item *item)
{
	const struct flight *f = flights_front(&c->waiting);
	const struct content *content = l->encoder.content;

	if (item->first) {
		c->value_bad = !content_key_number(item->key, &c->value_key) ||
		    (f->count == 1 && c->value_key != f->key);
		c->value_version = item->flags;
		if (l->options->replay == NULL &&
		    item->size != content_value_size(content, c->value_key, item->flags))
			c->value_bad = true;
	}
	if (!content_check(content, c->value_key, c->value_version, item->offset, item->piece))
		c->value_bad = true;
	if (c->value_bad && item->offset + item->piece.len == item->size)
		bump_relaxed(&l->tally->mismatches, 1);
}

static void
count_get(struct loop *l, struct conn *c, const struct flight *f, uint64_t latency)
{
	struct tally *t = l->tally;
	uint32_t misses = f->count > c->values ? f->count - c->values : 0;

	histogram_record(&t->get_ns, latency);
	bump_relaxed(&t->get_requests, 1);
	bump_relaxed(&t->keys_asked, f->count);
	bump_relaxed(&t->hits, c->values);
	bump_relaxed(&t->misses, misses);
	if (l->replay != NULL) {
		uint64_t bytes = (uint64_t)f->key_size + f->value_size;

		bump_relaxed(&t->asked_bytes, bytes);
		if (misses > 0)
			bump_relaxed(&t->missed_bytes, bytes);
	}
	if (misses > 0 && (l->replay != NULL || l->options->refill)) {
		conn_push_miss(c, f);
		l->outstanding++;
	}
}

/* The first error's text is kept; what is no printable character in it, and so none of JSON's, as a question mark. */
static void
count_error(struct loop *l, const struct scan_item *item)
{
	struct tally *t = l->tally;
	size_t n = item->text.len < sizeof(t->error) - 1 ? item->text.len : sizeof(t->error) - 1;

	for (size_t i = 0; t->errors == 0 && i < n; i++) {
		char c = item->text.ptr[i];

		t->error[i] = (char)(c < ' ' || c > '~' ? '?' : c);
	}
	bump_relaxed(&t->errors, 1);
}

/* The front request of C is answered. */
static void
count_reply(struct loop *l, struct conn *c, const struct scan_item *item, uint64_t now)
{
	struct tally *t = l->tally;
	const struct flight *f = flights_front(&c->waiting);
	uint64_t latency = now > f->due ? now - f->due : 0;

	if (item->outcome == REPLY_ERROR)
		count_error(l, item);
	if (f->kind == OP_GET) {
		count_get(l, c, f, latency);
	} else {
		histogram_record(&t->set_ns, latency);
		bump_relaxed(f->kind == OP_SET ? &t->set_requests : &t->delete_requests, 1);
		if (f->kind == OP_SET && item->outcome != REPLY_OK)
			bump_relaxed(&t->not_stored, 1);
	}
	c->values = 0;
	c->waiting.head++;
	l->outstanding--;
}

/* Scans what came for C. */
static bool
scan_window(struct loop *l, struct conn *c, struct slice window, uint64_t now)
{
	struct scan_item item;

	for (;;) {
		enum scan_event event = scan_next(&c->scanner, &window, &item);

		if (event == SCAN_MORE)
			return conn_keep(c, window) ||
			    fail(l, "reply", "no reply of this protocol");
		if (event == SCAN_BAD || flights_count(&c->waiting) == 0)
			return fail(l, "reply", "no reply of this protocol");
		if (event == SCAN_DONE) {
			count_reply(l, c, &item, now);
			continue;
		}
		c->values += item.first;
		bump_relaxed(&l->tally->value_bytes, item.piece.len);
		if (l->options->verify)
			check_value(l, c, &item);
	}
}

static bool
handle_input(struct loop *l, struct conn *c, uint64_t *now)
{
	struct slice window;
	ssize_t n = conn_receive(c, l->input, INPUT_SIZE, &window);

	if (n == 0)
		return fail(l, "receive", "the server hung up");
	if (n < 0)
		return errno == EAGAIN || fail(l, "receive", strerror(errno));
	*now = clock_ns();
	bump_relaxed(&l->tally->bytes_in, (uint64_t)n);
	return scan_window(l, c, window, *now);
}

/* Where requests come by a clock or in a trace's order: the sets after misses go at once. */
static void
push_misses(struct loop *l, struct conn *c, uint64_t now)
{
	struct op op;

	while (c->out_len < CONN_OUT_HIGH && conn_take_miss(c, &op))
		conn_push(c, &l->encoder, &op, now);
}

static bool
handle_event(struct loop *l, const struct epoll_event *event)
{
	struct conn *c = event->data.ptr;
	uint64_t now = 0;

	if ((event->events & ~(uint32_t)EPOLLOUT) != 0 && !handle_input(l, c, &now))
		return false;
	if (now == 0)
		now = clock_ns();
	if (l->replay == NULL && !l->open)
		return fill(l, c, now);
	push_misses(l, c, now);
	return loop_flush(l, c);
}

/* ---- the loop */

/* How long to sleep when nothing comes. */
static struct timespec
wait_time(const struct loop *l)
{
	uint64_t ns = IDLE_WAIT_NS;

	if (l->replay != NULL) {
		ns = (uint64_t)replay_timeout(l, clock_ns()) * 1000000u;
	} else if (l->open && !l->exhausted &&
	    l->outstanding < (uint64_t)l->conn_count * l->depth) {
		uint64_t due = next_due(l);
		uint64_t now = clock_ns();

		ns = due <= now ? 0 : due - now < ns ? due - now : ns;
	}
	return (struct timespec){0, (long)ns};
}

/* Follows main into the measured phase: from there on the other tally counts, and the limit on requests. */
static void
follow_phase(struct loop *l)
{
	int phase = atomic_load_explicit(&l->control->phase, memory_order_acquire);

	if (l->tally == &l->tallies[phase])
		return;
	l->tally = &l->tallies[phase];
	if (l->options->requests > 0) {
		const struct options *o = l->options;

		l->limited = true;
		l->budget = o->requests / o->threads + (l->number < o->requests % o->threads);
	}
}

static bool
dispatch(struct loop *l)
{
	if (l->open)
		return dispatch_due(l, clock_ns());
	return l->replay == NULL || replay_dispatch(l, clock_ns());
}

static bool
turn(struct loop *l)
{
	struct epoll_event events[EVENTS_MAX];
	struct timespec wait = wait_time(l);
	int n = epoll_pwait2(l->epoll, events, EVENTS_MAX, &wait, NULL);

	if (n < 0 && errno != EINTR)
		return fail(l, "epoll", strerror(errno));
	follow_phase(l);
	for (int i = 0; i < n; i++)
		if (!handle_event(l, &events[i]))
			return false;
	return dispatch(l);
}

static bool
run(struct loop *l)
{
	while (!(l->exhausted && l->outstanding == 0)) {
		if (atomic_load_explicit(&l->control->stop, memory_order_relaxed))
			break;
		if (!turn(l))
			return false;
	}
	l->ended = clock_ns();
	return true;
}

static void
begin(struct loop *l, next_fn *next, void *source, uint32_t depth)
{
	l->next = next;
	l->source = source;
	l->depth = depth;
	l->exhausted = false;
	l->open = false;
	l->replay = NULL;
	l->start = clock_ns();
	follow_phase(l);
}

bool
loop_run(struct loop *l, next_fn *next, void *source, uint32_t depth)
{
	begin(l, next, source, depth);
	for (uint32_t i = 0; i < l->conn_count; i++)
		if (!fill(l, &l->conns[i], clock_ns()))
			return false;
	return run(l);
}

bool
loop_run_open(struct loop *l, next_fn *next, void *source)
{
	begin(l, next, source, (uint32_t)l->options->depth);
	l->open = true;
	l->issued = 0;
	l->burst = (uint32_t)l->options->burst;
	l->interval = 1e9 * (double)l->options->threads / l->options->rate;
	l->start += (uint64_t)(l->interval / (double)l->options->threads * l->number);
	return run(l);
}

bool
loop_run_replay(struct loop *l, struct trace *trace)
{
	struct replay replay = {.trace = trace};
	uint64_t number;
	const char *error;
	bool ok;

	begin(l, NULL, NULL, (uint32_t)l->options->depth);
	l->replay = &replay;
	ok = replay_dispatch(l, clock_ns()) && run(l);
	l->replay = NULL;
	error = trace_error(trace, &number);
	if (ok && error != NULL) {
		fprintf(stderr, "ringbench: %s: line %llu: ", l->options->replay,
		    (unsigned long long)number);
		return fail(l, "trace", error);
	}
	return ok;
}
