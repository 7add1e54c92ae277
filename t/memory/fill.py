"""Fills a server three times over with items of one size after another, and looks at errors, memory and what is
still there. Used by the tests of the memory limit."""

import os
import random
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

MIB = 1 << 20
FIXED = 40 * MIB       # what the process may take beside -m and the table: code, stacks, buffers, statistics
ITEM_OVERHEAD = 60     # bytes that an item of the check takes beside key and value
WINDOW = 512 * 1024    # bytes sent before the replies to them are read
PRESENT = 0.97


class Sizes:
    """Sizes of values, the same for the same number of item."""

    def __init__(self, name, low, high, seed=1):
        self.name = name
        self.low, self.high = low, high
        self.filler = random.Random(seed).randbytes(high + 64)

    def of(self, number):
        if self.low == self.high:
            return self.low
        # Log-uniform: as many items of 10 to 100 bytes as of 100 to 1000.
        share = (number * 2654435761 % (1 << 32)) / (1 << 32)
        return int(self.low * (self.high / self.low) ** share)

    def value(self, key, number):
        size = self.of(number)
        return (key + self.filler)[:size]

    def mean(self):
        return sum(self.of(n) for n in range(2000)) / 2000


def windows(step, sizes, count):
    """The commands that set items 0 to COUNT, in pieces of about WINDOW bytes: (bytes, replies due)."""
    window, pending = [], 0
    for n in range(count):
        key = b"%s:%d" % (step, n)
        value = sizes.value(key, n)
        window.append(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
        pending += len(value) + 60
        if pending > WINDOW:
            yield b"".join(window), len(window)
            window, pending = [], 0
    if window:
        yield b"".join(window), len(window)


def fill(server, step, sizes, count, writers):
    """Sets items over several connections in turns, each with one window under way, so that what is newest by its number
    is newest by time as well. Returns how often which reply came in place of STORED."""
    sockets = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(writers)]
    due = [0] * writers
    refused = {}
    try:
        for turn, (data, replies) in enumerate(windows(step, sizes, count)):
            w = turn % writers
            _replies(sockets[w], due[w], refused)
            sockets[w].sendall(data)
            due[w] = replies
        for s, n in zip(sockets, due):
            _replies(s, n, refused)
    finally:
        for s in sockets:
            s.close()
    return refused


def _replies(s, due, refused):
    got = b""
    while got.count(b"\n") < due:
        more = s.recv(1 << 18)
        if not more:
            raise EOFError("closed while filling")
        got += more
    if got != b"STORED\r\n" * due:
        for line in got.split(b"\r\n"):
            if line and line != b"STORED":
                refused[line] = refused.get(line, 0) + 1


def present(port, step, sizes, first, last):
    """How many of the items first to last are there, each checked byte by byte."""
    found = 0
    batch = max(1, min(100, int(4 * MIB / max(1, sizes.mean()))))
    with testlib.Connection(port) as c:
        for at in range(first, last, batch):
            numbers = range(at, min(at + batch, last))
            c.send(b"get " + b" ".join(b"%s:%d" % (step, n) for n in numbers) + b"\r\n")
            while True:
                line = c.line()
                if line == b"END\r\n":
                    break
                _, key, _, size = line.split()
                value = c.exactly(int(size) + 2)[:-2]
                number = int(key.split(b":")[1])
                if value != sizes.value(key, number):
                    raise AssertionError("%r holds another value than was set" % key)
                found += 1
    return found


def table_bytes(server):
    return int(server.stats().get("hash_bytes", 0))


def run(megabytes, steps, options=(), writers=2, times=3, present_least=PRESENT):
    """Each step fills TIMES the limit; returns the number of failures."""
    failures = 0
    server = testlib.ringcached(["-m", str(megabytes), "-t", "2"] + list(options))
    begin_rss = server.rss()
    print("-m %d %s: %.1f MiB resident before" % (megabytes, " ".join(options), begin_rss / MIB))
    for index, sizes in enumerate(steps):
        step = b"s%d" % index
        begun = time.monotonic()
        item = sizes.mean() + ITEM_OVERHEAD + 12
        count = int(times * megabytes * MIB / item)
        refused = fill(server, step, sizes, count, writers)
        took = time.monotonic() - begun
        newest = min(count, int(megabytes * MIB / 2 / item))
        found = present(server.port, step, sizes, count - newest, count)
        rss, table = server.rss(), table_bytes(server)
        allowed = megabytes * MIB + table + FIXED
        bad = []
        if refused:
            bad.append("refused: %s" % refused)
        if rss > allowed:
            bad.append("more than the %.1f MiB allowed" % (allowed / MIB))
        if found < present_least * newest:
            bad.append("too few of the newest")
        failures += len(bad)
        print("  %-18s %8d sets in %5.1f s, resident %7.1f MiB (table %5.1f), newest there %7d of %7d = %5.1f %%%s" % (
            sizes.name, count, took, rss / MIB, table / MIB, found, newest, 100 * found / max(1, newest),
            "" if not bad else "   FAILED: " + "; ".join(bad)))
        sys.stdout.flush()
    server.stop()
    return failures


def single(size):
    name = "%d B" % size if size < 1000 else "%d KB" % (size // 1000)
    return Sizes(name, size, size)
