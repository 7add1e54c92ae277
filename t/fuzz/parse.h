/* t/fuzz/parse.h: what the fuzz targets of the parsers do with their input.
 *
 * The first byte chooses the limits and how the stream is cut, the rest is the stream of one connection. It is parsed
 * as a server would, each window in memory of its own exact size, so that the address sanitizer sees a byte too many.
 * What must hold: progress, slices inside of the window, an answer that is a line, nothing parsed differently because
 * a byte more or less is there, formatters within their maximum.
 */
#ifndef T_FUZZ_PARSE_H
#define T_FUZZ_PARSE_H

#include <stdlib.h>

#include "base/assert.h"
#include "proto/classic.h"
#include "proto/reply.h"

typedef enum parse_result fuzz_parser(struct slice window, const struct parse_limits *limits,
    struct command *command, struct parse_error *error);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct parse_limits
fuzz_limits(uint8_t choice)
{
	return (struct parse_limits){
	    .item_size_max = (choice & 1) != 0 ? 1 << 20 : 200,
	    .item_overhead = 56,
	    .inline_value_max = (choice & 2) != 0 ? 1 << 16 : 4,
	    .strict = (choice & 4) != 0,
	    .sasl = (choice & 8) != 0,
	};
}

/* S lies in the window of LEN bytes at P, or in COMMAND itself. */
static inline void
fuzz_check_slice(struct slice s, const char *p, size_t len, const struct command *command)
{
	const char *own = (const char *)command;

	if (s.len == 0)
		return;
	ASSERT((s.ptr >= p && s.len <= len && s.ptr + s.len <= p + len) ||
	    (s.ptr >= own && s.ptr + s.len <= own + sizeof(*command)));
}

static inline void
fuzz_check_command(
    enum parse_result result, const char *p, size_t len, const struct command *command)
{
	const struct command_info *info = &command_infos[command->op];
	struct slice rest = command->rest, word;

	ASSERT(command->op < OP_COUNT);
	if ((info->flags & (CMD_KEY | CMD_KEYS)) != 0) {
		ASSERT(command->key.len > 0 && command->key.len <= PROTO_KEY_MAX);
		fuzz_check_slice(command->key, p, len, command);
	}
	if ((info->flags & CMD_KEYS) != 0)
		while (proto_token_next(&rest, &word))
			ASSERT(word.len > 0 && word.len <= PROTO_KEY_MAX);
	if ((info->flags & CMD_VALUE) != 0 && result == PARSE_COMMAND) {
		ASSERT(command->value.len == command->size);
		fuzz_check_slice(command->value, p, len, command);
	}
}

/* Answers of every kind to a meta command, which must stay within their maximum. */
static inline void
fuzz_format(const struct command *command)
{
	static const struct meta_facts most = {
	    .cas = UINT64_MAX,
	    .ttl = INT64_MAX,
	    .size = UINT32_MAX,
	    .flags = UINT32_MAX,
	    .age = UINT32_MAX,
	    .won = true,
	    .stale = true,
	    .others_won = true,
	    .binary_key = true,
	};
	char *room = malloc(REPLY_META_MAX);

	ASSERT(room != NULL);
	if (command->op == OP_ME) {
		ASSERT(reply_me(room, command, &most, UINT32_MAX, SIZE_MAX) - room <= REPLY_ME_MAX);
	} else if (command->op != OP_MN) {
		for (enum meta_code code = META_HD; code <= META_NF; code++) {
			ASSERT(reply_meta(room, code, command, &most) - room <= REPLY_META_MAX);
			ASSERT(reply_meta(room, code, command, NULL) - room <= REPLY_META_MAX);
		}
	}
	free(room);
}

/* Parses the first command of the LEN bytes at P in memory of their own; what it points to is checked. */
static inline enum parse_result
fuzz_parse_exact(fuzz_parser *parse, const struct parse_limits *limits, const char *p, size_t len,
    struct command *command, struct parse_error *error)
{
	char *window = malloc(len > 0 ? len : 1);
	enum parse_result result;

	ASSERT(window != NULL);
	memcpy(window, p, len);
	result = parse(slice_of(window, len), limits, command, error);
	ASSERT(
	    result == PARSE_MORE ? command->used == 0 : command->used > 0 && command->used <= len);
	ASSERT(result != PARSE_MORE || command->need == 0 || command->need > len);
	if (result == PARSE_COMMAND || result == PARSE_STREAM) {
		fuzz_check_command(result, window, len, command);
		if (command_infos[command->op].surface == SURFACE_META)
			fuzz_format(command);
	}
	if (result == PARSE_ERROR && error->reply.len > 0)
		ASSERT(error->reply.len > 2 && error->reply.ptr[error->reply.len - 1] == '\n');
	free(window);
	return result;
}

/* The first LESS bytes of what gave RESULT and USED give the same, or ask for more. */
static inline void
fuzz_check_shorter(fuzz_parser *parse, const struct parse_limits *limits, const char *p,
    size_t less, enum parse_result result, size_t used)
{
	struct parse_error error;
	struct command command;
	enum parse_result again = fuzz_parse_exact(parse, limits, p, less, &command, &error);

	if (less > PROTO_LINE_MAX || again == PARSE_MORE)
		return;
	ASSERT(again == result && command.used == used);
}

static inline void
fuzz_stream(fuzz_parser *parse, const uint8_t *data, size_t size)
{
	struct parse_limits limits = fuzz_limits(data[0]);
	const char *p = (const char *)data + 1;
	size_t left = size - 1;
	struct parse_error error;
	struct command command;

	while (left > 0) {
		enum parse_result result =
		    fuzz_parse_exact(parse, &limits, p, left, &command, &error);
		uint64_t done = command.used;

		if (result == PARSE_MORE)
			return;
		fuzz_check_shorter(
		    parse, &limits, p, left * (data[0] >> 4) / 16, result, command.used);
		fuzz_check_shorter(parse, &limits, p, command.used - 1, result, command.used);
		if (result == PARSE_STREAM)
			done += command.size;
		if (result == PARSE_ERROR)
			done += error.swallow;
		if (done >= left || (result == PARSE_ERROR && error.close))
			return;
		p += done;
		left -= (size_t)done;
	}
}

#endif
