/* t/server/test_workers.c: workers with their threads and loops, over socket pairs: many clients at once, statistics
 * meanwhile, clients that do not read beside others that do, idle ones, the end with and without draining.
 *
 * The linker puts __wrap_conn_filled between the driver and the connection, so that a test can step in there.
 */
#include "t/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "server/clock.h"
#include "server/io.h"
#include "server/listen.h"
#include "server/server.h"
#include "server/settings.h"
#include "server/worker.h"
#include "slab/store.h"

struct fixture {
	struct settings settings;
	struct clock clock;
	struct server server;
	struct listener from;
};

static int
set_up(void **state)
{
	struct store_options options = {.memory_limit = (size_t)64 << 20, .threads = 3};
	struct fixture *f = calloc(1, sizeof(*f));
	const char *error;

	if (f == NULL)
		return -1;
	settings_init(&f->settings);
	f->settings.pin = false;
	clock_init(&f->clock, CLOCK_BEGIN);
	store_thread_join();
	assert_int_equal(store_new(&f->server.store, &options, &error), 0);
	store_clock_set(f->server.store, clock_now(&f->clock));
	store_thread_leave();
	f->server.settings = &f->settings;
	f->server.clock = &f->clock;
	(void)snprintf(f->from.name, sizeof(f->from.name), "unix:test");
	assert_true(server_init(&f->server));
	*state = f;
	return 0;
}

static void
start(struct fixture *f, uint32_t workers)
{
	const char *error;

	assert_int_equal(workers_start(&f->server, &io_event, workers, &error), 0);
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	workers_stop(&f->server, false);
	server_fini(&f->server);
	store_thread_join();
	store_check(f->server.store);
	store_free(&f->server.store);
	store_thread_leave();
	settings_fini(&f->settings);
	free(f);
	return 0;
}

/* A client's end of a new connection. */
static int
connect_to(struct fixture *f)
{
	struct timeval limit = {60, 0};
	int pair[2];

	ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	ASSERT(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	ASSERT(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
	ASSERT(workers_give(&f->server, pair[1], &f->from));
	return pair[0];
}

static void
send_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		ASSERT(sent > 0);
		bytes += sent;
		n -= (size_t)sent;
	}
}

static void
send_text(int fd, const char *text)
{
	send_all(fd, text, strlen(text));
}

/* Receives until TEXT has come, which must be the end of what comes; returns how many bytes that took. */
static size_t
receive_until(int fd, const char *text)
{
	static _Thread_local char buffer[1 << 16];
	size_t tail = 0, total = 0, len = strlen(text);

	for (;;) {
		ssize_t n = recv(fd, buffer + tail, sizeof(buffer) - tail, 0);

		ASSERT(n > 0);
		total += (size_t)n;
		tail += (size_t)n;
		if (tail >= len && memcmp(buffer + tail - len, text, len) == 0)
			return total;
		if (tail > sizeof(buffer) / 2) {
			memmove(buffer, buffer + tail - len, len);
			tail = len;
		}
	}
}

/* ---------------------------------------------------------------- many at once */

#define CLIENTS 4
#define ROUNDS  200

struct client {
	struct fixture *f;
	unsigned id;
};

static void *
client_main(void *arg)
{
	struct client *client = arg;
	int fd = connect_to(client->f);
	char text[512], expected[128];

	for (unsigned i = 0; i < ROUNDS; i++) {
		(void)snprintf(text, sizeof(text),
		    "set own%u 0 0 4\r\n%04u\r\nincr shared 1\r\nget own%u hot\r\nset hot 0 0 6\r\nabcdef\r\n"
		    "mg own%u v\r\nmn\r\n",
		    client->id, i, client->id, client->id);
		send_text(fd, text);
		(void)snprintf(expected, sizeof(expected), "STORED\r\nVA 4\r\n%04u\r\nMN\r\n", i);
		(void)receive_until(fd, expected);
		if (i % 50 == 7) {
			send_text(fd,
			    "stats\r\nstats conns\r\nstats items\r\nstats threads\r\nversion\r\n");
			(void)receive_until(fd, "VERSION 1.6.45\r\n");
		}
	}
	(void)close(fd);
	return NULL;
}

static void
test_many_clients(void **state)
{
	struct fixture *f = *state;
	struct client clients[CLIENTS];
	pthread_t threads[CLIENTS];
	int fd;

	start(f, 2);
	fd = connect_to(f);
	send_text(fd, "set shared 0 0 1\r\n0\r\n");
	(void)receive_until(fd, "STORED\r\n");
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = (struct client){f, i};
		assert_int_equal(pthread_create(&threads[i], NULL, client_main, &clients[i]), 0);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		(void)pthread_join(threads[i], NULL);
	send_text(fd, "get shared\r\n");
	(void)receive_until(fd, "VALUE shared 0 3\r\n800\r\nEND\r\n");
	(void)close(fd);
}

/* ---------------------------------------------------------------- one that does not read */

static int64_t
milliseconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
test_stalled_reader_disturbs_nobody(void **state)
{
	struct fixture *f = *state;
	char *value = malloc(900002), requests[500 * 9];
	int stalled, other;
	int64_t begin;

	assert_non_null(value);
	memset(value, 'v', 900000);
	memcpy(value + 900000, "\r\n", 2);
	start(f, 1);
	other = connect_to(f);
	stalled = connect_to(f);
	send_text(other, "set big 0 0 900000\r\n");
	send_all(other, value, 900002);
	(void)receive_until(other, "STORED\r\n");
	for (unsigned i = 0; i < 500; i++)
		memcpy(requests + i * 9, "get big\r\n", 9);
	send_all(stalled, requests, sizeof(requests));
	begin = milliseconds();
	for (unsigned i = 0; i < 100; i++) {
		send_text(other, "mn\r\n");
		(void)receive_until(other, "MN\r\n");
	}
	assert_in_range(milliseconds() - begin, 0, 20000);
	assert_in_range(load_relaxed(&f->server.workers[0]->pool.bytes_out), 0, 256 << 10);
	send_text(stalled, "version\r\n");
	assert_int_equal(receive_until(stalled, "VERSION 1.6.45\r\n"),
	    500 * (strlen("VALUE big 0 900000\r\n\r\nEND\r\n") + 900000) +
		strlen("VERSION 1.6.45\r\n"));
	(void)close(stalled);
	(void)close(other);
	free(value);
}

/* ---------------------------------------------------------------- one ends another */

/* What the worker does before it serves connections, one after the other. */
static struct {
	unsigned next; /* atomic: of the steps; 0 = nothing */
	sem_t at_gate, gate_opens;
	struct conn *gate;
} steps;

/* The connection that is neither C nor the gate. */
static struct conn *
third(const struct conn *c)
{
	struct conn *other;

	TAILQ_FOREACH(other, &c->worker->conns, all)
		if (other != c && other != steps.gate)
			return other;
	return NULL;
}

static void
step_of(struct conn *c, unsigned step)
{
	if (step == 1) { /* waits, until others are ready */
		steps.gate = c;
		store_release(&steps.next, 2u);
		ASSERT(sem_post(&steps.at_gate) == 0);
		ASSERT(sem_wait(&steps.gate_opens) == 0);
	} else if (step == 2) { /* ends another */
		store_release(&steps.next, 0u);
		io_event.drop(third(c));
	}
}

void __real_conn_filled(struct conn *c, size_t n);
void __wrap_conn_filled(struct conn *c, size_t n);

void
__wrap_conn_filled(struct conn *c, size_t n)
{
	step_of(c, load_acquire(&steps.next));
	__real_conn_filled(c, n);
}

static int
greeted(struct fixture *f)
{
	int fd = connect_to(f);

	send_text(fd, "mn\r\n");
	(void)receive_until(fd, "MN\r\n");
	return fd;
}

/* A client whose request keeps the worker until gate_open: what is sent meanwhile is ready all at once then. */
static int
gate_shut(struct fixture *f)
{
	int gate = greeted(f);

	ASSERT(sem_init(&steps.at_gate, 0, 0) == 0 && sem_init(&steps.gate_opens, 0, 0) == 0);
	store_release(&steps.next, 1u);
	send_text(gate, "mn\r\n");
	ASSERT(sem_wait(&steps.at_gate) == 0);
	return gate;
}

static void
gate_open(int gate)
{
	ASSERT(sem_post(&steps.gate_opens) == 0);
	(void)receive_until(gate, "MN\r\n");
	(void)close(gate);
}

static void
test_ended_while_ready(void **state)
{
	struct fixture *f = *state;
	unsigned answered = 0;
	char bytes[64];
	int gate, fds[2];

	start(f, 1);
	for (unsigned i = 0; i < 2; i++)
		fds[i] = greeted(f);
	gate = gate_shut(f);
	for (unsigned i = 0; i < 2; i++)
		send_text(fds[i], "mn\r\n");
	gate_open(gate);
	for (unsigned i = 0; i < 2; i++) {
		ssize_t n = recv(fds[i], bytes, sizeof(bytes), 0);

		if (n == 4 && memcmp(bytes, "MN\r\n", 4) == 0)
			answered++;
		else
			assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
		(void)close(fds[i]);
	}
	assert_int_equal(answered, 1);
}

/* More clients at once than one look finds ready. */
static void
test_more_ready_than_one_look_finds(void **state)
{
	struct fixture *f = *state;
	static int fds[300];
	int gate;

	start(f, 1);
	for (unsigned i = 0; i < 300; i++)
		fds[i] = greeted(f);
	gate = gate_shut(f);
	store_release(&steps.next, 0u);
	for (unsigned i = 0; i < 300; i++)
		send_text(fds[i], "mn\r\n");
	gate_open(gate);
	for (unsigned i = 0; i < 300; i++) {
		(void)receive_until(fds[i], "MN\r\n");
		(void)close(fds[i]);
	}
}

/* ---------------------------------------------------------------- idle */

static void
test_idle_connection_is_closed(void **state)
{
	struct fixture *f = *state;
	char byte;
	int fd;

	f->settings.idle_timeout = 1;
	start(f, 1);
	fd = connect_to(f);
	send_text(fd, "mn\r\n");
	(void)receive_until(fd, "MN\r\n");
	clock_shift(&f->clock, 5);
	store_clock_set(f->server.store, clock_now(&f->clock));
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	assert_int_equal(load_relaxed(&f->server.workers[0]->counters.idle_kicks), 1);
	(void)close(fd);
}

/* ---------------------------------------------------------------- the end */

static void
test_draining_answers_what_has_arrived(void **state)
{
	struct fixture *f = *state;
	int fds[20];

	start(f, 2);
	for (unsigned i = 0; i < 20; i++) {
		fds[i] = connect_to(f);
		send_text(fds[i], "set a 0 0 1\r\n1\r\nget a\r\n");
	}
	workers_stop(&f->server, true);
	for (unsigned i = 0; i < 20; i++) {
		(void)receive_until(fds[i], "STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n");
		(void)close(fds[i]);
	}
}

static void
test_least_loaded_worker_gets_the_next(void **state)
{
	struct fixture *f = *state;
	int fds[9];

	start(f, 3);
	for (unsigned i = 0; i < 9; i++) {
		fds[i] = connect_to(f);
		send_text(fds[i], "mn\r\n");
		(void)receive_until(fds[i], "MN\r\n");
	}
	assert_int_equal(workers_connections(&f->server), 9);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(load_relaxed(&f->server.workers[i]->connections), 3);
	for (unsigned i = 0; i < 9; i++)
		(void)close(fds[i]);
}

/* ---------------------------------------------------------------- watch */

static void
test_watcher_of_another_worker(void **state)
{
	struct fixture *f = *state;
	int watcher, other;

	start(f, 2);
	watcher = connect_to(f);
	other = connect_to(f);
	send_text(watcher, "watch mutations\r\n");
	(void)receive_until(watcher, "OK\r\n");
	for (unsigned i = 0; i < 50; i++) {
		send_text(other, "set a 0 0 1\r\n1\r\n");
		(void)receive_until(other, "STORED\r\n");
		(void)receive_until(watcher, "size=1\n");
	}
	(void)close(watcher);
	send_text(other, "set a 0 0 1\r\n1\r\n");
	(void)receive_until(other, "STORED\r\n");
	(void)close(other);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_SERVER(test_many_clients),
	    WITH_SERVER(test_stalled_reader_disturbs_nobody),
	    WITH_SERVER(test_ended_while_ready),
	    WITH_SERVER(test_more_ready_than_one_look_finds),
	    WITH_SERVER(test_idle_connection_is_closed),
	    WITH_SERVER(test_draining_answers_what_has_arrived),
	    WITH_SERVER(test_least_loaded_worker_gets_the_next),
	    WITH_SERVER(test_watcher_of_another_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
