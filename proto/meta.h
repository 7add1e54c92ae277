/* proto/meta.h: the meta commands: mg ms md ma mn me. */
#ifndef PROTO_META_H
#define PROTO_META_H

#include "proto/command.h"

/* The first line of WINDOW begins with "mg ", or with the name and blank of OP, which is OP_MS, OP_MD or OP_MA.
 * Results as of classic_parse, to which this belongs. */
enum parse_result meta_parse_mg(struct slice window, const struct parse_limits *limits,
    struct command *command, struct parse_error *error);
enum parse_result meta_parse_other(enum opcode op, struct slice window,
    const struct parse_limits *limits, struct command *command, struct parse_error *error);

/* The general way. Called by classic.c, which alone knows lines: ARGS is the line behind the name of the meta
 * command OP, without its end; USED is the length of the line with its end. Results as of classic_parse. */
enum parse_result meta_parse(enum opcode op, struct slice args, size_t used, struct slice window,
    const struct parse_limits *limits, struct command *command, struct parse_error *error);

/* The flags that only ask what to answer, each at most once: v f s t c k q, and O with its token. P is behind the key of an
 * mg; returns the end of its line, which is before END, or NULL where there is anything else. */
const char *meta_plain_flags(const char *p, const char *end);

/* Whether FLAG is among such flags. */
bool meta_plain_has(struct slice flags, char flag);

/* Walks the flags of a meta request as they came: *REST begins as meta.tokens. False after the last. Most are of one byte:
 * hence no search for their ends. */
static inline bool
meta_flag_next(struct slice *rest, struct slice *flag)
{
	const char *p = rest->ptr, *end = p + rest->len;

	while (p < end && *p == ' ')
		p++;
	flag->ptr = p;
	while (p < end && *p != ' ')
		p++;
	flag->len = (size_t)(p - flag->ptr);
	*rest = slice_of(p, (size_t)(end - p));
	return flag->len > 0;
}

#endif
