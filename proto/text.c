/* proto/text.c: see text.h. */
#include "proto/text.h"

#include "base/number.h"

void
text_split(struct slice line, struct words *words)
{
	words->count = proto_tokens_next(&line, words->word, TEXT_WORDS_MAX);
}

bool
text_noreply(const struct words *words)
{
	return words->count > 0 &&
	    slice_equal(words->word[words->count - 1], SLICE_LITERAL("noreply"));
}

bool
text_u32(struct slice s, uint32_t *out)
{
	return s.len <= 11 && number_parse_u32(s, out);
}

bool
text_u64(struct slice s, uint64_t *out)
{
	return s.len <= 22 && number_parse_u64(s, out);
}

bool
text_i32(struct slice s, int32_t *out)
{
	return s.len <= 11 && number_parse_i32(s, out);
}

bool
text_i64(struct slice s, int64_t *out)
{
	return s.len <= 22 && number_parse_i64(s, out);
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The digits of S between what strtol skips in front and what memcached allows behind them. */
static bool
trim(struct slice s, bool *negative, struct slice *digits)
{
	size_t i = 0;

	while (i < s.len && is_space(s.ptr[i]))
		i++;
	*negative = i < s.len && s.ptr[i] == '-';
	if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+'))
		i++;
	digits->ptr = s.ptr + i;
	while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
		i++;
	digits->len = (size_t)(s.ptr + i - digits->ptr);
	return i == s.len || is_space(s.ptr[i]) || s.ptr[i] == '\0';
}

/* 64 bits wide. */
static bool
lenient_u64(struct slice s, uint64_t *out)
{
	struct slice digits;
	bool negative;
	uint64_t v;

	if (!trim(s, &negative, &digits) || !number_parse_u64(digits, &v))
		return false;
	if (negative)
		v = 0 - v;
	if (negative && v > INT64_MAX)
		return false;
	*out = v;
	return true;
}

bool
text_lenient_u32(struct slice s, uint32_t *out)
{
	uint64_t v;

	if (!lenient_u64(s, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

bool
text_lenient_i32(struct slice s, int32_t *out)
{
	struct slice digits;
	bool negative;
	uint64_t v;

	if (!trim(s, &negative, &digits) || !number_parse_u64(digits, &v) ||
	    v > (uint64_t)INT64_MAX + negative)
		return false;
	*out = (int32_t)(uint32_t)(negative ? 0 - v : v);
	return true;
}

enum parse_result
text_refuse(struct command *command, struct parse_error *error, struct slice reply, size_t used)
{
	command->used = used;
	*error = (struct parse_error){.reply = reply};
	return PARSE_ERROR;
}

static enum parse_result
refuse_too_large(bool quiet_errors, struct command *command, struct parse_error *error)
{
	text_refuse(command, error, REPLY_TOO_LARGE, command->used);
	error->swallow = (uint64_t)command->size + 2;
	error->silent = quiet_errors && command->noreply;
	error->drop_key = command->op == OP_SET || command->op == OP_MS;
	error->too_large = true;
	return PARSE_ERROR;
}

enum parse_result
text_any_data_block(struct slice window, const struct parse_limits *limits, bool quiet_errors,
    struct command *command, struct parse_error *error)
{
	size_t head = command->used, size = command->size;
	uint64_t total = (uint64_t)limits->item_overhead + (command->client_flags != 0 ? 4 : 0) +
	    command->key.len + 1 + size + 2;
	const char *tail;

	if (total > limits->item_size_max)
		return refuse_too_large(quiet_errors, command, error);
	if (size > limits->inline_value_max)
		return PARSE_STREAM;
	if (window.len - head < size + 2) {
		command->used = 0;
		command->need = head + size + 2;
		return PARSE_MORE;
	}
	command->value = slice_of(window.ptr + head, size);
	command->used = head + size + 2;
	tail = window.ptr + head + size;
	if (text_is_end(tail))
		return PARSE_COMMAND;
	text_refuse(command, error, REPLY_BAD_DATA_CHUNK, command->used);
	error->silent = quiet_errors && command->noreply;
	return PARSE_ERROR;
}
