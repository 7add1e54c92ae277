/* bench/loop.h: one thread of the generator: its connections, and the loop that keeps them busy.
 *
 * Closed loop: each connection sends its next DEPTH requests when the replies to the last ones are there (or, with
 * a window, one for each reply); latency counts from the send. Open loop: request number n is due at start + n /
 * rate, whatever became of the ones before, or with a burst when the first of its burst is; a burst goes to the next
 * connection with room for all of it, and latency counts from when it was due. Replay: the trace's requests in their order, each to the connection that its key names, with
 * never two requests for one key under way, so that a miss is set before the next get asks.
 *
 * The clock is read once for each batch of replies.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/conn.h"
#include "bench/net.h"
#include "bench/options.h"
#include "bench/tally.h"
#include "bench/trace.h"

enum phase { PHASE_BEFORE, PHASE_MEASURE, PHASE_COUNT };

/* What main tells all threads, and they him. */
struct control {
	_Atomic int phase;
	_Atomic bool stop;
	_Atomic unsigned finished; /* threads whose work is done */
	_Atomic bool failed;
	const struct options *options;
	const struct content *content;
	const struct address *address;
};

/* The trace's next request, made ready before there is room for it. */
struct replay {
	struct trace *trace;
	struct trace_line line;
	uint64_t copy; /* of LINE, the next to be replayed; 0 = read a line first */
	bool ready;    /* OP waits for room */
	uint64_t due;  /* when, with --speed */
	struct op op;
};

typedef bool next_fn(void *source, struct op *op);

struct loop {
	struct control *control;
	const struct options *options;
	unsigned number; /* of the thread */
	struct encoder encoder;
	struct conn *conns;
	uint32_t conn_count;
	int epoll;
	char *input;

	/* Of the run under way. */
	uint32_t depth;
	next_fn *next;
	void *source;
	struct replay *replay;
	bool open;       /* open loop */
	bool exhausted;  /* the source gives no more */
	bool limited;    /* BUDGET counts */
	uint64_t budget; /* requests left */
	uint64_t
	    outstanding; /* requests under way, sets after misses that are still to come included */
	uint64_t start;  /* of the open loop or of the replay */
	double interval; /* ns between two requests of the open loop */
	uint64_t issued; /* of the open loop */
	uint32_t burst;  /* requests of the open loop that are due together */
	uint32_t cursor; /* the connection that is next in the open loop */

	struct tally *tally; /* of the phase */
	struct tally tallies[PHASE_COUNT];
	uint64_t ended; /* when the measured run was over */
};

/* Opens the thread's share of the connections. False after a message on stderr. */
bool loop_init(struct loop *l, struct control *control, unsigned number);
void loop_fini(struct loop *l);

/* Runs until SOURCE is exhausted and all replies are there, or until control says stop. Closed loop of DEPTH.
 * False after a message where a connection broke. */
bool loop_run(struct loop *l, next_fn *next, void *source, uint32_t depth);

/* The same at the options' rate. */
bool loop_run_open(struct loop *l, next_fn *next, void *source);

/* Replays TRACE. */
bool loop_run_replay(struct loop *l, struct trace *trace);

/* The pieces that loop.c and replay.c share. */

/* Sends what C has to send and arms epoll for the rest. False where the connection broke. */
bool loop_flush(struct loop *l, struct conn *c);

/* Makes as many of the trace's requests as there is room for. */
bool replay_dispatch(struct loop *l, uint64_t now);

/* Milliseconds until the replay has something to do. */
int replay_timeout(const struct loop *l, uint64_t now);

#endif
