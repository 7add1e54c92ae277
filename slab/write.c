/* slab/write.c: items in the making, and all changes of linked ones.
 *
 * The life of an item: allocated (version 0, seen by its maker only) - linked (version above 0, in the index and in a
 * queue) - unlinked (version 0 again) - freed. Linking and unlinking happen under the stripe's lock and, inside
 * it, the class's. Who unlinks an item frees it, unless somebody has detached it from its queue: then he does,
 * after he took the stripe's lock himself and found it gone (item_lose). Pinned items wait for the last pin. The pieces
 * of a large one, which may be thousands, wait until the stripe is unlocked (drops_settle).
 */
#include "slab/hot.h"
#include "slab/impl.h"

/* ---------------------------------------------------------------- versions */

/* What others say goes no further than this: the numbers above last for all that is ever written here. */
#define RAISED_MAX (STORE_ORDER_MAX - (UINT64_C(1) << 56))

void
version_raise(struct store *st, uint64_t version)
{
	uint64_t old = load_relaxed(&st->sequence);

	if (version > RAISED_MAX)
		version = RAISED_MAX;
	while (old < version &&
	    !__atomic_compare_exchange_n(
		&st->sequence, &old, version, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

uint64_t
version_next(struct store *st)
{
	uint64_t lanes = load_relaxed(&st->lanes), mask = lanes >> 32;
	uint64_t old, next;

	if (likely(lanes == 0))
		return add_relaxed(&st->sequence, 1) + 1;
	old = load_relaxed(&st->sequence);
	do {
		next = (old & ~mask) | (lanes & mask);
		if (unlikely(old >= load_relaxed(&st->lanes_until)))
			next |= (mask + 1) >> 1;
		if (next <= old)
			next += mask + 1;
	} while (!__atomic_compare_exchange_n(
	    &st->sequence, &old, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return next;
}

static void
tell_entry(const struct store_entry *entry, enum store_event event, uint64_t version)
{
	const struct store *st = entry->store;

	if (load_acquire(&st->nobservers) > 0)
		observers_tell(st, event, entry->key, &entry->view, version,
		    queue_class(st, entry->view.item)->id);
}

/* ---------------------------------------------------------------- unlinking */

static void
count_loss(const struct store *st, struct slab_class *c, const struct item *it, enum loss loss)
    REQUIRES(c->lock)
{
	bool fetched = load_relaxed(&it->heat) & HEAT_FETCHED;
	uint16_t idle = (uint16_t)(load_relaxed(&st->now) - load_relaxed(&it->atime));

	if (loss == LOSS_EVICTED) {
		c->n.evicted++;
		c->n.evicted_nonzero += item_expiry(it) != 0;
		c->n.evicted_unfetched += !fetched;
		c->n.evicted_active += (load_relaxed(&it->heat) & HEAT_COUNT) > 1;
		c->n.evicted_time = idle;
	} else {
		c->n.reclaimed++;
		c->n.walked += loss == LOSS_WALKED;
		c->n.expired_unfetched += !fetched;
	}
}

/* A linked item has become a copy, or it is one no more, under its stripe's lock. */
static void
count_copy(struct store *st, struct item *it, bool copy)
{
	if (copy) {
		(void)add_relaxed(&st->copies, 1);
		(void)add_relaxed(&st->copy_bytes, item_asks(it));
	} else {
		(void)sub_relaxed(&st->copies, 1);
		(void)sub_relaxed(&st->copy_bytes, item_asks(it));
	}
}

/* IT, which stands in SLOT under HASH, leaves the index. */
static void
item_remove(struct store *st, uint64_t hash, struct slot slot, struct item *it)
{
	if (unlikely(item_is_copy(it)))
		count_copy(st, it, false);
	index_remove(st, hash, slot);
}

/* Takes a linked item, whose slot is cleared already, off its queue: true when the caller is to drop it. */
static bool
item_unqueue(struct store *st, struct slab_class *c, uint32_t ref) REQUIRES(c->lock)
{
	struct item *it = item_at(st, ref);

	item_set_version(it, 0);
	if (item_detached(ref, it))
		return false;
	queue_remove(st, c, ref);
	c->bytes -= item_asks(it);
	return true;
}

/* Unlinks what stands in the entry's slot, which is cleared or holds something else by now. */
static void
item_unlink(struct store *st, uint32_t ref, bool deleted)
{
	struct item *it = item_at(st, ref);
	struct slab_class *c = queue_class(st, it);
	bool mine;

	lock_take(&c->lock);
	c->n.deletes += deleted;
	mine = item_unqueue(st, c, ref);
	if (mine && !vlen_pinnable(it->vlen)) {
		class_give_locked(st, c, ref);
		mine = false;
	}
	lock_drop(&c->lock);
	if (mine)
		item_drop_later(st, ref);
}

void
item_lose(struct store *st, uint32_t ref, enum loss loss)
{
	struct item *it = item_at(st, ref);
	struct store_key key = item_key(st, it);
	struct stripe *s = stripe_of(st, key.hash);
	struct slab_class *c = queue_class(st, it);
	struct slot slot;

	stripe_lock(s);
	if (index_find_ref(st, key.hash, ref, &slot)) {
		struct store_view view;

		stripe_change(s);
		if (load_acquire(&st->nobservers) > 0) {
			item_view(st, ref, &view);
			observers_tell(st,
			    loss == LOSS_EVICTED ? STORE_EVENT_EVICT : STORE_EVENT_EXPIRE, &key,
			    &view, view.version, c->id);
		}
		item_remove(st, key.hash, slot, it);
		lock_take(&c->lock);
		count_loss(st, c, it, loss);
		if (loss == LOSS_EVICTED && st->eviction == STORE_EVICT_S3FIFO)
			ghost_add(st, c, key.hash);
		lock_drop(&c->lock);
		item_set_version(it, 0);
	}
	stripe_unlock(s);
	item_drop(st, ref);
}

void
item_bury(
    struct store *st, const struct store_key *key, uint32_t ref, struct slot slot, enum loss loss)
{
	struct item *it = item_at(st, ref);
	struct slab_class *c = queue_class(st, it);
	struct store_view view;

	stripe_change(stripe_of(st, key->hash));
	if (load_acquire(&st->nobservers) > 0) {
		item_view(st, ref, &view);
		observers_tell(st, loss == LOSS_EVICTED ? STORE_EVENT_EVICT : STORE_EVENT_EXPIRE,
		    key, &view, view.version, c->id);
	}
	item_remove(st, key->hash, slot, it);
	lock_take(&c->lock);
	count_loss(st, c, it, loss);
	if (loss == LOSS_EVICTED && st->eviction == STORE_EVICT_S3FIFO)
		ghost_add(st, c, key->hash);
	lock_drop(&c->lock);
	item_unlink(st, ref, false);
}

/* ---------------------------------------------------------------- entries */

static struct slot
entry_slot(const struct store_entry *entry)
{
	struct slot slot = {entry->slot, entry->slot_number};

	/* Found by its hint. */
	if (slot.bucket == NULL) {
		bool there = index_find_ref(entry->store, entry->key->hash, entry->view.ref, &slot);

		ASSERT(there);
	}
	return slot;
}

static void
count_found_dead(struct store *st, const struct item *it)
{
	struct thread_counters *mine = thread_counters(st);

	bump_relaxed(item_flushed(st, it) ? &mine->found_flushed : &mine->found_expired, 1);
}

/* store_enter, but for the view. */
static void
entry_open(
    struct store *st, const struct store_key *key, struct store_entry *entry) NO_LOCK_ANALYSIS
{
	struct stripe *s = stripe_of(st, key->hash);
	struct slot slot = {0};
	struct item *it;

	entry->store = st;
	entry->key = key;
	stripe_lock(s);
	it = index_find_item(st, key, &slot);
	entry->found = it != NULL;
	entry->slot = slot.bucket;
	entry->slot_number = slot.n;
	entry->view.stripe = s;
	entry->view.ref = it == NULL ? 0 : ref_of(st, it);
	if (it != NULL && unlikely(item_dead(st, it))) {
		count_found_dead(st, it);
		item_bury(st, key, entry->view.ref, entry_slot(entry), LOSS_EXPIRED);
		entry->found = false;
	}
}

void
store_enter(struct store *st, const struct store_key *key, struct store_entry *entry)
{
	entry_open(st, key, entry);
	if (entry->found)
		item_view(st, entry->view.ref, &entry->view);
}

void
store_leave(struct store_entry *entry) NO_LOCK_ANALYSIS
{
	stripe_unlock(entry->view.stripe);
	drops_settle(entry->store);
	index_grow(entry->store);
}

void
store_entry_touch(struct store_entry *entry, uint32_t exptime)
{
	struct store *st = entry->store;
	struct item *it = item_at(st, entry->view.ref);
	struct slab_class *c = queue_class(st, it);

	ASSERT(entry->found);
	if (exptime > LIFE_EXPIRY)
		exptime = LIFE_EXPIRY;
	stripe_change(entry->view.stripe);
	item_life_change(it, LIFE_EXPIRY, exptime);
	item_note_expiry(st, entry->view.ref);
	entry->view.exptime = exptime;
	lock_take(&c->lock);
	c->n.touches++;
	lock_drop(&c->lock);
	tell_entry(entry, STORE_EVENT_TOUCH, entry->view.version);
}

/* The version that an item gets: the next, or VERSION where that is not 0. An item that has no room to remember its
 * birth must not look older than a flush that it survived, nor younger than the next. */
static uint64_t
version_choose(struct store *st, struct item *it, uint64_t version)
{
	bool born = item_ext_kind(it) & EXT_BIRTH, replicated = load_relaxed(&st->replicated);
	uint64_t foreign =
	    replicated ? load_relaxed(&st->sequence) + VERSION_NEAR : VERSION_FOREIGN;

	if (version > STORE_VERSION_MAX)
		version = STORE_VERSION_MAX;
	if (version == 0)
		return version_next(st);
	if (!born &&
	    (version <= load_relaxed(&st->flush_version) || version >= foreign ||
		(replicated && version <= item_version(it))))
		return version_next(st);
	if (version < foreign)
		version_raise(st, version);
	return version;
}

/* Gives a linked item a version, as version_choose has it, and a new place in the order of its key's versions. */
static void
version_change(struct store *st, struct item *it, uint64_t version)
{
	if (item_ext_kind(it) & EXT_BIRTH)
		item_note_birth(it, version_next(st));
	item_set_version(it, version_choose(st, it, version));
}

void
store_entry_mark(struct store_entry *entry, uint8_t set, uint8_t clear, uint64_t version)
{
	struct item *it = item_at(entry->store, entry->view.ref);
	uint32_t life_set = life_marks(set), life_clear = life_marks(clear);
	bool copy = item_is_copy(it);

	ASSERT(entry->found);
	stripe_change(entry->view.stripe);
	item_life_change(it, life_clear, life_set);
	if (version != 0)
		version_change(entry->store, it, version == STORE_VERSION_NEXT ? 0 : version);
	entry->view.marks = (uint8_t)((entry->view.marks & ~clear) | set);
	item_set_copy(it, entry->view.marks & STORE_COPY);
	if (item_is_copy(it) != copy)
		count_copy(entry->store, it, !copy);
	entry->view.version = item_version(it);
	if ((set | clear) & (uint8_t)~STORE_COPY)
		tell_entry(entry, STORE_EVENT_MARK, entry->view.version);
}

/* The deletion has a version too: VERSION, or the next where that is 0. */
static void
entry_delete(struct store_entry *entry, uint64_t version)
{
	struct store *st = entry->store;

	ASSERT(entry->found);
	stripe_change(entry->view.stripe);
	if (load_acquire(&st->nobservers) > 0)
		tell_entry(entry, STORE_EVENT_DELETE, version != 0 ? version : version_next(st));
	item_remove(st, entry->key->hash, entry_slot(entry), item_at(st, entry->view.ref));
	item_unlink(st, entry->view.ref, true);
	entry->found = false;
}

void
store_entry_delete(struct store_entry *entry)
{
	entry_delete(entry, 0);
}

bool
store_entry_overwrite(struct store_entry *entry, const char *value, size_t size, uint64_t version)
{
	struct store *st = entry->store;
	struct item *it = item_at(st, entry->view.ref);

	ASSERT(entry->found);
	if (size != it->vlen || vlen_pinnable(it->vlen))
		return false;
	if (version != 0 && !(item_ext_kind(it) & EXT_BIRTH))
		return false;
	stripe_change(entry->view.stripe);
	if (unlikely(item_is_copy(it)))
		count_copy(st, it, false);
	chunk_write(item_value(it), value, size);
	version_change(st, it, version);
	item_set_copy(it, false);
	entry->view.version = item_version(it);
	entry->view.marks &= (uint8_t)~STORE_COPY;
	tell_entry(entry, STORE_EVENT_SET, entry->view.version);
	return true;
}

/* Puts a new item into its queue. What replaces an item keeps that one's hits and queue. */
static void
item_enqueue(struct store *st, struct slab_class *c, uint32_t ref, const struct item *old,
    uint64_t hash) REQUIRES(c->lock)
{
	struct item *it = item_at(st, ref);
	bool main = st->eviction != STORE_EVICT_S3FIFO;

	if (old != NULL) {
		main |= !!(load_relaxed(&old->life) & LIFE_MAIN);
		store_relaxed(&it->heat, (uint8_t)(load_relaxed(&old->heat) & HEAT_COUNT));
	} else if (!main && ghost_take(st, c, hash)) {
		main = true;
		c->n.ghost_hits++;
	}
	queue_push(st, c, ref, main);
	c->bytes += item_asks(it);
}

static void
count_set(struct store *st, uint32_t slab_class, uint64_t bytes)
{
	struct thread_counters *mine = thread_counters(st);

	bump_relaxed(&mine->sets[slab_class], 1);
	bump_relaxed(&mine->set_bytes, bytes);
}

/* Links REF in place of OLD (0 = nothing): queues, counts, and frees OLD. */
static void
item_replace(struct store *st, uint32_t ref, uint32_t old, uint64_t hash)
{
	struct item *it = item_at(st, ref), *gone = old != 0 ? item_at(st, old) : NULL;
	struct slab_class *c = queue_class(st, it);
	bool rest = old != 0;

	if (unlikely(rest && item_is_copy(gone)))
		count_copy(st, gone, false);
	count_set(st, c->id, item_asks(it));
	lock_take(&c->lock);
	item_enqueue(st, c, ref, gone, hash);
	if (rest && queue_class(st, gone) == c && !vlen_pinnable(gone->vlen)) {
		if (item_unqueue(st, c, old))
			class_give_locked(st, c, old);
		rest = false;
	}
	lock_drop(&c->lock);
	if (rest)
		item_unlink(st, old, false);
}

/* store_entry_put of an item that is born as number BORN. */
static bool
entry_put(struct store_entry *entry, struct store_pending *pending, uint64_t born, uint64_t version,
    uint8_t marks)
{
	struct store *st = entry->store;
	uint32_t ref = pending->ref, old = entry->found ? entry->view.ref : 0;
	struct item *it = item_at(st, ref);

	ASSERT(ref != 0 && pending->written == pending->size);
	ASSERT(version == 0 || (item_ext_kind(it) & EXT_BIRTH));
	stripe_change(entry->view.stripe);
	if (old != 0) {
		struct slot slot = entry_slot(entry);

		store_relaxed(&slot.bucket->refs[slot.n], ref);
	} else if (!index_insert(st, entry->key->hash, ref)) {
		pieces_unhold(st, pending);
		item_drop_later(st, ref);
		pending->ref = 0;
		return false;
	} else {
		entry->slot = NULL;
	}
	item_note_birth(it, born);
	item_set_version(it, version == 0 ? born : version_choose(st, it, version));
	if (marks != 0) {
		item_life_change(it, 0, life_marks(marks));
		item_set_copy(it, marks & STORE_COPY);
	}
	if (unlikely(item_is_copy(it)))
		count_copy(st, it, true);
	item_replace(st, ref, old, entry->key->hash);
	item_note_expiry(st, ref);
	pieces_unhold(st, pending);
	pending->ref = 0;
	entry->found = true;
	item_view(st, ref, &entry->view);
	tell_entry(entry, STORE_EVENT_SET, entry->view.version);
	return true;
}

bool
store_entry_put(
    struct store_entry *entry, struct store_pending *pending, uint64_t version, uint8_t marks)
{
	struct store *st = entry->store;
	uint64_t born = version_next(st);

	return entry_put(entry, pending, born, version, marks);
}

/* ---------------------------------------------------------------- verbs */

/* Whether what the caller has got from elsewhere is news. */
static enum store_result
newer_condition(const struct store_entry *entry, const struct store_newer *newer)
{
	struct store *st = entry->store;

	ASSERT(newer->order > 0 && newer->order <= STORE_ORDER_MAX);
	if (newer->order <= load_relaxed(&st->flush_version))
		return STORE_EXISTS;
	if (entry->found) {
		uint64_t present = item_birth(item_at(st, entry->view.ref));

		if (present > newer->order || (present == newer->order && !newer->or_equal))
			return STORE_EXISTS;
	}
	if (newer->guard != NULL && !newer->guard(newer->guard_context, entry))
		return STORE_EXISTS;
	version_raise(st, newer->order);
	return STORE_OK;
}

static enum store_result
put_condition(const struct store_entry *entry, const struct store_put *put)
{
	if (put->compare) {
		if (!entry->found)
			return STORE_NOT_FOUND;
		if (entry->view.version != put->compare_to)
			return STORE_EXISTS;
	}
	if (put->mode == STORE_ADD && entry->found)
		return STORE_NOT_STORED;
	if (put->mode != STORE_SET && put->mode != STORE_ADD && !entry->found)
		return STORE_NOT_STORED;
	return STORE_OK;
}

/* Whether the item, under its stripe's lock, can take a value of HEAD's size and flags where it is. */
static ALWAYS_INLINE bool
fits_in_place(const struct item *it, const struct store_head *head, bool copy)
{
	uint32_t vlen = load_relaxed(&it->vlen);
	unsigned kind = ext_kind_of(head);

	if (copy && kind != 0)
		kind |= EXT_COPY;
	return vlen == head->size && !vlen_pinnable(vlen) && !head->versioned &&
	    item_ext_kind(it) == kind;
}

/* A new value in place of the old of IT, which fits and whose stripe is locked: as good as a new item, but that it
 * stays where it is in its queue, with a hit more. */
static ALWAYS_INLINE void
overwrite(struct store *st, struct stripe *s, struct item *it, const struct store_head *head,
    const char *value, uint64_t version, uint8_t marks)
{
	uint32_t expiry = expiry_of(head);
	unsigned hits = load_relaxed(&it->heat) & HEAT_COUNT;
	char *to = item_value(it);

	stripe_change(s);
	chunk_write(to, value, head->size);
	if (head->flags != 0)
		chunk_write(it->data + it->nkey + 1, &head->flags, sizeof(head->flags));
	item_life_change(it, LIFE_EXPIRY | LIFE_STALE | LIFE_WON, expiry | life_marks(marks));
	store_relaxed(&it->heat, (uint8_t)(hits < HITS_MAX ? hits + 1 : hits));
	store_relaxed(&it->atime, (uint16_t)load_relaxed(&st->now));
	if (unlikely(item_is_copy(it)))
		count_copy(st, it, false);
	item_set_version(it, version);
	if (expiry != 0)
		item_note_expiry(st, ref_of(st, it));
	count_set(st, item_class(st, it), (uint64_t)(to - (char *)it) + head->size);
}

/* Tries to do it in place, without a chunk: true when *RESULT is final. */
static bool
put_in_place(struct store *st, const struct store_key *key, const struct store_head *head,
    const char *value, const struct store_put *put, uint64_t *version, enum store_result *result)
{
	struct store_entry entry;
	bool done = true;

	entry_open(st, key, &entry);
	if (put->compare && entry.found)
		entry.view.version = item_version(item_at(st, entry.view.ref));
	*result = put_condition(&entry, put);
	if (*result == STORE_OK && entry.found &&
	    fits_in_place(item_at(st, entry.view.ref), head, false)) {
		*version = version_next(st);
		overwrite(st, entry.view.stripe, item_at(st, entry.view.ref), head, value, *version,
		    put->marks);
		if (unlikely(load_acquire(&st->nobservers) > 0))
			observers_tell_set(st, key, entry.view.ref);
	} else {
		done = *result != STORE_OK;
	}
	store_leave(&entry);
	return done;
}

/* The same without a condition; false where there is no item that fits. */
static bool
set_in_place(
    struct store *st, const struct store_key *key, const struct store_head *head, const char *value)
{
	struct stripe *s = stripe_of(st, key->hash);
	struct item *it;
	struct slot slot;
	bool fits;

	stripe_lock(s);
	it = index_find_item(st, key, &slot);
	fits = it != NULL && fits_in_place(it, head, false) && !item_dead(st, it);
	if (likely(fits)) {
		overwrite(st, s, it, head, value, version_next(st), 0);
		if (unlikely(load_acquire(&st->nobservers) > 0))
			observers_tell_set(st, key, ref_of(st, it));
	}
	stripe_unlock(s);
	return fits;
}

/* A guess, without the lock: is there an item that the value would fit into? */
static bool
looks_alike(const struct store *st, const struct store_key *key, const struct store_head *head)
{
	const struct item *it = key->hint;
	struct slot slot;

	if (it == &hint_none)
		it = index_find_item(st, key, &slot);
	return it != NULL && load_relaxed(&it->vlen) == head->size;
}

/* Takes memory for an offer and copies the value there. */
static enum store_result
offer_take_up(struct store *st, const struct store_key *key, struct store_pending *pending)
{
	struct store_head head = pending->head;
	const char *value = pending->offer;
	enum store_result result = store_alloc(st, pending, key, &head);

	if (result == STORE_OK)
		result = store_pending_write(st, pending, value, head.size);
	return result;
}

static enum store_result
put_now(struct store *st, const struct store_key *key, struct store_pending *pending,
    const struct store_put *put, uint64_t *version)
{
	struct store_entry entry;
	enum store_result result;

	store_enter(st, key, &entry);
	result = put_condition(&entry, put);
	if (result == STORE_OK) {
		if (!store_entry_put(&entry, pending, put->version, put->marks))
			result = STORE_NO_MEMORY;
		*version = entry.view.version;
	}
	store_leave(&entry);
	return result;
}

/* put_in_place of what another node has decided. */
static bool
newer_in_place(struct store *st, const struct store_key *key, const struct store_pending *pending,
    const struct store_put *put, enum store_result *result)
{
	bool copy = put->marks & STORE_COPY;
	struct store_entry entry;
	bool done = true;

	store_enter(st, key, &entry);
	*result = newer_condition(&entry, put->newer);
	if (*result == STORE_OK && entry.found &&
	    fits_in_place(item_at(st, entry.view.ref), &pending->head, copy)) {
		overwrite(st, entry.view.stripe, item_at(st, entry.view.ref), &pending->head,
		    pending->offer, put->newer->order, put->marks);
		item_set_copy(item_at(st, entry.view.ref), copy);
		if (copy)
			count_copy(st, item_at(st, entry.view.ref), true);
		item_view(st, entry.view.ref, &entry.view);
		tell_entry(&entry, STORE_EVENT_SET, entry.view.version);
	} else {
		done = *result != STORE_OK;
	}
	store_leave(&entry);
	return done;
}

/* store_put of what another node has decided. */
static enum store_result
put_newer(struct store *st, const struct store_key *key, struct store_pending *pending,
    const struct store_put *put, uint64_t *version)
{
	struct store_entry entry;
	enum store_result result = STORE_OK;

	*version = put->newer->order;
	if (pending->offer != NULL) {
		if (looks_alike(st, key, &pending->head) &&
		    newer_in_place(st, key, pending, put, &result))
			return result;
		result = offer_take_up(st, key, pending);
	}
	if (result != STORE_OK)
		return result;
	store_enter(st, key, &entry);
	result = newer_condition(&entry, put->newer);
	if (result == STORE_OK &&
	    !entry_put(&entry, pending, put->newer->order, put->version, put->marks))
		result = STORE_NO_MEMORY;
	*version = entry.view.version;
	store_leave(&entry);
	store_abort(st, pending);
	return result;
}

/* Append and prepend; where they may create the item and it comes and goes meanwhile, again. */
static enum store_result
join_now(struct store *st, const struct store_key *key, struct store_pending *pending,
    const struct store_put *put, uint64_t *version)
{
	struct store_put add = {.mode = STORE_ADD, .version = put->version, .marks = put->marks};
	enum store_result result;

	do {
		result = concat_put(st, key, pending, put, version);
		if (!put->create || (result != STORE_NOT_STORED && result != STORE_NOT_FOUND))
			return result;
		result = put_now(st, key, pending, &add, version);
	} while (result == STORE_NOT_STORED);
	return result;
}

enum store_result
store_put(struct store *st, const struct store_key *key, struct store_pending *pending,
    const struct store_put *put, uint64_t *version)
{
	bool joins = put->mode == STORE_APPEND || put->mode == STORE_PREPEND;
	enum store_result result = STORE_OK;

	if (unlikely(put->newer != NULL))
		return put_newer(st, key, pending, put, version);
	if (likely(pending->offer != NULL)) {
		bool alike =
		    put->compare || put->mode != STORE_SET || looks_alike(st, key, &pending->head);

		if (likely(!joins && alike) &&
		    put_in_place(st, key, &pending->head, pending->offer, put, version, &result))
			return result;
		result = offer_take_up(st, key, pending);
	}
	if (result == STORE_OK)
		result = joins ? join_now(st, key, pending, put, version)
			       : put_now(st, key, pending, put, version);
	store_abort(st, pending);
	return result;
}

enum store_result
store_set(
    struct store *st, const struct store_key *key, const struct store_head *head, const char *value)
{
	static const struct store_put always = {.mode = STORE_SET};
	struct store_pending pending;
	enum store_result result = store_offer(st, &pending, key, head, value);
	uint64_t version;

	if (unlikely(result != STORE_OK))
		return result;
	if (looks_alike(st, key, head) && set_in_place(st, key, head, value))
		return STORE_OK;
	return store_put(st, key, &pending, &always, &version);
}

enum store_result
store_delete(struct store *st, const struct store_key *key)
{
	struct store_entry entry;
	enum store_result result = STORE_NOT_FOUND;

	store_enter(st, key, &entry);
	if (entry.found) {
		store_entry_delete(&entry);
		result = STORE_OK;
	}
	store_leave(&entry);
	return result;
}

enum store_result
store_lose_older(
    struct store *st, const struct store_key *key, uint64_t order, enum store_event event)
{
	struct store_entry entry;
	enum store_result result = STORE_NOT_FOUND;

	ASSERT(order <= STORE_ORDER_MAX);
	ASSERT(event == STORE_EVENT_DELETE || event == STORE_EVENT_EVICT);
	store_enter(st, key, &entry);
	if (entry.found && store_view_order(&entry.view) > order) {
		result = STORE_EXISTS;
	} else if (entry.found) {
		if (event == STORE_EVENT_DELETE)
			entry_delete(&entry, order);
		else
			item_bury(st, key, entry.view.ref, entry_slot(&entry), LOSS_EVICTED);
		result = STORE_OK;
	}
	store_leave(&entry);
	return result;
}
