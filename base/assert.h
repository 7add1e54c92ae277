/* base/assert.h: asserts that stay on in what ships, and the panic behind them.
 *
 * An assert states an invariant of our own code. What a client, a peer, the kernel or a file can
 * cause is never an assert: that is an error with a text.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

/* Says where and why in the log, then aborts. Never returns. */
_Noreturn void panic_at(const char *file, int line, const char *func, const char *fmt, ...)
    __attribute__((format(printf, 4, 5), cold));

#define panic(...) panic_at(__FILE__, __LINE__, __func__, __VA_ARGS__)

/* Evaluates COND exactly once, always. */
#define ASSERT(cond)                                                                               \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			panic("assertion failed: %s", #cond);                                      \
	} while (0)

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* For small functions of hot paths, and those that are specialised by a constant argument. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

#endif
