/* proto/binary.h: the binary protocol: a 24-byte header, extras, key, value.
 *
 *	 0  magic 0x80   1  opcode      2  key length (16)
 *	 4  extras len.  5  data type   6  vbucket (16)
 *	 8  body length (32): extras, key and value together
 *	12  opaque (32): handed back as it came
 *	16  CAS (64)
 */
#ifndef PROTO_BINARY_H
#define PROTO_BINARY_H

#include "proto/command.h"

#define BINARY_HEADER_SIZE    24u
#define BINARY_RESPONSE_MAGIC 0x81u

/* Opcodes as they stand on the wire. */
enum binary_opcode {
#define OPCODE(code, symbol, ...) BINARY_##symbol = (code),
#include "proto/tbl/opcodes.h"
#undef OPCODE
};

/* STATUS(symbol, code, text): what a binary reply says; the text is its body where it is an error. */
enum binary_status {
#define STATUS(symbol, code, text) BINARY_STATUS_##symbol = (code),
#include "proto/tbl/statuses.h"
#undef STATUS
};

/* The text of STATUS, empty where it has none. */
struct slice binary_status_text(uint16_t status);

/* Parses the first request of WINDOW. As classic_parse, except: no length that the header claims is believed
 * before it is checked against the others and against LIMITS; values have no terminator; an error is answered
 * with ERROR->status and COMMAND->binary. */
enum parse_result binary_parse(struct slice window, const struct parse_limits *limits,
    struct command *command, struct parse_error *error);

#endif
