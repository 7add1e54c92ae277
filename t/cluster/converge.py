#!/usr/bin/python3
"""Copies become the same: clients change few keys at all nodes at once while the network loses, delays and cuts.

    converge.py [--rounds N] [--seed N]

Two clusters of three nodes, with one and with two replicas, live in one network of their own. A round has a seed: its clients and
its faults come from it. When the clients have stopped and the network is healed, and each worker of each node has its links
again (a command that must be forwarded is answered), all copies become the same, and in most rounds within a second: version,
flags, expiry, value, and as many of them as there should be.
"""

import os
import random
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib
from labcluster import NODES, QUIET, in_lab

KEYS = [b"key:%d" % n for n in range(40)]


def value_of(chance):
    size = chance.choice((0, 1, 8, 30, 30, 300, 5000, 20000, 200000))
    return b"%d" % chance.randrange(10 ** size) if size in (1, 8) else b"abcdefghij"[chance.randrange(10):][:1] * size


def command(chance):
    """One of those that change something."""
    key = chance.choice(KEYS)
    what = chance.randrange(16)
    value = value_of(chance)
    flags, ttl = chance.choice((0, 7)), chance.choice((0, 0, 900))
    if what in (0, 1):
        return b"delete %s\r\n" % key
    if what == 2:
        return b"touch %s %d\r\n" % (key, chance.randrange(500, 5000))
    if what == 3:
        return b"gat %d %s\r\n" % (chance.randrange(500, 5000), key)
    if what == 4:
        return b"md %s I T100\r\n" % key
    if what == 5:
        return b"%s %s 5\r\n" % (chance.choice((b"incr", b"decr")), key)
    if what == 6:
        return b"cas %s %d %d %d %d\r\n%s\r\n" % (key, flags, ttl, len(value), chance.randrange(9), value)
    if what in (7, 8, 9):
        return b"ms %s %d F%d T%d\r\n%s\r\n" % (key, len(value), flags, ttl, value)
    if what == 10:
        return b"append %s 0 0 3\r\nxyz\r\n" % key
    if what == 11 and chance.randrange(20) == 0:
        return b"flush_all\r\n"
    return b"%s %s %d %d %d\r\n%s\r\n" % (chance.choice((b"set", b"set", b"add")), key, flags, ttl, len(value), value)


class Client(threading.Thread):
    """Changes things at one node until it is told to stop; errors of peers are let be, the rest is answered in time."""

    def __init__(self, cluster, node, seed):
        super().__init__(daemon=True)
        self.connection = cluster.connect(node)
        self.chance = random.Random(seed)
        self.going = True
        self.failure = None

    def run(self):
        try:
            while self.going:
                self.connection.send(b"".join(command(self.chance) for _ in range(self.chance.choice((1, 3, 8)))) + b"mn\r\n")
                self.connection.until(b"MN\r\n")
                time.sleep(0.004)
        except (OSError, EOFError) as error:
            self.failure = error
        self.connection.close()


def disturb(lab, chance):
    """Some faults, one on the other or one after the other."""
    for _ in range(chance.choice((1, 2, 3))):
        source, target = chance.sample(NODES, 2)
        what = chance.randrange(6)
        if what == 0:
            lab.partition([source], [n for n in NODES if n != source])
        elif what == 1:
            lab.cut(source, target)
        elif what == 2:
            lab.cut(source, target)
            lab.cut(target, source)
        elif what == 3:
            lab.rule(None, None, delay=chance.choice((1, 10)), jitter=10)
        elif what == 4:
            lab.rule(source, target, drop=chance.choice((0.02, 0.2)), repeat=0.1)
        else:
            lab.rule(None, None, drop=0.03, repeat=0.03, jitter=3)
        time.sleep(chance.choice((0.02, 0.05, 0.1, 0.1, 0.4)))
        if chance.randrange(2):
            lab.heal()
            time.sleep(0.03)


def one_round(lab, clusters, seed):
    """Returns the seconds that links took to come back, those that the copies took after that, and the keys that there are."""
    chance = random.Random(seed)
    clients = [Client(cluster, n, seed * 100 + n) for cluster in clusters for n in NODES]
    for client in clients:
        client.start()
    disturb(lab, chance)
    for client in clients:
        client.going = False
    lab.heal()
    for client in clients:
        client.join(testlib.PATIENCE)
        assert not client.is_alive() and client.failure is None, "a client got no answer: %r" % client.failure
    begin = time.monotonic()
    for cluster in clusters:
        cluster.wait_linked()
    links = time.monotonic() - begin
    found = [cluster.assert_converges() for cluster in clusters]
    return links, max(took for _, took in found), min(count for count, _ in found)


def main():
    arguments = testlib.arguments_of(__doc__, rounds=25)
    seeds = range(arguments.seed, arguments.seed + arguments.rounds)
    rounds = []
    with in_lab(arguments.seed, (1, 2)) as (lab, clusters):
        for seed in seeds:
            try:
                rounds.append(one_round(lab, clusters, seed))
            except AssertionError as error:
                raise AssertionError("seed %d (repeat with --seed %d): %s" % (seed, seed, error)) from error
    links, copies, counts = zip(*rounds)
    print("%d rounds, two clusters each; links after %.2f s (%.2f at most), copies after %.2f s (%.2f) more; %d keys on average" % (
        len(rounds), statistics.median(links), max(links), statistics.median(copies), max(copies), statistics.mean(counts)))
    assert max(counts) > len(KEYS) / 2, "never more than %d keys to compare" % max(counts)
    assert statistics.median(copies) < QUIET, "copies took %.2f s to become the same" % statistics.median(copies)


if __name__ == "__main__":
    main()
