/* server/conn.c: the life of a connection, its input buffer, and the loop that drives its states (conn_step.c and
 * others take the input, see conn_step.h).
 *
 * Invariants between two calls: c->in holds what is not done with, from c->in.at; it has a buffer only where
 * that is not empty. Either c->waiting says that more bytes are needed, or what is there waits for a turn or for
 * room in the output.
 */
#include "server/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "server/conn_report.h"
#include "server/conn_step.h"
#include "server/forward.h"
#include "server/link.h"
#include "server/replicate_wait.h"
#include "server/settings.h"
#include "server/watch.h"
#include "server/worker.h"

/* The least room that is worth a receive. */
#define ROOM_MIN ((size_t)2 << 10)

/* A rest up to this is copied in front of the receive buffer's room. */
#define REST_COPIED ((size_t)20 << 10)

/* No command needs more input at once than this: the line of a multi-get, which memcached does not limit. */
#define INPUT_MAX ((size_t)64 << 20)

static_assert(2 * INPUT_MAX <= UINT32_MAX, "a struct conn_buffer counts in 32 bits");
static_assert(REST_COPIED < WORKER_RECEIVE / 2, "the receive buffer has room behind a rest");
static_assert(sizeof(struct conn) <= 192, "an idle connection is small");

/* ---------------------------------------------------------------- life */

static uint8_t
conn_protocol(const struct listener *from)
{
	if (from == NULL || from->protocol == BINDING_AUTO)
		return PROTOCOL_UNKNOWN;
	return from->protocol == BINDING_BINARY ? PROTOCOL_BINARY : PROTOCOL_TEXT;
}

struct conn *
conn_new(struct worker *w, int fd, const struct listener *from, size_t io_size)
{
	struct conn *c = calloc(1, sizeof(*c) + io_size);

	if (c == NULL)
		return NULL;
	c->worker = w;
	c->fd = fd;
	c->from = from;
	c->protocol = conn_protocol(from);
	c->last_active = w->now;
	c->waiting = true;
	c->authenticated = !w->server->auth_required;
	forward_expect(c);
	peer_of(fd, &c->peer);
	outq_init(&c->out);
	worker_list(w, c);
	return c;
}

struct conn *
conn_inner_new(struct worker *w, enum protocol protocol)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->worker = w;
	c->fd = -1;
	c->protocol = (uint8_t)protocol;
	c->last_active = w->now;
	c->waiting = true;
	c->authenticated = true;
	c->inner = true;
	outq_init(&c->out);
	return c;
}

static void
input_release(struct conn *c)
{
	struct conn_buffer *in = &c->in;

	pool_give(&c->worker->pool, in->data, in->capacity);
	in->data = NULL;
	in->at = in->len = in->capacity = 0;
}

/* Lets go of what belongs to the present state. */
static void
state_release(struct conn *c)
{
	if (c->state == CONN_STREAM)
		stream_free(c);
	else if (c->state == CONN_REPORT)
		report_free(&c->report);
	else if (c->state == CONN_RELAY)
		relay_free(c);
	else if (c->state == CONN_LINK)
		link_conn_closed(c);
}

void
conn_inner_reset(struct conn *c)
{
	ASSERT(c->inner);
	state_release(c);
	conn_set_state(c, CONN_COMMANDS);
	input_release(c);
	c->waiting = true;
	c->foreign = false;
}

void
conn_free(struct conn **conn)
{
	struct conn *c = *conn;
	struct worker *w = c->worker;

	*conn = NULL;
	if (!c->inner) {
		if (!c->linked)
			watch_closed(c);
		worker_unlist(w, c);
	}
	if (unlikely(!LIST_EMPTY(&c->forwards)))
		forward_forget(c);
	state_release(c);
	input_release(c);
	outq_clear(&c->out, &w->source);
	free(c);
}

/* ---------------------------------------------------------------- the loop */

static ALWAYS_INLINE bool
step(struct conn *c, struct slice *input)
{
	size_t n;

	if (likely(c->state == CONN_COMMANDS))
		return step_commands(c, input);
	switch ((enum conn_state)c->state) {
	case CONN_COMMANDS:
		return step_commands(c, input);
	case CONN_KEYS:
		return step_keys(c, input);
	case CONN_STREAM:
		return step_stream(c, input);
	case CONN_RELAY:
		return step_relay(c, input);
	case CONN_LINK:
		return step_link(c, input);
	case CONN_SWALLOW:
		n = input->len < c->swallow ? input->len : (size_t)c->swallow;
		slice_advance(input, n);
		c->swallow -= n;
		if (c->swallow == 0)
			conn_set_state(c, CONN_COMMANDS);
		return c->swallow == 0;
	case CONN_REPORT:
		return step_report(c, input);
	case CONN_CLOSING:
		slice_advance(input, input->len);
		return false;
	}
	panic("connection state %u", c->state);
}

/* Works through INPUT until it needs more bytes (true), its output is full, or its turn is over (false); takes what
 * is done with off its front. */
static ALWAYS_INLINE bool
work(struct conn *c, struct slice *input)
{
	uint32_t budget = c->worker->server->settings->reqs_per_event;

	if (unlikely(conn_full(c)))
		return false;
	while (step(c, input)) {
		if (unlikely(c->out.broken))
			return true;
		if (input->len == 0 && c->state == CONN_COMMANDS)
			return true;
		if (input->len == 0 && c->state != CONN_REPORT)
			continue;
		if (conn_full(c))
			return false;
		if (--budget == 0) {
			counter_add(c->worker, conn_yields, 1);
			return false;
		}
	}
	return true;
}

/* There is no memory for the input (or it has no end), or for the output: the connection ends, without an answer. */
static void
memory_failed(struct conn *c)
{
	counter_add(c->worker, read_buf_oom, 1);
	conn_close(c, CONN_ERROR);
}

static ALWAYS_INLINE void
conn_work(struct conn *c, struct slice *input)
{
	store_relaxed(&c->in.need, 0u);
	if (unlikely(c->worker->cluster != NULL) && !c->inner)
		wait_writer(c);
	c->waiting = work(c, input);
	if (unlikely(c->out.broken) && c->state != CONN_CLOSING)
		memory_failed(c);
}

/* ---------------------------------------------------------------- input */

/* Room for N bytes behind what the own buffer holds; false where memory is out or the client asks too much. */
static bool
input_reserve(struct conn *c, size_t n)
{
	struct pool *pool = &c->worker->pool;
	struct conn_buffer *in = &c->in;
	size_t held = in->len - in->at, capacity = in->capacity;
	char *data;

	if (in->capacity - in->len >= n)
		return true;
	if (held + n > INPUT_MAX)
		return false;
	if (in->at > 0) {
		memmove(in->data, in->data + in->at, held);
		in->at = 0;
		in->len = (uint32_t)held;
		if (capacity - held >= n)
			return true;
	}
	data = in->data == NULL
	    ? pool_take(pool, n, &capacity)
	    : pool_grow(pool, in->data, held, held + (n > held ? n : held), &capacity);
	if (data == NULL)
		return false;
	in->data = data;
	in->capacity = (uint32_t)capacity;
	return true;
}

/* Puts N bytes behind what the own buffer holds. */
static void
input_keep(struct conn *c, const char *bytes, size_t n)
{
	if (n == 0)
		return;
	if (!input_reserve(c, n)) {
		memory_failed(c);
		return;
	}
	memcpy(c->in.data + c->in.len, bytes, n);
	c->in.len += (uint32_t)n;
}

/* Whether half a command that needed more can be whole now that N bytes have come, the last of HELD. */
static bool
input_enough(const struct conn *c, const char *bytes, size_t n, size_t held)
{
	if (!c->waiting || (c->state != CONN_COMMANDS && c->state != CONN_LINK) || held == n)
		return true;
	if (c->in.need > 0)
		return held >= c->in.need;
	return held - n <= PROTO_LINE_MAX || memchr(bytes, '\n', n) != NULL;
}

/* Works through what the own buffer holds. */
static __attribute__((noinline)) void
input_work(struct conn *c)
{
	struct slice input = {c->in.data, c->in.len};

	if (c->in.at > 0)
		slice_advance(&input, c->in.at);
	conn_work(c, &input);
	c->in.at = c->in.len - (uint32_t)input.len;
	if (input.len == 0 || c->state == CONN_CLOSING)
		input_release(c);
}

static void
note_input(struct conn *c, size_t n)
{
	counter_add(c->worker, bytes_read, n);
	store_relaxed(&c->last_active, c->worker->now);
}

/* Works through WINDOW, which begins with what the own buffer holds, if anything; the rest is kept there. */
static ALWAYS_INLINE void
window_work(struct conn *c, struct slice window)
{
	conn_work(c, &window);
	c->in.at = c->in.len = 0;
	if (unlikely(window.len != 0 && c->state != CONN_CLOSING))
		input_keep(c, window.ptr, window.len);
	else if (unlikely(c->in.data != NULL))
		input_release(c);
}

void
conn_input(struct conn *c, const char *bytes, size_t n)
{
	size_t held = c->in.len - c->in.at;

	note_input(c, n);
	if (c->waiting && held == 0) {
		window_work(c, slice_of(bytes, n));
		return;
	}
	input_keep(c, bytes, n);
	if (c->waiting && c->state != CONN_CLOSING && input_enough(c, bytes, n, held + n))
		input_work(c);
}

char *
conn_room(struct conn *c, size_t *size)
{
	size_t held = c->in.len - c->in.at;
	char *receive = c->worker->receive;

	if (held <= REST_COPIED) {
		if (held > 0)
			memcpy(receive, c->in.data + c->in.at, held);
		*size = WORKER_RECEIVE - held;
		return receive + held;
	}
	if (!input_reserve(c, ROOM_MIN)) {
		memory_failed(c);
		return NULL;
	}
	*size = c->in.capacity - c->in.len;
	return c->in.data + c->in.len;
}

/* N bytes arrived behind the HELD ones. */
static __attribute__((noinline)) void
filled_behind(struct conn *c, size_t n, size_t held)
{
	const char *bytes;

	if (held > REST_COPIED) {
		bytes = c->in.data + c->in.len;
		c->in.len += (uint32_t)n;
		if (input_enough(c, bytes, n, held + n))
			input_work(c);
		return;
	}
	bytes = c->worker->receive + held;
	if (input_enough(c, bytes, n, held + n))
		window_work(c, slice_of(c->worker->receive, held + n));
	else
		input_keep(c, bytes, n);
}

static __attribute__((noinline)) void
filled_rest(struct conn *c, struct slice input)
{
	window_work(c, input);
}

/* INPUT arrived, and nothing was left over from before. Mostly one step takes all of it, and leaves C as it was. */
static ALWAYS_INLINE void
filled_first(struct conn *c, struct slice input)
{
	if (likely(c->state == CONN_COMMANDS && c->worker->cluster == NULL && !conn_full(c))) {
		store_relaxed(&c->in.need, 0u);
		if (likely(step_commands(c, &input) && input.len == 0 &&
			c->state == CONN_COMMANDS && !c->out.broken))
			return;
	}
	filled_rest(c, input);
}

void
conn_filled(struct conn *c, size_t n)
{
	size_t held = c->in.len - c->in.at;

	ASSERT(c->waiting);
	note_input(c, n);
	if (likely(held == 0))
		filled_first(c, slice_of(c->worker->receive, n));
	else
		filled_behind(c, n, held);
}

void
conn_resume(struct conn *c)
{
	if (unlikely(c->out.starved > 0))
		forward_feed(c);
	if (!c->waiting && !conn_full(c))
		input_work(c);
}

void
conn_poke(struct conn *c)
{
	if (c->state != CONN_REPORT)
		return;
	c->waiting = false;
	c->paused = false;
	worker_queue_turn(c->worker, c);
}

void
conn_end(struct conn *c)
{
	conn_close(c, CONN_NORMAL);
}

/* ---------------------------------------------------------------- output and wishes */

unsigned
conn_want(const struct conn *c)
{
	unsigned want = outq_sendable(&c->out) ? CONN_WANT_OUTPUT : 0;

	if (unlikely(c->out.broken || (c->state == CONN_CLOSING && c->linked)))
		return CONN_WANT_CLOSE;
	if (unlikely(c->out.starved > 0) && forward_is_hungry(c))
		want |= CONN_WANT_TURN;
	if (unlikely(c->state == CONN_CLOSING))
		return LIST_EMPTY(&c->forwards) ? want | CONN_WANT_CLOSE : want;
	if (unlikely(conn_full(c) || c->paused))
		return want;
	return want | (c->waiting ? CONN_WANT_INPUT : CONN_WANT_TURN);
}

void
conn_close(struct conn *c, enum conn_reason reason)
{
	if (c->state != CONN_CLOSING)
		c->reason = reason;
	state_release(c);
	conn_set_state(c, CONN_CLOSING);
}

void
conn_swallow(struct conn *c, uint64_t n)
{
	if (n == 0 || c->state == CONN_CLOSING)
		return;
	c->swallow = n;
	conn_set_state(c, CONN_SWALLOW);
}
