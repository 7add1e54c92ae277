#!/usr/bin/python3
"""A node that stands still under load keeps nobody waiting but those who want its keys, and these not for long.

    stall.py [--seed N]
"""

import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

TIMEOUT = 2.0
STILL = 5.0
SLACK = 5.0  # of a busy machine
TRIES = 5  # which can spoil the times of one
KEYS = 200


class Client(threading.Thread):
    """Sets and gets KEYS of NODE in turn, one at a time; remembers how long each answer took."""

    def __init__(self, node, keys):
        super().__init__(daemon=True)
        self.connection = testlib.Connection(node.port)
        self.keys = keys
        self.going = True
        self.took = []
        self.errors = []
        self.failure = None

    def one(self, key, number):
        begin = time.monotonic()
        self.connection.send(b"set %s 0 0 6\r\n%06d\r\nget %s\r\nmn\r\n" % (key, number % 1000000, key))
        answer = self.connection.until(b"MN\r\n")
        self.took.append(time.monotonic() - begin)
        value = b"VALUE %s 0 6\r\n%06d\r\nEND\r\n" % (key, number % 1000000)
        if b"SERVER_ERROR" in answer:
            self.errors.append((len(self.took), answer))
        else:
            assert answer == b"STORED\r\n" + value + b"MN\r\n", answer

    def run(self):
        try:
            number = 0
            while self.going:
                self.one(self.keys[number % len(self.keys)], number)
                number += 1
                time.sleep(0.001)
        except (AssertionError, OSError, EOFError) as error:
            self.failure = error
        self.connection.close()


def keys_of(node, word):
    """Those of KEYS names that NODE answers itself: it asks nobody for them."""
    mine = []
    with node.connect() as c:
        for n in range(KEYS):
            key = b"%s:%d" % (word, n)
            before = int(node.stats("cluster")["n0:forwarded_out"])
            c.ask(b"touch %s 0\r\n" % key)
            if int(node.stats("cluster")["n0:forwarded_out"]) == before:
                mine.append(key)
    return mine


def p99(times):
    return sorted(times)[len(times) * 99 // 100]


def load(node, own, others, seconds, meanwhile=lambda: None):
    clients = [Client(node, own), Client(node, others)]
    for client in clients:
        client.start()
    meanwhile()
    time.sleep(seconds)
    for client in clients:
        client.going = False
        client.join(testlib.PATIENCE)
        assert not client.is_alive() and client.failure is None, "no answer, or a wrong one: %r" % client.failure
    return clients


def measured(cluster):
    """What is wrong with the times, and with errors of nodes that all live."""
    node, still = cluster.nodes[:2]
    own = keys_of(node, b"own")
    others = [key for key in (b"own:%d" % n for n in range(KEYS)) if key not in own]
    assert own and others
    before = load(node, own, others, 1.5)
    try:
        during = load(node, own, others, STILL, lambda: os.kill(still.pid, signal.SIGSTOP))
    finally:
        os.kill(still.pid, signal.SIGCONT)
    cluster.wait()
    after = load(node, own, others, 1)
    usual, then, longest = p99(before[0].took), p99(during[0].took), max(during[1].took)
    print("own keys p99 %.1f ms, meanwhile %.1f ms; %d errors of %d, the longest %.0f ms" % (
        1000 * usual, 1000 * then, len(during[1].errors), len(during[1].took), 1000 * longest), flush=True)
    assert during[1].errors
    for client, when in ((before[0], "before"), (before[1], "before"), (during[0], "own keys"), (after[0], "after"), (after[1], "after")):
        if client.errors:
            yield "%s: %d errors of %d, as %r" % (when, len(client.errors), len(client.took), client.errors[:3])
    if longest > 2 * TIMEOUT + SLACK:
        yield "two commands took %.2f s" % longest
    if then > max(2 * usual, TIMEOUT / 8):
        yield "own keys took %.1f ms, before %.1f ms" % (1000 * then, 1000 * usual)


def main():
    arguments = testlib.arguments_of(__doc__)
    for _ in range(TRIES):
        with testlib.Cluster(3, ["-m", "64", "-t", "2", "--peer-timeout=%d" % (TIMEOUT * 1000)], arguments.seed) as cluster:
            wrong = list(measured(cluster))
        if not wrong:
            return
        print("\n".join(wrong), flush=True)
    sys.exit("in none of %d tries" % TRIES)


if __name__ == "__main__":
    main()
