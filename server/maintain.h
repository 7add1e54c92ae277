/* server/maintain.h: the thread behind the store: it ticks the clock and does the upkeep of memory, expiry and index a
 * slice at a time.
 */
#ifndef SERVER_MAINTAIN_H
#define SERVER_MAINTAIN_H

#include "server/clock.h"
#include "slab/store.h"

struct maintain;

/* Starts the thread; STORE and CLOCK outlive it. Zero, or a negative errno. It is there before any other thread calls STORE, and
 * until no other does: they may wake it. */
int maintain_start(struct maintain **out, struct store *store, struct clock *clock);

/* Ends and frees it, within milliseconds. */
void maintain_stop(struct maintain **m);

#endif
