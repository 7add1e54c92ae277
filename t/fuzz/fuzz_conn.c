/* t/fuzz/fuzz_conn.c: a whole connection on a small store: parsers, the machine, executors.
 *
 * The first byte chooses the settings, the second how the stream is cut, the rest is what the client sends. It is
 * sent twice, to two fresh servers: at once, and cut. What must hold: no buffer is left over when the connection is
 * gone, the store is sound, output stays bounded, and the answers do not depend on the cuts.
 */
#include "config.h"

#include "t/lib/machine.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY ((size_t)2 << 20)

static void
begin(struct machine *m, uint8_t choice)
{
	machine_init(m, MEMORY);
	if (choice & 1)
		m->server.limits.inline_value_max = 4;
	if (choice & 2)
		m->server.limits.item_size_max = 300;
	if (choice & 4)
		m->settings.reqs_per_event = 1;
	m->settings.track_sizes = choice & 8;
	m->settings.detail_enabled = choice & 16;
}

static void
end(struct machine *m, struct conn **c)
{
	conn_free(c);
	ASSERT(m->worker->pool.count_out == 0);
	store_check(m->server.store);
	machine_fini(m);
}

/* Sends the stream in pieces of up to PIECE bytes; CUT chooses their lengths. */
static void
talk(struct machine *m, struct conn *c, const char *bytes, size_t n, size_t piece, uint8_t cut,
    struct answer *a)
{
	uint32_t chance = cut;

	while (n > 0 && (conn_want(c) & CONN_WANT_INPUT)) {
		size_t part;
		char *own;

		chance = chance * 1664525u + 1013904223u;
		part = piece == 0 ? n : 1 + (chance >> 16) % piece;
		if (part > n)
			part = n;
		own = malloc(part);
		ASSERT(own != NULL);
		memcpy(own, bytes, part);
		if (chance & (1u << 31))
			conn_input(c, own, part);
		else
			ASSERT(machine_receive(c, own, part) || conn_want(c) & CONN_WANT_CLOSE ||
			    !(conn_want(c) & CONN_WANT_INPUT));
		free(own);
		ASSERT(outq_bytes(&c->out) <= SERVER_OUTPUT_LIMIT + (2 << 20));
		machine_settle(c, a, piece == 0 ? SIZE_MAX : 1 + chance % 100);
		bytes += part;
		n -= part;
	}
	ASSERT(m->worker->pool.bytes_out <= 4 * n + (1 << 20));
}

/* Whether the answers to BYTES are the same each time: not those that tell of the machine or the time. */
static bool
repeatable(const char *bytes, size_t n)
{
	return memmem(bytes, n, "stats", 5) == NULL &&
	    memmem(bytes, n, "lru_crawler", 11) == NULL && memmem(bytes, n, "watch", 5) == NULL &&
	    memchr(bytes, 0x10, n) == NULL && n <= PROTO_LINE_MAX;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct answer whole = {0}, cut = {0};
	struct machine m;
	struct conn *c;
	const char *bytes = (const char *)data + 2;

	if (size < 3)
		return 0;
	begin(&m, data[0]);
	c = machine_conn(&m);
	talk(&m, c, bytes, size - 2, 0, 0, &whole);
	end(&m, &c);
	begin(&m, data[0]);
	c = machine_conn(&m);
	talk(&m, c, bytes, size - 2, 1u + data[1] % 64u, data[1], &cut);
	end(&m, &c);
	if (repeatable(bytes, size - 2)) {
		ASSERT(whole.len == cut.len);
		ASSERT(whole.len == 0 || memcmp(whole.bytes, cut.bytes, cut.len) == 0);
	}
	answer_free(&whole);
	answer_free(&cut);
	return 0;
}
