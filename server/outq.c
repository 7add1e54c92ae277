/* server/outq.c: see outq.h. A block belongs to the last segment that lies in it, or to the queue while it is being
 * filled. Because segments leave in order, that is soon enough. */
#include "server/outq.h"

#include <stdlib.h>

#include "slab/store.h"

/* How many unused segments a worker keeps. */
#define SEGMENTS_KEPT 4096u

enum segment_kind {
	SEGMENT_BYTES,
	SEGMENT_PIN,
};

struct segment {
	struct segment *next;
	enum segment_kind kind;
	uint32_t cursor; /* of a pin: where the piece after PTR begins */
	const char *ptr; /* what comes next of it: LEN bytes */
	size_t len;
	size_t left; /* bytes in all, LEN included */
	char *block; /* to give back with the segment, or NULL */
	size_t block_capacity;
	struct store_pin *pin;
};

void
outq_source_init(struct outq_source *src, struct pool *pool, struct store *st)
{
	*src = (struct outq_source){.pool = pool, .store = st};
}

void
outq_source_fini(struct outq_source *src)
{
	while (src->free != NULL) {
		struct segment *next = src->free->next;

		free(src->free);
		src->free = next;
	}
	src->free_count = 0;
	if (src->spare != NULL) {
		pool_back(src->pool, OUTQ_BLOCK);
		pool_give(src->pool, src->spare, OUTQ_BLOCK);
	}
	src->spare = NULL;
}

/* Most answers fit into one block and are sent at once: the block goes from queue to queue, past the pool. */
static char *
block_take(struct outq_source *src, size_t n, size_t *capacity)
{
	char *block = src->spare;

	if (likely(block != NULL && n <= OUTQ_BLOCK)) {
		src->spare = NULL;
		pool_back(src->pool, OUTQ_BLOCK);
		*capacity = OUTQ_BLOCK;
		return block;
	}
	return pool_take(src->pool, n > OUTQ_BLOCK ? n : OUTQ_BLOCK, capacity);
}

static void
block_give(struct outq_source *src, char *block, size_t capacity)
{
	if (unlikely(src->spare != NULL || capacity != OUTQ_BLOCK)) {
		pool_give(src->pool, block, capacity);
		return;
	}
	src->spare = block;
	pool_aside(src->pool, OUTQ_BLOCK);
}

static struct segment *
segment_new(struct outq_source *src, enum segment_kind kind)
{
	struct segment *seg = src->free;

	if (seg != NULL) {
		src->free = seg->next;
		src->free_count--;
	} else if ((seg = malloc(sizeof(*seg))) == NULL) {
		return NULL;
	}
	*seg = (struct segment){.kind = kind};
	return seg;
}

/* Lets go of SEG and of what it holds. */
static void
segment_drop(struct segment *seg, struct outq_source *src)
{
	if (seg->kind == SEGMENT_PIN)
		store_unpin(src->store, seg->pin);
	if (seg->block != NULL)
		block_give(src, seg->block, seg->block_capacity);
	if (src->free_count == SEGMENTS_KEPT) {
		free(seg);
		return;
	}
	seg->next = src->free;
	src->free = seg;
	src->free_count++;
}

static void
outq_link(struct outq *q, struct segment *seg)
{
	if (q->last == NULL)
		q->head = seg;
	else
		q->last->next = seg;
	q->last = seg;
	q->closed += seg->left;
}

void
outq_init(struct outq *q)
{
	*q = (struct outq){0};
}

static void
outq_drop_block(struct outq *q, struct outq_source *src)
{
	if (q->block != NULL)
		block_give(src, q->block, (size_t)(q->end - q->block));
	q->block = q->open = q->at = q->end = NULL;
}

/* Makes a segment of the bytes that are being filled; with WHOLE the block goes with it, even where the segment
 * is empty, because earlier ones may lie in the same block. */
static bool
outq_close(struct outq *q, struct outq_source *src, bool whole)
{
	struct segment *seg;

	if (q->at == q->open && !whole)
		return true;
	if (q->at == q->block) {
		outq_drop_block(q, src);
		return true;
	}
	if ((seg = segment_new(src, SEGMENT_BYTES)) == NULL) {
		q->broken = true;
		return false;
	}
	seg->ptr = q->open;
	seg->len = seg->left = (size_t)(q->at - q->open);
	if (whole) {
		seg->block = q->block;
		seg->block_capacity = (size_t)(q->end - q->block);
		q->block = q->at = q->end = NULL;
	}
	q->open = q->at;
	outq_link(q, seg);
	return true;
}

void
outq_clear(struct outq *q, struct outq_source *src)
{
	while (q->head != NULL) {
		struct segment *next = q->head->next;

		segment_drop(q->head, src);
		q->head = next;
	}
	outq_drop_block(q, src);
	*q = (struct outq){.broken = q->broken};
}

char *
outq_grow(struct outq *q, struct outq_source *src, size_t n)
{
	size_t capacity;
	char *block;

	if (q->block != NULL && !outq_close(q, src, true))
		return NULL;
	block = block_take(src, n, &capacity);
	if (block == NULL) {
		q->broken = true;
		return NULL;
	}
	q->block = q->open = q->at = block;
	q->end = block + capacity;
	return block;
}

void
outq_pin(struct outq *q, struct outq_source *src, struct store_pin *pin, size_t size)
{
	struct segment *seg = NULL;

	if (!outq_close(q, src, false) || (seg = segment_new(src, SEGMENT_PIN)) == NULL) {
		store_unpin(src->store, pin);
		q->broken = true;
		return;
	}
	seg->pin = pin;
	seg->left = size;
	(void)store_pin_next(src->store, pin, &seg->cursor, &seg->ptr, &seg->len);
	outq_link(q, seg);
}

static void
iov_set(struct iovec *iov, const char *ptr, size_t len)
{
	iov->iov_base = (void *)(uintptr_t)ptr;
	iov->iov_len = len;
}

/* The pieces of SEG that are left; returns how many of at most MAX. */
static unsigned
segment_gather(const struct segment *seg, struct outq_source *src, struct iovec *iov, unsigned max)
{
	uint32_t cursor = seg->cursor;
	const char *ptr;
	unsigned n = 0;
	size_t len;

	if (seg->len > 0 && n < max)
		iov_set(&iov[n++], seg->ptr, seg->len);
	if (seg->kind != SEGMENT_PIN || seg->left == seg->len)
		return n;
	while (n < max && store_pin_next(src->store, seg->pin, &cursor, &ptr, &len))
		iov_set(&iov[n++], ptr, len);
	return n;
}

unsigned
outq_gather(const struct outq *q, struct outq_source *src, struct iovec *iov, unsigned max)
{
	unsigned n = 0;

	for (const struct segment *seg = q->head; seg != NULL && n < max; seg = seg->next)
		n += segment_gather(seg, src, iov + n, max - n);
	if (q->at > q->open && n < max)
		iov_set(&iov[n++], q->open, (size_t)(q->at - q->open));
	return n;
}

/* N bytes of SEG, no more than it has, are sent. */
static void
segment_advance(struct segment *seg, struct outq_source *src, size_t n)
{
	seg->left -= n;
	while (n >= seg->len && seg->left > 0) {
		n -= seg->len;
		if (!store_pin_next(src->store, seg->pin, &seg->cursor, &seg->ptr, &seg->len))
			panic("a pinned value is shorter than it said");
	}
	seg->ptr += n;
	seg->len -= n;
}

void
outq_sent(struct outq *q, struct outq_source *src, size_t n)
{
	while (q->head != NULL) {
		struct segment *seg = q->head;
		size_t take = n < seg->left ? n : seg->left;

		q->closed -= take;
		n -= take;
		if (take < seg->left) {
			segment_advance(seg, src, take);
			return;
		}
		q->head = seg->next;
		if (q->head == NULL)
			q->last = NULL;
		segment_drop(seg, src);
	}
	ASSERT((size_t)(q->at - q->open) >= n);
	q->open += n;
	if (q->open == q->at && q->block != NULL)
		outq_drop_block(q, src);
}
