/* bench/wire.h: the protocols that ringbench speaks, and a request as its layers pass it on. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stdint.h>

enum wire { WIRE_TEXT, WIRE_META, WIRE_BINARY };

enum op_kind { OP_GET, OP_SET, OP_DELETE };

#define MULTI_GET_MAX 1000u

/* One request. A multi-get has COUNT keys at KEYS, which belong to whoever made the request and stay until he is
 * asked for the next one; with a single key, COUNT is 1 and KEYS may be NULL. */
struct op {
	uint64_t key; /* the key's number, the first of a multi-get */
	const uint64_t *keys;
	uint32_t count;
	uint32_t value_size;
	uint32_t ttl;
	uint32_t version; /* goes with the value as its client flags; content follows from it */
	uint16_t key_size;
	uint8_t kind; /* enum op_kind */
};

#endif
