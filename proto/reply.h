/* proto/reply.h: all the bytes that we send, for all three protocols.
 *
 * Constants have their length from the compiler. Formatters write at P, where the caller has made the room that the
 * _MAX beside them tells, and return the end; they add no terminating NUL.
 */
#ifndef PROTO_REPLY_H
#define PROTO_REPLY_H

#include <endian.h>

#include "base/assert.h"
#include "base/number.h"
#include "proto/binary.h"
#include "proto/command.h"

#define REPLY(symbol, text)                                                                        \
	static const struct slice REPLY_##symbol = {text "\r\n", sizeof(text "\r\n") - 1};
#include "proto/tbl/replies.h"
#undef REPLY

/* ---------------------------------------------------------------- classic */

/* "VALUE <key> <flags> <size>[ <cas>]\r\n" */
#define REPLY_VALUE_MAX (6 + PROTO_KEY_MAX + 1 + 10 + 1 + 10 + 1 + 20 + 2)

/* Up to the size, which is to follow. */
static ALWAYS_INLINE char *
reply_value_head(char *p, struct slice key, uint32_t flags)
{
	memcpy(p, "VALUE \0", 8); /* what is too much is written over, as below */
	p = slice_copy_short(p + 6, key);
	if (likely(flags == 0)) {
		memcpy(p, " 0 ", 4);
		return p + 3;
	}
	*p++ = ' ';
	p = number_format_u64(p, flags);
	*p++ = ' ';
	return p;
}

static inline char *
reply_line_end(char *p)
{
	memcpy(p, "\r\n", 2);
	return p + 2;
}

static ALWAYS_INLINE char *
reply_value(char *p, struct slice key, uint32_t flags, uint32_t size)
{
	return number_format_line(reply_value_head(p, key, flags), size);
}

static inline char *
reply_value_cas(char *p, struct slice key, uint32_t flags, uint32_t size, uint64_t cas)
{
	p = number_format_u64(reply_value_head(p, key, flags), size);
	*p++ = ' ';
	return number_format_line(p, cas);
}

/* "<number>\r\n": the result of incr and decr. */
#define REPLY_NUMBER_MAX (20 + 2)
char *reply_number(char *p, uint64_t number);

/* "STAT <name> <value>\r\n": the room is both lengths and REPLY_STAT_EXTRA. */
#define REPLY_STAT_EXTRA 8
char *reply_stat(char *p, struct slice name, struct slice value);

/* Copies a constant. */
static inline char *
reply_slice(char *p, struct slice s)
{
	memcpy(p, s.ptr, s.len);
	return p + s.len;
}

/* ---------------------------------------------------------------- meta */

/* What an answer's flags tell of an item. */
struct meta_facts {
	uint64_t cas;    /* c */
	int64_t ttl;     /* t: seconds left; -1 = never expires */
	uint32_t size;   /* s */
	uint32_t flags;  /* f */
	uint32_t age;    /* l: seconds since the last access */
	bool fetched;    /* h: read before */
	bool won;        /* adds W: this client is to recompute */
	bool stale;      /* adds X */
	bool others_won; /* adds Z: somebody else is to recompute */
	bool binary_key; /* k: the item was stored with b: its key shows in base64 whoever asks */
};

enum meta_code { META_HD, META_VA, META_EN, META_NS, META_EX, META_NF };

/* One answer line: the code (with the size for META_VA), then the flags that COMMAND asks for, in its order, then
 * Z X W as FACTS say, and the line end. COMMAND is a parsed MG, MS, MD or MA. FACTS are NULL where there is no item:
 * only k and O are repeated then (and MS tells the CAS 0 and the size it was sent). Whether q hides the answer is
 * asked of reply_meta_quiet. */
#define REPLY_META_MAX 1024
char *reply_meta(
    char *p, enum meta_code code, const struct command *command, const struct meta_facts *facts);

/* The same for META_VA where nothing but v was asked for and no fact adds anything. */
static inline char *
reply_meta_size(char *p, uint32_t size)
{
	memcpy(p, "VA ", 4);
	return number_format_line(p + 3, size);
}

/* The answer to an mg with plain flags (meta_plain_flags), without a value: FLAGS as they came. FACTS are NULL where there is no
 * item. Whether q hides a miss is for the caller to look at. */
char *reply_plain_mg(char *p, struct slice key, struct slice flags, const struct meta_facts *facts);

/* Whether q, where the client asked for it, hides an answer with CODE. */
bool reply_meta_quiet(const struct command *command, enum meta_code code);

/* The whole answer to MA where it found or made a number: META_VA with the number, or META_HD where v was not asked
 * for. facts->size is not looked at. */
char *reply_meta_number(
    char *p, const struct command *command, const struct meta_facts *facts, uint64_t number);

/* The answer to a ME that hit; SLAB_CLASS and TOTAL (bytes of the item, header included) are for the curious. A miss is
 * answered with REPLY_META_MISS. */
#define REPLY_ME_MAX (3 + 336 + 160)
char *reply_me(char *p, const struct command *command, const struct meta_facts *facts,
    unsigned slab_class, size_t total);

/* ---------------------------------------------------------------- binary */

/* Head of a reply to REQUEST: BODY counts extras, key and value; all in host order. */
#define REPLY_BINARY_HEAD_MAX 24
struct binary_reply {
	uint16_t status;
	uint16_t key_length;
	uint8_t extras_length;
	uint32_t body_length;
	uint64_t cas;
};

static inline char *
reply_binary_head(char *p, const struct binary_request *request, const struct binary_reply *reply)
{
	const uint64_t words[3] = {
	    htobe64((uint64_t)BINARY_RESPONSE_MAGIC << 56 | (uint64_t)request->opcode << 48 |
		(uint64_t)reply->key_length << 32 | (uint64_t)reply->extras_length << 24 |
		reply->status),
	    htobe64((uint64_t)reply->body_length << 32 | request->opaque),
	    htobe64(reply->cas),
	};

	memcpy(p, words, sizeof(words));
	return p + sizeof(words);
}

/* Head, 4 bytes of flags, and the KEY where REQUEST wants it: SIZE bytes of value are to follow. A TOUCH that hit is
 * answered so too, with SIZE 0. */
#define REPLY_BINARY_VALUE_MAX (24 + 4 + PROTO_KEY_MAX)
static inline char *
reply_binary_value(char *p, const struct binary_request *request, struct slice key, uint32_t flags,
    uint32_t size, uint64_t cas)
{
	uint16_t key_length = request->with_key ? (uint16_t)key.len : 0;
	const struct binary_reply reply = {
	    .key_length = key_length,
	    .extras_length = 4,
	    .body_length = 4 + key_length + size,
	    .cas = cas,
	};

	p = reply_binary_head(p, request, &reply);
	flags = htobe32(flags);
	memcpy(p, &flags, 4);
	if (unlikely(key_length > 0))
		return slice_copy_short(p + 4, key);
	return p + 4;
}

/* A whole reply without a body (success) or with its status text (an error); a missed GETK bears the key in place
 * of the text. */
#define REPLY_BINARY_STATUS_MAX (24 + PROTO_KEY_MAX)
char *reply_binary_status(char *p, const struct command *command, uint16_t status, uint64_t cas);

/* The same of a miss, without a COMMAND. */
char *reply_binary_missed(char *p, const struct binary_request *request, struct slice key);

/* A whole reply with the 64-bit result of an increment. */
#define REPLY_BINARY_NUMBER_MAX (24 + 8)
char *reply_binary_number(char *p, const struct command *command, uint64_t number, uint64_t cas);

/* A whole reply with a VALUE (version, list of mechanisms), and one line of statistics (both empty = the last). The
 * room is 24 and the lengths. */
char *reply_binary_text(char *p, const struct command *command, struct slice value);

/* A whole reply with a STATUS and a TEXT of its own. The room is 24 and the length. */
char *reply_binary_failure(
    char *p, const struct binary_request *request, uint16_t status, struct slice text);
char *reply_binary_stat(
    char *p, const struct command *command, struct slice name, struct slice value);

#endif
