#!/usr/bin/python3
"""A node that has come back empty is asked to delete what it does not have any more: the copies must not bring it back.

    missed.py [--rounds N] [--seed N]

It answers that there is no such key, or that it has deleted what it has again by then: in both cases the client has been told that
the key is gone. Every other key is left alone: when these are back, the copies have said what they had.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

COUNT = 6000
VALUE = b"v" * 200
TOO_LARGE = b"x" * (1 << 20)
WAYS = (
    (b"delete %s\r\n", (b"DELETED\r\n", b"NOT_FOUND\r\n"), 1),
    (b"md %s\r\n", (b"HD\r\n", b"NF\r\n"), 1),
    (b"set %%s 0 0 %d\r\n%s\r\n" % (len(TOO_LARGE), TOO_LARGE), (b"SERVER_ERROR object too large for cache\r\n",), 100),
)


def found(c, keys):
    """Those of KEYS that are there."""
    there = set()
    for at in range(0, len(keys), 500):
        c.send(b"get %s\r\n" % b" ".join(keys[at:at + 500]))
        while (head := c.line()) != b"END\r\n":
            assert head.startswith(b"VALUE "), head
            there.add(head.split()[1])
            c.exactly(len(VALUE) + 2)
    return there


def leaves_nothing(cluster):
    """Whether a deletion of what is nowhere is nothing to remember, at each node: that is so once they have compared."""
    before = cluster.stats("replication")["tombstones"]
    for node in cluster.nodes:
        with testlib.Connection(node.port) as c:
            c.send(b"".join(b"delete nowhere:%d noreply\r\n" % n for n in range(50)) + b"mn\r\n")
            c.until(b"MN\r\n")
    return cluster.stats("replication")["tombstones"] == before


def one_round(cluster, number):
    command, answers, step = WAYS[number % len(WAYS)]
    killed = cluster.nodes[number % len(cluster.nodes)]
    keys = [b"r%d:%d" % (number, n) for n in range(COUNT)]
    with testlib.Connection(killed.port) as c:
        c.send(b"".join(b"set %s 0 0 %d noreply\r\n%s\r\n" % (key, len(VALUE), VALUE) for key in keys))
        assert c.ask(b"wait 1 60000\r\n") == b"WAIT 1\r\n"
    killed.restart()
    gone, kept = keys[0::2 * step], keys[1::2]
    with testlib.Connection(killed.port) as c:
        c.send(b"".join(command % key for key in gone))
        told = [key for key in gone if c.line() in answers]
        cluster.wait()

        def kept_are_back():
            back = found(c, told)
            assert not back, "%d of %d keys came back, such as %s" % (len(back), len(told), back.pop().decode())
            return len(found(c, kept)) == len(kept)
        testlib.wait_for(kept_are_back, "keys that were left alone")
        kept_are_back()
    testlib.wait_for(lambda: leaves_nothing(cluster), "nodes that have compared")
    print("%s: %d of %d keys were told to be gone, and stayed away" % (command.split()[0].decode(), len(told), len(gone)))


def main():
    arguments = testlib.arguments_of(__doc__, rounds=3)
    with testlib.Cluster(3, ["-m", "256", "-t", "2"], arguments.seed) as cluster:
        for number in range(arguments.rounds):
            one_round(cluster, number)


if __name__ == "__main__":
    main()
