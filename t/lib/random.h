/* t/lib/random.h: chance for tests, which can be had again: one seed, from $SEED or the clock, printed at
 * the start of a test and giving the same numbers everywhere.
 */
#ifndef T_LIB_RANDOM_H
#define T_LIB_RANDOM_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct random_state {
	uint64_t state;
};

/* Starts R from $SEED where that is set, else from the clock, and prints what it took. */
static inline void
random_init(struct random_state *r)
{
	const char *text = getenv("SEED");
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	r->state = text != NULL ? strtoull(text, NULL, 0)
				: (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	printf("seed %" PRIu64 " (SEED=%" PRIu64 " repeats this run)\n", r->state, r->state);
}

/* splitmix64 (Steele, Lea and Flood, OOPSLA 2014). */
static inline uint64_t
random_next(struct random_state *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* 0 to N-1; N is not 0. */
static inline uint64_t
random_below(struct random_state *r, uint64_t n)
{
	return random_next(r) % n;
}

#endif
