/* slab/large.c: values that do not fit one chunk: a chain of pieces; and appending to values.
 *
 * The pieces of a large value are chunks of the largest class, but for the last, which takes what it needs. They
 * are taken as the bytes arrive, and linked both ways, so that one can be moved without a walk over all. The item's own
 * chunk holds the head only; in the queues it stands in the class of its pieces, because that is the memory that comes
 * back with it.
 */
#include "slab/impl.h"

#define CONCAT_TRIES 100
#define HELD_SHARE   4

/* Whether unfinished values may hold BYTES more: else clients that never finish would push all others out. */
static bool
may_hold(const struct store *st, const struct store_pending *pending, uint64_t bytes)
{
	uint64_t all = load_relaxed(&st->held),
		 limit = (uint64_t)load_relaxed(&st->pages_limit) << st->page_shift;

	return all == pending->held || all + bytes <= limit / HELD_SHARE;
}

static void
hold(struct store *st, struct store_pending *pending, uint32_t ref)
{
	uint32_t bytes = st->classes[ref_class(st, ref)].chunk_size;

	pending->held += bytes;
	(void)add_relaxed(&st->held, bytes);
}

void
pieces_unhold(struct store *st, struct store_pending *pending)
{
	if (pending->held != 0)
		(void)sub_relaxed(&st->held, pending->held);
	pending->held = 0;
}

static uint32_t
piece_new(struct store *st, struct store_pending *pending)
{
	uint32_t rest = pending->size - pending->written;
	uint32_t most = st->chunk_max - PIECE_HEADER;
	uint32_t size = PIECE_HEADER + (rest < most ? rest : most);
	uint32_t ref =
	    may_hold(st, pending, size) ? chunk_alloc(st, class_for(st, size), pending) : 0;
	struct piece *piece;

	if (ref == 0)
		return 0;
	hold(st, pending, ref);
	piece = piece_at(st, ref);
	store_relaxed(&piece->next, 0u);
	store_relaxed(&piece->prev, pending->tail);
	store_relaxed(&piece->used, 0u);
	store_relaxed(&piece->owner, pending->ref);
	store_release(&piece->kind, (uint16_t)CHUNK_PIECE);
	if (pending->tail == 0)
		store_relaxed(&item_aux(item_at(st, pending->ref))->piece, ref);
	else
		store_relaxed(&piece_at(st, pending->tail)->next, ref);
	pending->tail = ref;
	if (rest > most)
		chunk_claim_ahead(st, pending);
	return ref;
}

/* Bytes that the last piece can still take. */
static uint32_t
piece_room(const struct store *st, const struct store_pending *pending)
{
	if (pending->tail == 0)
		return 0;
	return st->chunk_max - PIECE_HEADER - piece_at(st, pending->tail)->used;
}

enum store_result
pieces_write(struct store *st, struct store_pending *pending, const char *data, size_t n)
{
	while (n > 0) {
		uint32_t room = piece_room(st, pending);
		struct piece *piece;
		uint32_t part;

		if (room == 0 && piece_new(st, pending) == 0) {
			store_abort(st, pending);
			return STORE_NO_MEMORY;
		}
		if (room == 0)
			room = piece_room(st, pending);
		piece = piece_at(st, pending->tail);
		part = n < room ? (uint32_t)n : room;
		chunk_write(piece->data + piece->used, data, part);
		store_relaxed(&piece->used, piece->used + part);
		pending->written += part;
		data += part;
		n -= part;
	}
	return STORE_OK;
}

unsigned
pieces_free(struct store *st, uint32_t *first, unsigned most)
{
	unsigned n = 0;

	lock_assert_below(LOCK_STRIPE);
	for (; *first != 0 && n < most; n++) {
		uint32_t next = load_relaxed(&piece_at(st, *first)->next);

		class_give(st, *first);
		*first = next;
	}
	thread_worked += n;
	return n;
}

/* ---------------------------------------------------------------- append and prepend */

/* What is to be extended: held by a pin, or copied. */
struct old_value {
	struct store_view view;
	uint64_t order;
	char copy[PIN_MIN];
};

static enum store_result
old_value_take(struct store *st, const struct store_key *key, const struct store_put *put,
    struct old_value *old)
{
	enum store_result result = STORE_OK;
	struct store_entry entry;

	store_enter(st, key, &entry);
	old->view.pin = NULL;
	if (!entry.found) {
		result = put->compare ? STORE_NOT_FOUND : STORE_NOT_STORED;
	} else if (put->compare && entry.view.version != put->compare_to) {
		result = STORE_EXISTS;
	} else {
		old->view = entry.view;
		old->order = store_view_order(&entry.view);
		if (vlen_pinnable(item_at(st, entry.view.ref)->vlen))
			old->view.pin = store_entry_pin(&entry);
		else
			store_copy(old->copy, entry.view.value, entry.view.size);
	}
	store_leave(&entry);
	return result;
}

static void
old_value_drop(struct store *st, struct old_value *old)
{
	if (old->view.pin != NULL)
		store_unpin(st, old->view.pin);
	old->view.pin = NULL;
}

/* Appends the whole value of PIN. */
static enum store_result
write_pinned(struct store *st, struct store_pending *to, struct store_pin *pin)
{
	enum store_result result = STORE_OK;
	uint32_t cursor = 0;
	const char *data;
	size_t len;

	while (result == STORE_OK && store_pin_next(st, pin, &cursor, &data, &len))
		result = store_pending_write(st, to, data, len);
	return result;
}

static enum store_result
write_old(struct store *st, struct store_pending *to, const struct old_value *old)
{
	if (old->view.pin != NULL)
		return write_pinned(st, to, old->view.pin);
	return store_pending_write(st, to, old->copy, old->view.size);
}

static enum store_result
write_joined(struct store *st, struct store_pending *to, const struct old_value *old,
    struct store_pending *added, enum store_mode mode)
{
	struct store_pin *pin = (struct store_pin *)item_at(st, added->ref);
	enum store_result result;

	result = mode == STORE_APPEND ? write_old(st, to, old) : write_pinned(st, to, pin);
	if (result == STORE_OK)
		result = mode == STORE_APPEND ? write_pinned(st, to, pin) : write_old(st, to, old);
	return result;
}

/* Links the joined value if the item is still the one that was extended; false = another try. Its order tells: the version may be
 * one that a client has chosen twice. */
static bool
concat_link(struct store *st, const struct store_key *key, struct store_pending *joined,
    const struct old_value *old, const struct store_put *put, uint64_t *version,
    enum store_result *result)
{
	struct store_entry entry;
	bool same;

	store_enter(st, key, &entry);
	same = entry.found && store_view_order(&entry.view) == old->order;
	if (same) {
		item_life_change(item_at(st, joined->ref), LIFE_EXPIRY, entry.view.exptime);
		*result = store_entry_put(&entry, joined, put->version, put->marks)
		    ? STORE_OK
		    : STORE_NO_MEMORY;
		*version = entry.view.version;
	}
	store_leave(&entry);
	return same;
}

/* One try: true when *RESULT is final. */
static bool
concat_try(struct store *st, const struct store_key *key, struct store_pending *added,
    const struct store_put *put, uint64_t *version, enum store_result *result)
{
	struct old_value old;
	struct store_pending joined = {0};
	struct store_head head;
	bool done = true;

	*result = old_value_take(st, key, put, &old);
	if (*result != STORE_OK)
		return true;
	head = (struct store_head){.flags = old.view.flags,
	    .exptime = old.view.exptime,
	    .size = (size_t)old.view.size + added->size,
	    .versioned = put->version != 0,
	    .tagged = old.view.marks & STORE_TAGGED};
	thread_spares = old.view.ref;
	*result = store_alloc(st, &joined, key, &head);
	if (*result == STORE_OK)
		*result = write_joined(st, &joined, &old, added, put->mode);
	thread_spares = 0;
	if (*result == STORE_OK)
		done = concat_link(st, key, &joined, &old, put, version, result);
	if (!done)
		*result = STORE_NO_MEMORY;
	store_abort(st, &joined);
	old_value_drop(st, &old);
	return done;
}

/* Whoever waits has paused as a reader: the holder allocates, and for that readers may have to be waited for. */
static void
joins_lock(struct lock *l) ACQUIRES(*l) NO_LOCK_ANALYSIS
{
	if (likely(lock_try(l)))
		return;
	store_thread_pause();
	lock_take(l);
	store_thread_resume();
}

/* The old value is copied without its stripe's lock, so a try is lost where the item changes meanwhile. Others who join to the
 * same key wait for their turn: else one that is slow, for the value is long, could lose against them for ever. What is left
 * to lose against are sets. */
enum store_result
concat_put(struct store *st, const struct store_key *key, struct store_pending *pending,
    const struct store_put *put, uint64_t *version)
{
	struct lock *turn = &st->joins[(key->hash >> 32) % JOIN_LOCKS];
	enum store_result result = STORE_NO_MEMORY;
	int tries = 0;

	joins_lock(turn);
	while (tries++ < CONCAT_TRIES && !concat_try(st, key, pending, put, version, &result))
		;
	lock_drop(turn);
	return result;
}
