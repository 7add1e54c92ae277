"""t/lib/server.py: starts the real server for a test written in Python, on a port that the system chooses.

    with Server("-m", "64") as server:
        client = server.connect()
        client.sendall(b"version\\r\\n")

$RINGCACHED is the program, $RINGCACHED_ARGS are options for each server (such as --io=event). Everything waits for a condition, with a limit; nothing waits for a time."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("RINGCACHED", "./ringcached")
MORE_ARGS = os.environ.get("RINGCACHED_ARGS", "").split()
MEMCACHED = shutil.which("memcached")
IS_ROOT = os.geteuid() == 0
SKIPPED = 77
# Programs with sanitizers and busy machines are slow to start.
PATIENCE = 30.0


def wait_for(condition, what, patience=PATIENCE):
    """The first true value of condition()."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"no {what} after {patience} s")
        time.sleep(0.005)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def is_sanitized(program=PROGRAM):
    """Whether it is a build with a sanitizer, which takes some system calls away from the program."""
    with open(program, "rb") as f:
        text = f.read()
    return b"__asan_init" in text or b"__tsan_init" in text


class Server:
    """A server that runs. With listen=False the arguments say where it listens, and connect() does not work."""

    def __init__(self, *args, listen=True, program=PROGRAM, user="nobody", **popen):
        self.directory = tempfile.mkdtemp(prefix="ringcache-")
        os.chmod(self.directory, 0o777)
        self.port_file = os.path.join(self.directory, "ports")
        self.log_path = os.path.join(self.directory, "log")
        command = [program, *MORE_ARGS, "-v", *args]
        if listen:
            command += ["-l", "127.0.0.1", "-p", "-1"]
        if IS_ROOT and user:
            command += ["-u", user]
        environment = dict(os.environ, MEMCACHED_PORT_FILENAME=self.port_file)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **popen
            )
        self.pid = self.process.pid
        self.clients = []
        self.port = None
        if listen:
            self.port = self.ports()[0]

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.kill()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def ports(self):
        """The ports that it listens on, in the order in which they were opened."""

        def look():
            if os.path.exists(self.port_file):
                with open(self.port_file, encoding="ascii") as f:
                    return [int(line.split(": ")[1]) for line in f]
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}: {self.log()}")
            return None

        return wait_for(look, "port file")

    def wait_ready(self):
        """Until it has said that it listens."""

        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}: {self.log()}")
            return "listening on" in self.log()

        wait_for(look, "listening server")
        return self

    def connect(self, port=None, host="127.0.0.1"):
        client = socket.create_connection((host, port or self.port), timeout=PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients.append(client)
        return client

    def stop(self, sig=signal.SIGTERM):
        """Sends SIG; the exit status and how long it took."""
        begin = time.monotonic()
        self.process.send_signal(sig)
        status = self.process.wait(timeout=PATIENCE)
        return status, time.monotonic() - begin

    def kill(self):
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def read_until(client, end):
    """Bytes up to and with END; what came where the connection ended before."""
    data = b""
    while not data.endswith(end):
        more = client.recv(65536)
        if not more:
            break
        data += more
    return data


def ask(client, request, end=b"\r\n"):
    client.sendall(request)
    return read_until(client, end)


def stats(client, what=""):
    """A dictionary of `stats`."""
    reply = ask(client, f"stats {what}".strip().encode() + b"\r\n", b"END\r\n").decode()
    return dict(line.split(" ", 2)[1:] for line in reply.split("\r\n") if line.startswith("STAT "))


def run(*args, program=PROGRAM, **options):
    """Runs the program to its end: status and what it printed. For command lines that it refuses or only prints."""
    done = subprocess.run(
        [program, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False, **options
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")
