/* proto/tbl/commands.h: every command of the four surfaces, once.
 *
 * COMMAND(symbol, surface, name, arguments, flags, help)
 *
 *	symbol     gives OP_<symbol>, the number by which commands are executed
 *	surface    CLASSIC, META, ADMIN (all three are text lines) or BINARY
 *	name       as it stands on the wire; the name of the opcode for BINARY
 *	arguments  <needed> [optional] a|b, an asterisk for "any number of"; of BINARY: extras, key and value
 *	flags      of enum command_flag
 *	help       one line for people
 *
 * The opcodes of the binary protocol, quiet and key-returning ones included, stand in proto/tbl/opcodes.h; each
 * maps to one of the BINARY rows here.
 */

/* ---------------------------------------------------------------- classic: reading */
COMMAND(GET, CLASSIC, "get", "<key>*", CMD_READ | CMD_KEYS, "values with their client flags")
COMMAND(GETS, CLASSIC, "gets", "<key>*", CMD_READ | CMD_KEYS, "as get, with the CAS token")
COMMAND(GAT, CLASSIC, "gat", "<exptime> <key>*", CMD_READ | CMD_WRITE | CMD_KEYS,
    "as get, and sets the expiry")
COMMAND(GATS, CLASSIC, "gats", "<exptime> <key>*", CMD_READ | CMD_WRITE | CMD_KEYS,
    "as gets, and sets the expiry")

/* ---------------------------------------------------------------- classic: writing */
COMMAND(SET, CLASSIC, "set", "<key> <flags> <exptime> <bytes> [noreply]", CMD_WRITE | CMD_KEY | CMD_VALUE,
    "store, whatever was there")
COMMAND(ADD, CLASSIC, "add", "<key> <flags> <exptime> <bytes> [noreply]", CMD_WRITE | CMD_KEY | CMD_VALUE,
    "store where there is nothing")
COMMAND(REPLACE, CLASSIC, "replace", "<key> <flags> <exptime> <bytes> [noreply]",
    CMD_WRITE | CMD_KEY | CMD_VALUE, "store where there is something")
COMMAND(APPEND, CLASSIC, "append", "<key> <flags> <exptime> <bytes> [noreply]",
    CMD_WRITE | CMD_KEY | CMD_VALUE, "put behind the value that is there")
COMMAND(PREPEND, CLASSIC, "prepend", "<key> <flags> <exptime> <bytes> [noreply]",
    CMD_WRITE | CMD_KEY | CMD_VALUE, "put in front of the value that is there")
COMMAND(CAS, CLASSIC, "cas", "<key> <flags> <exptime> <bytes> <cas> [noreply]",
    CMD_WRITE | CMD_KEY | CMD_VALUE, "store where the CAS token is still the same")
COMMAND(INCR, CLASSIC, "incr", "<key> <delta> [noreply]", CMD_WRITE | CMD_KEY, "add to a number")
COMMAND(DECR, CLASSIC, "decr", "<key> <delta> [noreply]", CMD_WRITE | CMD_KEY,
    "subtract from a number, not below 0")
COMMAND(TOUCH, CLASSIC, "touch", "<key> <exptime> [noreply]", CMD_WRITE | CMD_KEY, "set the expiry")
COMMAND(DELETE, CLASSIC, "delete", "<key> [0] [noreply]", CMD_WRITE | CMD_KEY, "remove")

/* ---------------------------------------------------------------- meta */
COMMAND(MG, META, "mg", "<key> [flag*]", CMD_READ | CMD_WRITE | CMD_KEY, "meta get")
COMMAND(MS, META, "ms", "<key> <bytes> [flag*]", CMD_WRITE | CMD_KEY | CMD_VALUE, "meta set")
COMMAND(MD, META, "md", "<key> [flag*]", CMD_WRITE | CMD_KEY, "meta delete, or invalidate")
COMMAND(MA, META, "ma", "<key> [flag*]", CMD_WRITE | CMD_KEY, "meta arithmetic")
COMMAND(MN, META, "mn", "", 0, "meta no-op: a fence in a pipeline")
COMMAND(ME, META, "me", "<key> [b]", CMD_READ | CMD_KEY, "meta debug: what is known of an item")

/* ---------------------------------------------------------------- administration */
COMMAND(VERSION, ADMIN, "version", "", 0, "the server's version")
COMMAND(VERBOSITY, ADMIN, "verbosity", "<level> [noreply]", CMD_ADMIN, "how much is logged")
COMMAND(STATS, ADMIN, "stats", "[group] [argument*]", 0, "statistics")
COMMAND(FLUSH_ALL, ADMIN, "flush_all", "[delay] [noreply]", CMD_WRITE | CMD_ADMIN,
    "forget everything, now or later")
COMMAND(QUIT, ADMIN, "quit", "", CMD_UNAUTHENTICATED, "close this connection")
COMMAND(SHUTDOWN, ADMIN, "shutdown", "[graceful]", CMD_ADMIN, "end the server, if started with -A")
COMMAND(CACHE_MEMLIMIT, ADMIN, "cache_memlimit", "<megabytes> [noreply]", CMD_ADMIN,
    "change the memory limit")
COMMAND(SLABS_REASSIGN, ADMIN, "slabs reassign", "<source class> <target class>", CMD_ADMIN,
    "move a page between size classes")
COMMAND(SLABS_AUTOMOVE, ADMIN, "slabs automove", "<0|1|2>|ratio <number>|freeratio <number>|window <number>",
    CMD_ADMIN, "whether pages move by themselves")
COMMAND(LRU_TUNE, ADMIN, "lru tune", "<hot percent> <warm percent> <hot factor> <warm factor>", CMD_ADMIN,
    "accepted; has no meaning for this server's eviction")
COMMAND(LRU_MODE, ADMIN, "lru mode", "<flat|segmented>", CMD_ADMIN,
    "accepted; has no meaning for this server's eviction")
COMMAND(LRU_TEMP_TTL, ADMIN, "lru temp_ttl", "<seconds>", CMD_ADMIN,
    "accepted; has no meaning for this server's eviction")
COMMAND(CRAWLER_ENABLE, ADMIN, "lru_crawler enable", "", CMD_ADMIN, "let the crawler run")
COMMAND(CRAWLER_DISABLE, ADMIN, "lru_crawler disable", "", CMD_ADMIN, "stop the crawler")
COMMAND(CRAWLER_CRAWL, ADMIN, "lru_crawler crawl", "<class,class,...|all>", CMD_ADMIN,
    "look for expired items now")
COMMAND(CRAWLER_METADUMP, ADMIN, "lru_crawler metadump", "<class,class,...|all|hash>", CMD_ADMIN,
    "list all keys with what is known of them")
COMMAND(CRAWLER_MGDUMP, ADMIN, "lru_crawler mgdump", "<class,class,...|all|hash>", CMD_ADMIN,
    "list all keys as mg commands")
COMMAND(CRAWLER_TOCRAWL, ADMIN, "lru_crawler tocrawl", "<items>", CMD_ADMIN, "items per crawl")
COMMAND(CRAWLER_SLEEP, ADMIN, "lru_crawler sleep", "<microseconds>", CMD_ADMIN,
    "pause between two items of a crawl")
COMMAND(WATCH, ADMIN, "watch",
    "[fetchers] [mutations] [evictions] [connevents] [deletions] [sysevents] [rawcmds] [proxy*]",
    CMD_ADMIN, "turn this connection into a stream of log lines")
COMMAND(REFRESH_CERTS, ADMIN, "refresh_certs", "", CMD_ADMIN, "read the TLS certificates again")
COMMAND(EXTSTORE, ADMIN, "extstore", "<option> <number>", CMD_ADMIN, "answered as by a server without extstore")
COMMAND(CONFIG_GET, ADMIN, "config get", "cluster", 0,
    "the nodes of the cluster, as Amazon ElastiCache's auto discovery has them")
COMMAND(WAIT, ADMIN, "wait", "<replicas> <milliseconds>", 0,
    "answer when what this connection wrote has been copied so often")
COMMAND(DEBUGTIME, ADMIN, "debugtime", "<seconds>|p|r", CMD_ADMIN | CMD_DEBUG,
    "move, stop (p) or restart (r) the server's clock")

/* ---------------------------------------------------------------- binary */
COMMAND(BIN_GET, BINARY, "GET", "key", CMD_READ | CMD_KEY, "GET GETQ GETK GETKQ")
COMMAND(BIN_GAT, BINARY, "GAT", "extras 4, key", CMD_READ | CMD_WRITE | CMD_KEY, "GAT GATQ GATK GATKQ")
COMMAND(BIN_TOUCH, BINARY, "TOUCH", "extras 4, key", CMD_WRITE | CMD_KEY, "TOUCH")
COMMAND(BIN_SET, BINARY, "SET", "extras 8, key, value", CMD_WRITE | CMD_KEY | CMD_VALUE, "SET SETQ")
COMMAND(BIN_ADD, BINARY, "ADD", "extras 8, key, value", CMD_WRITE | CMD_KEY | CMD_VALUE, "ADD ADDQ")
COMMAND(BIN_REPLACE, BINARY, "REPLACE", "extras 8, key, value", CMD_WRITE | CMD_KEY | CMD_VALUE,
    "REPLACE REPLACEQ")
COMMAND(BIN_APPEND, BINARY, "APPEND", "key, value", CMD_WRITE | CMD_KEY | CMD_VALUE, "APPEND APPENDQ")
COMMAND(BIN_PREPEND, BINARY, "PREPEND", "key, value", CMD_WRITE | CMD_KEY | CMD_VALUE, "PREPEND PREPENDQ")
COMMAND(BIN_DELETE, BINARY, "DELETE", "key", CMD_WRITE | CMD_KEY, "DELETE DELETEQ")
COMMAND(BIN_INCREMENT, BINARY, "INCREMENT", "extras 20, key", CMD_WRITE | CMD_KEY, "INCREMENT INCREMENTQ")
COMMAND(BIN_DECREMENT, BINARY, "DECREMENT", "extras 20, key", CMD_WRITE | CMD_KEY, "DECREMENT DECREMENTQ")
COMMAND(BIN_FLUSH, BINARY, "FLUSH", "[extras 4]", CMD_WRITE | CMD_ADMIN, "FLUSH FLUSHQ")
COMMAND(BIN_QUIT, BINARY, "QUIT", "", CMD_UNAUTHENTICATED, "QUIT QUITQ")
COMMAND(BIN_NOOP, BINARY, "NOOP", "", 0, "NOOP")
COMMAND(BIN_VERSION, BINARY, "VERSION", "", CMD_UNAUTHENTICATED, "VERSION")
COMMAND(BIN_STAT, BINARY, "STAT", "[key]", 0, "STAT")
COMMAND(BIN_SASL_LIST, BINARY, "SASL_LIST_MECHS", "", CMD_UNAUTHENTICATED, "SASL_LIST_MECHS")
COMMAND(BIN_SASL_AUTH, BINARY, "SASL_AUTH", "key, value", CMD_UNAUTHENTICATED, "SASL_AUTH: key is the mechanism")
COMMAND(BIN_SASL_STEP, BINARY, "SASL_STEP", "key, value", CMD_UNAUTHENTICATED, "SASL_STEP: key is the mechanism")
