/* cluster/tbl/ring_kinds.h: RING_KIND(symbol, name, points, text): the kinds of rings, once. Points are those of one node
 * (of weight 1; where a kind has no weights, of each node), as far as its original always yields them. */
RING_KIND(NATIVE,       "native",       150, "this project's own: MD5, weights, 150 points a node by default")
RING_KIND(LIBMEMCACHED, "libmemcached", 160, "libmemcached's KETAMA_WEIGHTED with equal weights; pylibmc, php-memcached")
RING_KIND(KETAMA100,    "ketama100",    100, "libmemcached's KETAMA: one-at-a-time hash")
RING_KIND(SPYMEMCACHED, "spymemcached", 160, "spymemcached's KetamaNodeLocator with KETAMA_HASH")
RING_KIND(TWEMPROXY,    "twemproxy",    160, "nutcracker with distribution ketama and hash fnv1a_64")
