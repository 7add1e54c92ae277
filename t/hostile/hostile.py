"""What every test with a hostile client shares: a server with one worker, a well-behaved client on the same
worker that is timed all the while, and the three checks afterwards: the server lives, the other client was answered
within 200 ms each time, the memory stayed within bounds.

The well-behaved client is a process of its own, so that the attack's own work does not slow it. The time that the
worker or the client could have run and was not let, as the kernel counts it, is not the server's. Beside each question to
the server it asks an idle echo process as well: where that one is as slow, the machine was busy and not the server. For
the same reason the worker is not pinned: a scheduler that shares cores between groups of processes can keep a thread that
may not leave its core waiting there for half a second, and the echo process may leave.
"""

import argparse
import os
import socket
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import multiprocessing

import testlib

FORK = multiprocessing.get_context("fork")
MIB = 1 << 20
ANSWER = 0.2  # seconds
TRIES = 3     # for the time alone
VALUE = b"well-behaved"


def _echo(listener):
    s, _ = listener.accept()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        data = s.recv(64)
        if not data:
            return
        s.sendall(data)


def _schedstats(pid):
    """The files that tell of this process and of the worker of the server PID."""
    paths = ["/proc/self/schedstat"]
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/comm" % (pid, task)) as f:
            if f.read().startswith("worker"):
                paths.append("/proc/%d/task/%s/schedstat" % (pid, task))
    return [path for path in paths if os.path.exists(path)]


def _kept_waiting(paths):
    """Seconds in which these had to wait for a processor."""
    total = 0
    for path in paths:
        with open(path) as f:
            total += int(f.read().split()[1])
    return total / 1e9


def _probe(pid, port, echo_port, stop, pipe):
    slowest = control = 0.0
    paths = _schedstats(pid)
    count = 0
    why = None
    try:
        with testlib.Connection(port) as c, testlib.Connection(echo_port) as e:
            if c.set(b"probe", VALUE) != b"STORED\r\n":
                raise AssertionError("the first set was refused")
            pipe.send("ready")
            while not stop.is_set():
                before = _kept_waiting(paths)
                t0 = time.monotonic()
                if c.get(b"probe") not in (VALUE, None):
                    raise AssertionError("a wrong value")
                t1 = time.monotonic()
                took = t1 - t0 - (_kept_waiting(paths) - before)
                t2 = time.monotonic()
                e.send(b"x")
                e.exactly(1)
                slowest, control = max(slowest, took), max(control, time.monotonic() - t2)
                count += 1
                time.sleep(0.002)
    except BaseException:
        why = traceback.format_exc()
        if count == 0:
            pipe.send("failed")
    pipe.send((slowest, control, count, why))


class Watched:
    """A server, and somebody who watches how it serves others while the body of the with statement attacks it."""

    def __init__(self, options=(), memory=32 * MIB, server=None):
        self.options = ["-t", "1", "-m", "64", "-c", "4000", "--no-pin"] + list(options)
        self.memory = memory
        self.server = server or testlib.ringcached(self.options)
        self.problems = []

    @property
    def port(self):
        return self.server.port

    def connect(self):
        return testlib.Connection(self.port)

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.echo = FORK.Process(target=_echo, args=(self.listener,))
        self.echo.start()
        self.stop = FORK.Event()
        self.pipe, theirs = FORK.Pipe()
        self.watcher = FORK.Process(target=_probe, args=(
            self.server.pid, self.port, self.listener.getsockname()[1], self.stop, theirs))
        self.watcher.start()
        self.pipe.recv()
        self.before = self.server.rss()
        self._forget_peak()
        return self

    def _forget_peak(self):
        try:
            with open("/proc/%d/clear_refs" % self.server.pid, "w") as f:
                f.write("5")
        except OSError:
            pass

    def peak(self):
        with open("/proc/%d/status" % self.server.pid) as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return self.server.rss()

    def __exit__(self, kind, value, trace):
        if not self.server.alive():
            self.problems.append("the server has ended: %s" % self.server.output()[-4000:])
        grown = self.peak() - self.before if self.server.alive() else 0
        self.stop.set()
        slowest, control, count, why = self.pipe.recv() if self.pipe.poll(2 * testlib.PATIENCE) else (99, 0, 0, "no answer")
        self.watcher.join(1)
        self.watcher.kill()
        self.echo.kill()
        self.echo.join()
        self.listener.close()
        self.slow = slowest > ANSWER and slowest > 3 * control
        self.text = "slowest answer %5.1f ms (echo %5.1f), memory +%.1f MiB" % (
            slowest * 1000, control * 1000, grown / MIB)
        if why and self.server.alive():
            self.problems.append("the other client: %s" % why)
        if grown > self.memory and not testlib.is_sanitized():
            self.problems.append("memory grew by %.1f MiB, %.1f allowed" % (grown / MIB, self.memory / MIB))
        if self.server.alive() and not self.problems:
            self._still_serves()
        if kind is not None and issubclass(kind, (AssertionError, OSError, EOFError)):
            self.problems.append("".join(traceback.format_exception(kind, value, trace)[-3:]))
            return True
        return False

    def _still_serves(self):
        try:
            with self.connect() as c:
                if c.set(b"after", b"x" * 1000) != b"STORED\r\n" or c.get(b"after") != b"x" * 1000:
                    self.problems.append("it does not serve a new client afterwards")
        except (OSError, EOFError, AssertionError) as e:
            self.problems.append("a new client afterwards: %s" % e)

    def finish(self):
        if self.server.alive():
            try:
                self.server.stop()
            except AssertionError as e:
                self.problems.append(str(e))
            if self.server.process.returncode:
                self.problems.append("exit status %d: %s" % (
                    self.server.process.returncode, self.server.output()[-4000:]))


def drain(sockets):
    for s in sockets:
        try:
            s.close()
        except OSError:
            pass


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def closed(connection):
    """Whether the server hangs up."""
    try:
        while True:
            data = connection.socket.recv(1 << 16)
            if not data:
                return True
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def main(attacks, description):
    """ATTACKS: functions that take no argument and return a finished Watched. The first line of their text is what is shown."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", default="", help="attacks whose name contains this")
    arguments = parser.parse_args()
    failures = count = 0
    for attack in attacks:
        if arguments.only not in attack.__name__:
            continue
        count += 1
        failures += _run(attack)
    print("%d attacks, %d failures" % (count, failures))
    sys.exit(1 if failures or not count else 0)


def _run(attack):
    begun = time.monotonic()
    for _ in range(TRIES):
        w = attack()
        w.finish()
        if w.problems or not w.slow:
            break
    if w.slow:
        w.problems.append("the other client waited too long, in %d tries" % TRIES)
    print("%-28s %s, %.1f s%s" % (attack.__name__, w.text, time.monotonic() - begun,
                                  "   FAILED" if w.problems else ""))
    for p in w.problems:
        print("    " + p.replace("\n", "\n    "))
    sys.stdout.flush()
    return 1 if w.problems else 0
