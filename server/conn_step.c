/* server/conn_step.c: commands in batches.
 *
 * What one wake-up delivered is parsed up to WORKER_BATCH commands ahead. Their keys are hashed together and what their
 * look-ups will touch is prefetched, then they are executed in order: by then most of it is in the cache. The keys of a
 * multi-get are treated the same way, chunk by chunk.
 *
 * A command after which the bytes may mean something else (administration, a multi-get that may stop half-way,
 * authentication) is the last of its batch. When the output is full the batch stops where it is, and what was
 * parsed ahead is parsed again later.
 */
#include "server/conn_step.h"

#include "proto/binary.h"
#include "proto/classic.h"
#include "proto/plain_read.h"
#include "server/exec.h"
#include "server/forward.h"
#include "server/replicate_wait.h"
#include "server/route.h"

enum parse_result
conn_parse(struct conn *c, struct slice window, struct command *command, struct parse_error *error)
{
	const struct parse_limits *limits = &c->worker->server->limits;

	if (unlikely(c->protocol == PROTOCOL_UNKNOWN))
		c->protocol = (unsigned char)window.ptr[0] == PROTO_BINARY_MAGIC ? PROTOCOL_BINARY
										 : PROTOCOL_TEXT;
	if (c->protocol == PROTOCOL_BINARY)
		return binary_parse(window, limits, command, error);
	if (unlikely(!c->authenticated))
		return classic_parse_auth(window, command, error);
	return classic_parse(window, limits, command, error);
}

/* Whether the bytes behind CMD are not to be looked at before it is executed. */
static bool
ends_batch(const struct conn *c, const struct command *cmd, const struct command_info *info)
{
	if (info->flags & CMD_KEYS)
		return cmd->rest.len > 0;
	if (info->flags & (CMD_KEY | CMD_VALUE))
		return !c->authenticated;
	return true;
}

static inline void
key_set(struct store_key *key, struct slice bytes)
{
	key->data = bytes.ptr;
	key->len = (uint16_t)bytes.len;
}

/* Whether CMD has several keys and is nothing but them: its first one need not be executed by itself. */
static inline bool
is_keys(const struct conn *c, const struct command *cmd, const struct command_info *info)
{
	return (info->flags & CMD_KEYS) && cmd->rest.len > 0 && c->worker->cluster == NULL &&
	    c->authenticated && !worker_verbose(c->worker);
}

/* Parses up to WORKER_BATCH commands of INPUT into the worker's arrays, and prepares their keys; returns how many. With
 * *IS_KEYS_NEXT one more follows them, whose keys are not prepared. */
static unsigned
batch_parse(struct conn *c, struct slice input, struct parse_error *error,
    enum parse_result *result, bool *is_keys_next)
{
	struct worker *w = c->worker;
	unsigned n = 0, keys = 0;
	size_t at = 0;

	*result = PARSE_COMMAND;
	while (n < WORKER_BATCH && at < input.len) {
		struct command *cmd = &w->commands[n];
		const struct command_info *info;

		*result = conn_parse(c, slice_of(input.ptr + at, input.len - at), cmd, error);
		if (*result != PARSE_COMMAND)
			break;
		at += cmd->used;
		w->ends[n] = at;
		info = &command_infos[cmd->op];
		if (unlikely(is_keys(c, cmd, info))) {
			*is_keys_next = true;
			break;
		}
		n++;
		/* One without a key is the last. */
		if (likely(info->flags & (CMD_KEY | CMD_KEYS)))
			key_set(&w->keys[keys++], cmd->key);
		if (unlikely(ends_batch(c, cmd, info)))
			break;
	}
	store_prepare(w->store, w->keys, keys);
	return n;
}

/* KEYS of OP are done key by key from here on; behind them TAIL bytes end the line. */
static inline void
keys_begin(struct conn *c, unsigned op, int32_t exptime, struct slice keys, size_t tail)
{
	c->keys = (struct conn_keys){
	    .left = (uint32_t)(keys.len + tail),
	    .tail = (uint16_t)tail,
	    .op = (uint8_t)op,
	};
	c->keys_exptime = exptime;
	conn_set_state(c, CONN_KEYS);
}

/* The same for CMD, which ends END bytes into the input, from the byte BEGIN on. Returns how many bytes of input are done with. */
static size_t
keys_begin_at(
    struct conn *c, const struct command *cmd, struct slice input, const char *begin, size_t end)
{
	const char *behind = cmd->rest.ptr + cmd->rest.len;

	keys_begin(c, cmd->op, cmd->exptime, slice_of(begin, (size_t)(behind - begin)),
	    (size_t)(input.ptr + end - behind));
	return (size_t)(begin - input.ptr);
}

/* Executes one command of a batch; returns how far into the input it is done. */
static inline size_t
batch_execute(struct conn *c, unsigned i, struct slice input)
{
	struct worker *w = c->worker;
	struct command *cmd = &w->commands[i];
	unsigned flags = command_infos[cmd->op].flags;

	exec_command(c, cmd, &w->keys[i]);
	if (!(flags & CMD_KEYS))
		return w->ends[i];
	if (unlikely(cmd->rest.len > 0))
		return keys_begin_at(c, cmd, input, cmd->rest.ptr, w->ends[i]);
	exec_keys_end(c);
	return w->ends[i];
}

/* Executes one command of a batch, whose key is ours. */
static size_t
batch_execute_ours(struct conn *c, unsigned i, struct slice input)
{
	struct worker *w = c->worker;
	const struct command *cmd = &w->commands[i];
	unsigned need = command_infos[cmd->op].surface == SURFACE_META ? wait_wanted(cmd) : 0;
	struct wait_mark mark;
	size_t done;

	if (unlikely(wait_refuses(c, cmd, &w->keys[i])))
		return w->ends[i];
	if (likely(need == 0))
		return batch_execute(c, i, input);
	wait_hold_begin(c, need, &mark);
	done = batch_execute(c, i, input);
	wait_hold_end(c, &mark);
	return done;
}

/* The same for one of several nodes: a command whose key is another node's is executed there. BEGIN is where it begins. */
static size_t
batch_execute_routed(struct conn *c, unsigned i, struct slice input, size_t begin)
{
	struct worker *w = c->worker;
	const struct command *cmd = &w->commands[i];
	unsigned flags = command_infos[cmd->op].flags;
	struct forward_get how = {(enum opcode)cmd->op, cmd->exptime, cmd->rest.len == 0, false};
	int node;

	if (unlikely(!(flags & CMD_KEY)) && c->inner) {
		c->foreign =
		    true; /* gets come in frames of their own, what is of no key not at all */
		return w->ends[i];
	}
	if (!(flags & (CMD_KEY | CMD_KEYS)) || !c->authenticated)
		return batch_execute(c, i, input);
	node = route(w, &w->keys[i], forward_only_reads(cmd));
	if (node == ROUTE_LOCAL)
		return batch_execute_ours(c, i, input);
	if (c->inner) {
		c->foreign = true;
		return w->ends[i];
	}
	if (!(flags & CMD_KEYS)) {
		forward_command(
		    c, cmd, (unsigned)node, slice_of(input.ptr + begin, w->ends[i] - begin));
		return w->ends[i];
	}
	(void)forward_gets(c, &w->keys[i], 1, &how);
	return cmd->rest.len > 0 ? keys_begin_at(c, cmd, input, cmd->rest.ptr, w->ends[i])
				 : w->ends[i];
}

/* The same with -vv. */
static size_t
batch_execute_logged(struct conn *c, unsigned i, struct slice input, size_t begin)
{
	struct worker *w = c->worker;
	const char *block = c->out.block, *before = c->out.at;
	size_t done;

	conn_log_command(c, &w->commands[i], slice_of(input.ptr + begin, w->ends[i] - begin));
	done = w->cluster == NULL ? batch_execute(c, i, input)
				  : batch_execute_routed(c, i, input, begin);
	conn_log_reply(c, c->out.block == block && block != NULL ? before : c->out.open);
	return done;
}

/* Executes the N commands of a batch; returns how many bytes of INPUT are done with. False in *ALL where it stopped
 * early. */
static size_t
batch_run(struct conn *c, unsigned n, struct slice input, bool *all)
{
	struct worker *w = c->worker;
	bool verbose = worker_verbose(w), plain = !verbose && w->cluster == NULL;
	size_t done = 0;

	for (unsigned i = 0; i < n; i++) {
		if (likely(plain))
			done = batch_execute(c, i, input);
		else
			done = verbose ? batch_execute_logged(c, i, input, done)
				       : batch_execute_routed(c, i, input, done);
		if (c->state != CONN_COMMANDS || unlikely(conn_full(c))) {
			*all = i + 1 == n && c->state == CONN_COMMANDS;
			return done;
		}
	}
	return done;
}

/* The command at the front of INPUT is bad. */
static void
take_error(
    struct conn *c, const struct command *cmd, const struct parse_error *error, struct slice *input)
{
	if (worker_verbose(c->worker))
		conn_log_error(c, slice_of(input->ptr, cmd->used), error);
	exec_error(c, cmd, error);
	slice_advance(input, cmd->used);
	if (error->close)
		conn_close(c, CONN_ERROR);
	else
		conn_swallow(c, error->swallow);
}

/* The requests at the front of INPUT that are of one form, which READ recognises; returns how many. */
static ALWAYS_INLINE unsigned
cut_reads(struct worker *w, struct slice input,
    size_t (*read)(const char *p, const char *end, struct slice *key))
{
	const char *at = input.ptr, *end = at + input.len;
	struct slice key;
	unsigned n = 0;
	size_t used;

	while (n < WORKER_BATCH && (used = read(at, end, &key)) != 0) {
		key_set(&w->keys[n], key);
		at += used;
		w->ends[n++] = (size_t)(at - input.ptr);
	}
	return n;
}

/* Answers N reads of INPUT where there are several nodes; returns how many, as exec_reads. */
static unsigned
reads_routed(struct conn *c, enum read_form form, unsigned n, struct slice input)
{
	static const struct forward_get get = {OP_GET, 0, true, true};
	static const struct forward_how reads = {.reads = true};
	struct worker *w = c->worker;

	if (form == READ_GET && !c->inner)
		return forward_gets(c, w->keys, n, &get);
	if (form == READ_GET) {
		c->foreign = true;
		return n;
	}
	for (unsigned i = 0; i < n; i++) {
		const struct store_key *key = &w->keys[i];
		size_t begin = i > 0 ? w->ends[i - 1] : 0;
		int node = route(w, key, true);

		if (node == ROUTE_LOCAL && !exec_read_one(c, form, key))
			return i;
		if (node != ROUTE_LOCAL && c->inner)
			c->foreign = true;
		else if (node != ROUTE_LOCAL)
			forward_request(c, slice_of(key->data, key->len), (unsigned)node,
			    slice_of(input.ptr + begin, w->ends[i] - begin), &reads);
		if (unlikely(conn_full(c)))
			return i + 1;
	}
	return n;
}

/* The one request that INPUT is, of KEY, which is prepared and ours; returns whether it is answered. */
static bool
run_one(struct conn *c, enum read_form form, const struct store_key *key)
{
	if (likely(exec_read_one(c, form, key)))
		return true;
	if (form != READ_GET)
		return false;
	exec_key(c, OP_GET, key, 0);
	exec_keys_end(c);
	return true;
}

/* Whether KEY is to be read here, by a client. */
static inline bool
is_ours(struct conn *c, const struct store_key *key)
{
	struct worker *w = c->worker;

	return likely(w->cluster == NULL) || (!c->inner && route(w, key, true) == ROUTE_LOCAL);
}

/* A run of reads; takes those that are answered off INPUT and returns whether there are any. */
static ALWAYS_INLINE bool
run_reads(struct conn *c, struct slice *input, enum read_form form,
    size_t (*read)(const char *p, const char *end, struct slice *key))
{
	struct worker *w = c->worker;
	struct slice key;
	unsigned n;
	size_t used;

	used = read(input->ptr, input->ptr + input->len, &key);
	if (used == 0)
		return false;
	if (used == input->len) {
		key_set(&w->keys[0], key);
		store_prepare_one(w->store, &w->keys[0]);
		if (is_ours(c, &w->keys[0])) {
			if (!run_one(c, form, &w->keys[0]))
				return false;
			slice_advance(input, input->len);
			return true;
		}
	}
	n = cut_reads(w, *input, read);
	store_prepare(w->store, w->keys, n);
	n = likely(w->cluster == NULL) ? exec_reads(c, form, w->keys, n)
				       : reads_routed(c, form, n, *input);
	if (unlikely(n == 0) && form == READ_GET) {
		exec_key(c, OP_GET, &w->keys[0], 0);
		exec_keys_end(c);
		n = 1;
	}
	if (n > 0)
		slice_advance(input, w->ends[n - 1]);
	return n > 0;
}

/* Executes N sets of INPUT where there are several nodes; returns how many, as exec_sets. */
static unsigned
sets_routed(struct conn *c, unsigned n, struct slice input)
{
	static const struct forward_how how = {.reads = false};
	struct worker *w = c->worker;

	if (w->server->settings->min_replicas > 0)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		size_t begin = i > 0 ? w->ends[i - 1] : 0;
		int node = route(w, &w->keys[i], false);

		if (node == ROUTE_LOCAL && exec_sets(c, &w->sets[i], &w->keys[i], 1) == 0)
			return i;
		if (node != ROUTE_LOCAL && c->inner)
			c->foreign = true;
		else if (node != ROUTE_LOCAL)
			forward_request(c, w->sets[i].key, (unsigned)node,
			    slice_of(input.ptr + begin, w->ends[i] - begin), &how);
		if (unlikely(conn_full(c)))
			return i + 1;
	}
	return n;
}

/* The same of sets. */
static unsigned
run_sets(struct conn *c, struct slice input)
{
	struct worker *w = c->worker;
	unsigned n = 0;
	size_t used, at = 0;

	while (n < WORKER_BATCH &&
	    (used = classic_plain_set(
		 slice_of(input.ptr + at, input.len - at), &w->server->limits, &w->sets[n])) != 0) {
		key_set(&w->keys[n], w->sets[n].key);
		at += used;
		w->ends[n++] = at;
	}
	if (n == 0)
		return 0;
	store_prepare(w->store, w->keys, n);
	return likely(w->cluster == NULL) ? exec_sets(c, w->sets, w->keys, n)
					  : sets_routed(c, n, input);
}

/* A get of several keys, which is begun. False where INPUT does not begin with one whose line is all there. */
static __attribute__((noinline)) bool
run_keys(struct conn *c, struct slice *input)
{
	struct slice keys;
	size_t used = likely(c->worker->cluster == NULL) ? classic_plain_keys(*input, &keys) : 0;
	size_t before;

	if (used == 0)
		return false;
	before = (size_t)(keys.ptr - input->ptr);
	keys_begin(c, OP_GET, 0, keys, used - before - keys.len);
	slice_advance(input, before);
	return step_keys(c, input);
}

/* A run of plain requests, which need no parser. False where INPUT does not begin with one, or with one that the parser's
 * way must answer. */
static bool
step_run(struct conn *c, struct slice *input)
{
	unsigned n;

	if (c->protocol == PROTOCOL_BINARY)
		return run_reads(c, input, READ_BINARY, plain_binary);
	if (input->ptr[0] == 'g')
		return run_reads(c, input, READ_GET, plain_get) || run_keys(c, input);
	if (input->ptr[0] == 'm')
		return run_reads(c, input, READ_MG, plain_mg);
	if (input->ptr[0] != 's' || (n = run_sets(c, *input)) == 0)
		return false;
	slice_advance(input, c->worker->ends[n - 1]);
	return true;
}

/* Whether ERROR is a line that is too long for a piece, while the driver is about to bring the next: what a client sent at
 * once is one line, whatever the pieces in which it is received. */
static bool
is_cut(const struct conn *c, const struct command *cmd, const struct parse_error *error,
    struct slice input)
{
	return error->close && c->worker->follows && c->protocol == PROTOCOL_TEXT &&
	    cmd->used == input.len && input.len < PROTO_LINE_WHOLE &&
	    input.ptr[input.len - 1] != '\n';
}

/* A batch of any commands. */
static __attribute__((noinline)) bool
step_batch(struct conn *c, struct slice *input)
{
	struct worker *w = c->worker;
	struct parse_error error = {0};
	enum parse_result result;
	bool all = true, keys = false;
	size_t done;
	unsigned n;

	n = batch_parse(c, *input, &error, &result, &keys);
	done = batch_run(c, n, *input, &all);
	if (keys && all)
		done =
		    keys_begin_at(c, &w->commands[n], *input, w->commands[n].key.ptr, w->ends[n]);
	slice_advance(input, done);
	if (!all || result == PARSE_COMMAND || n == WORKER_BATCH)
		return true;
	if (result == PARSE_MORE) {
		store_relaxed(&c->in.need, (uint32_t)w->commands[n].need);
		return false;
	}
	if (result == PARSE_STREAM) {
		struct slice head = {input->ptr, w->commands[n].used};

		slice_advance(input, head.len);
		if (likely(w->cluster == NULL) || !relay_begin(c, &w->commands[n], head))
			stream_begin(c, head);
	} else if (unlikely(is_cut(c, &w->commands[n], &error, *input))) {
		store_relaxed(&c->in.need, (uint32_t)input->len + 1);
		return false;
	} else {
		take_error(c, &w->commands[n], &error, input);
	}
	return true;
}

bool
step_commands(struct conn *c, struct slice *input)
{
	if (input->len == 0)
		return false;
	if (c->protocol != PROTOCOL_UNKNOWN && exec_runs(c) && step_run(c, input))
		return true;
	return step_batch(c, input);
}

/* Answers the N keys of a chunk, or as many as there is room for. */
static unsigned
keys_execute(struct conn *c, unsigned n)
{
	struct worker *w = c->worker;
	bool plain = exec_runs(c);
	unsigned i = 0;

	if (unlikely(w->cluster != NULL) && n > 0) {
		const struct forward_get how = {
		    (enum opcode)c->keys.op, c->keys_exptime, false, plain};

		return forward_gets(c, w->keys, n, &how);
	}
	if (n > 0 && c->keys.op == OP_GET && plain)
		i = exec_reads(c, READ_KEY, w->keys, n);
	for (; i < n && !conn_full(c); i++)
		exec_key(c, (enum opcode)c->keys.op, &w->keys[i], c->keys_exptime);
	return i;
}

/* The multi-get is through. */
static void
keys_end(struct conn *c, struct slice *input)
{
	struct worker *w = c->worker;

	slice_advance(input, c->keys.left);
	conn_set_state(c, CONN_COMMANDS);
	if (likely(!c->keys.failed))
		exec_keys_end(c);
	if (unlikely(w->cluster != NULL) && !outq_is_plain(&c->out))
		(void)outq_end_group(&c->out, &w->source);
}

/* Where the keys of a chunk go. */
struct key_room {
	struct store_key *next, *end;
};

static ALWAYS_INLINE bool
put_key(void *context, const char *p, size_t len)
{
	struct key_room *room = context;

	key_set(room->next++, slice_of(p, len));
	return room->next != room->end;
}

bool
step_keys(struct conn *c, struct slice *input)
{
	struct worker *w = c->worker;
	struct conn_keys *keys = &c->keys;
	struct slice rest = {input->ptr, keys->left - keys->tail};
	unsigned max = likely(w->cluster == NULL) ? WORKER_KEYS : WORKER_BATCH, n, i;
	struct key_room room = {w->keys, w->keys + max};

	if (unlikely(keys->failed)) {
		keys_end(c, input);
		return true;
	}
	text_words(&rest, put_key, &room);
	n = (unsigned)(room.next - w->keys);
	store_prepare(w->store, w->keys, n);
	i = keys_execute(c, n);
	if (i > 0) {
		const struct store_key *last = &w->keys[i - 1];
		size_t used = (size_t)(last->data + last->len - input->ptr);

		slice_advance(input, used);
		keys->left -= (uint32_t)used;
	}
	if (i == n && n < max)
		keys_end(c, input);
	return true;
}
