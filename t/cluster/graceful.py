#!/usr/bin/python3
"""SIGUSR1: what a node has been asked for is answered before it ends, also where another node has to answer; and its changes are copied.

    graceful.py [--only NAME] [--seed N]
"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

OPTIONS = ["-m", "64", "-t", "2"]
KEYS = [b"key:%d" % n for n in range(300)]


def ends_gracefully(cluster, node, meanwhile=lambda: None):
    os.kill(node.pid, signal.SIGUSR1)
    meanwhile()
    testlib.wait_for(lambda: not node.alive(), "end of the node")
    assert node.process.returncode == 0, node.output()


def answers_of_others_are_waited_for(cluster, chance):
    """They stand still when the node is told to end, and for a while after that."""
    first, others = cluster.nodes[0], cluster.nodes[1:]
    c = first.connect()
    for key in KEYS:
        assert c.set(key, b"value") == b"STORED\r\n"
    for other in others:
        os.kill(other.pid, signal.SIGSTOP)

    def wake():
        time.sleep(0.3)
        for other in others:
            os.kill(other.pid, signal.SIGCONT)
    requests = b"".join(b"get %s\r\nappend %s 0 0 1\r\n!\r\n" % (key, key) for key in KEYS) + b"mn\r\n"
    before = int(first.stats()["bytes_read"])
    c.send(requests)
    testlib.wait_for(lambda: int(first.stats()["bytes_read"]) >= before + len(requests), "all has arrived")
    ends_gracefully(cluster, first, wake)
    for key in KEYS:
        answer = [c.line() for _ in range(4)]
        assert answer == [b"VALUE %s 0 5\r\n" % key, b"value\r\n", b"END\r\n", b"STORED\r\n"], answer
    assert c.line() == b"MN\r\n"
    c.close()
    first.start()


def changes_are_copied(cluster, chance):
    """Nothing that was acknowledged is lost with a node that ends so."""
    first = cluster.nodes[0]
    with first.connect() as c:
        c.send(b"".join(b"set %s 0 0 5\r\nlater\r\n" % key for key in KEYS))
        for _ in KEYS:
            assert c.line() == b"STORED\r\n"
    ends_gracefully(cluster, first)
    found = set()
    for node in cluster.nodes[1:]:
        with node.connect() as c:
            found.update(c.metadump())
    missing = [key for key in KEYS if key not in found]
    assert not missing, "%d keys are lost, as %r" % (len(missing), missing[:3])
    first.start()


STORIES = [answers_of_others_are_waited_for, changes_are_copied]


def main():
    arguments = testlib.arguments_of(__doc__)
    testlib.tell(STORIES, arguments, lambda story: testlib.Cluster(3, OPTIONS, arguments.seed))


if __name__ == "__main__":
    main()
