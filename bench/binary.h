/* bench/binary.h: the head of memcached's binary protocol, as much of it as a load generator needs.
 *
 *    0       1        2         4           5         6        8          12       16     24
 *    | magic | opcode | key len | extras len| datatype| status | body len | opaque | cas  |
 *
 * All numbers are big-endian. Behind it come extras, key and value.
 */
#ifndef BENCH_BINARY_H
#define BENCH_BINARY_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define BINARY_REQUEST  0x80u
#define BINARY_RESPONSE 0x81u

enum binary_opcode {
	BINARY_GET = 0x00,
	BINARY_SET = 0x01,
	BINARY_DELETE = 0x04,
	BINARY_GETQ = 0x09,
	BINARY_NOOP = 0x0a,
	BINARY_GETK = 0x0c,
	BINARY_GETKQ = 0x0d,
};

enum binary_status {
	BINARY_OK = 0,
	BINARY_NOT_FOUND = 1,
	BINARY_EXISTS = 2,
	BINARY_NOT_STORED = 5,
};

struct binary_head {
	uint8_t magic;
	uint8_t opcode;
	uint16_t key_len;
	uint8_t extras_len;
	uint8_t datatype;
	uint16_t status;
	uint32_t body_len;
	uint32_t opaque;
	uint64_t cas;
};

static_assert(sizeof(struct binary_head) == 24, "the wire's head has 24 bytes");
static_assert(offsetof(struct binary_head, body_len) == 8, "body length lies at 8");

#endif
