/* server/conn_stream.c: a value too long to be gathered first: it is written into the store as it arrives.
 *
 * The command's head is copied, because its bytes are soon gone, and is parsed again where the copy lies, so that
 * the key and the flags point into it. Then come SIZE bytes of value and, in text, two that must end the line.
 */
#include "server/conn_step.h"

#include <stddef.h>
#include <string.h>

#include "proto/reply.h"
#include "server/exec.h"
#include "server/replicate_wait.h"
#include "server/route.h"

struct conn_stream {
	struct command command;
	struct store_key key;
	struct store_pending pending;
	size_t left;     /* bytes of the value that are to come */
	size_t capacity; /* of this structure's memory */
	uint8_t tail;    /* bytes behind the value that are to come */
	bool bad;        /* a byte behind the value is wrong */
	char head[];
};

static struct conn_stream *
stream_new(struct conn *c, struct slice head)
{
	struct worker *w = c->worker;
	struct parse_error error;
	struct conn_stream *s;
	size_t capacity;

	s = (void *)pool_take(&w->pool, offsetof(struct conn_stream, head) + head.len, &capacity);
	if (s == NULL)
		return NULL;
	memcpy(s->head, head.ptr, head.len);
	if (conn_parse(c, slice_of(s->head, head.len), &s->command, &error) != PARSE_STREAM)
		panic("a command parses in two ways");
	s->key = store_key(w->store, s->command.key.ptr, s->command.key.len);
	s->pending = (struct store_pending){0};
	s->left = s->command.size;
	s->capacity = capacity;
	s->tail = c->protocol == PROTOCOL_TEXT ? 2 : 0;
	s->bad = false;
	return s;
}

static void
stream_drop(struct conn *c, struct conn_stream *s)
{
	store_abort(c->worker->store, &s->pending);
	pool_give(&c->worker->pool, (char *)s, s->capacity);
}

void
stream_free(struct conn *c)
{
	stream_drop(c, c->stream);
	c->stream = NULL;
}

/* Ends the stream; what is still to come of it is dropped. */
static void
stream_refuse(struct conn *c, struct conn_stream *s)
{
	uint64_t left = s->left + s->tail;

	stream_drop(c, s);
	if (c->state == CONN_STREAM)
		conn_set_state(c, CONN_COMMANDS);
	conn_swallow(c, left);
}

void
stream_begin(struct conn *c, struct slice head)
{
	struct conn_stream *s = stream_new(c, head);

	if (s == NULL) {
		counter_add(c->worker, read_buf_oom, 1);
		conn_close(c, CONN_ERROR);
		return;
	}
	if (!exec_stream_begin(c, &s->command, &s->key, &s->pending)) {
		stream_refuse(c, s);
		return;
	}
	c->stream = s;
	conn_set_state(c, CONN_STREAM);
}

/* Takes what there is of the value. False where the store had no memory for it: the stream is over. */
static bool
stream_write(struct conn *c, struct conn_stream *s, struct slice *input)
{
	size_t n = input->len < s->left ? input->len : s->left;

	if (store_pending_write(c->worker->store, &s->pending, input->ptr, n) != STORE_OK) {
		exec_stream_failed(c, &s->command, &s->key);
		stream_refuse(c, s);
		return false;
	}
	slice_advance(input, n);
	s->left -= n;
	return true;
}

/* The same for one of several nodes. While the value came the key may have become another node's. */
static void
stream_store(struct conn *c, struct conn_stream *s)
{
	unsigned need = s->command.op == OP_MS ? wait_wanted(&s->command) : 0;
	struct wait_mark mark;

	if (unlikely(!route_is_ours(c->worker, &s->key))) {
		if (c->inner)
			c->foreign = true;
		else
			wait_refuse(c, &s->command, REPLY_KEY_MOVED);
		return;
	}
	if (wait_refuses(c, &s->command, &s->key))
		return;
	if (need > 0)
		wait_hold_begin(c, need, &mark);
	exec_stream_end(c, &s->command, &s->key, &s->pending);
	if (need > 0)
		wait_hold_end(c, &mark);
}

static void
stream_finish(struct conn *c, struct conn_stream *s)
{
	conn_set_state(c, CONN_COMMANDS);
	if (!s->bad && likely(c->worker->cluster == NULL)) {
		exec_stream_end(c, &s->command, &s->key, &s->pending);
	} else if (!s->bad) {
		stream_store(c, s);
	} else {
		exec_bad_data(c, &s->command);
		if (!s->command.noreply || s->command.op == OP_MS)
			outq_append_slice(&c->out, &c->worker->source, REPLY_BAD_DATA_CHUNK);
	}
	stream_drop(c, s);
}

bool
step_stream(struct conn *c, struct slice *input)
{
	struct conn_stream *s = c->stream;

	if (s->left > 0 && input->len > 0 && !stream_write(c, s, input))
		return true;
	while (s->left == 0 && s->tail > 0 && input->len > 0) {
		s->bad |= input->ptr[0] != "\n\r"[s->tail - 1];
		s->tail--;
		slice_advance(input, 1);
	}
	if (s->left > 0 || s->tail > 0)
		return false;
	stream_finish(c, s);
	return true;
}
