/* server/clock.c: see clock.h. now = monotonic - monotonic_zero + shift; the wall clock is taken anew only where it
 * differs by two seconds or more from what we count, so that the two clocks' ticks, which fall at different
 * fractions of a second, never make a moment waver. */
#include "server/clock.h"

#include <time.h>

#include "base/assert.h"

static int64_t
read_seconds(clockid_t id)
{
	struct timespec ts;

	ASSERT(clock_gettime(id, &ts) == 0);
	return (int64_t)ts.tv_sec;
}

void
clock_init(struct clock *c, uint32_t begin)
{
	*c = (struct clock){
	    .now = begin,
	    .wall_zero = read_seconds(CLOCK_REALTIME) - (int64_t)begin,
	    .monotonic_zero = read_seconds(CLOCK_MONOTONIC) - (int64_t)begin,
	    .begin = begin,
	};
}

/* The clock without the debugging shift. */
static int64_t
unshifted(const struct clock *c)
{
	return read_seconds(CLOCK_MONOTONIC) - c->monotonic_zero;
}

static void
follow_wall(struct clock *c, int64_t plain)
{
	int64_t zero = read_seconds(CLOCK_REALTIME) - plain;
	int64_t old = load_relaxed(&c->wall_zero);

	if (zero - old >= 2 || old - zero >= 2)
		store_relaxed(&c->wall_zero, zero);
}

uint32_t
clock_tick(struct clock *c)
{
	int64_t plain = unshifted(c);
	int64_t now = plain + load_relaxed(&c->shift);

	follow_wall(c, plain);
	if (!load_relaxed(&c->paused) && now > (int64_t)clock_now(c))
		store_relaxed(&c->now, now < UINT32_MAX ? (uint32_t)now : UINT32_MAX);
	return clock_now(c);
}

uint32_t
clock_uptime(const struct clock *c)
{
	return clock_now(c) - c->begin;
}

uint32_t
clock_exptime(const struct clock *c, int64_t exptime)
{
	int64_t at;

	if (exptime == 0)
		return 0;
	if (exptime < 0)
		return 1;
	if (exptime > CLOCK_RELATIVE_MAX)
		at = exptime - load_relaxed(&c->wall_zero);
	else
		at = exptime + (int64_t)clock_now(c);
	if (at < 1)
		return 1;
	return at < UINT32_MAX ? (uint32_t)at : UINT32_MAX;
}

void
clock_shift(struct clock *c, int64_t seconds)
{
	int64_t now = (int64_t)clock_now(c) + seconds;

	(void)add_relaxed(&c->shift, seconds);
	if (now > (int64_t)clock_now(c))
		store_relaxed(&c->now, now < UINT32_MAX ? (uint32_t)now : UINT32_MAX);
}

void
clock_pause(struct clock *c, bool pause)
{
	store_relaxed(&c->paused, pause);
}
