/* bench/floor.h: a server that does as little as any server can: it finds line ends and answers constants.
 *
 * What it costs to serve a workload is what the kernel, the protocol and a copy of the reply cost: nobody's cache can be
 * cheaper with the same I/O. It stores nothing: values have the one size that it was started with, and replies to
 * multi-gets the one number of keys. One thread; back ends on epoll and on io_uring.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/slice.h"

#define FLOOR_CONNS_MAX 16384u

/* Replies that are made once. */
struct floor_answers {
	size_t value_size;
	struct slice text_get, text_set;
	struct slice meta_get, meta_set, meta_noop;
	struct slice binary_get, binary_get_quiet, binary_set, binary_noop;
};

/* Output: copied small parts, and constants too large to be worth a copy. Between floor_out_gather and the floor_out_sent that
 * sends the last of it nothing may be added. */
struct floor_out {
	char *bytes;
	size_t len, room;
	struct floor_part {
		const char *constant; /* NULL: LEN bytes of BYTES, behind the last such part */
		size_t len;
	} * parts;
	size_t part_count, part_room;
	struct iovec *iov;
	size_t iov_count, iov_room;
	size_t iov_at; /* what is before it is sent */
};

struct floor_conn {
	uint64_t skip; /* bytes of a value still to be dropped */
	char *carry;   /* the begin of a request that is not whole */
	size_t carry_len, carry_room;
	struct floor_out out;
};

/* MULTI keys in the reply to a text get. */
void floor_answers_init(struct floor_answers *a, size_t value_size, size_t key_size, size_t multi);

void floor_conn_fini(struct floor_conn *c);

/* Answers what has arrived, in C's output. */
void floor_answer(const struct floor_answers *a, struct floor_conn *c, struct slice window);

/* Makes the gather list of all that OUT holds. */
void floor_out_gather(struct floor_out *out);

/* N bytes of it are sent; true where that was all, and OUT is empty then. */
bool floor_out_sent(struct floor_out *out, size_t n);

/* The back ends: serve LISTENER for ever. They return a text when they cannot. */
const char *floor_serve_epoll(const struct floor_answers *a, int listener);
const char *floor_serve_uring(const struct floor_answers *a, int listener);

#endif
