/* t/slab/test_index.c: the index as it grows and empties: each item is found at each step, chains give their buckets
 * back, a walk misses nothing that was there all the time, and hints are hints. */
#include <pthread.h>
#include <semaphore.h>

#include "slab/hot.h"
#include "slab/impl.h"
#include "t/slab/model.h"

#define KEYS 60000u

static struct store *
make(void)
{
	struct store_options o = {.memory_limit = 64u << 20, .index_power = 4, .threads = 1};
	struct random_state chance;
	struct store *st;
	const char *error;

	random_init(&chance);
	o.hash_seed = random_next(&chance);
	assert_int_equal(store_new(&st, &o, &error), 0);
	return st;
}

static void
put(struct store *st, uint32_t n, size_t size)
{
	const struct store_head head = {.size = size};
	const struct store_put how = {.mode = STORE_SET};
	uint64_t version;

	assert_int_equal(model_put(st, n, &head, n, &how, &version), STORE_OK);
}

static bool
there(struct store *st, uint32_t n)
{
	char value[16];
	struct store_view view;

	return model_get(st, n, &view, value);
}

static void delete (struct store *st, uint32_t n)
{
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(st, name, n);

	assert_int_equal(store_delete(st, &key), STORE_OK);
}

static void
grows_and_empties(void **state)
{
	struct store *st = make();
	struct store_stats s;
	uint64_t buckets = st->nbuckets;

	(void)state;
	for (uint32_t n = 0; n < KEYS; n++) {
		put(st, n, 4);
		assert_true(there(st, n / 2));
	}
	store_check(st);
	store_stats(st, &s);
	assert_int_equal(s.items, KEYS);
	assert_true(s.index_buckets > buckets);
	assert_true(s.index_buckets * INDEX_LOAD >= KEYS);
	for (uint32_t n = 0; n < KEYS; n++)
		assert_true(there(st, n));
	for (uint32_t n = 0; n < KEYS; n++)
		delete (st, n);
	store_check(st);
	store_stats(st, &s);
	assert_int_equal(s.items, 0);
	assert_int_equal(s.overflow_buckets, 0);
	store_free(&st);
}

/* Another thread that is about to let the table grow, and does not. */
struct grower {
	struct store *st;
	pthread_t thread;
	sem_t begun, end;
};

static void *
grower_main(void *arg)
{
	struct grower *g = arg;

	lock_take(&g->st->grow_lock);
	assert_int_equal(sem_post(&g->begun), 0);
	assert_int_equal(sem_wait(&g->end), 0);
	lock_drop(&g->st->grow_lock);
	return NULL;
}

/* With no room to grow, chains get long and stay right. */
static void
long_chains(void **state)
{
	struct store *st = make();
	struct grower g = {.st = st};
	struct store_stats s;

	(void)state;
	assert_int_equal(sem_init(&g.begun, 0, 0), 0);
	assert_int_equal(sem_init(&g.end, 0, 0), 0);
	assert_int_equal(pthread_create(&g.thread, NULL, grower_main, &g), 0);
	assert_int_equal(sem_wait(&g.begun), 0);
	for (uint32_t n = 0; n < 5000; n++)
		put(st, n, 4);
	store_stats(st, &s);
	assert_true(s.overflow_buckets > 300);
	assert_int_equal(sem_post(&g.end), 0);
	assert_int_equal(pthread_join(g.thread, NULL), 0);
	store_check(st);
	for (uint32_t n = 0; n < 5000; n += 2)
		delete (st, n);
	for (uint32_t n = 0; n < 5000; n++)
		assert_int_equal(there(st, n), n % 2);
	store_check(st);
	for (int i = 0; i < 2000; i++)
		index_grow(st);
	store_check(st);
	store_stats(st, &s);
	assert_true(s.index_buckets * INDEX_LOAD >= s.items);
	for (uint32_t n = 0; n < 5000; n++)
		assert_int_equal(there(st, n), n % 2);
	store_free(&st);
}

static void
mark(void *context, const struct store_key *key, const struct store_view *view, int slab_class)
{
	uint8_t *seen = context;
	uint32_t n;

	(void)view;
	(void)slab_class;
	memcpy(&n, key->data, sizeof(n));
	seen[n] = 1;
}

static void
walks_miss_nothing(void **state)
{
	struct store *st = make();
	uint8_t *seen = test_calloc(KEYS, 1);
	uint64_t cursor = 0;
	uint32_t n = 0;

	(void)state;
	for (; n < 1000; n++)
		put(st, n, 4);
	while (store_walk(st, &cursor, mark, seen))
		for (uint32_t end = n + 300; n < KEYS && n < end; n++)
			put(st, n, 4);
	assert_true(n == KEYS);
	for (n = 0; n < 1000; n++)
		assert_true(seen[n]);
	test_free(seen);
	store_free(&st);
}

/* A hint is right, or is seen to be wrong: after the item moved, was replaced, deleted, or its thread let go. */
static void
hints(void **state)
{
	struct store *st = make();
	char name[STORE_KEY_MAX];
	struct store_key key;
	struct store_view view;

	(void)state;
	put(st, 1, 4);
	key = model_key(st, name, 1);
	store_prepare(st, &key, 1);
	assert_true(index_hint_holds(&key));
	put(st, 1, 500);
	put(st, 2, 4);
	assert_false(index_hint_holds(&key));
	assert_true(store_read_begin(st, &key, 0, &view));
	assert_int_equal(view.size, 500);
	assert_true(store_read_end(st, &view));
	store_prepare(st, &key, 1);
	assert_true(index_hint_holds(&key));
	store_thread_quiescent();
	assert_false(index_hint_holds(&key));
	store_prepare(st, &key, 1);
	delete (st, 1);
	assert_false(store_read_begin(st, &key, 0, &view));
	key = model_key(st, name, 3);
	assert_false(index_hint_holds(&key));
	store_prepare(st, &key, 1);
	assert_false(index_hint_holds(&key));
	store_free(&st);
}

/* What a key's preparation says does not depend on the lengths of those beside it. */
static void
hints_of_all_lengths(void **state)
{
	struct store *st = make();
	char names[STORE_KEY_MAX][STORE_KEY_MAX];
	struct store_key keys[STORE_KEY_MAX];
	struct random_state r;

	(void)state;
	random_init(&r);
	for (unsigned i = 0; i < STORE_KEY_MAX; i++) {
		struct store_head head = {.size = 3};
		struct store_key key;

		memset(names[i], 'a' + (int)(i % 26), i + 1);
		key = store_key(st, names[i], i + 1);
		assert_int_equal(store_set(st, &key, &head, "abc"), STORE_OK);
	}
	for (unsigned round = 0; round < 200; round++) {
		unsigned n = (unsigned)random_below(&r, STORE_KEY_MAX) + 1;

		for (unsigned i = 0; i < n; i++) {
			unsigned k = (unsigned)random_below(&r, STORE_KEY_MAX);

			keys[i] = (struct store_key){.data = names[k], .len = (uint16_t)(k + 1)};
		}
		store_prepare(st, keys, n);
		for (unsigned i = 0; i < n; i++) {
			struct store_key key = store_key(st, keys[i].data, keys[i].len);
			struct slot slot;
			uint32_t ref = index_find(st, &key, &slot);

			assert_true(keys[i].hash == key.hash);
			assert_int_not_equal(ref, 0);
			/* Two of a bucket may have one tag. */
			assert_true(!index_hint_holds(&keys[i]) || ref_of(st, keys[i].hint) == ref);
			store_prepare_one(st, &key);
			assert_ptr_equal(key.hint, keys[i].hint);
		}
	}
	store_free(&st);
}

/* A page that is cut anew within the same batch: the old hint leads to where a liar has written a header. */
static void
hints_of_recut_pages(void **state)
{
	struct store *st = make();
	char name[STORE_KEY_MAX], lie[4096];
	struct store_key key;
	struct store_view view;
	uint32_t old;

	(void)state;
	for (uint32_t n = 0; n < 20; n++)
		put(st, n, 20);
	key = model_key(st, name, 19);
	store_prepare(st, &key, 1);
	old = ref_of(st, key.hint);
	for (uint32_t n = 0; n < 20; n++)
		delete (st, n);
	lock_take(&st->mover.lock);
	assert_true(move_start(st, ref_class(st, old), class_for(st, 5000)));
	assert_int_equal(move_step(st, 1000, true), MOVE_LEFT);
	assert_true(move_arrivals(st, 0) || st->mover.nleaving == 0);
	lock_drop(&st->mover.lock);
	memset(lie, 0, sizeof(lie));
	memcpy(item_at(st, old), lie, sizeof(struct item));
	version_store(item_at(st, old), 77);
	item_at(st, old)->nkey = (uint8_t)key.len;
	memcpy(item_at(st, old)->data, key.data, key.len);
	assert_false(store_read_begin(st, &key, 0, &view));
	store_free(&st);
}

/* The table of ghosts grows a slice at a time once memory is full, and what was remembered before it grew still is. */
static void
ghosts_grow(void **state)
{
	struct store *st = make();
	struct slab_class *c = &st->classes[1];
	uint64_t hash = 0x123456789abcdef0;
	uint32_t last = st->ghost_buckets;
	unsigned slices = 0;

	(void)state;
	lock_take(&c->lock);
	c->small.count = 1000000; /* a window that forgets nothing */
	ghost_add(st, c, hash);
	lock_drop(&c->lock);
	st->items = 100000;
	lock_take(&st->grow_lock);
	ghost_grow(st);
	assert_int_equal(st->ghost_buckets, last);
	st->limit_kept = true;
	for (ghost_grow(st); st->ghost_buckets != last; ghost_grow(st)) {
		last = st->ghost_buckets;
		slices++;
	}
	lock_drop(&st->grow_lock);
	assert_true((uint64_t)last * GHOST_WAYS >= st->items / 4 * 3);
	assert_true((uint64_t)(last - 1) * GHOST_WAYS < st->items / 4 * 3);
	assert_true(slices > 1);
	lock_take(&c->lock);
	assert_true(ghost_take(st, c, hash));
	assert_false(ghost_take(st, c, hash));
	lock_drop(&c->lock);
	store_free(&st);
}

#define CHAIN_ITEMS (64u * BUCKET_SLOTS) /* that a chain can hold */

/* Keys that all belong to the first bucket, however the table grows to hold them. */
static struct store_key
crowded_key(const struct store *st, char *to, uint32_t *seed)
{
	struct store_key key;

	do
		key = model_key(st, to, (*seed)++);
	while (key.hash & HASH_LINES(255));
	return key;
}

/* A chain that is as long as readers follow it takes no more: else what stands behind could not be found, and would be stored
 * a second time. */
static void
chains_end(void **state)
{
	static const struct store_head head = {.size = 4};
	struct store *st = make();
	char name[STORE_KEY_MAX];
	struct store_view view;
	uint32_t seed = 0;

	(void)state;
	for (unsigned n = 0; n < CHAIN_ITEMS + 20; n++) {
		struct store_key key = crowded_key(st, name, &seed);
		bool fits = n < CHAIN_ITEMS;

		assert_int_equal(
		    store_set(st, &key, &head, "1234"), fits ? STORE_OK : STORE_NO_MEMORY);
		assert_true(store_read_begin(st, &key, 0, &view) == fits);
		assert_true(!fits || store_read_end(st, &view));
	}
	store_check(st);
	store_free(&st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grows_and_empties),
	    cmocka_unit_test(long_chains),
	    cmocka_unit_test(chains_end),
	    cmocka_unit_test(walks_miss_nothing),
	    cmocka_unit_test(hints),
	    cmocka_unit_test(hints_of_all_lengths),
	    cmocka_unit_test(hints_of_recut_pages),
	    cmocka_unit_test(ghosts_grow),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
