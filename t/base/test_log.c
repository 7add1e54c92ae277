/* t/base/test_log.c: levels, the form of a line, its longest length, and the panic on top of it. What is
 * logged goes to a child's stderr, where it is read back. */
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "t/lib/child.h"
#include "t/lib/unit.h"

#define LINE_MAX_BYTES 1000

static struct child_end end;

static void
say_one_of_each(void *arg)
{
	log_init("name", *(enum log_level *)arg, false);
	log_error("e %d", 1);
	log_warn("w %d", 2);
	log_info("i %d", 3);
	log_debug("d %d", 4);
}

static void
levels_drop_what_is_above(void **state)
{
	static const char *const want[] = {
	    [LOG_LEVEL_ERROR] = "name: error: e 1\n",
	    [LOG_LEVEL_WARN] = "name: error: e 1\nname: warning: w 2\n",
	    [LOG_LEVEL_INFO] = "name: error: e 1\nname: warning: w 2\nname: info: i 3\n",
	    [LOG_LEVEL_DEBUG] =
		"name: error: e 1\nname: warning: w 2\nname: info: i 3\nname: debug: d 4\n",
	};

	(void)state;
	for (enum log_level level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		assert_true(child_run(say_one_of_each, &level, &end));
		assert_true(child_returned(&end));
		assert_string_equal(end.err, want[level]);
	}
}

static void
change_the_level(void *arg)
{
	(void)arg;
	log_init("name", LOG_LEVEL_ERROR, false);
	log_info("hidden");
	log_set_level(LOG_LEVEL_INFO);
	log_info("shown");
	if (log_get_level() != LOG_LEVEL_INFO)
		_exit(1);
	log_set_level(LOG_LEVEL_WARN);
	log_info("hidden again");
}

static void
level_changes_at_run_time(void **state)
{
	(void)state;
	assert_true(child_run(change_the_level, NULL, &end));
	assert_true(child_returned(&end));
	assert_string_equal(end.err, "name: info: shown\n");
}

static void
say_x(void *arg)
{
	static char text[4096];
	size_t n = *(size_t *)arg;

	memset(text, 'x', n);
	text[n] = '\0';
	log_init("n", LOG_LEVEL_INFO, false);
	log_info("%s", text);
}

/* Around the longest line every length is right: whole while it fits, then cut with a sign of it. */
static void
long_lines_are_cut(void **state)
{
	static const char head[] = "n: info: ";
	const size_t room = LINE_MAX_BYTES - (sizeof(head) - 1) - 1;

	(void)state;
	for (size_t n = room - 8; n < room + 40; n++) {
		assert_true(child_run(say_x, &n, &end));
		assert_true(child_returned(&end));
		assert_memory_equal(end.err, head, sizeof(head) - 1);
		assert_true(end.len <= LINE_MAX_BYTES);
		assert_int_equal(end.err[end.len - 1], '\n');
		assert_ptr_equal(strchr(end.err, '\n'), end.err + end.len - 1);
		if (n <= room) {
			assert_int_equal(end.len, sizeof(head) - 1 + n + 1);
			assert_int_equal(end.err[end.len - 2], 'x');
		} else {
			assert_int_equal(end.len, LINE_MAX_BYTES);
			assert_memory_equal(end.err + end.len - 5, "x...\n", 5);
		}
	}
	for (size_t n = 1900; n <= 4000; n += 700) {
		assert_true(child_run(say_x, &n, &end));
		assert_true(child_returned(&end));
		assert_int_equal(end.len, LINE_MAX_BYTES);
	}
}

static void
say_long_name(void *arg)
{
	log_init(arg, LOG_LEVEL_INFO, false);
	log_info("text");
}

static void
long_names_are_cut(void **state)
{
	static char name[3000];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	assert_true(child_run(say_long_name, name, &end));
	assert_true(child_returned(&end));
	assert_int_equal(end.len, LINE_MAX_BYTES);
	assert_int_equal(end.err[end.len - 1], '\n');
}

static void
say_control_bytes(void *arg)
{
	(void)arg;
	log_init("n", LOG_LEVEL_INFO, false);
	log_info("%s", "a\nb\r\tc\x1b[31m\x7f\xc3\xa4");
}

/* One call is one line, and nothing that a client sent can drive the reader's terminal. */
static void
control_bytes_are_shown(void **state)
{
	(void)state;
	assert_true(child_run(say_control_bytes, NULL, &end));
	assert_true(child_returned(&end));
	assert_string_equal(end.err, "n: info: a?b??c?[31m?\xc3\xa4\n");
}

static void
check_errno(void *arg)
{
	(void)arg;
	log_init("n", LOG_LEVEL_INFO, false);
	errno = EAGAIN;
	(void)close(STDERR_FILENO);
	log_info("nobody hears it");
	if (errno != EAGAIN)
		_exit(1);
}

static void
errno_survives(void **state)
{
	(void)state;
	assert_true(child_run(check_errno, NULL, &end));
	assert_true(child_returned(&end));
}

static unsigned evaluated;

static bool
evaluate(bool value)
{
	evaluated++;
	return value;
}

static void
fail_an_assert(void *arg)
{
	(void)arg;
	log_init("n", LOG_LEVEL_ERROR, false);
	ASSERT(evaluate(false));
}

static void
panic_with_words(void *arg)
{
	(void)arg;
	log_init("n", LOG_LEVEL_ERROR, false);
	panic("%s has %d legs", "a spider", 9);
}

static void
panic_says_where_and_why(void **state)
{
	(void)state;
	assert_true(child_run(fail_an_assert, NULL, &end));
	assert_true(child_aborted(&end));
	assert_non_null(strstr(end.err, "n: error: panic at "));
	assert_non_null(strstr(end.err, "test_log.c:"));
	assert_non_null(strstr(end.err, "(fail_an_assert): assertion failed: evaluate(false)\n"));

	assert_true(child_run(panic_with_words, NULL, &end));
	assert_true(child_aborted(&end));
	assert_non_null(strstr(end.err, "(panic_with_words): a spider has 9 legs\n"));
}

static void
assert_evaluates_once(void **state)
{
	(void)state;
	evaluated = 0;
	ASSERT(evaluate(true));
	assert_int_equal(evaluated, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(levels_drop_what_is_above),
	    cmocka_unit_test(level_changes_at_run_time),
	    cmocka_unit_test(long_lines_are_cut),
	    cmocka_unit_test(long_names_are_cut),
	    cmocka_unit_test(control_bytes_are_shown),
	    cmocka_unit_test(errno_survives),
	    cmocka_unit_test(panic_says_where_and_why),
	    cmocka_unit_test(assert_evaluates_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
