"""What the tests over sockets share: starting a server on a free port, waiting until it answers,
stopping it by its process id, and small clients that see every byte.

The server under test is $RINGCACHED (make check sets it to the one just built), each with the options in $RINGCACHED_ARGS
(such as --io=event). The oracle is Debian's memcached, $MEMCACHED; a test that needs it is skipped (exit code 77) where there is
none.
"""

import atexit
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIP = 77
MORE_ARGS = os.environ.get("RINGCACHED_ARGS", "").split()
ORACLE_OPTIONS = ["-o", "no_lru_maintainer,no_lru_crawler"]

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def skip(why):
    """Ends the test as skipped."""
    print("skipped: %s" % why)
    sys.exit(SKIP)


def ringcached_path():
    """The binary under test: $RINGCACHED or the one in the directory that the test runs in."""
    path = os.environ.get("RINGCACHED") or os.path.join(os.getcwd(), "ringcached")
    if not os.access(path, os.X_OK):
        print("no server to test: %s (set RINGCACHED)" % path)
        sys.exit(1)
    return path


def memcached_path():
    """The oracle, or None where the machine has none."""
    return os.environ.get("MEMCACHED") or shutil.which("memcached")


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, seconds, what):
    """Polls CONDITION until it is true; fails the test after SECONDS."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited %g s in vain: %s" % (seconds, what))
        time.sleep(0.005)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """A server process on a free port of 127.0.0.1; its standard error goes to a file."""

    def __init__(self, path, options=(), limits=(), wait=True):
        self.path = path
        self.options = list(options)
        self.limits = list(limits)
        self.process = None
        self.port = None
        self.log = None
        self.start(wait)
        atexit.register(self.kill)

    def start(self, wait=True):
        for attempt in range(5):
            self.port = free_port()
            self.log = tempfile.TemporaryFile()
            more = MORE_ARGS if self.path == ringcached_path() else []
            command = self.limits + [self.path, *more, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0"]
            if os.geteuid() == 0:
                command += ["-u", "root"]
            self.process = subprocess.Popen(
                command + self.options, stdin=subprocess.DEVNULL, stdout=self.log,
                stderr=self.log, preexec_fn=_die_with_parent)
            if not wait or self._answers():
                return
            if self.process.poll() is None:
                break
        raise AssertionError("%s does not start: %s" % (self.path, self.output()))

    def _answers(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return True
            except OSError:
                time.sleep(0.01)
        return False

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def output(self):
        """What it wrote to standard output and error."""
        self.log.seek(0)
        return self.log.read().decode("latin-1")

    def connect(self, timeout=10):
        return Connection(self.port, timeout)

    def rss(self):
        """Resident bytes."""
        with open("/proc/%d/statm" % self.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stats(self, what=""):
        """The reply to stats as a dictionary of strings."""
        with self.connect() as c:
            c.send(b"stats%s\r\n" % ((" " + what).encode() if what else b""))
            lines = c.until(b"END\r\n").decode("latin-1").split("\r\n")
        return dict(line.split(" ", 2)[1:] for line in lines if line.count(" ") >= 2)

    def stop(self, seconds=5):
        """Asks it to end and returns its exit status; a server that does not end is a failure."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the server did not stop within %g s" % seconds)
        return self.process.returncode

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self):
        """An empty server in place of this one."""
        self.kill()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            print("server output: %s" % self.output()[-4000:])
            self.kill()


def ringcached(options=(), **more):
    return Server(ringcached_path(), options, **more)


def memcached(options=(), **more):
    """The oracle, without the background threads that would make it less than deterministic."""
    path = memcached_path()
    if path is None:
        skip("there is no memcached to compare with")
    return Server(path, ORACLE_OPTIONS + list(options), **more)


class Node(Server):
    """One of several that know of each other, on a port that stays."""

    def __init__(self, port, options):
        self.fixed = port
        super().__init__(ringcached_path(), options, wait=False)

    def _answers(self):
        """That it can be connected to is not enough: it looks for the others before it serves."""
        if not super()._answers():
            return False
        try:
            with self.connect(20) as c:
                return c.ask(b"version\r\n").startswith(b"VERSION")
        except (OSError, EOFError):
            return False

    def start(self, wait=True):
        self.port = self.fixed
        self.log = tempfile.TemporaryFile()
        command = [self.path, *MORE_ARGS, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0"]
        if os.geteuid() == 0:
            command += ["-u", "root"]
        self.process = subprocess.Popen(
            command + self.options, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, preexec_fn=_die_with_parent)
        if wait and not self._answers():
            raise AssertionError("%s does not start: %s" % (self.path, self.output()))


class Cluster:
    """COUNT nodes that are one cache, with the face of one server: each connection goes to a node of chance."""

    def __init__(self, count, options=(), seed=0, named=True):
        """Without names the nodes are called what clients call them, host:port."""
        self.chance = random.Random(seed)
        self.secret = tempfile.NamedTemporaryFile(prefix="ringcache-secret-")
        self.secret.write(b"%032x" % random.SystemRandom().getrandbits(128))
        self.secret.flush()
        ports = self._free_ports(2 * count)
        names = ["n%d" % i if named else "127.0.0.1:%d" % ports[2 * i] for i in range(count)]
        peers = ",".join("%s127.0.0.1:%d/%d" % (names[i] + "=" if named else "", ports[2 * i], ports[2 * i + 1])
                         for i in range(count))
        common = ["--peers=" + peers, "--secret=" + self.secret.name, *options]
        self.nodes = [Node(ports[2 * i], ["--node=" + names[i], *common]) for i in range(count)]
        self.wait()

    @staticmethod
    def _free_ports(count):
        """Below those that the system gives to connections, so that they are still free when a node starts again."""
        ports = []
        while len(ports) < count:
            port = random.SystemRandom().randrange(12000, 32000)
            with socket.socket() as s:
                try:
                    s.bind(("127.0.0.1", port))
                except OSError:
                    continue
            if port not in ports:
                ports.append(port)
        return ports

    def wait(self):
        """Until each worker of each node has its link to every other node."""
        for node in self.nodes:
            if not node._answers():
                raise AssertionError("a node does not start: %s" % node.output())
        for node in self.nodes:
            wait_for(lambda: self._all_linked(node), 20, "links of all nodes")

    @staticmethod
    def _all_linked(node):
        asked = b"".join(b"get probe:%d\r\n" % n for n in range(50)) + b"mn\r\n"
        clients = [Connection(node.port) for _ in range(8)]
        for c in clients:
            c.send(asked)
        answers = [c.until(b"MN\r\n") for c in clients]
        for c in clients:
            c.close()
        return not any(b"SERVER_ERROR" in answer for answer in answers)

    @property
    def port(self):
        return self.chance.choice(self.nodes).port

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        self.wait()

    def alive(self):
        return all(node.alive() for node in self.nodes)

    def output(self):
        return "\n".join(node.output() for node in self.nodes)

    def connect(self, timeout=10):
        return Connection(self.port, timeout)

    def stats(self, what=""):
        """The sums of what is a number at every node."""
        total = {}
        for node in self.nodes:
            for name, value in node.stats(what).items():
                if value.isdigit():
                    total[name] = total.get(name, 0) + int(value)
        return total

    def ringctl(self, *arguments):
        """What ringctl prints as JSON, asked at a node that lives."""
        path = os.environ.get("RINGCTL") or os.path.join(os.path.dirname(ringcached_path()), "ringctl", "ringctl")
        node = next(node for node in self.nodes if node.alive())
        done = subprocess.run([path, "-j", "-s", "127.0.0.1:%d" % node.port, "-S", self.secret.name, *arguments],
                              stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def holders(self, key):
        """The names of the nodes that hold KEY, its primary first."""
        found = self.ringctl("ring", key.decode())
        return [found["owner"], *found["copies"]]

    def stop(self, seconds=5):
        return max([node.stop(seconds) for node in self.nodes], key=abs)

    def kill(self):
        for node in self.nodes:
            node.kill()

    def restart(self):
        self.kill()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            status = self.stop()
            assert status == 0, "a node ended with %d: %s" % (status, self.output()[-8000:])
        else:
            print("output of the nodes: %s" % self.output()[-8000:])
            self.kill()


class Connection:
    """A client that sees every byte."""

    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def until(self, end):
        """Everything up to and with END."""
        while True:
            at = self.buffer.find(end)
            if at >= 0:
                at += len(end)
                data, self.buffer = self.buffer[:at], self.buffer[at:]
                return data
            self._more()

    def line(self):
        return self.until(b"\r\n")

    def exactly(self, n):
        while len(self.buffer) < n:
            self._more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def _more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError("closed after %r" % self.buffer[-200:])
        self.buffer += data

    def ask(self, data):
        """One command with a reply of one line."""
        self.send(data)
        return self.line()

    def rest(self, seconds=10):
        """Everything until the server closes; a reset counts as closing."""
        parts = [self.buffer]
        self.buffer = b""
        self.socket.settimeout(seconds)
        try:
            while True:
                data = self.socket.recv(1 << 18)
                if not data:
                    break
                parts.append(data)
        except (ConnectionResetError, BrokenPipeError):
            pass
        return b"".join(parts)

    def finish(self, seconds=10):
        """Says that no more will be sent, and returns everything until the server closes."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self.rest(seconds)

    def get(self, key):
        """The value of KEY or None."""
        self.send(b"get %s\r\n" % key)
        head = self.line()
        if head == b"END\r\n":
            return None
        if not head.startswith(b"VALUE "):
            raise AssertionError("get %r: %r" % (key, head))
        value = self.exactly(int(head.split()[3]) + 2)[:-2]
        assert self.line() == b"END\r\n"
        return value

    def set(self, key, value, flags=0, exptime=0):
        return self.ask(b"set %s %d %d %d\r\n%s\r\n" % (key, flags, exptime, len(value), value))

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def seed_from(arguments):
    """The seed given as an argument or as $SEED, or a new one."""
    given = arguments.seed if arguments.seed is not None else os.environ.get("SEED")
    return int(given) if given else random.SystemRandom().randrange(1 << 32)
