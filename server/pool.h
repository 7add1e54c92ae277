/* server/pool.h: the buffers of one worker: free lists by size, last in first out, so that the next one handed
 * out is still in the cache.
 *
 * A pool belongs to one thread. Sizes are powers of two from 1 KiB on; above POOL_LARGEST buffers come from
 * and go back to malloc. What lies free is bounded by POOL_KEEP bytes a size.
 */
#ifndef SERVER_POOL_H
#define SERVER_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomics.h"

#define POOL_SMALLEST ((size_t)1 << 10)
#define POOL_LARGEST  ((size_t)1 << 17)
#define POOL_CLASSES  8
#define POOL_KEEP     ((size_t)1 << 20)

struct pool_free;

struct pool {
	struct pool_free *free[POOL_CLASSES];
	uint32_t free_count[POOL_CLASSES];

	/* Others read these, relaxed. */
	size_t bytes_out;   /* handed out, in bytes of capacity */
	size_t bytes_free;  /* lying in the lists */
	uint64_t count_out; /* buffers handed out at this moment */
	uint64_t failures;  /* times that malloc refused */
};

void pool_init(struct pool *pool);

/* Every buffer must have been given back. */
void pool_fini(struct pool *pool);

/* A buffer of at least WANT bytes; *CAPACITY says how many it has. NULL where memory is out. The caller owns it
 * until pool_give. */
char *pool_take(struct pool *pool, size_t want, size_t *capacity);

/* A buffer of at least WANT bytes in place of BUFFER, whose first USED bytes are kept; *CAPACITY is the old and the new
 * capacity. NULL where memory is out; BUFFER stays as it was then. */
char *pool_grow(struct pool *pool, char *buffer, size_t used, size_t want, size_t *capacity);

/* CAPACITY is what pool_take said. A NULL buffer is fine. */
void pool_give(struct pool *pool, char *buffer, size_t capacity);

/* A buffer's owner keeps it for the next use: from here to pool_back it counts as one that lies free. */
static inline void
pool_aside(struct pool *pool, size_t capacity)
{
	bump_relaxed(&pool->bytes_out, -capacity);
	bump_relaxed(&pool->bytes_free, capacity);
	bump_relaxed(&pool->count_out, -UINT64_C(1));
}

static inline void
pool_back(struct pool *pool, size_t capacity)
{
	bump_relaxed(&pool->bytes_out, capacity);
	bump_relaxed(&pool->bytes_free, -capacity);
	bump_relaxed(&pool->count_out, 1);
}

#endif
