/* t/server/test_peer.c: a node whose peer knows the secret but talks nonsense: the link ends, or the client gets an error; the node
 * goes on. The test is the peer. */
#include "t/lib/unit.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

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

static void
tell(struct scene *s, struct stranger *p, enum frame_type type, uint8_t flags, uint64_t id,
    struct slice body)
{
	const struct frame frame = {.type = (uint8_t)type, .flags = flags, .id = id, .epoch = 2};
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
	    FRAME_STREAM_DATA, FRAME_STREAM_END, FRAME_FLUSH, FRAME_STATS, FRAME_WAIT};

	(void)state;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct scene *s = scene_new();

		tell(s, &s->asks, types[i], 0, 1, SLICE_LITERAL("mn\r\n\0\0\0\0"));
		assert_null(s->asks.conn);
		scene_free(s);
	}
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
	    cmocka_unit_test(test_versions_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
