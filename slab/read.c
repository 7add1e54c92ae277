/* slab/read.c: reading without a lock, and pins.
 *
 * The proof that a read is sound stands in index.c. A reader that failed several times in a row, and any reader
 * of a value above PIN_MIN, takes the stripe's lock for the look-up: the first reads under it, the second takes a
 * reference and goes.
 */
#include "slab/hot.h"
#include "slab/impl.h"

#define TRIES_MAX 4
#define HOW_SOUND 0x80u /* the view needs no check at the end */

/* ---------------------------------------------------------------- bytes of chunks */

#if defined(TSAN_BUILD)
void
chunk_write(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		store_relaxed((char *)to + i, load_relaxed((const char *)from + i));
}

void
chunk_read(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((char *)to)[i] = load_relaxed((const char *)from + i);
}
#endif

#if defined(__SANITIZE_THREAD__)
void
store_copy(void *to, const void *from, size_t n)
{
	chunk_read(to, from, n);
}
#endif

struct store_key
item_key(const struct store *st, const struct item *it)
{
	size_t nkey = load_relaxed(&it->nkey);
#if defined(TSAN_BUILD)
	static _Thread_local char copy[UINT8_MAX];

	chunk_read(copy, it->data, nkey);
	return store_key(st, copy, nkey);
#else
	return store_key(st, it->data, nkey);
#endif
}

/* ---------------------------------------------------------------- hit counting */

/* True once in N times on average. Of the thread's own, so that draws neither repeat nor touch what others write (Knuth's MMIX
 * generator, whose high bits are the good ones). */
static bool
chance_one_in(unsigned n)
{
	static _Thread_local uint64_t state;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % n == 0;
}

/* An LFU counter grows with a chance that falls as it grows, and fades with each minute without a read
 * (as Redis does). It is written where it changes. */
void
item_count_lfu(const struct store *st, struct item *it)
{
	unsigned heat = load_relaxed(&it->heat), count = heat & HEAT_COUNT;
	unsigned idle = (uint16_t)(load_relaxed(&st->now) - load_relaxed(&it->atime));

	count -= count < idle / 60 ? count : idle / 60;
	if (count < HEAT_COUNT && (count < LFU_NEW || chance_one_in((count - LFU_NEW) * 10 + 1)))
		count++;
	if (heat == (HEAT_FETCHED | count))
		return;
	if (count != (heat & HEAT_COUNT) && load_relaxed(&st->replicated))
		heat_note(st, it);
	store_relaxed(&it->heat, (uint8_t)(HEAT_FETCHED | count));
}

/* ---------------------------------------------------------------- views */

unsigned
store_view_class(const struct store *st, const struct store_view *view)
{
	return queue_class(st, view->item)->id;
}

uint64_t
store_view_order(const struct store_view *view)
{
	return item_birth(view->item);
}

void
item_view(const struct store *st, uint32_t ref, struct store_view *view)
{
	struct item *it = item_at(st, ref);

	view_fill_meta(st, it, view_fill(it, view), view);
	view->pin = NULL;
	view->item = it;
	view->ref = ref;
	if (item_is_large(it)) {
		view->size = item_aux(it)->size;
		view->value = NULL;
	}
	view->locked = true;
}

/* ---------------------------------------------------------------- pins */

static struct store_pin *
item_pin(struct item *it)
{
	(void)add_relaxed(&item_aux(it)->references, 1);
	return (struct store_pin *)it;
}

struct store_pin *
store_entry_pin(struct store_entry *entry)
{
	struct item *it = item_at(entry->store, entry->view.ref);

	ASSERT(entry->found && vlen_pinnable(it->vlen));
	return item_pin(it);
}

bool
store_pin_next(
    struct store *st, struct store_pin *pin, uint32_t *cursor, const char **data, size_t *len)
{
	struct item *it = (struct item *)pin;
	struct piece *piece;

	if (!item_is_large(it)) {
		*data = item_value(it);
		*len = it->vlen;
		return (*cursor)++ == 0;
	}
	*cursor = *cursor == 0 ? item_aux(it)->piece : load_relaxed(&piece_at(st, *cursor)->next);
	if (*cursor == 0)
		return false;
	piece = piece_at(st, *cursor);
	*data = piece->data;
	*len = piece->used;
	return true;
}

void
store_unpin(struct store *st, struct store_pin *pin)
{
	item_drop(st, ref_of(st, pin));
}

/* ---------------------------------------------------------------- reading */

static void
class_count_hit(struct store *st, const struct item *it)
{
	uint64_t *hits = &thread_counters(st)->hits[queue_class(st, it)->id];

	bump_relaxed(hits, 1);
}

void
store_entry_count(struct store_entry *entry)
{
	ASSERT(entry->found);
	item_count(entry->store, entry->view.item);
	entry->view.fetched = true;
	entry->view.age = 0;
	class_count_hit(entry->store, entry->view.item);
}

/* The look-up under the lock: keeps it where the value must be copied, pins where it need not. */
static bool
read_locked(struct store *st, const struct store_key *key, unsigned how,
    struct store_view *view) NO_LOCK_ANALYSIS
{
	struct store_entry entry;
	struct item *it;

	thread_counters(st)->failed = 0;
	store_enter(st, key, &entry);
	*view = entry.view;
	if (!entry.found) {
		store_leave(&entry);
		return false;
	}
	it = view->item;
	view->how = (uint8_t)how;
	view->stripe = stripe_of(st, key->hash);
	view->sequence =
	    load_relaxed(&stripe_of(st, key->hash)->sequence) ^ 1; /* see store_read_end */
	if (!vlen_pinnable(it->vlen))
		return true;
	if (how & STORE_READ_VALUE)
		view->pin = item_pin(it);
	view->value = NULL;
	if (how & STORE_READ_COUNT) {
		item_count(st, it);
		class_count_hit(st, it);
	}
	view->locked = false;
	view->how = HOW_SOUND;
	store_leave(&entry);
	return true;
}

bool
store_read_begin(
    struct store *st, const struct store_key *key, unsigned how, struct store_view *view)
{
	struct stripe *s = stripe_of(st, key->hash);

	for (;;) {
		uint32_t sequence = load_acquire(&s->sequence);
		struct item *it;
		struct slot slot;
		uint64_t version;

		if (unlikely((sequence & 1) || thread_counters(st)->failed >= TRIES_MAX))
			return read_locked(st, key, how, view);
		it = index_find_item(st, key, &slot);
		if (it == NULL) {
			if (likely(load_after_loads(&s->sequence) == sequence))
				return false;
			thread_counters(st)->failed++;
			bump_relaxed(&thread_counters(st)->read_retries, 1);
			continue;
		}
		version = view_fill(it, view);
		if (how & STORE_READ_META)
			view_fill_meta(st, it, version, view);
		if (unlikely(vlen_pinnable(view->size) || item_dead(st, it)))
			return read_locked(st, key, how, view);
		view->pin = NULL;
		view->item = it;
		view->how = (uint8_t)how;
		view->locked = false;
		view->sequence = sequence;
		view->stripe = s;
		return true;
	}
}

/* The check at the end of a read that was not right at once: false = again. */
static bool
read_settled(struct store *st, struct store_view *view) NO_LOCK_ANALYSIS
{
	struct thread_counters *mine = thread_counters(st);
	struct stripe *s = view->stripe;

	if (view->how == HOW_SOUND)
		return true;
	if (!view->locked) {
		mine->failed++;
		bump_relaxed(&mine->read_retries, 1);
		return false;
	}
	if (view->how & STORE_READ_COUNT) {
		item_count(st, view->item);
		class_count_hit(st, view->item);
	}
	stripe_unlock(s);
	return true;
}

bool
store_read_end(struct store *st, struct store_view *view)
{
	struct stripe *s = view->stripe;
	struct thread_counters *mine = thread_counters(st);

	/* Pairs with the fence in stripe_change. A view that holds the lock has an odd sequence, which is not what is found here; so has
	 * one that needs no check, for which nothing is done below where a writer makes the sequence the same just now. */
	if (unlikely(load_after_loads(&s->sequence) != view->sequence))
		return read_settled(st, view);
	if (view->how & STORE_READ_COUNT) {
		item_count(st, view->item);
		bump_relaxed(&mine->hits[item_class(st, view->item)], 1);
	}
	if (unlikely(mine->failed != 0))
		mine->failed = 0;
	return true;
}
