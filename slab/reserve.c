/* slab/reserve.c: see reserve.h. Addresses are mapped without access and made accessible as needed, so that a system
 * that does not overcommit is asked only for what is used. */
#include "slab/reserve.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/assert.h"

#define HUGE_PAGE    (2u << 20)
#define THRIFTY_STEP (64u << 10)

static size_t
round_up(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

static size_t
round_huge(size_t n)
{
	return round_up(n, HUGE_PAGE);
}

size_t
reserve_round(size_t size)
{
	return round_huge(size);
}

int
reserve_init(struct reserve *r, size_t size, int fd, bool thrifty)
{
	*r = (struct reserve){.size = round_huge(size), .shared = fd >= 0, .thrifty = thrifty};
	r->mapping_size = r->size + HUGE_PAGE;
	r->mapping = mmap(
	    NULL, r->mapping_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->mapping == MAP_FAILED) {
		r->mapping = NULL;
		return -errno;
	}
	r->base = (char *)round_huge((uintptr_t)r->mapping);
	if (fd >= 0 &&
	    mmap(r->base, r->size, PROT_NONE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		int error = -errno;

		reserve_fini(r);
		return error;
	}
	if (fd < 0)
		(void)madvise(r->base, r->size, thrifty ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	(void)madvise(r->base, r->size, MADV_DONTDUMP);
	return 0;
}

void
reserve_fini(struct reserve *r)
{
	if (r->mapping != NULL)
		(void)munmap(r->mapping, r->mapping_size);
	r->mapping = NULL;
}

/* The system may make huge pages of what is in use when BYTES are. */
static void
advise_full(const struct reserve *r, size_t committed, size_t bytes)
{
	size_t from = committed / HUGE_PAGE * HUGE_PAGE, to = bytes / HUGE_PAGE * HUGE_PAGE;

	if (to > from)
		(void)madvise(r->base + from, to - from, MADV_HUGEPAGE);
}

/* Two that grow it at once ask for what both need; that does no harm. */
bool
reserve_grow(struct reserve *r, size_t bytes)
{
	size_t old = __atomic_load_n(&r->committed, __ATOMIC_RELAXED);

	if (bytes <= old)
		return true;
	bytes = round_up(bytes, r->thrifty ? THRIFTY_STEP : HUGE_PAGE);
	if (bytes > r->size)
		return false;
	if (mprotect(r->base + old, bytes - old, PROT_READ | PROT_WRITE) != 0)
		return false;
	if (r->thrifty)
		advise_full(r, old, bytes);
	while (old < bytes &&
	    !__atomic_compare_exchange_n(
		&r->committed, &old, bytes, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return true;
}

bool
reserve_huge(struct reserve *r)
{
	void *p;

	if (r->shared)
		return false;
	p = mmap(r->base, r->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB,
	    -1, 0);
	if (p != MAP_FAILED)
		return true;
	p = mmap(r->base, r->size, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		panic("cannot map the reserved range again");
	(void)madvise(r->base, r->size, MADV_HUGEPAGE);
	return false;
}

void
reserve_touch(const struct reserve *r, size_t offset, size_t n)
{
	ASSERT(offset + n <= __atomic_load_n(&r->committed, __ATOMIC_RELAXED));
#ifdef MADV_POPULATE_WRITE
	if (madvise(r->base + offset, n, MADV_POPULATE_WRITE) == 0)
		return;
#endif
	for (size_t i = 0; i < n; i += 4096)
		__atomic_fetch_or(r->base + offset + i, 0, __ATOMIC_RELAXED);
}

bool
reserve_behind(const struct reserve *r, size_t used, size_t ahead)
{
	return __atomic_load_n(&r->touched, __ATOMIC_RELAXED) < used + ahead / 2;
}

void
reserve_ahead(struct reserve *r, size_t used, size_t ahead)
{
	size_t from = r->touched, to = used + ahead < r->size ? used + ahead : r->size;

	if (!reserve_behind(r, used, ahead) || !reserve_grow(r, to))
		return;
	while (from < to) {
		size_t end =
		    round_up(from + 1, HUGE_PAGE) < to ? round_up(from + 1, HUGE_PAGE) : to;

		reserve_touch(r, from, end - from);
		from = end;
		__atomic_store_n(&r->touched, from, __ATOMIC_RELAXED);
	}
}

void
reserve_reached(struct reserve *r, size_t bytes)
{
	if (r->touched < bytes)
		__atomic_store_n(&r->touched, bytes, __ATOMIC_RELAXED);
}

void
reserve_release(const struct reserve *r, size_t offset, size_t n)
{
	ASSERT(offset + n <= __atomic_load_n(&r->committed, __ATOMIC_RELAXED));
	(void)madvise(r->base + offset, n, r->shared ? MADV_REMOVE : MADV_DONTNEED);
}
