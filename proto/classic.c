/* proto/classic.c: lines of text.
 *
 * get and set, as nearly all clients send them, are recognised while their line is read, once, left to right.
 * Whatever is not exactly of that form falls through to the general way: find the line's end, find the command, split
 * the line into words. Both must agree; the tests feed them the same lines.
 */
#include "proto/classic.h"

#include <endian.h>

#include "base/assert.h"
#include "proto/meta.h"
#include "proto/text.h"

/* ---------------------------------------------------------------- reading */

/* Whether every word of KEYS can be a key: no run of PROTO_KEY_MAX + 1 bytes is without a blank. */
static bool
keys_fit(struct slice keys)
{
	const char *p = keys.ptr, *end = p + keys.len;

	while (end - p > (ptrdiff_t)PROTO_KEY_MAX) {
		p = memrchr(p, ' ', PROTO_KEY_MAX + 1);
		if (p == NULL)
			return false;
		p++;
	}
	return true;
}

/* REST begins in front of the first key. */
static enum parse_result
parse_keys(struct slice rest, size_t used, struct command *command, struct parse_error *error)
{
	command->noreply = false;
	command->rest = rest;
	command->used = used;
	if (!keys_fit(rest) || !proto_token_next(&command->rest, &command->key))
		return text_refuse(command, error, REPLY_BAD_FORMAT, used);
	return PARSE_COMMAND;
}

static enum parse_result
parse_get(enum opcode op, struct slice args, size_t used, struct command *command,
    struct parse_error *error)
{
	command->op = (uint8_t)op;
	return parse_keys(args, used, command, error);
}

static enum parse_result
parse_gat(enum opcode op, struct slice args, size_t used, struct command *command,
    struct parse_error *error)
{
	struct slice exptime, rest = args, key;

	command->op = (uint8_t)op;
	if (!proto_token_next(&rest, &exptime))
		return text_refuse(command, error, REPLY_BAD_FORMAT, used);
	args = rest;
	if (!proto_token_next(&rest, &key))
		return text_refuse(command, error, REPLY_BAD_FORMAT, used);
	if (!text_i32(exptime, &command->exptime))
		return text_refuse(command, error, REPLY_BAD_EXPTIME, used);
	return parse_keys(args, used, command, error);
}

/* ---------------------------------------------------------------- writing */

/* The length of the data block is not known: it will be taken for commands, as memcached does. */
static enum parse_result
refuse_unknown_length(const struct parse_limits *limits, size_t used, struct command *command,
    struct parse_error *error)
{
	text_refuse(command, error, REPLY_BAD_FORMAT, used);
	error->close = limits->strict;
	return PARSE_ERROR;
}

static enum parse_result
parse_storage(enum opcode op, struct slice line, size_t used, struct slice window,
    const struct parse_limits *limits, struct command *command, struct parse_error *error)
{
	struct words words;
	int32_t size;
	bool good;

	text_split(line, &words);
	if (words.count < 5 || !text_i32(words.word[4], &size) || size < 0 ||
	    (uint32_t)size > PROTO_VALUE_MAX)
		return refuse_unknown_length(limits, used, command, error);
	command->op = (uint8_t)op;
	command->used = used;
	command->key = words.word[1];
	command->size = (uint32_t)size;
	command->noreply = text_noreply(&words);
	good = words.word[1].len <= PROTO_KEY_MAX &&
	    text_lenient_u32(words.word[2], &command->client_flags) &&
	    text_lenient_i32(words.word[3], &command->exptime);
	command->cas = 0;
	if (op == OP_CAS)
		good = good && words.count > 5 && text_u64(words.word[5], &command->cas);
	if (good)
		return text_data_block(window, limits, true, command, error);
	text_refuse(command, error, REPLY_BAD_FORMAT, used);
	error->swallow = (uint64_t)command->size + 2;
	error->silent = command->noreply;
	return PARSE_ERROR;
}

/* The commands of a key and at most one argument: incr, decr, touch, delete. */
static enum parse_result
parse_simple(enum opcode op, struct slice line, size_t used, struct command *command,
    struct parse_error *error)
{
	struct slice reply = {0};
	struct words words;

	text_split(line, &words);
	if (words.count < (op == OP_DELETE ? 2u : 3u))
		return text_refuse(command, error, REPLY_BAD_FORMAT, used);
	command->op = (uint8_t)op;
	command->used = used;
	command->key = words.word[1];
	command->noreply = text_noreply(&words);
	if (command->key.len > PROTO_KEY_MAX)
		reply = REPLY_BAD_FORMAT;
	else if (op == OP_TOUCH && !text_i32(words.word[2], &command->exptime))
		reply = REPLY_BAD_EXPTIME;
	else if ((op == OP_INCR || op == OP_DECR) && !text_u64(words.word[2], &command->delta))
		reply = REPLY_BAD_DELTA;
	if (reply.len == 0)
		return PARSE_COMMAND;
	text_refuse(command, error, reply, used);
	error->silent = command->noreply;
	return PARSE_ERROR;
}

/* ---------------------------------------------------------------- the general way */

/* The command that NAME is, of those that begin a line without a blank in front; OP_COUNT where it is none. */
static enum opcode
find_opcode(struct slice name)
{
#define MATCH_CLASSIC(symbol, text)                                                                \
	if (name.len == sizeof(text) - 1 && memcmp(name.ptr, text, sizeof(text) - 1) == 0)         \
		return OP_##symbol;
#define MATCH_META(symbol, text) MATCH_CLASSIC(symbol, text)
#define MATCH_ADMIN(symbol, text)
#define MATCH_BINARY(symbol, text)
#define COMMAND(symbol, surface, text, ...) MATCH_##surface(symbol, text)
#include "proto/tbl/commands.h"
#undef COMMAND
	return OP_COUNT;
}

static enum parse_result
parse_line(struct slice line, size_t used, struct slice window, const struct parse_limits *limits,
    struct command *command, struct parse_error *error)
{
	const char *end = line.ptr + line.len;
	const char *blank = text_find(line.ptr, line.ptr, end, ' ', ' ');
	enum opcode op = find_opcode(slice_of(line.ptr, (size_t)(blank - line.ptr)));
	struct slice args = slice_of(blank, (size_t)(end - blank));

	switch ((int)op) {
	case OP_GET:
	case OP_GETS:
		return parse_get(op, args, used, command, error);
	case OP_GAT:
	case OP_GATS:
		return parse_gat(op, args, used, command, error);
	case OP_SET:
	case OP_ADD:
	case OP_REPLACE:
	case OP_APPEND:
	case OP_PREPEND:
	case OP_CAS:
		return parse_storage(op, line, used, window, limits, command, error);
	case OP_INCR:
	case OP_DECR:
	case OP_TOUCH:
	case OP_DELETE:
		return parse_simple(op, line, used, command, error);
	case OP_COUNT:
		return admin_parse(line, used, limits, command, error);
	default:
		return meta_parse(op, args, used, window, limits, command, error);
	}
}

/* Whether the line in front of WINDOW, which is longer than PROTO_LINE_MAX, may be so long. */
static bool
may_be_long(struct slice window)
{
	size_t i = 0;

	while (i <= 100 && window.ptr[i] == ' ')
		i++;
	return i <= 100 &&
	    (memcmp(window.ptr + i, "get ", 4) == 0 || memcmp(window.ptr + i, "gets ", 5) == 0);
}

/* Without an answer to the line of USED bytes. */
static enum parse_result
hang_up(size_t used, struct command *command, struct parse_error *error)
{
	text_refuse(command, error, slice_of("", 0), used);
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

enum parse_result
text_parse(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error)
{
	const char *eol = window.len > 0 ? memchr(window.ptr, '\n', window.len) : NULL;
	struct slice line;
	size_t used;

	if (eol == NULL)
		return window.len <= PROTO_LINE_MAX || may_be_long(window)
		    ? more(command, 0)
		    : hang_up(window.len, command, error);
	used = (size_t)(eol + 1 - window.ptr);
	if (used < 4)
		return text_refuse(command, error, REPLY_BAD_FORMAT, used);
	if (unlikely(used > PROTO_LINE_WHOLE) && !may_be_long(window))
		return hang_up(used, command, error);
	line = slice_of(window.ptr, used - (eol[-1] == '\r' ? 2 : 1));
	return parse_line(line, used, window, limits, command, error);
}

/* ---------------------------------------------------------------- the fast way
 *
 * What is kept out of line keeps its registers from being saved where they are not used.
 */

/* "get" or "gets" (OP is set) with more than one key: STOP is the blank behind the first, which begins at P. */
static __attribute__((noinline)) enum parse_result
parse_multiget(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error, const char *p, const char *stop)
{
	const char *end = window.ptr + window.len;
	const char *eol = memchr(stop, '\n', (size_t)(end - stop));

	if (eol == NULL || (size_t)(stop - p) - 1 >= PROTO_KEY_MAX)
		return text_parse(window, limits, command, error);
	command->rest = slice_of(stop, (size_t)(eol - stop) - (eol[-1] == '\r'));
	if (!keys_fit(command->rest))
		return text_parse(window, limits, command, error);
	command->noreply = false;
	command->key = slice_of(p, (size_t)(stop - p));
	command->used = (size_t)(eol + 1 - window.ptr);
	return PARSE_COMMAND;
}

size_t
classic_plain_keys(struct slice window, struct slice *keys)
{
	const char *p = window.ptr + 4, *eol;

	if (unlikely(window.len < 6) || memcmp(window.ptr, "get ", 4) != 0 ||
	    (unsigned char)*p <= ' ')
		return 0;
	eol = memchr(p, '\n', window.len - 4);
	if (eol == NULL)
		return 0;
	*keys = slice_of(p, (size_t)(eol - p) - (eol[-1] == '\r'));
	return keys_fit(*keys) ? (size_t)(eol + 1 - window.ptr) : 0;
}

/* "<key>*" at P, behind the name of OP. */
static ALWAYS_INLINE enum parse_result
fast_get(enum opcode op, struct slice window, const struct parse_limits *limits,
    struct command *command, struct parse_error *error, const char *p)
{
	const char *end = window.ptr + window.len;
	const char *stop = text_break(window.ptr, p, end);
	size_t len = (size_t)(stop - p);

	command->op = (uint8_t)op;
	command->noreply = false;
	if (unlikely(len - 1 >= PROTO_KEY_MAX || end - stop < 2))
		return text_parse(window, limits, command, error);
	if (unlikely(!text_is_end(stop))) {
		if (*stop == ' ')
			return parse_multiget(window, limits, command, error, p, stop);
		return text_parse(window, limits, command, error);
	}
	command->key = slice_of(p, len);
	command->rest = slice_of(stop, 0);
	command->used = (size_t)(stop + 2 - window.ptr);
	return PARSE_COMMAND;
}

/* What fast_number may look at, three times in a row, with the line's end. */
#define NUMBERS_MAX 40

/* How many of the four bytes at P are digits, from the first on, and the number *V that they are. All four are worked on
 * at once, the first as the lowest byte. */
static ALWAYS_INLINE unsigned
four_digits(const char *p, uint64_t *v)
{
	uint64_t digits, ends;
	uint32_t bytes;
	int last;

	memcpy(&bytes, p, 4);
	digits = le32toh(bytes) ^ 0x30303030u;
	ends = ((digits + 0x76767676u) | digits | UINT64_C(1) << 39) & UINT64_C(0x8080808080);
	last = __builtin_ctzll(ends); /* the highest bit of the first byte that is none */
	digits = (digits << (39 - last)) & UINT32_MAX;
	digits = digits * 10 + (digits >> 8); /* two pairs, in the bytes 0 and 2 */
	*v = (digits & 0xff) * 100 + (digits >> 16 & 0xff);
	return (unsigned)last / 8;
}

/* The number at *P, of one to ten digits, and *P behind the byte behind it, which is LAST; false where it is not so. */
static ALWAYS_INLINE bool
fast_number(const char **p, char last, uint64_t *out)
{
	const char *s = *p;
	unsigned digit, n = four_digits(s, out);

	if (n == 4)
		for (; n < 10 && (digit = (unsigned)(unsigned char)s[n] - '0') <= 9; n++)
			*out = *out * 10 + digit;
	*p = s + n + 1;
	return n > 0 && s[n] == last;
}

/* "<flags> <exptime> <bytes>\r\n" at BEGIN, of which NUMBERS_MAX bytes can be read, all of it plain digits. Its length; 0
 * where it is anything else. */
static ALWAYS_INLINE size_t
fast_numbers(const char *begin, struct plain_set *set, size_t *size)
{
	const char *p = begin;
	uint64_t flags = 0, exptime = 0, number;

	if (likely(memcmp(p, "0 0 ", 4) == 0))
		p += 4;
	else if (!fast_number(&p, ' ', &flags) || !fast_number(&p, ' ', &exptime))
		return 0;
	if (!fast_number(&p, '\r', &number) || *p != '\n' || number > PROTO_VALUE_MAX)
		return 0;
	set->client_flags = (uint32_t)flags; /* the lower bits of both, as in the general way */
	set->exptime = (int32_t)(uint32_t)exptime;
	*size = number;
	return (size_t)(p + 1 - begin);
}

/* Where less than NUMBERS_MAX bytes can be read, up to END. */
static __attribute__((noinline)) size_t
last_numbers(const char *begin, const char *end, struct plain_set *set, size_t *size)
{
	char copy[NUMBERS_MAX] = {0};

	memcpy(copy, begin, (size_t)(end - begin));
	return fast_numbers(copy, set, size);
}

/* "set <key> <flags> <exptime> <bytes>\r\n" in front of WINDOW, all but the value in *SET. The length of the line; 0 where
 * it is anything else. */
static ALWAYS_INLINE size_t
fast_set_line(struct slice window, struct plain_set *set, size_t *size)
{
	const char *p = window.ptr + 4, *end = window.ptr + window.len;
	const char *stop = text_break(window.ptr, p, end);
	size_t len = (size_t)(stop - p), numbers;

	if (unlikely(stop == end || *stop != ' ' || len - 1 >= PROTO_KEY_MAX))
		return 0;
	set->key = slice_of(p, len);
	numbers = likely(end - stop > NUMBERS_MAX) ? fast_numbers(stop + 1, set, size)
						   : last_numbers(stop + 1, end, set, size);
	return unlikely(numbers == 0) ? 0 : 4 + len + 1 + numbers;
}

size_t
classic_plain_set(struct slice window, const struct parse_limits *limits, struct plain_set *set)
{
	size_t size, head;

	if (unlikely(window.len < 4) || memcmp(window.ptr, "set ", 4) != 0)
		return 0;
	head = fast_set_line(window, set, &size);
	if (unlikely(head == 0 || !text_data_plain(window, limits, head, set->key.len, size)))
		return 0;
	set->value = slice_of(window.ptr + head, size);
	return head + size + 2;
}

static __attribute__((noinline)) enum parse_result
parse_set(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error)
{
	struct plain_set set;
	size_t size, head = fast_set_line(window, &set, &size);

	if (unlikely(head == 0))
		return text_parse(window, limits, command, error);
	command->op = OP_SET;
	command->noreply = false;
	command->cas = 0;
	command->used = head;
	command->key = set.key;
	command->client_flags = set.client_flags;
	command->exptime = set.exptime;
	command->size = (uint32_t)size;
	return text_data_block(window, limits, true, command, error);
}

/* "m? " is here: a meta command with a key, or nothing. */
static ALWAYS_INLINE enum parse_result
fast_meta(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error)
{
	switch (window.ptr[1]) {
	case 'g':
		return meta_parse_mg(window, limits, command, error);
	case 's':
		return meta_parse_other(OP_MS, window, limits, command, error);
	case 'd':
		return meta_parse_other(OP_MD, window, limits, command, error);
	case 'a':
		return meta_parse_other(OP_MA, window, limits, command, error);
	default:
		return text_parse(window, limits, command, error);
	}
}

enum parse_result
classic_parse(struct slice window, const struct parse_limits *limits, struct command *command,
    struct parse_error *error)
{
	const char *p = window.ptr;

	if (unlikely(window.len < 6))
		return text_parse(window, limits, command, error);
	if (memcmp(p, "get ", 4) == 0)
		return fast_get(OP_GET, window, limits, command, error, p + 4);
	if (memcmp(p, "set ", 4) == 0)
		return parse_set(window, limits, command, error);
	if (p[0] == 'm' && p[2] == ' ')
		return fast_meta(window, limits, command, error);
	if (memcmp(p, "gets ", 5) == 0)
		return fast_get(OP_GETS, window, limits, command, error, p + 5);
	return text_parse(window, limits, command, error);
}

/* ---------------------------------------------------------------- authentication by a set */

/* memcached looks at nothing shorter, and takes no line shorter than this for a request. */
#define AUTH_LOOKED_AT 3u
#define AUTH_LINE_MIN  6u

/* The data block at HEAD bytes into WINDOW: "user password\r\n". */
static enum parse_result
parse_credentials(struct slice window, size_t head, size_t size, struct command *command,
    struct parse_error *error)
{
	const char *p = window.ptr + head, *blank;

	if (window.len - head < size + 2)
		return more(command, head + size + 2);
	command->used = head + size + 2;
	if (p[size] != '\r' || p[size + 1] != '\n')
		return text_refuse(command, error, REPLY_AUTH_TERMINATION, command->used);
	blank = memchr(p, ' ', size);
	if (blank == NULL)
		return text_refuse(command, error, REPLY_AUTH_FORMAT, command->used);
	command->op = OP_SET;
	command->noreply = false;
	command->key = slice_of(p, (size_t)(blank - p));
	command->value = slice_of(blank + 1, size - (size_t)(blank + 1 - p));
	command->size = (uint32_t)command->value.len;
	return PARSE_COMMAND;
}

enum parse_result
classic_parse_auth(struct slice window, struct command *command, struct parse_error *error)
{
	const char *eol = window.len > 0 ? memchr(window.ptr, '\n', window.len) : NULL;
	struct words words;
	struct slice line;
	uint32_t size;
	size_t used;

	if (eol == NULL && window.len <= PROTO_LINE_MAX)
		return more(command, 0);
	if (eol == NULL)
		return hang_up(window.len, command, error);
	if (window.len < AUTH_LOOKED_AT)
		return more(command, AUTH_LOOKED_AT);
	used = (size_t)(eol + 1 - window.ptr);
	if (used <= AUTH_LINE_MIN)
		return hang_up(used, command, error);
	line = slice_of(window.ptr, used - 1);
	if (line.len > 0 && eol[-1] == '\r')
		line.len--;
	text_split(line, &words);
	if (words.count < 5 || memcmp(line.ptr, "set", 3) != 0 || !text_u32(words.word[4], &size))
		return text_refuse(command, error, REPLY_UNAUTHENTICATED, used);
	if (size > PROTO_SASL_MAX)
		return text_refuse(command, error, REPLY_AUTH_TOO_LONG, used);
	return parse_credentials(window, used, size, command, error);
}
