/* cluster/tbl/frames.h: what nodes say to each other, once.
 *
 * FRAME(symbol, text). An asking frame's id names the question, and its REPLY bears the same. The numbers are on the wire:
 * new ones go to the end, and one that changes its meaning makes another FRAME_VERSION.
 */
FRAME(PING, "are you there")
FRAME(PONG, "the answer to PING")
FRAME(COMMAND, "a client's command, whole")
FRAME(KEYS, "keys of gets")
FRAME(STREAM_BEGIN, "the head of a command with a long value")
FRAME(STREAM_DATA, "a part of that value")
FRAME(STREAM_END, "its end")
FRAME(REPLY, "an answer, or a part of one")
FRAME(FLUSH, "a step of flush_all")
FRAME(REPLICATE, "changes; the id is the position in the stream")
FRAME(ACK, "how far a stream is applied")
FRAME(CALENDAR, "the sender's calendar, first on each link")
FRAME(HEAT, "keys that were read")
FRAME(DIGESTS, "begins a comparison: digests of ranges of keys; the id names it")
FRAME(DIFFER, "which of them differ")
FRAME(LIST, "the keys of these ranges, with their orders")
FRAME(WANT, "keys whose items are wanted")
FRAME(GONE, "a key that was deleted; the id is its order")
FRAME(COMPARED, "nothing more will be listed, or wanted")
FRAME(WAIT, "asks to answer when what was done for the asker has been copied")
FRAME(TOPOLOGY, "a topology; without a body: asks for it")
FRAME(STATS, "asks for the figures of a node")
FRAME(ROOM, "there is room for more of an answer; the id is its question's")
