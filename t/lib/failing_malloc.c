/* t/lib/failing_malloc.c: allocations that fail by chance, preloaded into a server under test.
 *
 * $FAILING_MALLOC is a file that the test writes into while the server runs:
 *
 *	0        4          8
 *	+--------+----------+
 *	| chance | failures |    in 65536 of an allocation to fail; how many have
 *	+--------+----------+
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct orders {
	uint32_t chance, failures;
};

/* Those of glibc under their other names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *aligned_alloc(size_t alignment, size_t size);
int posix_memalign(void **out, size_t alignment, size_t size);

static struct orders *orders;
static uint64_t calls;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAILING_MALLOC");
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void *p = MAP_FAILED;

	if (fd >= 0) {
		p = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		(void)close(fd);
	}
	if (p != MAP_FAILED)
		orders = p;
}

/* The finish of splitmix64. */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static bool
fails(void)
{
	uint32_t chance = orders == NULL ? 0 : __atomic_load_n(&orders->chance, __ATOMIC_RELAXED);
	uint64_t call;

	if (chance == 0)
		return false;
	call = __atomic_fetch_add(&calls, 0x9e3779b97f4a7c15u, __ATOMIC_RELAXED);
	if (mix(call ^ (uint64_t)getpid()) % 65536 >= chance)
		return false;
	(void)__atomic_fetch_add(&orders->failures, 1, __ATOMIC_RELAXED);
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

int
posix_memalign(void **out, size_t alignment, size_t size)
{
	void *p = fails() ? NULL : __libc_memalign(alignment, size);

	if (p == NULL)
		return ENOMEM;
	*out = p;
	return 0;
}
