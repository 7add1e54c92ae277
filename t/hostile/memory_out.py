#!/usr/bin/python3
"""While memory is out now and then, a server lives, answers rightly or not at all, and serves as before when there is memory again.

    memory_out.py [--rounds N]
"""

import argparse
import contextlib
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import testlib

KEYS = 8
SIZE = 9000  # such values are sent from where they are, between what stands around them


class Scarcity:
    """Allocations of the servers that are started within it fail by chance, when it says so."""

    def __init__(self):
        cc = shutil.which("cc")
        if cc is None:
            testlib.skip("no compiler for the library that fails")
        self.directory = tempfile.TemporaryDirectory(prefix="ringcache-")
        os.chmod(self.directory.name, 0o755)
        self.library = os.path.join(self.directory.name, "failing_malloc.so")
        source = os.path.join(HERE, "..", "lib", "failing_malloc.c")
        subprocess.run([cc, "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", self.library, source], check=True)
        self.path = os.path.join(self.directory.name, "orders")
        with open(self.path, "w+b") as f:
            f.write(bytes(8))
            f.flush()
            os.chmod(self.path, 0o666)
            self.orders = mmap.mmap(f.fileno(), 8)

    def __enter__(self):
        os.environ.update(LD_PRELOAD=self.library, FAILING_MALLOC=self.path)
        return self

    def __exit__(self, *_):
        self.orders[0:4] = bytes(4)
        del os.environ["LD_PRELOAD"], os.environ["FAILING_MALLOC"]

    @contextlib.contextmanager
    def of(self, chance):
        self.orders[0:4] = struct.pack("=I", int(chance * 65536))
        try:
            yield
        finally:
            self.orders[0:4] = bytes(4)

    def failures(self):
        return struct.unpack("=I", self.orders[4:8])[0]


def value(n):
    return (b"%d" % n) * SIZE


def pipeline(port, misses=False):
    """Many long values at once: all of them, or the connection ends. With MISSES some may not be there. Returns whether it has
    not ended."""
    wanted = [n for _ in range(3) for n in range(KEYS)]
    try:
        with testlib.Connection(port) as c:
            c.send(b"".join(b"get long%d\r\n" % n for n in wanted))
            for n in wanted:
                head = c.line()
                if head.startswith(b"SERVER_ERROR") or (misses and head == b"END\r\n"):
                    continue
                assert head == b"VALUE long%d 0 %d\r\n" % (n, SIZE), "in place of key %d: %r" % (n, head)
                assert c.exactly(SIZE + 2) == value(n) + b"\r\n", "another value than key %d's" % n
                assert c.line() == b"END\r\n"
    except (EOFError, OSError):
        return False
    return True


def store(c, key, text):
    """Again, where another node did not answer in time."""
    testlib.wait_for(lambda: c.set(key, text) == b"STORED\r\n", "%r that is stored" % key)


def store_long(node):
    with node.connect() as c:
        for n in range(KEYS):
            store(c, b"long%d" % n, value(n))


def whole_or_not_at_all(scarcity, rounds):
    """A long value never is mixed with what comes behind it."""
    ended = 0
    for _ in range(rounds):
        with scarcity, testlib.ringcached(["-t", "1"]) as server:
            store_long(server)
            for _ in range(5):
                with scarcity.of(0.3):
                    ended += not pipeline(server.port)
            assert pipeline(server.port)
            assert server.alive(), server.output()
    assert ended > 0, "no connection has felt it"


def sizes_that_are_new(scarcity, rounds):
    """Each value is the first of its size class: a page is taken for it, or it is refused."""
    with scarcity, testlib.ringcached(["-m", "256"]) as server:
        store_long(server)
        for number in range(20 * rounds):
            with scarcity.of(0.5), contextlib.suppress(EOFError, OSError), server.connect() as c:
                for size in range(50 + 10 * number, 60000, 1000):
                    assert c.set(b"size%d" % size, b"x" * size).startswith((b"STORED", b"SERVER_ERROR"))
            assert server.alive(), server.output()[-3000:]
        store_long(server)
        assert pipeline(server.port)


def fill(cluster):
    """Values of all sizes that the load has, on all nodes."""
    with cluster.connect() as c:
        for n in range(400):
            store(c, b"fill%d" % n, b"x" * (100 * (n % 40)))
    store_long(cluster)


def store_and_ask(cluster):
    with contextlib.suppress(EOFError, OSError), cluster.connect() as c:
        c.send(b"".join(b"set k%d 0 0 %d\r\n%s\r\n" % (n, 100 * n, b"x" * (100 * n)) for n in range(40)) +
               b"append k1 0 0 2\r\n++\r\nstats\r\nwait 1 10\r\nlru_crawler metadump all\r\nmn\r\n")
        c.until(b"MN\r\n")


def load(cluster, stop, wrong):
    """All that takes memory, until told to stop."""
    try:
        while not stop.is_set():
            store_and_ask(cluster)
            pipeline(cluster.port, misses=True)
    except BaseException as e:  # for the thread that waits
        wrong.append(e)


def nodes_live_on(scarcity, rounds):
    """Nodes whose peers come and go."""
    with scarcity:
        cluster = testlib.Cluster(3, ["-t", "2", "--replicas=1", "--peer-timeout=1000"])
    stop, wrong = threading.Event(), []
    with cluster:
        fill(cluster)
        busy = [threading.Thread(target=load, args=(cluster, stop, wrong), daemon=True) for _ in range(3)]
        for thread in busy:
            thread.start()
        for number in range(2 * rounds):
            with scarcity.of(0.1):
                one = cluster.nodes[number % 3]
                one.kill()
                failed = scarcity.failures()
                testlib.wait_for(lambda: scarcity.failures() > failed + 10, "allocations that fail")
            for node in cluster.nodes:
                assert node is one or node.alive(), node.output()[-3000:]
            with scarcity:
                one.start()
            cluster.wait()
            fill(cluster)
        stop.set()
        for thread in busy:
            thread.join()
        assert not wrong, wrong
        for node in cluster.nodes:
            assert pipeline(node.port)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if testlib.is_sanitized():
        testlib.skip("sanitizers have an allocator of their own")
    scarcity = Scarcity()
    for story in (whole_or_not_at_all, sizes_that_are_new, nodes_live_on):
        story(scarcity, arguments.rounds)
        print("%s: ok, %d allocations have failed" % (story.__name__, scarcity.failures()))


if __name__ == "__main__":
    main()
