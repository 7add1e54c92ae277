#!/usr/bin/python3
"""An owner that starts anew while it is cut off from its copies: what it acknowledges then is newer than they are.

    alone.py [--rounds N] [--seed N]

In each round all copies are made the same; one node is killed, cut off and started: it changes what it owns, and the network is
healed. Of what it acknowledged nothing may be as it was before.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib
from labcluster import NODES, in_lab

KEYS = [b"key:%d" % n for n in range(90)]
OLD, NEW = b"old", b"new"


def fill(cluster):
    """Each key was changed more often than a node can change it that knows of no number but the first. Once more, where a busy machine
    broke a link: what went over that may not have been copied."""
    def changed():
        for key in KEYS:
            testlib.wait_for(lambda: c.set(key, OLD) == b"STORED\r\n", "value that is stored")
        return c.ask(b"wait 1 3000\r\n") == b"WAIT 1\r\n"
    c = cluster.connect(1)
    for _ in range(20):
        testlib.wait_for(changed, "changes that are copied")
    c.close()


def change(cluster, node):
    """What NODE has acknowledged: key to its value, None where it was deleted."""
    known = {}
    c = cluster.connect(node)
    for n, key in enumerate(KEYS):
        if n % 3 == 0 and c.ask(b"delete %s\r\n" % key) in (b"NOT_FOUND\r\n", b"DELETED\r\n"):
            known[key] = None
        elif n % 3 and c.set(key, NEW) == b"STORED\r\n":
            known[key] = NEW
    c.close()
    return known


def one_round(lab, cluster, node):
    fill(cluster)
    cluster.kill(node)
    lab.partition([node], [n for n in NODES if n != node])
    cluster.start(node)
    known = change(cluster, node)
    lab.heal()
    cluster.renew_probes()
    cluster.wait_linked()
    cluster.assert_converges()
    for other in NODES:
        with cluster.connect(other) as c:
            for key, value in known.items():
                found = c.get(key)
                assert found == value, "node %d has %r as %r, and not as %r" % (other, key, found, value)
    assert known, "node %d has acknowledged nothing" % node
    print("node %d: %d changes" % (node, len(known)))


def main():
    arguments = testlib.arguments_of(__doc__, rounds=1)
    for number in range(arguments.rounds):
        for node in NODES:
            # each in a cluster of its own, since it holds once in an epoch
            with in_lab(arguments.seed + number, (1,)) as (lab, clusters):
                one_round(lab, clusters[0], node)


if __name__ == "__main__":
    main()
