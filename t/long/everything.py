#!/usr/bin/python3
"""All that clients can ask for at once, to one server with each driver and to three nodes, which end meanwhile: for the sanitizers' builds.

    everything.py [--turns N] [--clients N] [--only NAME] [--seed N]

Every client does one thing after the other, of chance: text, meta and binary commands with values up to 1 MB, all statistics, all
administration, dumps, streams of a watcher, connections that are cut, thousands of items that expire together. What is answered other
tests see to: here it is that all is answered, that the server ends with status 0 while they go on, and that it has not said a word of
the thread sanitizer's or of another's."""

import contextlib
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

KEYS = 3000
NUMBERS = 30
JOINED_MOST = 3000  # bytes of one append: values grow
GONE = (OSError, EOFError)
COMPLAINTS = ("Sanitizer", "runtime error", "panic")
SERVER = ["-t", "4", "-m", "24", "-A"]
OPTIONS = {
    "s3fifo": [],
    "lru": ["--eviction=lru", "-D", ":", "-o", "track_sizes"],
    "lfu": ["--eviction=lfu", "-o", "idle_timeout=1"],
    "few": ["-c", "6"],
    "volatile": ["--eviction=volatile-ttl"],
    "noeviction": ["-M", "-vv"],
    "random": ["--eviction=random", "--balance=bytes", "-C"],
}
NODES = {
    "one replica": ["--replicas=1"],
    "two replicas": ["--replicas=2", "--read-replicas", "--replication-backlog=1"],
    "ketama": ["--min-replicas=1", "--ring=ketama100"],
}

# ---------------------------------------------------------------- text


def key_of(chance):
    """A few are asked for often."""
    return b"%s:%d" % (chance.choice((b"a", b"b", b"c")), int(KEYS ** chance.random()))


def number_of(chance):
    return b"n:%d" % chance.randrange(NUMBERS)


def value_of(chance, most=1 << 20):
    size = int(2 ** chance.uniform(0, chance.choice((7, 7, 7, 7, 9, 11, 11, 14, 19.9))))
    return b"7" * min(size, most)


def exptime_of(chance):
    return chance.choice((0, 0, 0, 1, 2, 3, 100, -1))


def stores(chance):
    verb = chance.choice((b"set", b"set", b"set", b"add", b"replace", b"append", b"prepend"))
    data = value_of(chance, JOINED_MOST if verb in (b"append", b"prepend") else 1 << 20)
    return b"%s %s %d %d %d%s\r\n%s\r\n" % (verb, key_of(chance), chance.choice((0, 5, 1 << 31)), exptime_of(chance), len(data),
                                           chance.choice((b"", b" noreply")), data)


def swaps(chance):
    data = value_of(chance)
    return b"cas %s 0 0 %d %d\r\n%s\r\n" % (key_of(chance), len(data), chance.randrange(1, 100000), data)


def reads(chance):
    verb = chance.choice((b"get", b"gets", b"gat 0", b"gats 3", b"gat 100"))
    return b"%s %s\r\n" % (verb, b" ".join(key_of(chance) for _ in range(chance.choice((1, 1, 2, 10, 60)))))


def counts(chance):
    name = number_of(chance)
    return b"set %s 0 0 2\r\n10\r\n%s %s %d\r\n" % (name, chance.choice((b"incr", b"decr")), name, chance.randrange(1 << 40))


def small_ones(chance):
    return chance.choice((b"touch %s 50\r\n", b"touch %s 1\r\n", b"delete %s\r\n", b"delete %s noreply\r\n", b"incr %s 3\r\n",
                          b"me %s\r\n", b"get %s\r\n")) % key_of(chance)


def meta_reads(chance):
    flags = chance.sample((b"v", b"f", b"t", b"s", b"k", b"c", b"h", b"l", b"O1", b"q", b"T9", b"N30", b"R10", b"E77"), 5)
    return b"mg %s %s\r\n" % (key_of(chance), b" ".join(flags))


def meta_stores(chance):
    mode = chance.choice((b"", b" MA", b" MP", b" ME", b" MR", b" MS"))
    data = value_of(chance, JOINED_MOST if mode in (b" MA", b" MP") else 1 << 20)
    flags = b" ".join(chance.sample((b"T0", b"T2", b"F5", b"c", b"I", b"q", b"k", b"O3", b"E9999999"), 3))
    return b"ms %s %d %s%s\r\n%s\r\n" % (key_of(chance), len(data), flags, mode, data)


def meta_others(chance):
    if chance.random() < 0.5:
        return b"md %s %s\r\n" % (key_of(chance), chance.choice((b"", b"q", b"I T5", b"x", b"I", b"k O2")))
    return b"ma %s N0 J5 D3 v t c %s\r\n" % (number_of(chance), chance.choice((b"MI", b"MD", b"q")))


TEXT = (stores, stores, stores, reads, reads, reads, small_ones, small_ones, counts, swaps, meta_reads, meta_stores, meta_others)


def line_by_line(port, lines):
    with testlib.Connection(port) as c:
        for line in lines:
            c.send(line + b"\r\nmn\r\n")
            c.until(b"MN\r\n")


def texts(port, chance):
    with testlib.Connection(port) as c:
        for _ in range(8):
            c.send(b"".join(chance.choice(TEXT)(chance) for _ in range(chance.choice((1, 5, 40)))) + b"mn\r\nversion\r\n")
            c.until(b"MN\r\nVERSION 1.6.45\r\n")


# ---------------------------------------------------------------- binary


def packet(op, key=b"", extras=b"", data=b"", opaque=0):
    body = extras + key + data
    return struct.pack(">BBHBBHIIQ", 0x80, op, len(key), len(extras), 0, 0, len(body), opaque, 0) + body


NOOP = 0x0a
GROUPS = (b"", b"settings", b"items", b"slabs", b"reset", b"sizes", b"conns", b"detail on", b"detail dump")


def command(chance):
    """A packet of chance, quiet ones among them."""
    kind = chance.randrange(8)
    if kind == 0:
        return packet(chance.choice((0x00, 0x09, 0x0c, 0x0d)), key_of(chance))
    if kind == 1:
        extras = struct.pack(">II", 3, max(0, exptime_of(chance)))
        return packet(chance.choice((0x01, 0x02, 0x03, 0x11, 0x12, 0x13)), key_of(chance), extras, value_of(chance))
    if kind == 2:
        return packet(chance.choice((0x04, 0x14)), key_of(chance))
    if kind == 3:
        return packet(chance.choice((0x05, 0x06, 0x15, 0x16)), number_of(chance), struct.pack(">QQI", 5, 1, 0))
    if kind == 4:
        return packet(chance.choice((0x0e, 0x0f, 0x19, 0x1a)), key_of(chance), data=value_of(chance, JOINED_MOST))
    if kind == 5:
        return packet(chance.choice((0x1c, 0x1d, 0x1e, 0x23, 0x24)), key_of(chance), struct.pack(">I", chance.choice((0, 1, 90))))
    if kind == 6:
        return packet(0x10, chance.choice(GROUPS))
    return packet(chance.choice((0x0b, 0x08)), extras=b"") if chance.random() < 0.1 else packet(0x0b)


def binaries(port, chance):
    with testlib.Connection(port) as c:
        for turn in range(1, 7):
            c.send(b"".join(command(chance) for _ in range(chance.choice((1, 5, 40)))) + packet(NOOP, opaque=turn))
            while True:
                _, op, _, _, _, _, body, opaque, _ = struct.unpack(">BBHBBHIIQ", c.exactly(24))
                c.exactly(body)
                if (op, opaque) == (NOOP, turn):
                    break


# ---------------------------------------------------------------- figures and administration

STATS = (b"", b"settings", b"items", b"slabs", b"sizes", b"conns", b"threads", b"cluster", b"replication", b"detail on", b"detail dump",
         b"detail off", b"sizes_enable", b"reset", b"cachedump 5 100", b"cachedump 1 0")
ADMINISTRATION = (
    b"slabs automove 0", b"slabs automove 1", b"slabs automove 2", b"slabs automove ratio 0.5", b"slabs automove window 5",
    b"lru_crawler enable", b"lru_crawler disable", b"lru_crawler crawl all", b"lru_crawler crawl 1,2,3,30", b"lru_crawler sleep 10",
    b"lru_crawler tocrawl 100", b"lru mode flat", b"lru mode segmented", b"lru tune 20 30 0.5 2.0", b"lru temp_ttl 60",
    b"cache_memlimit 16", b"cache_memlimit 24", b"cache_memlimit 40", b"verbosity 0", b"verbosity 1", b"verbosity 2", b"flush_all",
    b"flush_all 1", b"flush_all 0 noreply", b"config get cluster", b"wait 1 1", b"debugtime p", b"debugtime r", b"debugtime 1",
    b"refresh_certs", b"nonsense")
DUMPS = (b"metadump all", b"mgdump all", b"metadump hash", b"mgdump hash", b"metadump 1,2,20")
STREAMS = (b"fetchers", b"mutations", b"evictions", b"connevents", b"deletions", b"sysevents", b"rawcmds")


def statistics(port, chance):
    line_by_line(port, [b"stats " + group for group in chance.sample(STATS, len(STATS))])


def administers(port, chance):
    moves = [b"slabs reassign %d %d" % (chance.randrange(-1, 80), chance.randrange(1, 80)) for _ in range(8)]
    line_by_line(port, chance.sample(ADMINISTRATION + tuple(moves), 20))


def dumps(port, chance):
    line_by_line(port, [b"lru_crawler " + what for what in chance.sample(DUMPS, 3)])


def watches(port, chance):
    with testlib.Connection(port) as c:
        c.send(b"watch %s\r\n" % b" ".join(chance.sample(STREAMS, chance.randrange(1, 6))))
        c.until(b"\r\n")
        c.socket.setblocking(False)
        for _ in range(chance.randrange(1, 10)):
            texts(port, chance)
            with contextlib.suppress(BlockingIOError):
                while c.socket.recv(1 << 18):
                    pass


def cuts(port, chance):
    """Connections that end in the middle."""
    for _ in range(10):
        c = testlib.Connection(port)
        data = b"".join(chance.choice((chance.choice(TEXT), chance.choice(TEXT), command))(chance) for _ in range(20))
        with contextlib.suppress(*GONE):
            c.send(data[:chance.randrange(len(data))])
        if chance.random() < 0.5:
            c.reset()
        else:
            c.close()


def expire_together(port, chance):
    """So many that the index grows."""
    name = chance.randrange(1 << 30)
    with testlib.Connection(port) as c:
        for part in range(10):
            c.send(b"".join(b"set m:%d:%d 0 %d 3 noreply\r\nabc\r\n" % (name, 1000 * part + n, 1 + part % 3) for n in range(1000)) + b"mn\r\n")
            c.until(b"MN\r\n")
        for part in range(10):
            c.send(b"get %s\r\nmn\r\n" % b" ".join(b"m:%d:%d" % (name, 1000 * part + 10 * n) for n in range(100)))
            c.until(b"MN\r\n")


KINDS = (texts, texts, texts, binaries, binaries, statistics, statistics, administers, dumps, watches, cuts, expire_together)

# ---------------------------------------------------------------- those who do it


class Crowd:
    """Clients that do KINDS, at a port that PORT() says. Until they are FORGIVING, an error of one fails the test."""

    def __init__(self, port, options, forgiving=False):
        self.port = port
        self.forgiving = forgiving
        self.stopping = False
        self.done = 0
        self.failures = []
        self.threads = [threading.Thread(target=self.run, args=(random.Random(options.chance.random()),), daemon=True)
                        for _ in range(options.clients)]
        for thread in self.threads:
            thread.start()

    def run(self, chance):
        while not self.stopping:
            try:
                chance.choice(KINDS)(self.port(), chance)
                self.done += 1
            except GONE as error:
                if not self.forgiving:
                    self.failures.append(error)
                    return
                time.sleep(0.01)

    def wait(self, turns):
        """Until TURNS more things have been done."""
        end = self.done + turns
        testlib.wait_for(lambda: self.done >= end or self.failures, "things that are done")
        if self.failures:
            raise self.failures[0]

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(testlib.PATIENCE)
            assert not thread.is_alive(), "a client is not answered"


def assert_silent(server, status):
    assert status == 0 and not any(word in server.output() for word in COMPLAINTS), "ended with %s: %s" % (status, server.output()[-20000:])


# ---------------------------------------------------------------- the stories


def told(server, how):
    """Whether it has ended. Where connections are few there may be none for this one."""
    with contextlib.suppress(*GONE), testlib.Connection(server.port) as c:
        c.send(how.encode() + b"\r\n")
        c.rest()
    return not server.alive()


def end(server, how):
    if how.startswith("shutdown"):
        testlib.wait_for(lambda: told(server, how), "end by command")
    else:
        server.process.send_signal(getattr(signal, how))
    return server.wait()


def one_server(options, arguments):
    """It ends while they go on; with a memory file it comes back."""
    how = arguments.chance.choice(("SIGTERM", "SIGINT", "SIGUSR1", "shutdown", "shutdown graceful"))
    forgiving = "-c" in options or any("idle_timeout" in option for option in options)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        server = testlib.ringcached([*SERVER, *options, "-e", os.path.join(directory, "memory")])
        for _ in range(2):
            crowd = Crowd(lambda: server.port, arguments, forgiving)
            crowd.wait(arguments.turns * arguments.clients)
            crowd.forgiving = True
            status = end(server, how)
            crowd.stop()
            assert_silent(server, status)
            server.start()
        assert_silent(server, server.stop())


def lose(cluster, chance):
    """Something happens to a node."""
    node = chance.choice(cluster.nodes)
    what = chance.choice(("list", "list", "kill", "stop", "still"))
    if what == "list":
        rest = [text for other, text in zip(cluster.nodes, cluster.list) if other is not node]
        for some in (rest, cluster.list):
            with contextlib.suppress(subprocess.CalledProcessError):
                cluster.ringctl("--force", "nodes", "set", ",".join(some))
    elif what == "kill":
        node.process.kill()
        node.process.wait()
        node.start()
    elif what == "stop":
        assert_silent(node, node.stop(chance.choice((signal.SIGTERM, signal.SIGUSR1))))
        node.start()
    else:
        os.kill(node.pid, signal.SIGSTOP)
        time.sleep(chance.choice((0.3, 3)))
        os.kill(node.pid, signal.SIGCONT)


def three_nodes(options, arguments):
    """One after the other leaves the list, is killed, or stands still."""
    chance = arguments.chance
    cluster = testlib.Cluster(3, [*SERVER, "--peer-timeout=2000", *options], chance.random())
    crowd = Crowd(lambda: cluster.port, arguments, forgiving=True)
    for _ in range(arguments.turns):
        crowd.wait(arguments.clients)
        lose(cluster, chance)
    crowd.wait(arguments.clients)
    for node in cluster.nodes:
        node.process.send_signal(signal.SIGTERM)
    for node in cluster.nodes:
        assert_silent(node, node.wait())
    crowd.stop()


def main():
    arguments = testlib.arguments_of(__doc__, turns=8, clients=8)
    for driver in ("event", "uring"):
        for story, variants in ((one_server, OPTIONS), (three_nodes, NODES)):
            for name, options in variants.items():
                if arguments.only not in (None, name, story.__name__):
                    continue
                begun = time.monotonic()
                story([*options, "--io=" + driver], arguments)
                print("%-14s %-14s %-6s %.1f s" % (story.__name__, name, driver, time.monotonic() - begun), flush=True)


if __name__ == "__main__":
    main()
