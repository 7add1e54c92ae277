#!/usr/bin/python3
"""Any of three nodes answers for any key: pipelines, long values, slow clients, clients that vanish, nodes that stand or die.

    forward.py [--seconds S] [--only NAME] [--seed N]

A value says whose it is, so no answer can be taken for another key's.
"""

import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

NODES = 3
OPTIONS = ["-m", "256", "-t", "2"]
TIMEOUT = 3000 if testlib.is_sanitized() else 1000  # milliseconds, where nodes are lost
LIMIT = 3 * TIMEOUT / 1000 + 10  # seconds in which a client has an answer or an error, whatever happens to a node


def value_of(key, size):
    """SIZE bytes, or a little more, that nobody takes for another key's."""
    text = b"<%s>" % key
    return text * (size // len(text) + 1)


def key(n, name=b"key"):
    return b"%s:%d" % (name, n)


def read_values(c):
    """The answer to a get: keys and values, and the last line."""
    found = {}
    while True:
        line = c.line()
        if not line.startswith(b"VALUE "):
            return found, line
        _, name, _, size = line.split()[:4]
        assert name not in found, "%r twice" % name
        found[name] = c.exactly(int(size) + 2)[:-2]


def check(found, size):
    for name, value in found.items():
        assert value == value_of(name, size), "%r has %r..." % (name, value[:60])


def send_cut(c, data, chance):
    """Sends DATA in pieces of chance."""
    at = 0
    while at < len(data):
        n = chance.choice((1, 2, 7, 100, 1000, 5000, 60000, len(data)))
        c.send(data[at:at + n])
        at += n


def fill(cluster, count, size, name=b"key"):
    """Sets keys; again, where a node did not answer in time."""
    left = [key(n, name) for n in range(count)]

    def filled():
        some = left[:100]
        c.send(b"".join(b"set %s 0 0 %d\r\n%s\r\n" % (k, len(value_of(k, size)), value_of(k, size)) for k in some))
        for k in some:
            line = c.line()
            if line == b"STORED\r\n":
                left.remove(k)
            else:
                assert line.startswith(b"SERVER_ERROR peer"), (k, line)
        return not left
    with cluster.connect() as c:
        testlib.wait_for(filled, "all keys set")


# ---------------------------------------------------------------- one cache

def each_node_answers(cluster, chance, seconds):
    """What is stored at one node is seen, changed and removed at any other."""
    ends = time.monotonic() + seconds / 4
    while time.monotonic() < ends:
        k = b"each:%d" % chance.randrange(1000)
        a, b, c = (testlib.Connection(chance.choice(cluster.nodes).port) for _ in range(3))
        assert a.ask(b"set %s 7 0 2\r\n10\r\n" % k) == b"STORED\r\n"
        assert b.ask(b"incr %s 5\r\n" % k) == b"15\r\n"
        assert c.ask(b"append %s 0 0 1\r\n!\r\n" % k) == b"STORED\r\n"
        a.send(b"gets %s\r\n" % k)
        line = a.line()
        assert a.exactly(5) == b"15!\r\n" and a.line() == b"END\r\n", line
        cas = line.split()[4]
        assert b.ask(b"cas %s 0 0 1 %s\r\nx\r\n" % (k, cas)) == b"STORED\r\n"
        assert c.ask(b"cas %s 0 0 1 %s\r\ny\r\n" % (k, cas)) == b"EXISTS\r\n"
        assert a.ask(b"mg %s s v\r\n" % k) == b"VA 1 s1\r\n" and a.line() == b"x\r\n"
        assert b.ask(b"touch %s 100\r\n" % k) == b"TOUCHED\r\n"
        assert c.ask(b"mg %s t\r\n" % k)[:4] == b"HD t"
        assert a.ask(b"delete %s\r\n" % k) == b"DELETED\r\n"
        assert b.ask(b"get %s\r\n" % k) == b"END\r\n"
        for one in (a, b, c):
            one.close()


def pipelines_keep_their_order(cluster, chance, seconds):
    """Many commands in pieces of chance: one client's view is that of a dictionary."""
    ends = time.monotonic() + seconds
    there = {}
    while time.monotonic() < ends:
        data, wanted = [], []
        for _ in range(chance.choice((1, 10, 300))):
            k = b"pipe:%d" % chance.randrange(200)
            kind = chance.randrange(8)
            if kind < 2:
                v = value_of(k, chance.choice((1, 20, 3000, 20000)))
                quiet = chance.randrange(2)
                data.append(b"set %s 0 0 %d%s\r\n%s\r\n" % (k, len(v), b" noreply" if quiet else b"", v))
                wanted.append(b"" if quiet else b"STORED\r\n")
                there[k] = v
            elif kind == 2:
                data.append(b"delete %s\r\n" % k)
                wanted.append(b"DELETED\r\n" if there.pop(k, None) is not None else b"NOT_FOUND\r\n")
            elif kind == 3:
                data.append(b"mg %s v k q\r\n" % k)
                v = there.get(k)
                wanted.append(b"" if v is None else b"VA %d k%s\r\n%s\r\n" % (len(v), k, v))
            elif kind == 4:
                data.append(b"mn\r\n")
                wanted.append(b"MN\r\n")
            else:
                some = chance.sample(range(200), chance.choice((1, 1, 1, 5, 100)))
                names = [b"pipe:%d" % n for n in some]
                data.append(b"get %s\r\n" % b" ".join(names))
                wanted += [b"VALUE %s 0 %d\r\n%s\r\n" % (n, len(there[n]), there[n]) for n in names if n in there]
                wanted.append(b"END\r\n")
        wanted = b"".join(wanted)
        with cluster.connect() as c:
            send_while_reading(c, b"".join(data), chance)
            got = c.exactly(len(wanted))
            assert got == wanted, first_difference(got, wanted)
            assert c.ask(b"version\r\n").startswith(b"VERSION")


def send_while_reading(c, data, chance):
    """Neither side may wait for the other for ever."""
    c.socket.setblocking(False)
    at = 0
    while at < len(data):
        n = chance.choice((1, 50, 3000, 60000))
        try:
            at += c.socket.send(data[at:at + n])
        except BlockingIOError:
            time.sleep(0.0002)
        try:
            c.buffer += c.socket.recv(1 << 18)
        except BlockingIOError:
            pass
    c.socket.settimeout(testlib.PATIENCE)


def first_difference(got, wanted):
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    return "at %d: %r in place of %r" % (at, got[at - 40:at + 80], wanted[at - 40:at + 80])


def long_values(cluster, chance, seconds):
    """1 MB values at any node, whole and in pieces; too large ones take the old value with them."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        k = b"long:%d" % chance.randrange(30)
        v = value_of(k, chance.choice((17000, 100000, 500000, 1000000)))
        with cluster.connect() as c:
            send_cut(c, b"set %s 3 0 %d\r\n%s\r\n" % (k, len(v), v), chance)
            last = c.line()
            assert last == b"STORED\r\n", last
        with cluster.connect() as c:
            c.send(b"get %s\r\n" % k)
            found, last = read_values(c)
            assert found == {k: v} and last == b"END\r\n"
            c.send(b"set %s 0 0 20000\r\n%sXYget %s\r\n" % (k, b"z" * 20000, k))
            assert c.line() == b"CLIENT_ERROR bad data chunk\r\n"
            assert read_values(c) == ({k: v}, b"END\r\n")
            if chance.randrange(4) == 0:
                c.send(b"set %s 0 0 2000000\r\n%s\r\nget %s\r\n" % (k, b"z" * 2000000, k))
                assert c.line() == b"SERVER_ERROR object too large for cache\r\n"
                assert c.line() == b"END\r\n"


def long_lines(cluster, chance, seconds):
    """No line is too long for what nodes say to each other: the connection ends before."""
    for size in (16385, 65535, 65536, 200000):
        for n in range(6):
            with cluster.connect() as c:
                line = b"set %s 0 0 5" % key(n, b"line")
                # All comes at once behind a get that is long enough, or in the largest piece that is received.
                with contextlib.suppress(ConnectionError):
                    c.send(b"get" + b" x" * chance.choice((1, 50000)))
                    c.send(b"\r\n" + line.ljust(size - 2) + b"\r\nhello\r\n")
                assert c.rest() in (b"", b"END\r\n")
            with cluster.connect() as c, contextlib.suppress(ConnectionError):
                c.send(line.ljust(size - 2) + b"\r\nhello\r\n")
                assert c.rest() == b""
    assert cluster.alive()


def multi_gets(cluster, chance, seconds):
    """100 keys of all nodes in one command, some of which are not there."""
    fill(cluster, 1000, 300)
    ends = time.monotonic() + seconds / 2
    while time.monotonic() < ends:
        some = chance.sample(range(1200), 100)
        with cluster.connect() as c:
            send_cut(c, b"get %s\r\n" % b" ".join(map(key, some)), chance)
            found, last = read_values(c)
            assert last == b"END\r\n" and list(found) == [key(n) for n in some if n < 1000]
            check(found, 300)


def flush_reaches_all(cluster, chance, seconds):
    for line, answer in ((b"flush_all\r\n", b"OK\r\n"), (b"flush_all noreply\r\nmn\r\n", b"MN\r\n"), (
            b"flush_all 0\r\n", b"OK\r\n")):
        fill(cluster, 300, 30)
        with cluster.connect() as c:
            c.send(b"set flushed 0 0 1 noreply\r\n1\r\n" + line + b"get flushed\r\nset kept 0 0 1\r\n1\r\nget kept\r\n")
            assert c.line() == answer
            assert c.until(b"VALUE kept 0 1\r\n1\r\nEND\r\n") == b"END\r\nSTORED\r\nVALUE kept 0 1\r\n1\r\nEND\r\n"
        with cluster.connect() as c:
            c.send(b"get %s kept\r\n" % b" ".join(map(key, range(300))))
            assert read_values(c) == ({b"kept": b"1"}, b"END\r\n")


# ---------------------------------------------------------------- clients of all kinds

def slow_clients(cluster, chance, seconds):
    """Who asks for much and does not read gets it all in the end, and keeps nobody else waiting."""
    fill(cluster, 50, 100000, b"slow")
    slow = [cluster.connect() for _ in range(10)]
    for c in slow:
        c.send(b"".join(b"get %s\r\n" % key(n % 50, b"slow") for n in range(200)))
    multi_gets(cluster, chance, 2)
    for node in cluster.nodes:
        assert node.rss() < 700 << 20, "a node has %d MB" % (node.rss() >> 20)
    for c in slow:
        for n in range(200):
            found, last = read_values(c)
            assert last == b"END\r\n" and list(found) == [key(n % 50, b"slow")]
            check(found, 100000)
        c.close()


def vanishing_clients(cluster, chance, seconds):
    """Clients that go at any moment leave nothing behind."""
    fill(cluster, 100, 5000)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        c = cluster.connect()
        data = b"".join(b"get %s\r\n" % key(chance.randrange(100)) for _ in range(chance.choice((1, 50, 2000))))
        if chance.randrange(2):
            data += b"set long:%d 0 0 500000\r\n%s" % (chance.randrange(30), b"x" * chance.randrange(400000))
        c.socket.settimeout(2)
        try:
            c.send(data)
        except TimeoutError:
            pass
        if chance.randrange(2):
            c.reset()
        else:
            c.close()
    nothing_left(cluster)
    multi_gets(cluster, chance, 1)


def nothing_left(cluster):
    """All nodes have no client but the one that asks, and no buffers in use."""
    def idle():
        return all(int(node.stats()["curr_connections"]) <= 2 for node in cluster.nodes)
    testlib.wait_for(idle, "end of all connections")


# ---------------------------------------------------------------- nodes that are not there

def ask_all(cluster, node, size, limit=LIMIT):
    """Asks NODE for each key by itself and in one multi-get; returns how many values and errors came."""
    hits = errors = 0
    with testlib.Connection(node.port) as c:
        for n in range(0, 100):
            begun = time.monotonic()
            c.send(b"get %s\r\n" % key(n))
            found, last = read_values(c)
            assert time.monotonic() - begun < limit, "%.1f s for an answer" % (time.monotonic() - begun)
            check(found, size)
            if last.startswith(b"SERVER_ERROR"):
                assert not found, "a value and an error"
                errors += 1
            else:
                assert last == b"END\r\n", last
                hits += len(found)
        c.send(b"get %s\r\nmn\r\n" % b" ".join(key(n) for n in range(100)))
        found, last = read_values(c)
        check(found, size)
        assert last == b"END\r\n" or last.startswith(b"SERVER_ERROR peer"), last
        assert c.line() == b"MN\r\n"
    return hits, errors


def a_node_stands_still(cluster, chance, seconds):
    """Its keys are errors in bounded time, those of others are there; when it goes on, all is as before."""
    fill(cluster, 100, 3000)
    still, other = cluster.nodes[1], cluster.nodes[0]
    os.kill(still.pid, signal.SIGSTOP)
    try:
        hits, errors = ask_all(cluster, other, 3000)
        assert hits + errors == 100 and hits > 20, (hits, errors)
        assert errors > 10, errors
    finally:
        os.kill(still.pid, signal.SIGCONT)

    def well():
        return ask_all(cluster, other, 3000) == (100, 0)
    testlib.wait_for(well, "answers of all nodes")


def a_node_dies(cluster, chance, seconds):
    """As above, and it comes back empty."""
    fill(cluster, 100, 3000)
    dead, other = cluster.nodes[2], cluster.nodes[0]
    c = testlib.Connection(other.port)
    c.send(b"".join(b"get %s\r\nset %s 0 0 1\r\n1\r\n" % (key(n), b"other:%d" % n) for n in range(100)))
    dead.kill()
    for n in range(100):
        found, last = read_values(c)
        check(found, 3000)
        assert last == b"END\r\n" or last.startswith(b"SERVER_ERROR peer"), last
        last = c.line()
        assert last == b"STORED\r\n" or last.startswith(b"SERVER_ERROR peer"), last
    c.close()
    hits, errors = ask_all(cluster, other, 3000)
    assert hits + errors == 100 and hits > 20, (hits, errors)
    dead.start()

    def well():
        return ask_all(cluster, other, 3000)[1] == 0
    testlib.wait_for(well, "answers of all nodes")
    fill(cluster, 100, 3000)
    testlib.wait_for(lambda: ask_all(cluster, other, 3000) == (100, 0), "all keys again")


def a_node_dies_in_a_long_value(cluster, chance, seconds):
    """Whoever sends or reads 1 MB meanwhile gets all of it, an error, or the end of the connection, never anything else."""
    fill(cluster, 60, 900000)
    dead, other = cluster.nodes[2], cluster.nodes[0]
    clients = [testlib.Connection(other.port) for _ in range(60)]
    for n, c in enumerate(clients):
        c.send(b"get %s\r\n" % key(n) if n % 2 else b"set %s 0 0 900000\r\n%s" % (key(n), b"x" * 300000))
    time.sleep(chance.random() / 20)
    dead.kill()
    for n, c in enumerate(clients):
        try:
            if n % 2:
                found, last = read_values(c)
                check(found, 900000)
                assert last == b"END\r\n" or last.startswith(b"SERVER_ERROR peer"), last
            else:
                c.send(b"x" * 600000 + b"\r\n")
                last = c.line()
                assert last == b"STORED\r\n" or last.startswith(b"SERVER_ERROR peer"), last
        except (EOFError, ConnectionResetError, BrokenPipeError):
            pass
        c.close()
    dead.start()


NOTICED = "peer n2: cannot be reached"


def long_values_outlive_a_node(cluster, chance, seconds):
    """The node dies while 1 MB values pass to it, and comes back: they are stored."""
    dead, other = cluster.nodes[2], cluster.nodes[0]
    for _ in range(3):
        clients = [testlib.Connection(other.port) for _ in range(20)]
        for n, c in enumerate(clients):
            c.send(b"set %s 0 0 900000\r\n%s" % (key(n), value_of(key(n), 900000)[:300000]))
        # All of that has arrived when what was sent behind it is answered.
        assert testlib.Connection(other.port).ask(b"mn\r\n") == b"MN\r\n"
        noticed = other.output().count(NOTICED)
        dead.kill()
        testlib.wait_for(lambda: other.output().count(NOTICED) > noticed, "notice of the node that died")
        for n, c in enumerate(clients):
            c.send(value_of(key(n), 900000)[300000:900000] + b"\r\nget %s\r\n" % key(n))
        dead.start()
        for n, c in enumerate(clients):
            line = c.line()
            assert line == b"STORED\r\n", line
            found, last = read_values(c)
            assert found == {key(n): value_of(key(n), 900000)[:900000]} and last == b"END\r\n"
            c.close()
        cluster.wait()


def copies_are_read(cluster, chance, seconds):
    """With --read-replicas every read is answered where there is a copy: of three nodes with two copies, anywhere."""
    fill(cluster, 200, 50)

    def copied():
        return sum(int(node.stats()["curr_items"]) for node in cluster.nodes) >= 600
    testlib.wait_for(copied, "copies at all nodes")
    before = [node.stats("threads") for node in cluster.nodes]
    for node in cluster.nodes:
        with testlib.Connection(node.port) as c:
            c.send(b"get %s\r\n" % b" ".join(map(key, range(200))))
            found, last = read_values(c)
            assert last == b"END\r\n" and len(found) == 200
            check(found, 50)
            for n in range(200):
                assert c.ask(b"mg %s s\r\n" % key(n)).startswith(b"HD s")
    for node, threads in zip(cluster.nodes, before):
        after = node.stats("threads")
        for name in threads:
            if name.endswith("forwarded_out"):
                assert after[name] == threads[name], "a read was forwarded"


STORIES = [each_node_answers, pipelines_keep_their_order, long_values, long_lines, multi_gets, flush_reaches_all,
           slow_clients, vanishing_clients, copies_are_read, a_node_stands_still, a_node_dies, a_node_dies_in_a_long_value,
           long_values_outlive_a_node]


LOSES_A_NODE = ["--peer-timeout=%d" % TIMEOUT]
MORE_OPTIONS = {
    copies_are_read: ["--read-replicas", "--replicas=2"],
    a_node_stands_still: LOSES_A_NODE,
    a_node_dies: LOSES_A_NODE,
    a_node_dies_in_a_long_value: LOSES_A_NODE,
    long_values_outlive_a_node: ["-t", "1", "-v"],
}


def main():
    arguments = testlib.arguments_of(__doc__, seconds=2.0)

    def setting(story):
        return testlib.Cluster(NODES, OPTIONS + MORE_OPTIONS.get(story, []), arguments.seed)
    testlib.tell(STORIES, arguments, setting, arguments.seconds)


if __name__ == "__main__":
    main()
