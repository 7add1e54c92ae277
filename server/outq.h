/* server/outq.h: what a connection has yet to send: a queue of segments, in order.
 *
 *	head                                                     being filled
 *	 |                                                        |
 *	[bytes in a block] -> [pinned value] -> [bytes] -> ...   [open .. at) .. end of the block
 *
 * Small parts are written straight into blocks of the worker's pool (reserve, write, commit: what is not
 * committed never was there). A large value is not copied: its segment holds the store's pin until the last byte
 * is with the kernel. The bytes that are being filled are no segment yet; they become one (are closed) when
 * something else must stand behind them. Segments have a kind, and the sender stops at one that cannot be sent yet:
 * the place where a reply that comes later is put in order.
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

/* Where queues of one worker get their memory. */
struct outq_source {
	struct pool *pool;
	struct store *store;
	struct segment *free; /* segments that wait for use */
	uint32_t free_count;
	char *spare; /* a block of OUTQ_BLOCK bytes that the next queue takes, or NULL */
};

struct outq {
	struct segment *head, *last; /* the closed segments */
	char *block, *open, *at,
	    *end;      /* the block being filled: [open, at) is to send, [at, end) is room */
	size_t closed; /* bytes in the closed segments */
	bool broken; /* memory was out: what follows is incomplete, the connection must be closed */
};

void outq_source_init(struct outq_source *src, struct pool *pool, struct store *st);
void outq_source_fini(struct outq_source *src);

void outq_init(struct outq *q);

/* Throws away what was not sent. */
void outq_clear(struct outq *q, struct outq_source *src);

/* Bytes to send, pinned ones included. */
static inline size_t
outq_bytes(const struct outq *q)
{
	return q->closed + (size_t)(q->at - q->open);
}

/* A new block with N bytes of room. Never NULL: where memory is out it is a scratch area of the last resort, and
 * the queue is broken; N is bounded by OUTQ_BLOCK there, NULL above. */
char *outq_grow(struct outq *q, struct outq_source *src, size_t n);

/* Room for N bytes to write at. NULL only where memory is out; the queue is broken then. */
static inline char *
outq_reserve(struct outq *q, struct outq_source *src, size_t n)
{
	if (likely((size_t)(q->end - q->at) >= n))
		return q->at;
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

/* The first N bytes are sent: lets go of them. */
void outq_sent(struct outq *q, struct outq_source *src, size_t n);

#endif
