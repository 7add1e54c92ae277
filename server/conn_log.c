/* server/conn_log.c: -vv: commands and replies on stderr, as memcached shows them: "<31 get key", ">31 END". */
#include "server/conn_step.h"

#include <string.h>

#include "base/log.h"

#define SHOWN_MAX 512

/* The first line of BYTES, without its end and not too long. */
static int
first_line(struct slice bytes)
{
	const char *end = memchr(bytes.ptr, '\n', bytes.len);
	size_t n = end != NULL ? (size_t)(end - bytes.ptr) : bytes.len;

	if (n > 0 && bytes.ptr[n - 1] == '\r')
		n--;
	return (int)(n < SHOWN_MAX ? n : SHOWN_MAX);
}

void
conn_log_command(const struct conn *c, const struct command *cmd, struct slice bytes)
{
	if (c->protocol == PROTOCOL_BINARY)
		log_debug("<%d %s %.*s", c->fd, command_infos[cmd->op].name, (int)cmd->key.len,
		    cmd->key.ptr);
	else
		log_debug("<%d %.*s", c->fd, first_line(bytes), bytes.ptr);
}

static void
log_reply(const struct conn *c, struct slice bytes)
{
	if (c->protocol == PROTOCOL_BINARY)
		log_debug(">%d Writing %zu bytes", c->fd, bytes.len);
	else
		log_debug(">%d %.*s", c->fd, first_line(bytes), bytes.ptr);
}

void
conn_log_error(const struct conn *c, struct slice bytes, const struct parse_error *error)
{
	if (c->protocol == PROTOCOL_BINARY) {
		log_debug("<%d a bad request", c->fd);
		return;
	}
	log_debug("<%d %.*s", c->fd, first_line(bytes), bytes.ptr);
	if (!error->silent && error->reply.len > 0)
		log_reply(c, error->reply);
}

void
conn_log_reply(const struct conn *c, const char *from)
{
	if (c->out.at > from)
		log_reply(c, slice_of(from, (size_t)(c->out.at - from)));
}
