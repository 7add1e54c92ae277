#!/usr/bin/python3
"""What a replica has acknowledged is there when its owner dies: several clients write and wait, and a node is killed under them.

    acknowledged.py [--writes N] [--kills N] [--seed N]

The network is slow, and the node is cut off a moment before it is killed: what it has sent by then may never arrive, as when a
machine dies. Every node answers reads from its own copies, so that the replicas can be asked while the owner is away.
"""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib
from labcluster import NODES, in_lab

KEYS = [b"w:%d" % n for n in range(900)]


class Writer(threading.Thread):
    """Writes keys of its own at one node until that is gone; knows what was acknowledged, and what may be there as well."""

    def __init__(self, cluster, node, keys, seed):
        super().__init__(daemon=True)
        self.connection = cluster.connect(node)
        self.keys = keys
        self.chance = random.Random(seed)
        self.acknowledged = {}
        self.perhaps = {}
        self.writes = 0
        self.failure = None
        self.going = True

    def batch(self, c):
        some = {key: b"%d" % self.chance.getrandbits(40)
                for key in self.chance.sample(self.keys, self.chance.choice((1, 1, 5, 20)))}
        for key, value in some.items():
            self.perhaps.setdefault(key, set()).add(value)
        if self.chance.randrange(2):
            c.send(b"".join(b"set %s 0 0 %d\r\n%s\r\n" % (k, len(v), v) for k, v in some.items()) + b"wait 1 1000\r\n")
            good = [c.line() == b"STORED\r\n" for _ in some]
            waited = c.line() == b"WAIT 1\r\n"
            good = [waited and one for one in good]
        else:
            c.send(b"".join(b"ms %s %d Psync=1\r\n%s\r\n" % (k, len(v), v) for k, v in some.items()))
            good = [c.line() == b"HD\r\n" for _ in some]
        for (key, value), one in zip(some.items(), good):
            if one:
                self.acknowledged[key] = value
                self.perhaps[key] = set()
                self.writes += 1

    def run(self):
        try:
            with self.connection as c:
                while self.going:
                    self.batch(c)
        except TimeoutError as error:
            self.failure = error
        except (OSError, EOFError):
            pass


def forwarded(c):
    c.send(b"stats threads\r\n")
    lines = c.until(b"END\r\n").split(b"\r\n")
    return sum(int(line.split()[2]) for line in lines if line.split()[1:2] and line.split()[1].endswith(b"forwarded_out"))


def owners_of(cluster):
    """Key to the node that asks nobody about it."""
    owners = {}
    for node in NODES:
        with cluster.connect(node) as c:
            before = forwarded(c)
            for key in KEYS:
                testlib.wait_for(lambda: c.ask(b"touch %s 0\r\n" % key) == b"NOT_FOUND\r\n", "answer of the owner")
                after = forwarded(c)
                if after == before:
                    owners[key] = node
                before = after
    return owners


def copies(cluster, nodes, keys):
    """Key to the values that NODES have of their own; a key that they would ask the dead owner for has none."""
    found = {key: [] for key in keys}
    for node in nodes:
        with cluster.connect(node) as c:
            for key in keys:
                c.send(b"get %s\r\nmn\r\n" % key)
                answer = c.until(b"MN\r\n")
                if answer.startswith(b"VALUE"):
                    found[key].append(answer.split(b"\r\n")[1])
    return found


def one_kill(lab, cluster, owners, chance):
    """Returns how many writes were acknowledged, and how many keys looked at."""
    dead = chance.choice(NODES)
    rest = [node for node in NODES if node != dead]
    lab.rule(None, None, delay=chance.choice((1, 5)))
    mine = [key for key in KEYS if owners[key] == dead]
    others = [key for key in KEYS if owners[key] != dead] + mine[3::4]
    pools = [mine[0::4], mine[1::4], mine[2::4], others[0::2], others[1::2]]
    writers = [Writer(cluster, node, keys, chance.getrandbits(40)) for node, keys in zip([dead, dead, dead, *rest], pools)]
    for writer in writers:
        writer.start()
    time.sleep(chance.uniform(0.05, 0.4))
    lab.partition([dead], rest)
    time.sleep(chance.choice((0, 0.002, 0.02)))
    cluster.kill(dead)
    for writer in writers:
        writer.going = False
    looked = 0
    for writer in writers:
        writer.join(testlib.PATIENCE)
        assert not writer.is_alive() and writer.failure is None, "a client got no answer: %r" % writer.failure
        for key, values in copies(cluster, rest, writer.acknowledged).items():
            may = {writer.acknowledged[key], *writer.perhaps[key]}
            assert values and set(values) <= may, "%r was acknowledged as %r, and is %r" % (
                key, writer.acknowledged[key], values)
            looked += 1
    lab.heal()
    cluster.start(dead)
    cluster.renew_probes()
    cluster.wait_linked()
    return sum(writer.writes for writer in writers), looked


def main():
    arguments = testlib.arguments_of(__doc__, writes=4000, kills=10)
    kills = writes = looked = 0
    with in_lab(arguments.seed, (1,)) as (lab, (cluster,)):
        owners = owners_of(cluster)
        while writes < arguments.writes or kills < arguments.kills:
            done = one_kill(lab, cluster, owners, arguments.chance)
            kills += 1
            writes += done[0]
            looked += done[1]
    print("%d acknowledged writes, %d kills, %d keys looked at on the replicas" % (writes, kills, looked))


if __name__ == "__main__":
    main()
