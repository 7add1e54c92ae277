/* t/slab/test_restart.c: a store taken up from its memory file has the same items; a damaged one is refused, or the damage
 * was where nothing lies; never a wrong value.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "t/slab/model.h"

#define ITEMS 3000u
#define FLIPS 400

static char file[64], meta[80];
static struct random_state chance;

static struct store *
start(size_t limit, bool *restarted, const char **why)
{
	struct store_options o = {.memory_limit = limit,
	    .by_page = MODEL_BY_PAGE,
	    .threads = 1,
	    .index_power = 6,
	    .hash_seed = random_next(&chance),
	    .memory_file = file,
	    .wall = 2000};
	const char *error;
	struct store *st;

	assert_int_equal(store_new(&st, &o, &error), 0);
	*restarted = store_restarted(st, why);
	return st;
}

static struct store_head
head_of(uint32_t n)
{
	size_t size = n % 100 == 0 ? 150000 : n % 20 == 0 ? 20000 : n % 700;

	return (struct store_head){.flags = n % 3,
	    .exptime = n % 5 == 0 ? 500 + n : 0,
	    .size = size,
	    .versioned = n % 11 == 0};
}

static void
fill(struct store *st)
{
	for (uint32_t n = 0; n < ITEMS; n++) {
		struct store_head head = head_of(n);
		struct store_put put = {
		    .mode = STORE_SET, .version = head.versioned ? 1000 + n : 0};
		uint64_t version;

		assert_int_equal(model_put(st, n, &head, n, &put, &version), STORE_OK);
	}
}

/* Each item that should live at the store's time lives and is right, and no other is there. */
static void
verify(struct store *st)
{
	static char got[1 << 20], expected[1 << 20];
	uint32_t now = store_clock(st);

	for (uint32_t n = 0; n < ITEMS; n++) {
		struct store_head head = head_of(n);
		struct store_view view;
		bool lives = head.exptime == 0 || head.exptime > now;

		assert_int_equal(model_get(st, n, &view, got), lives);
		if (!lives)
			continue;
		model_fill(expected, head.size, n);
		assert_int_equal(view.size, head.size);
		assert_int_equal(view.flags, head.flags);
		assert_int_equal(view.exptime, head.exptime);
		if (head.versioned)
			assert_int_equal(view.version, 1000 + n);
		assert_memory_equal(got, expected, head.size);
	}
}

/* A saved store of ITEMS items. */
static void
save_filled(void)
{
	const char *why;
	bool restarted;
	struct store *st = start(32u << 20, &restarted, &why);

	store_clock_set(st, 10);
	fill(st);
	assert_int_equal(store_save(st, 1000), 0);
	store_free(&st);
}

static void
the_items_are_there_again(void **state)
{
	const char *why;
	bool restarted;
	struct store *st;
	struct store_head head = {.size = 100};
	struct store_put put = {.mode = STORE_SET};
	struct store_view view;
	uint64_t version = 0, before;
	char value[100];

	(void)state;
	save_filled();
	st = start(32u << 20, &restarted, &why);
	assert_true(restarted);
	assert_int_equal(store_clock(st), 1010);
	store_check(st);
	verify(st);
	/* It goes on: versions above all that were given, memory in use again. */
	assert_true(model_get(st, 1, &view, value));
	before = view.version;
	assert_int_equal(model_put(st, 1, &head, 7, &put, &version), STORE_OK);
	assert_true(version > before && version > ITEMS);
	for (uint32_t n = 0; n < 20000; n++)
		assert_int_equal(model_put(st, ITEMS + n, &head, n, &put, &version), STORE_OK);
	store_check(st);
	store_free(&st);
}

static void
a_start_without_saving_is_cold(void **state)
{
	const char *why;
	bool restarted;
	struct store *st;

	(void)state;
	save_filled();
	st = start(32u << 20, &restarted, &why);
	assert_true(restarted);
	store_free(&st);
	st = start(32u << 20, &restarted, &why);
	assert_false(restarted);
	assert_non_null(strstr(why, "did not save"));
	store_free(&st);
}

static void
another_size_is_refused(void **state)
{
	const char *why;
	bool restarted;
	struct store *st;

	(void)state;
	save_filled();
	st = start(64u << 20, &restarted, &why);
	assert_false(restarted);
	assert_non_null(strstr(why, "another memory limit"));
	store_check(st);
	store_free(&st);
}

/* Flips one bit of PATH at OFFSET. */
static void
flip(const char *path, off_t offset, unsigned bit)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, offset), 1);
	c = (char)(c ^ (1 << bit));
	assert_int_equal(pwrite(fd, &c, 1, offset), 1);
	(void)close(fd);
}

static off_t
size_of(const char *path)
{
	struct stat info;

	assert_int_equal(stat(path, &info), 0);
	return info.st_size;
}

/* Saves, damages by DAMAGE, and starts: refused or right. Returns whether it was taken up. */
static bool
damaged_start(void (*damage)(void))
{
	const char *why;
	bool restarted;
	struct store *st;

	save_filled();
	damage();
	st = start(32u << 20, &restarted, &why);
	store_check(st);
	if (restarted)
		verify(st);
	else
		assert_non_null(why);
	store_free(&st);
	return restarted;
}

static void
damage_data(void)
{
	flip(file, (off_t)random_below(&chance, 20u << 20), (unsigned)random_below(&chance, 8));
}

static void
damage_meta(void)
{
	flip(meta, (off_t)random_below(&chance, (uint64_t)size_of(meta)),
	    (unsigned)random_below(&chance, 8));
}

static void
cut_meta(void)
{
	assert_int_equal(truncate(meta, (off_t)random_below(&chance, (uint64_t)size_of(meta))), 0);
}

static void
a_flipped_bit_of_the_data_gives_no_wrong_value(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (int i = 0; i < FLIPS / 8; i++)
		refused += !damaged_start(damage_data);
	assert_true(refused > 0);
}

static void
a_damaged_meta_file_is_refused(void **state)
{
	(void)state;
	for (int i = 0; i < FLIPS / 8; i++) {
		assert_false(damaged_start(damage_meta));
		assert_false(damaged_start(cut_meta));
	}
}

static int
set_up(void **state)
{
	(void)state;
	store_thread_join();
	random_init(&chance);
	(void)snprintf(file, sizeof(file), "./test_restart.%ld.mem", (long)getpid());
	(void)snprintf(meta, sizeof(meta), "%s.meta", file);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink(file);
	(void)unlink(meta);
	store_thread_leave();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_items_are_there_again),
	    cmocka_unit_test(a_start_without_saving_is_cold),
	    cmocka_unit_test(another_size_is_refused),
	    cmocka_unit_test(a_flipped_bit_of_the_data_gives_no_wrong_value),
	    cmocka_unit_test(a_damaged_meta_file_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
