/* server/conn_report.h: an answer that may be long: it is made piece by piece, as fast as the client reads, and gives
 * others their turn. While it is under way the connection takes no input.
 */
#ifndef SERVER_CONN_REPORT_H
#define SERVER_CONN_REPORT_H

#include <stdbool.h>

#include "base/slice.h"

struct conn;

enum report_result {
	REPORT_DONE, /* that was the last piece */
	REPORT_MORE,
	REPORT_PAUSE, /* nothing now: conn_poke when there is; what the client says meanwhile waits */
	REPORT_WAIT, /* nothing now: conn_poke when there is; what the client says meanwhile is dropped */
};

struct conn_report {
	/* Appends a piece that takes well below a millisecond to make. */
	enum report_result (*more)(struct conn *c, struct conn_report *report);

	/* Frees the whole structure. */
	void (*free)(struct conn_report *report);
};

/* Begins REPORT (the first member of a larger structure), which belongs to the connection from now on. Only from an
 * executor, of the last command of its batch. */
void report_begin(struct conn *c, struct conn_report *report);

/* CONN_REPORT. */
bool step_report(struct conn *c, struct slice *input);

void report_free(struct conn_report **report);

#endif
