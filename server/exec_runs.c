/* server/exec_runs.c: runs of plain requests of one kind: what a pipeline of gets or sets, or the rest of a multi-get, is
 * made of.
 *
 * Reads have been prepared together (store_prepare). Their answers are formatted one behind the other into the room behind
 * the output, each while the store's view of it is open, and those that are sound are committed. What is not simple (a
 * large value, an item that has expired or is stale, one that is just being changed) is left to the executors of single
 * commands.
 *
 * There is one loop, inlined once for each kind of read with that kind's functions in it.
 */
#include "proto/meta.h"
#include "proto/plain_read.h"
#include "proto/reply.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/settings.h"
#include "server/watch.h"
#include "server/worker.h"
#include "slab/look.h"

/* How a kind of read answers: each writes at P and returns the end. */
struct read_kind {
	unsigned how; /* STORE_READ_ */
	size_t room;  /* bytes that an answer needs beside key and value, at most */
	char *(*hit)(
	    char *p, const struct worker *w, struct slice key, const struct store_view *view);
	char *(*hit_any)(
	    char *p, const struct worker *w, struct slice key, const struct store_view *view);
	char *(*miss)(char *p, struct slice key);
};

static ALWAYS_INLINE char *
put_value(char *p, const struct store_view *view)
{
	store_copy(p, view->value, view->size);
	return p + view->size;
}

/* ---------------------------------------------------------------- classic */

static ALWAYS_INLINE char *
key_hit(char *p, const struct worker *w, struct slice key, const struct store_view *view)
{
	(void)w;
	p = reply_value(p, key, view->flags, view->size);
	return reply_line_end(put_value(p, view));
}

static __attribute__((noinline)) char *
key_hit_any(char *p, const struct worker *w, struct slice key, const struct store_view *view)
{
	return key_hit(p, w, key, view);
}

static ALWAYS_INLINE char *
key_miss(char *p, struct slice key)
{
	(void)key;
	return p;
}

static ALWAYS_INLINE char *
get_miss(char *p, struct slice key)
{
	(void)key;
	return reply_slice(p, REPLY_END);
}

static ALWAYS_INLINE char *
get_hit(char *p, const struct worker *w, struct slice key, const struct store_view *view)
{
	return get_miss(key_hit(p, w, key, view), key);
}

static __attribute__((noinline)) char *
get_hit_any(char *p, const struct worker *w, struct slice key, const struct store_view *view)
{
	return get_hit(p, w, key, view);
}

/* ---------------------------------------------------------------- meta */

/* The flags, behind the key, up to the line's end. */
static struct slice
mg_flags(struct slice key)
{
	const char *begin = key.ptr + key.len, *end = begin;

	while (*end != '\r')
		end++;
	return slice_of(begin, (size_t)(end - begin));
}

static ALWAYS_INLINE bool
mg_asks_value(struct slice key)
{
	return likely(memcmp(key.ptr + key.len, " v\r\n", 4) == 0);
}

static __attribute__((noinline)) char *
mg_hit_flags(char *p, const struct worker *w, struct slice key, const struct store_view *view)
{
	struct slice flags = mg_flags(key);
	struct meta_facts facts;

	meta_facts_of(w, view, &facts);
	p = reply_plain_mg(p, key, flags, &facts);
	return meta_plain_has(flags, 'v') ? reply_line_end(put_value(p, view)) : p;
}

static ALWAYS_INLINE char *
mg_hit(char *p, const struct worker *w, struct slice key, const struct store_view *view)
{
	if (!mg_asks_value(key)) {
		struct store_view copy =
		    *view; /* the compiler sees through what no call can reach */

		return mg_hit_flags(p, w, key, &copy);
	}
	return reply_line_end(put_value(reply_meta_size(p, view->size), view));
}

static __attribute__((noinline)) char *
mg_hit_any(char *p, const struct worker *w, struct slice key, const struct store_view *view)
{
	return mg_hit(p, w, key, view);
}

static char *
mg_miss(char *p, struct slice key)
{
	struct slice flags = mg_flags(key);

	return meta_plain_has(flags, 'q') ? p : reply_plain_mg(p, key, flags, NULL);
}

/* ---------------------------------------------------------------- binary */

static ALWAYS_INLINE char *
binary_hit(char *p, const struct worker *w, struct slice key, const struct store_view *view)
{
	const struct binary_request request = plain_binary_request(key);
	uint64_t cas = cas_shown(w, view->version);

	p = reply_binary_value(p, &request, key, view->flags, view->size, cas);
	return put_value(p, view);
}

static __attribute__((noinline)) char *
binary_hit_any(char *p, const struct worker *w, struct slice key, const struct store_view *view)
{
	return binary_hit(p, w, key, view);
}

static char *
binary_miss(char *p, struct slice key)
{
	const struct binary_request request = plain_binary_request(key);

	return plain_binary_quiet(&request) ? p : reply_binary_missed(p, &request, key);
}

/* ---------------------------------------------------------------- all kinds */

#define COUNTED (STORE_READ_VALUE | STORE_READ_COUNT)

static const struct read_kind kind_key = {
    COUNTED, REPLY_VALUE_MAX - PROTO_KEY_MAX + 2, key_hit, key_hit_any, key_miss};
static const struct read_kind kind_get = {
    COUNTED, REPLY_VALUE_MAX - PROTO_KEY_MAX + 2 + 5, get_hit, get_hit_any, get_miss};
static const struct read_kind kind_mg = {
    COUNTED | STORE_READ_META, REPLY_META_MAX + 2, mg_hit, mg_hit_any, mg_miss};
static const struct read_kind kind_binary = {
    COUNTED, REPLY_BINARY_VALUE_MAX, binary_hit, binary_hit_any, binary_miss};

/* Room for an answer of NEED bytes at P, which is committed; NULL where the output is full or memory is out. */
static __attribute__((noinline)) char *
more_room(struct conn *c, char *p, size_t need)
{
	outq_commit(&c->out, p);
	if (unlikely(outq_bytes(&c->out) > SERVER_OUTPUT_LIMIT))
		return NULL;
	return outq_reserve(&c->out, &c->worker->source, need);
}

/* Values below this are answered in line: their lengths are written at once. */
#define SHORT_VALUE 1000u

/* An answer with a short value has room where it begins before this. */
static ALWAYS_INLINE const char *
short_stop(const struct conn *c, const struct read_kind *kind)
{
	size_t need = kind->room + PROTO_KEY_MAX + SHORT_VALUE,
	       room = (size_t)(c->out.end - c->out.at);

	return likely(room >= need) ? c->out.end - need + 1 : c->out.at;
}

/* What VIEW tells, field by field: so the compiler need not keep it in memory for the calls that take its address. */
static ALWAYS_INLINE struct store_view
view_told(const struct store_view *view)
{
	return (struct store_view){
	    .version = view->version,
	    .value = view->value,
	    .size = view->size,
	    .flags = view->flags,
	    .exptime = view->exptime,
	    .age = view->age,
	    .marks = view->marks,
	    .fetched = view->fetched,
	};
}

/* Answers with VIEW behind P, which is committed, where room must be made first; returns the end. NULL where there is none, or
 * the value cannot be copied. */
static __attribute__((noinline)) char *
answer_long(struct conn *c, char *p, const struct read_kind *kind, struct slice name,
    const struct store_view *view)
{
	if (!look_copies(view->size))
		return NULL;
	p = more_room(c, p, kind->room + name.len + view->size);
	return p == NULL ? NULL : kind->hit_any(p, c->worker, name, view);
}

/* Answers KEY, which is no plain item, behind the output. The bytes of the answer are added to *SIZE; false where it is not simple
 * or there is no room. */
static __attribute__((noinline)) bool
answer_other(struct conn *c, const struct store_key *key, const struct read_kind *kind,
    unsigned *missed, uint32_t *size)
{
	struct worker *w = c->worker;
	const struct look look = look_of(w->store);
	struct slice name = slice_of(key->data, key->len);
	struct store_view view;
	enum look_result found = look_any(&look, key, kind->how, &view);
	char *p, *next;

	if (found == LOOK_HARD || ((kind->how & STORE_READ_META) && view.marks != 0))
		return false;
	p = more_room(c, c->out.at, kind->room + name.len + view.size);
	if (p == NULL)
		return false;
	next = found == LOOK_ITEM ? kind->hit_any(p, w, name, &view) : kind->miss(p, name);
	if (!look_end(&look, &view, kind->how))
		return false;
	*missed += found == LOOK_NONE;
	*size = (uint32_t)(next - p);
	outq_commit(&c->out, next);
	return true;
}

/* A queue that has no block gets one before the first answer, which has room then as all others. */
static ALWAYS_INLINE void
block_begin(struct conn *c)
{
	if (likely(c->out.block == NULL))
		(void)outq_reserve(&c->out, &c->worker->source, OUTQ_BLOCK);
}

/* It goes back where there was no answer. */
static ALWAYS_INLINE void
block_end(struct conn *c)
{
	if (unlikely(c->out.at == c->out.open))
		outq_sent(&c->out, &c->worker->source, 0);
}

/* Answers as many of N reads as are simple, until the output is full; returns how many. SIZES, if not NULL, takes the bytes of
 * each answer. */
static ALWAYS_INLINE unsigned
answer(struct conn *c, const struct store_key *keys, unsigned n, const struct read_kind *kind,
    uint32_t *sizes)
{
	struct worker *w = c->worker;
	const struct look look = look_of(w->store);
	const struct store_key *key = keys, *end = keys + n;
	unsigned missed = 0;
	const char *stop;
	char *p, *next;
	uint32_t size;

	if (!look_hinted(keys))
		return 0;
	block_begin(c);
	p = c->out.at;
	stop = short_stop(c, kind);
	for (; key != end; key++) {
		struct slice name = slice_of(key->data, key->len);
		struct store_view view;
		bool other;

		if (unlikely(!look_plain(&look, key, kind->how, &view) ||
			((kind->how & STORE_READ_META) && view.marks != 0))) {
			outq_commit(&c->out, p);
			other = answer_other(c, key, kind, &missed, &size);
			/* The room may be another one by now, also where there is no answer. */
			p = c->out.at;
			stop = short_stop(c, kind);
			if (!other)
				break;
			if (sizes != NULL)
				sizes[key - keys] = size;
			continue;
		}
		if (likely(p < stop && view.size < SHORT_VALUE)) {
			next = kind->hit(p, w, name, &view);
		} else {
			struct store_view copy = view_told(&view);

			if ((next = answer_long(c, p, kind, name, &copy)) == NULL)
				break;
			p = c->out.at;
			stop = short_stop(c, kind);
		}
		if (unlikely(!look_end(&look, &view, kind->how)))
			break;
		if (sizes != NULL)
			sizes[key - keys] = (uint32_t)(next - p);
		p = next;
	}
	n = (unsigned)(key - keys);
	if (likely(!c->out.broken))
		outq_commit(&c->out, p);
	block_end(c);
	counter_add(w, get_hits, n - missed);
	counter_add(w, get_misses, missed);
	return likely(!c->out.broken) ? n : (unsigned)(end - keys);
}

/* The same for one, without what is set up for a run of them. */
static ALWAYS_INLINE bool
answer_one(struct conn *c, const struct store_key *key, const struct read_kind *kind)
{
	struct worker *w = c->worker;
	const struct look look = look_of(w->store);
	struct slice name = slice_of(key->data, key->len);
	struct store_view view;
	struct look end;
	unsigned missed = 0;
	uint32_t size;
	char *p;

	if (unlikely(!look_hinted(key) || !look_plain(&look, key, kind->how, &view) ||
		!look_copies(view.size) || ((kind->how & STORE_READ_META) && view.marks != 0))) {
		if (!answer_other(c, key, kind, &missed, &size))
			return c->out.broken;
		counter_add(w, get_hits, 1 - missed);
		counter_add(w, get_misses, missed);
		return true;
	}
	p = outq_reserve(&c->out, &w->source, kind->room + name.len + view.size);
	if (unlikely(p == NULL))
		return true;
	p = kind->hit(p, w, name, &view);
	end = look_of(w->store); /* what is for the end alone need not be kept until then */
	if (unlikely(!look_end(&end, &view, kind->how)))
		return false;
	outq_commit(&c->out, p);
	counter_add(w, get_hits, 1);
	return true;
}

bool
exec_read_one(struct conn *c, enum read_form form, const struct store_key *key)
{
	if (likely(form == READ_GET))
		return answer_one(c, key, &kind_get);
	if (form == READ_KEY)
		return answer_one(c, key, &kind_key);
	if (form == READ_BINARY)
		return answer_one(c, key, &kind_binary);
	if (!answer_one(c, key, &kind_mg))
		return false;
	counter_add(c->worker, cmd_meta, 1);
	return true;
}

unsigned
exec_reads(struct conn *c, enum read_form form, const struct store_key *keys, unsigned n)
{
	switch (form) {
	case READ_KEY:
		return answer(c, keys, n, &kind_key, NULL);
	case READ_GET:
		return answer(c, keys, n, &kind_get, NULL);
	case READ_MG:
		n = answer(c, keys, n, &kind_mg, NULL);
		counter_add(c->worker, cmd_meta, n);
		return n;
	case READ_BINARY:
		return answer(c, keys, n, &kind_binary, NULL);
	}
	panic("a read of the form %d", (int)form);
}

unsigned
exec_reads_sized(
    struct conn *c, enum read_form form, const struct store_key *keys, unsigned n, uint32_t *sizes)
{
	ASSERT(form == READ_KEY || form == READ_GET);
	return form == READ_KEY ? answer(c, keys, n, &kind_key, sizes)
				: answer(c, keys, n, &kind_get, sizes);
}

/* ---------------------------------------------------------------- sets */

unsigned
exec_sets(struct conn *c, const struct plain_set *sets, const struct store_key *keys, unsigned n)
{
	struct worker *w = c->worker;
	char *p = outq_reserve(&c->out, &w->source, n * REPLY_STORED.len);
	unsigned i = 0;

	if (unlikely(p == NULL))
		return n;
	for (; i < n; i++) {
		struct store_head head = {
		    .flags = sets[i].client_flags,
		    .exptime = exec_exptime(w, sets[i].exptime),
		    .size = sets[i].value.len,
		};

		if (unlikely(store_set(w->store, &keys[i], &head, sets[i].value.ptr) != STORE_OK))
			break;
		p = reply_slice(p, REPLY_STORED);
	}
	outq_commit(&c->out, p);
	counter_add(w, cmd_set, i);
	return i;
}
