/* server/outq.h: what a connection has yet to send: a queue of segments, in order.
 *
 *	head                                                     being filled
 *	 |                                                        |
 *	[bytes in a block] -> [pinned value] -> [bytes] -> ...   [open .. at) .. end of the block
 *
 * Small parts are written straight into blocks of the worker's pool (reserve, write, commit: what is not
 * committed never was there). A large value is not copied: its segment holds the store's pin until the last byte
 * is with the kernel. The bytes that are being filled are no segment yet; they become one (are closed) when
 * something else must stand behind them. Segments have a kind, and the sender stops at one that cannot be sent yet, a hole:
 * the place of a reply that comes later, from another node. It is filled in one piece or in several, and what it holds
 * goes out when it is closed, or released piece by piece. An open hole counts as its weight, the bytes that are
 * expected of it: so who bounds outq_bytes bounds what is asked for ahead as well.
 *
 *	[bytes] -> [hole: 256 expected] -> [bytes] -> [hole, 60 bytes there] -> open
 *	 sent next  the sender stops here
 *
 * Who fills a hole may have to wait himself, until what stands before it has gone to its reader: it is starved then.
 *
 * Where little stands in front of a hole it is worth no call of its own: it waits, until the hole is filled or somebody has
 * had enough of waiting (outq_hole_hurry).
 *
 * An empty queue holds no memory. All calls are the owning worker's.
 */
#ifndef SERVER_OUTQ_H
#define SERVER_OUTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/slice.h"
#include "server/pool.h"

struct store;
struct store_pin;
struct segment;

#define OUTQ_BLOCK ((size_t)16 << 10)

/* So much does not wait for a hole behind it. */
#define OUTQ_WORTH OUTQ_BLOCK

/* Where queues of one worker get their memory. */
struct outq_source {
	struct pool *pool;
	struct store *store;
	struct segment *free; /* segments that wait for use */
	uint32_t free_count;
	char *spare;   /* a block of OUTQ_BLOCK bytes that the next queue takes, or NULL */
	size_t filled; /* bytes of memory that hold what holes were filled with, until it is sent */

	/* Atomic. A block that was the spare one is with a queue. To the pool it lies free all the same, as long as no other
	 * block has become the spare one: most answers fit into one block and are sent at once. */
	bool lent;
};

struct outq {
	struct segment *head, *last; /* the closed segments */
	char *block, *open, *at,
	    *end;         /* the block being filled: [open, at) is to send, [at, end) is room */
	size_t closed;    /* bytes in the closed segments, and the weights of open holes */
	uint32_t starved; /* open holes that are */
	bool broken; /* memory was out: nothing is sent any more, the connection must be closed */
};

void outq_source_init(struct outq_source *src, struct pool *pool, struct store *st);
void outq_source_fini(struct outq_source *src);

void outq_init(struct outq *q);

/* Throws away what was not sent. */
void outq_clear(struct outq *q, struct outq_source *src);

/* Bytes to send now or later: pinned ones and what is expected of holes included. */
static inline size_t
outq_bytes(const struct outq *q)
{
	return q->closed + (size_t)(q->at - q->open);
}

/* A new block with N bytes of room. NULL where memory is out; the queue is broken then. */
char *outq_grow(struct outq *q, struct outq_source *src, size_t n);

/* The spare block, for a queue that has none. */
static ALWAYS_INLINE char *
outq_lend(struct outq *q, struct outq_source *src)
{
	char *block = src->spare;

	src->spare = NULL;
	store_relaxed(&src->lent, true);
	q->block = q->open = q->at = block;
	q->end = block + OUTQ_BLOCK;
	return block;
}

/* Room for N bytes to write at. NULL only where memory is out; the queue is broken then. */
static inline char *
outq_reserve(struct outq *q, struct outq_source *src, size_t n)
{
	if (likely((size_t)(q->end - q->at) >= n))
		return q->at;
	if (likely(q->block == NULL && src->spare != NULL && n <= OUTQ_BLOCK))
		return outq_lend(q, src);
	return outq_grow(q, src, n);
}

/* What was written from the last outq_reserve up to END is part of the output. */
static inline void
outq_commit(struct outq *q, char *end)
{
	q->at = end;
}

/* Copies. */
static inline void
outq_append(struct outq *q, struct outq_source *src, const char *data, size_t n)
{
	char *to = outq_reserve(q, src, n);

	if (unlikely(to == NULL))
		return;
	memcpy(to, data, n);
	outq_commit(q, to + n);
}

static inline void
outq_append_slice(struct outq *q, struct outq_source *src, struct slice s)
{
	outq_append(q, src, s.ptr, s.len);
}

/* SIZE bytes of PIN, which belongs to the queue from now on, also where it fails. */
void outq_pin(struct outq *q, struct outq_source *src, struct store_pin *pin, size_t size);

/* Makes a hole of WEIGHT behind all that is there. It is the caller's to fill and close, as long as the queue is not
 * cleared. NULL where memory is out; the queue is broken then. */
struct segment *outq_hole(struct outq *q, struct outq_source *src, size_t weight);

/* Copies N bytes into HOLE, behind what it holds. False where memory is out; the queue is broken then. */
bool outq_fill(
    struct outq *q, struct outq_source *src, struct segment *hole, const char *data, size_t n);

/* Bytes that HOLE holds. */
size_t outq_hole_held(const struct segment *hole);

/* Throws away what HOLE holds. */
void outq_hole_empty(struct outq_source *src, struct segment *hole);

/* From now on WEIGHT is expected of HOLE. */
void outq_hole_weigh(struct outq *q, struct segment *hole, size_t weight);

/* Whether whoever fills HOLE waits. */
void outq_hole_starve(struct outq *q, struct segment *hole, bool starved);

/* The first open hole, where it is starved and no more than WITHIN bytes stand before it; else NULL. */
struct segment *outq_hole_first_starved(const struct outq *q, size_t within);

/* What HOLE holds may be sent, more is to come: returns the hole that stands behind it, with the same weight; HOLE is none any
 * more. NULL where memory is out; the queue is broken then, and HOLE is as it was. */
struct segment *outq_hole_release(struct outq *q, struct outq_source *src, struct segment *hole);

/* A second hole right behind HOLE, which is open and holds nothing, of the same weight. NULL as above. */
struct segment *outq_hole_split(struct outq *q, struct outq_source *src, struct segment *hole);

/* HOLE is filled: what it holds may be sent as soon as what stands before it. */
void outq_hole_close(struct outq *q, struct outq_source *src, struct segment *hole);

/* What was written up to here is the end of a reply of several parts, of which some were holes. False where memory is
 * out; the queue is broken then. */
bool outq_end_group(struct outq *q, struct outq_source *src);

/* Of a reply of several parts HOLE, an open one, is the last that will be sent: the parts behind it, up to outq_end_group,
 * are thrown away; those that are open holes stay, and take nothing any more. False where the end is not there yet. */
bool outq_cut_group(struct outq *q, struct outq_source *src, struct segment *hole);

/* Nothing waits for HOLE any more. */
void outq_hole_hurry(struct segment *hole);

/* Whether what stands first is there, and is worth sending. */
bool outq_front_ready(const struct outq *q);

/* Whether there is something that can be sent now. Never where the queue is broken: what stands behind a gap would be taken for
 * what is missing. */
static inline bool
outq_sendable(const struct outq *q)
{
	if (unlikely(q->broken))
		return false;
	return likely(q->head == NULL) ? q->at > q->open : outq_front_ready(q);
}

/* Bytes of memory that the queue has for itself: values that are pinned are the store's. */
size_t outq_memory(const struct outq *q);

/* Whether all that is to send is one piece: what lies in the block. */
static inline bool
outq_is_plain(const struct outq *q)
{
	return q->head == NULL;
}

/* That piece. */
static inline struct slice
outq_plain(const struct outq *q)
{
	return slice_of(q->open, (size_t)(q->at - q->open));
}

/* Fills IOV with at most MAX pieces of what can be sent now; returns how many. */
unsigned outq_gather(
    const struct outq *q, struct outq_source *src, struct iovec *iov, unsigned max);

/* For outq_sent: the same where there are segments; the block goes back where it came from. */
void outq_sent_segments(struct outq *q, struct outq_source *src, size_t n);
void outq_drop_block(struct outq *q, struct outq_source *src);

/* The first N bytes are sent: lets go of them. */
static inline void
outq_sent(struct outq *q, struct outq_source *src, size_t n)
{
	if (unlikely(q->head != NULL)) {
		outq_sent_segments(q, src, n);
		return;
	}
	ASSERT((size_t)(q->at - q->open) >= n);
	q->open += n;
	if (unlikely(q->open != q->at))
		return;
	if (unlikely(
		src->spare != NULL || !src->lent || (size_t)(q->end - q->block) != OUTQ_BLOCK)) {
		outq_drop_block(q, src);
		return;
	}
	src->spare = q->block;
	store_relaxed(&src->lent, false);
	q->block = q->open = q->at = q->end = NULL;
}

#endif
