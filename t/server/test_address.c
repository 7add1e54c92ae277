/* t/server/test_address.c: the forms of -l. */
#include "t/lib/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/address.h"

#define NO_PORT (-9)

static const struct {
	const char *text, *host;
	int port;
	int protocol; /* -1 = not given */
	const char *tag;
} good[] = {
    {"127.0.0.1", "127.0.0.1", NO_PORT, -1, ""},
    {"127.0.0.1:11211", "127.0.0.1", 11211, -1, ""},
    {"localhost:0", "localhost", 0, -1, ""},
    {"localhost:-1", "localhost", 0, -1, ""},
    {"*", "", NO_PORT, -1, ""},
    {"*:80", "", 80, -1, ""},
    {"[::1]", "::1", NO_PORT, -1, ""},
    {"[::1]:65535", "::1", 65535, -1, ""},
    {"::1", "::1", NO_PORT, -1, ""},
    {"::", "::", NO_PORT, -1, ""},
    {"notls:127.0.0.1:1", "127.0.0.1", 1, -1, ""},
    {"proto[ascii]:a:1", "a", 1, BINDING_ASCII, ""},
    {"proto[binary]:[::1]:1", "::1", 1, BINDING_BINARY, ""},
    {"proto[negotiating]:a", "a", NO_PORT, BINDING_AUTO, ""},
    {"tag[b]:a", "a", NO_PORT, -1, "b"},
    {"tag[12345678]:a", "a", NO_PORT, -1, "12345678"},
    {"proto[ascii]:tag[x:y]:a:2", "a", 2, BINDING_ASCII, "x:y"},
    {"tag[t]:notls:proto[binary]:*:3", "", 3, BINDING_BINARY, "t"},
    {"tag", "tag", NO_PORT, -1, ""},
    {"proto:5", "proto", 5, -1, ""},
};

static const char *const bad[] = {"", ":", ":1", "a:", "a:x", "a:65536", "a:-2", "a:1:2", "a: 1",
    "[::1", "[::1]x", "[::1]1", "[]", "[]:1", "[::1]:", "proto[]:a", "proto[x]:a", "proto[ascii]a",
    "proto[ascii]:", "tag[]:a", "tag[123456789]:a", "tag[a]:", "btls:a", "mtls:a:1", "notls:"};

/* Parses a copy of TEXT that ends right before an unreadable page. */
static bool
parse(const char *text, struct address *out)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = strlen(text);
	char error[SETTINGS_ERROR_MAX] = "";
	char *map =
	    mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *copy = map + page - len;
	bool result;

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_true(len <= page);
	assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
	memcpy(copy, text, len);
	result = address_parse(slice_of(copy, len), out, error);
	assert_int_equal(result, strlen(error) == 0);
	(void)munmap(map, 2 * page);
	return result;
}

static void
test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct address a;
		uint64_t tag = 0;

		memcpy(&tag, good[i].tag, strlen(good[i].tag));
		if (!parse(good[i].text, &a))
			fail_msg("%s was refused", good[i].text);
		assert_string_equal(a.host, good[i].host);
		assert_int_equal(a.port_given, good[i].port != NO_PORT);
		assert_int_equal(a.port, good[i].port == NO_PORT ? 0 : good[i].port);
		assert_int_equal(a.protocol_given, good[i].protocol >= 0);
		if (a.protocol_given)
			assert_int_equal(a.protocol, good[i].protocol);
		assert_int_equal(a.tag, tag);
	}
}

static void
test_bad(void **state)
{
	struct address a;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse(bad[i], &a))
			fail_msg("%s was taken", bad[i]);
	}
}

/* No prefix of a good address makes the parser look past its end. */
static void
test_every_prefix(void **state)
{
	char text[64];
	struct address a;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		for (size_t n = 0; n <= strlen(good[i].text); n++) {
			(void)snprintf(text, sizeof(text), "%.*s", (int)n, good[i].text);
			(void)parse(text, &a);
		}
	}
}

static void
test_long_host(void **state)
{
	char text[ADDRESS_HOST_MAX + 2];
	struct address a;

	(void)state;
	memset(text, 'h', sizeof(text));
	text[ADDRESS_HOST_MAX - 1] = '\0';
	assert_true(parse(text, &a));
	text[ADDRESS_HOST_MAX - 1] = 'h';
	text[ADDRESS_HOST_MAX] = '\0';
	assert_false(parse(text, &a));
}

static void
test_lists(void **state)
{
	const char *text = ",a;b,,[::1]:5;";
	struct slice list = slice_of(text, strlen(text));
	struct slice one;

	(void)state;
	assert_true(address_next(&list, &one) && slice_is(one, "a"));
	assert_true(address_next(&list, &one) && slice_is(one, "b"));
	assert_true(address_next(&list, &one) && slice_is(one, "[::1]:5"));
	assert_false(address_next(&list, &one));
	assert_false(address_next(&list, &one));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_every_prefix),
	    cmocka_unit_test(test_long_host),
	    cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
