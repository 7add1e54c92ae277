/* t/cluster/test_handshake.c: both ends of a handshake in memory, with everything between them that can be. */
#include <stdint.h>
#include <string.h>

#include "cluster/handshake.h"
#include "t/lib/random.h"
#include "t/lib/unit.h"

#define SECRET SLICE_LITERAL("sixteen bytes and more")

struct pair {
	struct handshake a, b; /* asks, answers */
	enum refusal a_judges, b_judges;
	size_t flip;    /* which byte of all that is said is changed; SIZE_MAX = none */
	size_t said;    /* bytes so far */
	size_t by_b;    /* bytes that the answerer has said */
	unsigned asked; /* how often a judge was asked */
};

static enum refusal
judge_a(void *context, const struct hello *theirs)
{
	struct pair *p = context;

	assert_true(theirs->node_id == 2);
	p->asked++;
	return p->a_judges;
}

static enum refusal
judge_b(void *context, const struct hello *theirs)
{
	struct pair *p = context;

	assert_true(theirs->node_id == 1);
	p->asked++;
	return p->b_judges;
}

static void
begin(struct pair *p, struct slice secret_a, struct slice secret_b)
{
	unsigned char nonce[HANDSHAKE_NONCE] = {1};

	memset(p, 0, sizeof(*p));
	p->flip = SIZE_MAX;
	p->a = (struct handshake){.secret = secret_a,
	    .mine =
		{.cluster = "cluster", .node_id = 1, .incarnation = 11, .epoch = 3, .version = 77},
	    .judge = judge_a,
	    .context = p,
	    .asks = true};
	p->b = (struct handshake){.secret = secret_b,
	    .mine = {.cluster = "cluster", .node_id = 2, .incarnation = 22, .flushed = 66},
	    .judge = judge_b,
	    .context = p};
	handshake_begin(&p->a, nonce);
	nonce[0] = 2;
	handshake_begin(&p->b, nonce);
}

/* Moves what FROM has to say to TO. False where nothing moved. */
static bool
move(struct pair *p, struct handshake *from, struct handshake *to)
{
	struct slice out = handshake_output(from);
	unsigned char bytes[1024];
	size_t at = 0;

	assert_true(out.len <= sizeof(bytes));
	if (out.len == 0)
		return false;
	memcpy(bytes, out.ptr, out.len);
	if (from == &p->b)
		p->by_b += out.len;
	if (p->flip >= p->said && p->flip < p->said + out.len)
		bytes[p->flip - p->said] ^= 4;
	p->said += out.len;
	while (handshake_wants(to) > 0 && out.len - at >= handshake_wants(to)) {
		size_t n = handshake_wants(to);

		handshake_take(to, bytes + at);
		at += n;
	}
	return true;
}

static void
talk(struct pair *p)
{
	while (move(p, &p->a, &p->b) | move(p, &p->b, &p->a))
		;
	if (p->a.state != HANDSHAKE_GOING)
		handshake_closed(&p->b);
	if (p->b.state != HANDSHAKE_GOING)
		handshake_closed(&p->a);
}

static void
friends_meet(void **state)
{
	struct pair p;

	(void)state;
	begin(&p, SECRET, SECRET);
	talk(&p);
	assert_int_equal(p.a.state, HANDSHAKE_DONE);
	assert_int_equal(p.b.state, HANDSHAKE_DONE);
	assert_true(p.a.key_out == p.b.key_in && p.a.key_in == p.b.key_out);
	assert_true(p.a.key_out != p.a.key_in);
	assert_true(p.a.theirs.incarnation == 22 && p.a.theirs.flushed == 66);
	assert_true(
	    p.b.theirs.incarnation == 11 && p.b.theirs.version == 77 && p.b.theirs.epoch == 3);
}

/* The answerer says nothing behind its greeting, and no judge is asked. */
static void
strangers_learn_nothing(void **state)
{
	struct pair p;

	(void)state;
	begin(&p, SLICE_LITERAL("another secret, longer"), SECRET);
	talk(&p);
	assert_int_equal(p.b.state, HANDSHAKE_FAILED);
	assert_int_equal(p.b.refusal, REFUSAL_SECRET);
	assert_int_equal(p.a.state, HANDSHAKE_FAILED);
	assert_int_equal(p.a.refusal, REFUSAL_SECRET);
	assert_true(p.a.by_them && !p.b.by_them);
	assert_int_equal(p.by_b, HANDSHAKE_GREET);
	assert_int_equal(p.asked, 0);
}

static void
garbage_is_met_with_silence(void **state)
{
	unsigned char bytes[HANDSHAKE_GREET] = "GET / HTTP/1.1\r\n";
	struct pair p;

	(void)state;
	begin(&p, SECRET, SECRET);
	handshake_take(&p.b, bytes);
	assert_int_equal(p.b.state, HANDSHAKE_FAILED);
	assert_int_equal(p.b.refusal, REFUSAL_STRANGER);
	assert_int_equal(handshake_output(&p.b).len, 0);
}

static void
refusals_are_told(void **state)
{
	struct pair p;

	(void)state;
	for (unsigned why = REFUSAL_CLUSTER; why < REFUSALS; why++) {
		begin(&p, SECRET, SECRET);
		p.b_judges = (enum refusal)why;
		talk(&p);
		assert_true(p.a.state == HANDSHAKE_FAILED && p.a.by_them);
		assert_true(p.b.state == HANDSHAKE_FAILED && !p.b.by_them);
		assert_int_equal(p.a.refusal, why);
		assert_int_equal(p.b.refusal, why);

		begin(&p, SECRET, SECRET);
		p.a_judges = (enum refusal)why;
		talk(&p);
		assert_true(p.a.state == HANDSHAKE_FAILED && !p.a.by_them);
		assert_true(p.b.state == HANDSHAKE_FAILED && p.b.by_them);
		assert_int_equal(p.b.refusal, why);
	}
	begin(&p, SECRET, SECRET);
	p.a.mine.cluster[0] ^= 1;
	talk(&p);
	assert_int_equal(p.a.refusal, REFUSAL_CLUSTER);
	assert_int_equal(p.b.refusal, REFUSAL_CLUSTER);
	assert_int_equal(p.asked, 0);
}

static void
versions_are_compared(void **state)
{
	struct pair p;

	(void)state;
	begin(&p, SECRET, SECRET);
	p.flip = 8; /* the version in the asker's greeting */
	talk(&p);
	assert_int_equal(p.b.state, HANDSHAKE_FAILED);
	assert_int_equal(p.b.refusal, REFUSAL_PROTOCOL);
}

/* With any byte changed on the way the two never both believe that they are linked with the same keys. */
static void
every_changed_byte_is_seen(void **state)
{
	struct pair p;
	size_t all;

	(void)state;
	begin(&p, SECRET, SECRET);
	talk(&p);
	all = p.said;
	for (size_t i = 0; i < all; i++) {
		begin(&p, SECRET, SECRET);
		p.flip = i;
		talk(&p);
		if (p.a.state == HANDSHAKE_DONE && p.b.state == HANDSHAKE_DONE)
			fail_msg("byte %zu may be anything", i);
	}
}

/* What one handshake said proves nothing in the next. */
static void
proofs_are_not_repeated(void **state)
{
	unsigned char nonce[HANDSHAKE_NONCE] = {9};
	unsigned char first[HANDSHAKE_GREET], second[HANDSHAKE_PROVE];
	struct pair p;
	struct slice out;

	(void)state;
	begin(&p, SECRET, SECRET);
	out = handshake_output(&p.a);
	memcpy(first, out.ptr, sizeof(first));
	handshake_take(&p.b, first);
	out = handshake_output(&p.b);
	handshake_take(&p.a, (const unsigned char *)out.ptr);
	out = handshake_output(&p.a);
	memcpy(second, out.ptr, sizeof(second));

	handshake_begin(&p.b, nonce);
	handshake_take(&p.b, first);
	(void)handshake_output(&p.b);
	handshake_take(&p.b, second);
	assert_int_equal(p.b.state, HANDSHAKE_FAILED);
	assert_int_equal(p.b.refusal, REFUSAL_SECRET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(friends_meet),
	    cmocka_unit_test(strangers_learn_nothing),
	    cmocka_unit_test(garbage_is_met_with_silence),
	    cmocka_unit_test(refusals_are_told),
	    cmocka_unit_test(versions_are_compared),
	    cmocka_unit_test(every_changed_byte_is_seen),
	    cmocka_unit_test(proofs_are_not_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
