/* bench/tally.h: what one thread counted in one phase. One thread writes; others may read meanwhile. */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdint.h>

#include "bench/histogram.h"

struct tally {
#define COUNTER(field, text) uint64_t field;
#include "bench/tbl/counters.h"
#undef COUNTER
	struct histogram get_ns; /* latency of gets */
	struct histogram set_ns; /* of sets and deletes */
	char error[256];         /* the first error's text */
};

static inline void
tally_add(struct tally *into, const struct tally *from)
{
#define COUNTER(field, text) into->field += load_relaxed(&from->field);
#include "bench/tbl/counters.h"
#undef COUNTER
	histogram_add(&into->get_ns, &from->get_ns);
	histogram_add(&into->set_ns, &from->set_ns);
}

/* Requests answered, of all kinds. */
static inline uint64_t
tally_requests(const struct tally *t)
{
	return t->get_requests + t->set_requests + t->delete_requests;
}

#endif
