/* server/pool.c: see pool.h. The link of a free list lies in the free buffer itself. */
#include "server/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct pool_free {
	struct pool_free *next;
};

static_assert(
    POOL_SMALLEST << (POOL_CLASSES - 1) == POOL_LARGEST, "the classes end at the largest size");

/* The class whose buffers have at least WANT bytes; WANT is at most POOL_LARGEST. */
static unsigned
pool_class(size_t want)
{
	if (want <= POOL_SMALLEST)
		return 0;
	return 64u - 10u - (unsigned)__builtin_clzl(want - 1);
}

void
pool_init(struct pool *pool)
{
	*pool = (struct pool){0};
}

void
pool_fini(struct pool *pool)
{
	ASSERT(pool->count_out == 0 && pool->bytes_out == 0);
	for (unsigned i = 0; i < POOL_CLASSES; i++) {
		while (pool->free[i] != NULL) {
			struct pool_free *next = pool->free[i]->next;

			free(pool->free[i]);
			pool->free[i] = next;
		}
	}
	*pool = (struct pool){0};
}

char *
pool_take(struct pool *pool, size_t want, size_t *capacity)
{
	unsigned class = POOL_CLASSES;
	size_t size = want;
	char *buffer = NULL;

	if (want <= POOL_LARGEST) {
		class = pool_class(want);
		size = POOL_SMALLEST << class;
	}
	if (class < POOL_CLASSES && pool->free[class] != NULL) {
		buffer = (char *)pool->free[class];
		pool->free[class] = pool->free[class]->next;
		pool->free_count[class]--;
		bump_relaxed(&pool->bytes_free, -size);
	} else if ((buffer = malloc(size)) == NULL) {
		bump_relaxed(&pool->failures, 1);
		return NULL;
	}
	bump_relaxed(&pool->bytes_out, size);
	bump_relaxed(&pool->count_out, 1);
	*capacity = size;
	return buffer;
}

char *
pool_grow(struct pool *pool, char *buffer, size_t used, size_t want, size_t *capacity)
{
	size_t old = *capacity;
	char *grown;

	ASSERT(used <= old && want > old);
	if (old > POOL_LARGEST) {
		/* Large ones are moved by the kernel's page tables, without a copy. */
		if ((grown = realloc(buffer, want)) == NULL) {
			bump_relaxed(&pool->failures, 1);
			return NULL;
		}
		bump_relaxed(&pool->bytes_out, want - old);
		*capacity = want;
		return grown;
	}
	if ((grown = pool_take(pool, want, capacity)) == NULL)
		return NULL;
	memcpy(grown, buffer, used);
	pool_give(pool, buffer, old);
	return grown;
}

void
pool_give(struct pool *pool, char *buffer, size_t capacity)
{
	struct pool_free *entry = (struct pool_free *)(void *)buffer;
	unsigned class;

	if (buffer == NULL)
		return;
	ASSERT(pool->count_out > 0 && pool->bytes_out >= capacity);
	bump_relaxed(&pool->bytes_out, -capacity);
	bump_relaxed(&pool->count_out, -UINT64_C(1));
	if (capacity > POOL_LARGEST) {
		free(buffer);
		return;
	}
	class = pool_class(capacity);
	if ((pool->free_count[class] + 1) * capacity > POOL_KEEP) {
		free(buffer);
		return;
	}
	entry->next = pool->free[class];
	pool->free[class] = entry;
	pool->free_count[class]++;
	bump_relaxed(&pool->bytes_free, capacity);
}
