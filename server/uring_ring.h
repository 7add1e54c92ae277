/* server/uring_ring.h: an io_uring with a ring of buffers, set up the way that the kernel at hand can.
 *
 * The kernel takes a buffer when bytes arrive and the owner gives it back when they are used, so that connections that
 * are silent hold none.
 */
#ifndef SERVER_URING_RING_H
#define SERVER_URING_RING_H

#include <liburing.h>
#include <stddef.h>

#define URING_GROUP 0 /* of the buffers */

struct uring_ring {
	struct io_uring io;
	struct io_uring_buf_ring *buffers;
	char *bytes;     /* of all buffers */
	size_t size;     /* of one */
	unsigned count;  /* a power of two */
	bool registered; /* the running thread has the ring's descriptor at hand */
};

/* Makes a ring of ENTRIES submissions with COUNT buffers of SIZE bytes, which may be filled in before
 * uring_ring_begin. Zero or a negative errno. */
int uring_ring_init(struct uring_ring *r, unsigned entries, unsigned count, size_t size);
void uring_ring_fini(struct uring_ring *r);

/* From here on to uring_ring_end the calling thread alone uses it. Zero or a negative errno. */
int uring_ring_begin(struct uring_ring *r);
void uring_ring_end(struct uring_ring *r);

/* The bytes of buffer ID. */
static inline char *
uring_ring_bytes(const struct uring_ring *r, unsigned id)
{
	return r->bytes + (size_t)id * r->size;
}

/* Gives buffer ID back to the kernel. */
static inline void
uring_ring_give(struct uring_ring *r, unsigned id)
{
	io_uring_buf_ring_add(r->buffers, uring_ring_bytes(r, id), (unsigned)r->size,
	    (unsigned short)id, io_uring_buf_ring_mask(r->count), 0);
	io_uring_buf_ring_advance(r->buffers, 1);
}

/* Fills SQE in: receives from FD, into the buffers, until it fails or is cancelled. */
void uring_ring_prep_receive(struct io_uring_sqe *sqe, int fd);

/* Tries on a pair of sockets all that the driver needs. Zero or a negative errno. */
int uring_probe(void);

#endif
