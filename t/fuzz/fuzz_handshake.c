/* t/fuzz/fuzz_handshake.c: any bytes in answer to a handshake. The first byte says which side we are. */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "cluster/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum refusal
judge(void *context, const struct hello *theirs)
{
	(void)context;
	return theirs->role == HANDSHAKE_PEER ? REFUSAL_NONE : REFUSAL_NODE;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handshake h = {.secret = SLICE_LITERAL("sixteen bytes and more"), .judge = judge};
	const unsigned char nonce[HANDSHAKE_NONCE] = {0};
	size_t at = 1, want;

	if (size < 1)
		return 0;
	h.asks = data[0] & 1;
	handshake_begin(&h, nonce);
	(void)handshake_output(&h);
	while ((want = handshake_wants(&h)) > 0 && size - at >= want) {
		handshake_take(&h, data + at);
		at += want;
		ASSERT(handshake_output(&h).len <= sizeof(h.out));
	}
	handshake_closed(&h);
	ASSERT(h.state != HANDSHAKE_GOING);
	return 0;
}
