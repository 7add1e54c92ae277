/* bench/floor.c: the floor server's main; see floor.h. Prints its port and serves until it is ended. */
#include "bench/floor.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/number.h"

#define VALUE_MAX (64u << 20)

struct floor_options {
	uint32_t port, value_size, key_size, multi;
	bool uring;
};

static void
print_usage(void)
{
	fprintf(stderr,
	    "usage: floor [--port N] [--io epoll|uring] [--value-size N] [--key-size N] [--multi N]\n");
}

static bool
parse_number(const char *text, uint32_t most, uint32_t *out)
{
	return number_parse_u32(slice_of(text, strlen(text)), out) && *out <= most;
}

static bool
parse_options(struct floor_options *o, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"port", required_argument, NULL, 'p'},
	    {"io", required_argument, NULL, 'i'},
	    {"value-size", required_argument, NULL, 'v'},
	    {"key-size", required_argument, NULL, 'K'},
	    {"multi", required_argument, NULL, 'm'},
	    {0},
	};
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "p:i:v:K:m:", longs, NULL)) != -1) {
		if (c == 'p')
			ok = parse_number(optarg, 65535, &o->port);
		else if (c == 'v')
			ok = parse_number(optarg, VALUE_MAX, &o->value_size);
		else if (c == 'K')
			ok = parse_number(optarg, 250, &o->key_size) && o->key_size > 0;
		else if (c == 'm')
			ok = parse_number(optarg, 1000, &o->multi) && o->multi > 0;
		else if (c == 'i')
			ok = (o->uring = strcmp(optarg, "uring") == 0) ||
			    strcmp(optarg, "epoll") == 0;
		else
			ok = false;
	}
	return ok && optind == argc;
}

/* Accepted connections inherit the listener's TCP_NODELAY. */
static int
listen_on(uint32_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t len = sizeof(a);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		perror("floor");
		return -1;
	}
	printf("%u\n", (unsigned)ntohs(a.sin_port));
	(void)fflush(stdout);
	return fd;
}

int
main(int argc, char **argv)
{
	struct floor_options o = {0, 32, 20, 1, false};
	static struct floor_answers answers;
	struct rlimit limit;
	const char *why;
	int listener;

	if (!parse_options(&o, argc, argv)) {
		print_usage();
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	floor_answers_init(&answers, o.value_size, o.key_size, o.multi);
	listener = listen_on(o.port);
	if (listener < 0)
		return 1;
	why =
	    o.uring ? floor_serve_uring(&answers, listener) : floor_serve_epoll(&answers, listener);
	fprintf(stderr, "floor: %s\n", why);
	return 1;
}
