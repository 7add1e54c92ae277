/* server/replicate_copies.c: on how many nodes a change is, and whether there are enough of them. */
#include "base/assert.h"
#include "server/replicate_impl.h"

uint64_t
replicate_position(const struct replicate_worker *w)
{
	return w->backlog.head;
}

bool
replicate_is_behind(const struct replicate_worker *w)
{
	const struct replicate_end *end;

	LIST_FOREACH(end, &w->ends, entry)
		if (end->outgoing && end->link != NULL && end->node != NODE_NONE &&
		    end->stream.acked < w->backlog.head)
			return true;
	return false;
}

/* On how many peers the entry, which ends at POSITION, is. */
static unsigned
entry_acked(struct replicate_worker *w, struct backlog_entry *e, uint64_t position)
{
	uint16_t holders[HOLDERS_MAX];
	unsigned n, acked = 0;

	n = replicate_holders(w, replicate_entry_point(w, e), holders);
	for (unsigned i = 0; i < n; i++) {
		struct replicate_end *end = w->outgoing[holders[i]];

		acked += end != NULL && end->link != NULL && end->stream.acked >= position;
	}
	return acked;
}

unsigned
replicate_copies(const struct replicate_worker *w)
{
	unsigned others = w->places.count > 0 ? w->places.count - 1 : 0;

	return w->places.copies < others ? w->places.copies : others;
}

void
replicate_writer(struct replicate_worker *w, uint32_t writer)
{
	w->writer = writer;
}

uint32_t
replicate_writer_now(const struct replicate_worker *w)
{
	return w->writer;
}

/* What all peers have is nobody's to wait for. */
static void
others_acked(const struct replicate_worker *w, struct written *written)
{
	uint64_t acked = w->backlog.head;
	const struct replicate_end *end;

	LIST_FOREACH(end, &w->ends, entry)
		if (end->outgoing && end->node != NODE_NONE &&
		    (end->link == NULL || end->stream.acked < acked))
			acked = end->link == NULL ? 0 : end->stream.acked;
	if (acked >= w->backlog.head)
		written->others = UINT64_MAX;
	else if (written->others < acked)
		written->others = acked;
}

void
replicate_wait_begin(struct replicate_worker *w, struct replicate_wait *wait, uint32_t writer,
    unsigned need, uint64_t since)
{
	struct written *written = &w->written[writer % WRITERS];

	*wait = (struct replicate_wait){.writer = writer,
	    .need = need,
	    .position = w->backlog.head,
	    .since = since,
	    .before = replicate_copies(w),
	    .all = since == 0};
	others_acked(w, written);
	if (wait->all && written->writer != writer) {
		wait->since = written->others;
	} else if (wait->all) {
		wait->since = written->since < written->others ? written->since : written->others;
		if (wait->since < written->sure && need <= written->copies) {
			wait->since = written->sure;
			wait->before = written->copies;
		}
	}
	wait->from = wait->since;
}

/* What has been overwritten was acknowledged by all, or nobody knows. */
static bool
forgotten_acked(const struct replicate_worker *w)
{
	const struct replicate_end *end;

	LIST_FOREACH(end, &w->ends, entry)
		if (end->outgoing && end->node != NODE_NONE &&
		    (end->link == NULL || end->stream.acked < w->backlog.tail))
			return false;
	return true;
}

bool
replicate_wait_done(struct replicate_worker *w, struct replicate_wait *wait)
{
	if (wait->from < w->backlog.tail) {
		if (!forgotten_acked(w))
			return false;
		wait->from = w->backlog.tail;
	}
	for (unsigned looks = 0; wait->from < wait->position; looks++) {
		uint64_t after = wait->from;
		struct backlog_entry *e = backlog_next(&w->backlog, &after);

		if (looks == LOOKS_MAX)
			return false;
		if (e->writer == wait->writer && e->what < BACKLOG_EVICT &&
		    entry_acked(w, e, after) < wait->need)
			return false;
		wait->from = after;
	}
	return true;
}

/* On how many peers each change is, at the least; where that cannot be said, or there is too much to look at, what is known of WAIT
 * as it is. */
static unsigned
least_acked(struct replicate_worker *w, const struct replicate_wait *wait)
{
	unsigned least = wait->before, acked, known;
	uint64_t at = wait->since;

	known = wait->from < wait->position ? 0 : wait->need < least ? wait->need : least;
	if (at < w->backlog.tail) {
		if (!forgotten_acked(w))
			return known;
		at = w->backlog.tail;
	}
	for (unsigned looks = 0; at < wait->position; looks++) {
		struct backlog_entry *e = backlog_next(&w->backlog, &at);

		if (looks == LOOKS_MAX)
			return known;
		if (e->writer != wait->writer || e->what >= BACKLOG_EVICT)
			continue;
		acked = entry_acked(w, e, at);
		least = acked < least ? acked : least;
	}
	return least;
}

unsigned
replicate_wait_end(struct replicate_worker *w, const struct replicate_wait *wait)
{
	struct written *written = &w->written[wait->writer % WRITERS];
	unsigned acked = least_acked(w, wait);

	if (!wait->all || written->writer != wait->writer)
		return acked;
	if (acked == replicate_copies(w)) {
		written->since = wait->position == w->backlog.head ? UINT64_MAX : wait->position;
	} else if (acked > 0) {
		written->sure = wait->position;
		written->copies = acked;
	}
	return acked;
}

/* Up to date: nothing that was sent to it was lost to it, and the stream is not far behind. */
static bool
end_is_current(const struct replicate_end *end)
{
	const struct replicate_worker *w = end->worker;

	return end->link != NULL && end->stream.acked >= w->backlog.tail &&
	    w->backlog.head - end->stream.acked <= (w->backlog.mask + 1) / 2;
}

bool
replicate_refuses(struct replicate_worker *w, const struct store_key *key)
{
	uint16_t holders[HOLDERS_MAX];
	unsigned n, current = 0, need = w->all->options.min_replicas;

	if (need == 0)
		return false;
	n = replicate_holders(w, replicate_point_of(w, key), holders);
	for (unsigned i = 0; i < n; i++)
		current +=
		    w->outgoing[holders[i]] != NULL && end_is_current(w->outgoing[holders[i]]);
	return current < need;
}
