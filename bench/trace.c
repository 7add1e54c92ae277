/* bench/trace.c: see trace.h. A buffer holds decompressed text; what is left of a line at its end moves to its
 * front before more is read. */
#include "bench/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#ifdef HAVE_ZSTD
#include <zstd.h>
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/number.h"

#define TEXT_SIZE  (1u << 20)
#define INPUT_SIZE (1u << 17)
#define WORDS      6

struct trace {
	FILE *file;
	const char *error;
	uint64_t number;      /* of the line last read */
	size_t at, len;       /* the part of TEXT not yet parsed: from AT, LEN bytes */
	size_t in_at, in_len; /* the part of INPUT not yet decompressed */
	bool compressed;
	bool ended;
#ifdef HAVE_ZSTD
	ZSTD_DStream *stream;
	size_t frame_left; /* not 0 while a frame is open */
#endif
	char text[TEXT_SIZE];
	char input[INPUT_SIZE];
};

#ifdef HAVE_ZSTD
static bool
open_zstd(struct trace *t, const char **why)
{
	*why = "out of memory";
	t->compressed = true;
	t->stream = ZSTD_createDStream();
	return t->stream != NULL && !ZSTD_isError(ZSTD_initDStream(t->stream));
}

static void
close_zstd(struct trace *t)
{
	ZSTD_freeDStream(t->stream);
}

/* Decompresses into the ROOM bytes at P; 0 at the end or with t->error. */
static size_t
read_zstd(struct trace *t, char *p, size_t room)
{
	ZSTD_outBuffer out = {p, room, 0};

	while (out.pos == 0) {
		ZSTD_inBuffer in = {t->input, t->in_len, t->in_at};
		size_t result;

		if (t->in_at == t->in_len) {
			t->in_at = in.pos = 0;
			t->in_len = in.size = fread(t->input, 1, INPUT_SIZE, t->file);
			if (t->in_len == 0) {
				if (t->frame_left != 0)
					t->error = "the compressed file is cut short";
				return 0;
			}
		}
		result = ZSTD_decompressStream(t->stream, &out, &in);
		t->in_at = in.pos;
		if (ZSTD_isError(result)) {
			t->error = "the compressed file is damaged";
			return 0;
		}
		t->frame_left = result;
	}
	return out.pos;
}
#else
static bool
open_zstd(struct trace *t, const char **why)
{
	(void)t;
	*why = "built without libzstd: decompress the trace first";
	return false;
}

static void
close_zstd(struct trace *t)
{
	(void)t;
}

static size_t
read_zstd(struct trace *t, char *p, size_t room)
{
	(void)t, (void)p, (void)room;
	return 0;
}
#endif

struct trace *
trace_new(const char *path, const char **why)
{
	static const unsigned char magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
	struct trace *t = calloc(1, sizeof(*t));
	unsigned char head[4];

	*why = "out of memory";
	if (t == NULL)
		return NULL;
	*why = "the file cannot be read";
	t->file = fopen(path, "rb");
	if (t->file == NULL)
		goto fail;
	if (fread(head, 1, sizeof(head), t->file) == sizeof(head) &&
	    memcmp(head, magic, sizeof(head)) == 0)
		if (!open_zstd(t, why))
			goto fail;
	rewind(t->file);
	return t;
fail:
	trace_free(&t);
	return NULL;
}

void
trace_free(struct trace **t)
{
	if (*t == NULL)
		return;
	if ((*t)->compressed)
		close_zstd(*t);
	if ((*t)->file != NULL)
		(void)fclose((*t)->file);
	free(*t);
	*t = NULL;
}

/* Reads more text behind what is left; false at the end. */
static bool
refill_text(struct trace *t)
{
	size_t got;

	if (t->ended)
		return false;
	memmove(t->text, t->text + t->at, t->len);
	t->at = 0;
	if (t->len == TEXT_SIZE) {
		t->error = "the line is too long";
		return false;
	}
	if (t->compressed)
		got = read_zstd(t, t->text + t->len, TEXT_SIZE - t->len);
	else
		got = fread(t->text + t->len, 1, TEXT_SIZE - t->len, t->file);
	t->len += got;
	t->ended = got == 0;
	return got > 0;
}

/* The next line without its end, which may be missing on the last one. */
static bool
take_line(struct trace *t, struct slice *line)
{
	for (;;) {
		const char *start = t->text + t->at;
		const char *end = memchr(start, '\n', t->len);

		if (end == NULL && refill_text(t))
			continue;
		if (t->error != NULL || (end == NULL && t->len == 0))
			return false;
		*line = slice_of(t->text + t->at, end != NULL ? (size_t)(end - start) : t->len);
		t->at += line->len + (end != NULL);
		t->len -= line->len + (end != NULL);
		t->number++;
		return true;
	}
}

/* Cuts LINE at blanks; how many words there are, at most one more than WORDS. */
static size_t
cut_words(struct slice line, struct slice *words)
{
	const char *p = line.ptr, *end = line.ptr + line.len;
	size_t n = 0;

	while (n <= WORDS) {
		const char *start;

		while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
			p++;
		if (p == end)
			break;
		start = p;
		while (p < end && *p != ' ' && *p != '\t' && *p != '\r')
			p++;
		if (n < WORDS)
			words[n] = slice_of(start, (size_t)(p - start));
		n++;
	}
	return n;
}

static bool
parse_kind(struct slice word, enum op_kind *kind)
{
	static const struct {
		const char *name;
		enum op_kind kind;
	} names[] = {{"g", OP_GET}, {"get", OP_GET}, {"s", OP_SET}, {"set", OP_SET},
	    {"d", OP_DELETE}, {"delete", OP_DELETE}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (slice_is(word, names[i].name)) {
			*kind = names[i].kind;
			return true;
		}
	}
	return false;
}

/* Whole seconds, or with a fraction. */
static bool
parse_time(struct slice word, double *time)
{
	char text[32], *end;
	uint64_t whole;

	if (number_parse_u64(word, &whole)) {
		*time = (double)whole;
		return true;
	}
	if (word.len == 0 || word.len >= sizeof(text))
		return false;
	memcpy(text, word.ptr, word.len);
	text[word.len] = '\0';
	*time = strtod(text, &end);
	return *end == '\0' && *time >= 0;
}

static bool
parse_line(struct slice text, struct trace_line *line)
{
	struct slice w[WORDS];

	if (cut_words(text, w) != WORDS || !parse_time(w[0], &line->time) ||
	    !parse_kind(w[1], &line->kind))
		return false;
	if (!number_parse_u64(w[2], &line->key))
		line->key = XXH3_64bits(w[2].ptr, w[2].len);
	return number_parse_u32(w[3], &line->key_size) &&
	    number_parse_u32(w[4], &line->value_size) && number_parse_u32(w[5], &line->ttl) &&
	    line->key_size >= 1 && line->key_size <= 250 && line->value_size <= 1u << 30;
}

bool
trace_next(struct trace *t, struct trace_line *line)
{
	struct slice text;

	while (t->error == NULL && take_line(t, &text)) {
		if (text.len == 0 || text.ptr[0] == '#')
			continue;
		if (parse_line(text, line))
			return true;
		t->error = "the line is not \"time op key key_size value_size ttl\"";
	}
	return false;
}

const char *
trace_error(const struct trace *t, uint64_t *number)
{
	*number = t->number;
	return t->error;
}
