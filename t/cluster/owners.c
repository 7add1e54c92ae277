/* t/cluster/owners.c: prints the owner of each key that comes on standard input, a line each.
 *
 *	owners KIND NAME,HOST,PORT...
 *
 * It answers with the index of the node in the list. NAME may be empty.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "cluster/ring.h"

static bool
node_read(struct ring_node *node, const char *text)
{
	const char *host = strchr(text, ','), *port = host != NULL ? strchr(host + 1, ',') : NULL;
	uint64_t n;

	if (port == NULL || !number_parse_u64(slice_of(port + 1, strlen(port + 1)), &n) ||
	    n > UINT16_MAX)
		return false;
	node->name = slice_of(text, (size_t)(host - text));
	node->host = slice_of(host + 1, (size_t)(port - host - 1));
	node->port = (uint16_t)n;
	node->weight = 1;
	return true;
}

static void
owners_print(const struct ring *ring, struct ring_hash *hash)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, stdin)) > 0) {
		size_t len = (size_t)n - (line[n - 1] == '\n');

		(void)printf("%u\n", ring_owner(ring, ring_hash_key(hash, slice_of(line, len))));
	}
	free(line);
}

int
main(int argc, char **argv)
{
	static struct ring_node nodes[RING_NODES_MAX];
	struct ring_options options = {0};
	struct ring *ring = NULL;
	struct ring_hash *hash = NULL;
	enum ring_status status;
	size_t count = argc > 2 ? (size_t)argc - 2 : 0;

	if (count == 0 || count > RING_NODES_MAX ||
	    !ring_kind_find(slice_of(argv[1], strlen(argv[1])), &options.kind)) {
		(void)fprintf(stderr, "usage: owners KIND NAME,HOST,PORT...\n");
		return 2;
	}
	for (size_t i = 0; i < count; i++) {
		if (!node_read(&nodes[i], argv[i + 2])) {
			(void)fprintf(stderr, "no node: %s\n", argv[i + 2]);
			return 2;
		}
	}
	status = ring_new(&ring, &options, nodes, count);
	if (status == RING_OK)
		status = ring_hash_new(&hash, options.kind);
	if (status == RING_OK)
		owners_print(ring, hash);
	else
		(void)fprintf(stderr, "%s\n", ring_status_text(status));
	ring_hash_free(&hash);
	ring_free(&ring);
	return status == RING_OK ? 0 : 1;
}
