/* server/replicate_link.h: replication (server/replicate.h) as part of the server: between it and links, topologies, workers. */
#ifndef SERVER_REPLICATE_LINK_H
#define SERVER_REPLICATE_LINK_H

#include <stdbool.h>

#include "cluster/frame.h"

struct cluster;
struct link;
struct stats_out;
struct worker;

/* Makes CLUSTER->replicate, when its server's store is there and before there are workers. False where memory is out. */
bool replicate_start(struct cluster *cluster);

/* When the store is not called any more. */
void replicate_stop(struct cluster *cluster);

/* ---------------------------------------------------------------- workers */

/* Makes W's part, which has a topology. False where memory is out. The other one: while the links are still there. */
bool replicate_worker_start(struct worker *w);
void replicate_worker_stop(struct worker *w);

/* W has a new topology. */
void replicate_took_topology(struct worker *w);

/* A turn of W begins, on its thread, and ends: before links are flushed. */
void replicate_begin_turn(struct worker *w);
void replicate_end_turn(struct worker *w);

/* Each 20 ms. */
void replicate_ticks(struct worker *w);

/* `stats replication`. */
void stats_replication(struct stats_out *out);

/* ---------------------------------------------------------------- links */

/* Its connection has come, or gone; both directions. */
void replicate_link_started(struct link *l);
void replicate_link_ended(struct link *l);

/* A frame from FRAME_REPLICATE to FRAME_COMPARED. False where it breaks the protocol. */
bool replicate_on_frame(struct link *l, const struct frame *frame);

#endif
