/* bench/procstat.h: what the kernel accounts to a process: CPU time and memory. */
#ifndef BENCH_PROCSTAT_H
#define BENCH_PROCSTAT_H

#include <stdbool.h>
#include <stdint.h>

struct procstat {
	double
	    cpu_seconds; /* of all its living threads, exact (schedstat); user + system where there is none */
	double user_seconds; /* in the kernel's clock ticks */
	double system_seconds;
	uint64_t resident_bytes;
};

/* False where there is no process PID or its files cannot be read. */
bool procstat_read(struct procstat *s, uint64_t pid);

#endif
