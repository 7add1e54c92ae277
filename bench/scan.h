/* bench/scan.h: bytes of replies to events, in the three protocols.
 *
 * The scanner keeps no bytes: it is given a window, takes whole events off its front and says when it needs more.
 * What it leaves then (below SCAN_LEFT_MAX bytes) must come again in front of what arrives next. Values are
 * handed out in pieces as they come, so that no value needs to fit anywhere.
 */
#ifndef BENCH_SCAN_H
#define BENCH_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "bench/wire.h"

#define SCAN_LEFT_MAX 2048u

enum scan_event {
	SCAN_MORE,  /* the window ends within an event */
	SCAN_VALUE, /* a piece of a value; the first may be empty */
	SCAN_DONE,  /* a request is answered, as OUTCOME says */
	SCAN_BAD,   /* this is no reply that we know; the connection is of no more use */
};

enum scan_outcome {
	REPLY_END,   /* of a get: all its values have come, or none (a miss) */
	REPLY_OK,    /* stored, deleted */
	REPLY_NO,    /* not stored, not found, exists */
	REPLY_ERROR, /* an error; TEXT holds it where the protocol has one */
};

struct scan_item {
	struct slice key;   /* of a value's first piece where the reply carries it, else empty */
	struct slice piece; /* of the value */
	struct slice text;  /* of an error */
	uint64_t size;      /* the whole value's */
	uint64_t offset;    /* the piece's */
	uint32_t
	    flags; /* the value's client flags, with its first piece where the reply carries them */
	bool first; /* a value's first piece */
	enum scan_outcome outcome;
};

struct scanner {
	enum wire wire;
	bool multi;    /* gets are multi-gets: a value does not end its request */
	bool finish;   /* the value before ended its request */
	uint8_t tail;  /* bytes behind the value that is being read: its line end */
	uint64_t size; /* of that value */
	uint64_t left; /* of its bytes */
};

void scan_init(struct scanner *s, enum wire wire, bool multi);

/* Takes the next event off the front of WINDOW. Slices of ITEM point into the window. */
enum scan_event scan_next(struct scanner *s, struct slice *window, struct scan_item *item);

#endif
