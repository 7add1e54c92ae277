/* t/fuzz/fuzz_replicate.c: any frames of replication, from a node that has the secret, on a link that it made and on one that was
 * made to it.
 *
 *	frame:  [type 1][flags 1][id 8][length 2][body]      the two top bits of FLAGS choose link and epoch
 *
 * What must hold: the store is sound, nothing is left over, and frames that are sent fit into what they may be.
 */
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cluster/ring.h"
#include "server/replicate.h"
#include "slab/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NODES  3u
#define EPOCH  2u
#define HEAD   12u
#define MEMORY ((size_t)2 << 20)

static uint64_t now;
static uint64_t sent;

static char *
frame_room(void *link, size_t body_max)
{
	static char room[FRAME_MAX];

	(void)link;
	ASSERT(body_max <= FRAME_BODY_MAX);
	return sent % 7 == 6 ? NULL : room;
}

static void
frame_end(void *link, enum frame_type type, uint8_t flags, uint64_t id, const char *end)
{
	(void)link;
	(void)flags;
	(void)id;
	(void)end;
	ASSERT(type >= FRAME_REPLICATE && type <= FRAME_COMPARED);
	sent++;
}

static size_t
unsent(const void *link)
{
	(void)link;
	return 0;
}

static uint64_t
clock_us(void)
{
	return now += 50;
}

static unsigned
holders(const void *topology, uint32_t point, uint16_t *to, unsigned want)
{
	(void)topology;
	for (unsigned i = 0; i < want && i < 2; i++)
		to[i] = (uint16_t)((point + i) % NODES);
	return want < 2 ? want : 2;
}

/* Feeds one frame; returns how long it was, 0 at the end or where it broke the protocol. */
static size_t
feed(struct replicate_end *const ends[2], const uint8_t *data, size_t size)
{
	struct frame frame;
	uint16_t len;
	char *body;
	bool good;

	if (size < HEAD)
		return 0;
	memcpy(&frame.id, data + 2, sizeof(frame.id));
	memcpy(&len, data + 10, sizeof(len));
	frame.id = le64toh(frame.id);
	len = le16toh(len);
	if (size - HEAD < len)
		return 0;
	frame.type = (uint8_t)(FRAME_REPLICATE + data[0] % (FRAME_COMPARED - FRAME_REPLICATE + 1));
	frame.flags = data[1] & 0x3f;
	frame.epoch = EPOCH - (data[1] >> 6 & 1);
	body = malloc(len > 0 ? len : 1);
	ASSERT(body != NULL);
	memcpy(body, data + HEAD, len);
	frame.body = slice_of(body, len);
	good = replicate_receive(ends[data[1] >> 7], &frame);
	free(body);
	return good ? HEAD + len : 0;
}

static void
talk(struct replicate_worker *w, const uint8_t *data, size_t size)
{
	static char links[2];
	struct replicate_end *ends[2];
	size_t used;

	for (unsigned i = 0; i < 2; i++) {
		ends[i] = replicate_link_up(w, &links[i], 1, 22, 5, i == 0);
		ASSERT(ends[i] != NULL);
	}
	for (unsigned n = 0; n < 200 && (used = feed(ends, data, size)) > 0; n++) {
		data += used;
		size -= used;
		(void)replicate_turn_end(w);
		(void)replicate_tick(w);
	}
	for (unsigned i = 0; i < 2; i++)
		replicate_link_down(ends[i]);
}

static void
fill(struct store *st)
{
	for (char c = 'a'; c <= 'z'; c++) {
		struct store_key key = store_key(st, &c, 1);
		struct store_head head = {.size = 3};
		struct store_put how = {.mode = STORE_SET};
		struct store_pending pending;
		uint64_t version;

		if (store_offer(st, &pending, &key, &head, "old") == STORE_OK)
			(void)store_put(st, &key, &pending, &how, &version);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct replicate_means means = {frame_room, frame_end, unsent, clock_us};
	static const uint64_t ids[NODES] = {11, 22, 33};
	const struct store_options store_options = {
	    .memory_limit = MEMORY, .index_power = 8, .item_size_max = 1u << 20, .hash_seed = 1};
	struct replicate_options options = {
	    .means = &means, .backlog = 1 << 14, .workers = 1, .calendar = 1000000, .seed = 7};
	const struct replicate_places places = {.holders = holders,
	    .epoch = EPOCH,
	    .kind = RING_NATIVE,
	    .count = NODES,
	    .copies = 1,
	    .ids = ids};
	struct replicate_worker *w;
	struct replicate *r;
	const char *error;
	static bool joined;

	if (!joined)
		store_thread_join();
	joined = true;
	now = 1000;
	sent = 0;
	ASSERT(store_new(&options.store, &store_options, &error) == 0);
	store_clock_set(options.store, 100);
	r = replicate_new(&options);
	ASSERT(r != NULL);
	w = replicate_worker_new(r, 0);
	ASSERT(w != NULL);
	replicate_topology(w, &places);
	replicate_worker_enter(w);
	fill(options.store);
	talk(w, data, size);
	replicate_worker_free(&w);
	store_check(options.store);
	store_free(&options.store);
	replicate_free(&r);
	return 0;
}
