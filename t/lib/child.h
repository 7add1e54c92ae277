/* t/lib/child.h: runs a function in a process of its own and keeps how it ended and what it said on stderr. */
#ifndef T_LIB_CHILD_H
#define T_LIB_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct child_end {
	int status;      /* as waitpid gives it */
	size_t len;      /* bytes of ERR */
	char err[16384]; /* the first bytes that it wrote to stderr, terminated */
};

/* Runs BODY(ARG) and then _exit(0) in a child. False where there could be no child. */
static inline bool
child_run(void (*body)(void *arg), void *arg, struct child_end *end)
{
	int fds[2];
	ssize_t n;
	pid_t pid;

	if (pipe(fds) != 0)
		return false;
	pid = fork();
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(fds[1], STDERR_FILENO);
		(void)close(fds[0]);
		(void)close(fds[1]);
		body(arg);
		_exit(0);
	}
	(void)close(fds[1]);
	end->len = 0;
	while ((n = read(fds[0], end->err + end->len, sizeof(end->err) - 1 - end->len)) > 0)
		end->len += (size_t)n;
	end->err[end->len] = '\0';
	(void)close(fds[0]);
	return pid > 0 && waitpid(pid, &end->status, 0) == pid;
}

/* Whether it died of abort(). */
static inline bool
child_aborted(const struct child_end *end)
{
	return WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGABRT;
}

/* Whether it came to its end. */
static inline bool
child_returned(const struct child_end *end)
{
	return WIFEXITED(end->status) && WEXITSTATUS(end->status) == 0;
}

#endif
