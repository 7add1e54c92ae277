/* slab/observe.c: who is told of mutations and of heat. A slot is of one observer for good, so that nobody has to wait for
 * those who are just telling.
 */
#include "slab/hot.h"
#include "slab/impl.h"

void
observers_tell(const struct store *st, enum store_event event, const struct store_key *key,
    const struct store_view *view, uint64_t version, uint32_t slab_class)
{
	struct store_mutation m = {.event = event,
	    .key = key,
	    .view = view,
	    .version = version,
	    .slab_class = (int)slab_class};

	for (unsigned i = 0; i < load_acquire(&st->nobservers); i++)
		if (load_acquire(&st->observers[i].on))
			st->observers[i].call(st->observers[i].context, &m);
}

/* A slot is of one observer for good: who tells them finds the old one there or none. The releases pair with the acquires
 * of observers_tell. */
static struct observer *
observer_slot(struct store *st, store_observer *observer, void *context)
{
	unsigned i = 0;

	while (i < STORE_OBSERVERS_MAX && st->observers[i].call != NULL &&
	    (st->observers[i].call != observer || st->observers[i].context != context))
		i++;
	ASSERT(i < STORE_OBSERVERS_MAX);
	return &st->observers[i];
}

static void
observers_count(struct store *st)
{
	unsigned n = STORE_OBSERVERS_MAX;

	while (n > 0 && !load_relaxed(&st->observers[n - 1].on))
		n--;
	store_release(&st->nobservers, n);
}

void
store_observe(struct store *st, store_observer *observer, void *context)
{
	struct observer *slot = observer_slot(st, observer, context);

	/* One that comes again may still be read by who is telling it. */
	if (slot->call == NULL) {
		slot->call = observer;
		slot->context = context;
	}
	store_release(&slot->on, true);
	observers_count(st);
}

void
store_unobserve(struct store *st, store_observer *observer, void *context)
{
	store_release(&observer_slot(st, observer, context)->on, false);
	observers_count(st);
}

void
observers_tell_set(const struct store *st, const struct store_key *key, uint32_t ref)
{
	struct store_view view;

	item_view(st, ref, &view);
	observers_tell(st, STORE_EVENT_SET, key, &view, view.version, ref_class(st, ref));
}

/* ---------------------------------------------------------------- heat */

void
store_replicated(struct store *st, bool replicated)
{
	store_relaxed(&st->replicated, replicated);
}

/* What lay there may be gone by now, and the place be somewhere in another item: the index tells. */
static void
heat_tell(struct store *st, uint32_t ref, store_heat_visitor *visit, void *context)
{
	const struct item *it = item_at(st, ref);
	char name[UINT8_MAX];
	size_t len = load_relaxed(&it->nkey);
	struct store_key key;
	struct slot slot;

	chunk_read(name, it->data, len);
	if (len == 0 || len > STORE_KEY_MAX)
		return;
	key = store_key(st, name, len);
	if (index_find(st, &key, &slot) == ref && !item_is_copy(it))
		visit(context, &key);
}

unsigned
store_heat_take(struct store *st, store_heat_visitor *visit, void *context)
{
	struct thread_counters *mine = thread_counters(st);
	unsigned lost = mine->heats > HEATED_MAX ? mine->heats - HEATED_MAX : 0;

	for (unsigned i = lost; i < mine->heats; i++)
		heat_tell(st, mine->heated[i % HEATED_MAX], visit, context);
	mine->heats = 0;
	return lost;
}

bool
store_heat(struct store *st, const struct store_key *key)
{
	uint16_t now = (uint16_t)load_relaxed(&st->now);
	struct slot slot;
	uint32_t ref = index_find(st, key, &slot);
	struct item *it = item_at(st, ref);
	unsigned heat;

	if (ref == 0 || !item_is_copy(it))
		return false;
	heat = load_relaxed(&it->heat);
	if (st->lfu)
		item_count_lfu(st, it);
	else if (heat < (HEAT_FETCHED | HITS_MAX))
		store_relaxed(&it->heat, (uint8_t)((heat + 1) | HEAT_FETCHED));
	if (load_relaxed(&it->atime) != now)
		store_relaxed(&it->atime, now);
	return true;
}
