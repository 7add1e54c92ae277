/* server/cluster_port.h: between the files of the cluster's thread: the socket on which other nodes are expected. */
#ifndef SERVER_CLUSTER_PORT_H
#define SERVER_CLUSTER_PORT_H

#include <stdbool.h>

#include "cluster/topology.h"

/* A socket, non-blocking and close-on-exec, that listens at the peer port of NODE, at the first of its host's addresses that this
 * machine has. Where it has none of them, as in a container that others reach by its host's address, and ANYWHERE says so, it
 * listens at all addresses instead. -1 with a sentence in ERROR (SETTINGS_ERROR_MAX bytes). */
int cluster_port_open(const struct topology_node *node, bool anywhere, char *error);

#endif
