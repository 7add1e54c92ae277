/* t/proto/test_classic.c: classic lines, good and bad, in whatever pieces they come. */
#include <stdlib.h>

#include "base/assert.h"
#include "proto/classic.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"
#include "t/proto/rows.h"

#define K50  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K250 K50 K50 K50 K50 K50
#define BAD  "!CLIENT_ERROR bad command line format"

static void
lines_that_are_no_command(void **state)
{
	static const struct row rows[] = {
	    ROW("\r\n", BAD),
	    ROW("\n", BAD),
	    ROW("a\r\n", BAD),
	    ROW(" \r\n", BAD),
	    ROW("ab\r\n", "!ERROR"),
	    ROW("ab\n", BAD),
	    ROW("   \r\n", "!ERROR"),
	    ROW("bogus\r\n", "!ERROR"),
	    ROW("bogus noreply\r\nversion\r\n", "~ERROR | VERSION"),
	    ROW("GET a\r\n", "!ERROR"),
	    ROW(" get a\r\n", "!ERROR"),
	    ROW("getx a\r\n", "!ERROR"),
	    ROW("get\ta\r\n", "!ERROR"),
	    ROW("version\n", "VERSION"),
	    ROW("version\r\r\n", "!ERROR"),
	    ROW("\r\r\n", BAD),
	    ROW("GET / HTTP/1.1\r\nversion\r\n", "~ERROR#"),
	    ROW("POST /x HTTP/1.0\r\n\r\n", "~ERROR#"),
	    ROW("GET /\r\n", "!ERROR"),
	    ROW("HTTP/1.1\r\n", "!ERROR"),
	    ROW("OPTIONS * HTTP/\r\n", "~ERROR#"),
	    ROW("GET / HTTP/1.1 x\r\n", "!ERROR"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

static void
retrieval(void **state)
{
	static const struct row rows[] = {
	    ROW("get a\r\n", "GET a"),
	    ROW("get a\n", "GET a"),
	    ROW("get a \r\n", "GET a"),
	    ROW("get  a   b\r\n", "GET a b"),
	    ROW("get a b c d e f\r\nget g\r\n", "GET a b c d e f | GET g"),
	    ROW("get noreply\r\n", "GET noreply"),
	    ROW("get abcdefghijklmnopqrstuvwxyz\r\n", "GET abcdefghijklmnopqrstuvwxyz"),
	    ROW("get a\rb\r\n", "GET a\\0db"),
	    ROW("get a\0b\r\n", "GET a\\00b"),
	    ROW("get \xc3\xa9\x01\x7f\r\n", "GET \\c3\\a9\\01\\7f"),
	    ROW("get " K250 "\r\n", "GET " K250),
	    ROW("get " K250 " " K250 "\r\n", "GET " K250 " " K250),
	    ROW("get " K250 "k\r\nversion\r\n", BAD " | VERSION"),
	    ROW("get a " K250 "k b\r\nversion\r\n", BAD " | VERSION"),
	    ROW("get " K250 " " K250 "k\r\n", BAD),
	    ROW("get a " K250 "k noreply\r\n", BAD),
	    ROW("get\r\n", BAD),
	    ROW("get \r\n", BAD),
	    ROW("get    \r\n", BAD),
	    ROW("gets\r\n", BAD),
	    ROW("gets a\r\n", "GETS a"),
	    ROW("gets a b\r\n", "GETS a b"),
	    ROW("gat\r\n", BAD),
	    ROW("gat 0\r\n", BAD),
	    ROW("gat abc\r\n", BAD),
	    ROW("gat 10 a\r\n", "GAT a t=10"),
	    ROW("gat -1 a b\r\n", "GAT a b t=-1"),
	    ROW("gats 0 a b\n", "GATS a b t=0"),
	    ROW("gat abc a\r\n", "!CLIENT_ERROR invalid exptime argument"),
	    ROW("gat +1 a\r\n", "!CLIENT_ERROR invalid exptime argument"),
	    ROW("gat 2147483648 a\r\n", "!CLIENT_ERROR invalid exptime argument"),
	    ROW("gat 1 " K250 "k\r\nversion\r\n", BAD " | VERSION"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

static void
storage(void **state)
{
	static const struct row rows[] = {
	    ROW("set a 0 0 1\r\nx\r\n", "SET a f=0 t=0 v=x"),
	    ROW("set a 0 0 1\nx\r\n", "SET a f=0 t=0 v=x"),
	    ROW("set a 0 0 0\r\n\r\n", "SET a f=0 t=0 v="),
	    ROW("set a 4294967295 2147483647 2\r\nxy\r\n", "SET a f=4294967295 t=2147483647 v=xy"),
	    ROW("set a 0 0 3 noreply\r\nget\r\n", "SET a f=0 t=0 v=get noreply"),
	    ROW("set a 0 0 1 bogus\r\nx\r\n", "SET a f=0 t=0 v=x"),
	    ROW("set  a  0  0  1 \r\nx\r\n", "SET a f=0 t=0 v=x"),
	    ROW("set a 007 010 003\r\nabc\r\n", "SET a f=7 t=10 v=abc"),
	    ROW("set a 0 0 00000000001\r\nx\r\n", "SET a f=0 t=0 v=x"),
	    ROW("set a 0 0 000000000001\r\n", BAD),
	    ROW("set a 00000000000000000005 0 1\r\nx\r\n", "SET a f=5 t=0 v=x"),
	    ROW("add a 0 0 1\r\nx\r\n", "ADD a f=0 t=0 v=x"),
	    ROW("replace a 0 0 1\r\nx\r\n", "REPLACE a f=0 t=0 v=x"),
	    ROW("append a 0 0 1\r\nx\r\n", "APPEND a f=0 t=0 v=x"),
	    ROW("prepend a 0 0 1\r\nx\r\n", "PREPEND a f=0 t=0 v=x"),
	    ROW("cas a 1 2 1 3\r\nx\r\n", "CAS a f=1 t=2 cas=3 v=x"),
	    ROW("cas a 1 2 1 3 noreply\r\nx\r\n", "CAS a f=1 t=2 cas=3 v=x noreply"),
	    ROW("cas a 1 2 1 18446744073709551615\r\nx\r\n",
		"CAS a f=1 t=2 cas=18446744073709551615 v=x"),
	    ROW("set " K250 " 0 0 1\r\nx\r\n", "SET " K250 " f=0 t=0 v=x"),
	    ROW("set a\0x 0 0 1\r\nx\r\n", "SET a\\00x f=0 t=0 v=x"),
	    ROW("set a 0 0 2\r\n\r\n\r\nget b\r\n", "SET a f=0 t=0 v=\\0d\\0a | GET b"),
	    ROW("set a 4294967296 0 1\r\nx\r\n", "SET a f=0 t=0 v=x"),
	    ROW("set a +5 +6 1\r\nx\r\n", "SET a f=5 t=6 v=x"),
	    ROW("set a \t5 \v6\f 1\r\nx\r\n", "SET a f=5 t=6 v=x"),
	    ROW("set a 0 -1 1\r\nx\r\n", "SET a f=0 t=-1 v=x"),
	    ROW("set a 0 2147483648 1\r\nx\r\n", "SET a f=0 t=-2147483648 v=x"),
	    ROW("set a 0 4294967297 1\r\nx\r\n", "SET a f=0 t=1 v=x"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

/* What is refused with the length of its data block known: the block is dropped, noreply obeyed. */
static void
refused_with_its_block(void **state)
{
	static const struct row rows[] = {
	    ROW("set a abc 0 1\r\nx\r\nversion\r\n", BAD " | VERSION"),
	    ROW("set a -1 0 1\r\nx\r\nversion\r\n", BAD " | VERSION"),
	    ROW("set a 1x 0 1\r\nx\r\nversion\r\n", BAD " | VERSION"),
	    ROW("set a 18446744073709551616 0 1\r\nx\r\nversion\r\n", BAD " | VERSION"),
	    ROW("set a 0 abc 1\r\nx\r\nversion\r\n", BAD " | VERSION"),
	    ROW("set a 0 9223372036854775808 1\r\nx\r\n", BAD),
	    ROW("set a abc 0 1 noreply\r\nx\r\nversion\r\n",
		"~CLIENT_ERROR bad command line format | VERSION"),
	    ROW("set " K250 "k 0 0 1\r\nx\r\nversion\r\n", BAD " | VERSION"),
	    ROW("set " K250 "k 0 0 1 noreply\r\nx\r\nversion\r\n",
		"~CLIENT_ERROR bad command line format | VERSION"),
	    ROW("cas a 0 0 1\r\nx\r\nversion\r\n", BAD " | VERSION"),
	    ROW("cas a 0 0 1 noreply\r\nx\r\nversion\r\n",
		"~CLIENT_ERROR bad command line format | VERSION"),
	    ROW("cas a 0 0 1 -1\r\nx\r\nversion\r\n", BAD " | VERSION"),
	    ROW("cas a 0 0 1 +1\r\nx\r\nversion\r\n", BAD " | VERSION"),
	    ROW("cas a 0 0 1 1\t\r\nx\r\nversion\r\n", BAD " | VERSION"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

/* What is refused without knowing it: the block is taken for commands, noreply is not seen. */
static void
refused_without_its_block(void **state)
{
	static const struct row rows[] = {
	    ROW("set a 0 0\r\n", BAD),
	    ROW("set a 0 0 1 y\r\nx\r\nset b 0 0\r\nversion\r\n",
		"SET a f=0 t=0 v=x | " BAD " | VERSION"),
	    ROW("set a\r\n", BAD),
	    ROW("set\r\n", BAD),
	    ROW("set a 0 0 noreply\r\nversion\r\n", BAD " | VERSION"),
	    ROW("set a 0 0 abc\r\n1\r\n", BAD " | " BAD),
	    ROW("set a 0 0 -1\r\n1\r\n", BAD " | " BAD),
	    ROW("set a 0 0 -1 noreply\r\n", BAD),
	    ROW("set a 0 0 +1\r\nversion\r\n", BAD " | VERSION"),
	    ROW("set a 0 0 2147483646\r\nx\r\nversion\r\n", BAD " | " BAD " | VERSION"),
	    ROW("set a 0 0 4294967297\r\nx\r\n", BAD " | " BAD),
	    ROW("set a 0 0 99999999999999999999\r\nx\r\n", BAD " | " BAD),
	    ROW("set a 0 0 1x\r\n", BAD),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

static void
strict_closes_where_the_block_is_lost(void **state)
{
	(void)state;
	wire_limits.strict = true;
	wire_check(WIRE_TEXT, SLICE_LITERAL("set a 0 0 abc\r\nversion\r\n"), BAD "#");
	wire_check(WIRE_TEXT, SLICE_LITERAL("cas a 0 0\r\nversion\r\n"), BAD "#");
	wire_check(WIRE_TEXT, SLICE_LITERAL("ms a abc\r\nversion\r\n"), BAD "#");
	wire_check(WIRE_TEXT, SLICE_LITERAL("ms a 1 !\r\nversion\r\n"), BAD "#");
	wire_check(WIRE_TEXT, SLICE_LITERAL("POST /\r\nversion\r\n"), "!ERROR#");
	wire_check(WIRE_TEXT, SLICE_LITERAL("set a x 0 1\r\nx\r\nversion\r\n"), BAD " | VERSION");
	wire_check(WIRE_TEXT, SLICE_LITERAL("mg a !\r\nversion\r\n"), BAD " | VERSION");
	wire_limits.strict = false;
}

static void
bad_data_chunks(void **state)
{
	static const struct row rows[] = {
	    ROW("set a 0 0 3\r\nabcde\r\nversion\r\n",
		"!CLIENT_ERROR bad data chunk | " BAD " | VERSION"),
	    ROW("set a 0 0 3\r\nabcXYversion\r\n", "!CLIENT_ERROR bad data chunk | VERSION"),
	    ROW("set a 0 0 3\r\nabcdefgh\r\nversion\r\n",
		"!CLIENT_ERROR bad data chunk | !ERROR | VERSION"),
	    ROW("set a 0 0 3 noreply\r\nabcdefgh\r\nversion\r\n",
		"~CLIENT_ERROR bad data chunk | !ERROR | VERSION"),
	    ROW("set a 0 0 10\r\nabc\r\nversion\r\n", "!CLIENT_ERROR bad data chunk | " BAD),
	    ROW("set a 0 0 1\r\nx\n\nversion\r\n", "!CLIENT_ERROR bad data chunk | VERSION"),
	    ROW("ms a 3 q\r\nabcXYversion\r\n", "!CLIENT_ERROR bad data chunk | VERSION"),
	    ROW("set a 0 0 1 noreply\r\nXXXX\r\nversion\r\n",
		"~CLIENT_ERROR bad data chunk | " BAD " | VERSION"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

static void
arithmetic_touch_delete(void **state)
{
	static const struct row rows[] = {
	    ROW("incr a 1\r\n", "INCR a d=1"),
	    ROW("incr a 18446744073709551615 noreply\r\n", "INCR a d=18446744073709551615 noreply"),
	    ROW("decr a 0000000000000000000007\r\n", "DECR a d=7"),
	    ROW("decr a 00000000000000000000007\r\n",
		"!CLIENT_ERROR invalid numeric delta argument"),
	    ROW("incr a abc\r\n", "!CLIENT_ERROR invalid numeric delta argument"),
	    ROW("incr a -1\r\n", "!CLIENT_ERROR invalid numeric delta argument"),
	    ROW("incr a +1\r\n", "!CLIENT_ERROR invalid numeric delta argument"),
	    ROW("incr a 18446744073709551616\r\n", "!CLIENT_ERROR invalid numeric delta argument"),
	    ROW("incr a x noreply\r\nversion\r\n",
		"~CLIENT_ERROR invalid numeric delta argument | VERSION"),
	    ROW("incr a\r\n", BAD),
	    ROW("incr\r\n", BAD),
	    ROW("decr a noreply\r\n", "~CLIENT_ERROR invalid numeric delta argument"),
	    ROW("incr " K250 "k 1\r\n", BAD),
	    ROW("touch a 0\r\n", "TOUCH a t=0"),
	    ROW("touch a -1 noreply\r\n", "TOUCH a t=-1 noreply"),
	    ROW("touch a +1\r\n", "!CLIENT_ERROR invalid exptime argument"),
	    ROW("touch a 2147483648\r\n", "!CLIENT_ERROR invalid exptime argument"),
	    ROW("touch a\r\n", BAD),
	    ROW("touch a abc\r\n", "!CLIENT_ERROR invalid exptime argument"),
	    ROW("touch " K250 "k 1\r\n", BAD),
	    ROW("delete a\r\n", "DELETE a"),
	    ROW("delete a 0\r\n", "DELETE a"),
	    ROW("delete a 5\r\n", "DELETE a"),
	    ROW("delete a 0 noreply\r\n", "DELETE a noreply"),
	    ROW("delete a noreply\r\n", "DELETE a noreply"),
	    ROW("delete noreply\r\n", "DELETE noreply noreply"),
	    ROW("delete\r\n", BAD),
	    ROW("delete " K250 "k\r\n", BAD),
	    ROW("delete " K250 "\r\n", "DELETE " K250),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

/* memcached's item header, the key with its NUL, 4 bytes for flags that are not 0, and the line end count. */
static void
too_large(void **state)
{
	static char data[(1 << 20) + 100];
	static const struct {
		const char *head, *transcript;
		unsigned size;
	} rows[] = {
	    {"set a 0 0", "SET a f=0 t=0 n=1048516", (1 << 20) - 60},
	    {"set a 0 0", "!SERVER_ERROR object too large for cache -a", (1 << 20) - 59},
	    {"set a 1 0", "SET a f=1 t=0 n=1048512", (1 << 20) - 64},
	    {"set a 1 0", "!SERVER_ERROR object too large for cache -a", (1 << 20) - 63},
	    {"set abc 0 0", "SET abc f=0 t=0 n=1048514", (1 << 20) - 62},
	    {"add a 0 0", "!SERVER_ERROR object too large for cache", (1 << 20) + 1},
	    {"replace a 0 0", "!SERVER_ERROR object too large for cache", (1 << 20) + 1},
	    {"append a 0 0", "!SERVER_ERROR object too large for cache", (1 << 20) + 1},
	    {"prepend a 0 0", "!SERVER_ERROR object too large for cache", (1 << 20) + 1},
	};

	(void)state;
	memset(data, 'z', sizeof(data));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static char stream[(1 << 20) + 300];
		char expected[200];
		size_t n = (size_t)snprintf(
		    stream, sizeof(stream), "%s %u\r\n", rows[i].head, rows[i].size);

		memcpy(stream + n, data, rows[i].size);
		n += rows[i].size;
		n += (size_t)snprintf(stream + n, sizeof(stream) - n, "\r\nversion\r\n");
		(void)snprintf(expected, sizeof(expected), "%s | VERSION", rows[i].transcript);
		assert_string_equal(
		    wire_transcript(WIRE_TEXT, slice_of(stream, n), NULL, 0), expected);
	}
	wire_check(WIRE_TEXT, SLICE_LITERAL("set a 0 0 2147483645 noreply\r\n"),
	    "~SERVER_ERROR object too large for cache -a");
	wire_check(WIRE_TEXT, SLICE_LITERAL("cas a 0 0 2147483645 1\r\n"),
	    "!SERVER_ERROR object too large for cache");
}

static void
long_values_are_streamed(void **state)
{
	(void)state;
	wire_limits.inline_value_max = 3;
	wire_check(WIRE_TEXT, SLICE_LITERAL("set a 0 0 3\r\nabc\r\nget b\r\n"),
	    "SET a f=0 t=0 v=abc | GET b");
	wire_check(WIRE_TEXT, SLICE_LITERAL("set a 0 0 4\r\nabcd\r\nget b\r\n"),
	    "SET a f=0 t=0 n=4 | GET b");
	wire_check(WIRE_TEXT, SLICE_LITERAL("set a 0 0 4 noreply\r\nabcdXYget b\r\n"),
	    "SET a f=0 t=0 n=4 noreply bad | GET b");
	wire_check(WIRE_TEXT, SLICE_LITERAL("ms a 4 T9\r\nabcd\r\nget b\r\n"),
	    "MS a f=0 t=9 n=4 T9 mode=S ttl=9 | GET b");
	wire_limits.inline_value_max = 1 << 16;
}

static void
administration(void **state)
{
	static const struct row rows[] = {
	    ROW("version foo\r\n", "VERSION"),
	    ROW(" version\r\n", "!ERROR"),
	    ROW("verbosity\r\n", BAD),
	    ROW("verbosity 0\r\n", "VERBOSITY 0 #0"),
	    ROW("verbosity abc\r\n", BAD),
	    ROW("verbosity 1 0\r\n", "VERBOSITY 1 0 #1"),
	    ROW("verbosity 1 noreply\r\n", "VERBOSITY 1 noreply #1 noreply"),
	    ROW("verbosity noreply\r\nversion\r\n",
		"~CLIENT_ERROR bad command line format | VERSION"),
	    ROW("stats\r\n", "STATS"),
	    ROW("stats items 1\r\n", "STATS items 1"),
	    ROW("stats noreply\r\n", "STATS noreply"),
	    ROW("quit\r\nget a\r\n", "QUIT"),
	    ROW("quit now\r\n", "QUIT"),
	    ROW("flush_all\r\n", "FLUSH_ALL t=0"),
	    ROW(" flush_all\r\n", "FLUSH_ALL t=0"),
	    ROW("flush_all 0\r\n", "FLUSH_ALL t=0"),
	    ROW("flush_all -1\r\n", "FLUSH_ALL t=-1"),
	    ROW("flush_all 5 noreply\r\n", "FLUSH_ALL t=5 noreply"),
	    ROW("flush_all noreply\r\n", "FLUSH_ALL t=0 noreply"),
	    ROW("flush_all abc\r\n", "!CLIENT_ERROR invalid exptime argument"),
	    ROW("flush_all abc noreply\r\n", "~CLIENT_ERROR invalid exptime argument"),
	    ROW("flush_all 2147483648\r\n", "!CLIENT_ERROR invalid exptime argument"),
	    ROW("shutdown\r\n", "SHUTDOWN #0"),
	    ROW("shutdown graceful\r\n", "SHUTDOWN graceful #1"),
	    ROW("shutdown now\r\n", "SHUTDOWN now #2"),
	    ROW("cache_memlimit\r\n", "!ERROR"),
	    ROW("cache_memlimit x\r\n", "!ERROR"),
	    ROW("cache_memlimit 1\r\n", "!MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m"),
	    ROW("cache_memlimit 8\r\n", "CACHE_MEMLIMIT 8 #8"),
	    ROW("cache_memlimit 2000000000\r\n",
		"!MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes"),
	    ROW("slabs\r\n", "!ERROR"),
	    ROW("slabs bogus 1 2\r\n", "!ERROR"),
	    ROW("slabs reassign 1 2\r\n", "SLABS_REASSIGN 1 2 #1 #2"),
	    ROW("slabs reassign -1 64\r\n", "SLABS_REASSIGN -1 64 #-1 #64"),
	    ROW("slabs reassign 1\r\n", "!ERROR"),
	    ROW("slabs reassign 1 x\r\n", BAD),
	    ROW("slabs automove\r\n", "!ERROR"),
	    ROW("slabs automove 2\r\n", "SLABS_AUTOMOVE 2 #2"),
	    ROW("slabs automove 3\r\n", "!ERROR"),
	    ROW("slabs automove x\r\n", BAD),
	    ROW("slabs automove ratio 0.8\r\n", "SLABS_AUTOMOVE ratio 0.8 #3"),
	    ROW("slabs automove ratio\r\n", "!ERROR"),
	    ROW("slabs automove window 2\r\n", "!CLIENT_ERROR automove window too low or too high"),
	    ROW("slabs automove window 1801\r\n",
		"!CLIENT_ERROR automove window too low or too high"),
	    ROW("slabs automove window 1800\r\n", "SLABS_AUTOMOVE window 1800 #3"),
	    ROW("slabs automove window -1\r\n", BAD),
	    ROW("slabs automove window\r\n", BAD),
	    ROW("slabs automove window 30\r\n", "SLABS_AUTOMOVE window 30 #3"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

static void
administration_of_eviction(void **state)
{
	static const struct row rows[] = {
	    ROW("lru\r\n", "!ERROR"),
	    ROW("lru mode\r\n", "!ERROR"),
	    ROW("lru mode flat\r\n", "LRU_MODE flat"),
	    ROW("lru mode bogus\r\n", "!ERROR"),
	    ROW("lru temp_ttl\r\n", "!ERROR"),
	    ROW("lru temp_ttl -1\r\n", "LRU_TEMP_TTL -1 #-1"),
	    ROW("lru tune 10 25 0.1 2.0\r\n", "LRU_TUNE 10 25 0.1 2.0"),
	    ROW("lru tune 50 31 0.1 2.0\r\n", "!ERROR hot and warm pcts must not exceed 80"),
	    ROW("lru tune 4294967295 1 0.1 2.0\r\n", "!ERROR hot and warm pcts must not exceed 80"),
	    ROW("lru tune 10 25 0 2.0\r\n", "!ERROR hot/warm age factors must be greater than 0"),
	    ROW("lru tune 10 25 x 2.0\r\n", "!ERROR"),
	    ROW("lru tune 10 25 0.1\r\n", "!ERROR"),
	    ROW("lru_crawler\r\n", "!ERROR"),
	    ROW("lru_crawler enable\r\n", "CRAWLER_ENABLE"),
	    ROW("lru_crawler enable noreply\r\n", "~ERROR"),
	    ROW("lru_crawler disable\r\n", "CRAWLER_DISABLE"),
	    ROW("lru_crawler metadump all\r\n", "CRAWLER_METADUMP all"),
	    ROW("lru_crawler metadump\r\n", "!ERROR"),
	    ROW("lru_crawler mgdump hash\r\n", "CRAWLER_MGDUMP hash"),
	    ROW("lru_crawler crawl 1,2\r\n", "CRAWLER_CRAWL 1,2"),
	    ROW("lru_crawler tocrawl 5\r\n", "CRAWLER_TOCRAWL 5 #5"),
	    ROW("lru_crawler tocrawl x\r\n", BAD),
	    ROW("lru_crawler sleep 1000000\r\n", "CRAWLER_SLEEP 1000000 #1000000"),
	    ROW("lru_crawler sleep 1000001\r\n", "!CLIENT_ERROR sleep must be one second or less"),
	    ROW("watch\r\n", "WATCH #1"),
	    ROW("watch mutations deletions\r\n", "WATCH mutations deletions #18"),
	    ROW("watch fetchers bogus\r\n", "WATCH fetchers bogus #0"),
	    ROW("refresh_certs\r\n", "REFRESH_CERTS"),
	    ROW("extstore item_size 5\r\n", "!ERROR"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

/* Words beyond the 23rd are not seen. */
static void
twenty_three_words(void **state)
{
#define W9 " 1 2 3 4 5 6 7 8 9"
	static const struct row rows[] = {
	    ROW("touch a 0" W9 W9 " 4 noreply\r\n", "TOUCH a t=0 noreply"),
	    ROW("touch a 0" W9 W9 " 4 5 noreply\r\n", "TOUCH a t=0"),
	    ROW("touch a 0" W9 W9 " 4 noreply x\r\n", "TOUCH a t=0 noreply"),
	    ROW("bogus x 0" W9 W9 " 4 HTTP/1.0 x\r\n", "~ERROR#"),
	    ROW("bogus x 0" W9 W9 " 4 x HTTP/1.0\r\n", "!ERROR"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

/* A line of more than 2,048 bytes without its end is no command, unless a get. */
static void
endless_lines(void **state)
{
	static char line[8192];
	static const struct {
		const char *start, *transcript;
	} rows[] = {
	    {"set aaa", "#"},
	    {"\rget a", "#"},
	    {"gat 0 a", "#"},
	    {"get a", "..."},
	    {"gets a", "..."},
	    {"    get a", "..."},
	    {"get_a", "#"},
	};

	(void)state;
	memset(line, 'a', sizeof(line));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(line, rows[i].start, strlen(rows[i].start));
		assert_string_equal(
		    wire_transcript(WIRE_TEXT, slice_of(line, 2048), NULL, 0), "...");
		assert_string_equal(
		    wire_transcript(WIRE_TEXT, slice_of(line, 2049), NULL, 0), rows[i].transcript);
	}
	memset(line, ' ', 200);
	memcpy(line + 100, "get a", 5);
	assert_string_equal(wire_transcript(WIRE_TEXT, slice_of(line, 2049), NULL, 0), "...");
	memset(line, ' ', 200);
	memcpy(line + 101, "get a", 5);
	assert_string_equal(wire_transcript(WIRE_TEXT, slice_of(line, 2049), NULL, 0), "#");
}

/* START, and blanks up to a line of N bytes with its end, and behind that "hello" as the value of those that have one. */
static const char *
whole_line(const char *start, size_t n)
{
	static char line[PROTO_LINE_WHOLE + 100];

	memset(line, ' ', n);
	memcpy(line, start, strlen(start));
	memcpy(line + n - 2, "\r\nhello\r\n", 9);
	return wire_transcript(WIRE_TEXT, slice_of(line, n + 7), NULL, 0);
}

static void
whole_lines_that_are_too_long(void **state)
{
	static const char *const starts[] = {"set a 0 0 5", "ms a 5", "mg a", "mg a t", "md a q",
	    "incr a 1", "gat 0 a", "version", "bogus"};
	const size_t most = PROTO_LINE_WHOLE;

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		assert_string_not_equal(whole_line(starts[i], most), "#");
		assert_string_equal(whole_line(starts[i], most + 1), "#");
	}
	assert_string_equal(whole_line("get a", most + 1), "GET a | !ERROR");
	assert_string_equal(whole_line("   gets a", most + 1), "!ERROR | !ERROR");
}

static void
a_hundred_thousand_keys(void **state)
{
	static char line[700000];
	size_t n = (size_t)snprintf(line, sizeof(line), "get");
	struct parse_error error;
	struct command command;
	struct slice key;
	unsigned keys = 1;

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %05u", i);
	assert_int_equal(
	    wire_parse(WIRE_TEXT, wire_edge(slice_of(line, n)), &command, &error), PARSE_MORE);
	memcpy(line + n, "\r\n", 2);
	n += 2;
	assert_int_equal(
	    wire_parse(WIRE_TEXT, wire_edge(slice_of(line, n)), &command, &error), PARSE_COMMAND);
	assert_int_equal(command.used, n);
	while (proto_token_next(&command.rest, &key))
		keys += key.len == 5;
	assert_int_equal(keys, 100000);
}

static void
authentication(void **state)
{
	static const struct row rows[] = {
	    ROW("set x 0 0 9\r\nuser pass\r\n", "SET user v=pass"),
	    ROW("set x 0 0 9\nuser pass\r\n", "SET user v=pass"),
	    ROW("set x 0 0 11 y\r\nuser pa  ss\r\n", "SET user v=pa\\20\\20ss"),
	    ROW("set x 0 0 1\r\n \r\n", "SET  v="),
	    ROW("get a\r\n", "!CLIENT_ERROR unauthenticated"),
	    ROW(" set x 0 0 9\r\n", "!CLIENT_ERROR unauthenticated"),
	    ROW("get a\n", "#"),
	    ROW("quit\r\n", "#"),
	    ROW("\n\n\n", "#"),
	    ROW("\n", "..."),
	    ROW("\r\n", "..."),
	    ROW("set x 0 0\r\n", "!CLIENT_ERROR unauthenticated"),
	    ROW("set x 0 0 -1\r\n", "!CLIENT_ERROR unauthenticated"),
	    ROW("set x 0 0 2147483646\r\n", "!CLIENT_ERROR auth token too long"),
	    ROW("set x 0 0 16385\r\n", "!CLIENT_ERROR auth token too long"),
	    ROW("set x 0 0 4\r\nuser\r\n", "!CLIENT_ERROR bad authentication token format"),
	    ROW("set x 0 0 3\r\nuser pass\r\n", "!CLIENT_ERROR bad command line termination | #"),
	};
	static char line[2049];

	(void)state;
	CHECK_ROWS(WIRE_AUTH, rows);
	memset(line, 'a', sizeof(line));
	assert_string_equal(wire_transcript(WIRE_AUTH, slice_of(line, 2048), NULL, 0), "...");
	assert_string_equal(wire_transcript(WIRE_AUTH, slice_of(line, 2049), NULL, 0), "#");
}

/* ---------------------------------------------------------------- random */

static const char *const pieces[] = {"get", "gets", "gat", "set", "cas", "incr", "touch", "delete",
    "mg", "ms", "ma", "flush_all", "noreply", " ", " ", " ", " ", " ", "\r\n", "\r\n", "\r\n", "\n",
    "\r", "0", "1", "2", "10", "-1", "a", "key", "b", "v", "T", "abc", "18446744073709551616", "\t",
    "+", "stats", "verbosity", "HTTP/"};

static size_t
random_stream(struct random_state *r, char *out, size_t size)
{
	size_t n = 0;

	while (n + 30 < size && random_below(r, 40) != 0) {
		if (random_below(r, 12) == 0) {
			out[n++] = (char)random_next(r);
			continue;
		}
		n += (size_t)snprintf(out + n, size - n, "%s",
		    pieces[random_below(r, sizeof(pieces) / sizeof(pieces[0]))]);
	}
	return n;
}

/* Whatever comes: cut anywhere, it means the same, and nothing outside of the window is read. */
static void
random_streams_cut_anywhere(void **state)
{
	struct random_state r;
	static char stream[700], once[1 << 16];

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = random_stream(&r, stream, sizeof(stream)), cuts[2];

		if (n < 2)
			continue;
		(void)snprintf(once, sizeof(once), "%s",
		    wire_transcript(WIRE_TEXT, slice_of(stream, n), NULL, 0));
		cuts[0] = 1 + random_below(&r, n - 1);
		cuts[1] = cuts[0] + random_below(&r, n - cuts[0]);
		assert_string_equal(wire_transcript(WIRE_TEXT, slice_of(stream, n), cuts, 2), once);
	}
}

/* The fast way and the general way agree: one blank more behind the name leads to the latter. */
static void
both_ways_agree(void **state)
{
	static const char *const names[] = {"get", "gets", "set"};
	static const char *const words[] = {"a", "key", K250, K250 "k", "0", "1", "10", "007", "-1",
	    "+1", "4294967295", "4294967296", "2147483647", "2147483648", "9999999999",
	    "00000000005", "000000000005", "noreply", "x", "\r"};
	static char line[4000], spaced[4000], once[1 << 16];
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 50000; round++) {
		const char *name = names[random_below(&r, 3)];
		size_t n = strlen(name), len = n;

		memcpy(line, name, n);
		for (uint64_t i = random_below(&r, 7); i > 0; i--)
			n += (size_t)snprintf(line + n, sizeof(line) - n, " %s",
			    words[random_below(&r, sizeof(words) / sizeof(words[0]))]);
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s",
		    random_below(&r, 8) == 0 ? "\n" : "\r\n",
		    random_below(&r, 2) == 0 ? "x\r\n" : "xy");
		memcpy(spaced, line, len);
		spaced[len] = ' ';
		memcpy(spaced + len + 1, line + len, n - len);
		(void)snprintf(once, sizeof(once), "%s",
		    wire_transcript(WIRE_TEXT, slice_of(line, n), NULL, 0));
		if (line[len] == ' ')
			assert_string_equal(
			    wire_transcript(WIRE_TEXT, slice_of(spaced, n + 1), NULL, 0), once);
	}
}

/* A command is the same whatever stands behind it. */
static void
random_pipelines(void **state)
{
	struct random_state r;
	static char stream[1500], alone[1 << 15], both[1 << 16];

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = random_stream(&r, stream, 700), m;
		size_t len;

		(void)snprintf(alone, sizeof(alone), "%s",
		    wire_transcript(WIRE_TEXT, slice_of(stream, n), NULL, 0));
		len = strlen(alone);
		if (len >= 3 && strcmp(alone + len - 3, "...") == 0)
			len -= 3;
		m = random_stream(&r, stream + n, 700);
		(void)snprintf(both, sizeof(both), "%s",
		    wire_transcript(WIRE_TEXT, slice_of(stream, n + m), NULL, 0));
		assert_memory_equal(alone, both, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_that_are_no_command),
	    cmocka_unit_test(retrieval),
	    cmocka_unit_test(storage),
	    cmocka_unit_test(refused_with_its_block),
	    cmocka_unit_test(refused_without_its_block),
	    cmocka_unit_test(strict_closes_where_the_block_is_lost),
	    cmocka_unit_test(bad_data_chunks),
	    cmocka_unit_test(arithmetic_touch_delete),
	    cmocka_unit_test(too_large),
	    cmocka_unit_test(long_values_are_streamed),
	    cmocka_unit_test(administration),
	    cmocka_unit_test(administration_of_eviction),
	    cmocka_unit_test(twenty_three_words),
	    cmocka_unit_test(endless_lines),
	    cmocka_unit_test(whole_lines_that_are_too_long),
	    cmocka_unit_test(a_hundred_thousand_keys),
	    cmocka_unit_test(authentication),
	    cmocka_unit_test(random_streams_cut_anywhere),
	    cmocka_unit_test(both_ways_agree),
	    cmocka_unit_test(random_pipelines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
