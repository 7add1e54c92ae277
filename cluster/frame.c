/* cluster/frame.c: see frame.h. */
#include "cluster/frame.h"

#include <assert.h>
#include <endian.h>
#include <string.h>
#include <xxhash.h>

struct frame_head {
	uint32_t length;
	uint8_t type;
	uint8_t flags;
	uint16_t room;
	uint64_t id;
	uint64_t epoch;
	uint64_t check;
};

static_assert(sizeof(struct frame_head) == FRAME_HEAD, "layout");
static_assert(offsetof(struct frame_head, type) == 4, "layout");
static_assert(offsetof(struct frame_head, flags) == 5, "layout");
static_assert(offsetof(struct frame_head, room) == 6, "layout");
static_assert(offsetof(struct frame_head, id) == 8, "layout");
static_assert(offsetof(struct frame_head, epoch) == 16, "layout");
static_assert(offsetof(struct frame_head, check) == 24, "layout");

/* The seed tells one frame of a link from the next; both halves of the key count for every bit of it. */
static uint64_t
seed_of(const struct frame_lane *lane)
{
	return lane->key ^ (lane->number * UINT64_C(0x9e3779b97f4a7c15));
}

/* Of HEAD, whose check is 0, and the body: the head's digest seeds that of the body, so that neither can be of another frame. */
static uint64_t
check_of(const struct frame_lane *lane, const struct frame_head *head, const char *body, size_t n)
{
	uint64_t check = XXH3_64bits_withSeed(head, sizeof(*head), seed_of(lane));

	return n == 0 ? check : XXH3_64bits_withSeed(body, n, check);
}

static bool
has_room(unsigned type)
{
	return type == FRAME_COMMAND || type == FRAME_KEYS || type == FRAME_REPLY ||
	    type == FRAME_ROOM;
}

enum frame_result
frame_parse(struct frame_lane *lane, struct slice bytes, struct frame *frame, size_t *used)
{
	struct frame_head head;
	uint64_t check;
	uint32_t length;

	*used = FRAME_HEAD;
	if (bytes.len < sizeof(head))
		return FRAME_MORE;
	memcpy(&head, bytes.ptr, sizeof(head));
	length = le32toh(head.length);
	if (length < FRAME_HEAD || length > FRAME_MAX || head.type >= FRAME_TYPES ||
	    (head.room != 0 && !has_room(head.type)))
		return FRAME_BAD;
	*used = length;
	if (bytes.len < length)
		return FRAME_MORE;
	check = le64toh(head.check);
	head.check = 0;
	frame->body = slice_of(bytes.ptr + FRAME_HEAD, length - FRAME_HEAD);
	if (check != check_of(lane, &head, frame->body.ptr, frame->body.len))
		return FRAME_BAD;
	lane->number++;
	frame->type = head.type;
	frame->flags = head.flags;
	frame->room = le16toh(head.room);
	frame->id = le64toh(head.id);
	frame->epoch = le64toh(head.epoch);
	return FRAME_WHOLE;
}

void
frame_seal(struct frame_lane *lane, char *p, const struct frame *frame, size_t body)
{
	struct frame_head head = {
	    .length = htole32((uint32_t)(FRAME_HEAD + body)),
	    .type = frame->type,
	    .flags = frame->flags,
	    .room = htole16(frame->room),
	    .id = htole64(frame->id),
	    .epoch = htole64(frame->epoch),
	};

	head.check = htole64(check_of(lane, &head, p + FRAME_HEAD, body));
	memcpy(p, &head, sizeof(head));
	lane->number++;
}

const char *
frame_name(unsigned type)
{
	static const char *const names[] = {
#define FRAME(symbol, text) #symbol,
#include "cluster/tbl/frames.h"
#undef FRAME
	};

	return type < FRAME_TYPES ? names[type] : "?";
}
