/* bench/encode.c: see encode.h. */
#include "bench/encode.h"

#include <endian.h>
#include <string.h>

#include "base/number.h"
#include "bench/binary.h"

#define KEY_MAX  250u
#define REST_MAX 128u /* words, numbers and heads around a key */

size_t
encode_bound(const struct op *op)
{
	return (size_t)op->count * (KEY_MAX + REST_MAX) + op->value_size + REST_MAX;
}

/* A literal without its terminator. */
#define put_literal(p, s) put(p, s, sizeof(s) - 1)

static char *
put(char *p, const char *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return p + len;
}

static char *
put_number(char *p, char before, uint64_t number)
{
	*p++ = ' ';
	if (before != 0)
		*p++ = before;
	return number_format_u64(p, number);
}

static uint64_t
key_at(const struct op *op, uint32_t i)
{
	return i == 0 ? op->key : op->keys[i];
}

static uint16_t
key_size_at(const struct encoder *e, const struct op *op, uint32_t i)
{
	return i == 0 ? op->key_size : content_key_size(e->content, op->keys[i]);
}

static char *
put_key(const struct encoder *e, char *p, const struct op *op, uint32_t i)
{
	return content_key(p, key_at(op, i), key_size_at(e, op, i));
}

static char *
put_value(const struct encoder *e, char *p, const struct op *op)
{
	return content_value(e->content, p, op->key, op->version, op->value_size);
}

static char *
text_get(const struct encoder *e, char *p, const struct op *op)
{
	p = put_literal(p, "get");
	for (uint32_t i = 0; i < op->count; i++) {
		*p++ = ' ';
		p = put_key(e, p, op, i);
	}
	return put_literal(p, "\r\n");
}

static char *
text_set(const struct encoder *e, char *p, const struct op *op)
{
	p = put_literal(p, "set ");
	p = put_key(e, p, op, 0);
	p = put_number(p, 0, op->version);
	p = put_number(p, 0, op->ttl);
	p = put_number(p, 0, op->value_size);
	p = put_literal(p, "\r\n");
	p = put_value(e, p, op);
	return put_literal(p, "\r\n");
}

static char *
text_op(const struct encoder *e, char *p, const struct op *op)
{
	if (op->kind == OP_GET)
		return text_get(e, p, op);
	if (op->kind == OP_SET)
		return text_set(e, p, op);
	p = put_literal(p, "delete ");
	p = put_key(e, p, op, 0);
	return put_literal(p, "\r\n");
}

static char *
meta_get(const struct encoder *e, char *p, const struct op *op)
{
	for (uint32_t i = 0; i < op->count; i++) {
		p = put_literal(p, "mg ");
		p = put_key(e, p, op, i);
		p = put_literal(p, " v");
		if (e->show_keys)
			p = put_literal(p, " f k");
		if (op->count > 1)
			p = put_literal(p, " q");
		p = put_literal(p, "\r\n");
	}
	return op->count > 1 ? put_literal(p, "mn\r\n") : p;
}

static char *
meta_set(const struct encoder *e, char *p, const struct op *op)
{
	p = put_literal(p, "ms ");
	p = put_key(e, p, op, 0);
	p = put_number(p, 0, op->value_size);
	if (op->version != 0)
		p = put_number(p, 'F', op->version);
	if (op->ttl != 0)
		p = put_number(p, 'T', op->ttl);
	p = put_literal(p, "\r\n");
	p = put_value(e, p, op);
	return put_literal(p, "\r\n");
}

static char *
meta_op(const struct encoder *e, char *p, const struct op *op)
{
	if (op->kind == OP_GET)
		return meta_get(e, p, op);
	if (op->kind == OP_SET)
		return meta_set(e, p, op);
	p = put_literal(p, "md ");
	p = put_key(e, p, op, 0);
	return put_literal(p, "\r\n");
}

static char *
binary_head(char *p, enum binary_opcode opcode, size_t key, size_t extras, size_t value)
{
	struct binary_head head = {
	    .magic = BINARY_REQUEST,
	    .opcode = (uint8_t)opcode,
	    .key_len = htobe16((uint16_t)key),
	    .extras_len = (uint8_t)extras,
	    .body_len = htobe32((uint32_t)(key + extras + value)),
	};

	return put(p, (const char *)&head, sizeof(head));
}

static char *
binary_get(const struct encoder *e, char *p, const struct op *op)
{
	enum binary_opcode opcode = e->show_keys ? BINARY_GETK : BINARY_GET;

	if (op->count > 1)
		opcode = e->show_keys ? BINARY_GETKQ : BINARY_GETQ;
	for (uint32_t i = 0; i < op->count; i++) {
		p = binary_head(p, opcode, key_size_at(e, op, i), 0, 0);
		p = put_key(e, p, op, i);
	}
	return op->count > 1 ? binary_head(p, BINARY_NOOP, 0, 0, 0) : p;
}

static char *
binary_op(const struct encoder *e, char *p, const struct op *op)
{
	uint32_t extras[2] = {htobe32(op->version), htobe32(op->ttl)};

	if (op->kind == OP_GET)
		return binary_get(e, p, op);
	if (op->kind == OP_DELETE) {
		p = binary_head(p, BINARY_DELETE, op->key_size, 0, 0);
		return put_key(e, p, op, 0);
	}
	p = binary_head(p, BINARY_SET, op->key_size, sizeof(extras), op->value_size);
	p = put(p, (const char *)extras, sizeof(extras));
	p = put_key(e, p, op, 0);
	return put_value(e, p, op);
}

char *
encode_op(const struct encoder *e, char *p, const struct op *op)
{
	switch (e->wire) {
	case WIRE_TEXT:
		return text_op(e, p, op);
	case WIRE_META:
		return meta_op(e, p, op);
	case WIRE_BINARY:
		break;
	}
	return binary_op(e, p, op);
}
