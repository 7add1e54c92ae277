/* server/conn_report.c: see conn_report.h. */
#include "server/conn_report.h"

#include "server/conn_step.h"

void
report_begin(struct conn *c, struct conn_report *report)
{
	c->report = report;
	conn_set_state(c, CONN_REPORT);
}

bool
step_report(struct conn *c, struct slice *input)
{
	switch (c->report->more(c, c->report)) {
	case REPORT_DONE:
		report_free(&c->report);
		conn_set_state(c, CONN_COMMANDS);
		return true;
	case REPORT_MORE:
		return true;
	case REPORT_PAUSE:
		c->paused = true;
		return false;
	case REPORT_WAIT:
		slice_advance(input, input->len);
		return false;
	}
	panic("no such result of a report");
}

void
report_free(struct conn_report **report)
{
	(*report)->free(*report);
	*report = NULL;
}
