/* t/proto/test_meta.c: the meta commands: every flag, every refusal, in memcached's order. */
#include <stdlib.h>

#include "base/assert.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"
#include "t/proto/rows.h"

#define K50  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K250 K50 K50 K50 K50 K50
#define X31  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define BAD  "!CLIENT_ERROR bad command line format"
#define TOK  "!CLIENT_ERROR bad token in command line format"
#define MA   "!CLIENT_ERROR invalid or duplicate flag"

static void
good_lines(void **state)
{
	static const struct row rows[] = {
	    ROW("mn\r\n", "MN"),
	    ROW("mn foo\r\n", "MN"),
	    ROW("mn\n", BAD),
	    ROW("mg a\r\n", "MG a mode=S"),
	    ROW("mg a\n", "MG a mode=S"),
	    ROW("mg  a  v   k \r\n", "MG a v k mode=S"),
	    ROW("mg a s t f k h l Oabc v q c u\r\nmn\r\n",
		"MG a s t f k h l Oabc v q c u mode=S noreply | MN"),
	    ROW("mg a N30 R-1 T5 v\r\n", "MG a N30 R-1 T5 v mode=S ttl=5 vivify=30 recache=-1"),
	    ROW("mg a C18446744073709551615 E7\r\n",
		"MG a C18446744073709551615 E7 mode=S compare=18446744073709551615 explicit=7"),
	    ROW("mg a P1 L1\r\n", "MG a P1 L1 mode=S"),
	    ROW("mg a Pfoo=1\r\n", "MG a Pfoo=1 mode=S"),
	    ROW("mg a Mzzz\r\n", "MG a Mzzz mode=S"),
	    ROW("mg a O\r\n", "MG a O mode=S"),
	    ROW("mg a O" X31 "\r\n", "MG a O" X31 " mode=S"),
	    ROW("mg " K250 " v\r\n", "MG " K250 " v mode=S"),
	    ROW("mg a\0b v\r\n", "MG a\\00b v mode=S"),
	    ROW("mg Zm9v b k\r\n", "MG foo b k mode=S"),
	    ROW("mg AAEC k b\r\n", "MG \\00\\01\\02 k b mode=S"),
	    ROW("mg Zg== b\r\n", "MG f b mode=S"),
	    ROW("mg Zm8= b\r\n", "MG fo b mode=S"),
	    ROW("mg Zm9!v b\r\n", "MG foo b mode=S"),
	    ROW("mg Zg==Zg== b\r\n", "MG f b mode=S"),
	    ROW("ms a 2\r\nhi\r\n", "MS a f=0 t=0 v=hi mode=S"),
	    ROW("ms a 2 F5 T100\r\nhi\r\n", "MS a f=5 t=100 v=hi F5 T100 mode=S ttl=100"),
	    ROW("ms a 0\r\n\r\n", "MS a f=0 t=0 v= mode=S"),
	    ROW("ms a 2 q MA N60 T9\r\nhi\r\n",
		"MS a f=0 t=60 v=hi q MA N60 T9 mode=A ttl=9 vivify=60 noreply"),
	    ROW("ms a 2 MP\r\nhi\r\n", "MS a f=0 t=0 v=hi MP mode=P"),
	    ROW("ms a 2 ME\r\nhi\r\n", "MS a f=0 t=0 v=hi ME mode=E"),
	    ROW("ms a 2 MRxyz\r\nhi\r\n", "MS a f=0 t=0 v=hi MRxyz mode=R"),
	    ROW("ms a 2 MS I C7\r\nhi\r\n", "MS a f=0 t=0 v=hi MS I C7 mode=S compare=7"),
	    ROW("ms Zm9v 1 b\r\n1\r\n", "MS foo f=0 t=0 v=1 b mode=S"),
	    ROW("ms a 1 F4294967297\r\n1\r\n", BAD),
	    ROW("md a q I T30 C5 x\r\n", "MD a q I T30 C5 x mode=S ttl=30 compare=5 noreply"),
	    ROW("ma a\r\n", "MA a mode=I d=1 i=0"),
	    ROW("ma a N0 J7 v D3\r\n", "MA a N0 J7 v D3 mode=I vivify=0 d=3 i=7"),
	    ROW("ma a MD\r\n", "MA a MD mode=D d=1 i=0"),
	    ROW("ma a M-\r\n", "MA a M- mode=D d=1 i=0"),
	    ROW("ma a M+ D18446744073709551615\r\n",
		"MA a M+ D18446744073709551615 mode=I d=18446744073709551615 i=0"),
	    ROW("ma a MInc\r\n", "MA a MInc mode=I d=1 i=0"),
	    ROW("me a\r\n", "ME a"),
	    ROW("me Zm9v b\r\n", "ME foo b"),
	    ROW("me Zm9v x b\r\n", "ME Zm9v"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

static void
refused(void **state)
{
	static const struct row rows[] = {
	    ROW("mg\r\n", BAD),
	    ROW("mg \r\n", BAD),
	    ROW("mg " K250 "k v\r\n", BAD),
	    ROW("mg a v v\r\n", "!CLIENT_ERROR duplicate flag"),
	    ROW("mg a z\r\n", "!CLIENT_ERROR invalid flag"),
	    ROW("mg a S100\r\n", "!CLIENT_ERROR invalid flag"),
	    ROW("mg a 1\r\n", "!CLIENT_ERROR invalid flag"),
	    ROW("mg a [\r\n", "!CLIENT_ERROR invalid flag"),
	    ROW("mg a !\r\n", BAD),
	    ROW("mg a v {\r\n", BAD),
	    ROW("mg a v \xc3\r\n", BAD),
	    ROW("mg a v \t\r\n", BAD),
	    ROW("mg a z !\r\n", BAD),
	    ROW("mg a Tabc\r\n", TOK),
	    ROW("mg a T\r\n", TOK),
	    ROW("mg a T 5\r\n", "!CLIENT_ERROR invalid flag"),
	    ROW("mg a T5x\r\n", TOK),
	    ROW("mg a T+5\r\n", TOK),
	    ROW("mg a T2147483648\r\n", TOK),
	    ROW("mg a N2147483648\r\n", TOK),
	    ROW("mg a R4294967296\r\n", TOK),
	    ROW("mg a C+1\r\n", TOK),
	    ROW("mg a E+1\r\n", TOK),
	    ROW("mg a F4294967296\r\n", BAD),
	    ROW("mg a F+1\r\n", BAD),
	    ROW("mg a Nx\r\n", TOK),
	    ROW("mg a Rx\r\n", TOK),
	    ROW("mg a Cx\r\n", TOK),
	    ROW("mg a C-1\r\n", TOK),
	    ROW("mg a E18446744073709551616\r\n", TOK),
	    ROW("mg a Fx\r\n", BAD),
	    ROW("mg a Jx\r\n", "!CLIENT_ERROR invalid numeric initial value"),
	    ROW("mg a Dx\r\n", "!CLIENT_ERROR invalid numeric delta value"),
	    ROW("mg a Fx Tx\r\n", TOK),
	    ROW("mg a Tx Fx\r\n", TOK),
	    ROW("mg a Tx Jx\r\n", "!CLIENT_ERROR invalid numeric initial value"),
	    ROW("mg a Tx v v\r\n", "!CLIENT_ERROR duplicate flag"),
	    ROW("mg a Tx q\r\nmn\r\n", TOK " | MN"),
	    ROW("mg Zm9 b\r\n", "!CLIENT_ERROR error decoding key"),
	    ROW("mg !!!! b\r\n", "!CLIENT_ERROR error decoding key"),
	    ROW("mg A=== b\r\n", "!CLIENT_ERROR error decoding key"),
	    ROW("mg AAAAA=== b\r\n", "!CLIENT_ERROR error decoding key"),
	    ROW("mg Zm9vA b\r\n", "!CLIENT_ERROR error decoding key"),
	    ROW("mg a O" X31 "x\r\n", "!CLIENT_ERROR opaque token too long"),
	    ROW("mg a O" X31 "x v v\r\n", "!CLIENT_ERROR duplicate flag"),
	    ROW("mg a b N T R l O P L k s t c f v h u q x\r\n", TOK),
	    ROW("mg a v v v v v v v v v v v v v v v v v v v\r\n",
		"!CLIENT_ERROR options flags are too long"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

static void
refused_writes(void **state)
{
	static const struct row rows[] = {
	    ROW("ms\r\n", BAD),
	    ROW("ms a\r\n", BAD),
	    ROW("ms a abc\r\n1\r\n", BAD " | " BAD),
	    ROW("ms a S1\r\n", BAD),
	    ROW("ms a -1\r\n", BAD),
	    ROW("ms a +1\r\n", BAD),
	    ROW("ms a 2147483646\r\n", BAD),
	    ROW("ms a 1 !\r\nmn\r\n", BAD " | MN"),
	    ROW("ms a 1 z\r\n1\r\nmn\r\n", "!CLIENT_ERROR invalid flag | MN"),
	    ROW("ms a 1 q q\r\n1\r\nmn\r\n", "!CLIENT_ERROR duplicate flag | MN"),
	    ROW("ms a 1 Tx q\r\n1\r\nmn\r\n", TOK " | MN"),
	    ROW("ms a 1 Mz\r\n1\r\nmn\r\n", "!CLIENT_ERROR invalid mode for ms M token | MN"),
	    ROW("ms a 1 Ma\r\n1\r\n", "!CLIENT_ERROR invalid mode for ms M token"),
	    ROW("ms a 1 M\r\n1\r\n", "!CLIENT_ERROR invalid mode for ms M token"),
	    ROW("ms a 1 O" X31 "x\r\n1\r\nmn\r\n", "!CLIENT_ERROR opaque token too long | MN"),
	    ROW("ms " K250 "k 1\r\n1\r\nmn\r\n", BAD " | MN"),
	    ROW("ms Zm9 1 b\r\n1\r\nmn\r\n", "!CLIENT_ERROR error decoding key | MN"),
	    ROW("ms a 1048577\r\n", "!SERVER_ERROR object too large for cache -a"),
	    ROW("ms a 1048577 q ME\r\n", "!SERVER_ERROR object too large for cache -a"),
	    ROW("ms Zm9v 1048577 b\r\n", "!SERVER_ERROR object too large for cache -foo"),
	    ROW("md\r\n", BAD),
	    ROW("md " K250 "k q\r\n", BAD),
	    ROW("ma\r\n", BAD),
	    ROW("ma a !\r\n", BAD),
	    ROW("ma a z\r\n", MA),
	    ROW("ma a v v\r\n", MA),
	    ROW("ma a Dabc\r\n", MA),
	    ROW("ma " K250 "k\r\n", MA),
	    ROW("ma a MX\r\n", "!CLIENT_ERROR invalid mode for ma M token"),
	    ROW("ma a Mi\r\n", "!CLIENT_ERROR invalid mode for ma M token"),
	    ROW("ma a MX q\r\n", "!CLIENT_ERROR invalid mode for ma M token"),
	    ROW("me\r\n", BAD),
	    ROW("me " K250 "k\r\n", BAD),
	    ROW("me Zm9 b\r\n", BAD),
	    ROW("mx a\r\n", "!ERROR"),
	    ROW("mgg a\r\n", "!ERROR"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

/* 20 words are taken, 21 are not. */
static void
as_many_flags_as_fit(void **state)
{
#define F16 " N1 T1 R1 l O P L k s t c f v h u q"
	static const struct row rows[] = {
	    ROW("mg a" F16 " x I\r\n", "MG a" F16 " x I mode=S ttl=1 vivify=1 recache=1 noreply"),
	    ROW("mg a" F16 " x I F1\r\n", "!CLIENT_ERROR options flags are too long"),
	    ROW("ms a 1" F16 " x\r\n1\r\n",
		"MS a f=0 t=1 v=1" F16 " x mode=S ttl=1 vivify=1 recache=1 noreply"),
	    ROW("ms a 1" F16 " x I\r\n1\r\nmn\r\n",
		"!CLIENT_ERROR options flags are too long | MN"),
	    ROW("ma a" F16 " x I F1\r\n", MA),
	    ROW("mg a" F16 " x I F1 C1 !\r\n", BAD),
	    ROW("mg a" F16 " x I F1 C1 E1 !\r\n", "!CLIENT_ERROR options flags are too long"),
	};

	(void)state;
	CHECK_ROWS(WIRE_TEXT, rows);
}

/* ---------------------------------------------------------------- random */

static const char *const words[] = {"a", "Zm9v", "v", "k", "b", "q", "s", "t", "c", "f", "h", "l",
    "u", "x", "I", "T5", "T", "Tx", "N0", "R9", "C1", "E2", "F3", "Fx", "J4", "D5", "MS", "MD", "M",
    "Ofoo", "O" X31, "O" X31 "x", "P", "L", "1", "0", "!", "\x80", "S", "2", " ", "z"};

static size_t
random_line(struct random_state *r, char *out, size_t size)
{
	static const char *const names[] = {"mg", "ms", "md", "ma", "me", "mn"};
	size_t n = (size_t)snprintf(out, size, "%s", names[random_below(r, 6)]);

	while (n + 60 < size && random_below(r, 9) != 0)
		n += (size_t)snprintf(out + n, size - n, " %s",
		    words[random_below(r, sizeof(words) / sizeof(words[0]))]);
	return n + (size_t)snprintf(out + n, size - n, random_below(r, 8) == 0 ? "\n" : "\r\n");
}

static void
random_lines_cut_anywhere(void **state)
{
	static char stream[2000], once[1 << 16];
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = 0, cut;

		for (unsigned i = 0; i < 3; i++)
			n += random_line(&r, stream + n, 400);
		cut = 1 + random_below(&r, n - 1);
		(void)snprintf(once, sizeof(once), "%s",
		    wire_transcript(WIRE_TEXT, slice_of(stream, n), NULL, 0));
		assert_string_equal(wire_transcript(WIRE_TEXT, slice_of(stream, n), &cut, 1), once);
	}
}

/* The fast way and the careful way agree: a line is taken or refused the same with one blank more in front of its key,
 * which the fast way does not take. */
static void
both_ways_agree(void **state)
{
	static char line[500], spaced[502], once[1 << 16];
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned round = 0; round < 50000; round++) {
		size_t n = random_line(&r, line, 400);

		(void)snprintf(once, sizeof(once), "%s",
		    wire_transcript(WIRE_TEXT, slice_of(line, n), NULL, 0));
		memcpy(spaced, line, 2);
		spaced[2] = ' ';
		memcpy(spaced + 3, line + 2, n - 2);
		if (line[2] == ' ')
			assert_string_equal(
			    wire_transcript(WIRE_TEXT, slice_of(spaced, n + 1), NULL, 0), once);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_lines),
	    cmocka_unit_test(refused),
	    cmocka_unit_test(refused_writes),
	    cmocka_unit_test(as_many_flags_as_fit),
	    cmocka_unit_test(random_lines_cut_anywhere),
	    cmocka_unit_test(both_ways_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
