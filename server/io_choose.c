/* server/io_choose.c: which driver serves the connections.
 *
 * io_uring costs less CPU time per request than readiness and a receive and a send of one's own (doc/decisions.md), so
 * it is taken where it works. Many systems forbid it: that is said once, and all else is the same.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "server/io.h"
#include "server/settings.h"

#ifdef HAVE_LIBURING
#include "server/uring_ring.h"

static const struct io_driver *const uring = &io_uring;

/* NULL where io_uring works here, or why not. */
static const char *
uring_missing(void)
{
	int rc = uring_probe();

	switch (-rc) {
	case 0:
		return NULL;
	case ENOSYS:
		return "the kernel has none";
	case EPERM:
	case EACCES:
		return "it is forbidden here (kernel.io_uring_disabled, or a container's profile)";
	case ENOMEM:
		return "there is not enough memory that may be locked (ulimit -l)";
	case EINVAL:
	case EOPNOTSUPP:
		return "the kernel is older than 6.0";
	default:
		return strerror(-rc);
	}
}
#else
static const struct io_driver *const uring = NULL;

static const char *
uring_missing(void)
{
	return "it was not built in, liburing was missing";
}
#endif

const struct io_driver *
io_choose(enum io_choice choice, const char **error)
{
	static char text[160];
	const char *missing = choice == IO_EVENT ? "" : uring_missing();

	if (missing == NULL) {
		log_info("connections are served by io_uring");
		return uring;
	}
	if (choice == IO_URING) {
		(void)snprintf(text, sizeof(text), "--io=uring: no io_uring: %s", missing);
		*error = text;
		return NULL;
	}
	if (choice == IO_AUTO)
		log_info("connections are served by libevent; no io_uring: %s", missing);
	else
		log_info("connections are served by libevent");
	return &io_event;
}
