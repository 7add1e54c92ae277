/* server/forward_keys.c: keys of gets, which go together.
 *
 *	KEY frame    [op 1][flags 1][count 2][exptime 4]  then COUNT times  [length 1][key]
 *	its REPLY    [size 4] x COUNT, then the answers of those sizes, in as many frames as they need
 *
 * An answer is what the client gets for that key: its VALUE line and value, with END where each get is a command of its
 * own; nothing for a key of a multi-get that is not there. Keys in a row for one node share one hole.
 *
 * No byte of an answer goes to the client before it is known to be this key's: a VALUE line must name the key. A reply
 * that does not fit what was asked fails what is left of the request.
 */
#include <endian.h>
#include <string.h>

#include "base/assert.h"
#include "proto/reply.h"
#include "server/cluster.h"
#include "server/conn_step.h"
#include "server/exec.h"
#include "server/forward_impl.h"
#include "server/replicate_wait.h"

enum { KEYS_ENDS = 1, KEYS_DROPS = 2 };

/* ---------------------------------------------------------------- the body of a frame */

char *
keys_body_write(char *p, const struct keys_body *keys)
{
	uint16_t count = htole16(keys->count);
	uint32_t exptime = htole32((uint32_t)keys->exptime);

	p[0] = (char)keys->op;
	p[1] = (char)((keys->ends ? KEYS_ENDS : 0) | (keys->drops ? KEYS_DROPS : 0));
	memcpy(p + 2, &count, sizeof(count));
	memcpy(p + 4, &exptime, sizeof(exptime));
	return p + KEYS_HEAD;
}

/* Whether REST is COUNT keys and nothing else. */
static bool
keys_whole(struct slice rest, unsigned count)
{
	for (; count > 0; count--) {
		size_t len = rest.len > 0 ? (unsigned char)rest.ptr[0] : 0;

		if (len == 0 || len > STORE_KEY_MAX || rest.len - 1 < len)
			return false;
		rest = slice_of(rest.ptr + 1 + len, rest.len - 1 - len);
	}
	return rest.len == 0;
}

bool
keys_body_read(struct slice bytes, struct keys_body *keys)
{
	uint16_t count;
	uint32_t exptime;
	unsigned flags;

	if (bytes.len < KEYS_HEAD)
		return false;
	memcpy(&count, bytes.ptr + 2, sizeof(count));
	memcpy(&exptime, bytes.ptr + 4, sizeof(exptime));
	flags = (unsigned char)bytes.ptr[1];
	*keys = (struct keys_body){
	    .op = (enum opcode)(unsigned char)bytes.ptr[0],
	    .ends = flags & KEYS_ENDS,
	    .drops = flags & KEYS_DROPS,
	    .count = le16toh(count),
	    .exptime = (int32_t)le32toh(exptime),
	    .rest = slice_of(bytes.ptr + KEYS_HEAD, bytes.len - KEYS_HEAD),
	};
	return keys->op <= OP_GATS && keys->count > 0 && keys->count <= WORKER_BATCH &&
	    keys_whole(keys->rest, keys->count);
}

struct slice
keys_body_next(struct keys_body *keys)
{
	size_t len = (unsigned char)keys->rest.ptr[0];
	struct slice key = {keys->rest.ptr + 1, len};

	keys->rest = slice_of(key.ptr + len, keys->rest.len - 1 - len);
	return key;
}

/* ---------------------------------------------------------------- answering */

/* Answers KEY on C, which is ours. */
static void
answer_here(struct conn *c, const struct store_key *key, const struct forward_get *how)
{
	if (how->quick && how->op == OP_GET &&
	    likely(exec_read_one(c, how->ends ? READ_GET : READ_KEY, key)))
		return;
	exec_key(c, how->op, key, how->exptime);
	if (how->ends)
		exec_keys_end(c);
}

/* The same, or removes KEY where it is to be forgotten; returns how many bytes that brought. */
static uint32_t
answer_sized(struct conn *v, const struct store_key *key, const struct forward_get *how, bool drops)
{
	size_t before = outq_bytes(&v->out);

	if (unlikely(drops))
		(void)exec_remove(v->worker, key);
	else
		answer_here(v, key, how);
	return (uint32_t)(outq_bytes(&v->out) - before);
}

static struct forward_get
keys_how(const struct conn *v, const struct keys_body *keys)
{
	return (struct forward_get){keys->op, keys->exptime, keys->ends, exec_runs(v)};
}

bool
keys_execute_here(struct conn *v, struct keys_body *keys, uint32_t *sizes)
{
	struct worker *w = v->worker;
	struct forward_get how = keys_how(v, keys);

	for (unsigned i = 0; i < keys->count; i++) {
		struct slice key = keys_body_next(keys);

		w->keys[i].data = key.ptr;
		w->keys[i].len = (uint16_t)key.len;
	}
	store_prepare(w->store, w->keys, keys->count);
	for (unsigned i = 0; i < keys->count; i++)
		route_prefetch(w->cluster->forward->routes, &w->keys[i]);
	for (unsigned i = 0; i < keys->count; i++)
		if (unlikely(!route_is_ours(w, &w->keys[i])))
			return false;
	for (unsigned i = 0; i < keys->count;) {
		if (how.quick && how.op == OP_GET && !keys->drops)
			i += exec_reads_sized(v, how.ends ? READ_GET : READ_KEY, &w->keys[i],
			    keys->count - i, &sizes[i]);
		if (i == keys->count)
			break;
		sizes[i] = answer_sized(v, &w->keys[i], &how, keys->drops);
		i++;
	}
	return true;
}

/* ---------------------------------------------------------------- asking */

/* Asks NODE for those of KEYS that stand in MASK. */
static void
ask_node(struct conn *c, const struct store_key *keys, uint32_t mask, unsigned node,
    const struct forward_get *how, struct segment *const *holes)
{
	struct keys_body body = {
	    .op = how->op,
	    .ends = how->ends,
	    .exptime = how->exptime,
	    .count = (uint16_t)__builtin_popcount(mask),
	};
	size_t size = KEYS_HEAD;
	struct forward *f;
	unsigned n = 0;
	char *p;

	for (uint32_t left = mask; left != 0; left &= left - 1)
		size += 1u + keys[__builtin_ctz(left)].len;
	f = forward_new(c, FORWARD_KEYS, body.count, size);
	if (f == NULL)
		return;
	p = keys_body_write(f->body, &body);
	for (uint32_t left = mask; left != 0; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		*p++ = (char)keys[i].len;
		f->keys[n++] = (struct forward_key){
		    .hole = holes[i],
		    .at = (uint16_t)(p - f->body),
		    .len = keys[i].len,
		};
		p = slice_copy_short(p, slice_of(keys[i].data, keys[i].len));
	}
	f->size = (uint32_t)size;
	forward_to(f, node);
	f->repeatable = f->reads = how->op == OP_GET || how->op == OP_GETS;
	f->ends = how->ends;
	forward_ask(f);
}

/* Answers what it can of the keys up to N that are in a row ours, the first of which is; returns how many, at least 1. */
static unsigned
answer_run(struct conn *c, const struct store_key *keys, const int *nodes, unsigned n,
    const struct forward_get *how)
{
	unsigned run = 1, done = 0;

	while (run < n && nodes[run] == ROUTE_LOCAL)
		run++;
	if (run > 1 && how->quick && how->op == OP_GET)
		done = exec_reads(c, how->ends ? READ_GET : READ_KEY, keys, run);
	if (done == 0)
		answer_here(c, keys, how);
	return done == 0 ? 1 : done;
}

unsigned
forward_gets(
    struct conn *c, const struct store_key *keys, unsigned n, const struct forward_get *how)
{
	struct worker *w = c->worker;
	struct segment *holes[WORKER_BATCH];
	int nodes[WORKER_BATCH], last = ROUTE_LOCAL;
	size_t weight = forward_weight(c), total = 0;
	bool reads = how->op == OP_GET || how->op == OP_GETS;
	uint32_t remote = 0;
	unsigned i = 0;

	for (unsigned j = 0; n > 1 && j < n; j++)
		route_prefetch(w->cluster->forward->routes, &keys[j]);
	for (unsigned j = 0; j < n; j++)
		nodes[j] = route(w, &keys[j], reads);
	while (i < n && (i == 0 || !conn_full(c))) {
		if (nodes[i] == ROUTE_LOCAL) {
			i += answer_run(c, keys + i, nodes + i, n - i, how);
			last = ROUTE_LOCAL;
			continue;
		}
		if (nodes[i] == last) {
			holes[i] = holes[i - 1];
			outq_hole_weigh(&c->out, holes[i], total += weight);
		} else {
			holes[i] = outq_hole(&c->out, &w->source, total = weight);
			if (holes[i] == NULL)
				return n;
		}
		remote |= UINT32_C(1) << i;
		last = nodes[i++];
	}
	while (remote != 0) {
		int node = nodes[__builtin_ctz(remote)];
		uint32_t mask = 0;

		for (uint32_t left = remote; left != 0; left &= left - 1)
			if (nodes[__builtin_ctz(left)] == node)
				mask |= left & -left;
		ask_node(c, keys, mask, (unsigned)node, how, holes);
		remote &= ~mask;
	}
	return i;
}

void
forward_drop(struct conn *c, const struct store_key *key, unsigned node)
{
	struct keys_body body = {.op = OP_GET, .drops = true, .count = 1};
	struct segment *hole = outq_hole(&c->out, &c->worker->source, FORWARD_WEIGHT);
	struct forward *f;

	if (hole == NULL ||
	    (f = forward_new(c, FORWARD_KEYS, 1, KEYS_HEAD + 1u + key->len)) == NULL)
		return;
	f->size = KEYS_HEAD + 1u + key->len;
	f->keys[0] = (struct forward_key){.hole = hole, .at = KEYS_HEAD + 1, .len = key->len};
	forward_to(f, node);
	f->repeatable = f->silent = true;
	keys_body_write(f->body, &body)[0] = (char)key->len;
	memcpy(f->body + KEYS_HEAD + 1, key->data, key->len);
	forward_ask(f);
}

/* ---------------------------------------------------------------- what comes back */

/* Takes the sizes off BODY. */
static bool
take_sizes(struct forward *f, struct slice *body)
{
	size_t table = f->count * sizeof(uint32_t);
	uint32_t size;

	if (body->len < table)
		return false;
	for (unsigned i = 0; i < f->count; i++) {
		memcpy(&size, body->ptr + i * sizeof(size), sizeof(size));
		f->keys[i].size = le32toh(size);
		if (f->keys[i].size == 0 ? f->ends : f->silent)
			return false;
	}
	*body = slice_of(body->ptr + table, body->len - table);
	f->sized = true;
	return true;
}

/* Whether BYTES, at AT of the answer of KEY, can be of it: the VALUE line names it, or there is an END alone. */
static bool
is_answer(const struct forward *f, const struct forward_key *key, size_t at, struct slice bytes)
{
	static const char value[] = "VALUE ", end[] = "END\r\n";
	char head[sizeof(value) + STORE_KEY_MAX];
	size_t head_len = sizeof(value) - 1 + key->len + 1u, n;

	if (key->size == 0)
		return true;
	if (key->size == sizeof(end) - 1)
		return f->ends && bytes.len <= sizeof(end) - 1 - at &&
		    memcmp(bytes.ptr, end + at, bytes.len) == 0;
	if (at >= head_len)
		return true;
	memcpy(head, value, sizeof(value) - 1);
	memcpy(head + sizeof(value) - 1, f->body + key->at, key->len);
	head[head_len - 1] = ' ';
	n = bytes.len < head_len - at ? bytes.len : head_len - at;
	return key->size > head_len && memcmp(bytes.ptr, head + at, n) == 0;
}

/* Fills BYTES in for the key that is being answered. */
static bool
take_bytes(struct forward *f, struct slice bytes)
{
	struct segment *before = f->keys[f->index].hole, *hole;

	hole = forward_fill(f, before, bytes);
	if (hole == NULL)
		return false;
	if (unlikely(hole != before))
		forward_hole_moved(f, before, hole);
	f->given += (uint32_t)bytes.len;
	return true;
}

/* The key that is being answered is done with. */
static void
key_done(struct forward *f)
{
	struct conn *c = f->conn;
	struct segment *hole = f->keys[f->index].hole;

	forward_note(c, f->given);
	f->given = 0;
	f->index++;
	if (f->index == f->count || f->keys[f->index].hole != hole) {
		outq_hole_close(&c->out, &c->worker->source, hole);
		f->partial = false;
	}
}

void
keys_reply(struct forward *f, struct slice body, bool last)
{
	bool right = f->sized || take_sizes(f, &body);

	while (right && f->index < f->count) {
		struct forward_key *key = &f->keys[f->index];
		size_t left = key->size - f->given, n = body.len < left ? body.len : left;

		if (n == 0 && left > 0)
			break;
		right = is_answer(f, key, f->given, slice_of(body.ptr, n));
		if (right && !take_bytes(f, slice_of(body.ptr, n))) {
			forward_break(f->conn);
			return;
		}
		body = slice_of(body.ptr + n, body.len - n);
		if (right && f->given == key->size)
			key_done(f);
	}
	/* With the last key it is over, whatever else is said. */
	if (f->index == f->count)
		forward_end(f);
	else if (unlikely(!right || last))
		forward_fail(f, FORWARD_WRONG);
	else if (f->left > 0)
		forward_starve(f);
	else
		worker_queue_turn(f->conn->worker, f->conn);
}

/* ---------------------------------------------------------------- again */

/* Answers KEY, which has become ours, into HOLE of F. */
static bool
key_here(struct forward *f, const struct store_key *key, const struct keys_body *asked)
{
	struct conn *c = f->conn, *v = forward_inner(c->worker, false);
	struct forward_get how;

	if (v == NULL)
		return false;
	how = keys_how(v, asked);
	wait_writer(c);
	(void)answer_sized(v, key, &how, asked->drops);
	f->hole = forward_fill_from(f, f->hole, v);
	if (f->hole == NULL)
		return false;
	outq_hole_close(&c->out, &c->worker->source, f->hole);
	return true;
}

/* The key at INDEX of F gets a request of its own, and HOLE. */
static void
key_again(struct forward *f, unsigned index, struct segment *hole, const struct keys_body *asked)
{
	struct conn *c = f->conn;
	struct store_key key =
	    store_key(c->worker->store, f->body + f->keys[index].at, f->keys[index].len);
	struct keys_body body = *asked;
	struct forward *one = forward_new(c, FORWARD_KEYS, 1, KEYS_HEAD + 1u + key.len);
	int node;

	if (one == NULL)
		return;
	body.count = 1;
	one->size = KEYS_HEAD + 1u + key.len;
	one->keys[0] = (struct forward_key){.hole = hole, .at = KEYS_HEAD + 1, .len = key.len};
	one->hole = hole;
	one->deadline = f->deadline;
	one->repeatable = f->repeatable;
	one->reads = f->reads;
	one->silent = f->silent;
	one->ends = f->ends;
	one->round = f->round;
	keys_body_write(one->body, &body)[0] = (char)key.len;
	memcpy(one->body + KEYS_HEAD + 1, key.data, key.len);
	node = route(c->worker, &key, f->repeatable && !asked->drops);
	if (node != ROUTE_LOCAL) {
		forward_to(one, (unsigned)node);
		forward_ask(one);
	} else if (key_here(one, &key, asked)) {
		forward_end(one);
	} else {
		c->out.broken = true;
	}
}

void
keys_again(struct forward *f)
{
	struct conn *c = f->conn;
	struct keys_body asked;
	struct segment *hole = NULL, *next;

	if (!keys_body_read(slice_of(f->body, f->size), &asked))
		panic("a request is not what it was");
	for (unsigned i = f->index; i < f->count && !c->out.broken; i++) {
		if (i == f->index || f->keys[i].hole != f->keys[i - 1].hole)
			hole = f->keys[i].hole;
		next = i + 1u < f->count && f->keys[i + 1].hole == f->keys[i].hole
		    ? outq_hole_split(&c->out, &c->worker->source, hole)
		    : NULL;
		key_again(f, i, hole, &asked);
		hole = next;
	}
	if (c->out.broken)
		forward_break(c);
	else
		forward_end(f);
}
