/* server/forward_answer.c: the answering side of an incoming link.
 *
 * Commands are executed on inner connections of the link: one that speaks text, one that speaks binary, and one for each
 * long value that is under way. What a command answers is taken from the inner connection's output and sent back
 * in as many frames as it needs; then the inner connection is as new. What is not ours to answer is refused
 * before it is executed.
 *
 * What is left of an answer that there is no room for waits here (see forward_room.c), until the asker says that there is more, or
 * that nobody wants it any more, or the link ends. Large values are pinned meanwhile, others are copies, whose memory is bounded: too
 * much of it, and an answer is refused.
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

/* Memory of answers that wait for room, of all workers together. */
#define WAITING_MAX ((size_t)64 << 20)

/* Chains of those of one link. */
#define CHAINS 64u

/* What is still to be sent of a long answer. */
struct rest {
	TAILQ_ENTRY(rest) entry; /* in the worker's list, while there is room for it */
	LIST_ENTRY(rest) chain;  /* else in one of the link's */
	struct link *link;
	uint64_t id;
	size_t room, memory;
	struct outq out;
};

LIST_HEAD(rest_chain, rest);

struct answerer {
	struct conn *inner[2]; /* text, binary; NULL until they are needed */
	LIST_HEAD(, stream) streams;
	uint32_t stream_count;
	struct rest_chain waiting[CHAINS]; /* by id: rests without room */
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

/* REST is in no list any more. */
static void
rest_free(struct rest *rest)
{
	struct worker *w = link_worker(rest->link);

	outq_clear(&rest->out, &w->source);
	free(rest);
}

/* REST may go on, as soon as its link has room. */
static void
rest_goes(struct rest *rest)
{
	TAILQ_INSERT_TAIL(&link_worker(rest->link)->cluster->forward->rests, rest, entry);
}

/* REST waits no more. */
static void
rest_take(struct rest *rest)
{
	LIST_REMOVE(rest, chain);
	link_worker(rest->link)->cluster->forward->waiting -= rest->memory;
}

static struct rest *
rest_find(const struct answerer *a, uint64_t id)
{
	struct rest *rest;

	LIST_FOREACH(rest, &a->waiting[id % CHAINS], chain)
		if (rest->id == id)
			return rest;
	return NULL;
}

static void
rests_drop(const struct link *l)
{
	struct worker *w = link_worker(l);
	struct rest *rest, *next;

	for (rest = TAILQ_FIRST(&w->cluster->forward->rests); rest != NULL; rest = next) {
		next = TAILQ_NEXT(rest, entry);
		if (rest->link != l)
			continue;
		TAILQ_REMOVE(&w->cluster->forward->rests, rest, entry);
		rest_free(rest);
	}
}

static void
waiting_drop(struct answerer *a)
{
	struct rest *rest;

	for (unsigned i = 0; i < CHAINS; i++)
		while ((rest = LIST_FIRST(&a->waiting[i])) != NULL) {
			rest_take(rest);
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
	waiting_drop(a);
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

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* In KiB; 0 = nothing. */
static uint16_t
units(size_t bytes)
{
	return (uint16_t)least((bytes + FRAME_ROOM_UNIT - 1) / FRAME_ROOM_UNIT, UINT16_MAX);
}

/* Sends HEAD and what is in Q as the reply to ID, as long as the link has not too much to send and there is *ROOM for it, HEAD not
 * counted. False where something is left. */
static bool
reply_some(struct link *l, uint64_t id, struct slice head, struct outq *q, size_t *room)
{
	struct outq_source *src = &link_worker(l)->source;
	size_t left = outq_bytes(q);
	char *p;

	do {
		size_t n = least(least(left, FRAME_BODY_MAX - head.len), *room);
		bool waits;

		if ((p = link_frame(l, head.len + n)) == NULL)
			break;
		memcpy(p, head.ptr, head.len);
		left -= n;
		*room -= n;
		waits = left > 0 && *room == 0;
		link_frame_end_room(l, FRAME_REPLY,
		    (uint8_t)((left == 0 ? FRAME_LAST : 0) | (waits ? FRAME_WAITS : 0)), id,
		    waits ? units(left) : 0, take(src, q, p + head.len, n));
		head.len = 0;
	} while (left > 0 && *room > 0 && link_unsent(l) <= UNSENT_MAX);
	if (p != NULL && left > 0)
		return false;
	outq_clear(q, src);
	q->broken = false;
	return true;
}

/* REST, some of which was sent, waits for its link, or for room. */
static void
rest_stays(struct rest *rest)
{
	struct answerer *a = *(struct answerer **)(void *)link_slot(rest->link);

	if (rest->room > 0) {
		rest_goes(rest);
		return;
	}
	rest->memory = outq_memory(&rest->out);
	link_worker(rest->link)->cluster->forward->waiting += rest->memory;
	LIST_INSERT_HEAD(&a->waiting[rest->id % CHAINS], rest, chain);
}

/* Sends HEAD and all that V has to say as the reply to ID, for which there is ROOM (in KiB; 0 = all): what is too much goes when there
 * is. */
static void
reply_from(struct link *l, uint64_t id, struct slice head, struct conn *v, uint16_t room)
{
	struct worker *w = v->worker;
	size_t bytes = room > 0 ? (size_t)room * FRAME_ROOM_UNIT : SIZE_MAX;
	struct rest *rest;

	if (unlikely(outq_bytes(&v->out) > bytes) &&
	    w->cluster->forward->waiting > WAITING_MAX / w->server->worker_count) {
		outq_clear(&v->out, &w->source);
		reply_flags(l, id, FORWARD_REFUSES);
		return;
	}
	if (likely(reply_some(l, id, head, &v->out, &bytes)))
		return;
	if ((rest = calloc(1, sizeof(*rest))) == NULL) {
		link_break(l, "no memory for an answer");
		outq_clear(&v->out, &w->source);
		return;
	}
	rest->link = l;
	rest->id = id;
	rest->room = bytes;
	rest->out = v->out;
	outq_init(&v->out);
	rest_stays(rest);
}

void
answer_rests(struct worker *w)
{
	struct rest_list *rests = &w->cluster->forward->rests;
	struct rest *rest, *next;

	for (rest = TAILQ_FIRST(rests); rest != NULL; rest = next) {
		next = TAILQ_NEXT(rest, entry);
		if (link_unsent(rest->link) > UNSENT_MAX / 4)
			continue;
		TAILQ_REMOVE(rests, rest, entry);
		if (reply_some(rest->link, rest->id, SLICE_LITERAL(""), &rest->out, &rest->room))
			rest_free(rest);
		else
			rest_stays(rest);
	}
}

bool
forward_on_room(struct link *l, const struct frame *frame)
{
	struct answerer *a = *(struct answerer **)(void *)link_slot(l);
	struct rest *rest = a != NULL ? rest_find(a, frame->id) : NULL;

	if (frame->body.len > 0)
		return false;
	if (rest == NULL)
		return true;
	rest_take(rest);
	rest->room = (size_t)frame->room * FRAME_ROOM_UNIT;
	if (rest->room > 0)
		rest_goes(rest);
	else
		rest_free(rest);
	return true;
}

/* Answers ID with what V has to say, and makes V as new. */
static void
reply_command(struct link *l, uint64_t id, struct conn *v, uint16_t room)
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
		reply_from(l, id, SLICE_LITERAL(""), v, room);
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
	reply_command(l, frame->id, v, frame->room);
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
		reply_from(l, frame->id,
		    slice_of((const char *)sizes, keys.count * sizeof(sizes[0])), v, frame->room);
	else
		reply_command(l, frame->id, v, frame->room);
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
		reply_command(l, frame->id, s->conn, frame->room);
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
