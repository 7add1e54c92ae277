#!/usr/bin/python3
"""Copies are worth having: when a node is gone, those of its keys that were read often are there at the other, as they were before.

    failover_heat.py [--operations N] [--seed N]

Two nodes with full memories, a load of Zipf's at one of them until it is steady. Then that one is killed and taken out of the list,
and the same load goes on at the other.
"""

import itertools
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

KEYS = 100000
SIZE = 1000
BATCH = 200
KEPT = 0.98


class Load:
    """Reads keys as often as Zipf says, and sets what is not there."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.names = list(range(KEYS))
        self.chance.shuffle(self.names)
        self.weights = list(itertools.accumulate(1 / (n + 1) ** 0.99 for n in range(KEYS)))

    def run(self, node, operations):
        """The hit ratio."""
        hits = 0
        with node.connect() as c:
            for _ in range(operations // BATCH):
                some = [b"z:%d" % n for n in self.chance.choices(self.names, cum_weights=self.weights, k=BATCH)]
                c.send(b"".join(b"mg %s k q\r\n" % key for key in some) + b"mn\r\n")
                found = c.until(b"MN\r\n").split(b"\r\n")[:-2]
                assert all(line.startswith(b"HD kz:") for line in found), found[:3]
                hits += len(found)
                missing = set(some).difference(line[4:] for line in found)
                c.send(b"".join(b"ms %s %d q\r\n%s\r\n" % (key, SIZE, b"v" * SIZE) for key in missing) + b"mn\r\n")
                assert c.until(b"MN\r\n") == b"MN\r\n"
        return hits / (operations // BATCH * BATCH)


def take_out(cluster, dead, other):
    """OTHER is alone from now on."""
    peers = next(option for option in other.options if option.startswith("--peers="))[8:].split(",")
    mine = next(peer for peer in peers if ":%d/" % other.port in peer)
    cluster.nodes.remove(dead)
    dead.kill()
    subprocess.run([testlib.ringctl_path(), "-s", "127.0.0.1:%d" % other.port, "-S", cluster.secret.name, "nodes", "set", mine],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def alone():
        with other.connect() as c:
            return not any(b"ERROR" in c.ask(b"touch probe:%d 0\r\n" % n) for n in range(50))
    testlib.wait_for(alone, "the new list of nodes")


def main():
    arguments = testlib.arguments_of(__doc__, operations=200000)
    load = Load(arguments.seed)
    with testlib.Cluster(2, ["-m", "32", "-t", "2"], arguments.seed) as cluster:
        owner, other = cluster.nodes
        load.run(owner, 2 * arguments.operations)
        before = load.run(owner, arguments.operations)
        evictions = [int(node.stats()["evictions"]) for node in cluster.nodes]
        take_out(cluster, owner, other)
        first = load.run(other, arguments.operations // 10)
        print("hits: %.4f before, %.4f in the first tenth after; evictions %s" % (before, first, evictions))
        assert min(evictions) > 1000, "memory is not full"
        assert first >= KEPT * before, "hits fell from %.4f to %.4f" % (before, first)


if __name__ == "__main__":
    main()
