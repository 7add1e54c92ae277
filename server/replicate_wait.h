/* server/replicate_wait.h: commands that are answered when what was written is copied: wait, and meta writes with Psync; and
 * writes that are refused because it could not be.
 *
 * A connection that waits is in the middle of a report (server/conn_report.h): it takes no further command. What it had
 * other nodes change is asked of them: FRAME_WAIT covers all that came over the asking worker's link.
 */
#ifndef SERVER_REPLICATE_WAIT_H
#define SERVER_REPLICATE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "cluster/frame.h"
#include "proto/command.h"

struct conn;
struct link;
struct store_key;
struct worker;

/* wait <replicas> <milliseconds> */
void exec_wait(struct conn *c, const struct command *cmd);

/* Begins to note for whom changes are made. Only where W has a cluster. */
void wait_writer(struct conn *c);

/* How many replicas CMD wants to have its change before it is answered: of a P flag that says sync=<n>. 0 = it does not say. */
unsigned wait_wanted(const struct command *cmd);

/* Around the execution of such a command, which answers in a few hundred bytes: holds back what it has said until NEED replicas have
 * the change. */
struct wait_mark {
	unsigned need;
	char *block, *at;
	uint64_t position;
};
void wait_hold_begin(struct conn *c, unsigned need, struct wait_mark *mark);
void wait_hold_end(struct conn *c, const struct wait_mark *mark);

/* V is an inner connection that has executed a command for L. Where its answer is held back, it will be sent as the reply to ID:
 * true. */
bool wait_take_over(struct link *l, uint64_t id, struct conn *v);

/* Answers CMD, which is not executed, with LINE: a SERVER_ERROR; the binary protocol has its text alone. */
void wait_refuse(struct conn *c, const struct command *cmd, struct slice line);

/* Whether CMD changes KEY and must not; then it is answered. */
bool wait_refuses(struct conn *c, const struct command *cmd, const struct store_key *key);

/* A FRAME_WAIT has come. False where it breaks the protocol. */
bool wait_on_frame(struct link *l, const struct frame *frame);

/* The link ends. */
void wait_link_closed(struct link *l);

/* Something was acknowledged, or time has passed. */
void wait_look(struct worker *w);

#endif
