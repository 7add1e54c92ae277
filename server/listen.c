/* server/listen.c: see listen.h. Sockets are opened in the order of -l; options that accepted sockets inherit (no
 * delay, keep-alive) are set once on the listening ones. The loop is level-triggered, so what is not accepted in one
 * round is there in the next. */
#include "server/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "base/log.h"
#include "proto/reply.h"
#include "server/address.h"

#define ACCEPTS_PER_ROUND 128
#define PAUSE_MS          10 /* between two looks whether accepting is possible again */
#define HANDOVER_TRIES    100

struct listen {
	const struct settings *settings;
	struct listener *sockets;
	struct pollfd *polls; /* one per socket, and one for the wake descriptor */
	size_t count;

	/* The Unix socket's file, which is removed at the end if it is still the one that was made. */
	dev_t file_device;
	ino_t file_inode;

	/* The accepting thread writes, any thread reads, relaxed. */
	uint64_t rejected, disabled_num, disabled_us;
	uint64_t disabled_since; /* microseconds; 0 = accepting */
};

/* ---------------------------------------------------------------- opening */

static struct listener *
add_listener(struct listen *l, int fd, const struct settings *s)
{
	struct listener *all = realloc(l->sockets, (l->count + 1) * sizeof(*all));
	struct listener *added;

	ASSERT(all != NULL);
	l->sockets = all;
	added = &all[l->count++];
	*added = (struct listener){.fd = fd, .protocol = s->protocol};
	return added;
}

static void
set_option(int fd, int level, int option, const char *name)
{
	int on = 1;

	if (setsockopt(fd, level, option, &on, sizeof(on)) != 0)
		log_warn("cannot set %s on a listening socket: %s", name, strerror(errno));
}

static void
set_tcp_options(int fd, int family)
{
	if (family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY");
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR");
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE");
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY");
}

/* What the socket is bound to, as stats conns shows it. Returns its port. */
static unsigned
name_tcp(struct listener *listener, FILE *port_file)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "";
	unsigned port;

	ASSERT(getsockname(listener->fd, (void *)&address, &len) == 0);
	if (address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)&address;

		(void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		port = ntohs(in6->sin6_port);
		(void)snprintf(listener->name, sizeof(listener->name), "tcp6:[%s]:%u", host, port);
	} else {
		const struct sockaddr_in *in = (const void *)&address;

		(void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		port = ntohs(in->sin_port);
		(void)snprintf(listener->name, sizeof(listener->name), "tcp:%s:%u", host, port);
	}
	if (port_file != NULL)
		(void)fprintf(port_file, "TCP %s: %u\n",
		    address.ss_family == AF_INET6 ? "INET6" : "INET", port);
	return port;
}

/* Errors that say no more than that this family or address is not there. */
static bool
is_absent(int error)
{
	return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT;
}

/* A socket that listens on AI, or a negative errno. */
static int
open_tcp(const struct addrinfo *ai, int backlog)
{
	int fd =
	    socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
	int saved;

	if (fd < 0)
		return -errno;
	set_tcp_options(fd, ai->ai_family);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, backlog) == 0)
		return fd;
	saved = errno;
	(void)close(fd);
	return -saved;
}

/* All socket addresses of ADDRESS; NULL after logging why not. */
static struct addrinfo *
resolve(const struct address *address, int port)
{
	const struct addrinfo hints = {
	    .ai_flags = AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	const char *host = address->host[0] != '\0' ? address->host : NULL;
	struct addrinfo *list = NULL;
	char service[16];
	int error;

	(void)snprintf(service, sizeof(service), "%d", port);
	error = getaddrinfo(host, service, &hints, &list);
	if (error == 0)
		return list;
	log_error("cannot resolve %s: %s", host != NULL ? host : "*",
	    error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
	return NULL;
}

/* Whether a socket bound to HAVE takes what would come to WANT: the same port and the same address, or all. */
static bool
covers(const struct sockaddr_storage *have, const struct sockaddr *want)
{
	if (have->ss_family != want->sa_family)
		return false;
	if (want->sa_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const void *)have, *b = (const void *)want;

		return a->sin6_port == b->sin6_port &&
		    (IN6_IS_ADDR_UNSPECIFIED(&a->sin6_addr) ||
			memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) == 0);
	}
	if (want->sa_family == AF_INET) {
		const struct sockaddr_in *a = (const void *)have, *b = (const void *)want;

		return a->sin_port == b->sin_port &&
		    (a->sin_addr.s_addr == htonl(INADDR_ANY) ||
			a->sin_addr.s_addr == b->sin_addr.s_addr);
	}
	return false;
}

/* Whether we listen there already: names can stand for one address twice. */
static bool
is_ours(const struct listen *l, const struct sockaddr *want)
{
	for (size_t i = 0; i < l->count; i++) {
		struct sockaddr_storage have = {0};
		socklen_t len = sizeof(have);

		if (getsockname(l->sockets[i].fd, (void *)&have, &len) == 0 && covers(&have, want))
			return true;
	}
	return false;
}

/* Opens what ADDRESS names. False after logging why not. */
static bool
open_address(struct listen *l, const struct address *address, FILE *port_file)
{
	const struct settings *s = l->settings;
	int port = address->port_given ? address->port : s->port < 0 ? 0 : s->port;
	struct addrinfo *list = resolve(address, port);
	size_t before = l->count;
	int error = 0;

	if (list == NULL)
		return false;
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
		struct listener *added;
		int fd;

		if (is_ours(l, ai->ai_addr))
			continue;
		fd = open_tcp(ai, (int)s->backlog);
		if (fd < 0) {
			error = -fd;
			if (!is_absent(error))
				break;
			continue;
		}
		added = add_listener(l, fd, s);
		added->protocol = address->protocol_given ? address->protocol : s->protocol;
		added->tag = address->tag;
		(void)name_tcp(added, port_file);
	}
	freeaddrinfo(list);
	if (error == 0 || (is_absent(error) && l->count > before))
		return true;
	log_error("failed to listen on TCP port %d%s%s: %s", port,
	    address->host[0] != '\0' ? " of " : "", address->host, strerror(error));
	return false;
}

static bool
open_list(struct listen *l, FILE *port_file)
{
	const char *text = l->settings->listen != NULL ? l->settings->listen : "*";
	struct slice list = slice_of(text, strlen(text));
	char error[SETTINGS_ERROR_MAX];
	struct address address;
	struct slice one;

	while (address_next(&list, &one)) {
		if (!address_parse(one, &address, error)) {
			log_error("%s", error);
			return false;
		}
		if (!open_address(l, &address, port_file))
			return false;
	}
	return true;
}

/* The file that MEMCACHED_PORT_FILENAME asks for, under a name of its own until it is complete. */
static FILE *
begin_port_file(char **final, char **temporary)
{
	FILE *f;

	*temporary = NULL;
	*final = getenv("MEMCACHED_PORT_FILENAME");
	if (*final == NULL || asprintf(temporary, "%s.lck", *final) < 0)
		return NULL;
	f = fopen(*temporary, "ae");
	if (f == NULL)
		log_warn("Failed to open \"%s\": %s", *temporary, strerror(errno));
	return f;
}

static void
end_port_file(FILE *f, const char *final, char *temporary)
{
	if (f != NULL && (fclose(f) != 0 || rename(temporary, final) != 0))
		log_warn("cannot write \"%s\": %s", final, strerror(errno));
	free(temporary);
}

static bool
open_network(struct listen *l)
{
	char *final, *temporary;
	FILE *port_file = begin_port_file(&final, &temporary);
	bool good = open_list(l, port_file);

	end_port_file(port_file, final, temporary);
	return good;
}

/* Whether a server answers at ADDRESS. */
static bool
is_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool alive = fd >= 0 &&
	    (connect(fd, (const void *)address, sizeof(*address)) == 0 || errno == EAGAIN);

	if (fd >= 0)
		(void)close(fd);
	return alive;
}

/* Removes a socket that a server has left behind; anything else is left alone, and bind will complain. */
static void
remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(path);
}

/* A socket bound to ADDRESS that listens, or a negative errno. */
static int
bind_unix(const struct sockaddr_un *address, mode_t mask, int backlog)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t old;
	int saved;

	if (fd < 0)
		return -errno;
	old = umask(~mask & 0777);
	saved = bind(fd, (const void *)address, sizeof(*address)) == 0 && listen(fd, backlog) == 0
	    ? 0
	    : errno;
	(void)umask(old);
	if (saved == 0)
		return fd;
	(void)close(fd);
	return -saved;
}

static bool
open_unix(struct listen *l)
{
	const char *path = l->settings->unix_socket;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct listener *added;
	struct stat st;
	int fd = -ENAMETOOLONG;

	if (strlen(path) < sizeof(address.sun_path)) {
		memcpy(address.sun_path, path, strlen(path) + 1);
		if (is_alive(&address)) {
			fd = -EADDRINUSE;
		} else {
			remove_stale(path);
			fd = bind_unix(&address, l->settings->unix_mask, (int)l->settings->backlog);
		}
	}
	if (fd < 0) {
		log_error("failed to listen on UNIX socket: %s: %s", path, strerror(-fd));
		return false;
	}
	added = add_listener(l, fd, l->settings);
	added->local = true;
	(void)snprintf(added->name, sizeof(added->name), "unix:%s", path);
	if (stat(path, &st) == 0) {
		l->file_device = st.st_dev;
		l->file_inode = st.st_ino;
	}
	return true;
}

int
listen_new(struct listen **out, const struct settings *s)
{
	struct listen *l = calloc(1, sizeof(*l));
	bool good = true;

	ASSERT(l != NULL);
	l->settings = s;
	if (s->unix_socket != NULL)
		good = open_unix(l);
	else if (s->port != 0)
		good = open_network(l);
	*out = l;
	if (!good) {
		listen_free(out);
		return EX_OSERR;
	}
	l->polls = calloc(l->count + 1, sizeof(*l->polls));
	ASSERT(l->polls != NULL);
	return 0;
}

void
listen_free(struct listen **out)
{
	struct listen *l = *out;
	struct stat st;

	*out = NULL;
	for (size_t i = 0; i < l->count; i++) {
		const struct listener *listener = &l->sockets[i];

		(void)close(listener->fd);
		if (listener->local && lstat(l->settings->unix_socket, &st) == 0 &&
		    st.st_dev == l->file_device && st.st_ino == l->file_inode)
			(void)unlink(l->settings->unix_socket);
	}
	free(l->sockets);
	free(l->polls);
	free(l);
}

const struct listener *
listen_sockets(const struct listen *l, size_t *count)
{
	*count = l->count;
	return l->sockets;
}

/* ---------------------------------------------------------------- accepting */

static uint64_t
microseconds(void)
{
	struct timespec ts;

	ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void
disable(struct listen *l, const char *why)
{
	if (l->disabled_since != 0)
		return;
	log_debug("not accepting connections: %s", why);
	bump_relaxed(&l->disabled_num, 1);
	store_relaxed(&l->disabled_since, microseconds());
}

static void
enable(struct listen *l)
{
	if (l->disabled_since == 0)
		return;
	log_debug("accepting connections again");
	bump_relaxed(&l->disabled_us, microseconds() - l->disabled_since);
	store_relaxed(&l->disabled_since, (uint64_t)0);
}

/* Says why and hangs up. What the client has sent is read first, or the kernel would reset the connection and the
 * client might never see the reply. */
static void
reject(struct listen *l, int fd)
{
	char ignored[4096];

	bump_relaxed(&l->rejected, 1);
	(void)send(fd, REPLY_TOO_MANY_CONNECTIONS.ptr, REPLY_TOO_MANY_CONNECTIONS.len,
	    MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(fd, SHUT_WR);
	for (int i = 0; i < 16 && recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) > 0; i++)
		;
	(void)close(fd);
}

/* Workers that are behind get some time to catch up. */
static void
hand_over(struct listen *l, const struct listen_sink *sink, int fd, const struct listener *from)
{
	for (int tries = 0; tries < HANDOVER_TRIES; tries++) {
		if (sink->take(sink->context, fd, from))
			return;
		(void)poll(NULL, 0, 1);
	}
	reject(l, fd);
}

static bool
is_full(const struct listen *l, const struct listen_sink *sink)
{
	return sink->count(sink->context) >= l->settings->conn_limit;
}

/* What a failed accept4 means: true where the next may work. */
static bool
accept_failed(struct listen *l, int error)
{
	switch (error) {
	case EAGAIN:
		enable(l);
		return false;
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case EPERM:
		return true;
	case EMFILE:
	case ENFILE:
		if (l->disabled_since == 0)
			log_warn("Too many open connections: no descriptors left");
		break;
	default:
		if (l->disabled_since == 0)
			log_warn("cannot accept connections: %s", strerror(error));
		break;
	}
	disable(l, strerror(error));
	return false;
}

/* Accepts what waits at LISTENER, up to a number. False where accepting had to be stopped. */
static bool
accept_round(struct listen *l, const struct listener *listener, const struct listen_sink *sink)
{
	for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
		bool full = is_full(l, sink);
		int fd;

		if (full && !l->settings->maxconns_fast) {
			disable(l, "all connections are in use");
			return false;
		}
		fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (!accept_failed(l, errno))
				return l->disabled_since == 0;
			continue;
		}
		enable(l);
		if (full)
			reject(l, fd);
		else
			hand_over(l, sink, fd, listener);
	}
	return true;
}

/* Waits for connections, or while accepting is stopped for some time to pass. True where the wake descriptor is
 * readable. */
static bool
wait_for_work(struct listen *l, int wake_fd)
{
	bool stopped = l->disabled_since != 0;
	int timeout = stopped ? PAUSE_MS : -1;

	l->polls[0] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
	for (size_t i = 0; i < l->count; i++)
		l->polls[i + 1] =
		    (struct pollfd){.fd = stopped ? -1 : l->sockets[i].fd, .events = POLLIN};
	if (poll(l->polls, l->count + 1, timeout) < 0)
		return false;
	return l->polls[0].revents != 0;
}

void
listen_run(struct listen *l, const struct listen_sink *sink, int wake_fd)
{
	while (!wait_for_work(l, wake_fd)) {
		bool stopped = l->disabled_since != 0;

		for (size_t i = 0; i < l->count; i++) {
			if ((stopped || l->polls[i + 1].revents != 0) &&
			    !accept_round(l, &l->sockets[i], sink))
				break;
		}
	}
}

void
listen_stats(const struct listen *l, struct listen_stats *stats)
{
	uint64_t since = load_relaxed(&l->disabled_since);

	stats->rejected = load_relaxed(&l->rejected);
	stats->disabled_num = load_relaxed(&l->disabled_num);
	stats->disabled_us = load_relaxed(&l->disabled_us);
	stats->accepting = since == 0;
	if (since != 0)
		stats->disabled_us += microseconds() - since;
}
