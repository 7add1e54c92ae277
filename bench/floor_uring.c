/* bench/floor_uring.c: the floor on io_uring; see floor.h. Multishot accept and receive into a ring of provided buffers,
 * direct descriptors, one submission a turn. What is answered while a send is under way waits in a second
 * output. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "bench/floor.h"

#ifdef HAVE_LIBURING
#include <liburing.h>

#define RING_ENTRIES 1024u
#define BUFFER_SIZE  16384u
#define BUFFER_COUNT 256u /* a power of two */
#define BUFFER_GROUP 0
#define IOV_MOST     1024

enum event { EVENT_ACCEPT, EVENT_RECEIVE, EVENT_SEND };

struct uring_conn {
	struct floor_conn conn; /* its output is being filled */
	struct floor_out sending;
	struct msghdr msg;
	bool busy;   /* SENDING is under way */
	bool closed; /* the peer hung up */
};

struct uring {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	char *bytes;
	const struct floor_answers *answers;
	struct uring_conn *conns;
};

static uint64_t
tag(enum event event, unsigned index)
{
	return (uint64_t)event << 32 | index;
}

static struct io_uring_sqe *
get_sqe(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe == NULL) {
		ASSERT(io_uring_submit(&u->ring) >= 0);
		sqe = io_uring_get_sqe(&u->ring);
		ASSERT(sqe != NULL);
	}
	return sqe;
}

static void
want_accept(struct uring *u)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	io_uring_prep_multishot_accept_direct(sqe, 0, NULL, NULL, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, tag(EVENT_ACCEPT, 0));
}

static void
want_receive(struct uring *u, unsigned index)
{
	struct io_uring_sqe *sqe = get_sqe(u);

	io_uring_prep_recv_multishot(sqe, (int)index, NULL, 0, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
	sqe->buf_group = BUFFER_GROUP;
	io_uring_sqe_set_data64(sqe, tag(EVENT_RECEIVE, index));
}

static void
want_send(struct uring *u, unsigned index)
{
	struct uring_conn *c = &u->conns[index];
	struct floor_out *out = &c->sending;
	size_t left = out->iov_count - out->iov_at;
	struct io_uring_sqe *sqe = get_sqe(u);

	c->busy = true;
	c->msg.msg_iov = out->iov + out->iov_at;
	c->msg.msg_iovlen = left < IOV_MOST ? left : IOV_MOST;
	if (left == 1)
		io_uring_prep_send(sqe, (int)index, c->msg.msg_iov->iov_base,
		    c->msg.msg_iov->iov_len, MSG_NOSIGNAL);
	else
		io_uring_prep_sendmsg(sqe, (int)index, &c->msg, MSG_NOSIGNAL);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, tag(EVENT_SEND, index));
}

/* Starts sending what was answered, unless a send is under way. */
static void
begin_send(struct uring *u, unsigned index)
{
	struct uring_conn *c = &u->conns[index];
	struct floor_out filled = c->conn.out;

	if (c->busy || filled.part_count == 0)
		return;
	c->conn.out = c->sending;
	c->sending = filled;
	floor_out_gather(&c->sending);
	want_send(u, index);
}

static void
end_conn(struct uring *u, unsigned index)
{
	struct uring_conn *c = &u->conns[index];
	struct io_uring_sqe *sqe;

	c->closed = true;
	if (c->busy)
		return;
	free(c->sending.bytes);
	free(c->sending.parts);
	free(c->sending.iov);
	floor_conn_fini(&c->conn);
	memset(c, 0, sizeof(*c));
	sqe = get_sqe(u);
	io_uring_prep_close_direct(sqe, index);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, tag(EVENT_SEND, FLOOR_CONNS_MAX));
}

static void
on_receive(struct uring *u, const struct io_uring_cqe *cqe, unsigned index)
{
	struct uring_conn *c = &u->conns[index];

	if (cqe->res > 0) {
		unsigned short id = (unsigned short)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		char *bytes = u->bytes + (size_t)id * BUFFER_SIZE;

		floor_answer(u->answers, &c->conn, slice_of(bytes, (size_t)cqe->res));
		io_uring_buf_ring_add(
		    u->buffers, bytes, BUFFER_SIZE, id, io_uring_buf_ring_mask(BUFFER_COUNT), 0);
		io_uring_buf_ring_advance(u->buffers, 1);
		begin_send(u, index);
	} else if (cqe->res != -ENOBUFS) {
		end_conn(u, index);
		return;
	}
	if ((cqe->flags & IORING_CQE_F_MORE) == 0)
		want_receive(u, index);
}

static void
on_send(struct uring *u, const struct io_uring_cqe *cqe, unsigned index)
{
	struct uring_conn *c;

	if (index >= FLOOR_CONNS_MAX)
		return;
	c = &u->conns[index];
	if (cqe->res >= 0 && !floor_out_sent(&c->sending, (size_t)cqe->res)) {
		want_send(u, index);
		return;
	}
	c->busy = false;
	if (c->closed)
		end_conn(u, index);
	else if (cqe->res >= 0)
		begin_send(u, index);
}

static void
on_event(struct uring *u, const struct io_uring_cqe *cqe)
{
	unsigned index = (unsigned)cqe->user_data;

	switch ((enum event)(cqe->user_data >> 32)) {
	case EVENT_ACCEPT:
		if (cqe->res >= 0)
			want_receive(u, (unsigned)cqe->res);
		if ((cqe->flags & IORING_CQE_F_MORE) == 0)
			want_accept(u);
		break;
	case EVENT_RECEIVE:
		on_receive(u, cqe, index);
		break;
	case EVENT_SEND:
		on_send(u, cqe, index);
		break;
	}
}

/* The listener is direct descriptor 0; the kernel picks those of connections above it. */
static int
set_up(struct uring *u, int listener)
{
	struct io_uring_params params = {
	    .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
	    .cq_entries = 8 * RING_ENTRIES,
	};
	struct io_uring_buf_reg reg = {.ring_entries = BUFFER_COUNT, .bgid = BUFFER_GROUP};
	void *memory = NULL;
	int rc = io_uring_queue_init_params(RING_ENTRIES, &u->ring, &params);

	if (rc == 0)
		rc = io_uring_register_files_sparse(&u->ring, FLOOR_CONNS_MAX);
	if (rc == 0)
		rc = io_uring_register_files_update(&u->ring, 0, &listener, 1) == 1 ? 0 : -EINVAL;
	if (rc != 0)
		return rc;
	ASSERT(posix_memalign(&memory, 4096, BUFFER_COUNT * sizeof(struct io_uring_buf)) == 0);
	u->buffers = memory;
	reg.ring_addr = (uintptr_t)memory;
	rc = io_uring_register_buf_ring(&u->ring, &reg, 0);
	if (rc != 0)
		return rc;
	io_uring_buf_ring_init(u->buffers);
	u->bytes = malloc((size_t)BUFFER_COUNT * BUFFER_SIZE);
	ASSERT(u->bytes != NULL);
	for (unsigned i = 0; i < BUFFER_COUNT; i++)
		io_uring_buf_ring_add(u->buffers, u->bytes + (size_t)i * BUFFER_SIZE, BUFFER_SIZE,
		    (unsigned short)i, io_uring_buf_ring_mask(BUFFER_COUNT), (int)i);
	io_uring_buf_ring_advance(u->buffers, (int)BUFFER_COUNT);
	return 0;
}

const char *
floor_serve_uring(const struct floor_answers *a, int listener)
{
	static struct uring u;
	int rc = set_up(&u, listener);

	if (rc != 0)
		return strerror(-rc);
	u.answers = a;
	u.conns = calloc(FLOOR_CONNS_MAX, sizeof(*u.conns));
	ASSERT(u.conns != NULL);
	want_accept(&u);
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, n = 0;

		rc = io_uring_submit_and_wait(&u.ring, 1);
		if (rc < 0 && rc != -EINTR)
			return strerror(-rc);
		io_uring_for_each_cqe(&u.ring, head, cqe)
		{
			on_event(&u, cqe);
			n++;
		}
		io_uring_cq_advance(&u.ring, n);
	}
}
#else
const char *
floor_serve_uring(const struct floor_answers *a, int listener)
{
	(void)a, (void)listener;
	return "built without liburing";
}
#endif
