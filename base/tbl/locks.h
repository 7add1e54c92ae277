/* base/tbl/locks.h: every lock of the program, once. A thread takes locks only in growing rank; two
 * locks of one rank are never held together. With --enable-lock-checks each take asserts it.
 *
 * LOCK(name, rank, what it guards)
 */
LOCK(CONFIG, 10, "changes of settings at run time")
LOCK(CLUSTER, 15, "what the cluster's thread is asked for; or when the cluster is to be flushed")
LOCK(CONNS, 20, "a worker's list of connections, for stats conns")
LOCK(JOIN, 25, "appending and prepending to some keys")
LOCK(GROW, 30, "the growth of the hash table: who splits the next bucket")
LOCK(MOVE, 35, "moving a page between classes: one at a time")
LOCK(STRIPE, 40, "the buckets, items and versions of one stripe")
LOCK(CLASS, 50, "the queues, free chunks and pages of one size class")
LOCK(PAGES, 60, "the pool of free pages and the page table")
LOCK(OVERFLOW, 70, "the pool of overflow buckets")
LOCK(TOMBSTONE, 71, "some buckets of the table of deleted keys")
LOCK(MUTATIONS, 72, "mutations by threads that are no workers, on their way to one")
LOCK(PREFIXES, 75, "the counts of stats detail")
LOCK(WATCH, 77,
    "the watchers and their buffers; taken under a stripe's lock when an item is evicted")
LOCK(AUTH, 78, "names and passwords")
LOCK(THREADS, 79, "the numbers of the threads that call stores")
LOCK(HANDOFF, 80, "connections handed from the accept thread to a worker")
