/* bench/replay.c: the replay of a trace; see loop.h. The trace is read in its order and never runs ahead: while the
 * next request finds no room, or its key is under way, nothing behind it is made. So the order that the server
 * sees differs from the trace's by what is under way at one moment. */
#include "bench/loop.h"
#include "bench/random.h"

#define NS_PER_SECOND 1e9
#define WAIT_MS       20

/* A TTL on the replay's clock: none without a clock, and at least a second of it, since servers know no less. */
static uint32_t
scale_ttl(const struct options *o, uint32_t ttl)
{
	double scaled;

	if (o->speed <= 0 || ttl == 0)
		return 0;
	scaled = ttl / o->speed;
	return scaled < 1 ? 1 : (uint32_t)scaled;
}

/* Makes the next request ready; false at the trace's end. */
static bool
prepare(struct loop *l)
{
	const struct options *o = l->options;
	struct replay *r = l->replay;
	struct op *op = &r->op;

	if (l->limited && l->budget == 0)
		return false;
	if (r->copy == 0 && !trace_next(r->trace, &r->line))
		return false;
	*op = (struct op){
	    .key = r->line.key * o->relabel + r->copy,
	    .count = 1,
	    .value_size = r->line.value_size,
	    .ttl = scale_ttl(o, r->line.ttl),
	    .kind = (uint8_t)r->line.kind,
	};
	op->key_size = (uint16_t)r->line.key_size;
	if (op->key_size < content_key_digits(op->key))
		op->key_size = content_key_digits(op->key);
	r->copy = r->copy + 1 == o->relabel ? 0 : r->copy + 1;
	r->due = o->speed > 0 ? l->start + (uint64_t)(r->line.time / o->speed * NS_PER_SECOND) : 0;
	r->ready = true;
	if (l->limited)
		l->budget--;
	return true;
}

static bool
holds_key(const struct flights *f, uint64_t key)
{
	for (uint32_t i = f->head; i != f->tail; i++)
		if (f->ring[i & f->mask].key == key)
			return true;
	return false;
}

/* Whether C can take a request for KEY now. */
static bool
has_room(const struct loop *l, const struct conn *c, uint64_t key)
{
	return flights_count(&c->waiting) + flights_count(&c->misses) < l->depth &&
	    c->out_len < CONN_OUT_HIGH && !holds_key(&c->waiting, key) &&
	    !holds_key(&c->misses, key);
}

bool
replay_dispatch(struct loop *l, uint64_t now)
{
	struct replay *r = l->replay;

	while (r->ready || prepare(l)) {
		struct conn *c = &l->conns[random_scale(random_mix(r->op.key), l->conn_count)];

		if (r->due > now || !has_room(l, c, r->op.key))
			break;
		conn_push(c, &l->encoder, &r->op, r->due != 0 ? r->due : now);
		l->outstanding++;
		r->ready = false;
	}
	if (!r->ready)
		l->exhausted = true;
	for (uint32_t i = 0; i < l->conn_count; i++)
		if (!loop_flush(l, &l->conns[i]))
			return false;
	return true;
}

int
replay_timeout(const struct loop *l, uint64_t now)
{
	const struct replay *r = l->replay;

	if (!r->ready || r->due <= now)
		return WAIT_MS;
	return r->due - now < (uint64_t)WAIT_MS * 1000000 ? (int)((r->due - now) / 1000000)
							  : WAIT_MS;
}
