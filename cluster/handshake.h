/* cluster/handshake.h: how two nodes prove to each other that they know the cluster's secret, before anything else is said.
 *
 *	asker (connects)                          answerer (accepts)
 *
 *	GREET  magic, version, nonce A    ->
 *	                                  <-      GREET  magic, version, nonce B
 *	PROVE  HELLO, HMAC                ->
 *	                                  <-      PROVE  HELLO, HMAC        or PROVE with a refusal
 *	CLOSE  refusal or none, HMAC      ->
 *
 * The answerer tells nothing but a random number before the asker has proved that it knows the secret: a wrong proof, or anything
 * else, is met with silence and the end of the connection. Whose proof is right but who does not fit (another version, cluster,
 * ring) is told why, by either side. A HELLO says who is speaking, for which cluster, and what it knows:
 *
 *	 0         16      24          32     40     48      56      64    65        66       68      72
 *	 +---------+-------+-----------+------+------+-------+-------+-----+---------+--------+-------+
 *	 |cluster  |node id|incarnation|epoch |digest|version|flushed|role | refusal | worker | zeros |
 *	 +---------+-------+-----------+------+------+-------+-------+-----+---------+--------+-------+
 *
 * (worker: of the asker, whose link it is to be). An HMAC is the SHA-256 one, keyed with the secret, over a label of its step and
 * everything said by both sides so far. The keys of both directions of frames follow in the same way.
 *
 * Pure: bytes in, bytes out, no socket, no clock; nonces are the caller's. All messages have fixed lengths.
 */
#ifndef CLUSTER_HANDSHAKE_H
#define CLUSTER_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cluster/topology.h"

#define HANDSHAKE_NONCE      32u
#define HANDSHAKE_GREET      (16u + HANDSHAKE_NONCE)
#define HANDSHAKE_HELLO      72u
#define HANDSHAKE_MAC        32u
#define HANDSHAKE_PROVE      (HANDSHAKE_HELLO + HANDSHAKE_MAC)
#define HANDSHAKE_CLOSE      (8u + HANDSHAKE_MAC)
#define HANDSHAKE_SECRET_MIN 16u /* bytes of a secret */
#define HANDSHAKE_SECRET_MAX 4096u

enum refusal {
#define REFUSAL(symbol, text) REFUSAL_##symbol,
#include "cluster/tbl/refusals.h"
#undef REFUSAL
	REFUSALS
};

enum handshake_role { HANDSHAKE_PEER, HANDSHAKE_OPERATOR };

/* What one side says of itself. */
struct hello {
	unsigned char cluster[TOPOLOGY_CLUSTER_ID];
	uint64_t node_id; /* 0 of an operator */
	uint64_t incarnation;
	uint64_t epoch;            /* of its topology */
	uint64_t digest;           /* of its topology */
	uint64_t version, flushed; /* store_version, store_flushed */
	uint8_t role;              /* enum handshake_role */
	uint8_t refusal;           /* enum refusal: why the other side is refused */
	uint16_t worker;           /* of a peer that asks: whose link it is to be */
};

/* Looks at a peer that has proved that it knows the secret; REFUSAL_NONE lets it in. */
typedef enum refusal handshake_judge(void *context, const struct hello *theirs);

enum handshake_state {
	HANDSHAKE_GOING, /* more bytes are needed */
	HANDSHAKE_DONE, /* both sides are satisfied: keys and THEIRS are there; what follows are frames */
	HANDSHAKE_FAILED, /* REFUSAL says why; what is to be sent is to be sent before closing */
};

struct handshake {
	/* The caller's. */
	struct slice secret;
	struct hello mine;
	handshake_judge *judge;
	void *context;
	bool asks; /* we connected */

	/* What came out. */
	enum handshake_state state;
	enum refusal refusal;
	bool by_them; /* it is they who refused */
	struct hello theirs;
	uint64_t key_out, key_in;

	/* Inside. */
	unsigned char said[2 * HANDSHAKE_GREET + 2 * HANDSHAKE_PROVE]; /* by both, in order */
	size_t said_len;
	unsigned step;
	unsigned char out[HANDSHAKE_GREET + HANDSHAKE_PROVE]; /* to be sent */
	size_t out_len;
};

/* Begins: the caller's part of H is filled in. NONCE are HANDSHAKE_NONCE bytes that nobody can guess. */
void handshake_begin(struct handshake *h, const unsigned char *nonce);

/* How many bytes the next step needs. Not more than these are to be read, because frames follow. */
size_t handshake_wants(const struct handshake *h);

/* Takes exactly handshake_wants(h) bytes. */
void handshake_take(struct handshake *h, const unsigned char *bytes);

/* The other side has closed the connection: that is an answer as well. */
void handshake_closed(struct handshake *h);

/* What is to be sent now; it counts as sent. Valid until the next call. */
struct slice handshake_output(struct handshake *h);

/* For the log. */
const char *refusal_text(enum refusal refusal);

#endif
