/* server/tbl/forward_errors.h: why a forwarded command has no answer, once.
 *
 * FORWARD_ERROR(symbol, text): the text stands between "SERVER_ERROR peer <name> " and the line's end.
 */
FORWARD_ERROR(SILENT, "did not answer")
FORWARD_ERROR(DOWN, "cannot be reached")
FORWARD_ERROR(CUT, "was lost in the middle of this value: nothing was stored")
FORWARD_ERROR(BUSY, "is busy")
FORWARD_ERROR(CHANGING, "does not own this key: the cluster is changing")
FORWARD_ERROR(WRONG, "gave a wrong answer")
FORWARD_ERROR(REFUSED, "could not take this command")
FORWARD_ERROR(MEMORY, "has answered, but there is no memory for it")
