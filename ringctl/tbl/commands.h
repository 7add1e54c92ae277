/* ringctl/tbl/commands.h: what ringctl can do, once: dispatch, --help and the manual page follow from it.
 *
 * COMMAND(symbol, name, arguments, least, most, text): LEAST and MOST arguments behind the name.
 */
COMMAND(status,    "status", "",                        0, 0, "the cluster and its nodes with their figures")
COMMAND(nodes,     "nodes",  "[set LIST]",              0, 2, "the nodes; or gives the cluster this list of nodes, as --peers has it, in a new epoch")
COMMAND(ring,      "ring",   "[KEY]",                   0, 1, "what share of the keys each node owns; or who owns KEY and who has its copies")
COMMAND(get,       "get",    "KEY",                     1, 1, "prints the value of KEY")
COMMAND(set,       "set",    "KEY VALUE [EXPTIME]",     2, 3, "stores VALUE (- reads it from standard input)")
COMMAND(del,       "del",    "KEY",                     1, 1, "removes KEY")
