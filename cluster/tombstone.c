/* cluster/tombstone.c: buckets of one cache line of hashes and one of numbers, and a lock for every few buckets. */
#include "cluster/tombstone.h"

#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "base/lock.h"

#define SLOTS 8u
#define LOCKS 64u

struct tombstone_bucket {
	uint64_t hash[SLOTS];
	uint64_t number[SLOTS]; /* 0 = free */
};

struct tombstones {
	struct tombstone_bucket *buckets;
	size_t mask;
	uint64_t forgotten; /* atomic */
	size_t count;       /* atomic */
	struct lock locks[LOCKS];
};

struct tombstones *
tombstones_new(size_t entries)
{
	struct tombstones *t = calloc(1, sizeof(*t));
	size_t buckets = LOCKS;

	if (t == NULL)
		return NULL;
	while (buckets * SLOTS < entries)
		buckets *= 2;
	t->mask = buckets - 1;
	t->buckets = calloc(buckets, sizeof(*t->buckets));
	if (t->buckets == NULL) {
		free(t);
		return NULL;
	}
	for (unsigned i = 0; i < LOCKS; i++)
		lock_init(&t->locks[i], LOCK_TOMBSTONE);
	return t;
}

void
tombstones_free(struct tombstones **tp)
{
	struct tombstones *t = *tp;

	if (t == NULL)
		return;
	for (unsigned i = 0; i < LOCKS; i++)
		lock_fini(&t->locks[i]);
	free(t->buckets);
	free(t);
	*tp = NULL;
}

/* The hash's low bits choose stripes and buckets of the store, its top ones are tags: the middle is still free. */
static size_t
bucket_index(const struct tombstones *t, uint64_t hash)
{
	return (hash >> 24) & t->mask;
}

static void
forget(struct tombstones *t, uint64_t number)
{
	uint64_t old = load_relaxed(&t->forgotten);

	while (old < number &&
	    !__atomic_compare_exchange_n(
		&t->forgotten, &old, number, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void
tombstone_put(struct tombstones *t, uint64_t hash, uint64_t number)
{
	size_t index = bucket_index(t, hash);
	struct tombstone_bucket *b = &t->buckets[index];
	struct lock *lock = &t->locks[index % LOCKS];
	unsigned slot = 0;

	lock_take(lock);
	for (unsigned i = 0; i < SLOTS; i++) {
		if (b->number[i] != 0 && b->hash[i] == hash) {
			slot = i;
			break;
		}
		if (b->number[i] < b->number[slot])
			slot = i;
	}
	if (b->number[slot] == 0)
		(void)add_relaxed(&t->count, 1);
	else if (b->hash[slot] != hash)
		forget(t, b->number[slot] < number ? b->number[slot] : number);
	if (b->number[slot] < number) {
		b->hash[slot] = hash;
		b->number[slot] = number;
	}
	lock_drop(lock);
}

uint64_t
tombstone_find(const struct tombstones *t, uint64_t hash)
{
	size_t index = bucket_index(t, hash);
	const struct tombstone_bucket *b = &t->buckets[index];
	struct lock *lock = (struct lock *)&t->locks[index % LOCKS];
	uint64_t number = 0;

	lock_take(lock);
	for (unsigned i = 0; i < SLOTS; i++)
		if (b->number[i] != 0 && b->hash[i] == hash)
			number = b->number[i];
	lock_drop(lock);
	return number;
}

uint64_t
tombstones_forgotten(const struct tombstones *t)
{
	return load_relaxed(&t->forgotten);
}

size_t
tombstones_count(const struct tombstones *t)
{
	return load_relaxed(&t->count);
}
