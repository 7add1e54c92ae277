/* t/fuzz/fuzz_frame.c: any bytes as frames, with a check that is right or not: the first byte says. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cluster/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Gives the bytes a head that holds, so that what is behind the check is reached, too. */
static void
repair(const struct frame_lane *lane, char *bytes, size_t n)
{
	struct frame_lane copy = *lane;
	struct frame head = {.id = 1,
	    .type = (uint8_t)bytes[4],
	    .flags = (uint8_t)bytes[5],
	    .room = (uint8_t)bytes[6]};

	if (n >= FRAME_HEAD && n <= FRAME_MAX)
		frame_seal(&copy, bytes, &head, n - FRAME_HEAD);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_lane lane = {.key = 42};
	enum frame_result result;
	struct frame frame;
	size_t used, at = 0;
	char *bytes;

	if (size < 2)
		return 0;
	size--;
	bytes = malloc(size);
	ASSERT(bytes != NULL);
	memcpy(bytes, data + 1, size);
	if (data[0] & 1)
		repair(&lane, bytes, size);
	do {
		result = frame_parse(&lane, slice_of(bytes + at, size - at), &frame, &used);
		ASSERT(result == FRAME_BAD || (used >= FRAME_HEAD && used <= FRAME_MAX));
		if (result == FRAME_WHOLE) {
			ASSERT(used <= size - at && frame.body.len == used - FRAME_HEAD);
			ASSERT(frame.type < FRAME_TYPES);
			at += used;
		}
	} while (result == FRAME_WHOLE);
	free(bytes);
	return 0;
}
