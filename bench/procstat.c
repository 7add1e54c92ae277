/* bench/procstat.c: see procstat.h and proc(5). */
#include "bench/procstat.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The beginning of a file of PID in ROOM bytes, terminated; false where there is none. */
static bool
read_file(uint64_t pid, const char *name, char *text, size_t room)
{
	char path[320];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/%s", pid, name);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	n = fread(text, 1, room - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	return n > 0;
}

/* Nanoseconds that the threads of PID ran; 0 where the kernel does not tell. */
static uint64_t
sum_threads(uint64_t pid)
{
	char path[64], name[300], text[128];
	struct dirent *entry;
	uint64_t sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/task", pid);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		uint64_t ns;

		snprintf(name, sizeof(name), "task/%s/schedstat", entry->d_name);
		if (entry->d_name[0] != '.' && read_file(pid, name, text, sizeof(text)) &&
		    sscanf(text, "%" SCNu64, &ns) == 1)
			sum += ns;
	}
	(void)closedir(dir);
	return sum;
}

bool
procstat_read(struct procstat *s, uint64_t pid)
{
	double tick = (double)sysconf(_SC_CLK_TCK);
	uint64_t user, system, pages, ns;
	char text[1024];
	const char *rest;

	if (!read_file(pid, "stat", text, sizeof(text)))
		return false;
	rest = strrchr(text, ')'); /* behind the name, which may hold anything */
	if (rest == NULL ||
	    sscanf(rest + 1,
		" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
		" %*d %*d %*d %*d %*d %*d %*u %*u %" SCNu64,
		&user, &system, &pages) != 3)
		return false;
	ns = sum_threads(pid);
	s->user_seconds = (double)user / tick;
	s->system_seconds = (double)system / tick;
	s->cpu_seconds = ns > 0 ? (double)ns / 1e9 : s->user_seconds + s->system_seconds;
	s->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}
