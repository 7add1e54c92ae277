/* base/atomics.h: short names for the few atomic operations that we use.
 *
 * They take plain objects, so that a structure that lies in shared memory keeps its exact layout. Relaxed
 * unless the name says otherwise; whoever needs an order says at the call what it pairs with.
 */
#ifndef BASE_ATOMICS_H
#define BASE_ATOMICS_H

#define load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define add_relaxed(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define sub_relaxed(p, v)   __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)

/* A counter with a single writer: no locked instruction, and readers see no torn value. */
#define bump_relaxed(p, v) store_relaxed((p), load_relaxed(p) + (v))

#if defined(__SANITIZE_THREAD__)
#define TSAN_BUILD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN_BUILD 1
#endif
#endif

/* A load that comes after all loads before it (and the fence in it), and the fence that keeps the stores behind it after the one
 * before: the two halves of a sequence lock; and the fence that keeps stores before it from being passed by loads
 * behind it, for two threads of which each writes one thing and reads the other's. The thread sanitizer knows no fences, so there they are
 * read-modify-writes. */
#if defined(TSAN_BUILD)
#define load_after_loads(p)   __atomic_fetch_add((p), 0, __ATOMIC_ACQ_REL)
#define fence_loads_after(p)  ((void)__atomic_fetch_add((p), 0, __ATOMIC_ACQ_REL))
#define fence_stores_after(p) ((void)__atomic_fetch_add((p), 0, __ATOMIC_ACQ_REL))
#define fence_all(p)          ((void)__atomic_fetch_add((p), 0, __ATOMIC_SEQ_CST))
#else
#define load_after_loads(p)   (__atomic_thread_fence(__ATOMIC_ACQUIRE), load_relaxed(p))
#define fence_loads_after(p)  __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define fence_stores_after(p) __atomic_thread_fence(__ATOMIC_RELEASE)
#define fence_all(p)          __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

#endif
