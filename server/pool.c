/* server/pool.c: see pool.h. The link of a free list lies in the free buffer itself. */
#include "server/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "base/assert.h"

struct pool_free {
	struct pool_free *next;
};

static_assert(POOL_SMALLEST << (POOL_CLASSES - 1) == POOL_LARGEST, "the classes end at the largest size");

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
		pool->bytes_free -= size;
	} else if ((buffer = malloc(size)) == NULL) {
		pool->failures++;
		return NULL;
	}
	pool->bytes_out += size;
	pool->count_out++;
	*capacity = size;
	return buffer;
}

void
pool_give(struct pool *pool, char *buffer, size_t capacity)
{
	struct pool_free *entry = (struct pool_free *)(void *)buffer;
	unsigned class;

	if (buffer == NULL)
		return;
	ASSERT(pool->count_out > 0 && pool->bytes_out >= capacity);
	pool->bytes_out -= capacity;
	pool->count_out--;
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
	pool->bytes_free += capacity;
}
