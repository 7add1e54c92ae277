/* bench/random.h: the generator's chance: xoshiro256++ (Blackman, Vigna 2019), seeded through splitmix64.
 *
 * Not for secrets. One state per thread; the same seed gives the same run.
 */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t s[4];
};

/* A bijection of 64 bits that spreads every input bit over the result (splitmix64's finalizer). */
static inline uint64_t
random_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static inline void
random_init(struct random *r, uint64_t seed)
{
	for (unsigned i = 0; i < 4; i++)
		r->s[i] = random_mix(seed + i * 0x9e3779b97f4a7c15u);
}

static inline uint64_t
random_rotate(uint64_t x, unsigned k)
{
	return (x << k) | (x >> (64 - k));
}

static inline uint64_t
random_u64(struct random *r)
{
	uint64_t result = random_rotate(r->s[0] + r->s[3], 23) + r->s[0];
	uint64_t t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = random_rotate(r->s[3], 45);
	return result;
}

/* 0 to N-1 from 64 random bits (Lemire's multiplication; its bias is below N / 2^64). */
static inline uint64_t
random_scale(uint64_t bits, uint64_t n)
{
	__extension__ unsigned __int128 product = (unsigned __int128)bits * n;

	return (uint64_t)(product >> 64);
}

static inline uint64_t
random_below(struct random *r, uint64_t n)
{
	return random_scale(random_u64(r), n);
}

/* At least 0, below 1. */
static inline double
random_unit(uint64_t bits)
{
	return (double)(bits >> 11) * 0x1p-53;
}

#endif
