/* t/server/test_replicate_backlog.c: the log against a list: what was appended last is there, in order, as much as fits. */
#include <stdlib.h>
#include <string.h>

#include "server/replicate_backlog.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"

#define APPENDS 20000u

static size_t
key_of(uint64_t seed, char *to)
{
	struct random_state r = {seed};
	size_t len = 1 + random_below(&r, 250);

	for (size_t i = 0; i < len; i++)
		to[i] = (char)random_next(&r);
	return len;
}

static void
assert_entry(const struct backlog_entry *entry, uint64_t n)
{
	char key[256];
	size_t len = key_of(n, key);

	assert_int_equal(entry->order, n);
	assert_int_equal(entry->what, 1 + n % 4);
	assert_int_equal(entry->nkey, len);
	assert_memory_equal(entry->key, key, len);
}

static void
the_last_are_there(void **state)
{
	struct backlog b;
	char key[256];

	(void)state;
	assert_true(backlog_init(&b, 20000));
	assert_int_equal(b.mask + 1, 16384);
	for (uint64_t n = 1; n <= APPENDS; n++) {
		uint64_t position, first = 0, count = 0;
		struct backlog_entry *entry;
		size_t len = key_of(n, key);

		backlog_append(&b, (enum backlog_what)(1 + n % 4), slice_of(key, len), n, 0);
		position = b.tail;
		if (n % 64 != 0)
			continue;
		while ((entry = backlog_next(&b, &position)) != NULL) {
			if (count++ == 0)
				first = entry->order;
			assert_entry(entry, first + count - 1);
		}
		assert_int_equal(position, b.head);
		assert_int_equal(first + count - 1, n);
		assert_true(b.head - b.tail <= 16384);
		assert_true(first == 1 || b.head - b.tail > 16384 - 4 * 280);
	}
	backlog_fini(&b);
}

static void
an_empty_one_has_none(void **state)
{
	struct backlog b;
	uint64_t position = 0;

	(void)state;
	assert_true(backlog_init(&b, 0));
	assert_null(backlog_next(&b, &position));
	backlog_append(&b, BACKLOG_SET, slice_of("k", 1), 5, 0);
	assert_non_null(backlog_next(&b, &position));
	assert_null(backlog_next(&b, &position));
	assert_int_equal(position, b.head);
	backlog_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_last_are_there),
	    cmocka_unit_test(an_empty_one_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
