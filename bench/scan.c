/* bench/scan.c: see scan.h. Text and meta share a reader: the first letters of a line tell them apart. */
#include "bench/scan.h"

#include <endian.h>
#include <string.h>

#include "base/number.h"
#include "bench/binary.h"

#define LINE_MAX_LEN                                                                               \
	1000u /* longer than any line that a server sends us, shorter than SCAN_LEFT_MAX */

void
scan_init(struct scanner *s, enum wire wire, bool multi)
{
	memset(s, 0, sizeof(*s));
	s->wire = wire;
	s->multi = multi;
}

static void
take(struct slice *window, size_t n)
{
	window->ptr += n;
	window->len -= n;
}

/* The next word of LINE up to a blank, taken off with the blank behind it. */
static struct slice
take_word(struct slice *line)
{
	const char *blank = memchr(line->ptr, ' ', line->len);
	struct slice word = {line->ptr, blank != NULL ? (size_t)(blank - line->ptr) : line->len};

	take(line, blank != NULL ? word.len + 1 : word.len);
	return word;
}

/* Hands out what the window has of the value under way, and takes its line end when all is there. */
static enum scan_event
value_piece(struct scanner *s, struct slice *window, struct scan_item *item)
{
	size_t n = s->left < window->len ? (size_t)s->left : window->len;

	item->size = s->size;
	item->offset = s->size - s->left;
	item->piece = slice_of(window->ptr, n);
	take(window, n);
	s->left -= n;
	return SCAN_VALUE;
}

/* Between values: bytes of line end that are still to come. */
static enum scan_event
value_tail(struct scanner *s, struct slice *window)
{
	if (window->len < s->tail)
		return SCAN_MORE;
	if (window->ptr[0] != '\r' || window->ptr[1] != '\n')
		return SCAN_BAD;
	take(window, s->tail);
	s->tail = 0;
	return SCAN_DONE;
}

static enum scan_event
begin_value(
    struct scanner *s, struct slice *window, struct scan_item *item, uint64_t size, bool finish)
{
	s->size = size;
	s->left = size;
	s->finish = finish;
	item->first = true;
	return value_piece(s, window, item);
}

static enum scan_event
done(struct scan_item *item, enum scan_outcome outcome)
{
	item->outcome = outcome;
	return SCAN_DONE;
}

/* "VALUE key flags size[ cas]" behind its first word. */
static enum scan_event
text_value(struct scanner *s, struct slice *window, struct slice line, struct scan_item *item)
{
	uint64_t size;

	item->key = take_word(&line);
	if (!number_parse_u32(take_word(&line), &item->flags) ||
	    !number_parse_u64(take_word(&line), &size))
		return SCAN_BAD;
	s->tail = 2;
	return begin_value(s, window, item, size, false);
}

/* "VA size[ flags]" behind its first word; of the flags those that ringbench asks for: f and k. */
static enum scan_event
meta_value(struct scanner *s, struct slice *window, struct slice line, struct scan_item *item)
{
	uint64_t size;

	if (!number_parse_u64(take_word(&line), &size))
		return SCAN_BAD;
	while (line.len > 0) {
		struct slice word = take_word(&line);

		if (word.len > 0 && word.ptr[0] == 'k')
			item->key = slice_of(word.ptr + 1, word.len - 1);
		else if (word.len > 0 && word.ptr[0] == 'f')
			(void)number_parse_u32(slice_of(word.ptr + 1, word.len - 1), &item->flags);
	}
	s->tail = 2;
	return begin_value(s, window, item, size, !s->multi);
}

/* Lines that consist of a word alone, and what they mean. */
static enum scan_event
plain_line(struct slice line, struct scan_item *item)
{
	static const struct {
		const char *text;
		enum scan_outcome outcome;
	} known[] = {
	    {"END", REPLY_END},
	    {"STORED", REPLY_OK},
	    {"EN", REPLY_END},
	    {"MN", REPLY_END},
	    {"HD", REPLY_OK},
	    {"NOT_STORED", REPLY_NO},
	    {"NOT_FOUND", REPLY_NO},
	    {"DELETED", REPLY_OK},
	    {"EXISTS", REPLY_NO},
	    {"NS", REPLY_NO},
	    {"NF", REPLY_NO},
	    {"EX", REPLY_NO},
	    {"ERROR", REPLY_ERROR},
	};
	struct slice word = line;

	word = take_word(&word);
	item->text = line;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_is(word, known[i].text))
			return done(item, known[i].outcome);
	if (slice_is(word, "SERVER_ERROR") || slice_is(word, "CLIENT_ERROR"))
		return done(item, REPLY_ERROR);
	return SCAN_BAD;
}

static enum scan_event
next_line(struct scanner *s, struct slice *window, struct scan_item *item)
{
	const char *end = memchr(window->ptr, '\n', window->len);
	struct slice line;

	if (end == NULL)
		return window->len > LINE_MAX_LEN ? SCAN_BAD : SCAN_MORE;
	line = slice_of(window->ptr, (size_t)(end - window->ptr));
	if (line.len == 0 || line.len > LINE_MAX_LEN || line.ptr[line.len - 1] != '\r')
		return SCAN_BAD;
	take(window, line.len + 1);
	line.len--;
	if (line.len > 6 && memcmp(line.ptr, "VALUE ", 6) == 0)
		return text_value(s, window, slice_of(line.ptr + 6, line.len - 6), item);
	if (line.len > 3 && memcmp(line.ptr, "VA ", 3) == 0)
		return meta_value(s, window, slice_of(line.ptr + 3, line.len - 3), item);
	return plain_line(line, item);
}

static bool
is_get(uint8_t opcode)
{
	return opcode == BINARY_GET || opcode == BINARY_GETK || opcode == BINARY_GETQ ||
	    opcode == BINARY_GETKQ;
}

static enum scan_event
binary_value(struct scanner *s, struct slice *window, const struct binary_head *head, size_t body,
    struct scan_item *item)
{
	size_t key_len = be16toh(head->key_len);
	size_t front = sizeof(*head) + head->extras_len + key_len;
	uint32_t flags = 0;

	if (window->len < front)
		return SCAN_MORE;
	if (head->extras_len >= sizeof(flags))
		memcpy(&flags, window->ptr + sizeof(*head), sizeof(flags));
	item->flags = be32toh(flags);
	item->key = slice_of(window->ptr + sizeof(*head) + head->extras_len, key_len);
	take(window, front);
	return begin_value(s, window, item, body - head->extras_len - key_len,
	    head->opcode == BINARY_GET || head->opcode == BINARY_GETK);
}

static enum scan_event
binary_other(
    struct slice *window, const struct binary_head *head, size_t body, struct scan_item *item)
{
	uint16_t status = be16toh(head->status);

	if (body > LINE_MAX_LEN)
		return SCAN_BAD;
	if (window->len < sizeof(*head) + body)
		return SCAN_MORE;
	item->text = slice_of(window->ptr + sizeof(*head), body);
	take(window, sizeof(*head) + body);
	if (status == BINARY_OK)
		return done(item, head->opcode == BINARY_NOOP ? REPLY_END : REPLY_OK);
	if (status == BINARY_NOT_FOUND && is_get(head->opcode))
		return done(item, REPLY_END);
	if (status == BINARY_NOT_FOUND || status == BINARY_EXISTS || status == BINARY_NOT_STORED)
		return done(item, REPLY_NO);
	return done(item, REPLY_ERROR);
}

static enum scan_event
next_binary(struct scanner *s, struct slice *window, struct scan_item *item)
{
	struct binary_head head;
	size_t body;

	if (window->len < sizeof(head))
		return SCAN_MORE;
	memcpy(&head, window->ptr, sizeof(head));
	body = be32toh(head.body_len);
	if (head.magic != BINARY_RESPONSE || body < (size_t)head.extras_len + be16toh(head.key_len))
		return SCAN_BAD;
	if (is_get(head.opcode) && be16toh(head.status) == BINARY_OK)
		return binary_value(s, window, &head, body, item);
	return binary_other(window, &head, body, item);
}

enum scan_event
scan_next(struct scanner *s, struct slice *window, struct scan_item *item)
{
	*item = (struct scan_item){0};
	if (s->left > 0)
		return window->len == 0 ? SCAN_MORE : value_piece(s, window, item);
	if (s->tail > 0) {
		enum scan_event event = value_tail(s, window);

		if (event != SCAN_DONE)
			return event;
	}
	if (s->finish) {
		s->finish = false;
		return done(item, REPLY_END);
	}
	return s->wire == WIRE_BINARY ? next_binary(s, window, item) : next_line(s, window, item);
}
