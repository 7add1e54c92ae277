/* bench/dist.h: distributions of sizes and TTLs.
 *
 *   N                          always N
 *   uniform:LOW-HIGH           each integer alike
 *   loguniform:LOW-HIGH        the logarithm is uniform: as many from 10 to 100 as from 100 to 1000
 *   lognormal:MEDIAN,SIGMA[,MAX]   exp of a normal with mean ln(MEDIAN) and deviation SIGMA, cut at MAX
 *   file:PATH                  lines "VALUE [WEIGHT]"; '#' starts a comment
 *
 * A value is a function of 64 random bits, so that a key's hash gives the key a size that stays.
 */
#ifndef BENCH_DIST_H
#define BENCH_DIST_H

#include <stdbool.h>
#include <stdint.h>

enum dist_kind { DIST_FIXED, DIST_UNIFORM, DIST_LOGUNIFORM, DIST_LOGNORMAL, DIST_FILE };

/* A column of the alias table (Walker 1977, Vose 1991): VALUE with probability CUT / 2^32, else ALIAS. */
struct dist_column {
	uint32_t value, alias;
	uint64_t cut;
};

struct dist {
	enum dist_kind kind;
	uint32_t low, high;
	double mu, sigma;            /* lognormal; loguniform: ln(low), ln((high + 1) / low) */
	struct dist_column *columns; /* file; owned */
	uint32_t column_count;
};

/* Reads TEXT as described above. False, and *WHY a text that stays, where it is wrong; D needs no fini then. */
bool dist_parse(struct dist *d, const char *text, const char **why);
void dist_fini(struct dist *d);

uint32_t dist_at_slow(const struct dist *d, uint64_t bits);

/* The value that belongs to the random BITS. */
static inline uint32_t
dist_at(const struct dist *d, uint64_t bits)
{
	return d->kind == DIST_FIXED ? d->low : dist_at_slow(d, bits);
}

/* The largest value that D can give. */
uint32_t dist_max(const struct dist *d);

#endif
