/* server/daemon.c: see daemon.h. */
#include "server/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/number.h"

int
daemon_open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return EX_OSERR;
	(void)close(fd);
	return 0;
}

/* ---------------------------------------------------------------- limits */

static int
raise_core_limit(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_CORE, &limit) != 0 && getrlimit(RLIMIT_CORE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_CORE, &limit);
	}
	if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur == 0) {
		log_error("failed to ensure corefile creation");
		return EX_OSERR;
	}
	return 0;
}

/* The other nodes that --peers names. */
static rlim_t
other_nodes(const struct settings *s)
{
	rlim_t commas = 0;

	for (const char *p = s->peers; p != NULL && *p != '\0'; p++)
		commas += *p == ',';
	return commas;
}

/* Descriptors beside those of connections: standard ones, listening sockets, a few for each worker, and in either direction a
 * link of each worker with each other node, whose workers may be as many. */
static rlim_t
own_descriptors(const struct settings *s)
{
	return 64 + (rlim_t)s->threads * (8 + 2 * other_nodes(s));
}

static void
raise_descriptor_limit(const struct settings *s)
{
	rlim_t wanted = s->conn_limit + own_descriptors(s);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	if (limit.rlim_max < wanted) {
		struct rlimit higher = {wanted, wanted};

		if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
			return;
	}
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		log_warn(
		    "failed to set rlimit for open files to %llu: fewer than %u connections can be open. "
		    "Try starting as root or requesting smaller maxconns value.",
		    (unsigned long long)wanted, s->conn_limit);
}

int
daemon_raise_limits(const struct settings *s)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	raise_descriptor_limit(s);
	if (s->lock_memory)
		(void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
	return s->core_dumps ? raise_core_limit() : 0;
}

void
daemon_lock_memory(const struct settings *s)
{
	/* Only what is touched: the store reserves more addresses than it may fill. */
	if (s->lock_memory && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
		log_warn("-k invalid, mlockall() failed: %s", strerror(errno));
}

/* ---------------------------------------------------------------- the user */

static int
become(const struct passwd *user)
{
	if (setgroups(0, NULL) < 0) {
		int error = errno;

		log_warn("failed to drop supplementary groups: %s", strerror(error));
		if (error != EPERM)
			return EX_OSERR;
	}
	if (setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0) {
		log_error("failed to assume identity of user %s", user->pw_name);
		return EX_OSERR;
	}
	return 0;
}

static bool
is_root(void)
{
	return getuid() == 0 || geteuid() == 0;
}

int
daemon_check_user(const struct settings *s)
{
	if (!is_root())
		return 0;
	if (s->user == NULL || s->user[0] == '\0') {
		log_error("can't run as root without the -u switch");
		return EX_USAGE;
	}
	if (getpwnam(s->user) == NULL) {
		log_error("can't find the user %s to switch to", s->user);
		return EX_NOUSER;
	}
	return 0;
}

int
daemon_drop_privileges(const struct settings *s)
{
	const struct passwd *user;

	if (!is_root())
		return 0;
	user = getpwnam(s->user);
	if (user == NULL) {
		log_error("can't find the user %s any more", s->user);
		return EX_OSERR;
	}
	if (user->pw_uid != 0 && become(user) != 0)
		return EX_OSERR;
	if (s->core_dumps)
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return 0;
}

/* ---------------------------------------------------------------- into the background */

/* Waits for the child to be ready or to end, and gives its status to whoever started us. */
static _Noreturn void
wait_for_child(pid_t child, int ready_fd)
{
	char byte;
	int status;
	ssize_t n;

	do {
		n = read(ready_fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EXIT_SUCCESS);
	if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	_exit(EXIT_FAILURE);
}

int
daemon_detach(const struct settings *s, int *ready_fd)
{
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) != 0 || (child = fork()) < 0) {
		log_error("failed to daemon() in order to daemonize");
		return EXIT_FAILURE;
	}
	if (child > 0) {
		(void)close(fds[1]);
		wait_for_child(child, fds[0]);
	}
	(void)close(fds[0]);
	(void)setsid();
	*ready_fd = fds[1];
	if (!s->core_dumps && chdir("/") != 0) {
		log_error("chdir: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	return 0;
}

void
daemon_ready(const struct settings *s, int ready_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		if (s->verbosity == 0) {
			(void)dup2(null, STDOUT_FILENO);
			(void)dup2(null, STDERR_FILENO);
		}
		if (null > STDERR_FILENO)
			(void)close(null);
	}
	n = write(ready_fd, "", 1);
	(void)n;
	(void)close(ready_fd);
}

void
daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path == NULL ? 0 : strlen(path);
	int fd;

	if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn(
		    "the service manager at %s is not told %s: %s", path, state, strerror(errno));
	(void)close(fd);
}

/* ---------------------------------------------------------------- signals */

int
daemon_catch_signals(void)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		(void)sigaddset(&set, caught[i]);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	/* One that was ignored when we were started, as scripts do to their background jobs, would never arrive. */
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		(void)signal(caught[i], SIG_DFL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

enum daemon_event
daemon_next_event(int signal_fd)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return DAEMON_NOTHING;
	if (info.ssi_signo == SIGHUP) {
		log_info("Signal handled: %s.", strsignal(SIGHUP));
		return DAEMON_RELOAD;
	}
	log_warn("Signal handled: %s.", strsignal((int)info.ssi_signo));
	switch (info.ssi_signo) {
	case SIGUSR1:
		return DAEMON_STOP_GRACEFULLY;
	default:
		return DAEMON_STOP;
	}
}

/* ---------------------------------------------------------------- the pid file */

/* The pid that the file at PATH names, where that process runs; else 0. */
static uint32_t
running_pid(const char *path)
{
	char text[32];
	FILE *f = fopen(path, "re");
	size_t len;
	uint32_t pid = 0;

	if (f == NULL)
		return 0;
	len = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	if (!number_parse_u32(slice_of(text, len), &pid) || pid == 0 || pid > INT32_MAX)
		return 0;
	return kill((pid_t)pid, 0) == 0 ? pid : 0;
}

static bool
write_pid(const char *path)
{
	FILE *f = fopen(path, "we");
	bool good;

	if (f == NULL) {
		log_warn("Could not open the pid file %s for writing: %s", path, strerror(errno));
		return false;
	}
	good = fprintf(f, "%ld\n", (long)getpid()) > 0;
	good = fclose(f) == 0 && good;
	if (!good)
		log_warn("Could not write the pid file %s: %s", path, strerror(errno));
	return good;
}

bool
daemon_write_pid(const char *path)
{
	uint32_t other = running_pid(path);
	char *temporary;
	bool good;

	if (other != 0)
		log_warn("WARNING: The pid file contained the following (running) pid: %u", other);
	ASSERT(asprintf(&temporary, "%s.tmp", path) >= 0);
	good = write_pid(temporary);
	if (good && rename(temporary, path) != 0) {
		log_warn("Could not rename the pid file from %s to %s: %s", temporary, path,
		    strerror(errno));
		(void)unlink(temporary);
		good = false;
	}
	free(temporary);
	return good;
}

void
daemon_remove_pid(const char *path)
{
	if (unlink(path) != 0)
		log_warn("Could not remove the pid file %s: %s", path, strerror(errno));
}
