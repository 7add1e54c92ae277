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
#include "base/atomics.h"

struct maintain {
	struct store *store;
	struct clock *clock;
	pthread_t thread;
	int wake_fd;   /* an eventfd: somebody wants something */
	bool stopping; /* atomic */
};

/* Milliseconds to the next second of CLOCK_MONOTONIC, and a little. */
static int
to_next_second(void)
{
	struct timespec ts;

	ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (int)(1000 - ts.tv_nsec / 1000000);
}

/* The store's own call, from any thread. */
static void
wake(void *context)
{
	const struct maintain *m = context;

	/* The only failure is a counter that is full, and then the thread is awake anyhow. */
	(void)eventfd_write(m->wake_fd, 1);
}

/* False when the thread is to end. */
static bool
rest(const struct maintain *m, unsigned wanted)
{
	struct pollfd woken = {.fd = m->wake_fd, .events = POLLIN};
	int second = to_next_second();
	int timeout = wanted < (unsigned)second ? (int)wanted : second;
	eventfd_t ignored;

	store_thread_pause();
	if (poll(&woken, 1, timeout) > 0)
		(void)eventfd_read(m->wake_fd, &ignored);
	store_thread_resume();
	return !load_acquire(&m->stopping);
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
	m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	error = m->wake_fd < 0 ? errno : pthread_create(&m->thread, NULL, maintain_main, m);
	if (error == 0) {
		store_upkeep(store, wake, m);
		(void)pthread_setname_np(m->thread, "maintain");
		*out = m;
		return 0;
	}
	if (m->wake_fd >= 0)
		(void)close(m->wake_fd);
	free(m);
	return -error;
}

void
maintain_stop(struct maintain **out)
{
	struct maintain *m = *out;

	*out = NULL;
	store_upkeep(m->store, NULL, NULL);
	store_release(&m->stopping, true);
	wake(m);
	ASSERT(pthread_join(m->thread, NULL) == 0);
	(void)close(m->wake_fd);
	free(m);
}
