/* bench/conn.h: one connection of the generator: its bytes in both directions and what is under way on it.
 *
 * Replies come in the order of requests, so that the requests under way are a queue: the scanner's next event
 * belongs to its front.
 */
#ifndef BENCH_CONN_H
#define BENCH_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/encode.h"
#include "bench/scan.h"
#include "bench/wire.h"

/* With so much output waiting, no further request is made. */
#define CONN_OUT_HIGH (1u << 20)

/* A request that waits for its reply, or (of a miss) for being made. */
struct flight {
	uint64_t due; /* when it was sent, or was to be sent */
	uint64_t key;
	uint32_t count;
	uint32_t value_size;
	uint32_t ttl;
	uint32_t version;
	uint16_t key_size;
	uint8_t kind;
};

/* A ring of flights; its capacity is a power of two. */
struct flights {
	struct flight *ring;
	uint32_t mask, head, tail;
};

struct conn {
	int fd;
	bool out_armed;     /* epoll watches for room to write */
	uint16_t carry_len; /* bytes of an event that is not whole yet */
	uint32_t quota;     /* requests of this batch still to be made */
	uint32_t values;    /* that the front request's reply has brought so far */
	struct flights waiting;
	struct flights misses; /* sets to be made after gets that missed */
	struct scanner scanner;
	char *out; /* from out_at, out_len bytes wait for being sent */
	size_t out_at, out_len, out_room;
	char *carry;
	uint64_t value_key; /* of the value under way, when values are verified */
	uint32_t value_version;
	bool value_bad;
};

static inline uint32_t
flights_count(const struct flights *f)
{
	return f->tail - f->head;
}

static inline struct flight *
flights_front(const struct flights *f)
{
	return &f->ring[f->head & f->mask];
}

/* Takes over FD. DEPTH is the most requests under way. Memory that cannot be had panics. */
void conn_init(struct conn *c, int fd, uint32_t depth, enum wire wire, bool multi);
void conn_fini(struct conn *c);

/* Writes OP into the output and queues its flight. */
void conn_push(struct conn *c, const struct encoder *e, const struct op *op, uint64_t due);

/* Queues the set that follows the miss of GET. */
void conn_push_miss(struct conn *c, const struct flight *get);

/* Takes the oldest such set into OP; false where there is none. */
bool conn_take_miss(struct conn *c, struct op *op);

/* Sends what waits. The number of bytes sent, which may be 0; -1 with errno where the connection is broken. */
ssize_t conn_send(struct conn *c);

/* Receives into INPUT (ROOM bytes) behind what was left over and gives all of it as WINDOW. As recv: bytes
 * received, 0 where the server hung up, -1 with errno. */
ssize_t conn_receive(struct conn *c, char *input, size_t room, struct slice *window);

/* Keeps what the scanner left. False where it is too much to be the begin of an event. */
bool conn_keep(struct conn *c, struct slice left);

#endif
