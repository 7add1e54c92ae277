/* server/auth_sasl.h: passwords checked by libsasl2, as configured for the application "memcached". Where it is not built in
 * (configure --enable-sasl), it cannot be opened. One call at a time. */
#ifndef SERVER_AUTH_SASL_H
#define SERVER_AUTH_SASL_H

#include <stdbool.h>

/* False, with the reason in the log. */
bool auth_sasl_init(void);
void auth_sasl_fini(void);

/* Whether PASSWORD is right for USER. It may wait for what the configuration names (saslauthd, a database). */
bool auth_sasl_check(const char *user, const char *password);

#endif
