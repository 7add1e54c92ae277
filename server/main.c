/* server/main.c: the process. STEPS is its whole life: up in this order, down in the reverse. */
#include <errno.h>
#include <signal.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "server/auth.h"
#include "server/clock.h"
#include "server/cluster.h"
#include "server/daemon.h"
#include "server/io.h"
#include "server/listen.h"
#include "server/maintain.h"
#include "server/options.h"
#include "server/server.h"
#include "server/worker.h"
#include "slab/store.h"

struct process {
	struct settings settings;
	struct clock clock;
	struct store *store;
	struct listen *listen;
	struct auth *auth;       /* NULL = nobody is asked */
	struct cluster *cluster; /* NULL = a node by itself */
	struct server server;
	struct maintain *maintain;
	int signal_fd;
	int ready_fd; /* -1 in the foreground */
	bool has_pid_file;
	bool drain; /* stop gracefully */
};

static int
open_standard(struct process *p)
{
	(void)p;
	return daemon_open_standard();
}

static int
raise_limits(struct process *p)
{
	return daemon_raise_limits(&p->settings);
}

static int
check_user(struct process *p)
{
	return daemon_check_user(&p->settings);
}

static int
detach(struct process *p)
{
	p->ready_fd = -1;
	return p->settings.daemonize ? daemon_detach(&p->settings, &p->ready_fd) : 0;
}

static int
catch_signals(struct process *p)
{
	p->signal_fd = daemon_catch_signals();
	if (p->signal_fd >= 0)
		return 0;
	log_error("failed to ignore SIGPIPE; sigaction: %s", strerror(errno));
	return EX_OSERR;
}

static void
release_signals(struct process *p)
{
	(void)close(p->signal_fd);
}

/* Network sockets are opened while we may still take a low port. */
static int
listen_privileged(struct process *p)
{
	return p->settings.unix_socket == NULL ? listen_new(&p->listen, &p->settings) : 0;
}

/* While we may still read what root alone may. */
static int
open_auth(struct process *p)
{
	const char *pwdb = getenv("MEMCACHED_SASL_PWDB");
	bool good = true;

	if (p->settings.auth_file != NULL)
		good = auth_new(&p->auth, AUTH_FILE, p->settings.auth_file);
	else if (p->settings.sasl)
		good = auth_new(&p->auth, pwdb != NULL ? AUTH_PWDB : AUTH_SASL, pwdb);
	return good ? 0 : EXIT_FAILURE;
}

static void
close_auth(struct process *p)
{
	auth_free(&p->auth);
}

static int
open_cluster(struct process *p)
{
	char error[SETTINGS_ERROR_MAX];

	if (p->settings.peers == NULL)
		return 0;
	p->cluster = cluster_new(&p->settings, p->listen, error);
	if (p->cluster != NULL)
		return 0;
	log_error("%s", error);
	return EX_CONFIG;
}

static void
close_cluster(struct process *p)
{
	cluster_free(&p->cluster);
}

static int
drop_privileges(struct process *p)
{
	return daemon_drop_privileges(&p->settings);
}

/* A Unix socket is opened as the user whose it shall be. */
static int
listen_unprivileged(struct process *p)
{
	return p->settings.unix_socket != NULL ? listen_new(&p->listen, &p->settings) : 0;
}

static void
listen_end(struct process *p)
{
	if (p->listen != NULL)
		listen_free(&p->listen);
}

/* What became of the memory file. The clock goes on where the saved items' was. */
static void
take_up_clock(struct process *p)
{
	const char *why;
	bool restarted = store_restarted(p->store, &why);
	struct store_stats stats;

	clock_init(&p->clock, restarted ? store_clock(p->store) : CLOCK_BEGIN);
	if (restarted) {
		store_stats(p->store, &stats);
		log_info("restarted with %llu items from %s", (unsigned long long)stats.items,
		    p->settings.memory_file);
	} else if (why != NULL) {
		log_warn("starting empty on %s: %s", p->settings.memory_file, why);
	}
}

static int
open_store(struct process *p)
{
	struct store_options options;
	const char *error = "";
	int result;

	settings_store_options(&p->settings, &options);
	options.wall = (uint64_t)time(NULL);
	ASSERT(getrandom(&options.hash_seed, sizeof(options.hash_seed), 0) ==
	    (ssize_t)sizeof(options.hash_seed));
	store_thread_join();
	result = store_new(&p->store, &options, &error);
	if (result == 0) {
		take_up_clock(p);
		store_clock_set(p->store, clock_now(&p->clock));
		store_automove_set(p->store, p->settings.slab_automove);
		if (p->settings.large_pages && !store_has_huge_pages(p->store))
			log_warn(
			    "-L: no explicit huge pages are to be had, transparent ones are used");
	} else {
		log_error("cannot make the store: %s: %s", error, strerror(-result));
	}
	store_thread_leave();
	return result == 0 ? 0 : EXIT_FAILURE;
}

/* A graceful stop keeps the items for the next start, where there is a memory file. */
static void
save_store(struct process *p)
{
	int result;

	if (!p->drain || p->settings.memory_file == NULL)
		return;
	result = store_save(p->store, (uint64_t)time(NULL));
	if (result == 0)
		log_info("saved the items for a restart in %s", p->settings.memory_file);
	else
		log_error(
		    "cannot save the items in %s: %s", p->settings.memory_file, strerror(-result));
}

static void
close_store(struct process *p)
{
	store_thread_join();
	save_store(p);
	store_free(&p->store);
	store_thread_leave();
}

/* The shutdown command. */
static void
stop_by_command(void *context, bool graceful)
{
	(void)context;
	(void)kill(getpid(), graceful ? SIGUSR1 : SIGINT);
}

static bool
authenticate(void *context, struct slice user, struct slice password)
{
	struct process *p = context;

	return auth_check(p->auth, user, password);
}

static int
make_server(struct process *p)
{
	p->server.store = p->store;
	p->server.settings = &p->settings;
	p->server.clock = &p->clock;
	p->server.listen = p->listen;
	p->server.hooks = (struct server_hooks){stop_by_command, authenticate, p};
	if (server_init(&p->server))
		return 0;
	log_error("out of memory");
	return EX_OSERR;
}

static void
end_server(struct process *p)
{
	server_fini(&p->server);
}

static int
attach_cluster(struct process *p)
{
	char error[SETTINGS_ERROR_MAX];

	if (p->cluster == NULL || cluster_attach(p->cluster, &p->server, error))
		return 0;
	log_error("%s", error);
	return EX_OSERR;
}

/* From here on there are threads, so what the log is to be must be known; what fails now is said on stderr too. */
static int
start_workers(struct process *p)
{
	const struct io_driver *driver;
	bool to_syslog = p->settings.daemonize && p->settings.verbosity == 0;
	const char *error = "";
	int result;

	log_init("ringcached", settings_log_level(p->settings.verbosity), to_syslog);
	driver = io_choose(p->settings.io, &error);
	if (driver == NULL) {
		(void)fprintf(stderr, "%s\n", error);
		return EX_UNAVAILABLE;
	}
	result = workers_start(&p->server, driver, p->settings.threads, &error);
	if (result != 0) {
		(void)fprintf(
		    stderr, "cannot start the workers: %s: %s\n", error, strerror(-result));
		return EXIT_FAILURE;
	}
	log_info("ringcached %s: %u workers with %s, %llu MB for items", PACKAGE_VERSION,
	    p->settings.threads, driver->name, (unsigned long long)p->settings.memory_limit >> 20);
	return 0;
}

static void
stop_workers(struct process *p)
{
	workers_stop(&p->server, p->drain);
}

static int
start_cluster(struct process *p)
{
	if (p->cluster == NULL || cluster_start(p->cluster))
		return 0;
	(void)fprintf(stderr, "cannot start the thread of the cluster\n");
	return EXIT_FAILURE;
}

static void
stop_cluster(struct process *p)
{
	if (p->cluster != NULL)
		cluster_stop(p->cluster);
}

static int
start_maintenance(struct process *p)
{
	int result = maintain_start(&p->maintain, p->store, &p->clock);

	if (result == 0)
		return 0;
	(void)fprintf(stderr, "cannot start the maintenance thread: %s\n", strerror(-result));
	return EXIT_FAILURE;
}

static void
stop_maintenance(struct process *p)
{
	maintain_stop(&p->maintain);
}

static int
write_pid_file(struct process *p)
{
	const char *path = p->settings.pid_file;

	if (path != NULL && !(p->has_pid_file = daemon_write_pid(path)) && p->ready_fd >= 0)
		(void)fprintf(stderr,
		    "cannot write %s, as the user that -u names: there is no pid file\n", path);
	return 0;
}

static void
remove_pid_file(struct process *p)
{
	if (p->has_pid_file)
		daemon_remove_pid(p->settings.pid_file);
}

/* What the others know of versions is to be known here before a client can be answered; where they are away, it has to do
 * without. */
#define MEET_MS 1000u

static int
meet_peers(struct process *p)
{
	if (p->cluster == NULL || cluster_wait(p->cluster, MEET_MS))
		return 0;
	log_warn("starting without having spoken to all peers");
	cluster_begin_alone(p->cluster, (uint64_t)time(NULL));
	return 0;
}

static int
become_ready(struct process *p)
{
	size_t count;
	const struct listener *sockets = listen_sockets(p->listen, &count);

	daemon_lock_memory(&p->settings);
	for (size_t i = 0; i < count; i++)
		log_info("listening on %s", sockets[i].name);
	if (count == 0)
		log_warn("listening on nothing");
	if (p->ready_fd >= 0)
		daemon_ready(&p->settings, p->ready_fd);
	daemon_notify("READY=1");
	return 0;
}

static bool
take_connection(void *context, int fd, const struct listener *from)
{
	struct process *p = context;

	return workers_give(&p->server, fd, from);
}

static uint32_t
count_connections(void *context)
{
	const struct process *p = context;

	return workers_connections(&p->server);
}

/* Accepts connections until a signal ends it. */
static int
serve(struct process *p)
{
	const struct listen_sink sink = {take_connection, count_connections, p};
	enum daemon_event event;

	do {
		listen_run(p->listen, &sink, p->signal_fd);
		event = daemon_next_event(p->signal_fd);
		if (event == DAEMON_RELOAD && p->auth != NULL)
			auth_reload(p->auth);
	} while (event != DAEMON_STOP && event != DAEMON_STOP_GRACEFULLY);
	daemon_notify("STOPPING=1");
	p->drain = event == DAEMON_STOP_GRACEFULLY;
	if (p->drain)
		log_info("Gracefully stopping");
	return 0;
}

static const struct step {
	int (*up)(struct process *p); /* zero or the exit status */
	void (*down)(struct process *p);
} steps[] = {
    {open_standard, NULL},
    {raise_limits, NULL},
    {check_user, NULL},
    {detach, NULL},
    {catch_signals, release_signals},
    {listen_privileged, listen_end},
    {open_auth, close_auth},
    {open_cluster, close_cluster},
    {drop_privileges, NULL},
    {listen_unprivileged, listen_end},
    {open_store, close_store},
    {make_server, end_server},
    {attach_cluster, NULL},
    {start_maintenance, stop_maintenance},
    {start_workers, stop_workers},
    {start_cluster, stop_cluster},
    {write_pid_file, remove_pid_file},
    {meet_peers, NULL},
    {become_ready, NULL},
    {serve, NULL},
};

int
main(int argc, char **argv)
{
	static struct process process;
	size_t count = sizeof(steps) / sizeof(steps[0]);
	size_t done = 0;
	int status = EXIT_SUCCESS;

	settings_init(&process.settings);
	if (options_parse(&process.settings, argc, argv, &status)) {
		log_init("ringcached", settings_log_level(process.settings.verbosity), false);
		while (done < count && status == 0) {
			status = steps[done].up(&process);
			done += status == 0;
		}
	}
	while (done-- > 0) {
		if (steps[done].down != NULL)
			steps[done].down(&process);
	}
	settings_fini(&process.settings);
	return status;
}
