/* bench/source.c: see source.h. */
#include "bench/source.h"

#include <string.h>

#define SCATTER_PRIME 2654435761u

static uint64_t
gcd(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

void
generator_init(
    struct generator *g, const struct options *o, const struct content *c, unsigned thread)
{
	memset(g, 0, sizeof(*g));
	g->options = o;
	g->content = c;
	random_init(&g->random, random_mix(o->seed) + thread);
	if (o->popularity.kind == POPULARITY_ZIPF)
		zipf_init(&g->zipf, o->keys, o->popularity.theta);
	g->scatter = gcd(SCATTER_PRIME, o->keys) == 1 ? SCATTER_PRIME : 1;
	if (o->verify) {
		g->version = thread + 1;
		g->version_step = (uint32_t)o->threads;
	}
}

/* Neighbours in popularity are not neighbours in number, so that the order of the prefill says nothing. */
static uint64_t
draw_key(struct generator *g)
{
	switch (g->options->popularity.kind) {
	case POPULARITY_ZIPF:
		return zipf_draw(&g->zipf, &g->random) * g->scatter % g->options->keys;
	case POPULARITY_UNIFORM:
		return random_below(&g->random, g->options->keys);
	case POPULARITY_HOT:
		break;
	}
	return 0;
}

static bool
draw_is_get(struct generator *g)
{
	const struct ratio *r = &g->options->ratio;

	if (r->set_share == 0)
		return true;
	return random_below(&g->random, r->get_share + r->set_share) < r->get_share;
}

void
generator_next(struct generator *g, struct op *op)
{
	op->keys = g->multi;
	op->count = 1;
	op->kind = draw_is_get(g) ? OP_GET : OP_SET;
	op->key = draw_key(g);
	op->key_size = content_key_size(g->content, op->key);
	op->version = 0;
	op->ttl = 0;
	op->value_size = 0;
	if (op->kind == OP_GET) {
		op->count = (uint32_t)g->options->multi;
		for (uint32_t i = 1; i < op->count; i++)
			g->multi[i] = draw_key(g);
		if (!g->options->refill)
			return;
	}
	g->version += g->version_step;
	op->version = g->version;
	op->ttl = dist_at(&g->options->ttl, random_u64(&g->random));
	op->value_size = content_value_size(g->content, op->key, op->version);
}

void
prefill_init(struct prefill *p, const struct options *o, const struct content *c, unsigned thread)
{
	p->options = o;
	p->content = c;
	p->from = o->keys / o->threads * thread;
	p->to = thread + 1 == o->threads ? o->keys : o->keys / o->threads * (thread + 1);
	random_init(&p->random, random_mix(o->seed) + o->threads + thread);
}

bool
prefill_next(struct prefill *p, struct op *op)
{
	if (p->from == p->to)
		return false;
	op->key = p->from++;
	op->keys = NULL;
	op->count = 1;
	op->kind = OP_SET;
	op->version = 0;
	op->key_size = content_key_size(p->content, op->key);
	op->value_size = content_value_size(p->content, op->key, op->version);
	op->ttl = dist_at(&p->options->ttl, random_u64(&p->random));
	return true;
}
