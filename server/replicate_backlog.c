/* server/replicate_backlog.c: a ring of entries. */
#include "server/replicate_backlog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/atomics.h"

static_assert(offsetof(struct backlog_entry, order) == 8, "layout");
static_assert(offsetof(struct backlog_entry, key) == 40, "layout");

bool
backlog_init(struct backlog *b, size_t bytes)
{
	size_t size = BACKLOG_SIZE_MIN;

	while (size * 2 <= bytes)
		size *= 2;
	memset(b, 0, sizeof(*b));
	b->mask = size - 1;
	b->ring = malloc(size);
	return b->ring != NULL;
}

void
backlog_fini(struct backlog *b)
{
	free(b->ring);
	b->ring = NULL;
}

static struct backlog_entry *
entry_at(const struct backlog *b, uint64_t position)
{
	return (struct backlog_entry *)(void *)(b->ring + (position & b->mask));
}

/* Lets go of the oldest entries until SIZE more bytes fit. */
static void
make_room(struct backlog *b, uint64_t size)
{
	while (b->head + size - b->tail > b->mask + 1)
		store_relaxed(&b->tail, b->tail + entry_at(b, b->tail)->size);
}

/* Fills up the ring's end where SIZE bytes do not fit before it. What is left there is a multiple of 8, so that at least
 * the first field of the filler finds room. */
static void
skip_to_start(struct backlog *b, uint64_t size)
{
	uint64_t left = b->mask + 1 - (b->head & b->mask);
	uint32_t filler[2] = {(uint32_t)left, BACKLOG_SKIP};

	if (left >= size)
		return;
	make_room(b, left);
	memcpy(b->ring + (b->head & b->mask), filler, sizeof(filler));
	store_relaxed(&b->head, b->head + left);
}

struct backlog_entry *
backlog_append(
    struct backlog *b, enum backlog_what what, struct slice key, uint64_t order, uint32_t writer)
{
	uint64_t size = (offsetof(struct backlog_entry, key) + key.len + 7) & ~UINT64_C(7);
	struct backlog_entry *entry;

	ASSERT(key.len <= UINT8_MAX && size <= BACKLOG_SIZE_MIN);
	skip_to_start(b, size);
	make_room(b, size);
	entry = entry_at(b, b->head);
	entry->size = (uint32_t)size;
	entry->what = (uint8_t)what;
	entry->nkey = (uint8_t)key.len;
	entry->pointed = false;
	entry->zero = 0;
	entry->order = order;
	entry->time = 0;
	entry->writer = writer;
	entry->number = ++b->number;
	memcpy(entry->key, key.ptr, key.len);
	store_relaxed(&b->head, b->head + size);
	return entry;
}

struct backlog_entry *
backlog_next(const struct backlog *b, uint64_t *position)
{
	struct backlog_entry *entry;

	do {
		ASSERT(*position >= b->tail && *position <= b->head);
		if (*position == b->head)
			return NULL;
		entry = entry_at(b, *position);
		*position += entry->size;
	} while (entry->what == BACKLOG_SKIP);
	return entry;
}
