/* bench/report.h: the result of a run as text or JSON, and the progress line. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/options.h"
#include "bench/procstat.h"
#include "bench/tally.h"

struct result {
	const struct options *options;
	double seconds;
	double user_seconds, system_seconds; /* of the generator */
	bool has_server;                     /* SERVER is known */
	struct procstat server;              /* differences over the run; memory at its end */
	struct tally tally;
};

/* To stdout. */
void report_text(const struct result *r);
void report_json(const struct result *r);

/* A line on stderr: what happened in the last SPAN seconds; SINCE is what was counted in them. */
void report_progress(double elapsed, double span, const struct tally *since);

#endif
