/* proto/plain_read.h: the most frequent requests of all, recognised without a parser: one key, to be read, and nothing else.
 *
 *	"get <key>\r\n"    "mg <key>[ <flag>]*\r\n"    GET, GETQ, GETK and GETKQ of the binary protocol
 *
 * What is not exactly that (another command, several keys, blanks, a bare LF, a key that is too long, a request that
 * is not whole, a flag that changes something) is left to the parsers, which say the same of what is taken here.
 *
 * Each function returns how many bytes the request at P takes, which is before END, with its key in *KEY; 0 = something else.
 */
#ifndef PROTO_PLAIN_READ_H
#define PROTO_PLAIN_READ_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/slice.h"
#include "proto/binary.h"
#include "proto/command.h"
#include "proto/meta.h"
#include "proto/text.h"

/* ---------------------------------------------------------------- text */

/* The end of the key at P; NULL = there is none. At least two bytes can be read there. */
static ALWAYS_INLINE const char *
plain_key_end(const char *begin, const char *p, const char *end)
{
	const char *stop = text_break(begin, p, end);

	return likely((size_t)(stop - p) - 1 < PROTO_KEY_MAX && end - stop >= 2) ? stop : NULL;
}

static ALWAYS_INLINE size_t
plain_get(const char *p, const char *end, struct slice *key)
{
	const char *stop;

	if (unlikely(end - p < 7) || memcmp(p, "get ", 4) != 0)
		return 0;
	stop = plain_key_end(p, p + 4, end);
	if (unlikely(stop == NULL || !text_is_end(stop)))
		return 0;
	*key = slice_of(p + 4, (size_t)(stop - p) - 4);
	return (size_t)(stop + 2 - p);
}

/* Behind the key, which ends at STOP, are PLAIN_MG_FLAGS of meta.h up to the end of the line. */
static ALWAYS_INLINE size_t
plain_mg(const char *p, const char *end, struct slice *key)
{
	const char *stop;

	if (unlikely(end - p < 6) || memcmp(p, "mg ", 3) != 0)
		return 0;
	stop = plain_key_end(p, p + 3, end);
	if (unlikely(stop == NULL))
		return 0;
	*key = slice_of(p + 3, (size_t)(stop - p) - 3);
	if (likely(end - stop >= 4 && memcmp(stop, " v\r\n", 4) == 0))
		return (size_t)(stop + 4 - p);
	stop = meta_plain_flags(stop, end);
	return stop == NULL ? 0 : (size_t)(stop - p);
}

/* ---------------------------------------------------------------- binary */

/* The opcodes as bits. */
#define PLAIN_OPCODES                                                                              \
	(1u << BINARY_GET | 1u << BINARY_GETQ | 1u << BINARY_GETK | 1u << BINARY_GETKQ)

/* The header as two numbers, its first byte the lowest: of the first one the magic, the high byte of the key's length and the
 * length of the extras stand under the mask. */
#define PLAIN_HEADER_MASK UINT64_C(0x000000ff00ff00ff)

static ALWAYS_INLINE size_t
plain_binary(const char *p, const char *end, struct slice *key)
{
	uint64_t head, length;
	uint32_t body;
	unsigned opcode;

	if (unlikely(end - p < (ptrdiff_t)BINARY_HEADER_SIZE))
		return 0;
	memcpy(&head, p, sizeof(head));
	memcpy(&body, p + 8, sizeof(body));
	head = le64toh(head);
	opcode = head >> 8 & 0xff;
	length = head >> 24 & 0xff;
	if ((head & PLAIN_HEADER_MASK) != PROTO_BINARY_MAGIC || opcode > BINARY_GETKQ ||
	    (PLAIN_OPCODES >> opcode & 1) == 0 || le32toh(body) != length << 24 ||
	    length - 1 >= PROTO_KEY_MAX || (size_t)(end - p) - BINARY_HEADER_SIZE < length)
		return 0;
	*key = slice_of(p + BINARY_HEADER_SIZE, length);
	return BINARY_HEADER_SIZE + length;
}

/* What the request of this KEY says to whoever answers it. */
static ALWAYS_INLINE struct binary_request
plain_binary_request(struct slice key)
{
	const char *head = key.ptr - BINARY_HEADER_SIZE;
	uint32_t opaque;

	memcpy(&opaque, head + 12, sizeof(opaque));
	return (struct binary_request){
	    .opaque = be32toh(opaque),
	    .opcode = (uint8_t)head[1],
	    .with_key = head[1] == BINARY_GETK || head[1] == BINARY_GETKQ,
	};
}

static inline bool
plain_binary_quiet(const struct binary_request *request)
{
	return request->opcode == BINARY_GETQ || request->opcode == BINARY_GETKQ;
}

#endif
