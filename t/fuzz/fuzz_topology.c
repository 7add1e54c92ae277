/* t/fuzz/fuzz_topology.c: any bytes as a topology, or as a list of nodes: the first byte says. */
#include <stdint.h>

#include "base/assert.h"
#include "cluster/topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct topology_options options = {
	    .cluster = SLICE_LITERAL("ringcache"), .epoch = 1, .points = 1, .replicas = 2};
	struct topology *t, *again;
	struct slice text;
	uint16_t holders[3];

	if (size < 1)
		return 0;
	text = slice_of((const char *)data + 1, size - 1);
	if ((data[0] & 1 ? topology_decode(&t, text) : topology_parse(&t, &options, text)) !=
	    TOPOLOGY_OK)
		return 0;
	ASSERT(topology_decode(&again, topology_encode(t)) == TOPOLOGY_OK);
	ASSERT(slice_equal(topology_encode(t), topology_encode(again)));
	ASSERT(topology_holders(t, 12345, holders, 3) <= 3);
	topology_free(&again);
	topology_free(&t);
	return 0;
}
