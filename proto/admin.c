/* proto/admin.c: the text commands that are not about items: found in the table, their arguments checked one by one.
 *
 * Each check answers an empty slice where the line is good, else the reply.
 */
#include <stdlib.h>

#include "proto/text.h"

#include "config.h"

static const struct slice good = {0};

/* ---------------------------------------------------------------- finding the command */

/* Whether NAME, of one or two words, begins the line. */
static bool
name_matches(const char *name, const struct words *words)
{
	struct slice rest = slice_of(name, strlen(name)), word;

	for (unsigned i = 0; proto_token_next(&rest, &word); i++)
		if (i >= words->count || !slice_equal(word, words->word[i]))
			return false;
	return true;
}

static enum opcode
find_opcode(const struct words *words)
{
	for (unsigned op = 0; op < OP_COUNT; op++) {
		const struct command_info *info = &command_infos[op];

#ifndef DEBUG_COMMANDS
		if ((info->flags & CMD_DEBUG) != 0)
			continue;
#endif
		if (info->surface == SURFACE_ADMIN && name_matches(info->name, words))
			return op;
	}
	return OP_COUNT;
}

/* Commands that memcached knows by the line's first bytes: no blank may stand in front, and noreply is a word like any
 * other. */
static bool
is_plain(enum opcode op)
{
	return op == OP_VERSION || op == OP_STATS || op == OP_QUIT || op == OP_WATCH;
}

/* ---------------------------------------------------------------- arguments */

static bool
word_u32(const struct words *words, unsigned i, int64_t *out)
{
	uint32_t v;

	if (i >= words->count || !text_u32(words->word[i], &v))
		return false;
	*out = v;
	return true;
}

static bool
word_i32(const struct words *words, unsigned i, int64_t *out)
{
	int32_t v;

	if (i >= words->count || !text_i32(words->word[i], &v))
		return false;
	*out = v;
	return true;
}

static bool
word_double(const struct words *words, unsigned i, double *out)
{
	char copy[32], *end;
	struct slice word;

	if (i >= words->count || words->word[i].len >= sizeof(copy))
		return false;
	word = words->word[i];
	memcpy(copy, word.ptr, word.len);
	copy[word.len] = '\0';
	*out = strtod(copy, &end);
	return end == copy + word.len;
}

static bool
word_is(const struct words *words, unsigned i, const char *text)
{
	return i < words->count && slice_is(words->word[i], text);
}

static struct slice
check_flush_all(const struct words *words, struct command *command)
{
	command->exptime = 0;
	if (words->count == (command->noreply ? 2u : 1u))
		return good;
	return text_i32(words->word[1], &command->exptime) ? good : REPLY_BAD_EXPTIME;
}

static struct slice
check_memlimit(const struct words *words, int64_t *megabytes)
{
	if (!word_u32(words, 1, megabytes))
		return REPLY_ERROR;
	if (*megabytes < 8)
		return REPLY_MEMLIMIT_TOO_SMALL;
	return *megabytes > 1000000000 ? REPLY_MEMLIMIT_NOT_BYTES : good;
}

static int64_t
shutdown_mode(const struct words *words)
{
	if (words->count == 1)
		return SHUTDOWN_NOW;
	return words->count == 2 && word_is(words, 1, "graceful") ? SHUTDOWN_GRACEFUL
								  : SHUTDOWN_UNKNOWN;
}

static struct slice
check_reassign(const struct words *words, int64_t numbers[2])
{
	if (words->count != 4)
		return REPLY_ERROR;
	return word_i32(words, 2, &numbers[0]) && word_i32(words, 3, &numbers[1])
	    ? good
	    : REPLY_BAD_FORMAT;
}

static struct slice
check_automove_window(const struct words *words, int64_t *level)
{
	int64_t window;

	if (!word_u32(words, 3, &window))
		return REPLY_BAD_FORMAT;
	*level = AUTOMOVE_TUNING;
	return window < 3 || window > 1800 ? REPLY_AUTOMOVE_WINDOW : good;
}

static struct slice
check_automove(const struct words *words, int64_t *level)
{
	double ratio;

	if (words->count < 3)
		return REPLY_ERROR;
	if (word_is(words, 2, "ratio") || word_is(words, 2, "freeratio")) {
		*level = AUTOMOVE_TUNING;
		return word_double(words, 3, &ratio) ? good : REPLY_ERROR;
	}
	if (word_is(words, 2, "window"))
		return check_automove_window(words, level);
	if (!word_u32(words, 2, level))
		return REPLY_BAD_FORMAT;
	return *level > 2 ? REPLY_ERROR : good;
}

static struct slice
check_lru_tune(const struct words *words)
{
	int64_t hot, warm;
	double hot_factor, warm_factor;

	if (!word_u32(words, 2, &hot) || !word_u32(words, 3, &warm) ||
	    !word_double(words, 4, &hot_factor) || !word_double(words, 5, &warm_factor))
		return REPLY_ERROR;
	if (hot + warm > 80)
		return REPLY_LRU_TUNE_PERCENT;
	return hot_factor > 0 && warm_factor > 0 ? good : REPLY_LRU_TUNE_FACTOR;
}

static struct slice
check_crawler(enum opcode op, const struct words *words, int64_t *number)
{
	bool bare = op == OP_CRAWLER_ENABLE || op == OP_CRAWLER_DISABLE;

	if (words->count != (bare ? 2u : 3u))
		return REPLY_ERROR;
	if (op != OP_CRAWLER_TOCRAWL && op != OP_CRAWLER_SLEEP)
		return good;
	if (!word_u32(words, 2, number))
		return REPLY_BAD_FORMAT;
	return op == OP_CRAWLER_SLEEP && *number > 1000000 ? REPLY_SLEEP_TOO_LONG : good;
}

/* The bits of the streams asked for; 0 where there is one that nobody knows. */
static int64_t
watch_streams(const struct words *words)
{
	static const char *const names[WATCH_COUNT] = {
#define WATCH(symbol, name) [WATCH_##symbol] = name,
#include "proto/tbl/watches.h"
#undef WATCH
	};
	int64_t streams = words->count == 1 ? 1 << WATCH_FETCHERS : 0;

	for (unsigned i = 1; i < words->count; i++) {
		unsigned s = 0;

		while (s < WATCH_COUNT && !word_is(words, i, names[s]))
			s++;
		if (s == WATCH_COUNT)
			return 0;
		streams |= (int64_t)1 << s;
	}
	return streams;
}

static struct slice
check_debugtime(const struct words *words, int64_t *seconds)
{
	*seconds = 0;
	if (word_is(words, 1, "p") || word_is(words, 1, "r"))
		return good;
	return words->count > 1 && text_i64(words->word[1], seconds) ? good : REPLY_ERROR;
}

static struct slice
check(enum opcode op, const struct words *words, struct command *command)
{
	int64_t *numbers = command->admin.numbers;

	switch ((int)op) {
	case OP_FLUSH_ALL:
		return check_flush_all(words, command);
	case OP_VERBOSITY:
		return word_u32(words, 1, numbers) ? good : REPLY_BAD_FORMAT;
	case OP_CACHE_MEMLIMIT:
		return check_memlimit(words, numbers);
	case OP_SHUTDOWN:
		numbers[0] = shutdown_mode(words);
		return good;
	case OP_SLABS_REASSIGN:
		return check_reassign(words, numbers);
	case OP_SLABS_AUTOMOVE:
		return check_automove(words, numbers);
	case OP_LRU_TUNE:
		return check_lru_tune(words);
	case OP_LRU_MODE:
		return word_is(words, 2, "flat") || word_is(words, 2, "segmented") ? good
										   : REPLY_ERROR;
	case OP_LRU_TEMP_TTL:
		return word_i32(words, 2, numbers) ? good : REPLY_ERROR;
	case OP_CRAWLER_ENABLE:
	case OP_CRAWLER_DISABLE:
	case OP_CRAWLER_CRAWL:
	case OP_CRAWLER_METADUMP:
	case OP_CRAWLER_MGDUMP:
	case OP_CRAWLER_TOCRAWL:
	case OP_CRAWLER_SLEEP:
		return check_crawler(op, words, numbers);
	case OP_WATCH:
		numbers[0] = watch_streams(words);
		return good;
	case OP_WAIT:
		return word_u32(words, 1, &numbers[0]) && word_u32(words, 2, &numbers[1])
		    ? good
		    : REPLY_BAD_FORMAT;
	case OP_DEBUGTIME:
		return check_debugtime(words, numbers);
	case OP_EXTSTORE:
	case OP_COUNT:
		return REPLY_ERROR;
	default:
		return good;
	}
}

/* ---------------------------------------------------------------- the whole */

/* Nothing that we know. Web browsers, and scripts that a web page sent here, are hung up on. */
static enum parse_result
refuse_unknown(const struct words *words, size_t used, const struct parse_limits *limits,
    struct command *command, struct parse_error *error)
{
	struct slice last;

	text_refuse(command, error, REPLY_ERROR, used);
	error->silent = text_noreply(words);
	if (words->count > 0)
		error->close = limits->strict && slice_is(words->word[0], "POST");
	if (words->count < 2)
		return PARSE_ERROR;
	last = words->word[words->count - 1];
	if (last.len >= 5 && memcmp(last.ptr, "HTTP/", 5) == 0) {
		error->silent = true;
		error->close = true;
	}
	return PARSE_ERROR;
}

static void
keep_words(enum opcode op, struct slice line, const struct words *words, struct command *command)
{
	unsigned behind = strchr(command_infos[op].name, ' ') != NULL ? 2 : 1;

	if (op == OP_STATS) {
		const char *start = words->word[0].ptr + words->word[0].len;

		command->rest = slice_of(start, (size_t)(line.ptr + line.len - start));
		return;
	}
	command->admin.count = (uint8_t)(words->count - behind);
	memcpy(command->admin.words, &words->word[behind],
	    command->admin.count * sizeof(words->word[0]));
}

enum parse_result
admin_parse(struct slice line, size_t used, const struct parse_limits *limits,
    struct command *command, struct parse_error *error)
{
	struct slice reply;
	struct words words;
	enum opcode op;

	text_split(line, &words);
	op = find_opcode(&words);
	if (op == OP_COUNT || (is_plain(op) && line.ptr[0] == ' '))
		return refuse_unknown(&words, used, limits, command, error);
	command->op = (uint8_t)op;
	command->used = used;
	command->noreply = !is_plain(op) && text_noreply(&words);
	keep_words(op, line, &words, command);
	reply = check(op, &words, command);
	if (reply.len == 0)
		return PARSE_COMMAND;
	text_refuse(command, error, reply, used);
	error->silent = command->noreply;
	return PARSE_ERROR;
}
