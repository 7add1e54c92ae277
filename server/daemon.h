/* server/daemon.h: what the process asks of the system before it serves: limits, user, background, signals, its pid
 * file. All of it is for the one thread that main() is then.
 */
#ifndef SERVER_DAEMON_H
#define SERVER_DAEMON_H

#include <stdbool.h>

#include "server/settings.h"

/* Functions that return an int return zero, or an exit status of sysexits.h after logging why. */

/* Descriptors 0 to 2 are open afterwards, so that no socket becomes one and gets the log. */
int daemon_open_standard(void);

/* Core files with -r, and descriptors for all connections. Too few descriptors are only warned about: the server then
 * has fewer connections at a time. */
int daemon_raise_limits(const struct settings *s);

/* Refuses to run as root without -u, or with one that does not exist. */
int daemon_check_user(const struct settings *s);

/* Becomes the user of -u when started by root. After daemon_check_user. */
int daemon_drop_privileges(const struct settings *s);

/* With -k, locks all memory there is and will be; a warning where that fails. */
void daemon_lock_memory(const struct settings *s);

/* ---------------------------------------------------------------- into the background */

/* Goes on in a child without a terminal. The caller's process stays until the child calls daemon_ready (and ends with
 * status 0) or ends before (and ends with the child's status). *READY_FD is for daemon_ready. */
int daemon_detach(const struct settings *s, int *ready_fd);

/* Lets go of the terminal (but with -v of its input only) and of the process that waits. */
void daemon_ready(const struct settings *s, int ready_fd);

/* Tells the service manager that started this as Type=notify what it is: "READY=1", "STOPPING=1" (sd_notify(3)). Nothing where
 * $NOTIFY_SOCKET names no socket. */
void daemon_notify(const char *state);

/* ---------------------------------------------------------------- signals */

enum daemon_event { DAEMON_STOP, DAEMON_STOP_GRACEFULLY, DAEMON_RELOAD, DAEMON_NOTHING };

/* Blocks the signals that we handle, for this thread and all that it starts, and ignores SIGPIPE. Returns a descriptor
 * that is readable when one has arrived, or -1 with errno. */
int daemon_catch_signals(void);

/* The next signal that has arrived, logged. */
enum daemon_event daemon_next_event(int signal_fd);

/* ---------------------------------------------------------------- the pid file */

/* Writes our pid, with a warning where the file names a process that runs. True where there is a file now. */
bool daemon_write_pid(const char *path);
void daemon_remove_pid(const char *path);

#endif
