/* proto/meta.c: see meta.h.
 *
 * A good line is taken in one pass (fast_line). Where that stumbles, the line is split into words and looked at
 * again: a line is refused for the reason for which memcached refuses it, so that way keeps its order: the words, the
 * key, the number of flags, then flag by flag; among bad arguments the last one names the error.
 */
#include "proto/meta.h"

#include "base/assert.h"
#include "proto/base64.h"
#include "proto/text.h"

#define WORDS_MAX 22 /* behind the command's name */
#define FLAGS_MAX 20 /* words of the line, all of them counted */

#define VALID_FLAGS                                                                                \
	(META_FLAG('b') | META_FLAG('N') | META_FLAG('T') | META_FLAG('R') | META_FLAG('l') |      \
	    META_FLAG('O') | META_FLAG('P') | META_FLAG('L') | META_FLAG('k') | META_FLAG('s') |   \
	    META_FLAG('t') | META_FLAG('c') | META_FLAG('f') | META_FLAG('v') | META_FLAG('h') |   \
	    META_FLAG('u') | META_FLAG('q') | META_FLAG('x') | META_FLAG('F') | META_FLAG('C') |   \
	    META_FLAG('E') | META_FLAG('M') | META_FLAG('J') | META_FLAG('D') | META_FLAG('I'))

/* ---------------------------------------------------------------- flags */

/* What a flag with a bad argument is answered with; the one of F falls back to the general text. */
static struct slice
bad_argument(char flag)
{
	switch (flag) {
	case 'F':
		return REPLY_BAD_FORMAT;
	case 'J':
		return REPLY_BAD_INITIAL;
	case 'D':
		return REPLY_BAD_META_DELTA;
	case 'b':
		return REPLY_BAD_KEY;
	default:
		return REPLY_BAD_TOKEN;
	}
}

static bool
decode_key(struct command *command)
{
	size_t len = base64_decode(command->meta.key_bytes, command->meta.wire_key);

	command->key = slice_of(command->meta.key_bytes, len);
	return len > 0;
}

/* The flags whose argument means something. */
#define ARGUMENT_FLAGS                                                                             \
	(META_FLAG('b') | META_FLAG('T') | META_FLAG('N') | META_FLAG('R') | META_FLAG('F') |      \
	    META_FLAG('C') | META_FLAG('E') | META_FLAG('J') | META_FLAG('D') | META_FLAG('M'))

/* Takes FLAG in; false where its argument is bad. */
static bool
take_flag(struct slice flag, struct command *command)
{
	struct slice arg = slice_of(flag.ptr + 1, flag.len - 1);
	struct meta_request *meta = &command->meta;

	switch (flag.ptr[0]) {
	case 'b':
		return decode_key(command);
	case 'T':
		return text_i32(arg, &meta->ttl);
	case 'N':
		return text_i32(arg, &meta->vivify_ttl);
	case 'R':
		return text_i32(arg, &meta->recache_ttl);
	case 'F':
		return text_u32(arg, &command->client_flags);
	case 'C':
		return text_u64(arg, &meta->compare_cas);
	case 'E':
		return text_u64(arg, &meta->explicit_cas);
	case 'J':
		return text_u64(arg, &meta->initial);
	case 'D':
		return text_u64(arg, &meta->delta);
	case 'M':
		meta->mode = arg.len > 0 ? arg.ptr[0] : ' ';
		return true;
	default:
		return true;
	}
}

/* Takes all flags in; the reply is empty where they are good. */
static struct slice
take_flags(const struct slice *flags, unsigned count, struct command *command)
{
	struct slice reply = {0};
	uint64_t seen = 0;

	for (unsigned i = 0; i < count; i++) {
		char c = flags[i].ptr[0];
		uint64_t bit = c >= 'A' ? META_FLAG(c) : 0; /* the rest are digits, valid nowhere */

		if ((seen & bit) != 0)
			return REPLY_DUPLICATE_FLAG;
		if ((VALID_FLAGS & bit) == 0)
			return REPLY_INVALID_FLAG;
		seen |= bit;
		if (unlikely(!take_flag(flags[i], command)) && (c != 'F' || reply.len == 0))
			reply = bad_argument(c);
	}
	command->meta.flags = seen;
	return reply;
}

/* ---------------------------------------------------------------- modes and what follows from flags */

/* The mode as its default or its capital; 0 where there is no such mode. */
static char
canonical_mode(enum opcode op, char mode)
{
	if (op == OP_MS)
		return mode == 0 ? 'S' : (memchr("SARPE", mode, 5) != NULL ? mode : 0);
	if (op != OP_MA)
		return 'S';
	switch (mode) {
	case 0:
	case 'I':
	case '+':
		return 'I';
	case 'D':
	case '-':
		return 'D';
	default:
		return 0;
	}
}

static bool
opaque_fits(const struct slice *flags, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (flags[i].ptr[0] == 'O')
			return flags[i].len - 1 <= PROTO_OPAQUE_MAX;
	return true;
}

static int32_t
expiry(const struct command *command)
{
	const struct meta_request *meta = &command->meta;
	bool appends = command->op == OP_MS && (meta->mode == 'A' || meta->mode == 'P');

	if (appends && (meta->flags & META_FLAG('N')) != 0)
		return meta->vivify_ttl;
	return (meta->flags & META_FLAG('T')) != 0 ? meta->ttl : 0;
}

static void
reset(struct command *command)
{
	command->meta.mode = 0;
	command->meta.initial = 0;
	command->meta.delta = 1;
	command->client_flags = 0;
}

/* What follows from good flags. The reply is empty where that is good, too. */
static struct slice
conclude(enum opcode op, struct command *command)
{
	command->meta.mode = canonical_mode(op, command->meta.mode);
	if (command->meta.mode == 0)
		return op == OP_MA ? REPLY_BAD_MA_MODE : REPLY_BAD_MS_MODE;
	command->exptime = expiry(command);
	command->noreply = (command->meta.flags & META_FLAG('q')) != 0;
	return slice_of(NULL, 0);
}

/* Everything behind the words of the line; the reply is empty where it is good. */
static struct slice
take_request(
    enum opcode op, const struct words *words, unsigned first_flag, struct command *command)
{
	const struct slice *flags = &words->word[first_flag];
	unsigned count = words->count - first_flag;
	struct slice reply;

	reset(command);
	if (command->key.len > PROTO_KEY_MAX)
		reply = REPLY_BAD_FORMAT;
	else if (words->count + 1 > FLAGS_MAX)
		reply = REPLY_TOO_MANY_FLAGS;
	else
		reply = take_flags(flags, count, command);
	if (reply.len > 0)
		return op == OP_MA ? REPLY_INVALID_OR_DUPLICATE_FLAG : reply;
	reply = conclude(op, command);
	if (reply.len == 0 && (command->meta.flags & META_FLAG('O')) != 0 &&
	    !opaque_fits(flags, count))
		return REPLY_OPAQUE_TOO_LONG;
	return reply;
}

/* ---------------------------------------------------------------- commands */

/* The words of ARGS, and whether memcached takes each flag's first byte for one. */
static bool
split(struct slice args, unsigned first_flag, struct words *words)
{
	text_split(args, words);
	if (words->count > WORDS_MAX)
		words->count = WORDS_MAX;
	for (unsigned i = first_flag; i < words->count; i++) {
		char c = words->word[i].ptr[0];

		if (!((c >= 'A' && c <= 'z') || (c >= '0' && c <= '9')))
			return false;
	}
	return words->count >= first_flag;
}

static enum parse_result
parse_ms(const struct words *words, size_t used, struct slice window,
    const struct parse_limits *limits, struct command *command, struct parse_error *error)
{
	struct slice reply;
	int32_t size;

	if (!text_i32(words->word[1], &size) || size < 0 || (uint32_t)size > PROTO_VALUE_MAX) {
		text_refuse(command, error, REPLY_BAD_FORMAT, used);
		error->close = limits->strict;
		return PARSE_ERROR;
	}
	command->size = (uint32_t)size;
	reply = take_request(OP_MS, words, 2, command);
	if (reply.len == 0)
		return text_data_block(window, limits, false, command, error);
	text_refuse(command, error, reply, used);
	error->swallow = (uint64_t)command->size + 2;
	return PARSE_ERROR;
}

static enum parse_result
parse_me(const struct words *words, size_t used, struct command *command, struct parse_error *error)
{
	bool binary = words->count > 1 && slice_is(words->word[1], "b");

	command->noreply = false;
	command->meta.flags = binary ? META_FLAG('b') : 0;
	if (command->key.len > PROTO_KEY_MAX || (binary && !decode_key(command)))
		return text_refuse(command, error, REPLY_BAD_FORMAT, used);
	return PARSE_COMMAND;
}

enum parse_result
meta_parse(enum opcode op, struct slice args, size_t used, struct slice window,
    const struct parse_limits *limits, struct command *command, struct parse_error *error)
{
	unsigned first_flag = op == OP_MS ? 2 : 1;
	const char *end = args.ptr + args.len;
	struct slice reply;
	struct words words;

	command->op = (uint8_t)op;
	command->used = used;
	command->noreply = false;
	if (op == OP_MN)
		return PARSE_COMMAND;
	if (!split(args, first_flag, &words)) {
		text_refuse(command, error, REPLY_BAD_FORMAT, used);
		error->close = op == OP_MS && limits->strict;
		return PARSE_ERROR;
	}
	command->key = command->meta.wire_key = words.word[0];
	command->meta.tokens = words.count > first_flag
	    ? slice_of(words.word[first_flag].ptr, (size_t)(end - words.word[first_flag].ptr))
	    : slice_of(end, 0);
	if (op == OP_MS)
		return parse_ms(&words, used, window, limits, command, error);
	if (op == OP_ME)
		return parse_me(&words, used, command, error);
	reply = take_request(op, &words, 1, command);
	return reply.len == 0 ? PARSE_COMMAND : text_refuse(command, error, reply, used);
}

/* ---------------------------------------------------------------- plain reads */

#define PLAIN_FLAGS                                                                                \
	(META_FLAG('v') | META_FLAG('f') | META_FLAG('s') | META_FLAG('t') | META_FLAG('c') |      \
	    META_FLAG('k') | META_FLAG('q') | META_FLAG('O'))

const char *
meta_plain_flags(const char *p, const char *end)
{
	uint64_t seen = 0;

	while (end - p >= 2 && *p == ' ') {
		const char *flag = p + 1;

		if (*flag < 'A' || *flag > 'z' || (META_FLAG(*flag) & PLAIN_FLAGS & ~seen) == 0)
			return NULL;
		seen |= META_FLAG(*flag);
		p += 2;
		if (*flag == 'O')
			p = text_break(flag, p, end);
		if (p - flag > (ptrdiff_t)PROTO_OPAQUE_MAX + 1)
			return NULL;
	}
	return end - p >= 2 && text_is_end(p) ? p + 2 : NULL;
}

bool
meta_plain_has(struct slice flags, char flag)
{
	struct slice word;

	while (meta_flag_next(&flags, &word))
		if (word.ptr[0] == flag)
			return true;
	return false;
}

/* ---------------------------------------------------------------- the fast way */

/* The end of the line whose first blank or control byte stands at STOP; NULL where it is not there. */
static ALWAYS_INLINE const char *
line_end(const char *begin, const char *stop, const char *end)
{
	const char *eol = text_find(begin, stop, end, '\n', '\n');

	return eol != end && (*stop == ' ' || eol - stop <= (*stop == '\r')) ? eol : NULL;
}

/* The value of a flag that is one to nine digits; false where it is anything else. */
static bool
plain_number(struct slice arg, uint32_t *out)
{
	uint32_t v = 0;

	if (arg.len - 1 >= 9)
		return false;
	for (size_t i = 0; i < arg.len; i++) {
		unsigned digit = (unsigned)(unsigned char)arg.ptr[i] - '0';

		if (digit > 9)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

/* " <bytes>" at *P, before END; false where it is anything else. */
static ALWAYS_INLINE bool
fast_size(const char **p, const char *end, struct command *command)
{
	const char *s = *p + 1, *stop = s;

	while (stop < end && *stop != ' ')
		stop++;
	*p = stop;
	return s <= end && plain_number(slice_of(s, (size_t)(stop - s)), &command->size);
}

/* A flag with its argument, both good; false where they are not plainly so. */
static bool
fast_argument(struct slice flag, struct command *command)
{
	uint32_t v;

	switch (flag.ptr[0]) {
	case 'O':
		return flag.len - 1 <= PROTO_OPAQUE_MAX;
	case 'T':
		if (!plain_number(slice_of(flag.ptr + 1, flag.len - 1), &v))
			break;
		command->meta.ttl = (int32_t)v;
		return true;
	case 'F':
		if (!plain_number(slice_of(flag.ptr + 1, flag.len - 1), &v))
			break;
		command->client_flags = v;
		return true;
	default:
		break;
	}
	return take_flag(flag, command);
}

/* All flags between P and END; false where one of them is not plainly good. */
static bool
fast_flags(const char *p, const char *end, struct command *command)
{
	struct slice rest = slice_of(p, (size_t)(end - p)), flag;
	uint64_t seen = 0, bit;
	unsigned count;

	for (count = 0; meta_flag_next(&rest, &flag); count++) {
		if (*flag.ptr < 'A' || *flag.ptr > 'z')
			return false;
		bit = META_FLAG(*flag.ptr);
		if ((bit & VALID_FLAGS & ~seen) == 0)
			return false;
		if ((bit & (ARGUMENT_FLAGS | META_FLAG('O'))) != 0 && !fast_argument(flag, command))
			return false;
		seen |= bit;
	}
	command->meta.flags = seen;
	return count <= FLAGS_MAX - 3;
}

/* " v\r\n" at STOP, behind the key at P: what most ask for. */
static ALWAYS_INLINE enum parse_result
take_plain_mg(const char *begin, const char *p, const char *stop, struct command *command)
{
	command->op = OP_MG;
	command->noreply = false;
	command->used = (size_t)(stop + 4 - begin);
	command->exptime = 0;
	command->client_flags = 0;
	command->key = slice_of(p, (size_t)(stop - p));
	command->meta.wire_key = slice_of(p, (size_t)(stop - p));
	command->meta.flags = META_FLAG('v');
	command->meta.tokens = slice_of(stop, 2);
	command->meta.mode = 'S';
	return PARSE_COMMAND;
}

/* "<key> [<bytes>] <flag>*", for a constant OP where there is one; the key is the LEN bytes in front of STOP. False: the
 * general way must look, and nothing is said about COMMAND. */
static ALWAYS_INLINE bool
fast_line(
    enum opcode op, struct slice window, const char *stop, size_t len, struct command *command)
{
	const char *begin = window.ptr, *end = begin + window.len, *eol;

	if (len - 1 >= PROTO_KEY_MAX || stop == end || (eol = line_end(begin, stop, end)) == NULL ||
	    eol - begin >= (ptrdiff_t)PROTO_LINE_WHOLE)
		return false;
	command->op = (uint8_t)op;
	command->used = (size_t)(eol + 1 - begin);
	command->key = slice_of(stop - len, len);
	command->meta.wire_key = slice_of(stop - len, len);
	eol -= eol[-1] == '\r';
	if (op == OP_MS && !fast_size(&stop, eol, command))
		return false;
	command->meta.tokens = slice_of(stop, (size_t)(eol - stop));
	reset(command);
	return fast_flags(stop, eol, command) && conclude(op, command).len == 0;
}

/* The first blank or control byte behind "m? ". */
static ALWAYS_INLINE const char *
key_end(struct slice window)
{
	return text_break(window.ptr, window.ptr + 3, window.ptr + window.len);
}

enum parse_result
meta_parse_other(enum opcode op, struct slice window, const struct parse_limits *limits,
    struct command *command, struct parse_error *error)
{
	const char *stop = key_end(window);
	size_t len = (size_t)(stop - window.ptr) - 3;

	if (unlikely(!fast_line(op, window, stop, len, command)))
		return text_parse(window, limits, command, error);
	return op == OP_MS ? text_data_block(window, limits, false, command, error) : PARSE_COMMAND;
}

/* An mg with any flags, or with none. */
static __attribute__((noinline)) enum parse_result
parse_mg(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error, const char *stop, size_t len)
{
	if (unlikely(!fast_line(OP_MG, window, stop, len, command)))
		return text_parse(window, limits, command, error);
	return PARSE_COMMAND;
}

enum parse_result
meta_parse_mg(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error)
{
	const char *p = window.ptr + 3, *stop = key_end(window);
	size_t len = (size_t)(stop - p);

	if (likely(window.ptr + window.len - stop >= 4 && memcmp(stop, " v\r\n", 4) == 0 &&
		len - 1 < PROTO_KEY_MAX))
		return take_plain_mg(window.ptr, p, stop, command);
	return parse_mg(window, limits, command, error, stop, len);
}
