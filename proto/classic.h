/* proto/classic.h: lines of text: the classic commands, administration, and the way to the meta ones. */
#ifndef PROTO_CLASSIC_H
#define PROTO_CLASSIC_H

#include "proto/command.h"

/* Parses the first line (and its data block) of WINDOW, which may be empty.
 *
 * PARSE_COMMAND, PARSE_STREAM and PARSE_ERROR: command->used bytes are done with; PARSE_MORE: come back with a longer
 * window (the same bytes in front). A line longer than PROTO_LINE_MAX without its end is an error that closes the
 * connection, get and gets excepted: the window must be able to grow for them.
 *
 * Same bytes, same result: it does not matter in how many pieces they came, except that a line of more than
 * PROTO_LINE_MAX bytes is taken where its end is in the window at once (as memcached does), up to PROTO_LINE_WHOLE, get and
 * gets excepted again. */
enum parse_result classic_parse(struct slice window, const struct parse_limits *limits,
    struct command *command, struct parse_error *error);

/* A classic set that is whole and good, has no noreply and needs no streaming: what nearly all sets are. */
struct plain_set {
	struct slice key, value;
	uint32_t client_flags;
	int32_t exptime; /* as it came */
};

/* How many bytes such a set at the front of WINDOW takes, with *SET; 0 where there is anything else: ask classic_parse. */
size_t classic_plain_set(
    struct slice window, const struct parse_limits *limits, struct plain_set *set);

/* How many bytes the line of a get in front of WINDOW takes, with its keys, one or more, in *KEYS, as in command.rest; 0 where there is
 * anything else or the line is not whole. */
size_t classic_plain_keys(struct slice window, struct slice *keys);

/* As classic_parse, for a connection that must authenticate first (-Y): only "set <any> <any> <any> <bytes>" with the
 * value "user password" is taken, as PARSE_COMMAND with the user in KEY and the password in VALUE. The caller
 * answers REPLY_STORED or REPLY_AUTH_FAILURE. */
enum parse_result classic_parse_auth(
    struct slice window, struct command *command, struct parse_error *error);

#endif
