"""t/lib/netlab.py: a small network of its own for tests of faults between nodes.

    with Lab(3, seed) as lab:
        process = lab.popen(1, ["ringcached", "-l", lab.address(1), ...])
        client = lab.connect(1, lab.address(2), 11211)     # as node 1 would
        lab.rule(1, 2, drop=0.1, delay=5, jitter=5)        # packets from 1 to 2
        lab.partition([1], [2, 3])
        lab.heal()

Each node is a network namespace with one TUN device. All devices end in one process that carries packets from one to the
other and can lose, delay, repeat and hold them, by pair and direction: it does what netem does, which many kernels are built
without. It needs the rights of root, /dev/net/tun and ip(8); skip_reason() says what is missing.

Namespaces have names that tell the process, and go with it: at the end, and where it dies, when the switch sees its pipe close.
"""

import contextlib
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_PACKET_MAX = 16384
_MTU = 9000
_libc = ctypes.CDLL(None, use_errno=True)


def skip_reason():
    """Why there can be no Lab here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "no ip(8)"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return "no TUN devices: %s" % error
    if subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        return "no network namespaces"
    return None


def _set_namespace(fd):
    if _libc.setns(fd, _NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def _inside(name):
    """This thread, in the network namespace NAME."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + name, os.O_RDONLY)
    try:
        _set_namespace(there)
        yield
    finally:
        _set_namespace(home)
        os.close(home)
        os.close(there)


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL)


class Lab:
    """COUNT nodes, numbered from 1, in a network where every packet arrives at once until rules say otherwise."""

    def __init__(self, count, seed=1):
        self.count = count
        self.prefix = "rc%d-" % os.getpid()
        self.control = None
        devices = []
        try:
            for node in range(1, count + 1):
                devices.append(self._add(node))
            self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._fork(devices, theirs, seed)
            theirs.close()
        except BaseException:
            self.close()
            raise
        finally:
            for fd in devices:
                os.close(fd)

    def _add(self, node):
        name = self.name(node)
        _ip("netns", "add", name)
        with _inside(name):
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH14x", b"net", _IFF_TUN_NO_PI))
        _ip("-n", name, "addr", "add", self.address(node) + "/24", "dev", "net")
        _ip("-n", name, "link", "set", "net", "mtu", str(_MTU), "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return fd

    def _fork(self, devices, theirs, seed):
        self.switch = os.fork()
        if self.switch != 0:
            return
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self.control.close()
            _Switch(devices, theirs, seed).run()
            self._delete()
        finally:
            os._exit(0)

    def _delete(self):
        for node in range(1, self.count + 1):
            subprocess.run(["ip", "netns", "del", self.name(node)], stderr=subprocess.DEVNULL, check=False)

    def name(self, node):
        """Of the namespace."""
        return self.prefix + str(node)

    def address(self, node):
        return "10.77.0.%d" % node

    def popen(self, node, command, **options):
        """Starts COMMAND as NODE's."""
        return subprocess.Popen(["ip", "netns", "exec", self.name(node), *command], **options)

    def connect(self, node, address, port, timeout=60):
        """A connection that NODE makes; it may be used from anywhere."""
        with _inside(self.name(node)):
            return socket.create_connection((address, port), timeout)

    def _say(self, **what):
        self.control.send(json.dumps(what).encode())
        return json.loads(self.control.recv(65536))

    def rule(self, source, target, **rule):
        """Packets from SOURCE to TARGET (None = all) are dropped and repeated with the probabilities drop and repeat, and
        arrive delay (ms), and up to jitter (ms) more, later; each rule adds to those that there are."""
        self._say(rule=rule, source=source, target=target)

    def partition(self, *groups):
        """Nothing passes between the groups."""
        for a in groups:
            for b in groups:
                if a is not b:
                    for source in a:
                        for target in b:
                            self.rule(source, target, drop=1.0)

    def cut(self, source, target):
        """Nothing passes from SOURCE to TARGET; the other way is open."""
        self.rule(source, target, drop=1.0)

    def heal(self):
        """As at the beginning."""
        self._say(heal=True)

    def counts(self):
        """Packets seen, dropped and delivered so far."""
        return self._say(counts=True)

    def close(self):
        """Ends the switch and removes the namespaces. Whoever started processes there ends them first."""
        if self.control is not None:
            self.control.close()
            os.waitpid(self.switch, 0)
            self.control = None
        else:
            self._delete()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()


class _Switch:
    """The process between the devices."""

    def __init__(self, devices, control, seed):
        self.devices = devices
        self.control = control
        self.random = random.Random(seed)
        self.rules = {}
        self.later = []
        self.sequence = 0
        self.seen = self.dropped = self.delivered = 0

    def run(self):
        poll = select.epoll()
        for fd in (*self.devices, self.control.fileno()):
            poll.register(fd, select.EPOLLIN)
        nodes = {fd: i + 1 for i, fd in enumerate(self.devices)}
        while True:
            for fd, _ in poll.poll(self._deliver_due()):
                if fd in nodes:
                    self._receive(fd, nodes[fd])
                elif not self._command():
                    return

    def _deliver_due(self):
        """Delivers what is due; returns the seconds to the next."""
        now = time.monotonic()
        while self.later and self.later[0][0] <= now:
            _, _, target, packet = heapq.heappop(self.later)
            self._deliver(target, packet)
        return max(0.0, self.later[0][0] - now) if self.later else -1

    def _deliver(self, target, packet):
        try:
            os.write(self.devices[target - 1], packet)
            self.delivered += 1
        except OSError:
            self.dropped += 1

    def _receive(self, fd, source):
        for _ in range(64):
            try:
                packet = os.read(fd, _PACKET_MAX)
            except BlockingIOError:
                return
            if len(packet) >= 20 and packet[0] >> 4 == 4 and packet[16:19] == b"\x0a\x4d\x00":
                self._carry(source, packet[19], packet)

    def _carry(self, source, target, packet):
        if not 1 <= target <= len(self.devices):
            return
        self.seen += 1
        rule = self.rules.get((source, target), {})
        if self.random.random() < rule.get("drop", 0):
            self.dropped += 1
            return
        for _ in range(2 if self.random.random() < rule.get("repeat", 0) else 1):
            delay = (rule.get("delay", 0) + self.random.random() * rule.get("jitter", 0)) / 1000
            if delay <= 0:
                self._deliver(target, packet)
                continue
            self.sequence += 1
            heapq.heappush(self.later, (time.monotonic() + delay, self.sequence, target, packet))

    def _command(self):
        """False where the owner is gone."""
        message = self.control.recv(65536)
        if not message:
            return False
        command = json.loads(message)
        answer = {}
        if "rule" in command:
            everyone = range(1, len(self.devices) + 1)
            for source in [command["source"]] if command["source"] else everyone:
                for target in [command["target"]] if command["target"] else everyone:
                    self.rules.setdefault((source, target), {}).update(command["rule"])
        elif "heal" in command:
            self.rules.clear()
        else:
            answer = {"seen": self.seen, "dropped": self.dropped, "delivered": self.delivered}
        self.control.send(json.dumps(answer).encode())
        return True


def _self_test():
    """Two nodes that talk, are cut off, and talk again."""
    with Lab(2) as lab:
        with _inside(lab.name(2)):
            listener = socket.create_server((lab.address(2), 7))
        client = lab.connect(1, lab.address(2), 7)
        server, _ = listener.accept()
        client.sendall(b"a")
        assert server.recv(1) == b"a"
        lab.rule(1, 2, delay=50)
        begin = time.monotonic()
        client.sendall(b"b")
        assert server.recv(1) == b"b" and time.monotonic() - begin > 0.04
        lab.partition([1], [2])
        client.sendall(b"c")
        server.settimeout(0.3)
        try:
            raise AssertionError("a packet crossed the cut: %r" % server.recv(1))
        except socket.timeout:
            pass
        lab.heal()
        server.settimeout(60)
        assert server.recv(1) == b"c"
        assert lab.counts()["dropped"] > 0
        listener.close()
    assert not os.path.exists("/run/netns/" + lab.name(1))


if __name__ == "__main__":
    REASON = skip_reason()
    if REASON:
        print("skipped: " + REASON)
        sys.exit(77)
    _self_test()
