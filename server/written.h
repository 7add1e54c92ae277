/* server/written.h: through which links a connection has changed something at other nodes: who is to be asked when it waits for
 * copies (server/replicate_wait.h).
 *
 * Each connection has a word of bits, WROTE. An outgoing link has one of them as long as its connection lasts, so a bit that is
 * set says: what went there can still be asked for there. The next connection to that node gets another bit. What went over a
 * link that has broken since is lost out of sight: nobody can say any more how often it is copied. The bits of broken
 * links are taken back when there are no others, by a walk over all connections. The last bit is shared by those links that
 * find no other.
 *
 * All calls are the owning worker's.
 */
#ifndef SERVER_WRITTEN_H
#define SERVER_WRITTEN_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct worker;

/* Which bits are in use; zeroed at first. */
struct written_bits {
	uint32_t up;     /* of links that are up */
	uint32_t broken; /* of links that were: connections may still have them */
	uint32_t shared; /* how many links have the last one */
};

/* A bit for a link that has come up, and the end of that. */
uint32_t written_bit_take(struct worker *w);
void written_bit_break(struct worker *w, uint32_t bit);

/* C has had something changed at the other end of the link with BIT: it has been answered. */
void written_note(struct conn *c, uint32_t bit);

/* A wait of C has come to its end. GOOD: all that it wrote is on all replicas. Otherwise what is lost out of sight has
 * been told, which holds until it writes again. */
void written_waited(struct conn *c, bool good);

#endif
