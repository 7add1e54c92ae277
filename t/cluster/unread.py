#!/usr/bin/python3
"""Clients that ask a node for far more than they read, of keys of other nodes: neither it nor those hold it all for them.

    unread.py [--only NAME] [--seed N]
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

CLIENTS = 30
GETS = 500
BOUND = 64 << 20
QUARANTINE = 256 << 20  # what the address sanitizer keeps of freed memory
OPTIONS = ["-m", "256", "-t", "2"]


def value_of(key, size):
    """SIZE bytes that nobody takes for another key's."""
    text = b"<%s>" % key
    return (text * (size // len(text) + 1))[:size]


def fill(cluster, keys, size):
    with cluster.connect() as c:
        for key in keys:
            assert c.ask(b"set %s 0 0 %d\r\n%s\r\n" % (key, size, value_of(key, size))) == b"STORED\r\n"


def not_of(cluster, node, count):
    """COUNT keys of which NODE is not the primary."""
    keys, n = [], 0
    with node.connect() as c:
        while len(keys) < count:
            key, n = b"key:%d" % n, n + 1
            before = int(node.stats("cluster")["n0:forwarded_out"])
            assert c.ask(b"mg %s\r\n" % key) == b"EN\r\n"
            if int(node.stats("cluster")["n0:forwarded_out"]) > before:
                keys.append(key)
    return keys


def settled(cluster):
    """Whether nothing moves any more between the nodes and their clients."""
    def moved():
        stats = [node.stats() for node in cluster.nodes]
        # This question is itself an answer of a few KB at each node.
        return sum(int(one["bytes_written"]) for one in stats), sum(node.rss() for node in cluster.nodes)
    written, memory = moved()
    time.sleep(0.5)
    more, most = moved()
    return more - written < 100000 and most - memory < 1 << 20


def unread(cluster, keys, size, request, answer):
    """CLIENTS send GETS of REQUEST and read nothing; then some go, and the others read all that they have asked for."""
    node = cluster.nodes[0]
    base = [one.rss() for one in cluster.nodes]
    clients = [testlib.Connection(node.port) for _ in range(CLIENTS)]
    asked = [keys[n % len(keys)] for n in range(GETS)]
    for c in clients:
        c.send(b"".join(request(key) for key in asked))
    testlib.wait_for(lambda: settled(cluster), "end of all movement")
    more = [one.rss() - before for one, before in zip(cluster.nodes, base)]
    print("%d clients, %d unread answers of %d bytes each: %s MB" % (
        CLIENTS, GETS, size, ", ".join("%.1f" % (n / (1 << 20)) for n in more)))
    bound = BOUND + (QUARANTINE if testlib.is_sanitized() else 0)
    assert max(more) < bound, "a node has taken %.1f MB" % (max(more) / (1 << 20))
    for c in clients[2:]:
        c.reset()
    for c in clients[:2]:
        for n, key in enumerate(asked):
            wanted = answer(key, value_of(key, size))
            got = c.exactly(len(wanted))
            assert got == wanted, "answer %d: %r..." % (n, got[:80])
        assert c.ask(b"mn\r\n") == b"MN\r\n"
        c.close()


def get(key):
    return b"get %s\r\n" % key


def got(key, value):
    return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value)


def meta(key):
    return b"mg %s v k\r\n" % key


def meta_got(key, value):
    return b"VA %d k%s\r\n%s\r\n" % (len(value), key, value)


def story(cluster, chance, size, request, answer):
    keys = not_of(cluster, cluster.nodes[0], 40)
    fill(cluster, keys, size)
    unread(cluster, keys, size, request, answer)


def long_values(cluster, chance):
    story(cluster, chance, 1000000, get, got)


def long_values_of_meta(cluster, chance):
    story(cluster, chance, 1000000, meta, meta_got)


def values_that_are_copied(cluster, chance):
    story(cluster, chance, 60000, get, got)


def values_that_are_copied_of_meta(cluster, chance):
    story(cluster, chance, 60000, meta, meta_got)


def after_small_ones(cluster, chance):
    """What a connection was given before is no promise."""
    keys = not_of(cluster, cluster.nodes[0], 40)
    fill(cluster, keys, 60000)
    fill(cluster, [b"small"], 10)

    def request(key):
        return get(b"small") * 5 + get(key)

    def answer(key, value):
        return got(b"small", value_of(b"small", 10)) * 5 + got(key, value)
    unread(cluster, keys, 60000, request, answer)


STORIES = [long_values, long_values_of_meta, values_that_are_copied, values_that_are_copied_of_meta, after_small_ones]


def main():
    arguments = testlib.arguments_of(__doc__)
    testlib.tell(STORIES, arguments, lambda story: testlib.Cluster(3, OPTIONS, arguments.seed))


if __name__ == "__main__":
    main()
