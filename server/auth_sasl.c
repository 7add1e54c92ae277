/* server/auth_sasl.c: see auth_sasl.h. */
#include "server/auth_sasl.h"

#include "base/log.h"

#include "config.h"

#ifdef HAVE_SASL

#include <sasl/sasl.h>
#include <string.h>

/* As memcached calls itself, so that its configuration (SASL_CONF_PATH, memcached.conf) is found. */
#define APPLICATION "memcached"

bool
auth_sasl_init(void)
{
	int result = sasl_server_init(NULL, APPLICATION);

	if (result == SASL_OK)
		return true;
	log_error("cannot start SASL: %s", sasl_errstring(result, NULL, NULL));
	return false;
}

void
auth_sasl_fini(void)
{
	sasl_server_done();
}

bool
auth_sasl_check(const char *user, const char *password)
{
	sasl_conn_t *conn = NULL;
	bool right;

	if (sasl_server_new(APPLICATION, NULL, NULL, NULL, NULL, NULL, 0, &conn) != SASL_OK)
		return false;
	right = sasl_checkpass(conn, user, (unsigned)strlen(user), password,
		    (unsigned)strlen(password)) == SASL_OK;
	sasl_dispose(&conn);
	return right;
}

#else

bool
auth_sasl_init(void)
{
	log_error(
	    "SASL needs a file of users: set MEMCACHED_SASL_PWDB to its path (libsasl2 is not "
	    "built in)");
	return false;
}

void
auth_sasl_fini(void)
{
}

bool
auth_sasl_check(const char *user, const char *password)
{
	(void)user;
	(void)password;
	return false;
}

#endif
