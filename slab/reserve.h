/* slab/reserve.h: a range of addresses that is fixed at once and gets memory from its start as it grows.
 *
 * What lies in it never moves and is never unmapped while the range lives, so readers without a lock can hold
 * stale addresses into it.
 */
#ifndef SLAB_RESERVE_H
#define SLAB_RESERVE_H

#include <stdbool.h>
#include <stddef.h>

struct reserve {
	char *base;       /* aligned to 2 MiB */
	size_t size;      /* bytes of addresses */
	size_t committed; /* atomic: bytes from BASE that may be used */
	size_t touched;   /* atomic: bytes from BASE of which no first touch waits for the system */
	void *mapping;
	size_t mapping_size;
	bool shared;  /* it is a file's */
	bool thrifty; /* no memory for what is not used yet */
};

/* SIZE as reserve_init rounds it. */
size_t reserve_round(size_t size);

/* Reserves SIZE bytes of addresses; 0 or a negative errno. With a FD (else -1) the range is that file's, which must be
 * as large as the rounded size. A THRIFTY range gets transparent huge pages only where all of one is in use, any other
 * with the first touch. */
int reserve_init(struct reserve *r, size_t size, int fd, bool thrifty);
void reserve_fini(struct reserve *r);

/* Makes the first BYTES usable (zeroed where new); false where the kernel refuses. */
bool reserve_grow(struct reserve *r, size_t bytes);

/* Faults in what comes behind the first USED bytes, AHEAD bytes of it where less than half of that is there, so that nobody else
 * waits while the system finds and clears a huge page, which takes up to milliseconds. One thread at a time. */
void reserve_ahead(struct reserve *r, size_t used, size_t ahead);

/* Whether less than half of AHEAD bytes behind the first USED are there. */
bool reserve_behind(const struct reserve *r, size_t used, size_t ahead);

/* The first BYTES were used before they were faulted in ahead, if they were not. By the thread of reserve_ahead. */
void reserve_reached(struct reserve *r, size_t bytes);

/* Asks for explicit huge pages for all memory from now on; false where there are none, and for a file: it is as before then. */
bool reserve_huge(struct reserve *r);

/* Faults N bytes at OFFSET in; they must be committed. */
void reserve_touch(const struct reserve *r, size_t offset, size_t n);

/* Gives the memory of N bytes at OFFSET back to the system; they read as zeroes until written again. */
void reserve_release(const struct reserve *r, size_t offset, size_t n);

#endif
