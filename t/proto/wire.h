/* t/proto/wire.h: what the parser tests share: windows that end at an unreadable page, and transcripts.
 *
 * A transcript is what a server would do with a stream of bytes, in words, parts separated by " | ":
 *
 *	GET a b              a command with its keys and all that the parser made of it
 *	SET k f=1 t=0 v=abc  the value is there; n=<size> where it is streamed
 *	!ERROR               an error with its answer; "~" in place of "!" where noreply hides it
 *	-k                   after an error: the item under k is removed
 *	#                    the connection is closed
 *	...                  it ends within a command
 */
#ifndef T_PROTO_WIRE_H
#define T_PROTO_WIRE_H

#include <stdbool.h>

#include "proto/command.h"

enum wire { WIRE_TEXT, WIRE_AUTH, WIRE_BINARY };

/* What the parsers run with: 1 MiB items, values above 64 KiB streamed, SASL on. Tests may change it. */
extern struct parse_limits wire_limits;

/* Copies BYTES to where the byte behind them cannot be read. The result lasts until the next call. */
struct slice wire_edge(struct slice bytes);

/* Parses the first command of WINDOW. */
enum parse_result wire_parse(
    enum wire wire, struct slice window, struct command *command, struct parse_error *error);

/* The transcript of STREAM, which comes in pieces that end at the CUTS (ascending; each only once). In static storage
 * until the next call. Each window is parsed twice: at the beginning of memory that can be
 * read, and at its end. */
const char *wire_transcript(enum wire wire, struct slice stream, const size_t *cuts, size_t count);

/* Asserts that the transcript of STREAM is EXPECTED, in one piece, in two pieces cut anywhere, and byte by byte. */
void wire_check(enum wire wire, struct slice stream, const char *expected);

/* Asserts that no prefix of STREAM is parsed as something else than the whole: PARSE_MORE up to some length, from
 * there on always the same; and that NEED never asks for more or less than is needed. */
void wire_check_prefixes(enum wire wire, struct slice stream);

#endif
