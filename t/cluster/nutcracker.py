#!/usr/bin/python3
"""The owner in a ring of kind twemproxy is the server that nutcracker sends the key to.

In place of the servers stands one loop that answers each get with the index of the server that was asked."""

import os
import selectors
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

OWNERS = os.path.join(os.environ.get("RC_BUILDDIR", "."), "t/cluster/owners")
COUNTS = (1, 2, 3, 7, 16, 25, 33, 47, 50, 64)  # 25, 47 and 50 have 39 digests a server
# Names whose nodes share a point: of different length, and of one.
TIED = (("10.0.4.203", "10.0.10.130"), ("10.0.2.90", "10.0.6.32"), ("10.0.4.192", "10.0.5.108"))
DEFAULT_COUNT = 10
DEFAULT_PORT = 11211
KEYS = 4000
KEYS_AT_ONCE = 100

POOL = """%s:
  listen: 127.0.0.1:%d
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: false
  timeout: 60000
  servers:
%s"""


class Servers:
    """Listens at each address of a list; a get is answered with the address's index."""

    def __init__(self, addresses):
        self.selector = selectors.DefaultSelector()
        self.addresses = []
        for index, address in enumerate(addresses):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
            self.addresses.append(listener.getsockname())
            self.selector.register(listener, selectors.EVENT_READ, (index, None))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            for key, _ in self.selector.select():
                index, buffer = key.data
                if buffer is None:
                    self.selector.register(key.fileobj.accept()[0], selectors.EVENT_READ, (index, bytearray()))
                else:
                    self.answer(key.fileobj, index, buffer)

    def answer(self, sock, index, buffer):
        data = sock.recv(65536)
        if not data:
            self.selector.unregister(sock)
            sock.close()
            return
        buffer += data
        while (end := buffer.find(b"\r\n")) >= 0:
            keys = bytes(buffer[:end]).split(b" ")[1:]
            del buffer[: end + 2]
            text = b"%d" % index
            sock.sendall(b"".join(b"VALUE %s 0 %d\r\n%s\r\n" % (k, len(text), text) for k in keys if k) + b"END\r\n")


def key_of(chance):
    """Printable, one in four with bytes above 127 as well."""
    pool = list(range(33, 127)) + (list(range(128, 256)) if chance.random() < 0.25 else [])
    return bytes(chance.choice(pool) for _ in range(chance.randint(1, 40)))


def asked(port, keys):
    """Which server answers for each key."""
    found = {}
    with testlib.Connection(port) as c:
        for first in range(0, len(keys), KEYS_AT_ONCE):
            c.send(b"get " + b" ".join(keys[first : first + KEYS_AT_ONCE]) + b"\r\n")
            while (line := c.line().rstrip(b"\r\n")) != b"END":
                assert line.startswith(b"VALUE "), line
                found[line.split(b" ")[1]] = int(c.line())
    return [found.get(k) for k in keys]


def ours(nodes, keys):
    arguments = ["%s,%s,%d" % node for node in nodes]
    run = subprocess.run([OWNERS, "twemproxy", *arguments], input=b"\n".join(keys) + b"\n", stdout=subprocess.PIPE, check=True)
    return [int(line) for line in run.stdout.split()]


def pools_of(servers, elided):
    """What each pool is called and its nodes, with names and without."""
    for count in COUNTS:
        some = servers.addresses[:count]
        yield "plain%d" % count, [("", *address) for address in some]
        yield "named%d" % count, [("node-%d" % n, *address) for n, address in enumerate(some)]
    for tied in [order for pair in TIED for order in (pair, pair[::-1])]:
        yield "tied-%s" % tied[0], [(label, *address) for label, address in zip(tied, servers.addresses)]
    if elided:
        yield "elided", [("", *address) for address in elided.addresses]


def configure(pools):
    text = ""
    for name, (port, nodes) in pools.items():
        lines = ["   - " + ("%s:%d:1 %s" % (host, at, label)).rstrip() + "\n" for label, host, at in nodes]
        text += POOL % (name, port, "".join(lines))
    return text


def compare(name, port, nodes, keys):
    theirs, own = asked(port, keys), ours(nodes, keys)
    wrong = [(k, a, b) for k, a, b in zip(keys, theirs, own) if a != b]
    assert len(own) == len(keys) and not wrong, "%s: %d of %d keys elsewhere, as %r" % (name, len(wrong), len(keys), wrong[:3])
    print("%s: %d keys" % (name, len(keys)))


def elided_servers():
    """Servers at the port that is left out of the name, each at an address of its own; none where the port is taken."""
    try:
        return Servers([("127.83.71.%d" % (n + 1), DEFAULT_PORT) for n in range(DEFAULT_COUNT)])
    except OSError as e:
        print("elided: left out, %s" % e)
        return None


def main():
    if not testlib.nutcracker_path():
        testlib.skip("there is no nutcracker")
    chance = testlib.arguments_of(__doc__).chance
    keys = sorted({key_of(chance) for _ in range(KEYS)})
    servers = Servers([("127.0.0.1", 0)] * max(COUNTS))
    pools = {name: (testlib.free_ports(1)[0], nodes) for name, nodes in pools_of(servers, elided_servers())}
    with testlib.nutcracker(configure(pools), [port for port, _ in pools.values()]):
        for name, (port, nodes) in pools.items():
            compare(name, port, nodes, keys)
    print("ok")


main()
