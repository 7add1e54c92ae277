"""bench/benchlib.py: what the comparisons share: servers that are started and stopped, runs of ringbench, tables.

Servers listen on 127.0.0.1 on a free port, run on one set of cores, the generator on another."""

import argparse
import json
import math
import os
import resource
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
CONNECTIONS = min(16000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000)
FLOORS = ("floor-epoll", "floor-uring")


def arguments(text, default_servers):
    """A parser with what every comparison takes."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--build",
        default=os.environ.get("RC_BUILDDIR", "."),
        help="directory of the build: ringcached, ringbench, bench/floor",
    )
    parser.add_argument(
        "--servers",
        default=default_servers,
        help="comma-separated: ringcached, ringcached-event, ringcached-uring, memcached, floor-epoll, floor-uring, "
        "or names given by --command",
    )
    parser.add_argument(
        "--command",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="a further server; {port}, {threads}, {memory} (MiB) and {connections} are replaced",
    )
    parser.add_argument("--server-cores", default=str(CORES[-1]), help="cores of the servers")
    parser.add_argument("--load-cores", default=str(CORES[0]), help="cores of the generator")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    return parser


class Bench:
    """The programs and cores of one invocation."""

    def __init__(self, options):
        self.build = Path(options.build).resolve()
        self.server_cores = options.server_cores
        self.load_cores = options.load_cores
        self.commands = self.known_commands()
        for text in options.command:
            name, _, command = text.partition("=")
            self.commands[name] = command
        self.names = [n for n in options.servers.split(",") if n]
        for name in self.names:
            if name not in self.commands:
                sys.exit(f"{name}: no such server; known are {', '.join(self.commands)}")
        self.names = [n for n in self.names if self.exists(n)]

    def known_commands(self):
        user = "-u root" if os.geteuid() == 0 else ""
        common = "-l 127.0.0.1 -p {port} -t {threads} -m {memory} -c {connections}"
        ringcached = f"{self.build}/ringcached {user} {common}"
        floor = f"{self.build}/bench/floor --port {{port}}"
        return {
            "ringcached": ringcached,
            "ringcached-event": ringcached + " --io=event",
            "ringcached-uring": ringcached + " --io=uring",
            "memcached": f"memcached {user} -U 0 {common}",
            "floor-epoll": floor + " --io epoll",
            "floor-uring": floor + " --io uring",
        }

    def exists(self, name):
        program = shlex.split(self.commands[name])[0]
        if shutil.which(program):
            return True
        print(f"{name}: left out, there is no {program}", file=sys.stderr)
        return False

    def start(self, name, memory=1024, threads=1, cores=None, wrapper=(), more=(), connections=CONNECTIONS, port=None):
        """A running server, on PORT or a free one. WRAPPER goes before the command, MORE behind it."""
        command = self.commands[name]
        return Server(
            name,
            [*wrapper, *shlex.split(command), *more],
            {"threads": threads, "memory": memory, "connections": connections},
            cores or self.server_cores,
            port or free_ports(1)[0],
        )

    def run(self, server, *options, cores=None):
        """A run of ringbench against SERVER: its JSON."""
        command = [
            "taskset", "-c", cores or self.load_cores,
            str(self.build / "ringbench"), "--json", "--quiet",
            "--server", f"127.0.0.1:{server.port}", "--server-pid", str(server.pid),
            *(str(o) for o in options),
        ]  # fmt: skip
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if result.returncode != 0:
            server.give_up(f"failed: {shlex.join(command)}")
        return json.loads(result.stdout)

    def prefill(self, server, *options):
        """Sets all keys; a floor has nothing to be filled."""
        if server.name not in FLOORS:
            return self.run(server, "--prefill-only", *options)
        return None


class Server:
    def __init__(self, name, command, values, cores, port):
        self.name = name
        self.port = port
        filled = [c.format(port=self.port, **values) for c in command]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["taskset", "-c", cores, *filled], stdout=self.log, stderr=self.log
        )
        self.pid = self.process.pid
        self.wait_ready()

    def wait_ready(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.give_up(f"ended with {self.process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        self.give_up("does not listen")

    def give_up(self, why):
        """Ends the comparison with what the server said."""
        self.log.seek(0)
        sys.exit(f"{self.name}: {why}\n{self.log.read().decode(errors='replace')}")

    def stats(self, name=""):
        """The reply to stats as a dictionary."""
        found = {}
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(f"stats {name}".strip().encode() + b"\r\n")
            with connection.makefile("r", encoding="latin-1") as lines:
                for line in lines:
                    words = line.split(None, 2)
                    if words[0] != "STAT":
                        break
                    found[words[1]] = words[2].strip() if len(words) > 2 else ""
        return found

    def resident(self):
        """Bytes of memory that the process holds."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()


def free_ports(count):
    """Ports below those that connections get of their own, and below those that tests of nodes take (t/lib/testlib.py)."""
    ports = []
    for port in range(2000 + os.getpid() % 8000, 12000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                ports.append(port)
            except OSError:
                continue
        if len(ports) == count:
            return ports
    sys.exit("there are no free ports")


class Spread:
    """Median, minimum and maximum of samples; not numbers where there is none: a run may have been too short for the clock."""

    def __init__(self, samples):
        self.samples = list(samples) or [math.nan]
        self.median = statistics.median(self.samples)
        self.low = min(self.samples)
        self.high = max(self.samples)

    def text(self, digits=2, scale=1):
        parts = (f"{x / scale:.{digits}f}" for x in (self.median, self.low, self.high))
        return "{} ({}-{})".format(*parts)

    def figures(self):
        return {
            "median": self.median,
            "min": self.low,
            "max": self.high,
            "samples": self.samples,
        }


def table(head, rows):
    """Prints a Markdown table."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row):
        return "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |"

    print(line(head))
    print("|" + "|".join("-" * (w + 2) for w in widths) + "|")
    for row in rows:
        print(line(row))
    print(flush=True)


def tell(text):
    print(text, file=sys.stderr, flush=True)


def save(path, figures):
    if path:
        Path(path).write_text(json.dumps(figures, indent=2) + "\n")
