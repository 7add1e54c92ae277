/* server/uring_ring.c: see uring_ring.h. A kernel says by its version what it has, a container by its seccomp profile what
 * it lets through: so nothing is asked, all is tried.
 */
#include "server/uring_ring.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

#define PROBE_ENTRIES 8u
#define PROBE_SIZE    4096u

/* What completions there can be for each submission before the kernel must keep them aside. */
#define COMPLETIONS 8u

/* ---------------------------------------------------------------- set up */

/* Best first: completions are delivered when the owner asks for them, or at least without an interrupt. */
static const unsigned ring_flags[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
};

static int
queue_init(struct uring_ring *r, unsigned entries)
{
	int rc = -EINVAL;

	for (size_t i = 0; i < sizeof(ring_flags) / sizeof(ring_flags[0]) && rc == -EINVAL; i++) {
		struct io_uring_params params = {
		    .flags = ring_flags[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
		    .cq_entries = COMPLETIONS * entries,
		};

		rc = io_uring_queue_init_params(entries, &r->io, &params);
	}
	return rc;
}

/* Memory for buffers, whole pages. */
static void *
pages_new(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return aligned_alloc(page, (bytes + page - 1) / page * page);
}

static int
buffers_init(struct uring_ring *r, enum uring_group group)
{
	struct uring_buffers *buffers = &r->buffers[group];
	struct io_uring_buf_reg reg = {.ring_entries = buffers->count};
	int rc;

	buffers->ring = pages_new(buffers->count * sizeof(struct io_uring_buf));
	buffers->bytes = pages_new(buffers->count * buffers->size);
	if (buffers->ring == NULL || buffers->bytes == NULL)
		return -ENOMEM;
	reg.bgid = (unsigned short)group;
	reg.ring_addr = (uintptr_t)buffers->ring;
	if ((rc = io_uring_register_buf_ring(&r->io, &reg, 0)) != 0)
		return rc;
	io_uring_buf_ring_init(buffers->ring);
	for (unsigned i = 0; i < buffers->count; i++)
		uring_ring_give(r, group, i);
	return 0;
}

int
uring_ring_init(struct uring_ring *r, unsigned entries, const struct uring_size sizes[URING_GROUPS])
{
	int rc;

	*r = (struct uring_ring){0};
	if ((rc = queue_init(r, entries)) != 0)
		return rc;
	for (unsigned group = 0; group < URING_GROUPS; group++) {
		r->buffers[group].count = sizes[group].count;
		r->buffers[group].size = sizes[group].size;
	}
	for (unsigned group = 0; rc == 0 && group < URING_GROUPS; group++)
		rc = buffers_init(r, (enum uring_group)group);
	if (rc != 0)
		uring_ring_fini(r);
	return rc;
}

void
uring_ring_fini(struct uring_ring *r)
{
	io_uring_queue_exit(&r->io);
	for (unsigned group = 0; group < URING_GROUPS; group++) {
		free(r->buffers[group].ring);
		free(r->buffers[group].bytes);
		r->buffers[group] = (struct uring_buffers){0};
	}
}

int
uring_ring_begin(struct uring_ring *r)
{
	/* io_uring_enable_rings is declared by liburing 2.3 but not in its library. */
	if (syscall(SYS_io_uring_register, r->io.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) !=
	    0)
		return -errno;
	r->registered = io_uring_register_ring_fd(&r->io) == 1;
	return 0;
}

void
uring_ring_end(struct uring_ring *r)
{
	if (r->registered)
		(void)io_uring_unregister_ring_fd(&r->io);
	r->registered = false;
}

void
uring_ring_prep_receive(struct io_uring_sqe *sqe, int fd)
{
	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
	sqe->buf_group = URING_SMALL;
}

void
uring_ring_prep_receive_once(
    struct io_uring_sqe *sqe, const struct uring_ring *r, int fd, bool empty)
{
	io_uring_prep_recv(sqe, fd, NULL, r->buffers[URING_LARGE].size, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
	sqe->buf_group = URING_LARGE;
	if (empty)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

/* ---------------------------------------------------------------- the probe */

enum probe_tag { PROBE_RECEIVE, PROBE_POLL, PROBE_CANCEL };

static struct io_uring_sqe *
probe_sqe(struct uring_ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->io);

	ASSERT(sqe != NULL);
	return sqe;
}

static int
probe_wait(struct uring_ring *r, enum probe_tag tag, struct io_uring_cqe *result)
{
	struct __kernel_timespec patience = {.tv_sec = 2};
	struct io_uring_cqe *cqe = NULL;

	for (;;) {
		int rc = io_uring_submit_and_wait_timeout(&r->io, &cqe, 1, &patience, NULL);

		if (rc == -EINTR)
			continue;
		if (rc < 0)
			return rc;
		*result = *cqe;
		io_uring_cqe_seen(&r->io, cqe);
		if (result->user_data == (uint64_t)tag)
			return 0;
	}
}

/* Receives twice by one submission, then ends it. */
static int
probe_receive(struct uring_ring *r, const int pair[2])
{
	struct io_uring_sqe *sqe = probe_sqe(r);
	struct io_uring_cqe cqe;
	int rc;

	uring_ring_prep_receive(sqe, pair[0]);
	io_uring_sqe_set_data64(sqe, PROBE_RECEIVE);
	for (int i = 0; i < 2; i++) {
		if (send(pair[1], "x", 1, MSG_NOSIGNAL) != 1)
			return -errno;
		if ((rc = probe_wait(r, PROBE_RECEIVE, &cqe)) != 0)
			return rc;
		if (cqe.res < 0)
			return cqe.res;
		if (cqe.res != 1 || !(cqe.flags & IORING_CQE_F_BUFFER) ||
		    !(cqe.flags & IORING_CQE_F_MORE))
			return -EOPNOTSUPP;
	}
	sqe = probe_sqe(r);
	io_uring_prep_cancel64(sqe, PROBE_RECEIVE, 0);
	io_uring_sqe_set_data64(sqe, PROBE_CANCEL);
	if ((rc = probe_wait(r, PROBE_RECEIVE, &cqe)) != 0)
		return rc;
	return cqe.res == -ECANCELED ? 0 : -EOPNOTSUPP;
}

static int
probe_poll(struct uring_ring *r, int fd)
{
	struct io_uring_sqe *sqe = probe_sqe(r);
	struct io_uring_cqe cqe;
	int rc;

	io_uring_prep_poll_multishot(sqe, fd, POLLOUT);
	io_uring_sqe_set_data64(sqe, PROBE_POLL);
	if ((rc = probe_wait(r, PROBE_POLL, &cqe)) != 0)
		return rc;
	return cqe.res < 0 ? cqe.res : 0;
}

int
uring_probe(void)
{
	static const struct uring_size sizes[URING_GROUPS] = {{2, PROBE_SIZE}, {2, PROBE_SIZE}};
	struct uring_ring r;
	int pair[2], rc;

	if ((rc = uring_ring_init(&r, PROBE_ENTRIES, sizes)) != 0)
		return rc;
	if ((rc = uring_ring_begin(&r)) == 0) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
			rc = -errno;
		} else {
			rc = probe_receive(&r, pair);
			if (rc == 0)
				rc = probe_poll(&r, pair[0]);
			(void)close(pair[0]);
			(void)close(pair[1]);
		}
		uring_ring_end(&r);
	}
	uring_ring_fini(&r);
	return rc;
}
