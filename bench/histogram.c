/* bench/histogram.c: see histogram.h. Readers load every counter by itself; the total of a histogram
 * that is being recorded may differ from the sum of its buckets by what is in flight. */
#include "bench/histogram.h"

#include <math.h>
#include <string.h>

void
histogram_clear(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
}

uint64_t
histogram_bucket_top(uint32_t bucket)
{
	uint32_t shift;

	if (bucket < 2 * HISTOGRAM_SUB)
		return bucket;
	shift = bucket / HISTOGRAM_SUB - 1;
	return (((uint64_t)(bucket % HISTOGRAM_SUB) + HISTOGRAM_SUB + 1) << shift) - 1;
}

void
histogram_add(struct histogram *into, const struct histogram *from)
{
	uint64_t max = load_relaxed(&from->max);

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->count[i] += load_relaxed(&from->count[i]);
	into->total += load_relaxed(&from->total);
	into->sum += load_relaxed(&from->sum);
	if (max > into->max)
		into->max = max;
}

void
histogram_subtract(struct histogram *h, const struct histogram *earlier)
{
	h->max = 0;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		h->count[i] -= earlier->count[i];
		if (h->count[i] != 0)
			h->max = histogram_bucket_top(i);
	}
	h->total -= earlier->total;
	h->sum -= earlier->sum;
}

uint64_t
histogram_quantile(const struct histogram *h, double q)
{
	uint64_t wanted = (uint64_t)ceil(q * (double)h->total);
	uint64_t seen = 0;

	if (wanted == 0)
		wanted = 1;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->count[i];
		if (seen >= wanted) {
			uint64_t top = histogram_bucket_top(i);

			return top < h->max ? top : h->max;
		}
	}
	return h->max;
}

double
histogram_mean(const struct histogram *h)
{
	return h->total == 0 ? 0 : (double)h->sum / (double)h->total;
}
