/* server/forward_room.c: how much of the answers of other nodes is here at a time, whatever their clients read.
 *
 *	ask, with room for some KiB ->            <- all of the answer
 *	                                    or    <- so much of it, "the rest waits" (FRAME_WAITS)
 *	what stands before it goes out
 *	ROOM, so many KiB           ->            <- so much more, or all that is left
 *
 * Nobody knows how long an answer will be, so a connection expects of each what those before it were like: that is the weight of
 * its hole, which bounds how many are asked for ahead, and each question gives room for twice as much. What does not fit waits at
 * the other node, as a local value does in the store, until nearly all that stands before it is with the client.
 * Then all of it is asked for, so that it is whole before its first byte goes out: where the other node dies meanwhile it is
 * asked for again. Only where the answer is very long, or the worker holds many, it passes in pieces, each when the one before is
 * with the client.
 *
 *	of one connection    2 SERVER_OUTPUT_LIMIT ahead, FORWARD_ALONE of one that was alone, and what comes first
 *	of what comes first  FORWARD_HELD, and FORWARD_HELD_ALL of all connections together; a piece where that is too much
 */
#include "base/assert.h"
#include "cluster/frame.h"
#include "server/cluster.h"
#include "server/forward_impl.h"

/* Classes of what is expected: FORWARD_WEIGHT << class. */
#define EXPECTS_NEW 3u
#define EXPECTS_MAX 5u

/* Of answers that are shorter than expected one in so many lowers what is. */
#define EXPECTS_CALM 16u

/* The room of a question that is the only one. */
#define ALONE SERVER_OUTPUT_LIMIT

/* What stands before an answer is nearly gone. */
#define NEAR (SERVER_OUTPUT_LIMIT / 2)

#define PIECE ((size_t)128 << 10)

/* Of all workers' connections, what they hold of answers that are to be whole. */
#define HELD_ALL ((size_t)32 << 20)

size_t
forward_weight(const struct conn *c)
{
	return FORWARD_WEIGHT << c->expects;
}

void
forward_expect(struct conn *c)
{
	c->expects = EXPECTS_NEW;
}

void
forward_note(struct conn *c, size_t n)
{
	struct forward_worker *fw = c->worker->cluster->forward;
	unsigned class = 0;

	while (class < EXPECTS_MAX && n > FORWARD_WEIGHT << class)
		class ++;
	if (class > c->expects)
		c->expects = (uint8_t)(class & 7);
	else if (class < c->expects && ++fw->shorter % EXPECTS_CALM == 0)
		c->expects--;
}

/* In units of a frame's room, at least 1. */
static uint16_t
units(size_t bytes)
{
	size_t n = (bytes + FRAME_ROOM_UNIT - 1) / FRAME_ROOM_UNIT;

	return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

uint16_t
forward_room(const struct forward *f)
{
	size_t room = 2 * f->count * forward_weight(f->conn);
	bool alone = LIST_FIRST(&f->conn->forwards) == f && LIST_NEXT(f, entry) == NULL;

	if (f->kind == FORWARD_RELAY)
		return 0;
	return units(alone && room < ALONE ? ALONE : room);
}

/* ---------------------------------------------------------------- what is left of an answer */

/* N bytes of what was promised to F have come, or will not. */
static void
promise_less(struct forward *f, size_t n)
{
	uint32_t less = n < f->promised ? (uint32_t)n : f->promised;

	f->promised -= less;
	f->conn->worker->cluster->forward->promised -= less;
}

void
forward_came(struct forward *f, size_t n)
{
	if (unlikely(f->promised > 0))
		promise_less(f, n);
}

void
forward_unrest(struct forward *f)
{
	promise_less(f, f->promised);
	f->left = 0;
}

void
forward_starve(struct forward *f)
{
	struct conn *c = f->conn;

	promise_less(f, f->promised);
	outq_hole_starve(&c->out, forward_hole(f), true);
	worker_queue_turn(c->worker, c);
}

bool
forward_is_hungry(const struct conn *c)
{
	return !LIST_EMPTY(&c->forwards) && outq_hole_first_starved(&c->out, NEAR) != NULL;
}

static struct forward *
filler_of(const struct conn *c, const struct segment *hole)
{
	struct forward *f;

	LIST_FOREACH(f, &c->forwards, entry)
		if (f->left > 0 && forward_hole(f) == hole)
			return f;
	return NULL;
}

/* Bytes of what F fills next that have not come. */
static size_t
left_of(const struct forward *f)
{
	size_t all = (size_t)f->left * FRAME_ROOM_UNIT;
	const struct forward_key *key = &f->keys[f->index];

	if (f->kind != FORWARD_KEYS || key->size - f->given > all)
		return all;
	return key->size - f->given;
}

/* Whether LEFT bytes more can be held, with what HOLE holds, until all are there. */
static bool
can_hold(const struct forward *f, const struct segment *hole, size_t left)
{
	const struct worker *w = f->conn->worker;
	size_t held = w->source.filled + w->cluster->forward->promised;

	return !f->partial && outq_hole_held(hole) + left <= FORWARD_HELD &&
	    held + left <= HELD_ALL / w->server->worker_count;
}

/* What is there of F's answer goes to the client. Returns the hole behind it, NULL where memory is out. */
static struct segment *
pass_on(struct forward *f, struct segment *hole)
{
	struct conn *c = f->conn;
	struct segment *next = hole;

	if (outq_hole_held(hole) > 0) {
		f->partial = true;
		next = outq_hole_release(&c->out, &c->worker->source, hole);
	}
	if (next == NULL)
		return NULL;
	forward_hole_moved(f, hole, next);
	outq_hole_starve(&c->out, next, true);
	return next;
}

void
forward_feed(struct conn *c)
{
	struct segment *hole = outq_hole_first_starved(&c->out, NEAR);
	struct forward *f = hole != NULL ? filler_of(c, hole) : NULL;
	size_t left;

	if (f == NULL)
		return;
	left = left_of(f);
	if (can_hold(f, hole, left)) {
		f->promised = (uint32_t)left;
		c->worker->cluster->forward->promised += left;
	} else {
		left = left < PIECE ? left : PIECE;
		if ((hole = pass_on(f, hole)) == NULL) {
			forward_break(c);
			return;
		}
		if (outq_hole_first_starved(&c->out, NEAR) == NULL)
			return;
	}
	outq_hole_starve(&c->out, hole, false);
	f->left = 0;
	if (unlikely(!link_more(&f->ticket, units(left))))
		forward_doom(f, FORWARD_BUSY);
}
