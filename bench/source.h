/* bench/source.h: where requests come from: chance, the list of all keys, or a trace.
 *
 * A source belongs to one thread. What it is made of is seen only by its own file.
 */
#ifndef BENCH_SOURCE_H
#define BENCH_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/content.h"
#include "bench/options.h"
#include "bench/random.h"
#include "bench/wire.h"
#include "bench/zipf.h"

/* Gets and sets as the options' ratio, key popularity and sizes say. */
struct generator {
	const struct options *options;
	const struct content *content;
	struct random random;
	struct zipf zipf;
	uint64_t scatter; /* coprime to the number of keys: turns a rank into a key */
	uint32_t version; /* of the last set; 0 where values are not verified */
	uint32_t version_step;
	uint64_t multi[MULTI_GET_MAX];
};

/* THREAD is the number of the thread, for choices of its own. OPTIONS and CONTENT must live as long. */
void generator_init(
    struct generator *g, const struct options *o, const struct content *c, unsigned thread);

void generator_next(struct generator *g, struct op *op);

/* Sets of the keys FROM to TO-1, once each. */
struct prefill {
	const struct options *options;
	const struct content *content;
	struct random random;
	uint64_t from, to;
};

void prefill_init(
    struct prefill *p, const struct options *o, const struct content *c, unsigned thread);

/* False when all are set. */
bool prefill_next(struct prefill *p, struct op *op);

#endif
