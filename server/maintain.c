/* server/maintain.c: see maintain.h. It sleeps until the store wants its next slice or the next second begins,
 * whichever is first, so that the clock is never more than a few milliseconds behind. */
#include "server/maintain.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

struct maintain {
	struct store *store;
	struct clock *clock;
	pthread_t thread;
	int stop_fd;
};

/* Milliseconds to the next second of CLOCK_MONOTONIC, and a little. */
static int
to_next_second(void)
{
	struct timespec ts;

	ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (int)(1000 - ts.tv_nsec / 1000000);
}

/* False when the thread is to end. */
static bool
rest(const struct maintain *m, unsigned wanted)
{
	struct pollfd stop = {.fd = m->stop_fd, .events = POLLIN};
	int second = to_next_second();
	int timeout = wanted < (unsigned)second ? (int)wanted : second;

	if (timeout == 0)
		return poll(&stop, 1, 0) <= 0;
	store_thread_pause();
	(void)poll(&stop, 1, timeout);
	store_thread_resume();
	return stop.revents == 0;
}

static void *
maintain_main(void *arg)
{
	struct maintain *m = arg;
	unsigned wanted;

	store_thread_join();
	do {
		store_clock_set(m->store, clock_tick(m->clock));
		wanted = store_maintain(m->store);
		store_thread_quiescent();
	} while (rest(m, wanted));
	store_thread_leave();
	return NULL;
}

int
maintain_start(struct maintain **out, struct store *store, struct clock *clock)
{
	struct maintain *m = calloc(1, sizeof(*m));
	int error;

	if (m == NULL)
		return -ENOMEM;
	m->store = store;
	m->clock = clock;
	m->stop_fd = eventfd(0, EFD_CLOEXEC);
	error = m->stop_fd < 0 ? errno : pthread_create(&m->thread, NULL, maintain_main, m);
	if (error == 0) {
		(void)pthread_setname_np(m->thread, "maintain");
		*out = m;
		return 0;
	}
	if (m->stop_fd >= 0)
		(void)close(m->stop_fd);
	free(m);
	return -error;
}

void
maintain_stop(struct maintain **out)
{
	struct maintain *m = *out;

	*out = NULL;
	ASSERT(eventfd_write(m->stop_fd, 1) == 0);
	ASSERT(pthread_join(m->thread, NULL) == 0);
	(void)close(m->stop_fd);
	free(m);
}
