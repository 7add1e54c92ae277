/* t/cluster/test_frame.c: frames that come as they were sent, and those that do not. */
#include <stdint.h>
#include <string.h>

#include "cluster/frame.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"

#define KEY UINT64_C(0x1122334455667788)

static char bytes[FRAME_MAX];

/* A frame at BYTES; returns its length. */
static size_t
seal(struct frame_lane *lane, const struct frame *frame, const char *body, size_t n)
{
	memcpy(bytes + FRAME_HEAD, body, n);
	frame_seal(lane, bytes, frame, n);
	return FRAME_HEAD + n;
}

static void
frames_come_as_sent(void **state)
{
	struct frame_lane out = {KEY, 0}, in = {KEY, 0};
	static char body[FRAME_BODY_MAX];
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned i = 0; i < 2000; i++) {
		size_t n = i % 10 == 0 ? random_below(&r, FRAME_BODY_MAX + 1)
				       : random_below(&r, 300),
		       used;
		struct frame sent = {.id = random_next(&r),
		    .epoch = random_next(&r),
		    .type = (uint8_t)random_below(&r, FRAME_TYPES),
		    .flags = (uint8_t)random_next(&r)};
		struct frame got;
		size_t whole, cut;

		if (sent.type == FRAME_KEYS || sent.type == FRAME_REPLY || sent.type == FRAME_ROOM)
			sent.room = (uint16_t)random_next(&r);
		for (size_t j = 0; j < n; j++)
			body[j] = (char)random_next(&r);
		whole = seal(&out, &sent, body, n);
		cut = random_below(&r, whole);
		assert_int_equal(frame_parse(&in, slice_of(bytes, cut), &got, &used), FRAME_MORE);
		assert_int_equal(used, cut < FRAME_HEAD ? FRAME_HEAD : whole);
		assert_int_equal(
		    frame_parse(&in, slice_of(bytes, sizeof(bytes)), &got, &used), FRAME_WHOLE);
		assert_int_equal(used, whole);
		assert_true(got.id == sent.id && got.epoch == sent.epoch && got.type == sent.type &&
		    got.flags == sent.flags && got.room == sent.room &&
		    slice_equal(got.body, slice_of(body, n)));
	}
}

static void
every_changed_bit_is_seen(void **state)
{
	struct frame_lane out = {KEY, 5};
	const struct frame sent = {.id = 7, .epoch = 1, .type = FRAME_KEYS};
	size_t whole = seal(&out, &sent, "some bytes of a key", 19), used;
	struct frame got;

	(void)state;
	for (size_t bit = 0; bit < whole * 8; bit++) {
		struct frame_lane in = {KEY, 5};

		bytes[bit / 8] ^= (char)(1 << bit % 8);
		if (frame_parse(&in, slice_of(bytes, whole), &got, &used) == FRAME_WHOLE)
			fail_msg("bit %zu may be anything", bit);
		assert_true(in.number == 5);
		bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
}

static void
frames_have_one_place(void **state)
{
	struct frame_lane out = {KEY, 0}, in = {KEY, 0}, other = {KEY + 1, 0}, ahead = {KEY, 1};
	const struct frame sent = {.id = 7, .epoch = 1, .type = FRAME_PING};
	size_t whole = seal(&out, &sent, "", 0), used;
	struct frame got;

	(void)state;
	assert_int_equal(frame_parse(&other, slice_of(bytes, whole), &got, &used), FRAME_BAD);
	assert_int_equal(frame_parse(&ahead, slice_of(bytes, whole), &got, &used), FRAME_BAD);
	assert_int_equal(frame_parse(&in, slice_of(bytes, whole), &got, &used), FRAME_WHOLE);
	assert_int_equal(frame_parse(&in, slice_of(bytes, whole), &got, &used), FRAME_BAD);
}

static void
only_some_have_room(void **state)
{
	struct frame_lane out = {KEY, 0}, in = {KEY, 0};
	const struct frame sent = {.type = FRAME_PING, .room = 1};
	size_t whole = seal(&out, &sent, "", 0), used;
	struct frame got;

	(void)state;
	assert_int_equal(frame_parse(&in, slice_of(bytes, whole), &got, &used), FRAME_BAD);
}

static void
lengths_are_bounded(void **state)
{
	static const uint32_t lengths[] = {0, 1, FRAME_HEAD - 1, FRAME_MAX + 1, UINT32_MAX};
	struct frame_lane in = {KEY, 0};
	struct frame got;
	size_t used;

	(void)state;
	memset(bytes, 0, FRAME_HEAD);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memcpy(bytes, &lengths[i], sizeof(lengths[i]));
		assert_int_equal(
		    frame_parse(&in, slice_of(bytes, FRAME_HEAD), &got, &used), FRAME_BAD);
	}
}

static void
types_have_names(void **state)
{
	(void)state;
	assert_string_equal(frame_name(FRAME_PING), "PING");
	assert_string_equal(frame_name(FRAME_TYPES), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_come_as_sent),
	    cmocka_unit_test(every_changed_bit_is_seen),
	    cmocka_unit_test(frames_have_one_place),
	    cmocka_unit_test(only_some_have_room),
	    cmocka_unit_test(lengths_are_bounded),
	    cmocka_unit_test(types_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
