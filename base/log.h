/* base/log.h: one line of text with a level, to stderr or to syslog.
 *
 * Any thread may log at any time. A line of more than LOG_LINE_MAX bytes, its end included, is cut and ends in
 * "..."; control characters in it are shown as '?', so that a call is one line whatever a client sent.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#define LOG_LINE_MAX 1000

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* What is above LEVEL is dropped. With TO_SYSLOG lines go to syslog under the name IDENT (which must
 * live as long as the process), else to stderr with the name in front. Call before other threads are. */
void log_init(const char *ident, enum log_level level, bool to_syslog);

/* The level alone may change at any time. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* Keeps errno. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
