/* t/server/test_peer.c: a node whose peer knows the secret but talks nonsense: the link ends, or the client gets an error; the node
 * goes on. The test is the peer. */
#include "t/lib/unit.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "server/forward_impl.h"
#include "server/replicate.h"
#include "server/route.h"
#include "t/lib/nodes.h"

/* One link of the node, seen from the other end. */
struct stranger {
	struct conn *conn; /* NULL: the node has ended it */
	struct frame_lane to, from;
	struct answer bytes;
	size_t at;
};

struct scene {
	struct nodes ns;
	struct stranger asks; /* the node's link to us */
	struct stranger asked;
};

static void
stranger_init(struct stranger *p, struct nodes *ns, bool outgoing)
{
	uint64_t out = ++ns->keys, in = ++ns->keys;

	*p = (struct stranger){
	    .conn = adopt(ns, 0, 1, outgoing, out, in), .to.key = in, .from.key = out};
}

static struct scene *
scene_new(void)
{
	const struct topology_options options = {
	    .cluster = SLICE_LITERAL("test"), .epoch = 2, .replicas = 1};
	struct scene *s = calloc(1, sizeof(*s));
	struct topology *t;

	assert_non_null(s);
	s->ns = (struct nodes){.count = 1, .now = 1000};
	random_init(&s->ns.r);
	node_init(&s->ns, 0, "a=x:1,b=x:2");
	assert_int_equal(topology_parse(&t, &options, SLICE_LITERAL("a=x:1,b=x:2")), TOPOLOGY_OK);
	node_take(&s->ns, 0, t);
	stranger_init(&s->asks, &s->ns, true);
	stranger_init(&s->asked, &s->ns, false);
	return s;
}

static void
scene_free(struct scene *s)
{
	answer_free(&s->asks.bytes);
	answer_free(&s->asked.bytes);
	nodes_fini(&s->ns);
	free(s);
}

/* ROOM as in a frame. */
static void
tell_room(struct scene *s, struct stranger *p, enum frame_type type, uint8_t flags, uint64_t id,
    uint16_t room, struct slice body)
{
	const struct frame frame = {
	    .type = (uint8_t)type, .flags = flags, .id = id, .epoch = 2, .room = room};
	char *bytes = malloc(FRAME_HEAD + body.len);

	assert_non_null(bytes);
	memcpy(bytes + FRAME_HEAD, body.ptr, body.len);
	frame_seal(&p->to, bytes, &frame, body.len);
	conn_input(p->conn, bytes, FRAME_HEAD + body.len);
	free(bytes);
	if (conn_want(p->conn) == CONN_WANT_CLOSE)
		conn_free(&p->conn);
	node_turn(&s->ns, 0);
}

static void
tell(struct scene *s, struct stranger *p, enum frame_type type, uint8_t flags, uint64_t id,
    struct slice body)
{
	tell_room(s, p, type, flags, id, 0, body);
}

/* The next frame of TYPE that the node has sent. */
static struct frame
hear(struct scene *s, struct stranger *p, enum frame_type type)
{
	struct frame frame = {0};

	node_turn(&s->ns, 0);
	(void)machine_take(p->conn, &p->bytes, SIZE_MAX);
	do {
		size_t used;

		assert_int_equal(
		    frame_parse(&p->from, slice_of(p->bytes.bytes + p->at, p->bytes.len - p->at),
			&frame, &used),
		    FRAME_WHOLE);
		p->at += used;
	} while (frame.type != type);
	return frame;
}

/* A client asks, and is told. */
static void
client_asks(struct scene *s, struct conn *c, const char *text)
{
	conn_input(c, text, strlen(text));
	node_turn(&s->ns, 0);
}

static void
client_hears(struct scene *s, struct conn *c, const char *text)
{
	struct answer said = {0};

	for (unsigned i = 0; i < 3; i++)
		nodes_turn(&s->ns, 20);
	(void)machine_take(c, &said, SIZE_MAX);
	assert_int_equal(said.len, strlen(text));
	assert_memory_equal(said.bytes, text, said.len);
	answer_free(&said);
}

/* A key of the node's own, or of its peer. */
static void
key_of(struct scene *s, bool ours, char key[16])
{
	struct worker *w = node_worker(&s->ns, 0);

	for (unsigned i = 0;; i++) {
		struct store_key k;

		(void)snprintf(key, 16, "key%u", i);
		k = store_key(w->store, key, strlen(key));
		if (route_is_ours(w, &k) == ours)
			return;
	}
}

static void
test_bytes_behind_the_last_key(void **state)
{
	static const char answer[] = "\5\0\0\0END\r\nmore";
	struct scene *s = scene_new();
	struct conn *c = machine_conn(&s->ns.nodes[0].m);
	char key[16], line[32];

	(void)state;
	key_of(s, false, key);
	(void)snprintf(line, sizeof(line), "get %s\r\n", key);
	client_asks(s, c, line);
	tell(s, &s->asks, FRAME_REPLY, 0, hear(s, &s->asks, FRAME_KEYS).id,
	    slice_of(answer, sizeof(answer) - 1));
	client_hears(s, c, "END\r\n");
	conn_free(&s->asks.conn);
	client_hears(s, c, "");
	conn_free(&c);
	scene_free(s);
}

/* A client may wait for an answer before it goes on with a long value. */
static void
test_answers_before_half_a_value(void **state)
{
	struct scene *s = scene_new();
	struct conn *c = machine_conn(&s->ns.nodes[0].m);
	char ours[16], theirs[16], line[96];

	(void)state;
	key_of(s, true, ours);
	key_of(s, false, theirs);
	(void)snprintf(line, sizeof(line), "get %s\r\nset %s 0 0 900000\r\nxxx", ours, theirs);
	client_asks(s, c, line);
	(void)hear(s, &s->asks, FRAME_STREAM_BEGIN);
	assert_true(conn_want(c) & CONN_WANT_OUTPUT);
	client_hears(s, c, "END\r\n");
	conn_free(&c);
	scene_free(s);
}

static void
test_acknowledgement_of_half_an_entry(void **state)
{
	struct scene *s = scene_new();
	struct conn *c = machine_conn(&s->ns.nodes[0].m);
	char key[16], line[48];

	(void)state;
	key_of(s, true, key);
	(void)snprintf(line, sizeof(line), "set %s 0 0 1\r\n1\r\n", key);
	client_asks(s, c, line);
	client_hears(s, c, "STORED\r\n");
	tell(s, &s->asks, FRAME_ACK, 0, hear(s, &s->asks, FRAME_REPLICATE).id - 3,
	    SLICE_LITERAL("\0\0\0\0\0\0\0\0"));
	assert_null(s->asks.conn);
	client_asks(s, c, line);
	client_hears(s, c, "STORED\r\n");
	conn_free(&c);
	scene_free(s);
}

static void
test_commands_of_no_key(void **state)
{
	static const char *const lines[] = {"flush_all\r\n", "get key1 key2 key3 key4\r\n",
	    "stats cluster\r\n", "watch\r\n", "wait 1 10\r\n", "shutdown\r\n", "quit\r\n"};
	struct scene *s = scene_new();

	(void)state;
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		tell(s, &s->asked, FRAME_COMMAND, 0, i, slice_of(lines[i], strlen(lines[i])));
		assert_int_equal(
		    hear(s, &s->asked, FRAME_REPLY).flags, FRAME_LAST | FRAME_NOT_MINE);
	}
	scene_free(s);
}

static void
test_questions_on_a_link_for_answers(void **state)
{
	static const enum frame_type types[] = {FRAME_COMMAND, FRAME_KEYS, FRAME_STREAM_BEGIN,
	    FRAME_STREAM_DATA, FRAME_STREAM_END, FRAME_FLUSH, FRAME_STATS, FRAME_WAIT, FRAME_ROOM};

	(void)state;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct scene *s = scene_new();

		tell(s, &s->asks, types[i], 0, 1, SLICE_LITERAL("mn\r\n\0\0\0\0"));
		assert_null(s->asks.conn);
		scene_free(s);
	}
}

#define UNIT FRAME_ROOM_UNIT

/* The next frame must be a REPLY of N bytes, behind which LEFT units wait; nothing is behind it. */
static void
hear_part(struct scene *s, uint64_t id, size_t n, uint16_t left)
{
	struct stranger *p = &s->asked;
	struct frame frame = hear(s, p, FRAME_REPLY);

	assert_int_equal(frame.id, id);
	assert_int_equal(frame.body.len, n);
	assert_int_equal(frame.room, left);
	assert_int_equal(frame.flags, left > 0 ? FRAME_WAITS : FRAME_LAST);
	node_turn(&s->ns, 0);
	(void)machine_take(p->conn, &p->bytes, SIZE_MAX);
	assert_int_equal(p->bytes.len, p->at);
}

#define LINE_MAX_LONG 64

/* Stores SIZE bytes under a key of this node. LINE becomes the question for them. */
static void
store_long(struct scene *s, struct conn *c, int size, char line[LINE_MAX_LONG])
{
	static char value[20000];
	char key[16];

	assert_true((size_t)size < sizeof(value));
	key_of(s, true, key);
	memset(value, 'v', (size_t)size);
	value[size] = '\0';
	(void)snprintf(line, LINE_MAX_LONG, "set %s 0 0 %d\r\n", key, size);
	client_asks(s, c, line);
	client_asks(s, c, value);
	client_asks(s, c, "\r\n");
	client_hears(s, c, "STORED\r\n");
	(void)snprintf(line, LINE_MAX_LONG, "mg %s v\r\n", key);
}

/* More of an answer than the asker has room for is sent when there is some, or never. */
static void
test_answers_wait_for_room(void **state)
{
	enum { SIZE = 15000, ANSWER = SIZE + sizeof("VA 15000\r\n\r\n") - 1 };
	struct scene *s = scene_new();
	struct conn *c = machine_conn(&s->ns.nodes[0].m);
	size_t *waiting = &node_worker(&s->ns, 0)->cluster->forward->waiting;
	char line[LINE_MAX_LONG];

	(void)state;
	store_long(s, c, SIZE, line);
	for (uint64_t id = 1; id <= 3; id++) {
		tell_room(s, &s->asked, FRAME_COMMAND, 0, id, 2, slice_of(line, strlen(line)));
		hear_part(s, id, 2 * UNIT, (ANSWER - 2 * UNIT) / UNIT + 1);
	}
	assert_true(*waiting >= 3 * (ANSWER - 2 * UNIT));
	tell_room(s, &s->asked, FRAME_ROOM, 0, 1, 7, SLICE_LITERAL(""));
	hear_part(s, 1, 7 * UNIT, (ANSWER - 9 * UNIT) / UNIT + 1);
	tell_room(s, &s->asked, FRAME_ROOM, 0, 2, 1000, SLICE_LITERAL(""));
	hear_part(s, 2, ANSWER - 2 * UNIT, 0);
	for (uint64_t id = 1; id <= 4; id++)
		tell_room(s, &s->asked, FRAME_ROOM, 0, id, 0, SLICE_LITERAL(""));
	assert_int_equal(*waiting, 0);
	tell_room(s, &s->asked, FRAME_ROOM, 0, 1, 7, SLICE_LITERAL(""));
	tell_room(s, &s->asked, FRAME_COMMAND, 0, 9, 1000, slice_of(line, strlen(line)));
	hear_part(s, 9, ANSWER, 0);
	tell_room(s, &s->asked, FRAME_COMMAND, 0, 10, 1, slice_of(line, strlen(line)));
	tell_room(s, &s->asked, FRAME_ROOM, 0, 10, 1, SLICE_LITERAL("?"));
	assert_null(s->asked.conn);
	assert_int_equal(*waiting, 0);
	conn_free(&c);
	scene_free(s);
}

/* So much may wait; what is more is refused. */
static void
test_waiting_answers_are_bounded(void **state)
{
	enum { SIZE = 15000, MOST = 64 << 20 };
	struct scene *s = scene_new();
	struct conn *c = machine_conn(&s->ns.nodes[0].m);
	size_t *waiting = &node_worker(&s->ns, 0)->cluster->forward->waiting;
	unsigned refused = 0;
	char line[LINE_MAX_LONG];

	(void)state;
	store_long(s, c, SIZE, line);
	for (uint64_t id = 1; id <= 2 * MOST / SIZE; id++) {
		tell_room(s, &s->asked, FRAME_COMMAND, 0, id, 1, slice_of(line, strlen(line)));
		refused += hear(s, &s->asked, FRAME_REPLY).flags == (FRAME_LAST | FORWARD_REFUSES);
	}
	assert_true(*waiting > MOST / 2 && *waiting < MOST + (MOST >> 4));
	assert_true(refused > 0);
	conn_free(&c);
	conn_free(&s->asked.conn);
	assert_int_equal(*waiting, 0);
	scene_free(s);
}

/* The client goes on as it reads, and when it goes, the other side learns of it. */
static void
test_room_is_told(void **state)
{
	static char answer[UNIT];
	struct scene *s = scene_new();
	struct conn *c = machine_conn(&s->ns.nodes[0].m);
	struct frame asked;
	char key[16], line[64];
	uint64_t second;

	(void)state;
	key_of(s, false, key);
	(void)snprintf(line, sizeof(line), "mg %s v\r\nmg %s v\r\n", key, key);
	client_asks(s, c, line);
	asked = hear(s, &s->asks, FRAME_COMMAND);
	assert_true(asked.room > 0);
	second = hear(s, &s->asks, FRAME_COMMAND).id;
	tell_room(s, &s->asks, FRAME_REPLY, FRAME_WAITS, second, 3, slice_of(answer, UNIT));
	tell_room(s, &s->asks, FRAME_REPLY, FRAME_WAITS, asked.id, 2, slice_of(answer, UNIT));
	asked = hear(s, &s->asks, FRAME_ROOM);
	assert_true(asked.room == 2 && asked.id != second);
	conn_free(&c);
	asked = hear(s, &s->asks, FRAME_ROOM);
	assert_true(asked.room == 0 && asked.id == second);
	/* Nobody waits for this one. */
	tell_room(s, &s->asks, FRAME_REPLY, FRAME_WAITS, 77, 1, slice_of(answer, UNIT));
	asked = hear(s, &s->asks, FRAME_ROOM);
	assert_true(asked.room == 0 && asked.id == 77);
	scene_free(s);
}

/* What an answer that has no room cannot be. */
static void
test_room_that_makes_no_sense(void **state)
{
	static const struct {
		uint8_t flags;
		uint16_t room;
	} cases[] = {{FRAME_WAITS, 0}, {0, 1}, {FRAME_LAST, 1}, {FRAME_LAST | FRAME_WAITS, 1}};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene *s = scene_new();

		tell_room(
		    s, &s->asks, FRAME_REPLY, cases[i].flags, 1, cases[i].room, SLICE_LITERAL("x"));
		assert_null(s->asks.conn);
		scene_free(s);
	}
}

/* An answer that rests says nothing more before it is asked to, and a question without room has none that could. */
static void
test_who_rests_is_silent(void **state)
{
	struct scene *s = scene_new();
	struct conn *c = machine_conn(&s->ns.nodes[0].m);
	char key[16], line[300], many[120000] = "";
	struct frame asked;
	size_t n = 0;

	(void)state;
	key_of(s, false, key);
	for (unsigned i = 0; i < 3; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "mg %s v\r\n", key);
	client_asks(s, c, line);
	asked = hear(s, &s->asks, FRAME_COMMAND);
	asked = hear(s, &s->asks, FRAME_COMMAND);
	tell_room(s, &s->asks, FRAME_REPLY, FRAME_WAITS, asked.id, 100, slice_of(many, UNIT));
	assert_non_null(s->asks.conn);
	tell(s, &s->asks, FRAME_REPLY, 0, asked.id, slice_of(many, UNIT));
	assert_null(s->asks.conn);
	conn_free(&c);
	scene_free(s);
	s = scene_new();
	c = machine_conn(&s->ns.nodes[0].m);
	client_asks(s, c, "flush_all\r\n");
	tell_room(s, &s->asks, FRAME_REPLY, FRAME_WAITS, hear(s, &s->asks, FRAME_FLUSH).id, 1,
	    SLICE_LITERAL("x"));
	assert_null(s->asks.conn);
	conn_free(&c);
	scene_free(s);
}

/* So many wait for copies on one link; who is too much learns at once that nobody can say. */
static void
test_waiters_are_bounded(void **state)
{
	enum { MOST = 16384 };
	const uint32_t body[2] = {htole32(1), htole32(1000000)};
	struct slice wait = {(const char *)body, sizeof(body)};
	struct scene *s = scene_new();
	struct frame frame;
	char key[16], line[64];

	(void)state;
	replicate_worker_enter(node_worker(&s->ns, 0)->cluster->replicate);
	key_of(s, true, key);
	(void)snprintf(line, sizeof(line), "set %s 0 0 1\r\n1\r\n", key);
	tell(s, &s->asked, FRAME_COMMAND, 0, 1, slice_of(line, strlen(line)));
	assert_int_equal(hear(s, &s->asked, FRAME_REPLY).id, 1);
	for (uint64_t id = 2; id <= MOST + 2; id++)
		tell(s, &s->asked, FRAME_WAIT, 0, id, wait);
	frame = hear(s, &s->asked, FRAME_REPLY);
	assert_int_equal(frame.id, MOST + 2);
	assert_int_equal(frame.body.len, 4);
	assert_memory_equal(frame.body.ptr, "\0\0\0\0", 4);
	conn_free(&s->asked.conn);
	assert_true(LIST_EMPTY(&node_worker(&s->ns, 0)->cluster->waiters));
	scene_free(s);
}

/* Numbers go on behind the last one that a peer can name. */
static void
test_versions_at_the_end(void **state)
{
	enum { FLUSH_TELL = 2 }; /* of the flags of a FLUSH frame: it tells of a flush_all */
	/* What is flushed already, and a flush_all that is due: none. */
	const uint64_t last[3] = {htole64(STORE_ORDER_MAX)};
	struct scene *s = scene_new();
	struct worker *w = node_worker(&s->ns, 0);

	(void)state;
	tell(s, &s->asked, FRAME_FLUSH, FLUSH_TELL, 1, slice_of((const char *)last, sizeof(last)));
	assert_non_null(s->asked.conn);
	for (unsigned i = 0; i < 3; i++)
		store_version_raise(w->store, store_version_take(w->store));
	scene_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bytes_behind_the_last_key),
	    cmocka_unit_test(test_answers_before_half_a_value),
	    cmocka_unit_test(test_acknowledgement_of_half_an_entry),
	    cmocka_unit_test(test_commands_of_no_key),
	    cmocka_unit_test(test_questions_on_a_link_for_answers),
	    cmocka_unit_test(test_answers_wait_for_room),
	    cmocka_unit_test(test_waiting_answers_are_bounded),
	    cmocka_unit_test(test_room_is_told),
	    cmocka_unit_test(test_room_that_makes_no_sense),
	    cmocka_unit_test(test_who_rests_is_silent),
	    cmocka_unit_test(test_waiters_are_bounded),
	    cmocka_unit_test(test_versions_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
