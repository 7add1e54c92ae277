/* ringctl/client.c: asks a node as any client does, in the text protocol. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "ringctl/ringctl.h"

#define ANSWER_MAX ((size_t)1 << 30)

uint64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int
client_connect(const struct options *o, struct slice host, uint16_t port, const char **why)
{
	const struct timeval limit = {o->timeout / 1000, o->timeout % 1000 * 1000};
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	char name[TOPOLOGY_NAME_MAX + 1], service[8];
	int fd = -1, rc;

	if (host.len >= sizeof(name)) {
		*why = "its name is too long";
		return -1;
	}
	memcpy(name, host.ptr, host.len);
	name[host.len] = '\0';
	(void)snprintf(service, sizeof(service), "%u", port);
	if ((rc = getaddrinfo(name, service, &hints, &list)) != 0) {
		*why = gai_strerror(rc);
		return -1;
	}
	for (const struct addrinfo *a = list; fd < 0 && a != NULL; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 &&
		    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
		    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
		    connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		*why = errno == EINPROGRESS ? "no answer in time" : strerror(errno);
		if (fd >= 0)
			(void)close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd;
}

bool
client_send(int fd, struct slice bytes)
{
	while (bytes.len > 0) {
		ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		bytes = slice_of(bytes.ptr + n, bytes.len - (size_t)n);
	}
	return true;
}

/* Reads an answer; NULL where it does not come whole. */
static char *
receive_answer(int fd, client_ends *ends, size_t *len)
{
	size_t capacity = 4096;
	char *answer = malloc(capacity + 1);

	*len = 0;
	while (answer != NULL) {
		ssize_t n = recv(fd, answer + *len, capacity - *len, 0);

		if (n <= 0)
			break;
		*len += (size_t)n;
		answer[*len] = '\0';
		if (ends(answer, *len))
			return answer;
		if (*len == capacity) {
			char *more =
			    capacity < ANSWER_MAX ? realloc(answer, 2 * capacity + 1) : NULL;

			if (more == NULL)
				break;
			answer = more;
			capacity *= 2;
		}
	}
	free(answer);
	return NULL;
}

/* "host:port" or "host". */
static void
split_server(const char *server, struct slice *host, uint16_t *port)
{
	const char *colon = strrchr(server, ':');
	uint32_t number = 11211;

	*host = slice_of(server, strlen(server));
	if (colon != NULL && (server[0] != '[' || colon[-1] == ']')) {
		*host = slice_of(server, (size_t)(colon - server));
		if (!number_parse_u32(slice_of(colon + 1, strlen(colon + 1)), &number) ||
		    number == 0 || number > UINT16_MAX)
			die(STATUS_USAGE, "--server %s is not HOST:PORT", server);
	}
	if (host->len > 2 && host->ptr[0] == '[')
		*host = slice_of(host->ptr + 1, host->len - 2);
	*port = (uint16_t)number;
}

static char *
ask_at(const struct options *o, struct slice host, uint16_t port, struct slice request,
    client_ends *ends, size_t *len, const char **why)
{
	int fd = client_connect(o, host, port, why);
	char *answer;

	if (fd < 0)
		return NULL;
	*why = "it gave no whole answer in time";
	answer = client_send(fd, request) ? receive_answer(fd, ends, len) : NULL;
	(void)close(fd);
	return answer;
}

char *
client_ask(const struct options *o, struct slice request, client_ends *ends, size_t *len)
{
	const char *why = "";
	struct slice host;
	uint16_t port;
	char *answer;

	split_server(o->server, &host, &port);
	answer = ask_at(o, host, port, request, ends, len, &why);
	if (answer == NULL)
		die(STATUS_NO_SERVER, "%s: %s", o->server, why);
	return answer;
}

/* ---------------------------------------------------------------- stats cluster */

static bool
stats_end(const char *answer, size_t len)
{
	static const char end[] = "END\r\n";

	if (len >= 5 && (memcmp(answer, "ERROR", 5) == 0))
		return true;
	return len >= 5 && memcmp(answer + len - 5, end, 5) == 0;
}

/* "STAT name value" lines as an object. */
static json_t *
stats_object(char *answer)
{
	json_t *object = json_object();
	char *rest = NULL;

	for (char *line = strtok_r(answer, "\r\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\r\n", &rest)) {
		char *name = line + 5, *value = strchr(name, ' ');

		if (strncmp(line, "STAT ", 5) != 0 || value == NULL)
			continue;
		*value++ = '\0';
		(void)json_object_set_new_nocheck(object, name, json_string_nocheck(value));
	}
	return object;
}

json_t *
json_of(struct slice bytes)
{
	json_t *text = json_stringn(bytes.ptr, bytes.len);
	char *escaped, *p;

	if (text != NULL || (escaped = malloc(4 * bytes.len + 1)) == NULL)
		return text;
	p = escaped;
	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char byte = (unsigned char)bytes.ptr[i];

		if (byte < 0x80)
			*p++ = (char)byte;
		else
			p += snprintf(p, 5, "\\x%02x", byte);
	}
	text = json_stringn(escaped, (size_t)(p - escaped));
	free(escaped);
	return text;
}

json_t *
client_stats_at(const struct options *o, const struct topology_node *node, const char *what)
{
	char request[64], *answer;
	const char *why;
	json_t *stats;
	size_t len;

	(void)snprintf(request, sizeof(request), "stats %s\r\n", what);
	answer = ask_at(
	    o, node->host, node->port, slice_of(request, strlen(request)), stats_end, &len, &why);
	if (answer == NULL)
		return NULL;
	stats = stats_object(answer);
	free(answer);
	return stats;
}

static json_t *
cluster_of(char *answer, struct topology **t)
{
	json_t *stats = stats_object(answer);
	const char *text = json_string_value(json_object_get(stats, "topology"));

	free(answer);
	if (text != NULL && topology_decode(t, slice_of(text, strlen(text))) == TOPOLOGY_OK)
		return stats;
	json_decref(stats);
	return NULL;
}

json_t *
client_cluster(const struct options *o, struct topology **t)
{
	size_t len;
	char *answer = client_ask(o, SLICE_LITERAL("stats cluster\r\n"), stats_end, &len);
	json_t *stats = cluster_of(answer, t);

	if (stats == NULL)
		die(STATUS_REFUSED, "%s is no member of a cluster (it was started without --peers)",
		    o->server);
	return stats;
}

json_t *
client_cluster_at(const struct options *o, struct slice host, uint16_t port, struct topology **t)
{
	const char *why;
	size_t len;
	char *answer =
	    ask_at(o, host, port, SLICE_LITERAL("stats cluster\r\n"), stats_end, &len, &why);

	return answer == NULL ? NULL : cluster_of(answer, t);
}
