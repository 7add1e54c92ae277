/* ringctl/operator.c: speaks to the peer port of a node, as an operator who knows the cluster's secret. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "cluster/frame.h"
#include "cluster/handshake.h"
#include "ringctl/ringctl.h"

/* Whoever knows the secret is taken at its word. */
static enum refusal
judge(void *context, const struct hello *theirs)
{
	(void)context;
	(void)theirs;
	return REFUSAL_NONE;
}

/* NULL where both sides are satisfied, else why not. */
static const char *
shake_hands(int fd, struct handshake *h)
{
	unsigned char bytes[HANDSHAKE_PROVE];
	size_t want;

	do {
		if (!client_send(fd, handshake_output(h)))
			return "it broke the connection";
		want = handshake_wants(h);
		if (want == 0)
			break;
		if (recv(fd, bytes, want, MSG_WAITALL) == (ssize_t)want)
			handshake_take(h, bytes);
		else
			handshake_closed(h);
	} while (h->state == HANDSHAKE_GOING);
	(void)client_send(fd, handshake_output(h));
	return h->state == HANDSHAKE_DONE ? NULL : refusal_text(h->refusal);
}

/* Sends T in a frame, and waits until the node has read it: that it closes, or says anything. */
static const char *
send_topology(int fd, const struct handshake *h, const struct topology *t)
{
	struct frame_lane out = {.key = h->key_out};
	const struct frame frame = {.epoch = topology_epoch(t), .type = FRAME_TOPOLOGY};
	const struct frame ping = {.epoch = topology_epoch(t), .type = FRAME_PING, .id = 1};
	struct slice text = topology_encode(t);
	char *bytes = malloc(2 * FRAME_HEAD + text.len);
	const char *why = "it broke the connection";

	ASSERT(bytes != NULL);
	memcpy(bytes + FRAME_HEAD, text.ptr, text.len);
	frame_seal(&out, bytes, &frame, text.len);
	frame_seal(&out, bytes + FRAME_HEAD + text.len, &ping, 0);
	if (client_send(fd, slice_of(bytes, 2 * FRAME_HEAD + text.len)) &&
	    recv(fd, bytes, FRAME_HEAD, MSG_WAITALL) == (ssize_t)FRAME_HEAD)
		why = NULL;
	free(bytes);
	return why;
}

const char *
operator_offer(const struct options *o, const struct topology_node *node, const struct topology *t,
    struct slice secret)
{
	struct handshake h = {
	    .secret = secret,
	    .mine = {.epoch = topology_epoch(t),
		.digest = topology_digest(t),
		.role = HANDSHAKE_OPERATOR},
	    .judge = judge,
	    .asks = true,
	};
	unsigned char nonce[HANDSHAKE_NONCE];
	const char *why = "no connection";
	int fd = client_connect(o, node->host, node->peer_port, &why);

	if (fd < 0)
		return why;
	topology_cluster_id(t, h.mine.cluster);
	ASSERT(getrandom(nonce, sizeof(nonce), 0) == (ssize_t)sizeof(nonce));
	handshake_begin(&h, nonce);
	why = shake_hands(fd, &h);
	if (why == NULL)
		why = send_topology(fd, &h, t);
	(void)close(fd);
	return why;
}
