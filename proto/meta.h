/* proto/meta.h: the meta commands: mg ms md ma mn me. */
#ifndef PROTO_META_H
#define PROTO_META_H

#include "proto/command.h"

/* Called by classic_parse, which alone knows lines: ARGS is the line behind the name of the meta
 * command OP, without its end; USED is the length of the line with its end. Results as of classic_parse. */
enum parse_result meta_parse(enum opcode op, struct slice args, size_t used, struct slice window,
    const struct parse_limits *limits, struct command *command, struct parse_error *error);

/* Walks the flags of a meta request as they came: *REST begins as meta.tokens. False after the last. */
bool meta_flag_next(struct slice *rest, struct slice *flag);

#endif
