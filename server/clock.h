/* server/clock.h: the seconds clock, and what an exptime of the protocol means on it.
 *
 * The clock counts seconds since a moment shortly before the start of the process; it begins at CLOCK_BEGIN, so
 * that 1 lies in the past and 0 can mean never. It follows CLOCK_MONOTONIC: a wall clock that jumps neither
 * expires nor revives anything, and absolute exptimes follow the wall clock as it is now. The maintenance thread
 * ticks it; everybody else reads one relaxed word.
 */
#ifndef SERVER_CLOCK_H
#define SERVER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"

#define CLOCK_BEGIN 2u

/* From here on an exptime is a moment of the wall clock, not a span: 30 days. */
#define CLOCK_RELATIVE_MAX (60 * 60 * 24 * 30)

struct clock {
	uint32_t now;      /* any thread reads, relaxed */
	int64_t wall_zero; /* any thread reads, relaxed: the wall clock's second when NOW was 0 */

	/* For debugtime, written by any thread, relaxed. */
	int64_t shift;
	bool paused;

	uint32_t begin; /* NOW when the process was started */

	/* The ticking thread's own. */
	int64_t monotonic_zero;
};

/* BEGIN is the first reading: CLOCK_BEGIN, or where a restarted server goes on. */
void clock_init(struct clock *c, uint32_t begin);

/* Reads the system's clocks; one thread only. Returns the seconds. */
uint32_t clock_tick(struct clock *c);

static inline uint32_t
clock_now(const struct clock *c)
{
	return load_relaxed(&c->now);
}

/* The wall clock's second that belongs to NOW. */
static inline int64_t
clock_wall(const struct clock *c)
{
	return load_relaxed(&c->wall_zero) + (int64_t)clock_now(c);
}

/* Seconds since the process was started. */
uint32_t clock_uptime(const struct clock *c);

/* The store's time for an exptime of the protocol, as memcached's realtime() does it: 0 is never (0), a negative one
 * has passed (1), up to CLOCK_RELATIVE_MAX counts from now, above is a moment of the wall clock. */
uint32_t clock_exptime(const struct clock *c, int64_t exptime);

/* Moves the clock by SECONDS, at once and for good. */
void clock_shift(struct clock *c, int64_t seconds);

/* Stops and resumes it; it then goes on as if it had never been stopped. */
void clock_pause(struct clock *c, bool pause);

#endif
