/* base/panic.c: the last words of a process that found itself broken. */
#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

void
panic_at(const char *file, int line, const char *func, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_write(LOG_LEVEL_ERROR, "panic at %s:%d (%s): %s", file, line, func, text);
	abort();
}
