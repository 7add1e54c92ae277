/* proto/command.h: what a parser makes of bytes, for all three protocols.
 *
 * Parsers are pure functions over a window of bytes: each looks at the window's first command and says that it
 * has one, that it needs more bytes, or that it is bad, and how many bytes that takes. They see no socket, no
 * store and no thread. Slices in a command point into the window (or into the command itself) and live as
 * long as those.
 *
 * A parser writes only the fields that the command has: whoever reads another one reads what an earlier command
 * left there. Each field below says where it is set.
 */
#ifndef PROTO_COMMAND_H
#define PROTO_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define PROTO_KEY_MAX    250u
#define PROTO_OPAQUE_MAX 31u
#define PROTO_LINE_MAX   2048u /* a longer line without its end is no command, unless get or gets */
#define PROTO_LINE_WHOLE 16384u /* nor is one longer than this with its end, unless get or gets */
#define PROTO_VALUE_MAX  2147483645u
#define PROTO_SASL_MAX   16384u /* bytes of a SASL message, or of "user password" with -Y */

enum protocol { PROTOCOL_UNKNOWN, PROTOCOL_TEXT, PROTOCOL_BINARY };

/* The first byte of a connection decides, as in memcached. */
#define PROTO_BINARY_MAGIC 0x80u

enum opcode {
#define COMMAND(symbol, ...) OP_##symbol,
#include "proto/tbl/commands.h"
#undef COMMAND
	OP_COUNT
};

enum command_flag {
	CMD_READ = 1u << 0,            /* looks items up */
	CMD_WRITE = 1u << 1,           /* may change items */
	CMD_KEY = 1u << 2,             /* has one key */
	CMD_KEYS = 1u << 3,            /* has one key or more: see proto_token_next */
	CMD_VALUE = 1u << 4,           /* has a data block */
	CMD_ADMIN = 1u << 5,           /* changes the server itself */
	CMD_UNAUTHENTICATED = 1u << 6, /* allowed before authentication */
	CMD_DEBUG = 1u << 7,           /* only where configured with --enable-debug-commands */
};

enum surface { SURFACE_CLASSIC, SURFACE_META, SURFACE_ADMIN, SURFACE_BINARY };

struct command_info {
	const char *symbol, *name, *arguments, *help;
	uint8_t surface, flags;
};

/* The rows of the table, by enum opcode. */
extern const struct command_info command_infos[OP_COUNT];

enum parse_result {
	PARSE_COMMAND, /* *COMMAND is whole: USED bytes of the window belong to it, its value included */
	PARSE_STREAM, /* a storage command whose value is too long for the window (SIZE above
	                * limits.inline_value_max): USED bytes of head; SIZE bytes of value follow in the stream, and
	                * then, in text, the terminator "\r\n", which the caller checks; where it is something else,
	                * its two bytes are dropped all the same, nothing is stored, and the answer is
	                * REPLY_BAD_DATA_CHUNK, even where noreply is set if OP is OP_MS */
	PARSE_MORE, /* the window ends within the command; USED is 0. NEED says when to come back */
	PARSE_ERROR, /* *ERROR says what to answer and what to do; USED bytes are done with */
};

/* What the parsers need to know of the settings. ITEM_OVERHEAD is what memcached's item header takes: 56 bytes, or 48
 * with -C; with ITEM_SIZE_MAX it decides what is too large. */
struct parse_limits {
	uint64_t item_size_max;    /* -I: bytes */
	uint32_t item_overhead;    /* bytes */
	uint32_t inline_value_max; /* bytes; longer values are streamed */
	bool strict; /* hang up after an error that leaves a data block of unknown length behind */
	bool sasl;   /* -S; without it the SASL opcodes are unknown */
};

/* What to do about a bad command. REPLY is the whole answer of a text command, with its end, in static storage; empty
 * means none (just close). A binary one is answered with STATUS and command.binary (reply_binary_status); 0 means no
 * answer. Where authentication (-S) is still due, the caller looks at command.binary.opcode before it looks at
 * STATUS. */
struct parse_error {
	struct slice reply;
	uint64_t swallow; /* bytes to drop behind USED: the data block of a refused command */
	uint16_t status;
	bool silent;    /* no answer: noreply was asked for, and memcached obeys it here */
	bool close;     /* hang up after the answer */
	bool drop_key;  /* remove the item under command.key: a set that is too large does */
	bool too_large; /* it is the size that was refused; command.op and key are set */
};

/* The bit of meta flag C ('A' to 'z') in meta_request.flags. */
#define META_FLAG(c) (UINT64_C(1) << ((c) - 'A'))

/* What a meta command asks for, beside its key. FLAGS, TOKENS, WIRE_KEY and MODE are always set, the others
 * where their flag is. */
struct meta_request {
	uint64_t flags;                /* META_FLAG of each flag seen */
	struct slice tokens;           /* the flags as they came, for answering in their order */
	struct slice wire_key;         /* the key as it came (base64 with b) */
	uint64_t compare_cas;          /* C */
	uint64_t explicit_cas;         /* E */
	uint64_t initial;              /* J; 0 without it */
	uint64_t delta;                /* D; 1 without it */
	int32_t ttl;                   /* T */
	int32_t vivify_ttl;            /* N */
	int32_t recache_ttl;           /* R */
	char mode;                     /* ms: S A R P E; ma: I D; the defaults are S and I */
	char key_bytes[PROTO_KEY_MAX]; /* the decoded key with b */
};

/* The head of a binary request, in host order. */
struct binary_request {
	uint32_t opaque;
	uint8_t opcode;  /* as it came */
	bool with_key;   /* GETK and the like: the answer bears the key */
	bool has_extras; /* FLUSH: EXPTIME is set */
};

#define ADMIN_WORDS_MAX 22

/* Streams that watch can ask for. */
enum watch_stream {
#define WATCH(symbol, name) WATCH_##symbol,
#include "proto/tbl/watches.h"
#undef WATCH
	WATCH_COUNT
};

enum shutdown_mode { SHUTDOWN_NOW, SHUTDOWN_GRACEFUL, SHUTDOWN_UNKNOWN };

/* "ratio", "freeratio" or "window" with a number: answered OK, without an effect. */
#define AUTOMOVE_TUNING 3

/* An administration line: its words behind the name (at most 22 of them; more are ignored, as memcached does), and
 * what they mean:
 *
 *	VERBOSITY, CACHE_MEMLIMIT, CRAWLER_TOCRAWL, CRAWLER_SLEEP    numbers[0]
 *	SLABS_REASSIGN    source and target, any 32-bit integer (the store says what is a class)
 *	SLABS_AUTOMOVE    numbers[0]: 0, 1, 2, or AUTOMOVE_TUNING
 *	LRU_TEMP_TTL      numbers[0]: seconds, negative = off
 *	SHUTDOWN          numbers[0]: enum shutdown_mode; whether it is allowed is asked before the mode is looked at
 *	WATCH             numbers[0]: 1 << enum watch_stream of each; 0 = a word is unknown: REPLY_ERROR
 *	DEBUGTIME         words[0] is "p" or "r", or numbers[0] are seconds to add
 *	WAIT              numbers[0]: replicas; numbers[1]: milliseconds
 *	CRAWLER_CRAWL, CRAWLER_METADUMP, CRAWLER_MGDUMP    words[0], as it came
 */
struct admin_request {
	int64_t numbers[2];
	uint8_t count;
	struct slice words[ADMIN_WORDS_MAX];
};

/* EXPTIME is as it came: relative, absolute or negative. It is set for storage commands, touch, gat, gats, flush_all
 * (0 where it has no delay), binary incr and decr (-1 = do not create), and for all of META: of T, or of N where an
 * ms may create by appending, or 0. */
struct command {
	uint8_t op;   /* enum opcode; always */
	bool noreply; /* noreply, q, a quiet opcode; always, but for PARSE_ERROR and PARSE_MORE */
	size_t used;  /* bytes of the window that are done with; always */
	size_t need;  /* PARSE_MORE: the window that a retry needs; 0 = one with a '\n' more */
	int32_t exptime;
	uint32_t client_flags; /* CMD_VALUE, META (0 without F) */
	uint32_t size;         /* CMD_VALUE: bytes of the value */
	struct slice key;      /* the (first) key; empty where a binary command has none */
	struct slice rest;     /* CMD_KEYS: the line behind KEY; STATS: behind the name */
	struct slice value;    /* CMD_VALUE, SASL: the value; not after PARSE_STREAM */
	uint64_t cas;          /* cas, all of binary: to compare with; 0 = none in binary */
	uint64_t delta;        /* incr, decr */
	uint64_t initial;      /* binary incr, decr */
	union {
		struct meta_request meta;     /* META */
		struct binary_request binary; /* BINARY */
		struct admin_request admin;   /* ADMIN; not VERSION, STATS, FLUSH_ALL, QUIT */
	};
};

/* Takes the next word off REST (the words are split by blanks, nothing else) and puts it into *WORD; false
 * where there is none left. Of a CMD_KEYS command every word is a key of 1 to PROTO_KEY_MAX bytes: the parser has
 * looked at the whole line. */
bool proto_token_next(struct slice *rest, struct slice *word);

/* The same for up to MAX words at once, for less: into WORDS; returns how many. Fewer than MAX (which is not
 * 0): there are no more. */
unsigned proto_tokens_next(struct slice *rest, struct slice *words, unsigned max);

#endif
