/* cluster/tbl/refusals.h: why a link is refused, once. The numbers are on the wire.
 *
 * REFUSAL(symbol, text): what the log says of the other side, behind "peer ...: ".
 */
REFUSAL(NONE,     "accepted")
REFUSAL(STRANGER, "does not speak the protocol of ringcache's nodes")
REFUSAL(SECRET,   "has another secret (--secret)")
REFUSAL(PROTOCOL, "speaks another version of the protocol between nodes")
REFUSAL(CLUSTER,  "belongs to another cluster (--cluster-id)")
REFUSAL(RING,     "has another ring (--ring, --ring-points, --replicas or --peers)")
REFUSAL(NODE,     "is another node than the list of nodes has at this address")
REFUSAL(SELF,     "says that it is this node itself")
REFUSAL(BUSY,     "takes no more links")
REFUSAL(BYTES,    "broke the handshake")
REFUSAL(MEMORY,   "came when there was no memory for a handshake")
