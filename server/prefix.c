/* server/prefix.c: see prefix.h. An open hash table over an array in order of first appearance; nothing is ever
 * removed but everything at once. */
#include "server/prefix.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/lock.h"
#include "proto/command.h"

/* Twice as many slots as prefixes, so that a search ends soon. */
#define SLOTS (2u * PREFIXES_MAX)

struct prefix {
	struct prefix_counts counts;
	uint64_t hash;
	uint32_t len;
	char *name;
};

struct prefixes {
	struct lock lock; /* guards all but the delimiter */
	uint32_t count;
	uint32_t slots[SLOTS]; /* place in ALL plus 1; 0 = empty */
	struct prefix all[PREFIXES_MAX];
	char delimiter;
};

struct prefixes *
prefixes_new(char delimiter)
{
	struct prefixes *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	lock_init(&p->lock, LOCK_PREFIXES);
	p->delimiter = delimiter;
	return p;
}

/* Needs the lock, as the functions up to find. */
static void
forget(struct prefixes *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		free(p->all[i].name);
	memset(p->slots, 0, sizeof(p->slots));
	p->count = 0;
}

void
prefixes_free(struct prefixes **prefixes)
{
	struct prefixes *p = *prefixes;

	*prefixes = NULL;
	if (p == NULL)
		return;
	lock_take(&p->lock);
	forget(p);
	lock_drop(&p->lock);
	lock_fini(&p->lock);
	free(p);
}

static struct prefix *
add(struct prefixes *p, uint32_t slot, struct slice name, uint64_t hash)
{
	struct prefix *prefix = &p->all[p->count];
	char *copy;

	if (p->count == PREFIXES_MAX || (copy = malloc(name.len + 1)) == NULL)
		return NULL;
	memcpy(copy, name.ptr, name.len);
	*prefix = (struct prefix){.hash = hash, .len = (uint32_t)name.len, .name = copy};
	p->slots[slot] = ++p->count;
	return prefix;
}

/* The prefix of KEY, new where it was not known; NULL where it is not counted. */
static struct prefix *
find(struct prefixes *p, struct slice key)
{
	const char *end = memchr(key.ptr, p->delimiter, key.len);
	struct slice name = {key.ptr, end != NULL ? (size_t)(end - key.ptr) : 0};
	uint32_t slot;
	uint64_t hash;

	if (end == NULL)
		return NULL;
	hash = XXH3_64bits(name.ptr, name.len);
	for (slot = (uint32_t)hash % SLOTS; p->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
		struct prefix *prefix = &p->all[p->slots[slot] - 1];

		if (prefix->hash == hash && slice_equal(slice_of(prefix->name, prefix->len), name))
			return prefix;
	}
	return add(p, slot, name, hash);
}

void
prefixes_count_get(struct prefixes *p, struct slice key, bool hit)
{
	struct prefix *prefix;

	lock_take(&p->lock);
	if ((prefix = find(p, key)) != NULL) {
		prefix->counts.get++;
		prefix->counts.hit += hit;
	}
	lock_drop(&p->lock);
}

void
prefixes_count_set(struct prefixes *p, struct slice key)
{
	struct prefix *prefix;

	lock_take(&p->lock);
	if ((prefix = find(p, key)) != NULL)
		prefix->counts.set++;
	lock_drop(&p->lock);
}

void
prefixes_count_delete(struct prefixes *p, struct slice key)
{
	struct prefix *prefix;

	lock_take(&p->lock);
	if ((prefix = find(p, key)) != NULL)
		prefix->counts.del++;
	lock_drop(&p->lock);
}

void
prefixes_reset(struct prefixes *p)
{
	lock_take(&p->lock);
	forget(p);
	lock_drop(&p->lock);
}

bool
prefixes_get(
    struct prefixes *p, size_t index, char *name, size_t *length, struct prefix_counts *counts)
{
	bool known;

	lock_take(&p->lock);
	known = index < p->count;
	if (known) {
		*length = p->all[index].len;
		memcpy(name, p->all[index].name, *length);
		*counts = p->all[index].counts;
	}
	lock_drop(&p->lock);
	return known;
}
