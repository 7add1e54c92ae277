/* proto/reply.c: see reply.h. */
#include "proto/reply.h"

#include <endian.h>

#include "base/number.h"
#include "proto/base64.h"
#include "proto/binary.h"
#include "proto/meta.h"

#define PUT(p, literal) reply_slice((p), SLICE_LITERAL(literal))

/* ---------------------------------------------------------------- classic */

char *
reply_number(char *p, uint64_t number)
{
	p = number_format_u64(p, number);
	return PUT(p, "\r\n");
}

char *
reply_stat(char *p, struct slice name, struct slice value)
{
	p = PUT(p, "STAT ");
	p = reply_slice(p, name);
	*p++ = ' ';
	p = reply_slice(p, value);
	return PUT(p, "\r\n");
}

/* ---------------------------------------------------------------- meta */

static char *
put_flag(char *p, char flag, uint64_t number)
{
	*p++ = ' ';
	*p++ = flag;
	return number_format_u64(p, number);
}

static char *
put_ttl(char *p, int64_t ttl)
{
	if (ttl < 0)
		return PUT(p, " t-1");
	return put_flag(p, 't', (uint64_t)ttl);
}

static char *
put_key(char *p, struct slice key, bool encoded)
{
	p = PUT(p, " k");
	if (!encoded)
		return reply_slice(p, key);
	p = base64_encode(p, key);
	return PUT(p, " b");
}

/* How an answer's flags are to be written. */
struct answer {
	struct slice tokens; /* of the request */
	struct slice key;
	bool encoded;   /* the key shows in base64 */
	uint64_t asked; /* which of the flags */
};

/* Whether the key shows in base64: it was asked for so, or stored so. */
static bool
key_encoded(const struct command *command, const struct meta_facts *facts)
{
	return (command->meta.flags & META_FLAG('b')) != 0 || facts->binary_key;
}

static char *
put_opaque(char *p, struct slice flag)
{
	*p++ = ' ';
	return reply_slice(p, flag);
}

/* Which flags an answer bears where there is no item, and, by the operation, where there is one. */
#define ALWAYS_ANSWERED (META_FLAG('O') | META_FLAG('k'))
static const uint64_t answered_flags[OP_COUNT] = {
    [OP_MG] = ALWAYS_ANSWERED | META_FLAG('s') | META_FLAG('t') | META_FLAG('c') | META_FLAG('f') |
	META_FLAG('l') | META_FLAG('h'),
    [OP_MS] = ALWAYS_ANSWERED | META_FLAG('c') | META_FLAG('s'),
    [OP_MD] = ALWAYS_ANSWERED,
    [OP_MA] = ALWAYS_ANSWERED | META_FLAG('c') | META_FLAG('t'),
};

static char *
put_answer(char *p, char flag, const struct answer *answer, const struct meta_facts *facts)
{
	switch (flag) {
	case 'k':
		return put_key(p, answer->key, answer->encoded);
	case 's':
		return put_flag(p, 's', facts->size);
	case 't':
		return put_ttl(p, facts->ttl);
	case 'c':
		return put_flag(p, 'c', facts->cas);
	case 'f':
		return put_flag(p, 'f', facts->flags);
	case 'l':
		return put_flag(p, 'l', facts->age);
	default:
		return put_flag(p, 'h', facts->fetched);
	}
}

/* The flags that are asked for, in the order of the request. */
static char *
put_flags(char *p, const struct answer *answer, const struct meta_facts *facts)
{
	struct slice rest = answer->tokens, flag;
	uint64_t asked = answer->asked;

	while (asked != 0 && meta_flag_next(&rest, &flag)) {
		uint64_t bit = META_FLAG(flag.ptr[0]);

		if ((bit & asked) == 0)
			continue;
		asked &= ~bit;
		if (flag.ptr[0] == 'O')
			p = put_opaque(p, flag);
		else
			p = put_answer(p, flag.ptr[0], answer, facts);
	}
	return p;
}

static char *
put_marks(char *p, const struct meta_facts *facts)
{
	if (facts->others_won)
		p = PUT(p, " Z");
	if (facts->stale)
		p = PUT(p, " X");
	if (facts->won)
		p = PUT(p, " W");
	return p;
}

static char *
put_line(char *p, enum meta_code code, const struct answer *answer, const struct meta_facts *facts)
{
	static const char codes[][2] = {
	    [META_HD] = {'H', 'D'},
	    [META_VA] = {'V', 'A'},
	    [META_EN] = {'E', 'N'},
	    [META_NS] = {'N', 'S'},
	    [META_EX] = {'E', 'X'},
	    [META_NF] = {'N', 'F'},
	};

	memcpy(p, codes[code], 2);
	p += 2;
	if (code == META_VA) {
		*p++ = ' ';
		p = number_format_u64(p, facts->size);
	}
	if (answer->asked != 0)
		p = put_flags(p, answer, facts);
	if (unlikely(facts->others_won || facts->stale || facts->won))
		p = put_marks(p, facts);
	return reply_line_end(p);
}

static char *
put_meta(char *p, enum meta_code code, const struct command *command,
    const struct meta_facts *facts, uint64_t allowed)
{
	const struct answer answer = {
	    .tokens = command->meta.tokens,
	    .key = command->key,
	    .encoded = key_encoded(command, facts),
	    .asked = command->meta.flags & allowed,
	};

	return put_line(p, code, &answer, facts);
}

static char *
put_meta_absent(char *p, enum meta_code code, const struct command *command)
{
	const struct meta_facts none = {.size = command->size};
	uint64_t allowed = ALWAYS_ANSWERED;

	if (command->op == OP_MS)
		allowed = answered_flags[OP_MS];
	return put_meta(p, code, command, &none, allowed);
}

char *
reply_meta(
    char *p, enum meta_code code, const struct command *command, const struct meta_facts *facts)
{
	if (facts == NULL)
		return put_meta_absent(p, code, command);
	return put_meta(p, code, command, facts, answered_flags[command->op]);
}

char *
reply_plain_mg(char *p, struct slice key, struct slice flags, const struct meta_facts *facts)
{
	static const struct meta_facts none = {0};
	const struct answer answer = {
	    .tokens = flags,
	    .key = key,
	    .asked = facts == NULL ? ALWAYS_ANSWERED : answered_flags[OP_MG],
	};

	if (facts == NULL)
		return put_line(p, META_EN, &answer, &none);
	return put_line(p, meta_plain_has(flags, 'v') ? META_VA : META_HD, &answer, facts);
}

char *
reply_meta_number(
    char *p, const struct command *command, const struct meta_facts *facts, uint64_t number)
{
	struct meta_facts sized = *facts;

	if ((command->meta.flags & META_FLAG('v')) == 0)
		return reply_meta(p, META_HD, command, facts);
	sized.size = (uint32_t)number_length_u64(number);
	p = reply_meta(p, META_VA, command, &sized);
	return reply_number(p, number);
}

bool
reply_meta_quiet(const struct command *command, enum meta_code code)
{
	if (!command->noreply)
		return false;
	if (command->op == OP_MG)
		return code == META_EN;
	return code == META_HD || (command->op == OP_MA && code == META_VA);
}

static char *
put_signed(char *p, int64_t v)
{
	if (v < 0)
		*p++ = '-';
	return number_format_u64(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

char *
reply_me(char *p, const struct command *command, const struct meta_facts *facts,
    unsigned slab_class, size_t total)
{
	p = PUT(p, "ME ");
	p = key_encoded(command, facts) ? base64_encode(p, command->key)
					: reply_slice(p, command->key);
	p = put_signed(PUT(p, " exp="), facts->ttl);
	p = number_format_u64(PUT(p, " la="), facts->age);
	p = number_format_u64(PUT(p, " cas="), facts->cas);
	p = facts->fetched ? PUT(p, " fetch=yes") : PUT(p, " fetch=no");
	p = number_format_u64(PUT(p, " cls="), slab_class);
	p = number_format_u64(PUT(p, " size="), total);
	return PUT(p, "\r\n");
}

/* ---------------------------------------------------------------- binary */

/* A whole reply with nothing but BODY, the first KEY_LENGTH bytes of which are a key. */
static char *
put_whole(
    char *p, const struct binary_request *request, struct binary_reply reply, struct slice body)
{
	reply.body_length = (uint32_t)body.len;
	p = reply_binary_head(p, request, &reply);
	return reply_slice(p, body);
}

char *
reply_binary_status(char *p, const struct command *command, uint16_t status, uint64_t cas)
{
	struct binary_reply reply = {.status = status, .cas = cas};

	if (status == BINARY_STATUS_KEY_ENOENT)
		return reply_binary_missed(p, &command->binary, command->key);
	return put_whole(p, &command->binary, reply, binary_status_text(status));
}

char *
reply_binary_missed(char *p, const struct binary_request *request, struct slice key)
{
	struct binary_reply reply = {.status = BINARY_STATUS_KEY_ENOENT};

	if (!request->with_key)
		return put_whole(p, request, reply, binary_status_text(BINARY_STATUS_KEY_ENOENT));
	reply.key_length = (uint16_t)key.len;
	return put_whole(p, request, reply, key);
}

char *
reply_binary_number(char *p, const struct command *command, uint64_t number, uint64_t cas)
{
	uint64_t body = htobe64(number);

	return put_whole(p, &command->binary, (struct binary_reply){.cas = cas},
	    slice_of((const char *)&body, sizeof(body)));
}

char *
reply_binary_text(char *p, const struct command *command, struct slice value)
{
	return put_whole(p, &command->binary, (struct binary_reply){0}, value);
}

char *
reply_binary_failure(
    char *p, const struct binary_request *request, uint16_t status, struct slice text)
{
	return put_whole(p, request, (struct binary_reply){.status = status}, text);
}

char *
reply_binary_stat(char *p, const struct command *command, struct slice name, struct slice value)
{
	const struct binary_reply reply = {
	    .key_length = (uint16_t)name.len,
	    .body_length = (uint32_t)(name.len + value.len),
	};

	p = reply_binary_head(p, &command->binary, &reply);
	p = reply_slice(p, name);
	return reply_slice(p, value);
}
