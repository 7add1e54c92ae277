/* server/written.c: see written.h. */
#include "server/written.h"

#include "server/link_impl.h"

#define SHARED (UINT32_C(1) << 31)

/* BITS mean nothing any more, but for the shared one. */
static void
lose(struct worker *w, uint32_t bits)
{
	struct conn *c;

	TAILQ_FOREACH(c, &w->conns, all) {
		if (!(c->wrote & bits))
			continue;
		c->wrote &= ~bits | SHARED;
		c->lost = true;
		c->told = false;
	}
}

uint32_t
written_bit_take(struct worker *w)
{
	struct written_bits *bits = &w->cluster->links->written;
	uint32_t free = ~(bits->up | bits->broken | SHARED), bit;

	if (unlikely(free == 0 && bits->broken != 0)) {
		lose(w, bits->broken);
		free = bits->broken;
		bits->broken = 0;
	}
	if (unlikely(free == 0)) {
		bits->shared++;
		return SHARED;
	}
	bit = free & -free;
	bits->up |= bit;
	return bit;
}

void
written_bit_break(struct worker *w, uint32_t bit)
{
	struct written_bits *bits = &w->cluster->links->written;

	if (unlikely(bit == SHARED)) {
		lose(w, SHARED);
		bits->shared--;
		return;
	}
	bits->up &= ~bit;
	bits->broken |= bit;
}

void
written_note(struct conn *c, uint32_t bit)
{
	c->wrote |= bit;
	if (unlikely(c->told))
		c->lost = c->told = false;
}

void
written_waited(struct conn *c, bool good)
{
	uint32_t broken = c->worker->cluster->links->written.broken;

	if (good) {
		c->wrote = 0;
		return;
	}
	c->lost = c->lost || (c->wrote & broken);
	c->wrote &= ~broken;
	c->told = c->lost;
}
