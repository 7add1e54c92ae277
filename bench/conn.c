/* bench/conn.c: see conn.h. */
#include "bench/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

static void
flights_init(struct flights *f, uint32_t capacity)
{
	uint32_t size = 1;

	while (size < capacity)
		size *= 2;
	f->ring = calloc(size, sizeof(*f->ring));
	ASSERT(f->ring != NULL);
	f->mask = size - 1;
	f->head = f->tail = 0;
}

static struct flight *
flights_push(struct flights *f)
{
	ASSERT(flights_count(f) <= f->mask);
	return &f->ring[f->tail++ & f->mask];
}

void
conn_init(struct conn *c, int fd, uint32_t depth, enum wire wire, bool multi)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
	flights_init(&c->waiting, depth);
	flights_init(&c->misses, depth);
	scan_init(&c->scanner, wire, multi);
}

void
conn_fini(struct conn *c)
{
	(void)close(c->fd);
	free(c->waiting.ring);
	free(c->misses.ring);
	free(c->out);
	free(c->carry);
}

/* Room for NEED more bytes behind the output. */
static char *
reserve_out(struct conn *c, size_t need)
{
	if (c->out_len == 0)
		c->out_at = 0;
	if (c->out_room - c->out_at - c->out_len < need) {
		size_t room = c->out_room > 0 ? c->out_room : 512;

		while (room < c->out_at + c->out_len + need)
			room *= 2;
		c->out = realloc(c->out, room);
		ASSERT(c->out != NULL);
		c->out_room = room;
	}
	return c->out + c->out_at + c->out_len;
}

void
conn_push(struct conn *c, const struct encoder *e, const struct op *op, uint64_t due)
{
	char *p = reserve_out(c, encode_bound(op));
	char *end = encode_op(e, p, op);
	struct flight *f = flights_push(&c->waiting);

	c->out_len += (size_t)(end - p);
	f->due = due;
	f->key = op->key;
	f->count = op->count;
	f->value_size = op->value_size;
	f->ttl = op->ttl;
	f->version = op->version;
	f->key_size = op->key_size;
	f->kind = op->kind;
}

void
conn_push_miss(struct conn *c, const struct flight *get)
{
	struct flight *f = flights_push(&c->misses);

	*f = *get;
	f->kind = OP_SET;
}

bool
conn_take_miss(struct conn *c, struct op *op)
{
	struct flight *f;

	if (flights_count(&c->misses) == 0)
		return false;
	f = flights_front(&c->misses);
	c->misses.head++;
	op->key = f->key;
	op->keys = NULL;
	op->count = 1;
	op->value_size = f->value_size;
	op->ttl = f->ttl;
	op->version = f->version;
	op->key_size = f->key_size;
	op->kind = OP_SET;
	return true;
}

ssize_t
conn_send(struct conn *c)
{
	ssize_t n;

	do
		n = send(c->fd, c->out + c->out_at, c->out_len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	c->out_at += (size_t)n;
	c->out_len -= (size_t)n;
	return n;
}

ssize_t
conn_receive(struct conn *c, char *input, size_t room, struct slice *window)
{
	size_t kept = c->carry_len;
	ssize_t n;

	do
		n = recv(c->fd, input + kept, room - kept, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n;
	if (kept > 0)
		memcpy(input, c->carry, kept);
	c->carry_len = 0;
	*window = slice_of(input, kept + (size_t)n);
	return n;
}

bool
conn_keep(struct conn *c, struct slice left)
{
	if (left.len > SCAN_LEFT_MAX)
		return false;
	if (c->carry == NULL) {
		c->carry = malloc(SCAN_LEFT_MAX);
		ASSERT(c->carry != NULL);
	}
	memcpy(c->carry, left.ptr, left.len);
	c->carry_len = (uint16_t)left.len;
	return true;
}
