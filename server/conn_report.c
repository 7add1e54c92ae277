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
step_report(struct conn *c)
{
	if (!c->report->more(c, c->report)) {
		report_free(&c->report);
		conn_set_state(c, CONN_COMMANDS);
	}
	return true;
}

void
report_free(struct conn_report **report)
{
	(*report)->free(*report);
	*report = NULL;
}
