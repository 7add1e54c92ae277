"""What the tests over sockets share: a server in a process of its own, several that are one cache, clients that see every byte,
and how a test is told which seed to take and which of its stories to run.

The server under test is $RINGCACHED (make check sets it to the one just built), with the options in $RINGCACHED_ARGS (such as
--io=event) beside its own. The oracle is Debian's memcached, $MEMCACHED; a test that needs it is skipped where there is none.

Everything waits for a condition, nothing for a time. PATIENCE is no expectation: it ends a test that would hang, and is long
enough for a busy machine and the slowest sanitizer. What has to happen within a time is measured by the test that says so.
"""

import argparse
import atexit
import contextlib
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
import urllib.parse

SKIPPED = 77
PATIENCE = 60.0
MORE_ARGS = os.environ.get("RINGCACHED_ARGS", "").split()
ORACLE_OPTIONS = ["-o", "no_lru_maintainer,no_lru_crawler"]
IS_ROOT = os.geteuid() == 0
# Below the ports that the system gives to connections: free when a server starts again.
PORT_BLOCKS = range(12000, 32000, 100)

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def skip(why):
    """Ends the test as skipped."""
    print("skipped: %s" % why)
    sys.exit(SKIPPED)


def ringcached_path():
    """The binary under test: $RINGCACHED or the one in the directory that the test runs in."""
    path = os.environ.get("RINGCACHED") or os.path.join(os.getcwd(), "ringcached")
    if not os.access(path, os.X_OK):
        print("no server to test: %s (set RINGCACHED)" % path)
        sys.exit(1)
    return path


def ringctl_path():
    """The program beside the server, or None where it is not built."""
    path = os.path.join(os.path.dirname(ringcached_path()), "ringctl", "ringctl")
    return path if os.access(path, os.X_OK) else None


def memcached_path():
    """The oracle, or None where the machine has none."""
    return os.environ.get("MEMCACHED") or shutil.which("memcached")


def is_sanitized():
    """Whether the server under test has a sanitizer, which takes memory and some system calls for itself."""
    with open(ringcached_path(), "rb") as f:
        text = f.read()
    return b"__asan_init" in text or b"__tsan_init" in text


def wait_for(condition, what):
    """The first true value of condition(). WHAT is a text or a function that makes one."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not after %g s: %s" % (PATIENCE, what() if callable(what) else what))
        time.sleep(0.005)


def free_ports(count):
    """Ports of 127.0.0.1 that no other test takes while this one runs: a block is its whose name is bound."""
    free = []
    while len(free) < count:
        if not _ports.left:
            _ports.take_block()
        port = _ports.left.pop()
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                free.append(port)
    return free


class _Ports:
    def __init__(self):
        self.left = []
        self.names = []

    def take_block(self):
        for first in random.SystemRandom().sample(PORT_BLOCKS, len(PORT_BLOCKS)):
            name = socket.socket(socket.AF_UNIX)
            try:
                name.bind("\0ringcache-test-ports-%d" % first)
            except OSError:
                name.close()
                continue
            self.names.append(name)
            self.left = list(range(first, first + PORT_BLOCKS.step))
            return
        raise AssertionError("no ports are left")


_ports = _Ports()


def die_with_parent():
    """For the child: it is killed when the test ends, however that comes about (but not where it changes its user)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(*args, program=None, **options):
    """Runs the program to its end: status and what it printed. For command lines that it refuses or only prints."""
    done = subprocess.run([program or ringcached_path(), *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
                          check=False, **options)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


class Server:
    """A server that runs, on a port of 127.0.0.1 that the system chooses.

    With listen=False the arguments say where it listens. A program of None is the server under test. It says what it does at
    level VERBOSE; where the test runs as root, it runs as USER."""

    def __init__(self, *args, program=None, listen=True, user="nobody", verbose=1, **popen):
        self.program = program or ringcached_path()
        self.options = ["-" + "v" * verbose] if verbose else []
        if program is None:
            self.options += MORE_ARGS
        if listen:
            self.options += self.listen_options()
        if IS_ROOT and user:
            self.options += ["-u", user]
        self.options += args
        self.listen = listen
        self.popen = {"preexec_fn": die_with_parent, **popen}
        self.directory = tempfile.TemporaryDirectory(prefix="ringcache-")
        os.chmod(self.directory.name, 0o777)
        self.port_file = os.path.join(self.directory.name, "ports")
        self.log_path = os.path.join(self.directory.name, "log")
        self.clients = []
        self.port = None
        self.launch()
        atexit.register(self.kill)
        self.wait_started()

    def listen_options(self):
        return ["-l", "127.0.0.1", "-p", "-1", "-U", "0"]

    def launch(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.port_file)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, MEMCACHED_PORT_FILENAME=self.port_file), **self.popen)

    def command(self):
        return [self.program, *self.options]

    def wait_started(self):
        if self.listen:
            self.port = self.ports()[0]

    def start(self):
        self.launch()
        self.wait_started()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None and self.alive():
            status = self.stop()
            assert status == 0, "it ended with %d: %s" % (status, self.output()[-8000:])
        elif kind is not None:
            print("output of the server: %s" % self.output()[-8000:])
        self.kill()

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def assert_alive(self):
        if not self.alive():
            raise AssertionError("%s ended with %d: %s" % (self.program, self.process.returncode, self.output()[-8000:]))

    def output(self):
        """What it wrote to standard output and error."""
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_output(self, text):
        """Until it has said TEXT."""
        def said():
            if text in self.output():
                return True
            self.assert_alive()
            return text in self.output()
        wait_for(said, lambda: "%r in the log: %s" % (text, self.output()[-8000:]))
        return self

    def wait_ready(self):
        """Until it has said that it listens."""
        return self.wait_output("listening on")

    def ports(self):
        """The ports that it listens on, in the order in which they were opened."""
        def look():
            if os.path.exists(self.port_file):
                with open(self.port_file, encoding="ascii") as f:
                    return [int(line.split(": ")[1]) for line in f]
            self.assert_alive()
            return None
        return wait_for(look, "file with the ports")

    def connect(self, timeout=PATIENCE, port=None, host="127.0.0.1"):
        client = Connection(port or self.port, timeout, host)
        self.clients.append(client)
        return client

    def rss(self):
        """Resident bytes."""
        with open("/proc/%d/statm" % self.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self):
        """Seconds of processor time."""
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stats(self, what=""):
        with Connection(self.port) as c:
            return c.stats(what)

    def stop(self, sig=signal.SIGTERM):
        """Asks it to end and returns its exit status."""
        if self.alive():
            self.process.send_signal(sig)
        return self.wait()

    def wait(self):
        """Until it has ended; returns its exit status. A server that does not end is a failure."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("it did not stop within %g s: %s" % (PATIENCE, self.output()[-8000:])) from None

    def kill(self):
        for client in self.clients:
            client.close()
        self.clients = []
        if self.alive():
            self.process.kill()
            self.process.wait()

    def restart(self):
        """An empty server in place of this one."""
        self.kill()
        self.start()


def ringcached(options=(), **more):
    return Server(*options, **{"user": "root", "verbose": 0, **more})


def memcached(options=(), **more):
    """The oracle, without the background threads that would make it less than deterministic."""
    path = memcached_path()
    if path is None:
        skip("there is no memcached to compare with")
    return Server(*ORACLE_OPTIONS, *options, program=path, user="root", verbose=0, **more)


class Node(Server):
    """One of several that know of each other, on a port that stays. It is started and not waited for: the others may be needed."""

    def __init__(self, port, options, **more):
        self.fixed = port
        super().__init__(*options, user="root", verbose=0, **more)

    def listen_options(self):
        return ["-l", "127.0.0.1", "-p", str(self.fixed), "-U", "0"]

    def wait_started(self):
        self.port = self.fixed

    def wait_serving(self):
        """That it can be connected to is not enough: it looks for the others before it serves."""
        def serves():
            self.assert_alive()
            try:
                with Connection(self.port) as c:
                    return c.ask(b"version\r\n").startswith(b"VERSION")
            except (OSError, EOFError):
                return False
        wait_for(serves, lambda: "a node that serves: %s" % self.output()[-8000:])
        return self

    def start(self):
        super().start()
        self.wait_serving()


class Secret:
    """A file with the secret of a cluster."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="ringcache-secret-")
        self.file.write(b"%032x" % random.SystemRandom().getrandbits(128))
        self.file.flush()
        self.name = self.file.name


class Cluster:
    """COUNT nodes that are one cache, with the face of one server: each connection goes to a node of chance."""

    def __init__(self, count, options=(), seed=0, named=True):
        """Without names the nodes are called what clients call them, host:port. They are patient with each other, unless the
        options say otherwise: the machine may be busy."""
        self.secret = Secret()
        ports = free_ports(2 * count)
        names = ["n%d" % i if named else "127.0.0.1:%d" % ports[2 * i] for i in range(count)]
        self.list = ["%s127.0.0.1:%d/%d" % (names[i] + "=" if named else "", ports[2 * i], ports[2 * i + 1])
                     for i in range(count)]
        common = ["--peers=" + ",".join(self.list), "--secret=" + self.secret.name, "--peer-timeout=60000", *options]
        self._hold([Node(ports[2 * i], ["--node=" + names[i], *common]) for i in range(count)], seed)
        self.wait()

    def _hold(self, nodes, seed):
        self.nodes = nodes
        self.chance = random.Random(seed)

    @classmethod
    def of(cls, nodes, seed=0):
        """NODES that were started one by one."""
        self = cls.__new__(cls)
        self._hold(nodes, seed)
        return self

    def wait(self):
        """Until each worker of each node has its link to every other node."""
        for node in self.nodes:
            node.wait_serving()
        for node in self.nodes:
            wait_for(lambda: self._all_linked(node), "links of all nodes")

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

    def alive(self):
        return all(node.alive() for node in self.nodes)

    def output(self):
        return "\n".join(node.output() for node in self.nodes)

    def connect(self, timeout=PATIENCE):
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
        if ringctl_path() is None:
            skip("ringctl is not built: there is no jansson")
        node = next(node for node in self.nodes if node.alive())
        done = subprocess.run([ringctl_path(), "-j", "-t", "60000", "-s", "127.0.0.1:%d" % node.port, "-S", self.secret.name, *arguments],
                              stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def holders(self, key):
        """The names of the nodes that hold KEY, its primary first."""
        found = self.ringctl("ring", key.decode())
        return [found["owner"], *found["copies"]]

    def stop(self):
        return max([node.stop() for node in self.nodes], key=abs)

    def kill(self):
        for node in self.nodes:
            node.kill()

    def restart(self):
        self.kill()
        for node in self.nodes:
            node.launch()
        self.wait()

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

    def __init__(self, where, timeout=PATIENCE, host="127.0.0.1"):
        """WHERE is a port of HOST, or a socket that is connected."""
        if isinstance(where, socket.socket):
            self.socket = where
            self.socket.settimeout(timeout)
        else:
            self.socket = socket.create_connection((host, where), timeout)
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
            self.more()

    def line(self):
        return self.until(b"\r\n")

    def exactly(self, n):
        while len(self.buffer) < n:
            self.more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def more(self):
        """Reads what has come, or waits for it."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError("closed after %r" % self.buffer[-200:])
        self.buffer += data

    def ask(self, data, end=b"\r\n"):
        """Sends DATA; the reply up to and with END, one line by default."""
        self.send(data)
        return self.until(end)

    def metadump(self):
        """Key to what `lru_crawler metadump` tells of it, by field, for all that the node holds."""
        self.send(b"lru_crawler metadump all\r\n")
        dumped = {}
        while True:
            line = self.until(b"\n")
            if line.startswith(b"END"):
                return dumped
            if line.startswith(b"key="):
                fields = dict(word.split(b"=", 1) for word in line.split())
                dumped[urllib.parse.unquote_to_bytes(fields[b"key"])] = fields

    def rest(self):
        """Everything until the server closes; a reset counts as closing."""
        parts = [self.buffer]
        self.buffer = b""
        try:
            while True:
                data = self.socket.recv(1 << 18)
                if not data:
                    break
                parts.append(data)
        except (ConnectionResetError, BrokenPipeError):
            pass
        return b"".join(parts)

    def no_more(self):
        """Says that no more will be sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def finish(self):
        """Says that no more will be sent, and returns everything until the server closes."""
        self.no_more()
        return self.rest()

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

    def stats(self, what=""):
        """The reply to stats as a dictionary of strings."""
        lines = self.ask(("stats " + what).strip().encode() + b"\r\n", b"END\r\n").decode("latin-1").split("\r\n")
        return dict(line.split(" ", 2)[1:] for line in lines if line.startswith("STAT ") and line.count(" ") >= 2)

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


# ---------------------------------------------------------------- nutcracker

def nutcracker_path():
    return shutil.which("nutcracker") or shutil.which("nutcracker", path="/usr/sbin:/sbin")


@contextlib.contextmanager
def nutcracker(configuration, ports):
    """The proxy, while the body of the with statement runs: it answers on all PORTS of its CONFIGURATION."""
    if not nutcracker_path():
        skip("there is no nutcracker")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "nutcracker.yml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(configuration)
        proxy = subprocess.Popen(
            [nutcracker_path(), "-c", path, "-s", str(free_ports(1)[0]), "-a", "127.0.0.1", "-m", "16384",
             "-o", os.path.join(directory, "log")], preexec_fn=die_with_parent)
        try:
            for port in ports:
                wait_for(lambda: listens(port), "nutcracker on its port")
            yield proxy
        finally:
            proxy.kill()
            proxy.wait()


def listens(port):
    try:
        Connection(port).close()
        return True
    except OSError:
        return False


# ---------------------------------------------------------------- stories

def arguments_of(description, **numbers):
    """The command line of a test: --seed, --only for those that tell() runs, and NUMBERS with their defaults, which
    $<name of the file>_<name> changes. Prints the seed; .chance comes from it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed")
    parser.add_argument("--only", help="the story of this name")
    file = os.path.splitext(os.path.basename(sys.argv[0]))[0].upper()
    for name, default in numbers.items():
        given = os.environ.get("%s_%s" % (file, name.upper()))
        parser.add_argument("--" + name, type=type(default), default=type(default)(given) if given else default)
    arguments = parser.parse_args()
    arguments.seed = seed_from(arguments)
    print("seed %d (repeat with --seed %d)" % (arguments.seed, arguments.seed), flush=True)
    arguments.chance = random.Random(arguments.seed)
    return arguments


def tell(stories, arguments, setting, *more):
    """Runs each story (or the one asked for) as story(cluster, chance, *MORE), where setting(story) makes its cluster."""
    for story in stories:
        if arguments.only in (None, story.__name__):
            begun = time.monotonic()
            with setting(story) as cluster:
                story(cluster, arguments.chance, *more)
            print("%-32s %.1f s" % (story.__name__, time.monotonic() - begun), flush=True)


def seed_from(arguments):
    """The seed given as an argument or as $SEED, or a new one."""
    given = arguments.seed if arguments.seed is not None else os.environ.get("SEED")
    return int(given) if given else random.SystemRandom().randrange(1 << 32)
