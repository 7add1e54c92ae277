/* t/slab/test_versions.c: readers without a lock against versions of which each half tells the other: one that was put together of two
 * shows, as does one that was handed out with another one's value, or a value under another key. Chunks are multiples of 4
 * that are none of 8, so versions lie across the lines of the cache; keys of one length come and go in chunks of one size while
 * pages move, and readers wait between the preparation of keys and the look at them.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/number.h"
#include "slab/impl.h"
#include "t/slab/model.h"

#define WRITERS  2
#define READERS  2
#define BATCH    16
#define LOOKS    16 /* at each key, by what was prepared once */
#define KEYS     20000u
#define FEW      24u
#define KEY_SIZE 10u
#define SIZES    6u
#define MEMORY   (1u << 20)
#define MOVES    20u /* pages, at least */
#if defined(__SANITIZE_THREAD__)
#define OPS 3000u
#else
#define OPS 40000u
#endif

/* What a value begins with; VERSION is 0 where the store chose it. */
struct stamp {
	uint64_t version;
	uint32_t n;
};

struct trial {
	struct store *st;
	uint32_t ops;
	atomic_uint turn;
	atomic_uint writers;
};

struct actor {
	pthread_t thread;
	struct trial *trial;
	struct random_state chance;
	uint64_t hits;
	char names[BATCH][KEY_SIZE];
};

/* ---------------------------------------------------------------- what must be read */

/* The low half that belongs to the high half HIGH, but for its last bits: there the store counts. */
static uint32_t
low_half(uint32_t high)
{
	return (high * 0x9e3779b1u) & 0xffff0000u;
}

/* A version above all before it, of which both halves are new. */
static uint64_t
version_new(struct trial *t)
{
	uint32_t high = atomic_fetch_add(&t->turn, 1) + 1;

	return (uint64_t)high << 32 | low_half(high);
}

/* Chunks of 68, 80, ... bytes; with a version of our choice 12 more. */
static size_t
value_size(uint32_t n)
{
	return 68 - ITEM_HEADER - KEY_SIZE + n % SIZES * 12;
}

static struct store_key
key_of(const struct store *st, char *to, uint32_t n)
{
	memset(to, 'k', KEY_SIZE);
	memcpy(to, &n, sizeof(n));
	return store_key(st, to, KEY_SIZE);
}

static void
value_fill(char *value, size_t size, uint32_t n, uint64_t version)
{
	struct stamp stamp = {version, n};

	for (size_t i = 0; i < size; i++)
		value[i] = (char)(n + version + i);
	memcpy(value, &stamp.version, sizeof(stamp.version));
	memcpy(value + 8, &stamp.n, sizeof(stamp.n));
}

static void
check_view(const struct store_view *view, const char *value, uint32_t n)
{
	uint32_t high = (uint32_t)(view->version >> 32), low = (uint32_t)view->version, owner;
	uint64_t version;

	memcpy(&version, value, sizeof(version));
	memcpy(&owner, value + 8, sizeof(owner));
	if (owner != n)
		fail_msg("key %u: the value of key %u", n, owner);
	if (high != 0 && (low & 0xffff0000u) != low_half(high))
		fail_msg("key %u: version %#" PRIx64 " was never given", n, view->version);
	if (version != 0 && version != view->version)
		fail_msg("key %u: version %#" PRIx64 " with the value of %#" PRIx64, n,
		    view->version, version);
	for (size_t i = sizeof(version) + sizeof(owner); i < view->size; i++)
		if (value[i] != (char)(n + version + i))
			fail_msg("key %u: byte %zu", n, i);
}

/* ---------------------------------------------------------------- writers */

static void
put(struct actor *a, const struct store_key *key, uint32_t n, unsigned how)
{
	struct store *st = a->trial->st;
	uint64_t version = how == 0 ? 0 : version_new(a->trial);
	struct store_newer newer = {.order = version};
	struct store_head head = {.size = value_size(n), .versioned = how == 2};
	struct store_put wish = {.mode = STORE_SET,
	    .version = how == 2 ? version : 0,
	    .newer = how == 1 ? &newer : NULL};
	struct store_pending pending;
	char value[256];
	enum store_result result;

	value_fill(value, head.size, n, version);
	if (how == 0) {
		result = store_set(st, key, &head, value);
	} else {
		assert_int_equal(store_offer(st, &pending, key, &head, value), STORE_OK);
		result = store_put(st, key, &pending, &wish, &version);
	}
	assert_true(result == STORE_OK || result == STORE_EXISTS || result == STORE_NO_MEMORY);
}

/* In place, with a version of our choice where the item has room to remember its own. */
static void
overwrite(struct actor *a, const struct store_key *key, uint32_t n)
{
	uint64_t version = version_new(a->trial);
	struct store_entry entry;
	char value[256];

	value_fill(value, value_size(n), n, version);
	store_enter(a->trial->st, key, &entry);
	if (entry.found)
		(void)store_entry_overwrite(&entry, value, value_size(n), version);
	store_leave(&entry);
}

static bool
goes_on(const struct trial *t, uint32_t done)
{
	return done < t->ops || load_relaxed(&t->st->pages_moved) < MOVES;
}

static void *
write_all(void *arg)
{
	struct actor *a = arg;

	store_thread_join();
	for (uint32_t i = 0; goes_on(a->trial, i); i++) {
		uint32_t n =
		    (uint32_t)random_below(&a->chance, random_below(&a->chance, 2) ? FEW : KEYS);
		struct store_key key = key_of(a->trial->st, a->names[0], n);
		unsigned what = (unsigned)random_below(&a->chance, 8);

		if (random_below(&a->chance, 2))
			store_prepare_one(a->trial->st, &key);
		if (what < 5)
			put(a, &key, n, what % 3);
		else if (what == 5)
			overwrite(a, &key, n);
		else
			(void)store_delete(a->trial->st, &key);
		store_thread_quiescent();
	}
	atomic_fetch_sub(&a->trial->writers, 1);
	store_thread_leave();
	return NULL;
}

/* ---------------------------------------------------------------- readers */

/* The same as model_get_many where it comes out; else as everybody else reads. */
static bool
read_one(struct store *st, const struct store_key *key, struct store_view *view, char *value)
{
	bool found = false;

	if (model_get_many(st, key, view, value, &found))
		return found;
	do {
		if (!store_read_begin(st, key, STORE_READ_VALUE | STORE_READ_META, view))
			return false;
		store_copy(value, view->value, view->size);
	} while (!store_read_end(st, view));
	return true;
}

static void
read_batch(struct actor *a)
{
	struct store *st = a->trial->st;
	struct store_key keys[BATCH];
	uint32_t ns[BATCH];
	char value[PIN_MIN];

	for (unsigned i = 0; i < BATCH; i++) {
		ns[i] = (uint32_t)random_below(&a->chance, i % 2 ? FEW : KEYS);
		keys[i] = key_of(st, a->names[i], ns[i]);
	}
	store_prepare(st, keys, BATCH);
	for (unsigned look = 0; look < BATCH * LOOKS; look++) {
		struct store_view view;
		unsigned i = look % BATCH;

		if (read_one(st, &keys[i], &view, value)) {
			check_view(&view, value, ns[i]);
			a->hits++;
		}
		if (i == BATCH - 1)
			(void)sched_yield();
	}
}

static void *
read_all(void *arg)
{
	struct actor *a = arg;

	store_thread_join();
	while (atomic_load(&a->trial->writers) > 0) {
		read_batch(a);
		store_thread_quiescent();
	}
	store_thread_leave();
	return NULL;
}

/* ---------------------------------------------------------------- pages that move */

static void *
move_pages(void *arg)
{
	struct trial *t = arg;
	struct random_state chance = {1};
	uint32_t now = 1;

	store_thread_join();
	while (atomic_load(&t->writers) > 0) {
		uint32_t size = 68 + (uint32_t)random_below(&chance, SIZES + 1) * 12;

		(void)store_reassign(t->st, -1, (int)class_for(t->st, size));
		(void)store_maintain(t->st);
		if (random_below(&chance, 256) == 0)
			store_clock_set(t->st, ++now);
		if (random_below(&chance, 4096) == 0)
			store_flush(t->st, 0);
		store_thread_quiescent();
	}
	store_thread_leave();
	return NULL;
}

/* ---------------------------------------------------------------- */

static uint32_t
scaled(uint32_t ops)
{
	const char *text = getenv("SCALE");
	uint32_t scale = 1;

	if (text != NULL)
		(void)number_parse_u32(slice_of(text, strlen(text)), &scale);
	return ops * scale;
}

static void
run(enum store_eviction eviction)
{
	struct store_options o = {.memory_limit = MEMORY,
	    .by_page = MODEL_BY_PAGE,
	    .index_power = 4,
	    .threads = 1,
	    .eviction = eviction,
	    .growth_factor = 1.01};
	struct trial t = {.ops = scaled(OPS), .writers = WRITERS};
	struct actor actors[WRITERS + READERS] = {0};
	struct random_state chance;
	pthread_t mover;
	const char *error;
	uint64_t hits = 0;

	print_message("%s\n", store_eviction_name(eviction));
	random_init(&chance);
	assert_int_equal(store_new(&t.st, &o, &error), 0);
	assert_int_equal(pthread_create(&mover, NULL, move_pages, &t), 0);
	for (unsigned i = 0; i < WRITERS + READERS; i++) {
		actors[i].trial = &t;
		actors[i].chance.state = random_next(&chance);
		assert_int_equal(pthread_create(&actors[i].thread, NULL,
				     i < WRITERS ? write_all : read_all, &actors[i]),
		    0);
	}
	for (unsigned i = 0; i < WRITERS + READERS; i++) {
		(void)pthread_join(actors[i].thread, NULL);
		hits += actors[i].hits;
	}
	(void)pthread_join(mover, NULL);
	assert_true(hits > 0);
	print_message("%" PRIu64 " hits, %" PRIu64 " pages moved\n", hits, t.st->pages_moved);
	store_thread_join();
	store_check(t.st);
	store_thread_leave();
	store_free(&t.st);
}

static void
s3fifo(void **state)
{
	(void)state;
	run(STORE_EVICT_S3FIFO);
}

static void
sampled(void **state)
{
	(void)state;
	run(STORE_EVICT_LRU);
}

static void
nothing_may_go(void **state)
{
	(void)state;
	run(STORE_EVICT_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(s3fifo),
	    cmocka_unit_test(sampled),
	    cmocka_unit_test(nothing_may_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
