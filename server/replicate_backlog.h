/* server/replicate_backlog.h: what has happened to which keys, in a ring of bytes: the log of one worker, from which the streams to
 * all its replicas are made.
 *
 * An entry names a key and what happened, not the value: that is read from the store when the entry is sent, so that a
 * backlog of a few MiB reaches far back, and a key that was written many times in a row costs no copies. A position is the
 * number of bytes ever appended; entries from tail to head are there, older ones are overwritten.
 *
 *	 0        4    5    6    7    8        16       24       28       32       40
 *	 +--------+----+----+----+----+--------+--------+--------+--------+--------+-----+
 *	 | size   |what| nk | pt | 0  | order  | time   | point  | writer | number | key |   SIZE is of the whole entry, a multiple of 8
 *	 +--------+----+----+----+----+--------+--------+--------+--------+--------+-----+
 *
 * An entry never wraps: where it does not fit before the end of the ring, one without a key (BACKLOG_SKIP) fills that up.
 */
#ifndef SERVER_REPLICATE_BACKLOG_H
#define SERVER_REPLICATE_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum backlog_what {
	BACKLOG_SKIP,
	BACKLOG_SET,
	BACKLOG_DELETE,
	BACKLOG_TOUCH,
	BACKLOG_EVICT,
	BACKLOG_LOST
};

struct backlog_entry {
	uint32_t size;
	uint8_t what;
	uint8_t nkey;
	bool pointed; /* POINT is known */
	uint8_t zero;
	uint64_t
	    order; /* BACKLOG_DELETE: of the deletion; BACKLOG_EVICT, BACKLOG_LOST: of what was evicted */
	uint64_t time;   /* microseconds; 0 = not known yet */
	uint32_t point;  /* of the key on the ring */
	uint32_t writer; /* who has changed it: a number of the caller's */
	uint64_t number; /* of the entry, from 1 */
	char key[];
};

struct backlog {
	char *ring;
	uint64_t mask;   /* the ring's size - 1 */
	uint64_t number; /* of the last entry */
	uint64_t head;   /* where the next entry goes */
	uint64_t tail;   /* the oldest that is there */
};

#define BACKLOG_SIZE_MIN ((size_t)4096)

/* A ring of at most BYTES (but BACKLOG_SIZE_MIN at least), a power of two, whose memory is taken as it is used. False where
 * there is none. */
bool backlog_init(struct backlog *b, size_t bytes);
void backlog_fini(struct backlog *b);

/* Appends an entry, which it returns; overwrites the oldest ones where there is no room. */
struct backlog_entry *backlog_append(
    struct backlog *b, enum backlog_what what, struct slice key, uint64_t order, uint32_t writer);

/* The entry at *POSITION (from tail to head), which moves to the next one; NULL at the head. Valid until the next
 * append. */
struct backlog_entry *backlog_next(const struct backlog *b, uint64_t *position);

#endif
