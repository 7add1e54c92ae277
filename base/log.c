/* base/log.c: see log.h. A line is built on the stack and written by one call, so lines of several
 * threads never mix. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static const struct {
	const char *name;
	int priority;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
    [LOG_LEVEL_WARN] = {"warning", LOG_WARNING},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

static const char *log_ident = "ringcache";
static bool log_to_syslog;
static _Atomic enum log_level log_level_now = LOG_LEVEL_WARN;

void
log_init(const char *ident, enum log_level level, bool to_syslog)
{
	log_ident = ident;
	log_to_syslog = to_syslog;
	log_set_level(level);
	if (to_syslog)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void
log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level_now, level, memory_order_relaxed);
}

enum log_level
log_get_level(void)
{
	return atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

void
log_write(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	int saved_errno = errno;
	int n, m;
	va_list ap;

	if (level > log_get_level())
		return;
	n = snprintf(line, sizeof(line), "%s: %s: ", log_ident, levels[level].name);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	if (log_to_syslog) {
		syslog(levels[level].priority, "%s", line + n);
	} else {
		size_t len = strlen(line);
		ssize_t ignored;

		line[len++] = '\n';
		ignored = write(STDERR_FILENO, line, len);
		(void)ignored;
	}
	errno = saved_errno;
}
