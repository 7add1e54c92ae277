#!/usr/bin/python3
"""What was deleted or flushed stays gone, and what was waited for is not older, when nodes come back that knew nothing of it.

    gone.py [--rounds N] [--seed N]

In each round all copies are made the same; then one node is cut off, changes are made at the others, one of these is killed and
starts again empty, and the network is healed: by then the two that knew of a change are the one killed and one more.
"""

import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib
from labcluster import NODES, in_lab

COUNT = 40


def stored(c, key, value):
    """Again, where a node did not answer in time."""
    testlib.wait_for(lambda: c.set(key, value) == b"STORED\r\n", "value that is stored")


def fill(cluster, keys, value):
    """All keys get VALUE, at nodes of chance, and all replicas have it."""
    c = cluster.connect(1)
    for key in keys:
        stored(c, key, value)
    wanted = cluster.copies - 1
    assert c.ask(b"wait %d 60000\r\n" % wanted) == b"WAIT %d\r\n" % wanted
    c.close()


def change(cluster, node, keys, chance):
    """Changes some keys, each waiting for one replica; returns what was acknowledged: key to its new value or None."""
    known = {}
    c = cluster.connect(node)
    for key in keys:
        what = chance.randrange(3)
        if what == 0:
            continue
        if c.ask(b"md %s Psync=1\r\n" % key if what == 1 else b"ms %s 3 Psync=1\r\nnew\r\n" % key) == b"HD\r\n":
            known[key] = None if what == 1 else b"new"
    c.close()
    return known


def seen(cluster, node, keys):
    """What NODE answers; a key that it has no answer for is left out."""
    c = cluster.connect(node)
    found = {}
    for key in keys:
        c.send(b"get %s\r\nmn\r\n" % key)
        answer = c.until(b"MN\r\n")
        if not answer.startswith(b"SERVER_ERROR"):
            found[key] = answer.split(b"\r\n")[1] if answer.startswith(b"VALUE") else None
    c.close()
    return found


def check(cluster, known, when):
    for node in NODES:
        for key, value in seen(cluster, node, known).items():
            assert value == known[key], "%s, node %d has %r as %r, and not as %r" % (when, node, key, value, known[key])


def one_round(lab, cluster, seed):
    """Returns how many changes were acknowledged."""
    chance = random.Random(seed)
    keys = [b"r%d:%d" % (seed % 1000, n) for n in range(COUNT)]
    fill(cluster, keys, b"old")
    away, killed, other = chance.sample(NODES, 3)
    lab.partition([away], [killed, other])
    known = change(cluster, other, keys, chance)
    cluster.kill(killed)
    if chance.randrange(2):
        lab.heal()
        cluster.start(killed)
    else:
        cluster.start(killed)
        time.sleep(chance.choice((0, 0.2)))
        lab.heal()
    cluster.renew_probes()
    cluster.wait_linked()
    cluster.assert_converges()
    check(cluster, known, "after all")
    c = cluster.connect(away)
    testlib.wait_for(lambda: c.ask(b"flush_all\r\n") == b"OK\r\n", "flush of all nodes")
    c.close()
    cluster.kill(away)
    cluster.start(away)
    cluster.renew_probes()
    cluster.wait_linked()
    check(cluster, {key: None for key in keys}, "after a flush")
    return len(known)


def main():
    arguments = testlib.arguments_of(__doc__, rounds=3)
    with in_lab(arguments.seed, (1, 2)) as (lab, clusters):
        for seed in range(arguments.seed, arguments.seed + arguments.rounds):
            for cluster in clusters:
                cluster.wait_linked()
                try:
                    changes = one_round(lab, cluster, seed)
                except AssertionError as error:
                    raise AssertionError("seed %d, %d replicas: %s" % (seed, cluster.copies - 1, error)) from error
                print("seed %d, %d replicas: %d changes" % (seed, cluster.copies - 1, changes))


if __name__ == "__main__":
    main()
