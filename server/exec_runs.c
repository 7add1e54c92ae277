/* server/exec_runs.c: runs of plain requests of one kind: what a pipeline of gets or sets, or the rest of a multi-get, is
 * made of.
 *
 * Several reads are looked up together, their answers are formatted one behind the other into the room behind the output, then the
 * store says how many of them are sound, and these are committed. What is not simple (a large value, an item that has
 * expired or is stale, one that is just being changed) is left to the executors of single commands.
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

/* How many are looked up together: enough to share the work of a call, few enough that hardly ever a writer comes between. */
#define RUN_MAX 16u

/* How a kind of read answers: each writes at P and returns the end. */
struct read_kind {
	unsigned how; /* STORE_READ_ */
	size_t room;  /* bytes that an answer needs beside key and value, at most */
	char *(*hit)(
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
	if (!mg_asks_value(key))
		return mg_hit_flags(p, w, key, view);
	return reply_line_end(put_value(reply_meta_size(p, view->size), view));
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

static char *
binary_miss(char *p, struct slice key)
{
	const struct binary_request request = plain_binary_request(key);

	return plain_binary_quiet(&request) ? p : reply_binary_missed(p, &request, key);
}

/* ---------------------------------------------------------------- all kinds */

#define COUNTED (STORE_READ_VALUE | STORE_READ_COUNT)

static const struct read_kind kind_key = {
    COUNTED, REPLY_VALUE_MAX - PROTO_KEY_MAX + 2, key_hit, key_miss};
static const struct read_kind kind_get = {
    COUNTED, REPLY_VALUE_MAX - PROTO_KEY_MAX + 2 + 5, get_hit, get_miss};
static const struct read_kind kind_mg = {
    COUNTED | STORE_READ_META, REPLY_META_MAX + 2, mg_hit, mg_miss};
static const struct read_kind kind_binary = {
    COUNTED, REPLY_BINARY_VALUE_MAX, binary_hit, binary_miss};

/* Answers a run: up to RUN_MAX of N reads, as far as they are simple and there is room; returns how many, and adds those that
 * hit to *HITS. SIZES, if not NULL, takes the bytes of each answer. */
static ALWAYS_INLINE unsigned
answer_run(struct conn *c, const struct store_key *keys, unsigned n, const struct read_kind *kind,
    unsigned *hits, uint32_t *sizes)
{
	struct worker *w = c->worker;
	struct store_view views[RUN_MAX];
	char *at[RUN_MAX + 1];
	unsigned i = 0, sound;

	n = store_read_many(w->store, keys, n < RUN_MAX ? n : RUN_MAX, kind->how, views);
	if (n == 0)
		return 0;
	at[0] = outq_reserve(&c->out, &w->source, kind->room + keys[0].len + views[0].size);
	if (unlikely(at[0] == NULL))
		return n;
	for (; i < n; i++) {
		struct slice key = slice_of(keys[i].data, keys[i].len);

		if (unlikely((size_t)(c->out.end - at[i]) < kind->room + key.len + views[i].size))
			break;
		if (unlikely(!store_view_found(&views[i]))) {
			at[i + 1] = kind->miss(at[i], key);
			continue;
		}
		if ((kind->how & STORE_READ_META) && unlikely(views[i].marks != 0))
			break;
		at[i + 1] = kind->hit(at[i], w, key, &views[i]);
		++*hits;
	}
	sound = store_read_many_end(w->store, views, i, kind->how);
	outq_commit(&c->out, at[sound]);
	for (unsigned j = 0; sizes != NULL && j < sound; j++)
		sizes[j] = (uint32_t)(at[j + 1] - at[j]);
	while (unlikely(i > sound))
		*hits -= store_view_found(&views[--i]);
	return sound;
}

/* As many of N reads as are simple, until the output is full. */
static ALWAYS_INLINE unsigned
answer(struct conn *c, const struct store_key *keys, unsigned n, const struct read_kind *kind,
    uint32_t *sizes)
{
	unsigned done = 0, hits = 0, more;

	do {
		more = answer_run(
		    c, keys + done, n - done, kind, &hits, sizes != NULL ? sizes + done : NULL);
		done += more;
	} while (more > 0 && done < n && likely(outq_bytes(&c->out) <= SERVER_OUTPUT_LIMIT));
	counter_add(c->worker, get_hits, hits);
	counter_add(c->worker, get_misses, done - hits);
	return done;
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

/* ---------------------------------------------------------------- when */

bool
exec_runs(const struct conn *c)
{
	const struct worker *w = c->worker;

	return c->authenticated && !worker_verbose(w) &&
	    !load_relaxed(&w->server->settings->detail_enabled) &&
	    !watch_wanted(w, WATCH_FETCHERS) && !watch_wanted(w, WATCH_MUTATIONS);
}
