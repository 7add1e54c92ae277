/* cluster/frame.h: the bytes between two nodes, once they have proved who they are (cluster/handshake.h).
 *
 * All numbers are little endian.
 *
 *	 0      4    5    6    8       16      24      32
 *	 +------+----+----+----+-------+-------+-------+----- - - -----+
 *	 |length|type|flag|room|  id   | epoch | check |     body      |
 *	 +------+----+----+----+-------+-------+-------+----- - - -----+
 *
 *	length  bytes of the whole frame, FRAME_HEAD to FRAME_MAX
 *	type    enum frame_type
 *	flags   those of enum frame_flag on replies, the type's own otherwise
 *	room    KiB; 0 in all types but these. COMMAND, KEYS: of the answer so much may be sent at first, 0 = all of it. ROOM: so much
 *	        more; 0 = nobody wants the rest. REPLY with FRAME_WAITS: so much is left, at least 1
 *	id      the question that it belongs to, or a position; the type says
 *	epoch   of the sender's topology
 *	check   XXH3 of head and body (with 0 in its place), seeded with the key of this direction of this link and the number
 *	        of the frame
 *
 * So a frame that is cut, changed, lost, repeated, out of order or of another link is seen; it ends its link. The key comes out
 * of the handshake, which both node ids and incarnations are part of: that is how a frame carries its sender. It keeps nobody from
 * reading, and is no signature: where others can reach the wire, use TLS or a private network.
 */
#ifndef CLUSTER_FRAME_H
#define CLUSTER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define FRAME_VERSION   2u
#define FRAME_HEAD      32u
#define FRAME_MAX       (128u << 10)
#define FRAME_BODY_MAX  (FRAME_MAX - FRAME_HEAD)
#define FRAME_ROOM_UNIT 1024u /* the unit of ROOM */

enum frame_type {
#define FRAME(symbol, text) FRAME_##symbol,
#include "cluster/tbl/frames.h"
#undef FRAME
	FRAME_TYPES
};

enum frame_flag {
	FRAME_LAST = 1, /* of a REPLY: nothing more will come for this id */
	FRAME_NOT_MINE =
	    2, /* of a REPLY: not executed: by its topology the sender does not own the key */
	FRAME_WAITS = 8, /* of a REPLY: there is no room for more of it: the rest waits for ROOM */
};

/* A frame that was received. BODY lies where the bytes did. */
struct frame {
	uint64_t id, epoch;
	struct slice body;
	uint16_t room;
	uint8_t type, flags;
};

/* One direction of a link. */
struct frame_lane {
	uint64_t key;
	uint64_t number; /* of the next frame */
};

enum frame_result {
	FRAME_WHOLE, /* *FRAME is there, *USED bytes are done with */
	FRAME_MORE,  /* *USED bytes are needed (at least) */
	FRAME_BAD,   /* the link is to end */
};

/* Takes the frame at the front of BYTES. Pure, but for LANE, which counts. */
enum frame_result frame_parse(
    struct frame_lane *lane, struct slice bytes, struct frame *frame, size_t *used);

/* Writes the head of a frame at P, where FRAME_HEAD bytes are followed by BODY bytes of body, which must not change any
 * more. */
void frame_seal(struct frame_lane *lane, char *p, const struct frame *frame, size_t body);

/* For messages; "?" for a number that is none. */
const char *frame_name(unsigned type);

#endif
