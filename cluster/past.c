/* cluster/past.c: see past.h. */
#include "cluster/past.h"

#include <stdlib.h>

struct past {
	struct past *before;
	struct topology *topology;
	uint64_t until; /* an order: what is above it came later */
	unsigned self;
	bool unknown; /* it is not known who held what */
};

static struct past *
past_make(struct topology *t, uint64_t until)
{
	struct past *past = calloc(1, sizeof(*past));

	if (past == NULL)
		return NULL;
	past->topology = t;
	past->until = until << TOPOLOGY_EPOCH_SHIFT;
	past->self = TOPOLOGY_NODES_MAX;
	return past;
}

struct past *
past_new(struct past *before, struct topology *t, uint64_t node_id, uint64_t until)
{
	struct past *past = past_make(t, until);
	unsigned self;

	if (past == NULL)
		return NULL;
	past->before = before;
	if (topology_find_id(t, node_id, &self))
		past->self = self;
	return past;
}

struct past *
past_unknown(struct topology *t, uint64_t until)
{
	struct past *past = past_make(t, until);

	if (past != NULL)
		past->unknown = true;
	return past;
}

void
past_free(struct past **chain)
{
	struct past *past;

	while ((past = *chain) != NULL) {
		*chain = past->before;
		topology_free(&past->topology);
		free(past);
	}
}

unsigned
past_length(const struct past *past)
{
	unsigned n = 0;

	for (; past != NULL; past = past->before)
		n++;
	return n;
}

static bool
was_held(const struct past *past, uint32_t point)
{
	uint16_t holders[TOPOLOGY_REPLICAS_MAX + 1];
	unsigned n = topology_holders(past->topology, point, holders, TOPOLOGY_REPLICAS_MAX + 1);

	for (unsigned i = 0; i < n; i++)
		if (holders[i] == past->self)
			return true;
	/* Where nobody could be the primary nothing has changed. */
	return n == 0;
}

bool
past_is_stale(const struct past *past, uint32_t point, uint64_t order)
{
	for (; past != NULL; past = past->before)
		if (order < past->until && (past->unknown || !was_held(past, point)))
			return true;
	return false;
}
