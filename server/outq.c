/* server/outq.c: see outq.h. A block belongs to the last segment that lies in it, or to the queue while it is being
 * filled. Because segments leave in order, that is soon enough.
 *
 * A hole has its first piece in itself, further ones in a list of its own, each in a block that nobody else uses. When it is
 * closed it becomes a segment of bytes, which may be empty, and its list follows it in the queue. Empty ones at the front
 * go at once: nothing that is sent later would take them along.
 */
#include "server/outq.h"

#include <stdlib.h>

#include "slab/store.h"

/* How many unused segments a worker keeps. */
#define SEGMENTS_KEPT 4096u

enum segment_kind {
	SEGMENT_BYTES,
	SEGMENT_PIN,
	SEGMENT_HOLE,
};

struct segment {
	struct segment *next;
	enum segment_kind kind : 8;
	bool ends_group : 1; /* what stands behind it is another reply */
	bool deaf : 1;       /* a hole that takes nothing any more */
	bool patient : 1;    /* a hole that a little in front of it waits for */
	bool starved : 1;    /* a hole whose filler waits */
	bool filled : 1;     /* BLOCK counts in the source's FILLED */
	uint32_t cursor;     /* of a pin: where the piece after PTR begins */
	const char *ptr;     /* what comes next of it: LEN bytes */
	size_t len;
	size_t left; /* bytes in all, LEN included; of a hole its weight */
	char *block; /* to give back with the segment, or NULL */
	size_t block_capacity;
	union {
		struct store_pin *pin;
		struct segment *more; /* of a hole: the pieces behind its first */
	};
	struct segment *more_last;
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
	ASSERT(!src->lent && src->filled == 0);
	if (src->spare != NULL) {
		pool_back(src->pool, OUTQ_BLOCK);
		pool_give(src->pool, src->spare, OUTQ_BLOCK);
	}
	src->spare = NULL;
}

static void
block_give(struct outq_source *src, char *block, size_t capacity)
{
	if (src->spare != NULL || capacity != OUTQ_BLOCK) {
		pool_give(src->pool, block, capacity);
		return;
	}
	src->spare = block;
	if (!src->lent)
		pool_aside(src->pool, OUTQ_BLOCK);
	store_relaxed(&src->lent, false);
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

/* The block of PIECE, which a hole was filled with, goes. */
static void
piece_end(struct segment *piece, struct outq_source *src)
{
	src->filled -= piece->block_capacity;
	pool_give(src->pool, piece->block, piece->block_capacity);
	piece->block = NULL;
	piece->filled = false;
}

/* Lets go of SEG and of what it holds. */
static void
segment_drop(struct segment *seg, struct outq_source *src)
{
	if (seg->kind == SEGMENT_PIN)
		store_unpin(src->store, seg->pin);
	else if (unlikely(seg->kind == SEGMENT_HOLE))
		outq_hole_empty(src, seg);
	if (seg->filled)
		piece_end(seg, src);
	else if (seg->block != NULL)
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

void
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
	if (src->spare != NULL && n <= OUTQ_BLOCK)
		return outq_lend(q, src);
	block = pool_take(src->pool, n > OUTQ_BLOCK ? n : OUTQ_BLOCK, &capacity);
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

size_t
outq_memory(const struct outq *q)
{
	size_t memory = (size_t)(q->end - q->block);

	for (const struct segment *seg = q->head; seg != NULL; seg = seg->next)
		memory += seg->block != NULL ? seg->block_capacity : 0;
	return memory;
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

	for (const struct segment *seg = q->head; seg != NULL && n < max; seg = seg->next) {
		if (unlikely(seg->kind == SEGMENT_HOLE))
			return n;
		n += segment_gather(seg, src, iov + n, max - n);
	}
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
outq_sent_segments(struct outq *q, struct outq_source *src, size_t n)
{
	while (q->head != NULL) {
		struct segment *seg = q->head;
		size_t take = n < seg->left ? n : seg->left;

		if (unlikely(seg->kind == SEGMENT_HOLE)) {
			ASSERT(n == 0);
			return;
		}
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

/* ---------------------------------------------------------------- holes */

struct segment *
outq_hole(struct outq *q, struct outq_source *src, size_t weight)
{
	struct segment *hole;

	if (!outq_close(q, src, false) || (hole = segment_new(src, SEGMENT_HOLE)) == NULL) {
		q->broken = true;
		return NULL;
	}
	hole->left = weight;
	hole->patient = true;
	outq_link(q, hole);
	return hole;
}

/* Gives PIECE, which holds nothing, a block for N bytes. */
static bool
piece_begin(struct segment *piece, struct outq_source *src, size_t n)
{
	piece->block = pool_take(src->pool, n, &piece->block_capacity);
	piece->ptr = piece->block;
	if (piece->block == NULL)
		return false;
	piece->filled = true;
	src->filled += piece->block_capacity;
	return true;
}

/* The piece of HOLE with room for N bytes more; NULL where memory is out. */
static struct segment *
hole_room(struct segment *hole, struct outq_source *src, size_t n)
{
	struct segment *last = hole->more != NULL ? hole->more_last : hole, *piece;

	if (last->block == NULL)
		return piece_begin(last, src, n) ? last : NULL;
	if (last->block_capacity - last->len >= n)
		return last;
	if ((piece = segment_new(src, SEGMENT_BYTES)) == NULL)
		return NULL;
	if (!piece_begin(piece, src, n)) {
		segment_drop(piece, src);
		return NULL;
	}
	if (hole->more == NULL)
		hole->more = piece;
	else
		last->next = piece;
	hole->more_last = piece;
	return piece;
}

bool
outq_fill(struct outq *q, struct outq_source *src, struct segment *hole, const char *data, size_t n)
{
	struct segment *piece;

	ASSERT(hole->kind == SEGMENT_HOLE);
	if (n == 0 || hole->deaf)
		return true;
	if ((piece = hole_room(hole, src, n)) == NULL) {
		q->broken = true;
		return false;
	}
	memcpy(piece->block + piece->len, data, n);
	piece->len += n;
	return true;
}

size_t
outq_hole_held(const struct segment *hole)
{
	size_t held = hole->len;

	for (const struct segment *piece = hole->more; piece != NULL; piece = piece->next)
		held += piece->len;
	return held;
}

void
outq_hole_empty(struct outq_source *src, struct segment *hole)
{
	while (hole->more != NULL) {
		struct segment *next = hole->more->next;

		segment_drop(hole->more, src);
		hole->more = next;
	}
	if (hole->filled)
		piece_end(hole, src);
	hole->ptr = NULL;
	hole->len = 0;
}

void
outq_hole_weigh(struct outq *q, struct segment *hole, size_t weight)
{
	q->closed += weight - hole->left;
	hole->left = weight;
}

void
outq_hole_starve(struct outq *q, struct segment *hole, bool starved)
{
	ASSERT(hole->kind == SEGMENT_HOLE);
	if (hole->starved == starved)
		return;
	hole->starved = starved;
	q->starved += starved ? 1 : -1u;
}

struct segment *
outq_hole_first_starved(const struct outq *q, size_t within)
{
	struct segment *seg = q->head;

	for (size_t before = 0; seg != NULL && before <= within; seg = seg->next) {
		if (seg->kind == SEGMENT_HOLE)
			return seg->starved ? seg : NULL;
		before += seg->left;
	}
	return NULL;
}

/* HOLE becomes what it holds. */
static void
hole_settle(struct outq *q, struct segment *hole)
{
	struct segment *last = hole->more != NULL ? hole->more_last : hole;
	bool ends_group = hole->ends_group;

	outq_hole_starve(q, hole, false);
	outq_hole_weigh(q, hole, hole->len);
	hole->kind = SEGMENT_BYTES;
	if (last != hole) {
		last->next = hole->next;
		hole->next = hole->more;
		if (q->last == hole)
			q->last = last;
	}
	for (struct segment *piece = hole->more; piece != NULL; piece = piece->next) {
		piece->left = piece->len;
		q->closed += piece->left;
		if (piece == last)
			break;
	}
	hole->ends_group = false;
	last->ends_group = ends_group;
	hole->more = hole->more_last = NULL;
}

/* Puts NEXT, a new hole like HOLE, behind LAST. */
static void
hole_follow(struct outq *q, const struct segment *hole, size_t weight, struct segment *last,
    struct segment *next)
{
	next->left = weight;
	next->deaf = hole->deaf;
	next->patient = hole->patient;
	next->ends_group = last->ends_group;
	last->ends_group = false;
	next->next = last->next;
	last->next = next;
	if (q->last == last)
		q->last = next;
	q->closed += next->left;
}

struct segment *
outq_hole_release(struct outq *q, struct outq_source *src, struct segment *hole)
{
	struct segment *next = segment_new(src, SEGMENT_HOLE), *last;
	size_t weight = hole->left;

	ASSERT(hole->kind == SEGMENT_HOLE);
	if (next == NULL) {
		q->broken = true;
		return NULL;
	}
	last = hole->more != NULL ? hole->more_last : hole;
	hole->patient = false;
	hole_settle(q, hole);
	hole_follow(q, hole, weight, last, next);
	return next;
}

struct segment *
outq_hole_split(struct outq *q, struct outq_source *src, struct segment *hole)
{
	struct segment *next = segment_new(src, SEGMENT_HOLE);

	ASSERT(hole->kind == SEGMENT_HOLE && hole->len == 0);
	if (next == NULL) {
		q->broken = true;
		return NULL;
	}
	hole_follow(q, hole, hole->left, hole, next);
	return next;
}

void
outq_hole_close(struct outq *q, struct outq_source *src, struct segment *hole)
{
	ASSERT(hole->kind == SEGMENT_HOLE);
	hole_settle(q, hole);
	if (q->head == hole)
		outq_sent(q, src, 0);
}

bool
outq_front_ready(const struct outq *q)
{
	size_t ready = 0;

	for (const struct segment *seg = q->head; seg != NULL && ready < OUTQ_WORTH;
	     seg = seg->next) {
		if (seg->kind == SEGMENT_HOLE)
			return ready > 0 && !seg->patient;
		ready += seg->left;
	}
	return ready > 0 || q->at > q->open;
}

void
outq_hole_hurry(struct segment *hole)
{
	hole->patient = false;
}

bool
outq_end_group(struct outq *q, struct outq_source *src)
{
	if (!outq_close(q, src, false))
		return false;
	if (q->last != NULL)
		q->last->ends_group = true;
	return true;
}

/* SEG will not be sent; open holes stay. */
static void
segment_void(struct outq *q, struct outq_source *src, struct segment *seg)
{
	if (seg->kind == SEGMENT_HOLE) {
		outq_hole_empty(src, seg);
		seg->deaf = true;
		return;
	}
	if (seg->kind == SEGMENT_PIN) {
		store_unpin(src->store, seg->pin);
		seg->pin = NULL;
		seg->kind = SEGMENT_BYTES;
	}
	q->closed -= seg->left;
	seg->left = seg->len = 0;
}

bool
outq_cut_group(struct outq *q, struct outq_source *src, struct segment *hole)
{
	struct segment *seg = hole;

	while (!seg->ends_group) {
		seg = seg->next;
		if (seg == NULL) {
			q->at = q->open;
			return false;
		}
		segment_void(q, src, seg);
	}
	return true;
}
