/* server/replicate_places.c: who holds what, by the present topology. */
#include "server/replicate_impl.h"

uint32_t
replicate_point(struct replicate_worker *w, struct slice key)
{
	return ring_hash_key(w->hash, key);
}

uint32_t
replicate_point_of(struct replicate_worker *w, const struct store_key *key)
{
	struct known_point *known = &w->points[key->hash % POINTS];

	if (known->hash != (key->hash | KNOWN))
		*known = (struct known_point){
		    key->hash | KNOWN, replicate_point(w, slice_of(key->data, key->len))};
	return known->point;
}

uint32_t
replicate_entry_point(struct replicate_worker *w, struct backlog_entry *e)
{
	if (!e->pointed) {
		struct store_key key = store_key(w->all->store, e->key, e->nkey);

		e->point = replicate_point_of(w, &key);
		e->pointed = true;
	}
	return e->point;
}

unsigned
replicate_holders(const struct replicate_worker *w, uint32_t point, uint16_t *holders)
{
	unsigned want = 1 + w->places.copies;

	return w->places.holders(
	    w->places.topology, point, holders, want < HOLDERS_MAX ? want : HOLDERS_MAX);
}

bool
replicate_is_primary(struct replicate_worker *w, struct slice key, unsigned node)
{
	uint16_t holders[HOLDERS_MAX];

	return replicate_holders(w, replicate_point(w, key), holders) > 0 && holders[0] == node;
}

bool
replicate_both_hold(struct replicate_worker *w, struct slice key, unsigned node)
{
	uint16_t holders[HOLDERS_MAX];
	unsigned n, here_too = 0;

	if (replicate_all_hold(w))
		return true;
	n = replicate_holders(w, replicate_point(w, key), holders);
	for (unsigned i = 0; i < n; i++)
		here_too += holders[i] == node || holders[i] == w->places.self;
	return here_too == 2;
}
