/* server/link_frames.c: what arrives on links: cut into frames, and handed to whom they are for. */
#include "base/assert.h"
#include "server/cluster.h"
#include "server/cluster_stats.h"
#include "server/conn_step.h"
#include "server/forward.h"
#include "server/link_impl.h"
#include "server/replicate_link.h"
#include "server/replicate_wait.h"
#include "server/settings.h"

static bool
on_ping(struct link *l, const struct frame *frame)
{
	link_tell(l, FRAME_PONG, frame->id, SLICE_LITERAL(""));
	return true;
}

static bool
on_pong(struct link *l, const struct frame *frame)
{
	(void)frame;
	return l->outgoing;
}

/* An answer to a question that nobody waits for any more is dropped. */
static bool
on_reply(struct link *l, const struct frame *frame)
{
	bool last = frame->flags & FRAME_LAST, waits = frame->flags & FRAME_WAITS;
	struct ticket *t = link_ticket(l, frame->id);

	if (!l->outgoing || waits != (frame->room > 0) || (last && waits))
		return false;
	if (t == NULL) {
		if (waits)
			link_cancel(l, frame->id);
		return true;
	}
	if (unlikely(t->rests || (waits && t->kind->rest == NULL)))
		return false;
	if (last) {
		link_release(t);
	} else if (waits) {
		link_rest(t);
		t->kind->rest(t, frame->room);
	} else if (!t->special) {
		t->deadline = link_now(l->worker) + l->worker->server->settings->peer_timeout;
		TAILQ_REMOVE(&l->waiting, t, entry);
		TAILQ_INSERT_TAIL(&l->waiting, t, entry);
	}
	t->kind->reply(t, frame->flags, frame->body, last);
	return true;
}

static void
tell_topology(struct link *l)
{
	link_tell(l, FRAME_TOPOLOGY, 0, topology_encode(l->worker->cluster->topology));
}

static bool
on_topology(struct link *l, const struct frame *frame)
{
	if (frame->body.len == 0)
		tell_topology(l);
	else
		cluster_offer(l->worker->cluster->cluster, frame->body);
	return true;
}

typedef bool link_handler(struct link *l, const struct frame *frame);

/* By type; NULL: such a frame breaks the protocol. */
static link_handler *const handlers[FRAME_TYPES] = {
    [FRAME_PING] = on_ping,
    [FRAME_PONG] = on_pong,
    [FRAME_COMMAND] = forward_on_command,
    [FRAME_KEYS] = forward_on_keys,
    [FRAME_STREAM_BEGIN] = forward_on_stream,
    [FRAME_STREAM_DATA] = forward_on_stream,
    [FRAME_STREAM_END] = forward_on_stream,
    [FRAME_REPLY] = on_reply,
    [FRAME_FLUSH] = forward_on_flush,
    [FRAME_REPLICATE] = replicate_on_frame,
    [FRAME_ACK] = replicate_on_frame,
    [FRAME_CALENDAR] = replicate_on_frame,
    [FRAME_HEAT] = replicate_on_frame,
    [FRAME_DIGESTS] = replicate_on_frame,
    [FRAME_DIFFER] = replicate_on_frame,
    [FRAME_LIST] = replicate_on_frame,
    [FRAME_WANT] = replicate_on_frame,
    [FRAME_GONE] = replicate_on_frame,
    [FRAME_COMPARED] = replicate_on_frame,
    [FRAME_WAIT] = wait_on_frame,
    [FRAME_TOPOLOGY] = on_topology,
    [FRAME_STATS] = cluster_on_stats,
    [FRAME_ROOM] = forward_on_room,
};

/* The other side has another topology: the newer one is told, or asked for, once. */
static void
compare_epochs(struct link *l, uint64_t theirs)
{
	uint64_t ours = topology_epoch(l->worker->cluster->topology);

	if (l->epoch_ours == ours && l->epoch_theirs == theirs)
		return;
	l->epoch_ours = ours;
	l->epoch_theirs = theirs;
	if (theirs > ours)
		link_tell(l, FRAME_TOPOLOGY, 0, SLICE_LITERAL(""));
	else
		tell_topology(l);
}

/* Questions come in on incoming links only: an outgoing one has nobody to answer them. */
static bool
is_question(uint8_t type)
{
	return type == FRAME_COMMAND || type == FRAME_KEYS || type == FRAME_STREAM_BEGIN ||
	    type == FRAME_STREAM_DATA || type == FRAME_STREAM_END || type == FRAME_FLUSH ||
	    type == FRAME_STATS || type == FRAME_WAIT || type == FRAME_ROOM;
}

bool
link_frame_take(struct link *l, const struct frame *frame)
{
	link_handler *handler = handlers[frame->type];

	if (unlikely(frame->epoch != topology_epoch(l->worker->cluster->topology)))
		compare_epochs(l, frame->epoch);
	if (unlikely(l->outgoing) && is_question(frame->type))
		return false;
	return handler != NULL && handler(l, frame);
}

bool
step_link(struct conn *c, struct slice *input)
{
	struct link *l = c->link;

	if (unlikely(l->broken != NULL)) {
		conn_close(c, CONN_ERROR);
		return true;
	}
	l->heard = link_now(c->worker);
	while (input->len > 0) {
		struct frame frame;
		size_t used;
		enum frame_result result = frame_parse(&l->in, *input, &frame, &used);

		if (result == FRAME_MORE) {
			store_relaxed(&c->in.need, (uint32_t)used);
			return false;
		}
		if (result == FRAME_BAD || !link_frame_take(l, &frame)) {
			l->broken = result == FRAME_BAD ? "a frame is damaged"
							: "a frame that makes no sense";
			conn_close(c, CONN_ERROR);
			return true;
		}
		slice_advance(input, used);
		if (unlikely(conn_full(c)))
			return true;
	}
	return false;
}
