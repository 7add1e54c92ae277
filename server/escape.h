/* server/escape.h: keys where lines are for machines to read: as in an URI (RFC 3986), so that any byte may be in
 * them. */
#ifndef SERVER_ESCAPE_H
#define SERVER_ESCAPE_H

#include "base/slice.h"

/* How many bytes LEN bytes become at most. */
#define ESCAPED_MAX(len) (3 * (len))

/* Writes KEY at P, escaped; returns the end. */
char *escape_key(char *p, struct slice key);

#endif
