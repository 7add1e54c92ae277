/* proto/command.h: what a parser makes of bytes, for all three protocols.
 *
 * Parsers are pure functions over a window of bytes: each looks at the window's first command and says that it
 * has one, that it needs more bytes, or that it is bad, and how many bytes that takes. They see no socket, no
 * store and no thread. Slices in a command point into the window (or into the command itself) and live as
 * long as those.
 */
#ifndef PROTO_COMMAND_H
#define PROTO_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define PROTO_KEY_MAX 250u

enum protocol { PROTOCOL_UNKNOWN, PROTOCOL_TEXT, PROTOCOL_BINARY };

enum opcode {
#define COMMAND(symbol, ...) OP_##symbol,
#include "proto/tbl/commands.h"
#undef COMMAND
	OP_COUNT
};

enum parse_result {
	PARSE_COMMAND, /* *COMMAND is whole: USED bytes of the window belong to it, its value included */
	PARSE_STREAM,  /* a storage command whose value is too long for the window (above LIMITS.inline_value_max):
	                * USED bytes of head; COMMAND.size bytes of value and its terminator follow in the stream */
	PARSE_MORE,    /* the window ends within the command; USED is 0 */
	PARSE_ERROR,   /* *ERROR says what to answer and what to do; USED bytes are done with */
};

/* What the parsers need to know of the settings. */
struct parse_limits {
	uint64_t item_size_max;    /* -I: bytes */
	uint32_t item_overhead;    /* bytes that memcached's item header takes: decides what is too large */
	uint32_t inline_value_max; /* longer values are streamed */
	uint32_t line_max;         /* longest line without its end, except of get and gets: 2048 */
};

/* What to do about a bad command. */
struct parse_error {
	struct slice reply; /* the whole line with its end; static storage */
	uint64_t swallow;   /* bytes of the stream to drop after USED: the data block of a refused set */
	bool silent;        /* no reply (noreply was asked for and memcached obeys it here) */
	bool close;         /* hang up after the reply */
	bool drop_key;      /* memcached removes the item under COMMAND.key (a set that is too large) */
};

/* What a meta command asks for, beside its key. */
struct meta_request {
	uint64_t flags;          /* bit (c - 'A') of each flag c seen, 'A' to 'z' */
	struct slice tokens;     /* the flags as they came, for answering in their order */
	struct slice opaque;     /* of O, without the letter */
	struct slice wire_key;   /* the key as it came (base64 with b) */
	uint64_t compare_cas;    /* C */
	uint64_t explicit_cas;   /* E */
	uint64_t initial, delta; /* J, D */
	int32_t ttl;             /* T */
	int32_t vivify_ttl;      /* N */
	int32_t recache_ttl;     /* R */
	uint32_t client_flags;   /* F */
	char mode;               /* M, upper case; 0 = none */
	char key_bytes[PROTO_KEY_MAX]; /* the decoded key with b */
};

/* The head of a binary request, in host order. */
struct binary_request {
	uint32_t opaque;
	uint8_t opcode;
};

struct command {
	uint8_t op;          /* enum opcode */
	bool noreply;        /* quiet in binary */
	uint8_t token_count; /* text administration: how many TOKENS */
	struct slice key;    /* the (first) key */
	struct slice rest;   /* the rest of the line behind KEY (more keys, options), without the line's end */
	struct slice value;  /* storage: the value, where it is in the window */
	uint64_t cas;        /* cas: to compare with; binary: 0 = none */
	uint64_t delta;      /* incr, decr */
	uint64_t initial;    /* binary incr, decr */
	uint32_t client_flags;
	uint32_t size;       /* bytes of the value */
	int32_t exptime;     /* as it came: relative, absolute or negative */
	union {
		struct meta_request meta;
		struct binary_request binary;
	};
};

#endif
