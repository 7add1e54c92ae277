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

/* Makes one line of what snprintf left in LINE, LEN bytes by its count: the end of a longer text is marked, what
 * would break or colour the line is replaced, a newline ends it. Returns its length. */
static size_t
line_finish(char *line, size_t len)
{
	if (len > LOG_LINE_MAX - 1) {
		len = LOG_LINE_MAX - 1;
		memcpy(line + len - 3, "...", 3);
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len] = '\n';
	return len + 1;
}

/* Writes "ident: level: text" at LINE, LOG_LINE_MAX bytes of room. *HEAD is where the text begins. */
static size_t __attribute__((format(printf, 4, 0)))
line_build(char *line, size_t *head, enum log_level level, const char *fmt, va_list ap)
{
	int n = snprintf(line, LOG_LINE_MAX, "%s: %s: ", log_ident, levels[level].name);
	size_t len = n > 0 ? (size_t)n : 0;

	*head = len < LOG_LINE_MAX ? len : 0;
	if (len < LOG_LINE_MAX) {
		n = vsnprintf(line + len, LOG_LINE_MAX - len, fmt, ap);
		len += n > 0 ? (size_t)n : 0;
	}
	return line_finish(line, len);
}

void
log_write(enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char line[LOG_LINE_MAX];
	size_t head, len;
	va_list ap;

	if (level > log_get_level())
		return;
	va_start(ap, fmt);
	len = line_build(line, &head, level, fmt, ap);
	va_end(ap);
	if (log_to_syslog)
		syslog(levels[level].priority, "%.*s", (int)(len - head - 1), line + head);
	else
		(void)!write(STDERR_FILENO, line, len);
	errno = saved_errno;
}
