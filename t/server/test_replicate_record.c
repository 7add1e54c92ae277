/* t/server/test_replicate_record.c: records come back as they were written, and what no sender writes is refused, whatever the
 * bytes. */
#include <stdlib.h>
#include <string.h>

#include "server/replicate_record.h"
#include "slab/store.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"

static char bytes[1000];

static struct record
some(struct random_state *r, char *key)
{
	struct record record = {.kind = (enum record_kind)(1 + random_below(r, 4)),
	    .marks = (uint8_t)random_below(r, 8),
	    .key = slice_of(key, 1 + random_below(r, STORE_KEY_MAX)),
	    .order = 1 + random_below(r, STORE_ORDER_MAX),
	    .stamp = random_below(r, STORE_ORDER_MAX),
	    .version = random_next(r) >> 1,
	    .expiry = (int64_t)random_below(r, 1u << 31),
	    .flags = (uint32_t)random_next(r)};

	for (size_t i = 0; i < record.key.len; i++)
		key[i] = (char)random_next(r);
	if (record.kind == RECORD_SET) {
		record.size = (uint32_t)random_below(r, 1u << 20);
		record.offset = (uint32_t)random_below(r, record.size + 1);
		record.value.len = random_below(r, record.size - record.offset + 1) % 300;
	}
	return record;
}

static struct slice
written(const struct record *record)
{
	char *end = record_write(bytes, record);

	memset(end, 'v', record->value.len);
	return slice_of(bytes, (size_t)(end - bytes) + record->value.len);
}

static void
come_back(void **state)
{
	struct random_state r;
	char key[STORE_KEY_MAX];

	(void)state;
	random_init(&r);
	for (int i = 0; i < 20000; i++) {
		struct record in = some(&r, key), out;
		struct slice all = written(&in), rest = all;

		assert_true(record_read(&rest, &out));
		assert_int_equal(rest.len, 0);
		assert_int_equal(out.kind, in.kind);
		assert_true(slice_equal(out.key, in.key));
		assert_true(out.order == in.order && out.stamp == in.stamp);
		assert_true(out.version == in.version && out.expiry == in.expiry);
		assert_true(out.marks == in.marks && out.flags == in.flags);
		assert_true(out.size == in.size && out.offset == in.offset);
		assert_int_equal(out.value.len, in.value.len);
		for (size_t n = 0; n < all.len; n += 1 + n / 40) {
			/* At the end of its memory, so that a look behind it is seen. */
			char *cut = malloc(n + 1);

			assert_non_null(cut);
			memcpy(cut, all.ptr, n);
			rest = slice_of(cut, n);
			assert_false(record_read(&rest, &out));
			free(cut);
		}
	}
}

static void
nonsense_is_refused(void **state)
{
	struct random_state r;
	char key[STORE_KEY_MAX];

	(void)state;
	random_init(&r);
	for (int i = 0; i < 200000; i++) {
		struct record in = some(&r, key), out;
		struct slice rest = written(&in), all = rest;

		bytes[random_below(&r, RECORD_HEAD)] = (char)random_next(&r);
		if (!record_read(&rest, &out))
			continue;
		assert_true(out.key.len >= 1 && out.key.len <= STORE_KEY_MAX);
		assert_true(out.order >= 1 && out.order <= STORE_ORDER_MAX);
		assert_true(out.value.ptr + out.value.len <= all.ptr + all.len);
		assert_true(
		    out.kind != RECORD_SET || (uint64_t)out.offset + out.value.len <= out.size);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(come_back),
	    cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
