/* server/replicate_record.h: what replication says about one key, as it stands in a frame.
 *
 *	 0        4    5    6    7    8        16       24       32       40      44      48      52   56
 *	 +--------+----+----+----+----+--------+--------+--------+--------+-------+-------+-------+----+-----+-------+
 *	 | length |kind| nk |mark| 0  | order  | stamp  |version | expiry | flags | size  |offset | 0  | key | value |
 *	 +--------+----+----+----+----+--------+--------+--------+--------+-------+-------+-------+----+-----+-------+
 *
 * Little endian. LENGTH is of the whole record. A value that is longer than a frame comes in pieces: records one after the
 * other that differ in OFFSET and VALUE alone, of which SIZE is the sum.
 */
#ifndef SERVER_REPLICATE_RECORD_H
#define SERVER_REPLICATE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define RECORD_HEAD 56u

enum record_kind { RECORD_SET = 1, RECORD_DELETE, RECORD_TOUCH, RECORD_EVICT };

struct record {
	enum record_kind kind;
	uint8_t marks; /* STORE_STALE, STORE_WON, STORE_TAGGED */
	struct slice key;
	uint64_t order;   /* of the item; RECORD_DELETE: what is not above it is gone */
	uint64_t stamp;   /* of two states of one order the later one has the higher stamp */
	uint64_t version; /* what clients see, where they chose it; 0 = the order */
	int64_t expiry;   /* the sender's calendar second; 0 = never */
	uint32_t flags;
	uint32_t size;   /* bytes of the whole value */
	uint32_t offset; /* where in it VALUE begins */
	struct slice value;
};

/* Writes all but the bytes of the value, of which only the length is looked at; returns where these go. There is room for
 * RECORD_HEAD bytes and the key. */
char *record_write(char *to, const struct record *record);

/* Takes the first record off FROM. False where it is none. */
bool record_read(struct slice *from, struct record *record);

#endif
