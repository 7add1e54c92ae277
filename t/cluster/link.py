#!/usr/bin/python3
"""The links between nodes, seen from outside: who is refused and why, strangers at the peer port, and a wire that does harm.

    link.py [--seconds S] [--only NAME] [--seed N]

The stories with a bad wire need root: one of two nodes finds the other by a name that leads to a proxy (each has an /etc/hosts of its
own), and the proxy cuts, changes, delays, repeats and loses what goes through it.
"""

import concurrent.futures
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

GREET = 48
HANDSHAKE = 2.0  # seconds that a stranger has
VERSION_AT = 8
VERSION = 2
TIMEOUT = 1.0
OPTIONS = ["-m", "64", "-t", "2", "-v", "--peer-timeout=%d" % (1000 * TIMEOUT)]


def pair(options_a, options_b, secrets=None):
    """Two nodes that list each other, each with options of its own."""
    secret = testlib.Secret()
    secret_a, secret_b = secrets or (secret, secret)
    ports = testlib.free_ports(4)
    peers = "--peers=a=127.0.0.1:%d/%d,b=127.0.0.1:%d/%d" % tuple(ports)
    a = testlib.Node(ports[0], ["--node=a", peers, "--secret=" + secret_a.name, *OPTIONS, *options_a])
    b = testlib.Node(ports[2], ["--node=b", peers, "--secret=" + secret_b.name, *OPTIONS, *options_b])
    a.peer_port, b.peer_port = ports[1], ports[3]
    a.keep = (secret, secret_a, secret_b)
    for node in (a, b):
        node.wait_serving()
    return a, b


def end(*nodes):
    for node in nodes:
        status = node.stop()
        assert status == 0, "a node ended with %d: %s" % (status, node.output()[-4000:])


# ---------------------------------------------------------------- who is refused, and why

def refusals(cluster, chance, seconds):
    """Both sides say which setting differs, once and not once a try."""
    other = testlib.Secret()
    cases = [
        ("another secret (--secret)", [], [], (testlib.Secret(), other)),
        ("another cluster (--cluster-id)", [], ["--cluster-id=other"], None),
        ("another ring", [], ["--ring=ketama100"], None),
        ("another ring", ["--replicas=0"], [], None),
    ]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for one in [pool.submit(refusal, *case) for case in cases]:
            one.result()


def refusal(text, options_a, options_b, secrets):
    a, b = pair(options_a, options_b, secrets)
    for node in (a, b):
        node.wait_output(text)
    time.sleep(2.5)  # in which both try many times
    said = [node.output().count(text) for node in (a, b)]
    assert max(said) <= 2, (said, a.output())
    assert "linked" not in a.output() + b.output()
    end(a, b)


def greet(version=VERSION):
    return b"ringpeer" + struct.pack("<II", version, 0) + os.urandom(32)


def stranger(port, data=b""):
    """All that the peer port says to who sends DATA, and how long it took to hang up."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), testlib.PATIENCE) as s:
        heard = b""
        try:
            s.sendall(data)
            while True:
                more = s.recv(4096)
                if not more:
                    break
                heard += more
        except (ConnectionResetError, BrokenPipeError):
            pass
    return heard, time.monotonic() - begun


def at_once(port, data):
    """What it says before it hangs up at once; the machine may be busy, but not each time."""
    for _ in range(20):
        heard, took = stranger(port, data)
        if took < HANDSHAKE / 2:
            return heard
    raise AssertionError("%.1f s until the end" % took)


def another_version(cluster, chance, seconds):
    """Who speaks another version is told the version of this node, and no more."""
    node = cluster.nodes[0]
    heard = at_once(node.peer_port, greet(7))
    assert len(heard) == GREET and heard.startswith(b"ringpeer"), heard
    assert struct.unpack_from("<I", heard, VERSION_AT)[0] == VERSION
    node.wait_output("another version of the protocol")


def another_version_is_met(cluster, chance, seconds):
    """A node that meets one of another version says so, whoever has called."""
    secret, ports = testlib.Secret(), testlib.free_ports(3)
    with socket.create_server(("127.0.0.1", ports[2])) as other:
        other.settimeout(testlib.PATIENCE)
        peers = "--peers=a=127.0.0.1:%d/%d,b=127.0.0.1:1/%d" % (ports[0], ports[1], ports[2])
        node = testlib.Node(ports[0], ["--node=a", peers, "--secret=" + secret.name, *OPTIONS])
        with other.accept()[0] as met:
            met.settimeout(testlib.PATIENCE)
            heard = b""
            while len(heard) < GREET:
                heard += met.recv(GREET)
            assert struct.unpack_from("<I", heard, VERSION_AT)[0] == VERSION
            met.sendall(greet(VERSION + 1))
            node.wait_output("peer b at 127.0.0.1:%d is refused: it speaks another version of the protocol between nodes" % ports[2])
        end(node)


def an_address_of_elsewhere(cluster, chance, seconds):
    """A node whose name leads to no address of this machine, as in a container, is found at any of them."""
    secret, ports = testlib.Secret(), testlib.free_ports(2)
    node = testlib.Node(ports[0], ["--node=a", "--peers=a=192.0.2.1:%d/%d" % tuple(ports), "--secret=" + secret.name, *OPTIONS])
    node.wait_serving()
    node.wait_output("192.0.2.1 is no address of this machine")
    assert at_once(ports[1], greet(7)).startswith(b"ringpeer")
    end(node)


# ---------------------------------------------------------------- strangers

def works(cluster):
    """Values stored at one node come from all."""
    for n in range(40):
        key = b"works:%d" % n
        with cluster.connect() as c:
            line = c.ask(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(key), key))
            assert line == b"STORED\r\n", (key, line)
        for node in cluster.nodes:
            with testlib.Connection(node.port) as c:
                c.send(b"get %s\r\n" % key)
                line = c.line()
                assert line == b"VALUE %s 0 %d\r\n" % (key, len(key)), (key, line)
                assert c.exactly(len(key) + 7) == key + b"\r\nEND\r\n"


def strangers(cluster, chance, seconds):
    """Whatever a stranger sends, he is told nothing and loses the connection, within two seconds and a little."""
    port = cluster.nodes[0].peer_port
    heard = at_once(port, b"get x\r\n" * 100)
    assert heard == b"", heard
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for heard, took in pool.map(lambda data: stranger(port, data), (b"", b"r", greet()[:GREET - 1], greet())):
            assert len(heard) in (0, GREET) and took > 0.9 * HANDSHAKE, (heard, took)
    heard = at_once(port, greet() + os.urandom(104))
    assert len(heard) == GREET, heard
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        data = bytearray(greet() + os.urandom(chance.randrange(300)))
        if chance.randrange(2):
            data[chance.randrange(16)] ^= 1 << chance.randrange(8)
        with socket.create_connection(("127.0.0.1", port), testlib.PATIENCE) as s:
            s.sendall(data[:chance.randrange(len(data) + 1)])
            if chance.randrange(2):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    well_again(cluster)


def floods(cluster, chance, seconds):
    """Hundreds of silent connections: few are kept, none of them long, and nodes come through."""
    node, other = cluster.nodes
    crowd = [socket.create_connection(("127.0.0.1", node.peer_port), testlib.PATIENCE) for _ in range(500)]
    well_again(cluster)
    other.kill()
    for s in crowd[:100]:
        s.close()
    crowd += [socket.create_connection(("127.0.0.1", node.peer_port), testlib.PATIENCE) for _ in range(200)]
    other.start()
    other.wait_output("peer a: linked")

    def gone():
        return len(os.listdir("/proc/%d/fd" % node.pid)) < 70
    testlib.wait_for(gone, "end of the crowd")
    for s in crowd:
        s.close()
    well_again(cluster)


def well_again(cluster):
    """Waits until works() says so. Nothing may hang meanwhile."""
    def well():
        try:
            works(cluster)
            return True
        except TimeoutError:
            raise
        except (AssertionError, EOFError, OSError) as error:
            why[:] = [error]
            return False
    why = []
    testlib.wait_for(well, lambda: "all is well again: %r" % why)


def no_descriptors(cluster, chance, seconds):
    """Where descriptors are out, the peer port waits; it does not burn the processor."""
    node = cluster.nodes[0]
    subprocess.run(["prlimit", "--pid", str(node.pid), "--nofile=%d:" % len(os.listdir("/proc/%d/fd" % node.pid))], check=True)
    crowd = [socket.create_connection(("127.0.0.1", node.peer_port), testlib.PATIENCE) for _ in range(20)]
    time.sleep(0.2)
    before = node.cpu()
    time.sleep(1)
    used = node.cpu() - before
    assert used < 0.5, "%.2f s of CPU in one second" % used
    subprocess.run(["prlimit", "--pid", str(node.pid), "--nofile=1024:"], check=True)
    for s in crowd:
        s.close()
    heard, _ = stranger(node.peer_port, greet(7))
    assert len(heard) == GREET
    well_again(cluster)


# ---------------------------------------------------------------- a node that stands still

def stands_still(cluster, chance, seconds):
    """Its link ends, comes back, and both say so; a node that itself stood still accuses nobody else."""
    node, still = cluster.nodes
    for _ in range(3):
        os.kill(still.pid, signal.SIGSTOP)
        time.sleep(2)
        with testlib.Connection(node.port) as c:
            begun = time.monotonic()
            for n in range(20):
                c.send(b"get still:%d\r\n" % n)
                line = c.line()
                assert line == b"END\r\n" or line.startswith(b"SERVER_ERROR peer b"), line
            assert time.monotonic() - begun < 20 * (TIMEOUT + 1)
        os.kill(still.pid, signal.SIGCONT)
        well_again(cluster)
    node.wait_output("does not answer")


def keys_of(node, still):
    """Keys that NODE owns, and those of STILL, which stands."""
    mine, theirs = [], []
    time.sleep(2)
    for n in range(100):
        key = b"stuck:%d" % n
        with testlib.Connection(node.port) as c:
            line = c.ask(b"get %s\r\n" % key)
            (mine if line == b"END\r\n" else theirs).append(key)
    assert len(mine) > 10 and len(theirs) > 10, (mine, theirs)
    return mine, theirs


def pour(node, key, answers):
    """Sends long values of a key whose node stands; what comes of it is an error, or all is well."""
    value = b"x" * 1000000
    with testlib.Connection(node.port) as c:
        for _ in range(5):
            try:
                c.send(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
                answers.append(c.line())
            except (EOFError, ConnectionResetError, BrokenPipeError):
                return


def a_stuck_node_slows_nobody(cluster, chance, seconds):
    """While much waits for a node that stands, others are served at once, and what waits is bounded."""
    node, still = cluster.nodes
    os.kill(still.pid, signal.SIGSTOP)
    mine, theirs = keys_of(node, still)
    os.kill(still.pid, signal.SIGCONT)
    testlib.wait_for(lambda: all(answers(node.port, [b"no"], b"END") for _ in range(12)), "links")
    before, slowest, done = node.rss(), [], []
    os.kill(still.pid, signal.SIGSTOP)
    crowd = [threading.Thread(target=pour, args=(node, chance.choice(theirs), done)) for _ in range(60)]
    for one in crowd:
        one.start()
    with testlib.Connection(node.port) as c:
        while any(one.is_alive() for one in crowd):
            begun = time.monotonic()
            assert c.ask(b"get %s\r\n" % chance.choice(mine)) == b"END\r\n"
            slowest.append(time.monotonic() - begun)
            assert node.rss() - before < 500 << 20, "%d MB more" % ((node.rss() - before) >> 20)
            time.sleep(0.001)
    os.kill(still.pid, signal.SIGCONT)
    slowest.sort()
    assert slowest[len(slowest) // 2] < TIMEOUT / 4, slowest[-20:]
    for line in done:
        assert line == b"STORED\r\n" or line.startswith(b"SERVER_ERROR peer b "), line
    well_again(cluster)


# ---------------------------------------------------------------- a wire that does harm

class Proxy:
    """Carries connections to a port of 127.0.0.1, with the harm that is set: a function (chance, bytes) -> list of what goes on, in
    which None ends the connection; a number is a pause."""

    def __init__(self, port, chance):
        self.port = port
        self.chance = chance
        self.harm = None
        self.listener = socket.create_server(("127.0.0.2", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.port), 5)
            except OSError:
                near.close()
                continue
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.settimeout(None)
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def carry(self, here, there):
        try:
            while True:
                data = here.recv(1 << 16)
                if not data:
                    break
                for part in self.harm(self.chance, data) if self.harm else (data,):
                    if part is None:
                        raise OSError
                    if isinstance(part, float):
                        time.sleep(part)
                    else:
                        there.sendall(part)
        except OSError:
            pass
        for s in (here, there):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def cuts(chance, data):
    if chance.randrange(30):
        return [data]
    return [data[:chance.randrange(len(data))], None]


def flips(chance, data):
    if chance.randrange(30):
        return [data]
    data = bytearray(data)
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return [bytes(data)]


def repeats(chance, data):
    return [data, data] if chance.randrange(30) == 0 else [data]


def loses(chance, data):
    at = chance.randrange(len(data))
    return [data[:at], data[at + chance.choice((1, 32, 1000)):]] if chance.randrange(30) == 0 else [data]


def delays(chance, data):
    parts = []
    while data:
        n = chance.choice((1, 31, 1000, 60000))
        parts += [data[:n], chance.choice((0.0, 0.001, 0.02))]
        data = data[n:]
        if len(parts) > 20:
            return parts + [data]
    return parts


def stalls(chance, data):
    return [chance.choice((0.4, 1.5, 4.0)), data] if chance.randrange(60) == 0 else [data]


class NamedNode(testlib.Node):
    """With an /etc/hosts of its own, in which the name of this machine's other node has a certain address."""

    def __init__(self, port, options, address):
        self.hosts = tempfile.NamedTemporaryFile(mode="w", prefix="ringcache-hosts-")
        self.hosts.write("127.0.0.1 localhost\n%s ringcache-bee\n" % address)
        self.hosts.flush()
        os.chmod(self.hosts.name, 0o644)
        super().__init__(port, options)

    def command(self):
        """In namespaces for mounts of its own."""
        script = "mount --bind %s /etc/hosts && exec \"$0\" \"$@\"" % self.hosts.name
        return ["unshare", "-m", "sh", "-c", script, *super().command()]


def with_proxy(chance):
    """Two nodes; what the first one asks the second goes through the proxy."""
    secret = testlib.Secret()
    ports = testlib.free_ports(4)
    proxy = Proxy(ports[3], chance)
    common = ["--peers=a=127.0.0.1:%d/%d,b=ringcache-bee:%d/%d" % tuple(ports), "--secret=" + secret.name, *OPTIONS]
    a = NamedNode(ports[0], ["--node=a", *common], "127.0.0.2")
    b = NamedNode(ports[2], ["--node=b", *common], "127.0.0.1")
    for node in (a, b):
        node.wait_serving()
    a.wait_output("peer b: linked")
    a.keep = secret
    return a, b, proxy


def value_of(key, size):
    return b"<%s>" % key * (size // (len(key) + 2) + 1)


def burst(node, chance, told):
    """A pipeline of sets, gets and counts; TOLD notes for each counter what was confirmed and what may have been done."""
    sent, data = [], []
    for _ in range(chance.choice((1, 20, 200))):
        key = b"wire:%d" % chance.randrange(50)
        kind = chance.choice("sggcc")
        if kind == "c":
            key = b"count:%d" % chance.randrange(20)
            data.append(b"incr %s 1\r\n" % key)
        elif kind == "g":
            data.append(b"get %s\r\n" % key)
        else:
            v = value_of(key, sizes(key))
            data.append(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(v), v))
        sent.append((kind, key))
    for kind, key in sent:
        if kind == "c":
            told[key][1] += 1
    with testlib.Connection(node.port) as c:
        writer = threading.Thread(target=quietly, args=(c.send, b"".join(data)))
        writer.start()
        try:
            for kind, key in sent:
                read_one(c, kind, key, told)
        except (EOFError, ConnectionResetError):
            pass  # an answer that had begun could not be finished
        finally:
            writer.join()


def quietly(what, *arguments):
    try:
        what(*arguments)
    except OSError:
        pass


def sizes(key):
    return (10, 1000, 30000, 200000)[int(key.split(b":")[1]) % 4]


def read_one(c, kind, key, told):
    line = c.line()
    if line.startswith(b"SERVER_ERROR peer b "):
        return
    if kind == "c":
        assert line[:-2].isdigit(), (key, line)
        told[key][0] += 1
        assert told[key][0] <= int(line) <= told[key][1], (key, line, told[key])
    elif kind == "s":
        assert line == b"STORED\r\n", (key, line)
    elif line != b"END\r\n":
        v = value_of(key, sizes(key))
        assert line == b"VALUE %s 0 %d\r\n" % (key, len(v)), (key, line)
        assert c.exactly(len(v) + 7) == v + b"\r\nEND\r\n", key


def answers(port, keys, wanted=b"VALUE"):
    """Whether the worker that the connection comes to has its link."""
    with testlib.Connection(port) as c:
        c.send(b"get %s\r\nmn\r\n" % b" ".join(keys))
        line = c.until(b"MN\r\n")
        return line.startswith(wanted) and b"SERVER_ERROR" not in line


def bad_wire(harms, chance, seconds):
    """HARMS: functions for the proxy, and what the log says when it did harm."""
    a, b, proxy = with_proxy(chance)
    told = {b"count:%d" % n: [0, 0] for n in range(20)}
    with testlib.Connection(b.port) as c:
        for key in told:
            testlib.wait_for(lambda: c.set(key, b"0") == b"STORED\r\n", "counter that is set")
    for harm, said in harms.items():
        proxy.harm = harm
        begun = time.monotonic()
        while time.monotonic() < begun + seconds or (
                said not in a.output() + b.output() and time.monotonic() < begun + testlib.PATIENCE):
            burst(a, chance, told)
        assert said in a.output() + b.output(), "nobody says %r" % said
        proxy.harm = None

        def well():
            return all(answers(a.port, told) for _ in range(12))
        testlib.wait_for(well, "links after %s" % harm.__name__)
    for node in (a, b):
        with testlib.Connection(node.port) as c:
            for key, (confirmed, most) in told.items():
                n = testlib.wait_for(lambda: number_of(c, key), "answer of the owner")
                assert confirmed <= int(n) <= most, (key, confirmed, n, most)
    end(a, b)


def number_of(c, key):
    """None where the owner did not answer in time."""
    c.send(b"get %s\r\n" % key)
    line = c.line()
    if line.startswith(b"SERVER_ERROR peer"):
        return None
    assert line.startswith(b"VALUE"), (key, line)
    n = c.line()
    assert c.line() == b"END\r\n"
    return n


def harm_on_the_wire(cluster, chance, seconds):
    """What is cut, changed, repeated or lost ends that link; no answer is wrong, nothing is done twice, and the link comes back."""
    bad_wire({cuts: "", flips: "a frame is damaged", repeats: "", loses: ""}, chance, seconds)


def slow_wire(cluster, chance, seconds):
    """The same for what comes late, in pieces, or hardly ever."""
    bad_wire({delays: "", stalls: ""}, chance, seconds)


ALONE = [refusals, an_address_of_elsewhere, harm_on_the_wire, slow_wire]
STORIES = [refusals, another_version, another_version_is_met, an_address_of_elsewhere, strangers, floods, no_descriptors, stands_still,
           a_stuck_node_slows_nobody, harm_on_the_wire, slow_wire]


def can_mount():
    return os.geteuid() == 0 and subprocess.run(
        ["unshare", "-m", "sh", "-c", "mount --bind /etc/hostname /etc/hosts"], check=False, capture_output=True).returncode == 0


def setting(story):
    """Two nodes that are linked, where the story does not start its own."""
    if story in ALONE:
        return contextlib.nullcontext()
    a, b = pair([], [])
    a.wait_output("peer b: linked")
    b.wait_output("peer a: linked")
    return testlib.Cluster.of([a, b])


def main():
    arguments = testlib.arguments_of(__doc__, seconds=1.5)
    stories = STORIES
    if not can_mount():
        print("stories with a bad wire need root")
        stories = [story for story in STORIES if story not in (harm_on_the_wire, slow_wire)]
    testlib.tell(stories, arguments, setting, arguments.seconds)


if __name__ == "__main__":
    main()
