/* proto/binary.c: see binary.h.
 *
 * The order of the checks is memcached's: lengths against each other, the body against the highest limit, the key,
 * then the opcode's own form. Only after them is a byte behind the header looked at, or waited for.
 */
#include "proto/binary.h"

#include <endian.h>

#include "base/assert.h"

#define BODY_MAX      (1u << 30) /* of extras, key and value */
#define MECHANISM_MAX 32u        /* bytes of the name of a SASL mechanism */

/* ---------------------------------------------------------------- tables */

enum {
	BINARY_QUIET = 1u,
	BINARY_WITH_KEY = 2u,
};

/* The flags of the commands as constants. */
enum {
#define COMMAND(symbol, surface, name, arguments, flags, help) COMMAND_FLAGS_##symbol = (flags),
#include "proto/tbl/commands.h"
#undef COMMAND
};

static const struct opcode_info {
	bool known;
	uint8_t op, flags, extras;
	uint8_t command_flags; /* enum command_flag */
	bool key_alone;        /* neither extras nor a value */
} opcode_infos[256] = {
#define OPCODE(code, symbol, command, flags, extras)                                               \
	[code] = {true, OP_##command, flags, extras, COMMAND_FLAGS_##command,                      \
	    (extras) == 0 && (COMMAND_FLAGS_##command & (CMD_KEY | CMD_VALUE)) == CMD_KEY},
#include "proto/tbl/opcodes.h"
#undef OPCODE
};

struct slice
binary_status_text(uint16_t status)
{
	switch (status) {
#define STATUS(symbol, code, text)                                                                 \
	case code:                                                                                 \
		return SLICE_LITERAL(text);
#include "proto/tbl/statuses.h"
#undef STATUS
	default:
		return SLICE_LITERAL("");
	}
}

/* ---------------------------------------------------------------- the header */

struct header {
	uint16_t key_length;
	uint8_t extras_length;
	uint32_t body_length;
	uint32_t value_length;
};

static inline uint32_t
get_u32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return be32toh(v);
}

static inline uint64_t
get_u64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return be64toh(v);
}

static void
read_header(const char *p, struct header *header, struct command *command)
{
	header->key_length = (uint16_t)(get_u32(p) & 0xffff);
	header->extras_length = (uint8_t)p[4];
	header->body_length = get_u32(p + 8);
	command->binary.opcode = (uint8_t)p[1];
	command->binary.opaque = get_u32(p + 12);
	command->binary.with_key = false;
	command->binary.has_extras = header->extras_length > 0;
	command->cas = get_u64(p + 16);
}

/* ---------------------------------------------------------------- results */

static enum parse_result
refuse(struct command *command, struct parse_error *error, uint16_t status)
{
	command->used = BINARY_HEADER_SIZE;
	*error = (struct parse_error){.reply = {"", 0}, .status = status};
	return PARSE_ERROR;
}

static enum parse_result
refuse_and_close(struct command *command, struct parse_error *error, uint16_t status)
{
	refuse(command, error, status);
	error->close = true;
	return PARSE_ERROR;
}

static enum parse_result
more(struct command *command, size_t need)
{
	command->used = 0;
	command->need = need;
	return PARSE_MORE;
}

/* ---------------------------------------------------------------- what each opcode must look like */

/* Whether the lengths are those of a request with this opcode. The value's length was computed. */
static bool
is_well_formed(const struct opcode_info *info, const struct header *header)
{
	bool has_key = header->key_length > 0;

	switch ((int)info->op) {
	case OP_BIN_FLUSH:
		return !has_key && header->value_length == 0 &&
		    (header->extras_length == 0 || header->extras_length == 4);
	case OP_BIN_STAT:
		return header->extras_length == 0 && header->value_length == 0;
	case OP_BIN_SASL_AUTH:
	case OP_BIN_SASL_STEP:
		return header->extras_length == 0 && has_key;
	default:
		break;
	}
	if (header->extras_length != info->extras ||
	    has_key != ((info->command_flags & CMD_KEY) != 0))
		return false;
	return (info->command_flags & CMD_VALUE) != 0 || header->value_length == 0;
}

static bool
is_too_large(const struct header *header, const struct parse_limits *limits, uint32_t client_flags)
{
	uint64_t total = (uint64_t)limits->item_overhead + (client_flags != 0 ? 4 : 0) +
	    header->key_length + 1 + (uint64_t)header->value_length + 2;

	return total > limits->item_size_max;
}

/* The extras at P, as the opcode means them. */
static void
read_extras(const char *p, const struct header *header, struct command *command)
{
	command->client_flags = 0;
	command->exptime = 0;
	switch (header->extras_length) {
	case 4:
		command->exptime = (int32_t)get_u32(p);
		break;
	case 8:
		command->client_flags = get_u32(p);
		command->exptime = (int32_t)get_u32(p + 4);
		break;
	case 20:
		command->delta = get_u64(p);
		command->initial = get_u64(p + 8);
		command->exptime = (int32_t)get_u32(p + 16);
		break;
	default:
		break;
	}
}

/* ---------------------------------------------------------------- requests with a value */

static enum parse_result
refuse_too_large(const struct header *header, struct command *command, struct parse_error *error)
{
	size_t used = command->used;

	refuse(command, error, BINARY_STATUS_E2BIG);
	command->used = used;
	error->swallow = header->value_length;
	error->drop_key = command->op == OP_BIN_SET;
	error->too_large = true;
	return PARSE_ERROR;
}

static enum parse_result
take_value(struct slice window, const struct header *header, const struct parse_limits *limits,
    struct command *command, struct parse_error *error)
{
	size_t head = command->used, size = header->value_length;

	command->size = header->value_length;
	if (is_too_large(header, limits, command->client_flags))
		return refuse_too_large(header, command, error);
	if (size > limits->inline_value_max)
		return PARSE_STREAM;
	if (window.len - head < size)
		return more(command, head + size);
	command->value = slice_of(window.ptr + head, size);
	command->used = head + size;
	return PARSE_COMMAND;
}

static enum parse_result
take_sasl(struct slice window, const struct header *header, const struct parse_limits *limits,
    struct command *command, struct parse_error *error)
{
	size_t head = command->used, size = header->value_length;
	uint16_t status = 0;

	if (!limits->sasl)
		status = BINARY_STATUS_UNKNOWN_COMMAND;
	else if (header->key_length > MECHANISM_MAX)
		status = BINARY_STATUS_EINVAL;
	else if (size > PROTO_SASL_MAX)
		status = BINARY_STATUS_ENOMEM;
	if (status != 0) {
		refuse(command, error, status);
		command->used = head;
		error->swallow = size;
		return PARSE_ERROR;
	}
	if (window.len - head < size)
		return more(command, head + size);
	command->size = header->value_length;
	command->value = slice_of(window.ptr + head, size);
	command->used = head + size;
	return PARSE_COMMAND;
}

/* ---------------------------------------------------------------- the whole */

/* Behind the header, which is sound. */
static enum parse_result
parse_body(struct slice window, const struct opcode_info *info, const struct header *header,
    const struct parse_limits *limits, struct command *command, struct parse_error *error)
{
	size_t head = BINARY_HEADER_SIZE + (size_t)header->extras_length + header->key_length;
	const char *extras = window.ptr + BINARY_HEADER_SIZE;

	if (window.len < head)
		return more(command, head);
	command->op = info->op;
	command->noreply = (info->flags & BINARY_QUIET) != 0;
	command->binary.with_key = (info->flags & BINARY_WITH_KEY) != 0;
	command->key = slice_of(extras + header->extras_length, header->key_length);
	command->used = head;
	read_extras(extras, header, command);
	switch ((int)info->op) {
	case OP_BIN_SASL_LIST:
		return limits->sasl ? PARSE_COMMAND
				    : refuse(command, error, BINARY_STATUS_UNKNOWN_COMMAND);
	case OP_BIN_SASL_AUTH:
	case OP_BIN_SASL_STEP:
		return take_sasl(window, header, limits, command, error);
	default:
		if ((info->command_flags & CMD_VALUE) != 0)
			return take_value(window, header, limits, command, error);
		return PARSE_COMMAND;
	}
}

/* Any request, sound or not. */
static __attribute__((noinline)) enum parse_result
parse_general(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error)
{
	const struct opcode_info *info;
	struct header header;

	if (window.len > 0 && (unsigned char)window.ptr[0] != PROTO_BINARY_MAGIC) {
		refuse_and_close(command, error, 0);
		command->used = 1;
		return PARSE_ERROR;
	}
	if (window.len < BINARY_HEADER_SIZE)
		return more(command, BINARY_HEADER_SIZE);
	command->noreply = false;
	read_header(window.ptr, &header, command);
	if ((uint32_t)header.key_length + header.extras_length > header.body_length)
		return refuse_and_close(command, error, BINARY_STATUS_UNKNOWN_COMMAND);
	if (header.body_length > BODY_MAX || header.key_length > PROTO_KEY_MAX)
		return refuse_and_close(command, error, BINARY_STATUS_EINVAL);
	header.value_length = header.body_length - header.key_length - header.extras_length;
	info = &opcode_infos[command->binary.opcode];
	if (!info->known) {
		refuse(command, error, BINARY_STATUS_UNKNOWN_COMMAND);
		error->swallow = header.body_length;
		return PARSE_ERROR;
	}
	if (!is_well_formed(info, &header))
		return refuse_and_close(command, error, BINARY_STATUS_EINVAL);
	return parse_body(window, info, &header, limits, command, error);
}

/* What the header at P, of which FIRST and SECOND are the first 16 bytes, says where all lengths in it are sound; the
 * extras are to be read yet. */
static ALWAYS_INLINE void
take_request(const char *p, const struct opcode_info *info, uint64_t first, uint64_t second,
    struct command *command)
{
	size_t key_length = (uint16_t)(first >> 32);
	size_t before = BINARY_HEADER_SIZE + (size_t)info->extras;

	command->op = info->op;
	command->noreply = (info->flags & BINARY_QUIET) != 0;
	command->used = before + key_length;
	command->exptime = 0;
	command->client_flags = 0;
	command->key = slice_of(p + before, key_length);
	command->cas = get_u64(p + 16);
	command->binary.opaque = (uint32_t)second;
	command->binary.opcode = (uint8_t)(first >> 48);
	command->binary.with_key = (info->flags & BINARY_WITH_KEY) != 0;
	command->binary.has_extras = info->extras > 0;
}

/* A request with a whole header. What is not sound, or has no key, goes the general way. */
static __attribute__((noinline)) enum parse_result
parse_keyed(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error)
{
	uint64_t first = get_u64(window.ptr), second = get_u64(window.ptr + 8);
	const struct opcode_info *info = &opcode_infos[first >> 48 & 0xff];
	struct header header = {
	    .key_length = (uint16_t)(first >> 32),
	    .extras_length = (uint8_t)(first >> 24),
	    .body_length = (uint32_t)(second >> 32),
	};
	size_t room = (size_t)header.extras_length + header.key_length;

	if (unlikely(first >> 56 != PROTO_BINARY_MAGIC || header.extras_length != info->extras ||
		(info->command_flags & CMD_KEY) == 0 || header.key_length - 1u >= PROTO_KEY_MAX ||
		header.body_length > BODY_MAX || window.len - BINARY_HEADER_SIZE < room ||
		header.body_length < room))
		return parse_general(window, limits, command, error);
	header.value_length = (uint32_t)(header.body_length - room);
	take_request(window.ptr, info, first, second, command);
	if (header.extras_length > 0)
		read_extras(window.ptr + BINARY_HEADER_SIZE, &header, command);
	if ((info->command_flags & CMD_VALUE) != 0)
		return take_value(window, &header, limits, command, error);
	if (unlikely(header.value_length > 0))
		return parse_general(window, limits, command, error);
	return PARSE_COMMAND;
}

enum parse_result
binary_parse(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error)
{
	const struct opcode_info *info;
	uint64_t first, second;
	unsigned length;

	if (unlikely(window.len < BINARY_HEADER_SIZE))
		return parse_general(window, limits, command, error);
	first = get_u64(window.ptr);
	second = get_u64(window.ptr + 8);
	info = &opcode_infos[first >> 48 & 0xff];
	length = (uint16_t)(first >> 32);
	if (first >> 56 != PROTO_BINARY_MAGIC || (uint8_t)(first >> 24) != 0 || !info->key_alone ||
	    second >> 32 != length || length - 1 >= PROTO_KEY_MAX ||
	    window.len - BINARY_HEADER_SIZE < length)
		return parse_keyed(window, limits, command, error);
	take_request(window.ptr, info, first, second, command);
	return PARSE_COMMAND;
}
