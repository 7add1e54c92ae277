/* server/forward_answer.c: the answering side of an incoming link.
 *
 * Commands are executed on inner connections of the link: one that speaks text, one that speaks binary, and one for each
 * long value that is under way. What a command answers is taken from the inner connection's output and sent back
 * in as many frames as it needs; then the inner connection is as new. What is not ours to answer is refused
 * before it is executed.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cluster/frame.h"
#include "server/cluster.h"
#include "server/forward_impl.h"
#include "server/replicate_wait.h"

/* Long values under way on one link. */
#define STREAMS_MAX 4096u

/* Unsent bytes of a link at which long answers wait. */
#define UNSENT_MAX ((size_t)2 << 20)

#define NUMBER_SIZE sizeof(uint64_t)

struct stream {
	LIST_ENTRY(stream) entry;
	uint64_t number;
	struct conn *conn;
};

/* What is still to be sent of a long answer. */
struct rest {
	TAILQ_ENTRY(rest) entry; /* in the worker's list */
	struct link *link;
	uint64_t id;
	struct outq out;
};

struct answerer {
	struct conn *inner[2]; /* text, binary; NULL until they are needed */
	LIST_HEAD(, stream) streams;
	uint32_t stream_count;
};

/* The answering part of L; NULL where memory is out. */
static struct answerer *
answerer_of(struct link *l)
{
	struct answerer **slot = (void *)link_slot(l);

	if (unlikely(*slot == NULL))
		*slot = calloc(1, sizeof(**slot));
	return *slot;
}

static void
stream_end(struct answerer *a, struct stream *s)
{
	LIST_REMOVE(s, entry);
	a->stream_count--;
	conn_free(&s->conn);
	free(s);
}

static void
rest_free(struct rest *rest)
{
	struct worker *w = link_worker(rest->link);

	TAILQ_REMOVE(&w->cluster->forward->rests, rest, entry);
	outq_clear(&rest->out, &w->source);
	free(rest);
}

static void
rests_drop(const struct link *l)
{
	struct worker *w = link_worker(l);
	struct rest *rest, *next;

	for (rest = TAILQ_FIRST(&w->cluster->forward->rests); rest != NULL; rest = next) {
		next = TAILQ_NEXT(rest, entry);
		if (rest->link == l)
			rest_free(rest);
	}
}

void
forward_link_closed(struct link *l)
{
	struct answerer **slot = (void *)link_slot(l), *a = *slot;

	rests_drop(l);
	if (a == NULL)
		return;
	while (!LIST_EMPTY(&a->streams))
		stream_end(a, LIST_FIRST(&a->streams));
	for (unsigned i = 0; i < 2; i++)
		if (a->inner[i] != NULL)
			conn_free(&a->inner[i]);
	free(a);
	*slot = NULL;
}

static struct conn *
inner_of(struct link *l, bool binary)
{
	struct answerer *a = answerer_of(l);

	if (a == NULL)
		return NULL;
	if (a->inner[binary] == NULL)
		a->inner[binary] =
		    conn_inner_new(link_worker(l), binary ? PROTOCOL_BINARY : PROTOCOL_TEXT);
	return a->inner[binary];
}

/* ---------------------------------------------------------------- replies */

/* A reply without a body. */
static void
reply_flags(struct link *l, uint64_t id, uint8_t flags)
{
	char *p = link_frame(l, 0);

	if (p != NULL)
		link_frame_end(l, FRAME_REPLY, (uint8_t)(flags | FRAME_LAST), id, p);
}

/* Moves N bytes of Q to P. */
static char *
take(struct outq_source *src, struct outq *q, char *p, size_t n)
{
	struct iovec iov[16];

	while (n > 0) {
		unsigned pieces = outq_gather(q, src, iov, 16);
		size_t taken = 0;

		for (unsigned i = 0; i < pieces && taken < n; i++) {
			size_t part = iov[i].iov_len < n - taken ? iov[i].iov_len : n - taken;

			memcpy(p, iov[i].iov_base, part);
			p += part;
			taken += part;
		}
		ASSERT(taken > 0);
		outq_sent(q, src, taken);
		n -= taken;
	}
	return p;
}

/* Sends HEAD and what is in Q as the reply to ID, as long as the link has not too much to send. False where something is left. */
static bool
reply_some(struct link *l, uint64_t id, struct slice head, struct outq *q)
{
	struct outq_source *src = &link_worker(l)->source;
	size_t left = outq_bytes(q), n;
	char *p;

	do {
		n = left < FRAME_BODY_MAX - head.len ? left : FRAME_BODY_MAX - head.len;
		if ((p = link_frame(l, head.len + n)) == NULL)
			break;
		memcpy(p, head.ptr, head.len);
		left -= n;
		link_frame_end(
		    l, FRAME_REPLY, left == 0 ? FRAME_LAST : 0, id, take(src, q, p + head.len, n));
		head.len = 0;
	} while (left > 0 && link_unsent(l) <= UNSENT_MAX);
	if (p != NULL && left > 0)
		return false;
	outq_clear(q, src);
	q->broken = false;
	return true;
}

/* Sends HEAD and all that V has to say as the reply to ID: what is too much goes when there is room. */
static void
reply_from(struct link *l, uint64_t id, struct slice head, struct conn *v)
{
	struct worker *w = v->worker;
	struct rest *rest;

	if (likely(reply_some(l, id, head, &v->out)))
		return;
	if ((rest = calloc(1, sizeof(*rest))) == NULL) {
		link_break(l, "no memory for an answer");
		outq_clear(&v->out, &w->source);
		return;
	}
	rest->link = l;
	rest->id = id;
	rest->out = v->out;
	outq_init(&v->out);
	TAILQ_INSERT_TAIL(&w->cluster->forward->rests, rest, entry);
}

void
answer_rests(struct worker *w)
{
	struct rest *rest, *next;

	for (rest = TAILQ_FIRST(&w->cluster->forward->rests); rest != NULL; rest = next) {
		next = TAILQ_NEXT(rest, entry);
		if (link_unsent(rest->link) <= UNSENT_MAX / 4 &&
		    reply_some(rest->link, rest->id, SLICE_LITERAL(""), &rest->out))
			rest_free(rest);
	}
}

/* Answers ID with what V has to say, and makes V as new. */
static void
reply_command(struct link *l, uint64_t id, struct conn *v)
{
	if (unlikely(v->state == CONN_REPORT) && wait_take_over(l, id, v))
		return;
	if (unlikely(v->foreign)) {
		outq_clear(&v->out, &v->worker->source);
		reply_flags(l, id, FRAME_NOT_MINE);
	} else if (unlikely(v->out.broken)) {
		outq_clear(&v->out, &v->worker->source);
		v->out.broken = false;
		reply_flags(l, id, FORWARD_REFUSES);
	} else {
		reply_from(l, id, SLICE_LITERAL(""), v);
	}
}

/* ---------------------------------------------------------------- frames */

bool
forward_on_command(struct link *l, const struct frame *frame)
{
	struct conn *v = inner_of(l, frame->flags & FORWARD_FLAG_BINARY);

	counter_add(link_worker(l), forwarded_in, 1);
	if (v == NULL) {
		reply_flags(l, frame->id, FORWARD_REFUSES);
		return true;
	}
	conn_input(v, frame->body.ptr, frame->body.len);
	reply_command(l, frame->id, v);
	conn_inner_reset(v);
	return true;
}

bool
forward_on_keys(struct link *l, const struct frame *frame)
{
	struct conn *v = inner_of(l, false);
	uint32_t sizes[WORKER_BATCH];
	struct keys_body keys;

	if (!keys_body_read(frame->body, &keys))
		return false;
	counter_add(link_worker(l), forwarded_in, keys.count);
	if (v == NULL) {
		reply_flags(l, frame->id, FORWARD_REFUSES);
		return true;
	}
	if (!keys_execute_here(v, &keys, sizes)) {
		reply_flags(l, frame->id, FRAME_NOT_MINE);
		return true;
	}
	for (unsigned i = 0; i < keys.count; i++)
		sizes[i] = htole32(sizes[i]);
	if (likely(!v->out.broken))
		reply_from(
		    l, frame->id, slice_of((const char *)sizes, keys.count * sizeof(sizes[0])), v);
	else
		reply_command(l, frame->id, v);
	return true;
}

/* ---------------------------------------------------------------- long values */

static struct stream *
stream_find(const struct answerer *a, uint64_t number)
{
	struct stream *s;

	LIST_FOREACH(s, &a->streams, entry)
		if (s->number == number)
			return s;
	return NULL;
}

/* What cannot be had is told when the stream ends: it is not there then. */
static void
stream_begin(struct link *l, struct answerer *a, uint64_t number, bool binary, struct slice head)
{
	struct stream *s = a->stream_count < STREAMS_MAX ? calloc(1, sizeof(*s)) : NULL;

	if (s == NULL)
		return;
	s->number = number;
	s->conn = conn_inner_new(link_worker(l), binary ? PROTOCOL_BINARY : PROTOCOL_TEXT);
	if (s->conn == NULL) {
		free(s);
		return;
	}
	LIST_INSERT_HEAD(&a->streams, s, entry);
	a->stream_count++;
	conn_input(s->conn, head.ptr, head.len);
}

static void
stream_finish(struct link *l, struct answerer *a, const struct frame *frame, struct stream *s)
{
	counter_add(link_worker(l), forwarded_in, 1);
	if (s == NULL)
		reply_flags(l, frame->id, FORWARD_REFUSES);
	else
		reply_command(l, frame->id, s->conn);
	if (s != NULL)
		stream_end(a, s);
}

bool
forward_on_stream(struct link *l, const struct frame *frame)
{
	struct answerer *a = answerer_of(l);
	struct slice rest;
	struct stream *s;
	uint64_t number;

	if (frame->body.len < NUMBER_SIZE)
		return false;
	if (a == NULL)
		return true;
	memcpy(&number, frame->body.ptr, sizeof(number));
	number = le64toh(number);
	rest = slice_of(frame->body.ptr + NUMBER_SIZE, frame->body.len - NUMBER_SIZE);
	s = stream_find(a, number);
	if (frame->type == FRAME_STREAM_BEGIN) {
		if (s != NULL)
			return false;
		stream_begin(l, a, number, frame->flags & FORWARD_FLAG_BINARY, rest);
	} else if (frame->type == FRAME_STREAM_DATA) {
		if (s != NULL)
			conn_input(s->conn, rest.ptr, rest.len);
	} else if (!(frame->flags & FORWARD_FLAG_ABORT)) {
		stream_finish(l, a, frame, s);
	} else if (s != NULL) {
		stream_end(a, s);
	}
	return true;
}
