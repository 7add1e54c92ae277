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

/* No number is looked for in a longer value. */
#define NUMBER_COMPARED                                                                            \
	(512u << 10) /* what memcached keeps in chunks is no number before it is compared */
#define NUMBER_LOOKED_AT 8192u

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

/* The number to be written, as text that is at least as long as the value it replaces. */
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
apply(const struct delta *delta, uint64_t old)
{
	if (!delta->decrement)
		return old + delta->amount;
	return old > delta->amount ? old - delta->amount : 0;
}

/* Looks at ENTRY and works out the number to be written; DELTA_OK where there is one. */
static enum delta_result
look(const struct worker *w, const struct store_entry *entry, struct delta *delta,
    struct number_text *text)
{
	const struct store_view *view = &entry->view;
	uint64_t old;

	delta->created = !entry->found;
	delta->old_exptime = entry->found ? view->exptime : 0;
	if (!entry->found) {
		delta->number = delta->initial;
		number_text(text, delta->initial, 0);
		return delta->create ? DELTA_OK : DELTA_NOT_FOUND;
	}
	if (view->size == 0 || view->size > NUMBER_COMPARED)
		return DELTA_NOT_NUMERIC;
	if (delta->compare && delta->compare_to != cas_shown(w, view->version))
		return DELTA_EXISTS;
	if (view->value == NULL || view->size > NUMBER_LOOKED_AT ||
	    !exec_number(slice_of(view->value, view->size), &old))
		return DELTA_NOT_NUMERIC;
	delta->number = apply(delta, old);
	number_text(text, delta->number, view->size);
	return DELTA_OK;
}

/* An item made outside of the lock, and the one that it was made to replace. */
struct spare {
	struct store_pending pending;
	bool found;
	struct store_view view;
};

static bool
spare_make(struct worker *w, const struct store_key *key, const struct delta *delta,
    const struct number_text *text, struct spare *spare)
{
	struct store_head head = {
	    .flags = spare->found ? spare->view.flags : 0,
	    .exptime = spare->found ? spare->view.exptime : delta->create_exptime,
	    .size = text->len,
	    .versioned = delta->version != 0,
	    .tagged = spare->found ? (spare->view.marks & STORE_TAGGED) != 0 : delta->tagged,
	};

	store_abort(w->store, &spare->pending);
	return exec_make(w, &spare->pending, key, &head, text->bytes);
}

/* Whether SPARE is what ENTRY is to become. */
static bool
spare_fits(const struct spare *spare, const struct store_entry *entry)
{
	if (spare->pending.ref == 0 || spare->found != entry->found)
		return false;
	return !entry->found ||
	    (spare->view.version == entry->view.version &&
		spare->view.exptime == entry->view.exptime);
}

/* Links SPARE in place of what ENTRY holds. As in memcached, a number that has grown is another item, which is neither
 * stale nor read; one that only gets a version of the client's choice stays what it is. */
static bool
put_spare(struct store_entry *entry, const struct delta *delta, struct spare *spare)
{
	bool same = entry->found && spare->pending.size == entry->view.size;
	uint8_t marks = same ? entry->view.marks & (STORE_STALE | STORE_WON) : 0;
	bool fetched = same && entry->view.fetched;

	if (!store_entry_put(entry, &spare->pending, delta->version, marks))
		return false;
	if (fetched)
		store_entry_count(entry);
	return true;
}

/* Writes TEXT into what ENTRY holds, or puts SPARE in its place; false where that needs another SPARE. */
static bool
write_number(struct store_entry *entry, const struct delta *delta, const struct number_text *text,
    struct spare *spare, enum delta_result *result)
{
	if (entry->found && text->len == entry->view.size &&
	    store_entry_overwrite(entry, text->bytes, text->len, delta->version))
		return true;
	if (!spare_fits(spare, entry))
		return false;
	if (!put_spare(entry, delta, spare))
		*result = DELTA_NO_MEMORY;
	return true;
}

enum delta_result
exec_delta(struct worker *w, const struct store_key *key, struct delta *delta)
{
	struct spare spare = {0};
	struct store_entry entry;
	struct number_text text;
	enum delta_result result;

	for (;;) {
		store_enter(w->store, key, &entry);
		result = look(w, &entry, delta, &text);
		if (result != DELTA_OK || write_number(&entry, delta, &text, &spare, &result))
			break;
		spare.found = entry.found;
		spare.view = entry.view;
		store_leave(&entry);
		if (!spare_make(w, key, delta, &text, &spare))
			return DELTA_NO_MEMORY;
	}
	if (result == DELTA_OK) {
		delta->cas = cas_shown(w, entry.view.version);
		if (delta->touch && !delta->created)
			store_entry_touch(&entry, delta->exptime);
	}
	store_leave(&entry);
	store_abort(w->store, &spare.pending);
	return result;
}
