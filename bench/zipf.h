/* bench/zipf.h: ranks from a Zipf distribution: rank r (0-based) has weight 1 / (r + 1)^theta.
 *
 * Rejection-inversion (Hörmann, Derflinger: "Rejection-inversion to generate variates from monotone discrete
 * distributions", ACM TOMACS 6(3), 1996): constant time and no table, for any theta above 0 and any
 * number of ranks.
 */
#ifndef BENCH_ZIPF_H
#define BENCH_ZIPF_H

#include <stdint.h>

#include "bench/random.h"

struct zipf {
	double theta;
	double count;
	double
	    h_low; /* H(1.5) - 1: the hat's integral at the left end, the first rank's weight included */
	double h_high; /* H(count + 0.5) */
	double accept; /* distance within which a candidate is taken without further look */
};

/* COUNT of at least 1, THETA above 0. */
void zipf_init(struct zipf *z, uint64_t count, double theta);

/* 0 to COUNT-1. */
uint64_t zipf_draw(const struct zipf *z, struct random *r);

#endif
