/* t/slab/test_store.c: random operations on a store and on a plain model beside it. What the store has must be what the
 * model has; it may lack what the policy allows it to evict. The walker runs between.
 */
#include "t/slab/model.h"

#define KEYS      1500u
#define OPS       60000u
#define VALUE_TOP (2u << 20)

struct model_item {
	bool there, given; /* GIVEN: it once had a version of the caller's choice */
	uint32_t flags, exptime;
	uint64_t version;
	size_t size;
	char *bytes;
};

struct world {
	struct random_state chance;
	struct store *st;
	struct model_item model[KEYS];
	uint32_t now;
	bool may_evict, may_refuse;
	uint64_t events[STORE_EVENT_EXPIRE + 1];
	char *buffer;
};

static void
count_event(void *context, const struct store_mutation *m)
{
	struct world *w = context;

	assert_true(m->version != 0 && m->key->len > 0 && m->slab_class > 0);
	w->events[m->event]++;
}

static void
world_init(struct world *w, const struct store_options *options)
{
	struct store_options o = *options;
	const char *error;

	random_init(&w->chance);
	o.hash_seed = random_next(&w->chance);
	assert_int_equal(store_new(&w->st, &o, &error), 0);
	store_observe(w->st, count_event, w);
	w->now = 1;
	w->may_evict = o.eviction != STORE_EVICT_NONE;
	w->may_refuse = o.eviction >= STORE_EVICT_VOLATILE_LRU;
	w->buffer = test_malloc(VALUE_TOP);
}

static void
world_fini(struct world *w)
{
	struct store_stats s;

	store_check(w->st);
	store_stats(w->st, &s);
	assert_int_equal(s.evictions, w->events[STORE_EVENT_EVICT]);
	for (uint32_t n = 0; n < KEYS; n++)
		free(w->model[n].bytes);
	test_free(w->buffer);
	store_free(&w->st);
	assert_null(w->st);
}

static bool
model_live(const struct world *w, const struct model_item *m)
{
	return m->there && (m->exptime == 0 || m->exptime > w->now);
}

static void
model_set(struct model_item *m, const char *bytes, size_t size)
{
	char *copy = malloc(size + 1);

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	free(m->bytes);
	m->bytes = copy;
	m->size = size;
	m->there = true;
}

/* Sizes at all scales, most of them small. */
static size_t
some_size(struct world *w)
{
	uint64_t kind = random_below(&w->chance, 100);

	if (kind < 60)
		return random_below(&w->chance, 400);
	if (kind < 85)
		return random_below(&w->chance, 9000);
	if (kind < 97)
		return random_below(&w->chance, 70000);
	return random_below(&w->chance, 900000);
}

static uint32_t
some_exptime(struct world *w)
{
	return random_below(&w->chance, 3) == 0 ? w->now + (uint32_t)random_below(&w->chance, 50)
						: 0;
}

/* What the store says of key N agrees with the model. */
static void
verify(struct world *w, uint32_t n)
{
	struct model_item *m = &w->model[n];
	struct store_view view;

	if (!model_get(w->st, n, &view, w->buffer)) {
		if (model_live(w, m))
			assert_true(w->may_evict);
		m->there = false;
		return;
	}
	assert_true(model_live(w, m));
	assert_int_equal(view.size, m->size);
	assert_memory_equal(w->buffer, m->bytes, m->size);
	assert_int_equal(view.flags, m->flags);
	assert_int_equal(view.exptime, m->exptime);
	assert_int_equal(view.version, m->version);
}

/* A put that was refused was refused for a reason; making room may have evicted the very item. */
static void
refused(
    struct world *w, struct model_item *m, const struct store_put *put, enum store_result result)
{
	bool live = model_live(w, m);

	switch (result) {
	case STORE_NO_MEMORY:
		assert_true(w->may_refuse);
		break;
	case STORE_NOT_FOUND:
		assert_true(put->compare && (!live || w->may_evict));
		m->there = false;
		break;
	case STORE_EXISTS:
		assert_true(put->compare && live && put->compare_to != m->version);
		break;
	default:
		assert_int_equal(result, STORE_NOT_STORED);
		assert_true(put->mode == STORE_ADD ? live : !live || w->may_evict);
	}
}

static void
do_put(struct world *w, uint32_t n)
{
	static const enum store_mode modes[] = {
	    STORE_SET, STORE_SET, STORE_SET, STORE_ADD, STORE_REPLACE};
	struct model_item *m = &w->model[n];
	struct store_head head = {.flags = (uint32_t)random_below(&w->chance, 3),
	    .exptime = some_exptime(w),
	    .size = some_size(w)};
	struct store_put put = {.mode = modes[random_below(&w->chance, 5)]};
	uint64_t seed = random_next(&w->chance), version = 0;
	enum store_result result;

	verify(w, n);
	if (random_below(&w->chance, 8) == 0) {
		put.mode = STORE_SET;
		put.compare = true;
		put.compare_to = random_below(&w->chance, 2) ? m->version : 1;
	}
	if (random_below(&w->chance, 20) == 0) {
		head.versioned = true;
		put.version = 1 + random_below(&w->chance, 1000);
	}
	result = model_put(w->st, n, &head, seed, &put, &version);
	if (result != STORE_OK) {
		refused(w, m, &put, result);
		return;
	}
	if (put.version != 0)
		assert_int_equal(version, put.version);
	else
		assert_true(version > m->version || (m->given && !m->there));
	m->given |= put.version != 0;
	model_fill(w->buffer, head.size, seed);
	model_set(m, w->buffer, head.size);
	m->flags = head.flags;
	m->exptime = head.exptime;
	m->version = version;
}

static void
do_concat(struct world *w, uint32_t n)
{
	struct model_item *m = &w->model[n];
	size_t size = random_below(&w->chance, 10) == 0 ? 50000 : random_below(&w->chance, 50);
	struct store_head head = {.size = size};
	struct store_put put = {.mode = random_below(&w->chance, 2) ? STORE_APPEND : STORE_PREPEND};
	uint64_t seed = random_next(&w->chance), version;
	enum store_result result;
	char *joined;

	verify(w, n);
	if (m->size + head.size > 1000000)
		return;
	result = model_put(w->st, n, &head, seed, &put, &version);
	if (result != STORE_OK) {
		refused(w, m, &put, result);
		return;
	}
	assert_true(model_live(w, m));
	joined = malloc(m->size + head.size + 1);
	assert_non_null(joined);
	memcpy(joined + (put.mode == STORE_APPEND ? 0 : head.size), m->bytes, m->size);
	model_fill(joined + (put.mode == STORE_APPEND ? m->size : 0), head.size, seed);
	free(m->bytes);
	m->bytes = joined;
	m->size += head.size;
	assert_true(version > m->version);
	m->version = version;
}

/* What is done under the lock: touch, overwrite, mark, delete. */
static void
change_entry(struct world *w, struct model_item *m, struct store_entry *e)
{
	switch (random_below(&w->chance, 4)) {
	case 0:
		m->exptime = some_exptime(w);
		store_entry_touch(e, m->exptime);
		break;
	case 1:
		model_fill(w->buffer, m->size, 7);
		if (store_entry_overwrite(e, w->buffer, m->size, 0)) {
			model_set(m, w->buffer, m->size);
			assert_true(e->view.version > m->version);
			m->version = e->view.version;
		}
		break;
	case 2:
		store_entry_mark(e, STORE_STALE, STORE_WON, 0);
		assert_int_equal(e->view.marks, STORE_STALE);
		break;
	default:
		store_entry_delete(e);
		m->there = false;
	}
}

static void
do_entry(struct world *w, uint32_t n)
{
	struct model_item *m = &w->model[n];
	char name[STORE_KEY_MAX];
	struct store_key key = model_key(w->st, name, n);
	struct store_entry e;

	verify(w, n);
	store_enter(w->st, &key, &e);
	assert_int_equal(e.found, model_live(w, m));
	if (e.found)
		change_entry(w, m, &e);
	store_leave(&e);
	verify(w, n);
}

static void
do_flush(struct world *w)
{
	store_flush(w->st, 0);
	for (uint32_t n = 0; n < KEYS; n++)
		w->model[n].there = false;
}

static void
step(struct world *w)
{
	uint32_t n = (uint32_t)random_below(&w->chance, random_below(&w->chance, 2) ? KEYS : 50);
	uint64_t what = random_below(&w->chance, 1000);

	if (what < 450)
		do_put(w, n);
	else if (what < 750)
		verify(w, n);
	else if (what < 830)
		do_concat(w, n);
	else if (what < 950)
		do_entry(w, n);
	else if (what < 980)
		(void)store_maintain(w->st);
	else if (what < 999)
		store_clock_set(w->st, ++w->now);
	else if (random_below(&w->chance, 10) == 0)
		do_flush(w);
}

static void
run(const struct store_options *options, uint32_t ops)
{
	struct world *w = test_calloc(1, sizeof(*w));

	world_init(w, options);
	for (uint32_t i = 0; i < ops; i++) {
		step(w);
		if (i % 500 == 0)
			store_check(w->st);
	}
	for (uint32_t n = 0; n < KEYS; n++)
		verify(w, n);
	world_fini(w);
	test_free(w);
}

static void
everything_fits(void **state)
{
	(void)state;
	run(&(struct store_options){.memory_limit = 1u << 30,
		.index_power = 4,
		.threads = 1,
		.by_page = MODEL_BY_PAGE,
		.eviction = STORE_EVICT_NONE},
	    OPS);
}

static void
each_policy_in_little_memory(void **state)
{
	(void)state;
	for (int e = STORE_EVICT_S3FIFO; e <= STORE_EVICT_NONE; e++) {
		struct store_options o = {.memory_limit = 8u << 20,
		    .index_power = 4,
		    .threads = 1,
		    .by_page = MODEL_BY_PAGE,
		    .eviction = (enum store_eviction)e};

		print_message("eviction %s\n", store_eviction_name(o.eviction));
		run(&o, OPS / 6);
	}
}

static void
a_middling_memory(void **state)
{
	(void)state;
	run(&(struct store_options){.memory_limit = 64u << 20,
		.index_power = 4,
		.threads = 1,
		.by_page = MODEL_BY_PAGE},
	    OPS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything_fits),
	    cmocka_unit_test(a_middling_memory),
	    cmocka_unit_test(each_policy_in_little_memory),
	};

	return cmocka_run_group_tests(tests, model_join, model_leave);
}
