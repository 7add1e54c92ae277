/* server/exec_number.c: numbers in values.
 *
 * The new number mostly has room where the old one stands and is written over it. Where it needs another item, that is
 * made outside of the lock, and everything is done again with it in hand; should the item have changed
 * meanwhile so that it does not fit any more, again.
 */
#include <stdint.h>
#include <string.h>

#include "base/number.h"
#include "server/exec_op.h"
#include "server/worker.h"

/* A value longer than this is no number that we would have written, but its front may be one. */
#define NUMBER_LOOKED_AT 64u

static bool
is_blank(char ch)
{
	return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

static bool
is_digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

bool
exec_number(struct slice value, uint64_t *number)
{
	size_t i = 0, first;
	bool negative = false;
	uint64_t n = 0;

	while (i < value.len && is_blank(value.ptr[i]))
		i++;
	if (i < value.len && (value.ptr[i] == '+' || value.ptr[i] == '-'))
		negative = value.ptr[i++] == '-';
	for (first = i; i < value.len && is_digit(value.ptr[i]); i++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(value.ptr[i] - '0'), &n))
			return false;
	if (i == first || (i < value.len && !is_blank(value.ptr[i]) && value.ptr[i] != '\0'))
		return false;
	if (negative)
		n = 0 - n;
	*number = n;
	return !(negative && n > INT64_MAX);
}

/* The text of the new number, as long as the value that it replaces at least. */
struct number_text {
	uint32_t len;
	char bytes[NUMBER_LOOKED_AT + NUMBER_U64_MAX_LEN];
};

static void
number_text(struct number_text *text, uint64_t number, uint32_t old_len)
{
	char *end = number_format_u64(text->bytes, number);

	text->len = (uint32_t)(end - text->bytes);
	if (text->len < old_len) {
		memset(end, ' ', old_len - text->len);
		text->len = old_len;
	}
}

static uint64_t
delta_apply(const struct delta *delta, uint64_t old)
{
	if (!delta->decrement)
		return old + delta->amount;
	return old > delta->amount ? old - delta->amount : 0;
}

/* Looks at ENTRY and works out the new number; DELTA_OK where it can be written. */
static enum delta_result
delta_look(const struct store_entry *entry, struct delta *delta, struct number_text *text)
{
	const struct store_view *view = &entry->view;
	uint64_t old;

	if (!entry->found)
		return DELTA_NOT_FOUND;
	if (delta->compare_to != 0 && delta->compare_to != view->version)
		return DELTA_EXISTS;
	if (view->value == NULL || view->size > NUMBER_LOOKED_AT ||
	    !exec_number(slice_of(view->value, view->size), &old))
		return DELTA_NOT_NUMERIC;
	delta->number = delta_apply(delta, old);
	number_text(text, delta->number, view->size);
	return DELTA_OK;
}

/* An item for TEXT with the flags and expiry of VIEW. */
static bool
delta_alloc(struct store *st, const struct store_key *key, const struct store_view *view,
    const struct number_text *text, bool versioned, struct store_pending *pending)
{
	struct store_head head = {view->flags, view->exptime, text->len, versioned};

	store_abort(st, pending);
	return store_alloc(st, pending, key, &head) == STORE_OK &&
	    store_pending_write(st, pending, text->bytes, text->len) == STORE_OK;
}

enum delta_result
exec_delta(struct conn *c, const struct store_key *key, struct delta *delta)
{
	struct store *st = c->worker->store;
	struct store_pending pending = {0};
	struct store_view made_for = {0};
	struct store_entry entry;
	struct number_text text;
	enum delta_result result;

	for (;;) {
		store_enter(st, key, &entry);
		result = delta_look(&entry, delta, &text);
		if (result != DELTA_OK)
			break;
		if (pending.ref == 0 && text.len == entry.view.size &&
		    store_entry_overwrite(&entry, text.bytes, text.len, delta->version))
			break;
		if (pending.ref != 0 && made_for.version == entry.view.version &&
		    made_for.exptime == entry.view.exptime) {
			store_entry_put(&entry, &pending, delta->version, entry.view.marks);
			break;
		}
		made_for = entry.view;
		store_leave(&entry);
		if (!delta_alloc(st, key, &made_for, &text, delta->version != 0, &pending))
			return DELTA_NO_MEMORY;
	}
	delta->cas = result == DELTA_OK ? entry.view.version : 0;
	store_leave(&entry);
	store_abort(st, &pending);
	return result;
}
