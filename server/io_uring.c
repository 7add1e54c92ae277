/* server/io_uring.c: the io_uring driver.
 *
 * Each connection has at most one receive and one send under way. One system call a turn submits what the last turn led
 * to and waits for what comes:
 *
 *	completions -> what has arrived is executed -> turns (worker_turn_end): sends, receives -> submit and wait
 *
 * What all completions of a turn add to a connection's output thus leaves with one send, and what is added
 * while that is under way leaves with the next: c->out's front, blocks and pinned values alike, stays where it is until
 * the completion says how much of it is gone. The pieces of gather sends lie in the loop's own array only until they are
 * submitted: then the kernel has its copy.
 *
 * Receives are of two kinds. Most connections send little at a time: theirs goes on by itself (multishot) into small
 * buffers. One that has filled such a buffer sends much: its receive is cancelled, and from then on it receives once a turn,
 * into a large buffer, until it has sent little for a while. So what one turn can bring to a connection is bounded either way:
 *
 *	goes on by itself   32 small buffers, 64 KiB, after which the kernel serves others
 *	once a turn         one large buffer, 32 KiB
 *
 * A connection that must not be read has its receive cancelled at once. It holds what came in that turn; there is no next
 * one before its client has taken its answers.
 *
 * The kernel knows a connection as long as one of its operations is under way. So a drop cancels them, and the connection is
 * freed when the last has come back; until then it is dying: no bytes are taken for it and none are sent.
 *
 * A completion's user data is the connection's address with the operation in its low bits. Where no submission can be had,
 * the connection gets another turn, in which all that is missing is tried again.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "server/conn.h"
#include "server/conn_io.h"
#include "server/io.h"
#include "server/settings.h"
#include "server/uring_ring.h"
#include "server/worker.h"

#define ENTRIES 512u

#define SMALL_COUNT 128u
#define SMALL_SIZE  ((size_t)2 << 10)
#define LARGE_COUNT 64u
#define LARGE_SIZE  ((size_t)32 << 10)

/* After so many small receives in a row a connection is one that sends little. */
#define CALM 64u

/* Pieces of one sendmsg, and of all that are not submitted yet. */
#define PIECES_MAX   256u
#define PIECES_TOTAL 2048u

/* How often a stopping worker looks whether more has arrived. */
#define DRAIN_ROUNDS 64u

enum operation {
	URING_RECEIVE,
	URING_SEND,
	URING_CANCEL,
	URING_WAKE,
	URING_SWEEP,
	URING_MASK = 15
};

static_assert(_Alignof(max_align_t) > URING_MASK, "operations fit beside an address");

struct uring_loop {
	struct uring_ring ring;
	bool waking, sweeping; /* under way: the poll of w->wake_fd, the timeout of the sweep */
	unsigned piece_count;
	struct iovec pieces[PIECES_TOTAL];
	struct msghdr messages[ENTRIES]; /* of sends with several pieces */
	unsigned message_count;
};

struct uring_conn {
	bool receiving : 1, sending : 1;                /* under way */
	bool receive_cancelled : 1, send_cancelled : 1; /* and to end early */
	bool once : 1;   /* the receive under way brings one large buffer */
	bool left : 1;   /* the last one did not empty the socket */
	bool ended : 1;  /* the peer sends nothing more */
	bool dying : 1;  /* dropped */
	uint8_t excited; /* not 0: it sends much, for so many more small receives */
};

static uint64_t
tag(const struct conn *c, enum operation op)
{
	return (uint64_t)(uintptr_t)c | (uint64_t)op;
}

/* ---------------------------------------------------------------- submissions */

/* What was submitted is copied: its pieces are free for others. */
static void
pieces_release(struct uring_loop *loop)
{
	if (io_uring_sq_ready(&loop->ring.io) > 0)
		return;
	loop->piece_count = 0;
	loop->message_count = 0;
}

/* Whether there is room for one more gather send. */
static bool
pieces_left(const struct uring_loop *loop)
{
	return PIECES_TOTAL - loop->piece_count >= PIECES_MAX && loop->message_count < ENTRIES;
}

/* A submission, or NULL where the kernel takes no more at the moment. */
static struct io_uring_sqe *
take_sqe(struct uring_loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring.io);

	if (likely(sqe != NULL))
		return sqe;
	(void)io_uring_submit(&loop->ring.io);
	pieces_release(loop);
	return io_uring_get_sqe(&loop->ring.io);
}

static bool
begin_receive(struct uring_loop *loop, struct conn *c)
{
	struct uring_conn *uc = conn_io(c);
	struct io_uring_sqe *sqe = take_sqe(loop);

	if (sqe == NULL)
		return false;
	uc->once = uc->excited > 0;
	if (unlikely(uc->once))
		uring_ring_prep_receive_once(sqe, &loop->ring, c->fd, !uc->left);
	else
		uring_ring_prep_receive(sqe, c->fd);
	io_uring_sqe_set_data64(sqe, tag(c, URING_RECEIVE));
	uc->receiving = true;
	return true;
}

/* Fills SQE in: sends the pieces at IOV. */
static void
prep_send(struct uring_loop *loop, struct io_uring_sqe *sqe, int fd, struct iovec *iov, unsigned n)
{
	struct msghdr *message;

	if (n == 1) {
		io_uring_prep_send(sqe, fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
		return;
	}
	message = &loop->messages[loop->message_count++];
	*message = (struct msghdr){.msg_iov = iov, .msg_iovlen = n};
	io_uring_prep_sendmsg(sqe, fd, message, MSG_NOSIGNAL);
	loop->piece_count += n;
}

static bool
begin_send(struct uring_loop *loop, struct conn *c)
{
	struct uring_conn *uc = conn_io(c);
	struct io_uring_sqe *sqe;
	struct iovec *iov;
	unsigned n;

	if (unlikely(!pieces_left(loop))) {
		(void)io_uring_submit(&loop->ring.io);
		pieces_release(loop);
		if (!pieces_left(loop))
			return false;
	}
	if ((sqe = take_sqe(loop)) == NULL)
		return false;
	iov = &loop->pieces[loop->piece_count];
	n = outq_gather(&c->out, &c->worker->source, iov, PIECES_MAX);
	prep_send(loop, sqe, c->fd, iov, n);
	io_uring_sqe_set_data64(sqe, tag(c, URING_SEND));
	uc->sending = true;
	return true;
}

/* Ends what is under way for TARGET early; its completion says how. */
static bool
begin_cancel(struct uring_loop *loop, uint64_t target)
{
	struct io_uring_sqe *sqe = take_sqe(loop);

	if (sqe == NULL)
		return false;
	io_uring_prep_cancel64(sqe, target, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, URING_CANCEL);
	return true;
}

static void
cancel_receive(struct uring_loop *loop, struct conn *c)
{
	struct uring_conn *uc = conn_io(c);

	if (!uc->receiving || uc->receive_cancelled)
		return;
	uc->receive_cancelled = begin_cancel(loop, tag(c, URING_RECEIVE));
	if (!uc->receive_cancelled)
		worker_queue_turn(c->worker, c);
}

static void
cancel_send(struct uring_loop *loop, struct conn *c)
{
	struct uring_conn *uc = conn_io(c);

	if (!uc->sending || uc->send_cancelled)
		return;
	uc->send_cancelled = begin_cancel(loop, tag(c, URING_SEND));
	if (!uc->send_cancelled)
		worker_queue_turn(c->worker, c);
}

/* ---------------------------------------------------------------- connections */

/* C is dying: frees it as soon as the kernel has let go of it. */
static void
reap(struct conn *c)
{
	struct uring_loop *loop = c->worker->loop;
	struct uring_conn *uc = conn_io(c);
	int fd = c->fd;

	if (uc->receiving || uc->sending) {
		cancel_receive(loop, c);
		cancel_send(loop, c);
		return;
	}
	if (worker_verbose(c->worker))
		log_debug("<%d connection closed.", fd);
	conn_free(&c);
	(void)close(fd);
}

static void
uring_drop(struct conn *c)
{
	struct uring_conn *uc = conn_io(c);

	if (uc->dying)
		return;
	uc->dying = true;
	conn_end(c);
	reap(c);
}

static void
uring_serve(struct conn *c)
{
	struct uring_loop *loop = c->worker->loop;
	struct uring_conn *uc = conn_io(c);
	unsigned want = conn_want(c);
	bool all = true;

	if (unlikely(uc->dying)) {
		reap(c);
		return;
	}
	if (unlikely(uc->ended) && (want & CONN_WANT_INPUT)) {
		conn_end(c);
		want = conn_want(c);
	}
	if (unlikely(want == CONN_WANT_CLOSE)) {
		uring_drop(c);
		return;
	}
	if ((want & CONN_WANT_OUTPUT) && !uc->sending)
		all = begin_send(loop, c);
	if (unlikely(!(want & CONN_WANT_INPUT)))
		cancel_receive(loop, c);
	else if (unlikely(!uc->receiving))
		all &= begin_receive(loop, c);
	if (unlikely((want & CONN_WANT_TURN) || !all))
		worker_queue_turn(c->worker, c);
}

static bool
uring_sending(const struct conn *c)
{
	const struct uring_conn *uc = conn_io(c);

	return uc->sending;
}

static bool
uring_attach(struct conn *c)
{
	if (!begin_receive(c->worker->loop, c))
		worker_queue_turn(c->worker, c);
	return true;
}

/* ---------------------------------------------------------------- completions */

/* Something has come of an operation of C. */
static void
next_turn(struct conn *c)
{
	const struct uring_conn *uc = conn_io(c);

	if (unlikely(uc->dying))
		reap(c);
	else
		worker_queue_turn(c->worker, c);
}

/* A receive into a buffer of GROUP brought N bytes: whether C is one that sends much. */
static void
judge(struct conn *c, enum uring_group group, size_t n)
{
	struct uring_conn *uc = conn_io(c);

	if (unlikely(n >= SMALL_SIZE)) {
		uc->excited = CALM;
		if (group == URING_SMALL)
			cancel_receive(c->worker->loop, c);
	} else if (unlikely(uc->excited > 0)) {
		uc->excited--;
	}
}

/* What a receive brought. */
static void
take_bytes(struct conn *c, const struct io_uring_cqe *cqe)
{
	struct uring_loop *loop = c->worker->loop;
	struct uring_conn *uc = conn_io(c);
	enum uring_group group = uc->once ? URING_LARGE : URING_SMALL;
	unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	size_t n = (size_t)cqe->res;

	uc->left = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
	if (likely(!uc->dying)) {
		c->worker->follows = uc->left;
		conn_input(c, uring_ring_bytes(&loop->ring, group, id), n);
		c->worker->follows = false;
		judge(c, group, n);
	}
	uring_ring_give(&loop->ring, group, id);
	next_turn(c);
}

/* Whether RESULT of a receive that brought nothing says that nothing more will come. */
static bool
receive_ended(int result)
{
	switch (-result) {
	case ENOBUFS:
	case ECANCELED:
	case EAGAIN:
	case EINTR:
		return false;
	default:
		return true;
	}
}

static void
on_receive(struct conn *c, const struct io_uring_cqe *cqe)
{
	struct uring_conn *uc = conn_io(c);

	if (unlikely(!(cqe->flags & IORING_CQE_F_MORE)))
		uc->receiving = uc->receive_cancelled = false;
	if (likely(cqe->res > 0)) {
		take_bytes(c, cqe);
		return;
	}
	uc->ended = uc->ended || receive_ended(cqe->res);
	next_turn(c);
}

static void
on_send(struct conn *c, int result)
{
	struct uring_conn *uc = conn_io(c);
	bool quiet;

	uc->sending = uc->send_cancelled = false;
	if (likely(result > 0))
		conn_sent(c, (size_t)result);
	else if (result < 0 && result != -EAGAIN && result != -EINTR && !uc->dying) {
		uring_drop(c);
		return;
	}
	quiet =
	    likely(conn_is_plain(c) && outq_bytes(&c->out) == 0) || conn_want(c) == CONN_WANT_INPUT;
	if (unlikely(!quiet || !uc->receiving))
		next_turn(c);
}

static void
on_wake(struct worker *w, const struct io_uring_cqe *cqe)
{
	struct uring_loop *loop = w->loop;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		loop->waking = false;
	worker_adopt(w);
}

static void
on_sweep(struct worker *w)
{
	struct uring_loop *loop = w->loop;

	loop->sweeping = false;
	worker_sweep(w);
}

static void
on_completion(struct worker *w, const struct io_uring_cqe *cqe)
{
	uint64_t data = cqe->user_data;
	struct conn *c = (void *)(uintptr_t)(data & ~(uint64_t)URING_MASK);

	switch ((enum operation)(data & URING_MASK)) {
	case URING_RECEIVE:
		on_receive(c, cqe);
		break;
	case URING_SEND:
		on_send(c, cqe->res);
		break;
	case URING_WAKE:
		on_wake(w, cqe);
		break;
	case URING_SWEEP:
		on_sweep(w);
		break;
	case URING_CANCEL: /* there was nothing left to cancel */
	case URING_MASK:
		break;
	}
}

/* ---------------------------------------------------------------- the loop */

/* What the loop itself waits for. */
static void
arm(struct worker *w)
{
	static struct __kernel_timespec second = {.tv_sec = 1};
	struct uring_loop *loop = w->loop;
	struct io_uring_sqe *sqe;

	if (unlikely(!loop->waking) && (sqe = take_sqe(loop)) != NULL) {
		io_uring_prep_poll_multishot(sqe, w->wake_fd, POLLIN);
		io_uring_sqe_set_data64(sqe, URING_WAKE);
		loop->waking = true;
	}
	if (unlikely(!loop->sweeping) && w->server->settings->idle_timeout > 0 &&
	    (sqe = take_sqe(loop)) != NULL) {
		io_uring_prep_timeout(sqe, &second, 0, 0);
		io_uring_sqe_set_data64(sqe, URING_SWEEP);
		loop->sweeping = true;
	}
}

static void
submit_and_wait(struct worker *w, bool block)
{
	struct uring_loop *loop = w->loop;
	int rc = block ? io_uring_submit_and_wait(&loop->ring.io, 1)
		       : io_uring_submit_and_get_events(&loop->ring.io);

	if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
		panic("the ring of worker %u failed: %s", w->id, strerror(-rc));
	pieces_release(loop);
}

/* Ends a turn, waits where there is nothing left to do, and takes the completions; returns how many. */
static unsigned
turn(struct worker *w, bool block)
{
	struct uring_loop *loop = w->loop;
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	bool more = worker_turn_end(w);

	arm(w);
	submit_and_wait(w, block && !more);
	worker_turn_begin(w);
	io_uring_for_each_cqe(&loop->ring.io, head, cqe)
	{
		on_completion(w, cqe);
		n++;
	}
	io_uring_cq_advance(&loop->ring.io, n);
	return n;
}

static void
uring_drain(struct worker *w, bool links)
{
	(void)links;
	for (unsigned i = 0; i < DRAIN_ROUNDS; i++) {
		if (turn(w, false) == 0 && TAILQ_EMPTY(&w->turns))
			return;
	}
}

static void
uring_run(struct worker *w)
{
	struct uring_loop *loop = w->loop;
	int rc = uring_ring_begin(&loop->ring);

	if (rc != 0)
		panic("the ring of worker %u cannot begin: %s", w->id, strerror(-rc));
	while (!load_acquire(&w->stopping))
		(void)turn(w, true);
	worker_drop_all(w);
	while (!TAILQ_EMPTY(&w->conns))
		(void)turn(w, true);
	uring_ring_end(&loop->ring);
}

static int
uring_start(struct worker *w)
{
	static const struct uring_size sizes[URING_GROUPS] = {
	    [URING_SMALL] = {SMALL_COUNT, SMALL_SIZE},
	    [URING_LARGE] = {LARGE_COUNT, LARGE_SIZE},
	};
	struct uring_loop *loop = calloc(1, sizeof(*loop));
	int rc;

	if (loop == NULL)
		return -ENOMEM;
	if ((rc = uring_ring_init(&loop->ring, ENTRIES, sizes)) != 0) {
		free(loop);
		return rc;
	}
	w->loop = loop;
	return 0;
}

static void
uring_finish(struct worker *w)
{
	struct uring_loop *loop = w->loop;

	uring_ring_fini(&loop->ring);
	free(loop);
	w->loop = NULL;
}

const struct io_driver io_uring = {
    .name = "uring",
    .conn_size = sizeof(struct uring_conn),
    .start = uring_start,
    .run = uring_run,
    .finish = uring_finish,
    .attach = uring_attach,
    .drain = uring_drain,
    .serve = uring_serve,
    .sending = uring_sending,
    .drop = uring_drop,
};
