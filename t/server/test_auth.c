/* t/server/test_auth.c: nothing is done for a client that has not said who it is. */
#include "t/lib/unit.h"

#include <stdio.h>

#include "t/lib/machine.h"

static bool
knows(void *context, struct slice user, struct slice password)
{
	(void)context;
	return slice_is(user, "bob") && slice_is(password, "secret");
}

struct fixture {
	struct machine m;
	struct conn *c;
	struct answer answer;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	machine_init(&f->m, (size_t)64 << 20);
	f->m.server.hooks.authenticate = knows;
	f->m.server.auth_required = true;
	f->m.server.limits.sasl = true;
	f->c = machine_conn(&f->m);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	conn_free(&f->c);
	answer_free(&f->answer);
	machine_fini(&f->m);
	free(f);
	return 0;
}

static void
say(struct fixture *f, const char *bytes, size_t n)
{
	(void)machine_receive(f->c, bytes, n);
	machine_settle(f->c, &f->answer, SIZE_MAX);
}

static void
ask(struct fixture *f, const char *text, const char *answer)
{
	f->answer.len = 0;
	say(f, text, strlen(text));
	if (f->answer.len != strlen(answer) || memcmp(f->answer.bytes, answer, f->answer.len) != 0)
		fail_msg("%s\nwas answered\n%.*s", text, (int)f->answer.len, f->answer.bytes);
}

/* A request with KEY and VALUE; the status of the answer. */
static int
ask_binary(struct fixture *f, uint8_t opcode, const char *key, const char *value, size_t size)
{
	size_t extras = opcode == 0x01 ? 8 : 0, body = extras + strlen(key) + size;
	char *request = calloc(1, 24 + body);
	int status;

	assert_non_null(request);
	request[0] = (char)0x80;
	request[1] = (char)opcode;
	request[3] = (char)strlen(key);
	request[4] = (char)extras;
	request[9] = (char)(body >> 16);
	request[10] = (char)(body >> 8);
	request[11] = (char)body;
	memcpy(request + 24 + extras, key, strlen(key));
	if (size > 0)
		memcpy(request + 24 + extras + strlen(key), value, size);
	f->answer.len = 0;
	say(f, request, 24 + body);
	free(request);
	assert_true(f->answer.len >= 24);
	status = (unsigned char)f->answer.bytes[7];
	return status;
}

static uint64_t
items(struct fixture *f)
{
	struct store_stats stats;

	store_stats(f->m.server.store, &stats);
	return stats.items;
}

static void
test_text(void **state)
{
	struct fixture *f = *state;

	ask(f, "get a\r\n", "CLIENT_ERROR unauthenticated\r\n");
	ask(f, "set x 0 0 9\r\nbob wrong\r\n", "CLIENT_ERROR authentication failure\r\n");
	ask(f, "set a 0 0 1\r\n", "");
	ask(f, "1\r\n", "CLIENT_ERROR bad authentication token format\r\n");
	assert_int_equal(items(f), 0);
	ask(f, "set x 0 0 10\r\nbob secret\r\nset a 0 0 1\r\n1\r\nget a x\r\n",
	    "STORED\r\nSTORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n");
	assert_int_equal(f->m.worker->counters.auth_cmds, 2);
	assert_int_equal(f->m.worker->counters.auth_errors, 1);
}

static void
test_binary(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_binary(f, 0x20, "", "", 0), 0);
	assert_memory_equal(f->answer.bytes + 24, "PLAIN", 5);
	assert_int_equal(ask_binary(f, 0x22, "PLAIN", "\0bob\0secret", 11), 0x20);
	assert_int_equal(ask_binary(f, 0x21, "PLAIN", "\0bob\0wrong", 10), 0x20);
	assert_int_equal(ask_binary(f, 0x21, "PLAIN", "bob", 3), 0x20);
	assert_int_equal(ask_binary(f, 0x21, "OTHER", "\0bob\0secret", 11), 0x20);
	assert_int_equal(ask_binary(f, 0x21, "PLAIN", "\0bob\0secret", 11), 0);
	assert_int_equal(ask_binary(f, 0x01, "a", "1", 1), 0);
	assert_int_equal(items(f), 1);
}

static void
test_binary_command_before_authentication_ends_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_binary(f, 0x01, "a", "1", 1), 0x20);
	assert_true(conn_want(f->c) & CONN_WANT_CLOSE);
	assert_int_equal(items(f), 0);
}

static void
test_long_value_before_authentication_ends_it(void **state)
{
	struct fixture *f = *state;
	char *value = calloc(1, 100000);

	assert_non_null(value);
	assert_int_equal(ask_binary(f, 0x01, "a", value, 100000), 0x20);
	assert_true(conn_want(f->c) & CONN_WANT_CLOSE);
	assert_int_equal(items(f), 0);
	free(value);
}

/* A set that is too large removes the old value, but not for anybody. */
static void
test_too_large_before_authentication_removes_nothing(void **state)
{
	struct fixture *f = *state;
	struct conn *other;
	char *value = calloc(1, 2000000);

	assert_non_null(value);
	ask(f, "set x 0 0 10\r\nbob secret\r\nset a 0 0 1\r\n1\r\n", "STORED\r\nSTORED\r\n");
	other = f->c;
	f->c = machine_conn(&f->m);
	assert_int_equal(ask_binary(f, 0x01, "a", value, 2000000), 0x20);
	assert_true(conn_want(f->c) & CONN_WANT_CLOSE);
	assert_int_equal(items(f), 1);
	conn_free(&other);
	free(value);
}

#define WITH_MACHINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_MACHINE(test_text),
	    WITH_MACHINE(test_binary),
	    WITH_MACHINE(test_binary_command_before_authentication_ends_it),
	    WITH_MACHINE(test_long_value_before_authentication_ends_it),
	    WITH_MACHINE(test_too_large_before_authentication_removes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
