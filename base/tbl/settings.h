/* base/tbl/settings.h: every setting of the server, once. The command line, --help, the manual page and
 * `stats settings` follow from these rows; the order is the one of memcached's `stats settings`.
 *
 * SETTING(symbol, kind, place, effect, letter, name, default, min, max, unit, stat, refusal, text)
 *
 * symbol   the field in struct settings
 * kind     BOOL    a flag: giving it turns the default round; suboptions and our own take no_name or no-name
 *          SWITCH  a BOOL that stats print as on or off
 *          COUNT   a flag that counts how often it is given
 *          I32 U32 OCTAL CHAR DOUBLE DOUBLE3   numbers (stats print 2 or 3 decimals of the last two)
 *          SIZE    bytes; a plain number counts in UNIT, a suffix k, m or g says it itself
 *          STRING  text, NULL as default
 *          LIST    a STRING that grows by a comma and the new text each time it is given
 *          an enumeration: its name in capitals, see CHOICES in server/settings.c
 * place    OPTION  memcached's: -letter and --name
 *          SUB     memcached's: -o name or name=value
 *          OWN     --name, which memcached does not have (OWNSUB: the same as a suboption)
 *          STATE   no option at all: what the server itself changes and stats show among the settings
 * effect   ACTS    does what it says
 *          COMPAT  accepted for compatibility, no effect
 *          UNNAMED the same, and --help does not name it: by these names others tell a memcached that was built with the part
 *          ABSENT  refused: its absence would deceive (no TLS where TLS was asked for)
 * min, max inclusive; of a DOUBLE the minimum is exclusive
 * unit     what a number counts, or what a STRING is; help shows it as the option's argument
 * stat     its name in `stats settings`, NULL where memcached does not print it
 * refusal  memcached's message for a value out of range, NULL = one made from the row; one that says "greater than"
 *          is not used for values above the range
 */
#define MIB (1024.0 * 1024)

SETTING(memory_limit, SIZE, OPTION, ACTS, 'm', "memory-limit", 64 << 20, 1 * MIB, 16.0 * MIB * MIB, "megabytes",
    "maxbytes", NULL, "item memory")
SETTING(conn_limit, U32, OPTION, ACTS, 'c', "conn-limit", 1024, 1, INT32_MAX, "connections", "maxconns",
    "Maximum connections must be greater than 0", "connections at a time")
SETTING(port, I32, OPTION, ACTS, 'p', "port", 11211, -1, 65535, "port", "tcpport",
    "ERROR: Invalid port number %s.",
    "TCP port to listen on; 0 is off, -1 lets the system choose")
SETTING(udp_port, I32, OPTION, ACTS, 'U', "udp-port", 0, -1, 65535, "port", "udpport",
    "ERROR: Invalid port number %s.",
    "UDP port: there is no UDP, and any other than 0 is ignored with a warning")
SETTING(listen, LIST, OPTION, ACTS, 'l', "listen", NULL, 0, 0, "address", "inter", NULL,
    "addresses to listen on: host, host:port, [v6]:port, separated by commas; proto[ascii]:, proto[binary]: or "
    "proto[negotiating]: and tag[name]: in front are of that address alone (default: all interfaces)")
SETTING(verbosity, COUNT, OPTION, ACTS, 'v', "verbose", 0, 0, 3, "level", "verbosity", NULL,
    "log more than warnings: -v events, -vv also connections, commands and replies")
SETTING(oldest_live, U32, STATE, ACTS, 0, NULL, 0, 0, UINT32_MAX, "seconds", "oldest", NULL,
    "when the last flush_all took effect")
SETTING(evictions, SWITCH, OPTION, ACTS, 'M', "disable-evictions", true, 0, 0, "", "evictions", NULL,
    "return an error when memory is full instead of evicting (the same as --eviction=noeviction)")
SETTING(unix_socket, STRING, OPTION, ACTS, 's', "unix-socket", NULL, 0, 0, "file", "domain_socket", NULL,
    "path of a Unix socket to listen on (no network then), made as the user of -u")
SETTING(unix_mask, OCTAL, OPTION, ACTS, 'a', "unix-mask", 0700, 0, 0777, "mode", "umask", NULL,
    "access mode of the Unix socket, in octal")
SETTING(shutdown_command, BOOL, OPTION, ACTS, 'A', "enable-shutdown", false, 0, 0, "", "shutdown_command", NULL,
    "let clients stop the server with the shutdown command")
SETTING(growth_factor, DOUBLE, OPTION, ACTS, 'f', "slab-growth-factor", 1.08, 1.0, 1024.0, "factor",
    "growth_factor", "Factor must be greater than 1",
    "ratio of the chunk sizes of neighbouring classes (default: the built-in classes, about 1.08 apart)")
SETTING(chunk_size, U32, OPTION, ACTS, 'n', "slab-min-size", 48, 1, 524288, "bytes", "chunk_size",
    "Chunk size must be greater than 0", "the least room for key, value and flags; above 4096 as 4096")
SETTING(threads, U32, OPTION, ACTS, 't', "threads", 4, 1, 250, "threads", "num_threads",
    "Number of threads must be greater than 0", "worker threads")
SETTING(threads_per_udp, U32, STATE, ACTS, 0, NULL, 0, 0, UINT32_MAX, "threads", "num_threads_per_udp", NULL,
    "0: there is no UDP")
SETTING(prefix_delimiter, CHAR, OPTION, ACTS, 'D', "prefix-delimiter", ':', 0, 0, "character", "stat_key_prefix",
    "No delimiter specified",
    "character that ends a key's prefix; also turns on statistics by prefix, as stats detail on does")
SETTING(detail_enabled, BOOL, STATE, ACTS, 0, NULL, false, 0, 0, "", "detail_enabled", NULL,
    "whether statistics by prefix are kept")
SETTING(reqs_per_event, U32, OPTION, ACTS, 'R', "max-reqs-per-event", 20, 1, INT32_MAX, "requests",
    "reqs_per_event", "Number of requests per event must be greater than 0",
    "requests of one connection before others are served")
SETTING(cas, BOOL, OPTION, ACTS, 'C', "disable-cas", true, 0, 0, "", "cas_enabled", NULL,
    "show no CAS tokens; a cas never stores (items are no smaller for that)")
SETTING(backlog, U32, OPTION, ACTS, 'b', "listen-backlog", 1024, 0, INT32_MAX, "connections", "tcp_backlog", NULL,
    "connections that may wait to be accepted")
SETTING(protocol, PROTOCOL, OPTION, ACTS, 'B', "protocol", BINDING_AUTO, 0, 0, "name", "binding_protocol",
    "Invalid value for binding protocol: %s\n -- should be one of auto, binary, or ascii",
    "protocol to speak; auto goes by the first byte of a connection")
SETTING(sasl, BOOL, OPTION, ACTS, 'S', "enable-sasl", false, 0, 0, "", "auth_enabled_sasl", NULL,
    "SASL authentication (PLAIN) in the binary protocol, the only one then; the environment variable MEMCACHED_SASL_PWDB names a file of "
    "user:password lines")
SETTING(auth_file, STRING, OPTION, ACTS, 'Y', "auth-file", NULL, 0, 0, "file", "auth_enabled_ascii", NULL,
    "file of user:password lines for authentication in the text protocol, the only one then; SIGHUP reads it again")
SETTING(item_size_max, SIZE, OPTION, ACTS, 'I', "max-item-size", 1 << 20, 0, 1024 * 1024 * MIB, "bytes",
    "item_size_max", NULL, "the largest item, from 1k to 1024m")
SETTING(maxconns_fast, BOOL, SUB, ACTS, 0, "maxconns_fast", true, 0, 0, "", "maxconns_fast", NULL,
    "above the limit refuse connections with an error; without it they wait")
SETTING(hashpower, U32, SUB, ACTS, 0, "hashpower", 0, 12, 32, "power of 2", "hashpower_init",
    "Initial hashtable multiplier of %s is not between 12 and 32",
    "items that the index has room for at the start, as a power of two; it grows by itself")
SETTING(hashexpand, BOOL, SUB, COMPAT, 0, "hashexpand", true, 0, 0, "", NULL, NULL, "let the index grow")
SETTING(slab_reassign, BOOL, SUB, COMPAT, 0, "slab_reassign", true, 0, 0, "", "slab_reassign", NULL,
    "let pages move between classes")
SETTING(slab_automove, U32, SUB, ACTS, 0, "slab_automove", 1, 0, 2, "level", "slab_automove",
    "slab_automove must be between 0 and 2", "pages move between classes by themselves (0 = never)")
SETTING(slab_automove_ratio, DOUBLE, SUB, COMPAT, 0, "slab_automove_ratio", 0.8, 0, 1, "ratio",
    "slab_automove_ratio", "slab_automove_ratio must be > 0 and < 1", "age ratio at which pages move")
SETTING(slab_automove_window, U32, SUB, COMPAT, 0, "slab_automove_window", 10, 3, INT32_MAX, "seconds",
    "slab_automove_window", "slab_automove_window must be > 2", "window of the page mover")
SETTING(slab_chunk_max, SIZE, SUB, COMPAT, 0, "slab_chunk_max", 512 << 10, 1024, 1024 * MIB, "kilobytes",
    "slab_chunk_max", "could not parse argument to slab_chunk_max", "the largest chunk")
SETTING(slab_sizes, STRING, SUB, COMPAT, 0, "slab_sizes", NULL, 0, 0, "sizes", NULL, NULL,
    "chunk sizes, separated by dashes")
SETTING(chunked_items, BOOL, SUB, COMPAT, 0, "chunked_items", true, 0, 0, "", NULL, NULL,
    "chain chunks for large items")
SETTING(lru_crawler, BOOL, SUB, COMPAT, 0, "lru_crawler", true, 0, 0, "", "lru_crawler", NULL,
    "free expired items in the background (always done here)")
SETTING(lru_crawler_sleep, U32, SUB, COMPAT, 0, "lru_crawler_sleep", 100, 0, 1000000, "microseconds",
    "lru_crawler_sleep", "LRU crawler sleep must be between 0 and 1 second", "pause between two items")
SETTING(lru_crawler_tocrawl, U32, SUB, COMPAT, 0, "lru_crawler_tocrawl", 0, 0, UINT32_MAX, "items",
    "lru_crawler_tocrawl", "lru_crawler_tocrawl takes a numeric 32bit value", "items per class and run")
SETTING(tail_repair_time, U32, SUB, COMPAT, 0, "tail_repair_time", 0, 10, INT32_MAX, "seconds",
    "tail_repair_time", "Cannot set tail_repair_time to less than 10 seconds", "age at which a stuck item is freed")
SETTING(flush_enabled, BOOL, OPTION, ACTS, 'F', "disable-flush-all", true, 0, 0, "", "flush_enabled", NULL,
    "refuse flush_all")
SETTING(dump_enabled, BOOL, OPTION, ACTS, 'X', "disable-dumping", true, 0, 0, "", "dump_enabled", NULL,
    "refuse stats cachedump and lru_crawler metadump")
SETTING(watch_enabled, BOOL, OPTION, ACTS, 'W', "disable-watch", true, 0, 0, "", NULL, NULL, "refuse watch")
SETTING(hash_algorithm, HASH, SUB, COMPAT, 0, "hash_algorithm", HASH_XXH3, 0, 0, "name", "hash_algorithm",
    "Unknown hash_algorithm option (jenkins, murmur3, xxh3)", "hash function; xxh3 is used whatever is asked for")
SETTING(lru_maintainer, BOOL, SUB, COMPAT, 0, "lru_maintainer", true, 0, 0, "", "lru_maintainer_thread", NULL,
    "segmented LRU with its thread")
SETTING(lru_segmented, BOOL, STATE, COMPAT, 0, NULL, true, 0, 0, "", "lru_segmented", NULL, "as lru_maintainer")
SETTING(hot_lru_pct, U32, SUB, COMPAT, 0, "hot_lru_pct", 20, 1, 79, "percent", "hot_lru_pct",
    "hot_lru_pct must be > 1 and < 80", "share of the hot LRU")
SETTING(warm_lru_pct, U32, SUB, COMPAT, 0, "warm_lru_pct", 40, 1, 79, "percent", "warm_lru_pct",
    "warm_lru_pct must be > 1 and < 80", "share of the warm LRU")
SETTING(hot_max_factor, DOUBLE, SUB, COMPAT, 0, "hot_max_factor", 0.2, 0, 1e9, "factor", "hot_max_factor",
    "hot_max_factor must be > 0", "idle time at which an item leaves the hot LRU")
SETTING(warm_max_factor, DOUBLE, SUB, COMPAT, 0, "warm_max_factor", 2.0, 0, 1e9, "factor", "warm_max_factor",
    "warm_max_factor must be > 0", "idle time at which an item leaves the warm LRU")
SETTING(temp_lru, BOOL, STATE, COMPAT, 0, NULL, false, 0, 0, "", "temp_lru", NULL,
    "whether temporary_ttl was given")
SETTING(temporary_ttl, U32, SUB, COMPAT, 0, "temporary_ttl", 61, 0, UINT32_MAX, "seconds", "temporary_ttl", NULL,
    "lifetime below which an item goes to an LRU of its own")
SETTING(idle_timeout, U32, SUB, ACTS, 0, "idle_timeout", 0, 0, INT32_MAX, "seconds", "idle_timeout", NULL,
    "close connections that were silent for so long (0 = never)")
SETTING(watcher_logbuf_size, SIZE, SUB, ACTS, 0, "watcher_logbuf_size", 256 << 10, 1024, 1024 * MIB, "kilobytes",
    "watcher_logbuf_size", "could not parse argument to watcher_logbuf_size", "output buffer of a watcher")
SETTING(worker_logbuf_size, SIZE, SUB, COMPAT, 0, "worker_logbuf_size", 64 << 10, 1024, 1024 * MIB, "kilobytes",
    "worker_logbuf_size", "could not parse argument to worker_logbuf_size", "buffer of a worker's events for watchers")
SETTING(read_buf_mem_limit, SIZE, SUB, COMPAT, 0, "read_buf_mem_limit", 0, 0, 1024 * MIB * 1024, "megabytes",
    "read_buf_mem_limit", "could not parse argument to read_buf_mem_limit",
    "limit of the buffers of all connections (0 = none)")
SETTING(resp_obj_mem_limit, SIZE, SUB, COMPAT, 0, "resp_obj_mem_limit", 0, 0, 1024 * MIB * 1024, "megabytes", NULL,
    NULL, "replaced by read_buf_mem_limit in memcached too")
SETTING(track_sizes, BOOL, SUB, ACTS, 0, "track_sizes", false, 0, 0, "", "track_sizes", NULL,
    "let stats sizes report")
SETTING(inline_ascii_resp, BOOL, SUB, COMPAT, 0, "inline_ascii_resp", false, 0, 0, "", "inline_ascii_response",
    NULL, "keep the reply's head in the item")
SETTING(drop_privileges, BOOL, SUB, COMPAT, 0, "drop_privileges", false, 0, 0, "", NULL, NULL,
    "give up system calls that are not needed")
SETTING(relaxed_privileges, BOOL, SUB, COMPAT, 0, "relaxed_privileges", false, 0, 0, "", NULL, NULL,
    "of drop_privileges, keep those that memcached's tests need")
SETTING(modern, BOOL, SUB, ACTS, 0, "modern", false, 0, 0, "", NULL, NULL,
    "defaults of the next version; no_modern takes those of memcached 1.4 where they mean something here "
    "(no_maxconns_fast)")
SETTING(sock_cookie_id, U32, SUB, COMPAT, 0, "sock_cookie_id", 0, 0, UINT32_MAX, "number", NULL, NULL,
    "a number that marks our sockets for packet filters")
SETTING(strict, BOOL, OWNSUB, ACTS, 0, "strict", false, 0, 0, "", NULL, NULL,
    "close a connection after an error that leaves its data block in the stream, instead of reading that data as "
    "commands as memcached does")

SETTING(ext_path, LIST, SUB, UNNAMED, 0, "ext_path", NULL, 0, 0, "file", NULL, NULL, "file for external storage")
SETTING(ext_page_size, U32, SUB, UNNAMED, 0, "ext_page_size", 64, 0, INT32_MAX, "megabytes", NULL, NULL,
    "page size of external storage")
SETTING(ext_wbuf_size, U32, SUB, UNNAMED, 0, "ext_wbuf_size", 4, 0, INT32_MAX, "megabytes", NULL, NULL,
    "write buffer of external storage")
SETTING(ext_threads, U32, SUB, UNNAMED, 0, "ext_threads", 1, 0, INT32_MAX, "threads", NULL, NULL,
    "threads of external storage")
SETTING(ext_io_depth, U32, SUB, UNNAMED, 0, "ext_io_depth", 1, 0, INT32_MAX, "requests", NULL, NULL,
    "depth of external storage")
SETTING(ext_item_size, U32, SUB, UNNAMED, 0, "ext_item_size", 512, 0, INT32_MAX, "bytes", NULL, NULL,
    "items larger than this go to external storage")
SETTING(ext_item_age, U32, SUB, UNNAMED, 0, "ext_item_age", UINT32_MAX, 0, UINT32_MAX, "seconds", NULL, NULL,
    "items idle for longer go to external storage")
SETTING(ext_low_ttl, U32, SUB, UNNAMED, 0, "ext_low_ttl", 0, 0, UINT32_MAX, "seconds", NULL, NULL,
    "lifetimes that external storage keeps apart")
SETTING(ext_drop_unread, BOOL, SUB, UNNAMED, 0, "ext_drop_unread", false, 0, 0, "", NULL, NULL,
    "drop unread values in external storage")
SETTING(ext_recache_rate, U32, SUB, UNNAMED, 0, "ext_recache_rate", 2000, 0, UINT32_MAX, "accesses", NULL, NULL,
    "take an item back to memory once in so many accesses")
SETTING(ext_compact_under, U32, SUB, UNNAMED, 0, "ext_compact_under", 0, 0, UINT32_MAX, "pages", NULL, NULL,
    "free pages at which external storage is compacted")
SETTING(ext_drop_under, U32, SUB, UNNAMED, 0, "ext_drop_under", 0, 0, UINT32_MAX, "pages", NULL, NULL,
    "free pages at which external storage drops items")
SETTING(ext_max_frag, DOUBLE, SUB, UNNAMED, 0, "ext_max_frag", 0.8, 0, 1e9, "ratio", NULL, NULL,
    "fragmentation of external storage")
SETTING(ext_max_sleep, U32, SUB, UNNAMED, 0, "ext_max_sleep", 1000000, 0, UINT32_MAX, "microseconds", NULL, NULL,
    "longest pause of external storage's threads")
SETTING(slab_automove_freeratio, DOUBLE3, SUB, COMPAT, 0, "slab_automove_freeratio", 0.01, 0, 1e9, "ratio",
    "slab_automove_freeratio", "could not parse argument to slab_automove_freeratio", "share of memory to hold free")

SETTING(ssl_enabled, BOOL, OPTION, ABSENT, 'Z', "enable-ssl", false, 0, 0, "", "ssl_enabled",
    "This server is not built with TLS support.", "TLS")
SETTING(ssl_chain_cert, STRING, SUB, COMPAT, 0, "ssl_chain_cert", NULL, 0, 0, "file", NULL, NULL,
    "certificate chain file")
SETTING(ssl_key, STRING, SUB, COMPAT, 0, "ssl_key", NULL, 0, 0, "file", NULL, NULL, "private key file")
SETTING(ssl_verify_mode, U32, SUB, COMPAT, 0, "ssl_verify_mode", 0, 0, 3, "mode", NULL,
    "Invalid ssl_verify_mode. Use help to see valid options.", "whether peers need a certificate")
SETTING(ssl_keyformat, STRING, SUB, COMPAT, 0, "ssl_keyformat", NULL, 0, 0, "format", NULL, NULL, "format of the key")
SETTING(ssl_ciphers, STRING, SUB, COMPAT, 0, "ssl_ciphers", NULL, 0, 0, "list", NULL, NULL, "cipher list")
SETTING(ssl_ca_cert, STRING, SUB, COMPAT, 0, "ssl_ca_cert", NULL, 0, 0, "file", NULL, NULL, "acceptable client CAs")
SETTING(ssl_wbuf_size, U32, SUB, COMPAT, 0, "ssl_wbuf_size", 16, 0, INT32_MAX, "kilobytes", NULL, NULL,
    "TLS output buffer")
SETTING(ssl_session_cache, BOOL, SUB, COMPAT, 0, "ssl_session_cache", false, 0, 0, "", NULL, NULL,
    "resumption of sessions")
SETTING(ssl_kernel_tls, BOOL, SUB, COMPAT, 0, "ssl_kernel_tls", false, 0, 0, "", NULL, NULL,
    "TLS in the kernel")
SETTING(ssl_min_version, STRING, SUB, COMPAT, 0, "ssl_min_version", NULL, 0, 0, "version", NULL, NULL,
    "oldest version of TLS")

SETTING(napi_ids, U32, OPTION, COMPAT, 'N', "napi-ids", 0, 1, INT32_MAX, "number", "num_napi_ids",
    "Maximum number of NAPI IDs must be greater than 0", "number of NAPI identifiers")
SETTING(memory_file, STRING, OPTION, ACTS, 'e', "memory-file", NULL, 0, 0, "file", "memory_file", NULL,
    "file that keeps the items over a restart (on a tmpfs); SIGUSR1 saves it")
SETTING(daemonize, BOOL, OPTION, ACTS, 'd', "daemon", false, 0, 0, "", NULL, NULL, "run as a daemon")
SETTING(core_dumps, BOOL, OPTION, ACTS, 'r', "enable-coredumps", false, 0, 0, "", NULL, NULL,
    "raise the limit of core files")
SETTING(user, STRING, OPTION, ACTS, 'u', "user", NULL, 0, 0, "user", NULL, NULL,
    "user to run as (needed when started by root)")
SETTING(lock_memory, BOOL, OPTION, ACTS, 'k', "lock-memory", false, 0, 0, "", NULL, NULL, "lock all memory")
SETTING(large_pages, BOOL, OPTION, ACTS, 'L', "enable-largepages", false, 0, 0, "", NULL, NULL,
    "take all memory at once, in explicit huge pages if there are any")
SETTING(pid_file, STRING, OPTION, ACTS, 'P', "pidfile", NULL, 0, 0, "file", NULL, NULL,
    "write the process id to this file, as the user of -u; for use with -d")
SETTING(help, BOOL, OPTION, ACTS, 'h', "help", false, 0, 0, "", NULL, NULL, "print this help and exit")
SETTING(license, BOOL, OPTION, ACTS, 'i', "license", false, 0, 0, "", NULL, NULL, "print the licence and exit")
SETTING(version, BOOL, OPTION, ACTS, 'V', "version", false, 0, 0, "", NULL, NULL, "print the version and exit")

SETTING(eviction, EVICTION, OWN, ACTS, 0, "eviction", STORE_EVICT_S3FIFO, 0, 0, "policy", "eviction", NULL,
    "which items go when memory is full")
SETTING(eviction_samples, U32, OWN, ACTS, 0, "eviction-samples", 5, 1, 64, "items", "eviction_samples", NULL,
    "items that the sampling policies choose among")
SETTING(balance, BALANCE, OWN, ACTS, 0, "balance", STORE_BALANCE_HITS, 0, 0, "goal", "balance", NULL,
    "what memory of size classes is worth: the requests that it answers, their bytes, or between")
SETTING(promote_hits, U32, OWN, ACTS, 0, "promote-hits", 1, 1, 3, "hits", "promote_hits", NULL,
    "hits that keep a new item under s3fifo")
SETTING(pin, BOOL, OWN, ACTS, 0, "pin", true, 0, 0, "", "pin", NULL,
    "pin each worker to a core (default: when they take most of the cores)")
SETTING(io, IO, OWN, ACTS, 0, "io", IO_AUTO, 0, 0, "driver", "io", NULL, "how connections are served")

SETTING(peers, LIST, OWN, ACTS, 0, "peers", NULL, 0, 0, "nodes", "peers", NULL,
    "be one of these nodes, which form one cache: [name=]host:port[/peer-port][*weight], separated by commas, the same list on "
    "all; the peer port is that of the nodes among themselves (default: port + 10000)")
SETTING(node, STRING, OWN, ACTS, 0, "node", NULL, 0, 0, "name", "node", NULL,
    "which of --peers this is: its name or host:port (default: the one with an address and port that this server listens on)")
SETTING(secret, STRING, OWN, ACTS, 0, "secret", NULL, 0, 0, "file", "secret", NULL,
    "file that holds the secret of the cluster, 16 bytes or more, the same on all nodes and readable by nobody else")
SETTING(cluster_id, STRING, OWN, ACTS, 0, "cluster-id", NULL, 0, 0, "name", "cluster_id", NULL,
    "name of the cluster; nodes of another one are refused (default: ringcache)")
SETTING(ring, RING, OWN, ACTS, 0, "ring", RING_NATIVE, 0, 0, "kind", "ring", NULL,
    "how keys are placed: as clients of this kind do it, so that they find the owner by themselves")
SETTING(ring_points, U32, OWN, ACTS, 0, "ring-points", 0, 0, 1000, "points", "ring_points", NULL,
    "points of a node of weight 1 on the native ring (0: its default)")
SETTING(replicas, U32, OWN, ACTS, 0, "replicas", 1, 0, 8, "copies", "replicas", NULL,
    "copies of each item beside the owner's, on the next nodes of the ring")
SETTING(read_replicas, BOOL, OWN, ACTS, 0, "read-replicas", false, 0, 0, "", "read_replicas", NULL,
    "let a node answer reads from its copies, which may be a moment old, instead of asking the owner")
SETTING(min_replicas, U32, OWN, ACTS, 0, "min-replicas", 0, 0, 8, "copies", "min_replicas", NULL,
    "refuse writes while fewer copies than this can be kept")
SETTING(replication_backlog, SIZE, OWN, ACTS, 0, "replication-backlog", 64 << 20, 1 * MIB, 65536 * MIB, "megabytes",
    "replication_backlog", NULL, "memory that remembers changes for nodes that are away for a moment")
SETTING(peer_timeout, U32, OWN, ACTS, 0, "peer-timeout", 1000, 10, 60000, "milliseconds", "peer_timeout", NULL,
    "how long another node may take to answer")

#undef MIB
