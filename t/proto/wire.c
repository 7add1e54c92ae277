/* t/proto/wire.c: see wire.h. */
#include "t/proto/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "proto/binary.h"
#include "proto/classic.h"
#include "proto/meta.h"
#include "t/lib/unit.h"

#define EDGE_SIZE ((size_t)4 << 20)

struct parse_limits wire_limits = {
    .item_size_max = 1 << 20,
    .item_overhead = 56,
    .inline_value_max = 1 << 16,
    .sasl = true,
};

/* ---------------------------------------------------------------- windows */

/* EDGE_SIZE bytes between two pages that cannot be touched. */
static char *
edge_new(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(
	    NULL, EDGE_SIZE + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(p != MAP_FAILED);
	ASSERT(mprotect(p, page, PROT_NONE) == 0);
	ASSERT(mprotect(p + page + EDGE_SIZE, page, PROT_NONE) == 0);
	return p + page;
}

static struct slice
edge_copy(struct slice bytes, bool at_end)
{
	static char *edges[2];
	char **edge = &edges[at_end], *p;

	if (*edge == NULL)
		*edge = edge_new();
	ASSERT(bytes.len <= EDGE_SIZE);
	p = at_end ? *edge + EDGE_SIZE - bytes.len : *edge;
	if (bytes.len > 0)
		memcpy(p, bytes.ptr, bytes.len);
	return slice_of(p, bytes.len);
}

struct slice
wire_edge(struct slice bytes)
{
	return edge_copy(bytes, true);
}

enum parse_result
wire_parse(enum wire wire, struct slice window, struct command *command, struct parse_error *error)
{
	memset(command, 0xa5, sizeof(*command));
	memset(error, 0xa5, sizeof(*error));
	switch (wire) {
	case WIRE_BINARY:
		return binary_parse(window, &wire_limits, command, error);
	case WIRE_AUTH:
		return classic_parse_auth(window, command, error);
	case WIRE_TEXT:
	default:
		return classic_parse(window, &wire_limits, command, error);
	}
}

/* ---------------------------------------------------------------- words for a command */

/* Bytes as they are, but for blanks in their middle, control bytes and what is not ASCII. */
static void
print_slice(FILE *out, const char *label, struct slice s)
{
	fprintf(out, " %s", label);
	for (size_t i = 0; i < s.len && i < 600; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c > ' ' && c < 0x7f)
			fputc(c, out);
		else
			fprintf(out, "\\%02x", c);
	}
}

static void
print_words(FILE *out, struct slice rest)
{
	struct slice word;

	while (proto_token_next(&rest, &word))
		print_slice(out, "", word);
}

static void
print_meta(FILE *out, const struct command *c)
{
	const struct meta_request *m = &c->meta;
	struct slice rest = m->tokens, flag;

	if (c->op == OP_ME) {
		fprintf(out, "%s", (m->flags & META_FLAG('b')) != 0 ? " b" : "");
		return;
	}
	while (meta_flag_next(&rest, &flag))
		print_slice(out, "", flag);
	fprintf(out, " mode=%c", m->mode);
	if ((m->flags & META_FLAG('T')) != 0)
		fprintf(out, " ttl=%" PRId32, m->ttl);
	if ((m->flags & META_FLAG('N')) != 0)
		fprintf(out, " vivify=%" PRId32, m->vivify_ttl);
	if ((m->flags & META_FLAG('R')) != 0)
		fprintf(out, " recache=%" PRId32, m->recache_ttl);
	if ((m->flags & META_FLAG('C')) != 0)
		fprintf(out, " compare=%" PRIu64, m->compare_cas);
	if ((m->flags & META_FLAG('E')) != 0)
		fprintf(out, " explicit=%" PRIu64, m->explicit_cas);
	if (c->op == OP_MA)
		fprintf(out, " d=%" PRIu64 " i=%" PRIu64, m->delta, m->initial);
}

static void
print_admin(FILE *out, const struct command *c)
{
	if (c->op == OP_STATS)
		print_words(out, c->rest);
	if (c->op == OP_FLUSH_ALL)
		fprintf(out, " t=%" PRId32, c->exptime);
	if (c->op == OP_STATS || c->op == OP_FLUSH_ALL || c->op == OP_QUIT || c->op == OP_VERSION)
		return;
	for (unsigned i = 0; i < c->admin.count; i++)
		print_slice(out, "", c->admin.words[i]);
	switch (c->op) {
	case OP_SLABS_REASSIGN:
		fprintf(out, " #%" PRId64 " #%" PRId64, c->admin.numbers[0], c->admin.numbers[1]);
		break;
	case OP_VERBOSITY:
	case OP_CACHE_MEMLIMIT:
	case OP_CRAWLER_TOCRAWL:
	case OP_CRAWLER_SLEEP:
	case OP_SLABS_AUTOMOVE:
	case OP_LRU_TEMP_TTL:
	case OP_SHUTDOWN:
	case OP_WATCH:
	case OP_DEBUGTIME:
		fprintf(out, " #%" PRId64, c->admin.numbers[0]);
		break;
	default:
		break;
	}
}

static void
print_numbers(FILE *out, const struct command *c, unsigned flags, bool streamed)
{
	bool classic_time = c->op == OP_TOUCH || c->op == OP_GAT || c->op == OP_GATS;

	if ((flags & CMD_VALUE) != 0)
		fprintf(out, " f=%" PRIu32, c->client_flags);
	if ((flags & CMD_VALUE) != 0 || classic_time || c->op == OP_BIN_TOUCH ||
	    c->op == OP_BIN_GAT || c->op == OP_BIN_INCREMENT || c->op == OP_BIN_DECREMENT ||
	    c->op == OP_BIN_FLUSH)
		fprintf(out, " t=%" PRId32, c->exptime);
	if (c->op == OP_CAS || (command_infos[c->op].surface == SURFACE_BINARY && c->cas != 0))
		fprintf(out, " cas=%" PRIu64, c->cas);
	if (c->op == OP_INCR || c->op == OP_DECR || c->op == OP_BIN_INCREMENT ||
	    c->op == OP_BIN_DECREMENT)
		fprintf(out, " d=%" PRIu64, c->delta);
	if (c->op == OP_BIN_INCREMENT || c->op == OP_BIN_DECREMENT)
		fprintf(out, " i=%" PRIu64, c->initial);
	if ((flags & CMD_VALUE) != 0 && streamed)
		fprintf(out, " n=%" PRIu32, c->size);
	else if ((flags & CMD_VALUE) != 0 && c->value.len <= 600)
		print_slice(out, "v=", c->value);
	else if ((flags & CMD_VALUE) != 0)
		fprintf(out, " v(%zu)", c->value.len);
}

static void
print_command(FILE *out, enum wire wire, const struct command *c, bool streamed)
{
	const struct command_info *info = &command_infos[c->op];
	bool sasl = c->op == OP_BIN_SASL_AUTH || c->op == OP_BIN_SASL_STEP;

	fprintf(out, "%s", info->symbol);
	if ((info->flags & (CMD_KEY | CMD_KEYS)) != 0 || c->op == OP_BIN_STAT || sasl)
		print_slice(out, "", c->key);
	if (wire == WIRE_AUTH || sasl) {
		print_slice(out, "v=", c->value);
		return;
	}
	if ((info->flags & CMD_KEYS) != 0)
		print_words(out, c->rest);
	print_numbers(out, c, info->flags, streamed);
	if (info->surface == SURFACE_META && c->op != OP_MN)
		print_meta(out, c);
	if (info->surface == SURFACE_ADMIN)
		print_admin(out, c);
	if (info->surface == SURFACE_BINARY && c->binary.with_key)
		fprintf(out, " with-key");
	if (info->surface == SURFACE_BINARY && c->op == OP_BIN_FLUSH && c->binary.has_extras)
		fprintf(out, " extras");
	if (c->noreply)
		fprintf(out, " noreply");
}

static void
print_refusal(FILE *out, const struct command *c, const struct parse_error *e)
{
	if (e->status != 0)
		fprintf(out, "!%02x", e->status);
	else if (e->reply.len > 0)
		fprintf(out, "%c%.*s", e->silent ? '~' : '!', (int)e->reply.len - 2, e->reply.ptr);
	if (e->drop_key)
		print_slice(out, "-", c->key);
	if (e->close)
		fprintf(out, "#");
}

/* ---------------------------------------------------------------- streams */

struct replay {
	enum wire wire;
	FILE *out;
	struct slice stream;
	size_t at;   /* what is done with */
	size_t seen; /* what came */
	bool closed;
	const char *separator;
};

/* Drops N bytes of the stream, whether they came already or not. */
static void
drop(struct replay *r, uint64_t n)
{
	r->at = n > r->stream.len - r->at ? r->stream.len : r->at + (size_t)n;
}

static void
take_streamed(struct replay *r, const struct command *c)
{
	bool text = command_infos[c->op].surface != SURFACE_BINARY;
	size_t end = r->at + c->size;

	if (text && end + 2 <= r->stream.len && memcmp(r->stream.ptr + end, "\r\n", 2) != 0)
		fprintf(r->out, " bad");
	drop(r, (uint64_t)c->size + (text ? 2 : 0));
}

/* Takes one command off what came; false where there is none. */
static bool
step(struct replay *r)
{
	struct slice window;
	struct parse_error error;
	struct command command;
	enum parse_result result, at_front;
	size_t used;

	if (r->closed || r->at >= r->seen)
		return false;
	window = slice_of(r->stream.ptr + r->at, r->seen - r->at);
	at_front = wire_parse(r->wire, edge_copy(window, false), &command, &error);
	used = command.used;
	window = wire_edge(window);
	result = wire_parse(r->wire, window, &command, &error);
	assert_int_equal(result, at_front);
	assert_int_equal(command.used, used);
	if (result == PARSE_MORE)
		return false;
	assert_true(command.used > 0 && command.used <= window.len);
	drop(r, command.used);
	fprintf(r->out, "%s", r->separator);
	r->separator = " | ";
	if (result == PARSE_ERROR) {
		print_refusal(r->out, &command, &error);
		drop(r, error.swallow);
		r->closed = error.close;
		return true;
	}
	print_command(r->out, r->wire, &command, result == PARSE_STREAM);
	if (result == PARSE_STREAM)
		take_streamed(r, &command);
	r->closed = command.op == OP_QUIT || command.op == OP_BIN_QUIT;
	return true;
}

const char *
wire_transcript(enum wire wire, struct slice stream, const size_t *cuts, size_t count)
{
	static char text[1 << 16];
	struct replay r = {.wire = wire, .stream = stream, .separator = ""};

	text[0] = '\0';
	r.out = fmemopen(text, sizeof(text), "w");
	ASSERT(r.out != NULL);
	for (size_t i = 0; i <= count; i++) {
		r.seen = i < count ? cuts[i] : stream.len;
		while (step(&r)) {
		}
	}
	if (!r.closed && r.at < stream.len)
		fprintf(r.out, "%s...", r.separator);
	(void)fclose(r.out);
	return text;
}

static void
check_cuts(
    enum wire wire, struct slice stream, const size_t *cuts, size_t count, const char *expected)
{
	const char *got = wire_transcript(wire, stream, cuts, count);

	if (strcmp(got, expected) == 0)
		return;
	print_message("of %.*s\ncut at %zu\n got %s\nwant %s\n", (int)stream.len, stream.ptr,
	    count > 0 ? cuts[0] : 0, got, expected);
	fail();
}

void
wire_check(enum wire wire, struct slice stream, const char *expected)
{
	size_t *cuts = malloc((stream.len + 1) * sizeof(*cuts));

	ASSERT(cuts != NULL);
	check_cuts(wire, stream, NULL, 0, expected);
	for (size_t cut = 1; cut<stream.len; cut += stream.len> 3000 ? 97 : 1)
		check_cuts(wire, stream, &cut, 1, expected);
	for (size_t i = 0; i < stream.len; i++)
		cuts[i] = i + 1;
	check_cuts(wire, stream, cuts, stream.len <= 3000 ? stream.len : 0, expected);
	free(cuts);
}

void
wire_check_prefixes(enum wire wire, struct slice stream)
{
	struct parse_error error;
	struct command command;
	enum parse_result first = PARSE_MORE;
	size_t used = 0, wanted = 0;

	for (size_t n = 0; n <= stream.len; n++) {
		enum parse_result result =
		    wire_parse(wire, wire_edge(slice_of(stream.ptr, n)), &command, &error);

		if (first != PARSE_MORE) {
			assert_int_equal(result, first);
			assert_int_equal(command.used, used);
			continue;
		}
		if (result == PARSE_MORE) {
			assert_int_equal(command.used, 0);
			assert_true(command.need == 0 || command.need > n);
			assert_true(command.need >= wanted);
			wanted = command.need;
			continue;
		}
		assert_true(n >= wanted);
		first = result;
		used = command.used;
	}
}
