/* server/auth.h: who may come in: names and passwords from a file, or from libsasl2.
 *
 * The names are held in memory and are replaced as a whole when the file is read again, so whoever asks sees the old file
 * or the new one. How long an answer takes does not tell whether a name is known, nor how much of a password was right.
 */
#ifndef SERVER_AUTH_H
#define SERVER_AUTH_H

#include <stdbool.h>

#include "base/slice.h"

enum auth_kind {
	AUTH_FILE, /* -Y: lines user:password */
	AUTH_PWDB, /* -S with $MEMCACHED_SASL_PWDB: lines user:password, and a ':' ends the password, too; a file that was
	            * changed is read again by itself */
	AUTH_SASL, /* -S otherwise: libsasl2 knows, where it is built in */
};

/* More entries make a file malformed. */
#define AUTH_ENTRIES_MAX 1024u

/* A longer name or password, in bytes, does so too. */
#define AUTH_TEXT_MAX 255u

struct auth;

/* PATH, which outlives it, is the file of the first two kinds. False, with the reason in the log, where it cannot be read or is
 * malformed. */
bool auth_new(struct auth **out, enum auth_kind kind, const char *path);
void auth_free(struct auth **auth);

/* Reads the file again; where it is not good, that is logged and the old one goes on. Any thread. */
void auth_reload(struct auth *auth);

/* Whether PASSWORD is right for USER. Any thread. */
bool auth_check(struct auth *auth, struct slice user, struct slice password);

#endif
