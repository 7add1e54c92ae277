/* ringctl/keys.c: get, set, del: any node answers for any key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "ringctl/ringctl.h"

#define KEY_MAX   250u
#define VALUE_MAX ((size_t)1 << 30)

static void
check_key(const char *key)
{
	size_t len = strlen(key);

	if (len == 0 || len > KEY_MAX)
		die(STATUS_USAGE, "a key has 1 to %u bytes", KEY_MAX);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)key[i] <= ' ' || key[i] == 0x7f)
			die(STATUS_USAGE, "a key has no blanks and no control characters");
}

static json_t *
key_of(const struct arguments *a)
{
	return json_of(slice_of(a->words[0], strlen(a->words[0])));
}

static bool
is_error(const char *answer, size_t len)
{
	static const char *const errors[] = {"ERROR\r\n", "CLIENT_ERROR ", "SERVER_ERROR "};

	for (size_t i = 0; i < 3; i++)
		if (len >= strlen(errors[i]) && memcmp(answer, errors[i], strlen(errors[i])) == 0)
			return answer[len - 1] == '\n';
	return false;
}

static void
refuse_error(const char *answer, size_t len)
{
	if (is_error(answer, len))
		die(STATUS_REFUSED, "the server says: %.*s", (int)(len - 2), answer);
}

/* ---------------------------------------------------------------- get */

/* Where the value begins, and its length; false where ANSWER is not "VALUE <key> <flags> <bytes>\r\n". */
static bool
value_of(const char *answer, size_t len, size_t *at, size_t *size)
{
	const char *line = memchr(answer, '\n', len);
	unsigned flags;

	if (line == NULL || sscanf(answer, "VALUE %*s %u %zu", &flags, size) != 2)
		return false;
	*at = (size_t)(line + 1 - answer);
	return true;
}

static bool
value_end(const char *answer, size_t len)
{
	size_t at, size;

	if (is_error(answer, len) || (len == 5 && memcmp(answer, "END\r\n", 5) == 0))
		return true;
	return value_of(answer, len, &at, &size) && len >= at + size + 7;
}

json_t *
run_get(const struct options *o, const struct arguments *a, enum status *status)
{
	char request[KEY_MAX + 16];
	size_t len, at, size;
	char *answer;
	json_t *result;

	check_key(a->words[0]);
	(void)snprintf(request, sizeof(request), "get %s\r\n", a->words[0]);
	answer = client_ask(o, slice_of(request, strlen(request)), value_end, &len);
	refuse_error(answer, len);
	if (!value_of(answer, len, &at, &size)) {
		*status = STATUS_REFUSED;
		result = json_pack("{s:o, s:b}", "key", key_of(a), "found", 0);
	} else {
		json_t *value = json_stringn(answer + at, size);

		if (value == NULL && o->json)
			die(STATUS_REFUSED,
			    "the value is no text that JSON can hold; try without --json");
		result = json_pack("{s:o, s:b, s:i, s:o*}", "key", key_of(a), "found", 1, "bytes",
		    (int)size, "value", value);
		if (!o->json) {
			(void)fwrite(answer + at, 1, size, stdout);
			(void)putchar('\n');
		}
	}
	free(answer);
	return result;
}

/* The value itself, which may be any bytes, was printed as it came. */
void
print_get(json_t *result)
{
	if (!json_is_true(json_object_get(result, "found")))
		(void)fprintf(stderr, "ringctl: there is no such key\n");
}

/* ---------------------------------------------------------------- set and del */

static bool
line_end(const char *answer, size_t len)
{
	return answer[len - 1] == '\n';
}

static char *
read_value(const char *word, size_t *len)
{
	size_t capacity = 65536, n;
	char *value;

	if (strcmp(word, "-") != 0) {
		*len = strlen(word);
		return strdup(word);
	}
	value = malloc(capacity);
	*len = 0;
	while (value != NULL && (n = fread(value + *len, 1, capacity - *len, stdin)) > 0) {
		*len += n;
		if (*len == capacity)
			value = capacity < VALUE_MAX ? realloc(value, capacity *= 2) : NULL;
	}
	return value;
}

/* What the server says to REQUEST, as a result; STATUS is refused unless that is GOOD. */
static json_t *
result_of(const struct options *o, struct slice request, const char *key, const char *good,
    enum status *status)
{
	size_t len;
	char *answer = client_ask(o, request, line_end, &len);
	json_t *result;

	refuse_error(answer, len);
	answer[strcspn(answer, "\r\n")] = '\0';
	if (strcmp(answer, good) != 0)
		*status = STATUS_REFUSED;
	result = json_pack("{s:o, s:o}", "key", json_of(slice_of(key, strlen(key))), "answer",
	    json_of(slice_of(answer, strlen(answer))));
	free(answer);
	return result;
}

json_t *
run_set(const struct options *o, const struct arguments *a, enum status *status)
{
	const char *exptime = a->count == 3 ? a->words[2] : "0";
	size_t size, head;
	char *value, *request;
	json_t *result;
	int32_t seconds;

	check_key(a->words[0]);
	if (!number_parse_i32(slice_of(exptime, strlen(exptime)), &seconds))
		die(STATUS_USAGE, "EXPTIME is a number of seconds, or a Unix time: at most %d",
		    INT32_MAX);
	value = read_value(a->words[1], &size);
	request = value == NULL ? NULL : malloc(size + KEY_MAX + 96);
	if (request == NULL)
		die(STATUS_USAGE, "no memory for the value");
	head = (size_t)snprintf(
	    request, KEY_MAX + 96, "set %s 0 %d %zu\r\n", a->words[0], seconds, size);
	memcpy(request + head, value, size);
	memcpy(request + head + size, "\r\n", 2);
	result = result_of(o, slice_of(request, head + size + 2), a->words[0], "STORED", status);
	free(request);
	free(value);
	return result;
}

void
print_set(json_t *result)
{
	(void)puts(json_string_value(json_object_get(result, "answer")));
}

json_t *
run_del(const struct options *o, const struct arguments *a, enum status *status)
{
	char request[KEY_MAX + 16];

	check_key(a->words[0]);
	(void)snprintf(request, sizeof(request), "delete %s\r\n", a->words[0]);
	return result_of(o, slice_of(request, strlen(request)), a->words[0], "DELETED", status);
}

void
print_del(json_t *result)
{
	print_set(result);
}
