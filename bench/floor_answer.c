/* bench/floor_answer.c: bytes to constants; see floor.h. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "bench/binary.h"
#include "bench/floor.h"

#define COPY_MAX 4096u /* longer constants are sent from where they are */

/* ---- the constants */

static struct slice
repeat(const char *head, size_t head_len, size_t value_size, const char *tail, size_t times,
    const char *end)
{
	size_t tail_len = strlen(tail);
	size_t len = (head_len + value_size + tail_len) * times + strlen(end);
	char *bytes = malloc(len), *p = bytes;

	ASSERT(bytes != NULL);
	for (size_t i = 0; i < times; i++) {
		memcpy(p, head, head_len);
		p += head_len;
		memset(p, 'x', value_size);
		p += value_size;
		memcpy(p, tail, tail_len);
		p += tail_len;
	}
	memcpy(p, end, strlen(end));
	return slice_of(bytes, len);
}

static struct slice
binary_constant(enum binary_opcode opcode, size_t extras, size_t value_size)
{
	char head[sizeof(struct binary_head) + 4] = {0};
	struct binary_head h = {
	    .magic = BINARY_RESPONSE,
	    .opcode = (uint8_t)opcode,
	    .extras_len = (uint8_t)extras,
	    .body_len = htonl((uint32_t)(extras + value_size)),
	};

	memcpy(head, &h, sizeof(h));
	return repeat(head, sizeof(h) + extras, value_size, "", 1, "");
}

void
floor_answers_init(struct floor_answers *a, size_t value_size, size_t key_size, size_t multi)
{
	char key[256], head[320];
	int n;

	memset(key, '0', sizeof(key));
	key[0] = 'k';
	a->value_size = value_size;
	n = snprintf(head, sizeof(head), "VALUE %.*s 0 %zu\r\n", (int)key_size, key, value_size);
	a->text_get = repeat(head, (size_t)n, value_size, "\r\n", multi, "END\r\n");
	n = snprintf(head, sizeof(head), "VA %zu\r\n", value_size);
	a->meta_get = repeat(head, (size_t)n, value_size, "\r\n", 1, "");
	a->text_set = SLICE_LITERAL("STORED\r\n");
	a->meta_set = SLICE_LITERAL("HD\r\n");
	a->meta_noop = SLICE_LITERAL("MN\r\n");
	a->binary_get = binary_constant(BINARY_GET, 4, value_size);
	a->binary_get_quiet = binary_constant(BINARY_GETQ, 4, value_size);
	a->binary_set = binary_constant(BINARY_SET, 0, 0);
	a->binary_noop = binary_constant(BINARY_NOOP, 0, 0);
}

/* ---- output */

static struct floor_part *
push_part(struct floor_out *out, const char *constant, size_t len)
{
	if (out->part_count == out->part_room) {
		out->part_room = out->part_room * 2 + 8;
		out->parts = realloc(out->parts, out->part_room * sizeof(*out->parts));
		ASSERT(out->parts != NULL);
	}
	out->parts[out->part_count] = (struct floor_part){constant, len};
	return &out->parts[out->part_count++];
}

static void
push(struct floor_out *out, struct slice constant)
{
	if (constant.len > COPY_MAX) {
		(void)push_part(out, constant.ptr, constant.len);
		return;
	}
	if (out->part_count == 0 || out->parts[out->part_count - 1].constant != NULL)
		(void)push_part(out, NULL, 0);
	if (out->room - out->len < constant.len) {
		out->room = out->room * 2 + COPY_MAX;
		out->bytes = realloc(out->bytes, out->room);
		ASSERT(out->bytes != NULL);
	}
	memcpy(out->bytes + out->len, constant.ptr, constant.len);
	out->len += constant.len;
	out->parts[out->part_count - 1].len += constant.len;
}

void
floor_out_gather(struct floor_out *out)
{
	size_t at = 0;

	if (out->iov_room < out->part_count) {
		out->iov_room = out->part_room;
		out->iov = realloc(out->iov, out->iov_room * sizeof(*out->iov));
		ASSERT(out->iov != NULL);
	}
	for (size_t i = 0; i < out->part_count; i++) {
		const struct floor_part *part = &out->parts[i];
		const char *p = part->constant;

		if (p == NULL) {
			p = out->bytes + at;
			at += part->len;
		}
		out->iov[i] = (struct iovec){(void *)(uintptr_t)p, part->len};
	}
	out->iov_count = out->part_count;
	out->iov_at = 0;
}

bool
floor_out_sent(struct floor_out *out, size_t n)
{
	while (out->iov_at < out->iov_count && n >= out->iov[out->iov_at].iov_len)
		n -= out->iov[out->iov_at++].iov_len;
	if (out->iov_at < out->iov_count) {
		struct iovec *v = &out->iov[out->iov_at];

		v->iov_base = (char *)v->iov_base + n;
		v->iov_len -= n;
		return false;
	}
	out->len = out->part_count = out->iov_count = out->iov_at = 0;
	return true;
}

/* ---- requests */

/* A line of text or meta: answers it; the bytes of value that follow it. */
static uint64_t
answer_line(const struct floor_answers *a, struct floor_out *out, const char *line)
{
	switch (line[0]) {
	case 'g':
		push(out, a->text_get);
		return 0;
	case 's':
		push(out, a->text_set);
		return a->value_size + 2;
	case 'm':
		if (line[1] == 'g')
			push(out, a->meta_get);
		else if (line[1] == 'n')
			push(out, a->meta_noop);
		else if (line[1] == 's')
			push(out, a->meta_set);
		return line[1] == 's' ? a->value_size + 2 : 0;
	default:
		push(out, SLICE_LITERAL("ERROR\r\n"));
		return 0;
	}
}

/* A binary head: answers it; the bytes of body that follow it. */
static uint64_t
answer_binary(const struct floor_answers *a, struct floor_out *out, const char *bytes)
{
	struct binary_head head;

	memcpy(&head, bytes, sizeof(head));
	if (head.opcode == BINARY_GET)
		push(out, a->binary_get);
	else if (head.opcode == BINARY_GETQ)
		push(out, a->binary_get_quiet);
	else if (head.opcode == BINARY_SET)
		push(out, a->binary_set);
	else
		push(out, a->binary_noop);
	return ntohl(head.body_len);
}

/* Answers whole requests off the front of WINDOW. */
static void
answer_all(const struct floor_answers *a, struct floor_conn *c, struct slice *window)
{
	while (window->len > 0) {
		size_t used = c->skip < window->len ? (size_t)c->skip : window->len;

		if (used > 0) {
			c->skip -= used;
		} else if ((unsigned char)window->ptr[0] == BINARY_REQUEST) {
			if (window->len < sizeof(struct binary_head))
				return;
			used = sizeof(struct binary_head);
			c->skip = answer_binary(a, &c->out, window->ptr);
		} else {
			const char *end = memchr(window->ptr, '\n', window->len);

			if (end == NULL)
				return;
			used = (size_t)(end - window->ptr) + 1;
			c->skip = answer_line(a, &c->out, window->ptr);
		}
		*window = slice_of(window->ptr + used, window->len - used);
	}
}

/* Puts the bytes of WINDOW behind what is carried. */
static void
carry(struct floor_conn *c, struct slice window)
{
	if (c->carry_room - c->carry_len < window.len) {
		c->carry_room = c->carry_len + window.len + 1024;
		c->carry = realloc(c->carry, c->carry_room);
		ASSERT(c->carry != NULL);
	}
	memcpy(c->carry + c->carry_len, window.ptr, window.len);
	c->carry_len += window.len;
}

void
floor_answer(const struct floor_answers *a, struct floor_conn *c, struct slice window)
{
	struct slice left = window;

	if (c->carry_len > 0) {
		carry(c, window);
		left = slice_of(c->carry, c->carry_len);
	}
	answer_all(a, c, &left);
	if (c->carry_len > 0) {
		memmove(c->carry, left.ptr, left.len);
		c->carry_len = left.len;
	} else if (left.len > 0) {
		carry(c, left);
	}
}

void
floor_conn_fini(struct floor_conn *c)
{
	free(c->carry);
	free(c->out.bytes);
	free(c->out.parts);
	free(c->out.iov);
	memset(c, 0, sizeof(*c));
}
