/* server/uring_ring.h: an io_uring with two rings of buffers, small and large ones, set up the way that the kernel at
 * hand can.
 *
 * The kernel takes a buffer when bytes arrive and the owner gives it back when they are used, so that connections that
 * are silent hold none.
 */
#ifndef SERVER_URING_RING_H
#define SERVER_URING_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>

enum uring_group { URING_SMALL, URING_LARGE, URING_GROUPS };

struct uring_buffers {
	struct io_uring_buf_ring *ring;
	char *bytes;    /* of all buffers */
	size_t size;    /* of one */
	unsigned count; /* a power of two */
};

struct uring_ring {
	struct io_uring io;
	struct uring_buffers buffers[URING_GROUPS];
	bool registered; /* the running thread has the ring's descriptor at hand */
};

/* Of one group. */
struct uring_size {
	unsigned count; /* a power of two */
	size_t size;
};

/* Makes a ring of ENTRIES submissions with buffers of SIZES, which may be filled in before uring_ring_begin. Zero or a
 * negative errno. */
int uring_ring_init(
    struct uring_ring *r, unsigned entries, const struct uring_size sizes[URING_GROUPS]);
void uring_ring_fini(struct uring_ring *r);

/* From here on to uring_ring_end the calling thread alone uses it. Zero or a negative errno. */
int uring_ring_begin(struct uring_ring *r);
void uring_ring_end(struct uring_ring *r);

/* The bytes of buffer ID of GROUP. */
static inline char *
uring_ring_bytes(const struct uring_ring *r, enum uring_group group, unsigned id)
{
	return r->buffers[group].bytes + (size_t)id * r->buffers[group].size;
}

/* Gives buffer ID of GROUP back to the kernel. */
static inline void
uring_ring_give(struct uring_ring *r, enum uring_group group, unsigned id)
{
	const struct uring_buffers *buffers = &r->buffers[group];

	io_uring_buf_ring_add(buffers->ring, uring_ring_bytes(r, group, id),
	    (unsigned)buffers->size, (unsigned short)id, io_uring_buf_ring_mask(buffers->count), 0);
	io_uring_buf_ring_advance(buffers->ring, 1);
}

/* Fills SQE in: receives from FD, into small buffers, until it fails or is cancelled. */
void uring_ring_prep_receive(struct io_uring_sqe *sqe, int fd);

/* Fills SQE in: receives from FD once, into a large buffer. With EMPTY the socket is not tried before it is ready. */
void uring_ring_prep_receive_once(
    struct io_uring_sqe *sqe, const struct uring_ring *r, int fd, bool empty);

/* Tries on a pair of sockets all that the driver needs. Zero or a negative errno. */
int uring_probe(void);

#endif
