/* t/server/test_outq.c: the output queue against a model: bytes, pinned values and holes in any order, holes filled in any
 * order and piece by piece, a sender that takes what it likes. */
#include "t/lib/unit.h"

#include <string.h>

#include "t/lib/machine.h"
#include "t/lib/random.h"

#define MEMORY    ((size_t)64 << 20)
#define PARTS     64u
#define PART_MAX  ((size_t)40 << 10)
#define VALUE     ((size_t)100 << 10)
#define MANY      1000000u
#define HOLE_SIZE 256u

struct fixture {
	struct machine m;
	struct outq q;
	struct outq_source *src;
};

static void
fixture_init(struct fixture *f)
{
	machine_init(&f->m, MEMORY);
	f->src = &f->m.worker->source;
	outq_init(&f->q);
}

static void
fixture_fini(struct fixture *f)
{
	assert_false(f->q.broken);
	outq_clear(&f->q, f->src);
	assert_int_equal(f->m.worker->pool.count_out, 0);
	machine_fini(&f->m);
}

/* Sends up to MOST bytes of what can be sent; returns them in A. */
static void
take(struct fixture *f, struct answer *a, size_t most)
{
	struct iovec iov[8];
	unsigned n = outq_gather(&f->q, f->src, iov, 8);
	size_t taken = 0;

	for (unsigned i = 0; i < n && taken < most; i++) {
		size_t part = iov[i].iov_len < most - taken ? iov[i].iov_len : most - taken;

		answer_add(a, iov[i].iov_base, part);
		taken += part;
	}
	outq_sent(&f->q, f->src, taken);
}

static void
take_all(struct fixture *f, struct answer *a)
{
	while (outq_sendable(&f->q))
		take(f, a, SIZE_MAX);
}

static void
expect(struct answer *a, const char *text)
{
	assert_int_equal(a->len, strlen(text));
	assert_memory_equal(a->bytes, text, a->len);
	answer_free(a);
}

static void
put(struct fixture *f, const char *text)
{
	outq_append(&f->q, f->src, text, strlen(text));
}

static void
fill(struct fixture *f, struct segment *hole, const char *text)
{
	assert_true(outq_fill(&f->q, f->src, hole, text, strlen(text)));
}

static void
test_the_sender_stops_at_a_hole(void **state)
{
	struct answer a = {0};
	struct segment *hole;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	put(&f, "one ");
	hole = outq_hole(&f.q, f.src, HOLE_SIZE);
	put(&f, "three");
	assert_int_equal(outq_bytes(&f.q), 4 + HOLE_SIZE + 5);
	assert_false(outq_sendable(&f.q));
	outq_hole_hurry(hole);
	take_all(&f, &a);
	expect(&a, "one ");
	assert_false(outq_sendable(&f.q));
	fill(&f, hole, "t");
	fill(&f, hole, "wo ");
	assert_int_equal(outq_hole_held(hole), 4);
	assert_false(outq_sendable(&f.q));
	outq_hole_close(&f.q, f.src, hole);
	assert_int_equal(outq_bytes(&f.q), 9);
	take_all(&f, &a);
	expect(&a, "two three");
	assert_int_equal(outq_bytes(&f.q), 0);
	fixture_fini(&f);
}

/* Who reads what stands behind a gap takes it for what is missing. */
static void
test_nothing_leaves_a_broken_queue(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	put(&f, "one");
	assert_true(outq_sendable(&f.q));
	f.q.broken = true;
	assert_false(outq_sendable(&f.q));
	(void)outq_hole(&f.q, f.src, HOLE_SIZE);
	put(&f, "two");
	assert_false(outq_sendable(&f.q));
	outq_clear(&f.q, f.src);
	f.q.broken = false;
	fixture_fini(&f);
}

/* What is worth a call of its own does not wait for a hole. */
static void
test_much_does_not_wait(void **state)
{
	char bytes[OUTQ_WORTH] = {0};
	struct answer a = {0};
	struct fixture f;

	(void)state;
	fixture_init(&f);
	outq_append(&f.q, f.src, bytes, sizeof(bytes) - 1);
	(void)outq_hole(&f.q, f.src, HOLE_SIZE);
	assert_false(outq_sendable(&f.q));
	outq_clear(&f.q, f.src);
	outq_append(&f.q, f.src, bytes, sizeof(bytes));
	(void)outq_hole(&f.q, f.src, HOLE_SIZE);
	take_all(&f, &a);
	assert_int_equal(a.len, sizeof(bytes));
	answer_free(&a);
	fixture_fini(&f);
}

static void
test_an_empty_hole_leaves_nothing(void **state)
{
	struct segment *first, *second;
	struct answer a = {0};
	struct fixture f;

	(void)state;
	fixture_init(&f);
	first = outq_hole(&f.q, f.src, HOLE_SIZE);
	second = outq_hole(&f.q, f.src, HOLE_SIZE);
	outq_hole_close(&f.q, f.src, second);
	assert_int_equal(outq_bytes(&f.q), HOLE_SIZE);
	outq_hole_close(&f.q, f.src, first);
	assert_int_equal(outq_bytes(&f.q), 0);
	assert_true(outq_is_plain(&f.q));
	put(&f, "x");
	take_all(&f, &a);
	expect(&a, "x");
	fixture_fini(&f);
}

static void
test_a_hole_is_emptied_and_weighed(void **state)
{
	struct answer a = {0};
	struct segment *hole;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	hole = outq_hole(&f.q, f.src, HOLE_SIZE);
	fill(&f, hole, "half of a va");
	outq_hole_weigh(&f.q, hole, MANY);
	assert_int_equal(outq_bytes(&f.q), MANY);
	outq_hole_empty(f.src, hole);
	fill(&f, hole, "error");
	outq_hole_close(&f.q, f.src, hole);
	take_all(&f, &a);
	expect(&a, "error");
	fixture_fini(&f);
}

static void
test_what_is_released_goes_first(void **state)
{
	struct answer a = {0};
	struct segment *hole;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	hole = outq_hole(&f.q, f.src, HOLE_SIZE);
	put(&f, "end");
	fill(&f, hole, "first ");
	hole = outq_hole_release(&f.q, f.src, hole);
	assert_non_null(hole);
	assert_int_equal(outq_bytes(&f.q), 6 + HOLE_SIZE + 3);
	take_all(&f, &a);
	expect(&a, "first ");
	fill(&f, hole, "second ");
	outq_hole_close(&f.q, f.src, hole);
	take_all(&f, &a);
	expect(&a, "second end");
	fixture_fini(&f);
}

static void
test_a_starved_hole_is_seen_when_it_comes_first(void **state)
{
	struct segment *first, *second;
	struct answer a = {0};
	struct fixture f;

	(void)state;
	fixture_init(&f);
	put(&f, "some");
	first = outq_hole(&f.q, f.src, HOLE_SIZE);
	second = outq_hole(&f.q, f.src, HOLE_SIZE);
	outq_hole_starve(&f.q, second, true);
	assert_int_equal(f.q.starved, 1);
	assert_null(outq_hole_first_starved(&f.q, 100));
	outq_hole_starve(&f.q, first, true);
	assert_null(outq_hole_first_starved(&f.q, 3));
	assert_ptr_equal(outq_hole_first_starved(&f.q, 4), first);
	fill(&f, first, "more");
	first = outq_hole_release(&f.q, f.src, first);
	assert_int_equal(f.q.starved, 1);
	outq_hole_close(&f.q, f.src, first);
	assert_null(outq_hole_first_starved(&f.q, 7));
	assert_ptr_equal(outq_hole_first_starved(&f.q, 8), second);
	outq_hole_hurry(second);
	take_all(&f, &a);
	expect(&a, "somemore");
	assert_int_equal(f.src->filled, 0);
	assert_ptr_equal(outq_hole_first_starved(&f.q, 0), second);
	outq_hole_close(&f.q, f.src, second);
	assert_int_equal(f.q.starved, 0);
	fixture_fini(&f);
}

static void
test_a_group_is_cut_behind_its_error(void **state)
{
	struct segment *bad, *other;
	struct answer a = {0};
	struct fixture f;

	(void)state;
	fixture_init(&f);
	put(&f, "VALUE a ");
	bad = outq_hole(&f.q, f.src, HOLE_SIZE);
	put(&f, "VALUE c ");
	other = outq_hole(&f.q, f.src, HOLE_SIZE);
	fill(&f, other, "VALUE d ");
	assert_false(outq_cut_group(&f.q, f.src, bad));
	put(&f, "END ");
	assert_true(outq_end_group(&f.q, f.src));
	put(&f, "next");
	assert_true(outq_cut_group(&f.q, f.src, bad));
	fill(&f, other, "VALUE d again ");
	fill(&f, bad, "ERROR ");
	outq_hole_close(&f.q, f.src, bad);
	outq_hole_hurry(other);
	take_all(&f, &a);
	expect(&a, "VALUE a ERROR ");
	outq_hole_close(&f.q, f.src, other);
	take_all(&f, &a);
	expect(&a, "next");
	fixture_fini(&f);
}

/* ---------------------------------------------------------------- chance */

struct part {
	struct segment *hole; /* NULL: it is all there */
	char *bytes;
	size_t len, filled;
};

struct model {
	struct fixture f;
	struct random_state r;
	struct part parts[PARTS];
	unsigned count;
	struct answer wanted, got;
};

static void
part_bytes(struct model *m, struct part *part, size_t len)
{
	part->len = len;
	part->filled = 0;
	part->bytes = malloc(len + 1);
	assert_non_null(part->bytes);
	for (size_t i = 0; i < len; i++)
		part->bytes[i] = (char)random_next(&m->r);
	answer_add(&m->wanted, part->bytes, len);
}

static size_t
some(struct model *m)
{
	return random_below(&m->r, 4) == 0 ? random_below(&m->r, PART_MAX)
					   : random_below(&m->r, 80);
}

static void
add_bytes(struct model *m)
{
	struct part part;

	part_bytes(m, &part, some(m));
	outq_append(&m->f.q, m->f.src, part.bytes, part.len);
	free(part.bytes);
}

static void
add_pin(struct model *m)
{
	struct store *st = m->f.m.server.store;
	struct store_key key = store_key(st, "large", 5);
	struct store_view view;

	if (!store_read_begin(st, &key, STORE_READ_VALUE, &view) || view.pin == NULL)
		fail();
	assert_true(store_read_end(st, &view));
	outq_pin(&m->f.q, m->f.src, view.pin, view.size);
	for (size_t i = 0; i < VALUE; i++)
		answer_add(&m->wanted, "v", 1);
}

static void
add_hole(struct model *m)
{
	struct part *part = &m->parts[m->count];

	if (m->count == PARTS)
		return;
	part_bytes(m, part, some(m));
	part->hole = outq_hole(&m->f.q, m->f.src, random_below(&m->r, 1000));
	assert_non_null(part->hole);
	m->count++;
}

/* Something of a hole arrives, or all that is left of it. */
static void
fill_some(struct model *m, bool all)
{
	struct part *part;
	size_t n;

	if (m->count == 0)
		return;
	part = &m->parts[random_below(&m->r, m->count)];
	n = all ? part->len - part->filled : random_below(&m->r, part->len - part->filled + 1);
	assert_true(outq_fill(&m->f.q, m->f.src, part->hole, part->bytes + part->filled, n));
	part->filled += n;
	if (random_below(&m->r, 3) == 0)
		part->hole = outq_hole_release(&m->f.q, m->f.src, part->hole);
	assert_non_null(part->hole);
	if (part->filled < part->len)
		return;
	outq_hole_close(&m->f.q, m->f.src, part->hole);
	free(part->bytes);
	*part = m->parts[--m->count];
}

static void
step(struct model *m)
{
	switch (random_below(&m->r, 10)) {
	case 0:
	case 1:
		add_bytes(m);
		break;
	case 2:
		add_pin(m);
		break;
	case 3:
	case 4:
		add_hole(m);
		break;
	case 5:
		fill_some(m, false);
		break;
	case 6:
	case 7:
		fill_some(m, true);
		break;
	default:
		take(&m->f, &m->got, some(m));
		break;
	}
}

static void
store_large(struct model *m)
{
	struct store *st = m->f.m.server.store;
	struct store_key key = store_key(st, "large", 5);
	struct store_head head = {.size = VALUE};
	struct store_put how = {.mode = STORE_SET};
	struct store_pending pending;
	char *value = malloc(VALUE);
	uint64_t version;

	assert_non_null(value);
	memset(value, 'v', VALUE);
	assert_int_equal(store_alloc(st, &pending, &key, &head), STORE_OK);
	assert_int_equal(store_pending_write(st, &pending, value, VALUE), STORE_OK);
	assert_int_equal(store_put(st, &key, &pending, &how, &version), STORE_OK);
	free(value);
}

static void
test_any_order_comes_out_in_order(void **state)
{
	struct random_state seeds;

	(void)state;
	random_init(&seeds);
	for (unsigned round = 0; round < 40; round++) {
		struct model m = {.r = {random_next(&seeds)}};

		fixture_init(&m.f);
		store_large(&m);
		for (unsigned i = 0; i < 400; i++)
			step(&m);
		while (m.count > 0)
			fill_some(&m, true);
		take_all(&m.f, &m.got);
		assert_int_equal(outq_bytes(&m.f.q), 0);
		assert_int_equal(m.got.len, m.wanted.len);
		assert_memory_equal(m.got.bytes, m.wanted.bytes, m.got.len);
		answer_free(&m.got);
		answer_free(&m.wanted);
		fixture_fini(&m.f);
	}
}

static void
test_a_queue_with_open_holes_is_thrown_away(void **state)
{
	struct segment *hole;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	put(&f, "bytes");
	hole = outq_hole(&f.q, f.src, HOLE_SIZE);
	for (unsigned i = 0; i < 1000; i++)
		fill(&f, hole, "more than one block holds");
	(void)outq_hole(&f.q, f.src, HOLE_SIZE);
	fixture_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_sender_stops_at_a_hole),
	    cmocka_unit_test(test_nothing_leaves_a_broken_queue),
	    cmocka_unit_test(test_much_does_not_wait),
	    cmocka_unit_test(test_an_empty_hole_leaves_nothing),
	    cmocka_unit_test(test_a_hole_is_emptied_and_weighed),
	    cmocka_unit_test(test_what_is_released_goes_first),
	    cmocka_unit_test(test_a_starved_hole_is_seen_when_it_comes_first),
	    cmocka_unit_test(test_a_group_is_cut_behind_its_error),
	    cmocka_unit_test(test_any_order_comes_out_in_order),
	    cmocka_unit_test(test_a_queue_with_open_holes_is_thrown_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
