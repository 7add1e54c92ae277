/* t/slab/model.h: keys and values that can be made again from a number, for the store's tests. */
#ifndef T_SLAB_MODEL_H
#define T_SLAB_MODEL_H

#include <string.h>

#include "slab/look.h"
#include "slab/store.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"

/* How the stores of a test name their chunks; programs *_by_page are built with true. */
#ifndef MODEL_BY_PAGE
#define MODEL_BY_PAGE false
#endif

/* Set-up and tear-down of a group of tests whose thread calls stores. */
static inline int
model_join(void **state)
{
	(void)state;
	store_thread_join();
	return 0;
}

static inline int
model_leave(void **state)
{
	(void)state;
	store_thread_leave();
	return 0;
}

/* Key number N at TO (STORE_KEY_MAX bytes): 4 to 250 bytes, different for each number. */
static inline struct store_key
model_key(const struct store *st, char *to, uint32_t n)
{
	size_t len = n % 7 == 0 ? 4 + n % 247 : 4 + n % 28;

	memset(to, (int)('a' + n % 26), len);
	memcpy(to, &n, 4);
	return store_key(st, to, len);
}

/* Fills N bytes that depend on SEED and on their place. */
static inline void
model_fill(char *to, size_t n, uint64_t seed)
{
	struct random_state r = {seed};
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t x = random_next(&r);

		memcpy(to + i, &x, 8);
	}
	for (uint64_t x = random_next(&r); i < n; i++, x >>= 8)
		to[i] = (char)x;
}

/* Whether store_set does the same. */
static inline bool
plain_put(const struct store_head *head, const struct store_put *put)
{
	return put->newer == NULL && head->size < 100000 && head->exptime == 0 &&
	    !head->versioned && !head->tagged && put->mode == STORE_SET && !put->compare &&
	    put->version == 0 && put->marks == 0;
}

static inline uint64_t
model_version(struct store *st, const struct store_key *key)
{
	struct store_view view;

	do {
		if (!store_read_begin(st, key, 0, &view))
			return 0;
	} while (!store_read_end(st, &view));
	return view.version;
}

/* Stores SIZE bytes of SEED's under key N. */
static inline enum store_result
model_put(struct store *st, uint32_t n, const struct store_head *head, uint64_t seed,
    const struct store_put *put, uint64_t *version)
{
	static _Thread_local char value[4 << 20];
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);
	struct store_pending pending;
	enum store_result result;

	model_fill(value, head->size, seed);
	if (seed % 3 == 0 && plain_put(head, put)) {
		if (seed % 2 == 0)
			store_prepare(st, &key, 1);
		result = store_set(st, &key, head, value);
		if (result == STORE_OK)
			*version = model_version(st, &key);
		return result;
	}
	if (head->size < 100000 && seed % 2 == 0) {
		if (seed % 4 == 0)
			store_prepare(st, &key, 1);
		result = store_offer(st, &pending, &key, head, value);
		return result != STORE_OK ? result : store_put(st, &key, &pending, put, version);
	}
	result = store_alloc(st, &pending, &key, head);
	for (size_t done = 0; result == STORE_OK && done < head->size;) {
		size_t part = head->size - done < 70001 ? head->size - done : 70001;

		result = store_pending_write(st, &pending, value + done, part);
		done += part;
	}
	return result != STORE_OK ? result : store_put(st, &key, &pending, put, version);
}

/* Reads KEY into TO as one of many; false = that is not simple enough, or torn. *FOUND: whether it is there. */
static inline bool
model_get_many(
    struct store *st, const struct store_key *key, struct store_view *view, char *to, bool *found)
{
	const unsigned how = STORE_READ_VALUE | STORE_READ_COUNT | STORE_READ_META;
	const struct look look = look_of(st);
	enum look_result result = LOOK_ITEM;

	if (!look_hinted(key) || !look_plain(&look, key, how, view) || !look_copies(view->size))
		result = look_any(&look, key, how, view);
	if (result == LOOK_HARD)
		return false;
	*found = result == LOOK_ITEM;
	if (*found)
		store_copy(to, view->value, view->size);
	view->pin = NULL;
	return look_end(&look, view, how);
}

/* Reads key N into TO (room for a whole value); false = it is not there. */
static inline bool
model_get(struct store *st, uint32_t n, struct store_view *view, char *to)
{
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);
	uint32_t cursor = 0;
	const char *data;
	size_t len, done = 0;
	bool found;

	if (n % 2 == 0)
		store_prepare(st, &key, 1);
	if (n % 3 == 0 && model_get_many(st, &key, view, to, &found))
		return found;
	do {
		if (!store_read_begin(
			st, &key, STORE_READ_VALUE | STORE_READ_COUNT | STORE_READ_META, view))
			return false;
		if (view->pin == NULL)
			store_copy(to, view->value, view->size);
	} while (!store_read_end(st, view));
	if (view->pin == NULL)
		return true;
	while (store_pin_next(st, view->pin, &cursor, &data, &len)) {
		memcpy(to + done, data, len);
		done += len;
	}
	assert_int_equal(done, view->size);
	store_unpin(st, view->pin);
	return true;
}

#endif
