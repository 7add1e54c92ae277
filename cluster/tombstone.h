/* cluster/tombstone.h: what deleted keys leave behind: the number of their deletion, so that an older copy that comes late
 * is known for what it is.
 *
 * A table of fixed size: buckets of a few entries, chosen by the key's hash. Where a bucket is full, its lowest number is
 * forgotten: *forgotten* is the highest number that ever was. So of a key that has no entry it is known that it was not
 * deleted after that; whoever offers an item with a lower number, from before a separation, may offer a deleted one. Entries
 * need no time: they stay until newer ones push them out.
 *
 * Two keys with one 64-bit hash share an entry: the hash must depend on a secret of the process.
 */
#ifndef CLUSTER_TOMBSTONE_H
#define CLUSTER_TOMBSTONE_H

#include <stddef.h>
#include <stdint.h>

struct tombstones;

/* Room for about ENTRIES (16 bytes each). NULL where memory is out. */
struct tombstones *tombstones_new(size_t entries);
void tombstones_free(struct tombstones **t);

/* Any thread, with a stripe's lock or without; a look and a change that belong together are made under that of the
 * key. tombstone_put keeps the highest number of a key; tombstone_find says 0 where there is none. */
void tombstone_put(struct tombstones *t, uint64_t hash, uint64_t number);
uint64_t tombstone_find(const struct tombstones *t, uint64_t hash);

/* The highest number that was forgotten; 0 = none. */
uint64_t tombstones_forgotten(const struct tombstones *t);

/* How many there are. */
size_t tombstones_count(const struct tombstones *t);

#endif
