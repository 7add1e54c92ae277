#!/usr/bin/python3
"""Copies: whatever happens to nodes, all copies of a key become the same, and what was waited for is on a replica.

    replication.py [--seconds S] [--writes N] [--only NAME] [--seed N]
"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

NODES = 3
OPTIONS = ["-m", "64", "-t", "2", "--peer-timeout=300", "--read-replicas"]
KEYS = 400
FAILURES = (EOFError, ConnectionError, TimeoutError, OSError)


def dump(node):
    """Key to version, expiry and size of all that the node holds."""
    with node.connect() as c:
        return {key: (int(fields[b"cas"]), int(fields[b"exp"]), int(fields[b"size"])) for key, fields in c.metadump().items()}


def differences(cluster, copies):
    """What is not as it should be: each key on COPIES nodes, all of them alike but for a second of the expiry."""
    found = {}
    for node in cluster.nodes:
        for key, item in dump(node).items():
            found.setdefault(key, []).append(item)
    wrong = []
    for key, items in found.items():
        alike = all(i[0] == items[0][0] and i[2] == items[0][2] and abs(i[1] - items[0][1]) <= 1 for i in items)
        if len(items) != copies or not alike:
            wrong.append((key, items))
    return wrong, len(found)


def miscounted(cluster):
    """What `stats cluster` says of items and copies that is not so, where nothing moves."""
    held = [set(dump(node)) for node in cluster.nodes]
    told = cluster.nodes[0].stats("cluster")

    def figures(name):
        return [int(told["n%d:%s" % (n, name)]) for n in range(len(cluster.nodes))]
    own, copies = figures("own_items"), figures("copy_items")
    sizes = zip(figures("bytes"), figures("own_bytes"), figures("copy_bytes"))
    right = ([a + b for a, b in zip(own, copies)] == [len(keys) for keys in held] and sum(own) == len(set().union(*held))
             and all(a == b + c for a, b, c in sizes))
    return None if right else (own, copies, [len(keys) for keys in held])


def assert_converges(cluster, copies):
    wrong = []

    def same():
        wrong[:], count = differences(cluster, copies)
        return None if wrong else count
    count = testlib.wait_for(same, lambda: "the same copies; %d keys differ, as %s" % (len(wrong), wrong[:3]))
    # What has expired is counted until it is found.
    testlib.wait_for(lambda: not miscounted(cluster), lambda: "right figures; %s" % (miscounted(cluster),))
    return count


def command(chance):
    key = b"key:%d" % chance.randrange(KEYS)
    what = chance.randrange(12)
    if what == 0:
        return b"delete %s\r\n" % key
    if what == 1:
        return b"touch %s %d\r\n" % (key, chance.randrange(500, 5000))
    if what == 2:
        return b"md %s I T100\r\n" % key
    if what == 3:
        return b"incr %s 5\r\n" % key
    size = chance.choice((1, 30, 30, 30, 300, 9000, 200000))
    value = b"%d" % chance.randrange(10 ** 9) if size == 1 else b"x" * size
    return b"set %s %d %d %d\r\n%s\r\n" % (key, chance.choice((0, 7)), chance.choice((0, 0, 900)), len(value), value)


def mutate(cluster, chance, count):
    """Commands at nodes of chance; those that fail are let be."""
    for _ in range(count):
        try:
            with testlib.Connection(chance.choice(cluster.nodes).port, 3) as c:
                for _ in range(20):
                    c.send(command(chance))
                    c.line()
        except FAILURES:
            pass


def quiet_nodes_agree(cluster, chance, options):
    mutate(cluster, chance, 50)
    assert assert_converges(cluster, 2) > KEYS / 3


def links_break(cluster, chance, options):
    """A node that stands still for longer than the peer timeout loses its links, and what was sent on them."""
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        node = chance.choice(cluster.nodes)
        os.kill(node.pid, signal.SIGSTOP)
        rest = [n for n in cluster.nodes if n is not node]
        mutate(type("Some", (), {"nodes": rest}), chance, 5)
        time.sleep(chance.choice((0, 0.1, 0.5)))
        os.kill(node.pid, signal.SIGCONT)
        mutate(cluster, chance, 5)
    assert_converges(cluster, 2)


def nodes_are_lost(cluster, chance, options):
    """One that comes back empty gets its items back from the others."""
    mutate(cluster, chance, 40)
    assert_converges(cluster, 2)
    before = {key for node in cluster.nodes for key in dump(node)}
    for node in cluster.nodes:
        node.kill()
        mutate(type("Some", (), {"nodes": [n for n in cluster.nodes if n is not node]}), chance, 2)
        node.start()
        assert_converges(cluster, 2)
    after = {key for node in cluster.nodes for key in dump(node)}
    assert len(before - after) < KEYS / 5, "%d of %d keys are lost" % (len(before - after), len(before))


def waited_writes_survive(cluster, chance, options):
    """Writes that a replica has acknowledged; their owner is killed in the middle, and the replica is asked."""
    checked = done = 0
    while done < options.writes:
        node = chance.choice(cluster.nodes)
        acked = {}
        stop = chance.randrange(50, 400)
        c = testlib.Connection(node.port)
        for n in range(stop):
            batch = [(b"w%d" % chance.randrange(100000), b"%d" % (done + i)) for i in range(chance.choice((1, 1, 5)))]
            if chance.random() < 0.5:
                c.send(b"".join(b"set %s 0 0 %d\r\n%s\r\n" % (k, len(v), v) for k, v in batch) + b"wait 1 1000\r\n")
                answers = [c.line() for _ in batch]
                good = c.line() == b"WAIT 1\r\n"
            else:
                c.send(b"".join(b"ms %s %d Psync=1\r\n%s\r\n" % (k, len(v), v) for k, v in batch))
                answers = [c.line() for _ in batch]
                good = True
            for (k, v), answer in zip(batch, answers):
                if good and answer in (b"STORED\r\n", b"HD\r\n"):
                    acked[k] = v
                else:
                    acked.pop(k, None)
            done += len(batch)
        node.kill()
        rest = [n for n in cluster.nodes if n is not node]
        held = [set(dump(n)) for n in rest]
        connections = [testlib.Connection(n.port) for n in rest]
        for k, v in acked.items():
            values = []
            for keys, other in zip(held, connections):
                if k in keys:
                    other.send(b"get %s\r\n" % k)
                    line = other.line()
                    if line.startswith(b"VALUE"):
                        values.append(other.line()[:-2])
                        assert other.line() == b"END\r\n"
            assert v in values, "%r was acknowledged as %r, and is %r" % (k, v, values)
            checked += 1
        for other in connections:
            other.close()
        node.start()
        cluster.wait()
    print("%d acknowledged writes were there" % checked)


STORIES = [quiet_nodes_agree, links_break, nodes_are_lost, waited_writes_survive]


def main():
    arguments = testlib.arguments_of(__doc__, seconds=3.0, writes=2000)
    testlib.tell(STORIES, arguments, lambda _: testlib.Cluster(NODES, OPTIONS, arguments.seed), arguments)


if __name__ == "__main__":
    main()
