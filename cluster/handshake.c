/* cluster/handshake.c: see handshake.h. */
#include "cluster/handshake.h"

#include <assert.h>
#include <endian.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/assert.h"
#include "cluster/frame.h"

#define MAGIC "ringpeer"

struct wire_hello {
	unsigned char cluster[TOPOLOGY_CLUSTER_ID];
	uint64_t node_id, incarnation, epoch, digest, version, flushed;
	uint8_t role, refusal;
	uint16_t worker;
	uint8_t zero[4];
};

static_assert(sizeof(struct wire_hello) == HANDSHAKE_HELLO, "layout");
static_assert(offsetof(struct wire_hello, node_id) == 16, "layout");
static_assert(offsetof(struct wire_hello, incarnation) == 24, "layout");
static_assert(offsetof(struct wire_hello, epoch) == 32, "layout");
static_assert(offsetof(struct wire_hello, digest) == 40, "layout");
static_assert(offsetof(struct wire_hello, version) == 48, "layout");
static_assert(offsetof(struct wire_hello, flushed) == 56, "layout");
static_assert(offsetof(struct wire_hello, role) == 64, "layout");
static_assert(offsetof(struct wire_hello, worker) == 66, "layout");

struct wire_greet {
	char magic[8];
	uint32_t version;
	uint32_t zero;
	unsigned char nonce[HANDSHAKE_NONCE];
};

static_assert(sizeof(struct wire_greet) == HANDSHAKE_GREET, "layout");

/* The steps of either side: what it waits for. */
enum { STEP_GREET, STEP_PROVE, STEP_CLOSE, STEP_OVER };

const char *
refusal_text(enum refusal refusal)
{
	static const char *const texts[] = {
#define REFUSAL(symbol, text) text,
#include "cluster/tbl/refusals.h"
#undef REFUSAL
	};

	return refusal < REFUSALS ? texts[refusal] : "refuses for a reason that is unknown here";
}

/* ---------------------------------------------------------------- proofs */

/* Of LABEL, all that was said, and N more bytes. False where memory is out. */
static bool
proof(const struct handshake *h, const char *label, const unsigned char *more, size_t n,
    unsigned char mac[HANDSHAKE_MAC])
{
	unsigned char text[32 + sizeof(h->said) + HANDSHAKE_HELLO];
	size_t len = strlen(label) + 1;
	unsigned size = 0;

	ASSERT(len <= 32 && n <= HANDSHAKE_HELLO);
	memcpy(text, label, len);
	memcpy(text + len, h->said, h->said_len);
	len += h->said_len;
	if (n > 0)
		memcpy(text + len, more, n);
	return HMAC(EVP_sha256(), h->secret.ptr, (int)h->secret.len, text, len + n, mac, &size) !=
	    NULL &&
	    size == HANDSHAKE_MAC;
}

/* Whether CLAIMED is the proof; where it is not, or cannot be told, *REFUSAL is WRONG or says so. */
static bool
proof_holds(const struct handshake *h, const char *label, const unsigned char *more, size_t n,
    const unsigned char *claimed, enum refusal wrong, enum refusal *refusal)
{
	unsigned char mac[HANDSHAKE_MAC];
	bool told = proof(h, label, more, n, mac);

	*refusal = told ? wrong : REFUSAL_MEMORY;
	return told && CRYPTO_memcmp(mac, claimed, HANDSHAKE_MAC) == 0;
}

static void
note_said(struct handshake *h, const void *bytes, size_t n)
{
	ASSERT(n <= sizeof(h->said) - h->said_len);
	memcpy(h->said + h->said_len, bytes, n);
	h->said_len += n;
}

static bool
lane_key(const struct handshake *h, const char *label, uint64_t *key)
{
	unsigned char mac[HANDSHAKE_MAC];

	if (!proof(h, label, NULL, 0, mac))
		return false;
	memcpy(key, mac, sizeof(*key));
	*key = le64toh(*key);
	return true;
}

/* ---------------------------------------------------------------- saying */

static unsigned char *
say(struct handshake *h, size_t n)
{
	unsigned char *p = h->out + h->out_len;

	ASSERT(n <= sizeof(h->out) - h->out_len);
	h->out_len += n;
	return p;
}

static void
say_greet(struct handshake *h, const unsigned char *nonce)
{
	struct wire_greet greet = {.magic = {MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], MAGIC[4],
				       MAGIC[5], MAGIC[6], MAGIC[7]},
	    .version = htole32(FRAME_VERSION)};

	memcpy(greet.nonce, nonce, HANDSHAKE_NONCE);
	memcpy(say(h, sizeof(greet)), &greet, sizeof(greet));
	note_said(h, &greet, sizeof(greet));
}

/* False where memory is out: nothing is said then. */
static bool
say_prove(struct handshake *h)
{
	const struct hello *m = &h->mine;
	struct wire_hello hello = {
	    .node_id = htole64(m->node_id),
	    .incarnation = htole64(m->incarnation),
	    .epoch = htole64(m->epoch),
	    .digest = htole64(m->digest),
	    .version = htole64(m->version),
	    .flushed = htole64(m->flushed),
	    .role = m->role,
	    .refusal = m->refusal,
	    .worker = htole16(m->worker),
	};
	unsigned char bytes[HANDSHAKE_PROVE];

	memcpy(hello.cluster, m->cluster, sizeof(hello.cluster));
	memcpy(bytes, &hello, sizeof(hello));
	if (!proof(h, h->asks ? "asker" : "answerer", bytes, sizeof(hello), bytes + sizeof(hello)))
		return false;
	memcpy(say(h, HANDSHAKE_PROVE), bytes, sizeof(bytes));
	note_said(h, bytes, HANDSHAKE_PROVE);
	return true;
}

/* As say_prove. */
static bool
say_close(struct handshake *h, enum refusal refusal)
{
	unsigned char bytes[HANDSHAKE_CLOSE] = {(unsigned char)refusal};

	if (!proof(h, "close", bytes, 8, bytes + 8))
		return false;
	memcpy(say(h, HANDSHAKE_CLOSE), bytes, sizeof(bytes));
	return true;
}

/* ---------------------------------------------------------------- ends */

static void
fail(struct handshake *h, enum refusal refusal, bool by_them)
{
	h->state = HANDSHAKE_FAILED;
	h->refusal = refusal;
	h->by_them = by_them;
	h->step = STEP_OVER;
}

static void
done(struct handshake *h)
{
	uint64_t to_answerer, to_asker;

	if (!lane_key(h, "to answerer", &to_answerer) || !lane_key(h, "to asker", &to_asker)) {
		fail(h, REFUSAL_MEMORY, false);
		return;
	}
	h->key_out = h->asks ? to_answerer : to_asker;
	h->key_in = h->asks ? to_asker : to_answerer;
	h->state = HANDSHAKE_DONE;
	h->step = STEP_OVER;
}

/* ---------------------------------------------------------------- hearing */

static void
hear_greet(struct handshake *h, const unsigned char *bytes)
{
	struct wire_greet greet;

	memcpy(&greet, bytes, sizeof(greet));
	if (memcmp(greet.magic, MAGIC, sizeof(greet.magic)) != 0) {
		h->out_len = 0;
		fail(h, REFUSAL_STRANGER, false);
		return;
	}
	if (h->asks) {
		note_said(h, &greet, sizeof(greet));
	} else {
		/* Our own greeting was prepared, but theirs stands first. */
		memmove(h->said + sizeof(greet), h->said, sizeof(greet));
		memcpy(h->said, &greet, sizeof(greet));
		h->said_len += sizeof(greet);
	}
	if (le32toh(greet.version) != FRAME_VERSION) {
		fail(h, REFUSAL_PROTOCOL, false);
		return;
	}
	h->step = STEP_PROVE;
	if (h->asks && !say_prove(h))
		fail(h, REFUSAL_MEMORY, false);
}

static void
hello_read(struct hello *hello, const unsigned char *bytes)
{
	struct wire_hello wire;

	memcpy(&wire, bytes, sizeof(wire));
	memcpy(hello->cluster, wire.cluster, sizeof(wire.cluster));
	hello->node_id = le64toh(wire.node_id);
	hello->incarnation = le64toh(wire.incarnation);
	hello->epoch = le64toh(wire.epoch);
	hello->digest = le64toh(wire.digest);
	hello->version = le64toh(wire.version);
	hello->flushed = le64toh(wire.flushed);
	hello->role = wire.role;
	hello->refusal = wire.refusal;
	hello->worker = le16toh(wire.worker);
}

static void
hear_prove(struct handshake *h, const unsigned char *bytes)
{
	enum refusal refusal;
	bool said;

	if (!proof_holds(h, h->asks ? "answerer" : "asker", bytes, HANDSHAKE_HELLO,
		bytes + HANDSHAKE_HELLO, REFUSAL_SECRET, &refusal)) {
		fail(h, refusal, false);
		return;
	}
	note_said(h, bytes, HANDSHAKE_PROVE);
	hello_read(&h->theirs, bytes);
	if (h->theirs.refusal != REFUSAL_NONE) {
		fail(h, (enum refusal)h->theirs.refusal, true);
		return;
	}
	refusal = memcmp(h->theirs.cluster, h->mine.cluster, TOPOLOGY_CLUSTER_ID) != 0
	    ? REFUSAL_CLUSTER
	    : h->judge(h->context, &h->theirs);
	h->mine.refusal = (uint8_t)refusal;
	h->step = STEP_CLOSE;
	said = h->asks ? say_close(h, refusal) : say_prove(h);
	if (refusal != REFUSAL_NONE || !said)
		fail(h, said ? refusal : REFUSAL_MEMORY, false);
	else if (h->asks)
		done(h);
}

static void
hear_close(struct handshake *h, const unsigned char *bytes)
{
	enum refusal refusal;

	if (!proof_holds(h, "close", bytes, 8, bytes + 8, REFUSAL_BYTES, &refusal))
		fail(h, refusal, false);
	else if (bytes[0] != REFUSAL_NONE)
		fail(h, (enum refusal)bytes[0], true);
	else
		done(h);
}

/* ---------------------------------------------------------------- the machine */

void
handshake_begin(struct handshake *h, const unsigned char *nonce)
{
	h->state = HANDSHAKE_GOING;
	h->refusal = REFUSAL_NONE;
	h->by_them = false;
	h->said_len = h->out_len = 0;
	h->step = STEP_GREET;
	h->mine.refusal = REFUSAL_NONE;
	say_greet(h, nonce);
}

size_t
handshake_wants(const struct handshake *h)
{
	static const size_t sizes[] = {
	    [STEP_GREET] = HANDSHAKE_GREET,
	    [STEP_PROVE] = HANDSHAKE_PROVE,
	    [STEP_CLOSE] = HANDSHAKE_CLOSE,
	    [STEP_OVER] = 0,
	};

	return sizes[h->step];
}

void
handshake_take(struct handshake *h, const unsigned char *bytes)
{
	switch (h->step) {
	case STEP_GREET:
		hear_greet(h, bytes);
		return;
	case STEP_PROVE:
		hear_prove(h, bytes);
		return;
	case STEP_CLOSE:
		hear_close(h, bytes);
		return;
	default:
		panic("a handshake that is over was given more");
	}
}

void
handshake_closed(struct handshake *h)
{
	if (h->state != HANDSHAKE_GOING)
		return;
	if (h->asks && h->step == STEP_PROVE)
		fail(h, REFUSAL_SECRET, true);
	else
		fail(h, h->step == STEP_GREET ? REFUSAL_STRANGER : REFUSAL_BYTES, false);
}

struct slice
handshake_output(struct handshake *h)
{
	struct slice out = {(const char *)h->out, h->out_len};

	/* The answerer's greeting waits until it was greeted. */
	if (!h->asks && h->step == STEP_GREET)
		return slice_of(NULL, 0);
	h->out_len = 0;
	return out;
}
