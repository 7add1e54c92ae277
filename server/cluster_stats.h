/* server/cluster_stats.h: what a node tells of its cluster: `stats cluster`, which asks all nodes, and `config get
 * cluster`. */
#ifndef SERVER_CLUSTER_STATS_H
#define SERVER_CLUSTER_STATS_H

#include <stdbool.h>

struct command;
struct conn;
struct frame;
struct link;
struct stats_out;

/* Answers when all nodes have, or the peer timeout is over. */
void stats_cluster(struct stats_out *out);

/* The nodes as Amazon ElastiCache's auto discovery tells them; ERROR without a cluster, and for any other name. */
void exec_config(struct conn *c, const struct command *cmd);

/* Another node, or an operator, asks for this node's figures (FRAME_STATS). */
bool cluster_on_stats(struct link *l, const struct frame *frame);

#endif
