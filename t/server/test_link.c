/* t/server/test_link.c: links between nodes in memory: tickets, what has left when a link breaks, time-outs, limits, bytes that are
 * changed, nodes that move, leave and start anew. */
#include "t/lib/unit.h"

#include <stdlib.h>
#include <string.h>

#include "server/link_impl.h"
#include "t/lib/nodes.h"

#define TICKETS 200u

/* A question, and what became of it. */
struct asked {
	struct ticket ticket;
	unsigned replies, failures;
	bool last;
	enum link_failure why;
};

static void
on_reply(struct ticket *t, uint8_t flags, struct slice body, bool last)
{
	struct asked *a = (struct asked *)t;

	(void)flags;
	(void)body;
	assert_false(a->last);
	a->replies++;
	a->last = last;
	assert_true(!last || t->link == NULL);
}

static void
on_fail(struct ticket *t, enum link_failure why)
{
	struct asked *a = (struct asked *)t;

	assert_null(t->link);
	a->failures++;
	a->why = why;
}

static const struct ticket_kind kind = {.reply = on_reply, .fail = on_fail};

static void
pass(struct nodes *ns, unsigned milliseconds)
{
	for (unsigned i = 0; i < milliseconds; i += 20)
		nodes_turn(ns, 20);
}

static struct nodes *
nodes_make(unsigned count)
{
	struct nodes *ns = calloc(1, sizeof(*ns));
	struct random_state r;

	assert_non_null(ns);
	random_init(&r);
	nodes_init(ns, count, r);
	pass(ns, 100);
	return ns;
}

static void
nodes_drop(struct nodes *ns)
{
	nodes_fini(ns);
	free(ns);
}

/* Asks with BODY bytes of a PONG, which nobody answers. */
static bool
ask(struct link *l, struct asked *a, size_t body)
{
	uint64_t id;
	char *p;

	*a = (struct asked){.ticket.kind = &kind, .ticket.deadline = a->ticket.deadline};
	if ((id = link_expect(l, &a->ticket)) == 0)
		return false;
	assert_non_null(p = link_frame(l, body));
	memset(p, 'x', body);
	link_frame_end(l, FRAME_PING, 0, id, p + body);
	return true;
}

/* As if the answer had come. */
static void
answer(struct link *l, uint64_t id, uint8_t flags)
{
	const struct frame frame = {.id = id,
	    .epoch = 1,
	    .type = FRAME_REPLY,
	    .flags = flags,
	    .body = SLICE_LITERAL("answer")};

	assert_true(link_frame_take(l, &frame));
}

static void
break_now(struct nodes *ns, struct link *l)
{
	link_break(l, "the test wants it");
	links_flush(l->worker);
	wires_look(ns);
	assert_false(link_up(l));
}

/* ---------------------------------------------------------------- tickets */

static void
test_answers_find_their_tickets(void **state)
{
	struct nodes *ns = nodes_make(2);
	struct link *l = link_to(node_worker(ns, 0), 1);
	static struct asked asked[TICKETS];

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		unsigned order[TICKETS];

		for (unsigned i = 0; i < TICKETS; i++) {
			asked[i].ticket.deadline = i % 3 == 0 ? ns->now + 100000 : 0;
			assert_true(ask(l, &asked[i], 0));
			order[i] = i;
		}
		for (unsigned i = TICKETS - 1; i > 0; i--) {
			unsigned j = (unsigned)random_below(&ns->r, i + 1), k = order[i];

			order[i] = order[j];
			order[j] = k;
		}
		for (unsigned i = 0; i < TICKETS; i++) {
			struct asked *a = &asked[order[i]];
			uint64_t id = a->ticket.id;

			if (order[i] % 7 == 0)
				link_forget(&a->ticket);
			else
				answer(l, id, 0);
			answer(l, id, FRAME_LAST);
			answer(l, id, FRAME_LAST);
			assert_int_equal(a->replies, order[i] % 7 == 0 ? 0 : 2);
			assert_int_equal(a->failures, 0);
		}
		assert_int_equal(l->count, 0);
		nodes_turn(ns, 0);
	}
	nodes_drop(ns);
}

static void
test_tickets_have_a_limit(void **state)
{
	struct nodes *ns = nodes_make(2);
	struct link *l = link_to(node_worker(ns, 0), 1);
	struct asked *many = calloc(LINK_TICKETS_MAX, sizeof(*many)), one = {0};
	size_t unsent;

	(void)state;
	assert_non_null(many);
	for (unsigned i = 0; i < LINK_TICKETS_MAX; i++) {
		many[i].ticket.kind = &kind;
		assert_true(link_expect(l, &many[i].ticket) > 0);
	}
	unsent = link_unsent(l);
	assert_false(ask(l, &one, 0));
	assert_null(one.ticket.link);
	assert_int_equal(link_unsent(l), unsent);
	link_forget(&many[0].ticket);
	for (unsigned i = 0; i < LINK_TICKETS_MAX; i++)
		link_forget(&many[i].ticket);
	assert_true(ask(l, &one, 0));
	link_forget(&one.ticket);
	free(many);
	nodes_drop(ns);
}

static void
test_output_has_a_limit(void **state)
{
	struct nodes *ns = nodes_make(2);
	struct link *l = link_to(node_worker(ns, 0), 1);
	unsigned frames = 0;
	char *p;

	(void)state;
	while ((p = link_frame(l, FRAME_BODY_MAX)) != NULL) {
		memset(p, 'x', FRAME_BODY_MAX);
		link_frame_end(l, FRAME_PING, 0, 0, p + FRAME_BODY_MAX);
		frames++;
	}
	assert_true(link_up(l));
	assert_in_range(frames, 254, 257);
	assert_in_range(link_unsent(l), LINK_UNSENT_MAX - FRAME_MAX, LINK_UNSENT_MAX + FRAME_MAX);
	for (unsigned i = 0; i < 3000 && link_unsent(l) > 0; i++)
		nodes_turn(ns, 1);
	assert_true(link_up(l));
	assert_int_equal(link_unsent(l), 0);
	assert_non_null(link_frame(l, FRAME_BODY_MAX));
	nodes_drop(ns);
}

/* A question of which not a byte has left may be asked elsewhere; of any other nobody knows. */
static void
test_what_has_not_left_is_known(void **state)
{
	(void)state;
	for (size_t taken = 0; taken <= 300; taken++) {
		struct nodes *ns = nodes_make(2);
		struct link *l = link_to(node_worker(ns, 0), 1);
		struct asked asked[3] = {0};
		struct answer gone = {0};

		for (unsigned i = 0; i < 3; i++)
			assert_true(ask(l, &asked[i], 100 - FRAME_HEAD));
		if (taken > 0)
			assert_int_equal(machine_take(l->conn, &gone, taken), taken);
		break_now(ns, l);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(asked[i].failures, 1);
			assert_int_equal(asked[i].why, taken > 100 * i ? LINK_LOST : LINK_UNSENT);
		}
		answer_free(&gone);
		nodes_drop(ns);
	}
}

static bool
always_sending(const struct conn *c)
{
	(void)c;
	return true;
}

static void
test_what_the_system_is_sending_may_have_left(void **state)
{
	static const struct io_driver sending = {.name = "sending",
	    .attach = memory_attach,
	    .serve = memory_serve,
	    .sending = always_sending,
	    .drop = memory_drop};
	struct nodes *ns = nodes_make(2);
	struct link *l = link_to(node_worker(ns, 0), 1);
	struct asked one = {0};

	(void)state;
	assert_true(ask(l, &one, 10));
	node_worker(ns, 0)->driver = &sending;
	break_now(ns, l);
	assert_int_equal(one.failures, 1);
	assert_int_equal(one.why, LINK_LOST);
	assert_false(ask(l, &one, 10));
	assert_null(link_frame(l, 10));
	nodes_drop(ns);
}

/* ---------------------------------------------------------------- time */

static void
test_tickets_expire_one_by_one(void **state)
{
	struct nodes *ns = nodes_make(2);
	struct link *l = link_to(node_worker(ns, 0), 1);
	struct asked first = {0}, long_one = {0}, renewed = {0};

	(void)state;
	long_one.ticket.deadline = ns->now + 3000;
	assert_true(ask(l, &first, 0));
	assert_true(ask(l, &long_one, 0));
	assert_true(ask(l, &renewed, 0));
	pass(ns, 900);
	answer(l, renewed.ticket.id, 0);
	pass(ns, 200);
	assert_int_equal(first.failures, 1);
	assert_int_equal(first.why, LINK_TIMEOUT);
	assert_int_equal(renewed.failures, 0);
	pass(ns, 1000);
	assert_int_equal(renewed.failures, 1);
	assert_int_equal(long_one.failures, 0);
	pass(ns, 1000);
	assert_int_equal(long_one.failures, 1);
	assert_true(link_up(l));
	nodes_drop(ns);
}

static void
test_a_silent_node_loses_its_links(void **state)
{
	struct nodes *ns = nodes_make(3);
	struct worker *w = node_worker(ns, 0);
	struct link *l = link_to(w, 1);

	(void)state;
	pass(ns, 5000);
	assert_true(link_up(l));
	ns->nodes[1].stands = true;
	for (unsigned i = 0; i < ns->wire_count; i++)
		if (ns->wires[i].to == l->conn)
			ns->wires[i].from = ns->wires[i].to = NULL;
	pass(ns, 900);
	assert_true(link_up(l));
	pass(ns, 700);
	assert_false(link_up(l));
	assert_true(link_up(link_to(w, 2)));
	nodes_drop(ns);
}

/* What was not heard because nobody listened is heard before anybody is blamed. */
static void
test_who_was_away_accuses_nobody(void **state)
{
	struct nodes *ns = nodes_make(2);
	struct worker *w = node_worker(ns, 0);
	struct link *l = link_to(w, 1);
	struct asked one = {0};

	(void)state;
	nodes_turn(ns, 20);
	assert_true(ask(l, &one, 0));
	ns->now += 5000;
	w->cluster->now = link_time(w, ns->now);
	links_tick(w);
	links_flush(w);
	assert_true(link_up(l));
	assert_int_equal(one.failures, 0);
	answer(l, one.ticket.id, FRAME_LAST);
	pass(ns, 2000);
	assert_true(link_up(l));
	assert_true(one.last);
	nodes_drop(ns);
}

/* A question is asked at the end of a turn that was interrupted for nearly as long as an answer may take. */
static void
test_an_interrupted_turn_takes_no_time_from_the_answer(void **state)
{
	struct nodes *ns = nodes_make(2);
	struct worker *w = node_worker(ns, 0);
	struct link *l = link_to(w, 1);
	struct asked one = {0}, other = {0};

	(void)state;
	nodes_turn(ns, 20);
	assert_true(ask(l, &one, 0));
	ns->now += 980;
	ns->nodes[1].stands = true;
	pass(ns, 500);
	assert_int_equal(one.failures, 0);
	answer(l, one.ticket.id, FRAME_LAST);
	assert_true(one.last);
	assert_true(ask(l, &other, 0));
	pass(ns, 1100);
	assert_int_equal(other.failures, 1);
	nodes_drop(ns);
}

/* ---------------------------------------------------------------- bytes that are changed */

static void
test_a_changed_byte_ends_that_link_alone(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 2 * FRAME_HEAD + 5; at++) {
		struct nodes *ns = nodes_make(3);
		struct worker *w = node_worker(ns, 0);
		struct link *l = link_to(w, 1);
		struct answer bytes = {0};
		struct conn *to = NULL;

		link_tell(l, FRAME_PING, 7, SLICE_LITERAL("hello"));
		link_tell(l, FRAME_PING, 8, SLICE_LITERAL(""));
		(void)machine_take(l->conn, &bytes, SIZE_MAX);
		assert_int_equal(bytes.len, 2 * FRAME_HEAD + 5);
		bytes.bytes[at] ^= (char)(1 << random_below(&ns->r, 8));
		for (unsigned i = 0; i < ns->wire_count; i++)
			if (ns->wires[i].from == l->conn)
				to = ns->wires[i].to;
		(void)machine_receive(to, bytes.bytes, bytes.len);
		memory_serve(to);
		/* A length that has grown waits for the rest of its frame. */
		for (unsigned i = 0; i < 200 && any_has(ns, to); i++)
			if (conn_want(to) & CONN_WANT_INPUT) {
				(void)machine_receive(to, (char[1024]){0}, 1024);
				memory_serve(to);
			}
		wires_look(ns);
		assert_false(any_has(ns, to));
		assert_false(link_up(l));
		assert_true(link_up(link_to(w, 2)) && link_up(link_to(node_worker(ns, 1), 0)));
		answer_free(&bytes);
		nodes_drop(ns);
	}
}

/* ---------------------------------------------------------------- nodes that come and go */

/* Node 0 takes a topology of LIST. */
static void
take(struct nodes *ns, const char *list, uint64_t epoch)
{
	const struct topology_options options = {.cluster = SLICE_LITERAL("test"), .epoch = epoch};
	struct worker *w = node_worker(ns, 0);
	struct topology *t, *old = (struct topology *)(uintptr_t)w->cluster->topology;

	assert_int_equal(topology_parse(&t, &options, slice_of(list, strlen(list))), TOPOLOGY_OK);
	ns->nodes[0].cluster.topology = w->cluster->topology = t;
	assert_true(topology_find_id(t, w->cluster->cluster->node_id, &w->cluster->self));
	assert_true(links_update(w));
	forward_turn_begin(w);
	topology_free(&old);
}

static void
test_links_follow_the_topology(void **state)
{
	struct nodes *ns = nodes_make(3);
	struct worker *w = node_worker(ns, 0);
	struct link *b = link_to(w, 1), *c = link_to(w, 2);
	struct asked one = {0}, two = {0};

	(void)state;
	assert_true(ask(b, &one, 0) && ask(c, &two, 0));
	take(ns, "c=x:3,a=x:1,b=x:2", 2);
	assert_ptr_equal(link_to(w, 2), b);
	assert_ptr_equal(link_to(w, 0), c);
	assert_true(link_up(b) && link_up(c));
	take(ns, "c=x:3,a=x:1,b=y:2", 3);
	assert_ptr_equal(link_to(w, 2), b);
	links_flush(w);
	wires_look(ns);
	assert_false(link_up(b));
	assert_int_equal(one.failures, 1);
	assert_true(link_up(c));
	take(ns, "a=x:1,b=y:2,d=x:4", 4);
	assert_null(link_to(w, 0));
	assert_ptr_equal(link_to(w, 1), b);
	assert_non_null(link_to(w, 2));
	assert_false(link_up(link_to(w, 2)));
	wires_look(ns);
	/* What was asked is waited for. */
	pass(ns, 100);
	assert_int_equal(two.failures, 0);
	assert_true(link_up(c));
	answer(c, two.ticket.id, FRAME_LAST);
	assert_true(two.last);
	pass(ns, 20);
	LIST_FOREACH(c, &w->cluster->links->outgoing, entry)
		assert_true(c == b || c == link_to(w, 2));
	nodes_drop(ns);
}

static void
test_a_node_leaves_that_is_asked(void **state)
{
	struct nodes *ns = nodes_make(3);
	struct worker *w = node_worker(ns, 0);
	struct link *c = link_to(w, 2);
	struct asked one = {0}, two = {0};

	(void)state;
	ns->nodes[2].stands = true;
	assert_true(ask(c, &one, 0));
	take(ns, "a=x:1,b=x:2", 2);
	pass(ns, 500);
	assert_int_equal(one.failures, 0);
	/* It comes back meanwhile: the same link goes on. */
	take(ns, "a=x:1,b=x:2,c=x:3", 3);
	assert_ptr_equal(link_to(w, 2), c);
	assert_true(ask(c, &two, 0));
	take(ns, "a=x:1,b=x:2", 4);
	pass(ns, 2000);
	assert_int_equal(one.failures, 1);
	assert_int_equal(two.failures, 1);
	LIST_FOREACH(c, &w->cluster->links->outgoing, entry)
		assert_ptr_equal(c, link_to(w, 1));
	nodes_drop(ns);
}

/* A new link of a node that has started anew ends those that its predecessor had. */
static void
test_a_new_incarnation_ends_older_links(void **state)
{
	struct nodes *ns = nodes_make(2);
	struct worker *w = node_worker(ns, 0);
	struct link_start *start = malloc(sizeof(*start));
	struct link *out = link_to(w, 1), *in = LIST_FIRST(&w->cluster->links->incoming);

	(void)state;
	assert_true(link_up(in) && !link_outgoing(in));
	*start = (struct link_start){
	    .fd = -1, .node_id = link_node_id(out), .incarnation = 77, .key_in = 1, .key_out = 2};
	link_adopt(w, start);
	links_flush(w);
	wires_look(ns);
	assert_false(link_up(out));
	in = LIST_FIRST(&w->cluster->links->incoming);
	assert_true(link_up(in));
	assert_int_equal(link_incarnation(in), 77);
	assert_null(LIST_NEXT(in, entry));
	nodes_drop(ns);
}

/* A link of WORKER of the node that IN is of. */
static void
adopt_of_worker(struct worker *w, const struct link *in, uint16_t worker)
{
	struct link_start *start = malloc(sizeof(*start));

	*start = (struct link_start){.fd = -1,
	    .node_id = link_node_id(in),
	    .incarnation = link_incarnation(in),
	    .worker = worker,
	    .key_in = 1,
	    .key_out = 2};
	link_adopt(w, start);
}

/* What waits on the old link of another node's worker must not come after what that worker asks on the new one. */
static void
test_a_new_link_takes_the_place_of_the_old_one(void **state)
{
	struct nodes *ns = nodes_make(2);
	struct worker *w = node_worker(ns, 0);
	struct link *in = LIST_FIRST(&w->cluster->links->incoming);
	struct slice late = SLICE_LITERAL("anything");

	(void)state;
	adopt_of_worker(w, in, 1);
	assert_true(link_up(in));
	adopt_of_worker(w, in, 0);
	assert_false(link_up(in));
	/* In the same turn, too. */
	assert_true(step_link(in->conn, &late));
	links_flush(w);
	wires_look(ns);
	in = LIST_FIRST(&w->cluster->links->incoming);
	assert_true(link_up(in));
	in = LIST_NEXT(in, entry);
	assert_true(link_up(in) && in->their_worker == 1);
	assert_null(LIST_NEXT(in, entry));
	nodes_drop(ns);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers_find_their_tickets),
	    cmocka_unit_test(test_tickets_have_a_limit),
	    cmocka_unit_test(test_output_has_a_limit),
	    cmocka_unit_test(test_what_has_not_left_is_known),
	    cmocka_unit_test(test_what_the_system_is_sending_may_have_left),
	    cmocka_unit_test(test_tickets_expire_one_by_one),
	    cmocka_unit_test(test_a_silent_node_loses_its_links),
	    cmocka_unit_test(test_who_was_away_accuses_nobody),
	    cmocka_unit_test(test_an_interrupted_turn_takes_no_time_from_the_answer),
	    cmocka_unit_test(test_a_changed_byte_ends_that_link_alone),
	    cmocka_unit_test(test_links_follow_the_topology),
	    cmocka_unit_test(test_a_node_leaves_that_is_asked),
	    cmocka_unit_test(test_a_new_incarnation_ends_older_links),
	    cmocka_unit_test(test_a_new_link_takes_the_place_of_the_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
