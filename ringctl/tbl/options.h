/* ringctl/tbl/options.h: ringctl's options, once.
 *
 * OPTION(letter, name, argument, text): ARGUMENT is NULL for a flag.
 */
OPTION('s', "server",  "HOST:PORT",    "a node of the cluster; any will do (default: 127.0.0.1:11211)")
OPTION('S', "secret",  "FILE",         "the secret of the cluster, which changing its nodes needs")
OPTION('j', "json",    NULL,           "print JSON")
OPTION('t', "timeout", "MILLISECONDS", "how long a node may take to answer (default: 3000)")
OPTION('w', "wait",    "SECONDS",      "how long nodes set waits until nodes have what the present list gives them (default: 60)")
OPTION('f', "force",   NULL,           "nodes set does not wait for that: items may be lost that few nodes have yet")
OPTION('h', "help",    NULL,           "print this help and exit")
OPTION('V', "version", NULL,           "print the version and exit")
