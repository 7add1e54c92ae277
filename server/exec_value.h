/* server/exec_value.h: between the executors that answer with values.
 *
 * They all do the same: a function of the protocol formats what stands in front of the value, the value is copied
 * behind it, or pinned where it is large. The functions are inlined where they are used, and the protocol's into
 * them: this is the hottest path there is.
 *
 * A lock-free read formats into the room behind the output and commits only what turned out to be sound.
 */
#ifndef SERVER_EXEC_VALUE_H
#define SERVER_EXEC_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"
#include "base/slice.h"
#include "server/conn.h"
#include "server/worker.h"
#include "slab/store.h"

/* Writes at P what stands in front of the value of VIEW, at most HEAD_MAX bytes; returns the end. It may be called more
 * than once for one answer, and for a view that turns out to be unsound. */
typedef char *value_head(char *p, const void *context, const struct store_view *view);

struct value_format {
	value_head *head;
	const void *context;
	size_t head_max;
	struct slice tail; /* what stands behind the value */
	bool omit;         /* the value itself is left out */
};

/* The value is held by PIN, which belongs to the output from now on: only what stands around it is copied. */
static inline void
value_pinned(struct conn *c, const struct store_view *view, struct store_pin *pin,
    const struct value_format *format)
{
	struct outq_source *src = &c->worker->source;
	char *p = outq_reserve(&c->out, src, format->head_max);

	if (p == NULL) {
		store_unpin(c->worker->store, pin);
		return;
	}
	outq_commit(&c->out, format->head(p, format->context, view));
	outq_pin(&c->out, src, pin, view->size);
	outq_append_slice(&c->out, src, format->tail);
}

/* The whole answer with a value that lies in memory, behind the output; NULL where there is no room. */
static ALWAYS_INLINE char *
value_copied(struct conn *c, const struct store_view *view, const struct value_format *format)
{
	size_t size = format->omit ? 0 : view->size;
	char *p =
	    outq_reserve(&c->out, &c->worker->source, format->head_max + size + format->tail.len);

	if (unlikely(p == NULL))
		return NULL;
	p = format->head(p, format->context, view);
	if (!format->omit)
		store_copy(p, view->value, size);
	p += size;
	memcpy(p, format->tail.ptr, format->tail.len);
	return p + format->tail.len;
}

/* Answers with the value of KEY, read without a lock. False, and nothing is written, where it is not there. */
static ALWAYS_INLINE bool
value_read(
    struct conn *c, const struct store_key *key, unsigned how, const struct value_format *format)
{
	struct store *st = c->worker->store;
	struct store_view view;
	char *end = NULL;

	do {
		if (!store_read_begin(st, key, how, &view))
			return false;
		if (likely(view.pin == NULL))
			end = value_copied(c, &view, format);
	} while (!store_read_end(st, &view));
	if (unlikely(view.pin != NULL)) {
		struct value_format copy =
		    *format; /* the compiler sees through what no call can reach */

		value_pinned(c, &view, view.pin, &copy);
	} else if (likely(end != NULL)) {
		outq_commit(&c->out, end);
	}
	return true;
}

/* Answers with VIEW, the value of ENTRY, and leaves it. */
static inline void
value_leave(struct conn *c, struct store_entry *entry, const struct store_view *view,
    const struct value_format *format)
{
	struct store_pin *pin = NULL;
	char *end = NULL;

	if (!format->omit && view->value == NULL && view->size > 0)
		pin = store_entry_pin(entry);
	else
		end = value_copied(c, view, format);
	store_leave(entry);
	if (pin != NULL)
		value_pinned(c, view, pin, format);
	else if (end != NULL)
		outq_commit(&c->out, end);
}

#endif
