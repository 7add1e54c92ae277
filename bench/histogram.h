/* bench/histogram.h: counts of latencies in log-linear buckets.
 *
 * Values below 128 have a bucket each; above, each doubling is cut into 128 equal buckets, so that a
 * bucket is never wider than 1/128 of its values. One thread records; others may read meanwhile and see
 * counts that are at most a moment old.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#include "base/atomics.h"

#define HISTOGRAM_SUB_BITS 7u
#define HISTOGRAM_SUB      (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_MAX_BITS 40u /* nanoseconds: 18 minutes; longer ones count in the last bucket */
#define HISTOGRAM_BUCKETS  ((HISTOGRAM_MAX_BITS - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUB)

struct histogram {
	uint64_t total;
	uint64_t sum;
	uint64_t max;
	uint64_t count[HISTOGRAM_BUCKETS];
};

/* The bucket that VALUE falls into. */
static inline uint32_t
histogram_bucket(uint64_t value)
{
	uint32_t shift;

	if (value < HISTOGRAM_SUB)
		return (uint32_t)value;
	if (value >> HISTOGRAM_MAX_BITS != 0)
		return HISTOGRAM_BUCKETS - 1;
	shift = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return shift * HISTOGRAM_SUB + (uint32_t)(value >> shift);
}

static inline void
histogram_record(struct histogram *h, uint64_t value)
{
	uint64_t *count = &h->count[histogram_bucket(value)];

	bump_relaxed(count, 1);
	bump_relaxed(&h->total, 1);
	bump_relaxed(&h->sum, value);
	if (value > h->max)
		store_relaxed(&h->max, value);
}

void histogram_clear(struct histogram *h);

/* The largest value that falls into BUCKET. */
uint64_t histogram_bucket_top(uint32_t bucket);

/* Adds what FROM counted to INTO. FROM may be recording. */
void histogram_add(struct histogram *into, const struct histogram *from);

/* Takes what EARLIER counted off H; EARLIER is a copy of H made before. The maximum becomes the top of
 * the last bucket that is not empty. */
void histogram_subtract(struct histogram *h, const struct histogram *earlier);

/* The smallest value, to a bucket's width, that at least the share Q (0 to 1) of all values does not exceed;
 * never above the maximum; 0 where nothing was counted. */
uint64_t histogram_quantile(const struct histogram *h, double q);

double histogram_mean(const struct histogram *h);

#endif
