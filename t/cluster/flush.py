#!/usr/bin/python3
"""flush_all with a delay: all nodes do it, also one that was away when it was given, and the last flush_all is the one that counts.

    flush.py [--only NAME] [--seed N]
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

OPTIONS = ["-m", "64", "-t", "2"]
KEYS = [b"key:%d" % n for n in range(60)]


def fill(cluster):
    with cluster.nodes[0].connect() as c:
        for key in KEYS:
            testlib.wait_for(lambda: c.set(key, b"value") == b"STORED\r\n", "value that is stored")


def left(cluster):
    with cluster.nodes[0].connect() as c:
        def value(key):
            answer = c.ask(b"get %s\r\nmn\r\n" % key, b"MN\r\n")
            return None if answer.startswith(b"SERVER_ERROR") else answer
        return sum(testlib.wait_for(lambda: value(key), "answer").startswith(b"VALUE") for key in KEYS)


def flush(cluster, line):
    with cluster.nodes[0].connect() as c:
        testlib.wait_for(lambda: c.ask(line) == b"OK\r\n", "answer to %r" % line)


def now(cluster):
    """The time of the node that is behind most."""
    return min(int(node.stats()["time"]) for node in cluster.nodes if node.alive())


def pass_by(cluster, seconds):
    """So many seconds, as the nodes see them."""
    end = now(cluster) + seconds
    testlib.wait_for(lambda: now(cluster) >= end, "%d seconds" % seconds)


def all_nodes_do_it(cluster, chance):
    fill(cluster)
    flush(cluster, b"flush_all 2\r\n")
    testlib.wait_for(lambda: left(cluster) == 0, "flush")
    fill(cluster)
    pass_by(cluster, 2)
    assert left(cluster) == len(KEYS)


def one_was_away(cluster, chance):
    """It comes back before it is due, and has items by then; those of its own keys, too, are gone after."""
    for delay in (6, 20, 40):  # the machine may be busy
        cluster.nodes[2].kill()
        due = now(cluster) + delay
        with cluster.nodes[0].connect() as c:
            answer = c.ask(b"flush_all %d\r\n" % delay)
            assert answer.startswith(b"SERVER_ERROR peer n2"), answer
        cluster.nodes[2].start()
        cluster.wait()
        fill(cluster)
        if now(cluster) < due:
            break
    testlib.wait_for(lambda: left(cluster) == 0, "flush")
    fill(cluster)
    pass_by(cluster, 2)
    assert left(cluster) == len(KEYS)


def the_last_one_counts(cluster, chance):
    for later in (b"flush_all\r\n", b"flush_all 1000\r\n"):
        fill(cluster)
        flush(cluster, b"flush_all 2\r\n")
        flush(cluster, later)
        fill(cluster)
        pass_by(cluster, 4)
        assert left(cluster) == len(KEYS), "flush_all 2, though there was %r" % later


STORIES = [all_nodes_do_it, one_was_away, the_last_one_counts]


def main():
    arguments = testlib.arguments_of(__doc__)

    def setting(story):
        return testlib.Cluster(3, OPTIONS + (["--peer-timeout=2000"] if story is one_was_away else []), arguments.seed)
    testlib.tell(STORIES, arguments, setting)


if __name__ == "__main__":
    main()
