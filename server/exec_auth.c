/* server/exec_auth.c: who a client is: "set" with user and password in text (-Y), SASL PLAIN in binary (-S).
 *
 * Where the server asks for either, connections of both protocols begin unauthenticated. Whether a password is right
 * is the process's to say (server.hooks).
 */
#include <string.h>

#include "proto/binary.h"
#include "proto/reply.h"
#include "server/exec_op.h"
#include "server/worker.h"

static bool
authenticate(struct conn *c, struct slice user, struct slice password)
{
	const struct server_hooks *hooks = &c->worker->server->hooks;

	counter_add(c->worker, auth_cmds, 1);
	c->authenticated =
	    hooks->authenticate != NULL && hooks->authenticate(hooks->context, user, password);
	if (!c->authenticated)
		counter_add(c->worker, auth_errors, 1);
	return c->authenticated;
}

void
exec_auth_text(struct conn *c, const struct command *cmd)
{
	reply_with(c, authenticate(c, cmd->key, cmd->value) ? REPLY_STORED : REPLY_AUTH_FAILURE);
}

static void
binary_text(struct conn *c, const struct command *cmd, struct slice text)
{
	char *p = outq_reserve(&c->out, &c->worker->source, BINARY_HEADER_SIZE + text.len);

	if (p != NULL)
		outq_commit(&c->out, reply_binary_text(p, cmd, text));
}

/* RFC 4616: whom to act for (unused), NUL, user, NUL, password. */
static bool
split_plain(struct slice message, struct slice *user, struct slice *password)
{
	const char *end = message.ptr + message.len;
	const char *first = message.len > 0 ? memchr(message.ptr, '\0', message.len) : NULL;
	const char *second;

	if (first == NULL)
		return false;
	second = memchr(first + 1, '\0', (size_t)(end - first - 1));
	if (second == NULL)
		return false;
	*user = slice_of(first + 1, (size_t)(second - first - 1));
	*password = slice_of(second + 1, (size_t)(end - second - 1));
	return true;
}

/* Whether CMD says who somebody is; what does not is counted as a failure. PLAIN has no second step. */
static bool
sasl_authenticates(struct conn *c, const struct command *cmd)
{
	struct slice user, password;

	if (cmd->op == OP_BIN_SASL_AUTH && slice_is(cmd->key, "PLAIN") &&
	    split_plain(cmd->value, &user, &password))
		return authenticate(c, user, password);
	c->authenticated = false;
	counter_add(c->worker, auth_cmds, 1);
	counter_add(c->worker, auth_errors, 1);
	return false;
}

void
exec_sasl(struct conn *c, const struct command *cmd)
{
	if (cmd->op == OP_BIN_SASL_LIST)
		binary_text(c, cmd, SLICE_LITERAL("PLAIN"));
	else if (sasl_authenticates(c, cmd))
		binary_text(c, cmd, SLICE_LITERAL("Authenticated"));
	else
		binary_status(c, cmd, BINARY_STATUS_AUTH_ERROR, 0);
}

bool
exec_allowed(struct conn *c, const struct command *cmd)
{
	if (likely(c->authenticated) || (command_infos[cmd->op].flags & CMD_UNAUTHENTICATED))
		return true;
	if (c->protocol == PROTOCOL_BINARY)
		binary_status(c, cmd, BINARY_STATUS_AUTH_ERROR, 0);
	else
		reply_with(c, REPLY_UNAUTHENTICATED);
	conn_close(c, CONN_ERROR);
	return false;
}
