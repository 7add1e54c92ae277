/* t/bench/test_scan.c: streams of replies give their events however they are cut. */
#include "bench/scan.h"

#include "bench/content.h"
#include "bench/encode.h"
#include "t/lib/unit.h"

#define LOG_SIZE 4096

struct stream {
	const char *name;
	enum wire wire;
	bool multi;
	struct slice bytes;
	const char *events;
};

#define STREAM(name, wire, multi, bytes, events)                                                   \
	{                                                                                          \
		name, wire, multi, {bytes, sizeof(bytes) - 1}, events                              \
	}

/* Events: v(key,flags,size) for a value whose bytes follow in quotes; then the outcomes as words. */
static const struct stream streams[] = {
    STREAM("text hit and miss", WIRE_TEXT, false, "VALUE ab 7 3\r\nx\r\n\r\nEND\r\nEND\r\n",
	"v(ab,7,3)\"x\r\n\" end end "),
    STREAM("text empty value, cas", WIRE_TEXT, false, "VALUE ab 0 0 99\r\n\r\nEND\r\n",
	"v(ab,0,0)\"\" end "),
    STREAM("text multi-get", WIRE_TEXT, true,
	"VALUE a 0 1\r\n1\r\nVALUE b 1 2\r\n22\r\nEND\r\nSTORED\r\n",
	"v(a,0,1)\"1\" v(b,1,2)\"22\" end ok "),
    STREAM("text writes", WIRE_TEXT, false,
	"STORED\r\nNOT_STORED\r\nDELETED\r\nNOT_FOUND\r\nEXISTS\r\n", "ok no ok no no "),
    STREAM("text errors", WIRE_TEXT, false,
	"ERROR\r\nSERVER_ERROR out of memory\r\nCLIENT_ERROR x\r\n", "error error error "),
    STREAM("meta", WIRE_META, false, "VA 2 f5 kab\r\nhi\r\nEN\r\nVA 0\r\n\r\nHD\r\nNS\r\nNF\r\n",
	"v(ab,5,2)\"hi\" end end v(,0,0)\"\" end ok no no "),
    STREAM("meta multi-get", WIRE_META, true, "VA 1 ka\r\n1\r\nVA 1 kb\r\n2\r\nMN\r\nHD\r\n",
	"v(a,0,1)\"1\" v(b,0,1)\"2\" end ok "),
    STREAM("binary hit", WIRE_BINARY, false,
	"\x81\0\0\0\4\0\0\0\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\7hi", "v(,7,2)\"hi\" end "),
    STREAM("binary miss, stored, exists, too large", WIRE_BINARY, false,
	"\x81\0\0\0\0\0\0\1\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0nop"
	"\x81\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
	"\x81\1\0\0\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	"\x81\1\0\0\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
	"end ok no error "),
    STREAM("binary multi-get", WIRE_BINARY, true,
	"\x81\x0d\0\1\4\0\0\0\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0a1"
	"\x81\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
	"v(a,0,1)\"1\" end "),
};

static const struct stream bad_streams[] = {
    STREAM("word", WIRE_TEXT, false, "HELLO\r\n", NULL),
    STREAM("no number", WIRE_TEXT, false, "VALUE a 0 x\r\n", NULL),
    STREAM("no line end behind the value", WIRE_TEXT, false, "VALUE a 0 1\r\n1xEND\r\n", NULL),
    STREAM("bare line feed", WIRE_META, false, "HD\n", NULL),
    STREAM("empty line", WIRE_META, false, "\r\n", NULL),
    STREAM("wrong magic", WIRE_BINARY, false, "\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
	NULL),
    STREAM("body shorter than its key", WIRE_BINARY, false,
	"\x81\0\0\5\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0x", NULL),
};

struct log {
	char text[LOG_SIZE];
	size_t len;
};

static void
log_bytes(struct log *log, const char *bytes, size_t len)
{
	assert_true(log->len + len < LOG_SIZE);
	memcpy(log->text + log->len, bytes, len);
	log->len += len;
	log->text[log->len] = '\0';
}

static void
log_value(struct log *log, const struct scan_item *item)
{
	char head[400];

	if (item->first) {
		int n = snprintf(head, sizeof(head), "v(%.*s,%u,%llu)\"", (int)item->key.len,
		    item->key.len > 0 ? item->key.ptr : "", item->flags,
		    (unsigned long long)item->size);

		log_bytes(log, head, (size_t)n);
	}
	log_bytes(log, item->piece.ptr, item->piece.len);
	if (item->offset + item->piece.len == item->size)
		log_bytes(log, "\" ", 2);
}

/* Scans WINDOW to its end; what is left over goes to the front of LEFT. */
static enum scan_event
scan_all(struct scanner *s, struct slice *window, struct log *log)
{
	static const char *const outcomes[] = {
	    [REPLY_END] = "end ", [REPLY_OK] = "ok ", [REPLY_NO] = "no ", [REPLY_ERROR] = "error "};
	struct scan_item item;
	enum scan_event event;

	while ((event = scan_next(s, window, &item)) == SCAN_VALUE || event == SCAN_DONE) {
		if (event == SCAN_VALUE)
			log_value(log, &item);
		else
			log_bytes(log, outcomes[item.outcome], strlen(outcomes[item.outcome]));
	}
	return event;
}

/* The first CUT bytes, then those up to CUT2 with what was left in front, then all. */
static void
check_cuts(const struct stream *stream, size_t cut, size_t cut2)
{
	size_t ends[] = {cut, cut2, stream->bytes.len};
	struct log log = {{0}, 0};
	struct scanner s;
	size_t at = 0;

	scan_init(&s, stream->wire, stream->multi);
	for (size_t i = 0; i < 3; i++) {
		/* A copy of its own, so that a look past the window is an error to the sanitizers. */
		char *copy = malloc(ends[i] - at + 1);
		struct slice window;

		assert_non_null(copy);
		memcpy(copy, stream->bytes.ptr + at, ends[i] - at);
		window = slice_of(copy, ends[i] - at);
		assert_int_equal(scan_all(&s, &window, &log), SCAN_MORE);
		at = ends[i] - window.len;
		free(copy);
	}
	assert_int_equal(at, stream->bytes.len);
	assert_string_equal(log.text, stream->events);
}

static void
streams_give_their_events_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		print_message("%s\n", streams[i].name);
		for (size_t cut = 0; cut <= streams[i].bytes.len; cut++)
			for (size_t cut2 = cut; cut2 <= streams[i].bytes.len; cut2++)
				check_cuts(&streams[i], cut, cut2);
	}
}

static void
bad_streams_are_seen(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_streams) / sizeof(bad_streams[0]); i++) {
		struct slice window = bad_streams[i].bytes;
		struct log log = {{0}, 0};
		struct scanner s;

		print_message("%s\n", bad_streams[i].name);
		scan_init(&s, bad_streams[i].wire, bad_streams[i].multi);
		assert_int_equal(scan_all(&s, &window, &log), SCAN_BAD);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(streams_give_their_events_at_every_cut),
	    cmocka_unit_test(bad_streams_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
