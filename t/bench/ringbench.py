"""t/bench/ringbench.py: the load generator against the floor and against the server, and the comparisons in small.

Against the floor replies are counted; against the server values are verified, a spoiled value is noticed, and a trace misses
as often as it must."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from testlib import PATIENCE, Server, skip  # noqa: E402

build = Path(os.environ.get("RC_BUILDDIR", "."))
source = Path(os.environ.get("srcdir", "."))
ringbench = build / "ringbench"
failures = 0

if not ringbench.exists():
    skip("ringbench is not built")


def check(name, good, detail=""):
    global failures
    print(f"{'ok' if good else 'FAILED'}: {name} {'' if good else detail}", flush=True)
    failures += not good


def run(port, *options, status=0):
    """The JSON of a run; None where it ends with another status, which is a failure unless STATUS names it."""
    command = [str(ringbench), "-j", "-q", "-s", f"127.0.0.1:{port}", *map(str, options)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    check(f"exit {status}: {' '.join(map(str, options))}", result.returncode == status, result.stderr)
    return json.loads(result.stdout) if result.stdout else None


class Floor:
    def __init__(self, *options):
        command = [str(build / "bench/floor"), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().strip()
        self.port = int(line) if line else 0

    def alive(self):
        """io_uring may be missing or forbidden: the floor says so at once and ends."""
        try:
            self.process.wait(0.3)
        except subprocess.TimeoutExpired:
            return True
        print("left out:", self.process.stderr.read().strip())
        return False

    def stop(self):
        self.process.terminate()
        self.process.communicate()


def counters(result):
    return result["counters"] if result else {}


def keeps_rate(floor, *options):
    """Never more than was asked for; on a busy machine less, but not each time."""
    rates = []
    while not any(rate > 4000 for rate in rates) and len(rates) < 20:
        result = run(floor.port, "-r", 5000, "-T", 0.5, *options)
        rates.append(result["requests_per_second"] if result else 0)
    check("the rate is kept", max(rates) > 4000 and all(rate < 5500 for rate in rates), rates)


def against_floor(io):
    floor = Floor("--io", io, "--value-size", "5000", "--multi", "3")
    if not floor.alive():
        return
    for wire in ("text", "meta", "binary"):
        sizes = ["-P", wire, "-v", 5000, "-n", 2000, "-d", 7, "-c", 5, "-k", 100]
        c = counters(run(floor.port, *sizes, "-R", "0:1"))
        check("sets are stored", c.get("set_requests") == 2000 and c.get("not_stored") == 0, c)
        keys = 3 if wire == "text" else 1
        c = counters(run(floor.port, *sizes, "-R", "1:0", "-m", keys))
        check("gets hit", c.get("hits") == 2000 * keys and c.get("misses") == 0, c)
    floor.stop()
    floor = Floor("--io", io)
    keeps_rate(floor, "-t", 2, "-c", 4)
    keeps_rate(floor, "-c", 3, "-d", 20, "--burst", 10)
    c = counters(run(floor.port, "-n", 5000, "-d", 16, "--window", "-p", "zipf:0.9", "-w", 0.05))
    check("a window answers all", c.get("get_requests", 0) + c.get("set_requests", 0) >= 5000, c)
    floor.stop()


def verified(cache, wire):
    load = ["-P", wire, "-k", 500, "-v", "loguniform:1-20000", "-K", "uniform:5-60", "--verify"]
    c = counters(run(cache.port, *load, "-f", "-n", 20000, "-R", "1:1", "-d", 9, "-c", 6, "--resize"))
    check("all values are right", c.get("mismatches") == 0 and c.get("misses") == 0, c)
    run(cache.port, *load, "--prefill-only")
    c = counters(run(cache.port, *load, "-n", 300, "-m", 40, "-R", "1:0", "--resize"))
    check("multi-gets are right", c.get("hits") == 12000 and c.get("mismatches") == 0, c)
    run(cache.port, "-P", wire, "-k", 1, "-v", 300, "--prefill-only", "-K", 10)
    reply = cache.connect().ask(b"append k000000000 0 0 1\r\nx\r\n")
    check("the value is spoiled", reply == b"STORED\r\n", reply)
    c = counters(
        run(cache.port, "-P", wire, "-k", 1, "-v", 300, "-K", 10, "-R", "1:0", "-n", 10, "-c", 1, "--verify", status=1)
    )
    check("a spoiled value is noticed", c.get("mismatches") == 10, c)


def replayed(cache, wire):
    lines = ["# a trace"]
    lines += [f"{i} g {k} 12 100 0" for i, k in enumerate([901, 902, 901, 903, 901, 901, 902])]
    lines += ["8 d 901 12 0 0", "9 g 901 12 100 0", "10 set 904 12 50 0", "11 g 904 12 50 0"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as trace:
        trace.write("\n".join(lines))
        trace.flush()
        words = ["-P", wire, "--replay", trace.name, "--relabel", 2, "-d", 8, "-c", 3]
        result = run(cache.port, *words)
    c = counters(result)
    check("a trace misses as it must", c.get("misses") == 8 and c.get("get_requests") == 18, c)
    check("missed bytes", c.get("missed_bytes") == 8 * 112, c)
    check("flush", cache.connect().ask(b"flush_all\r\n") == b"OK\r\n")


def strange_error():
    """An error that is no text is shown as one."""

    def serve():
        connection, _ = listener.accept()
        with connection:
            while connection.recv(4096):
                connection.sendall(b"SERVER_ERROR \xff\xfe\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = run(listener.getsockname()[1], "-n", 3, "-c", 1, "-R", "1:0")
        thread.join(PATIENCE)
    check("an error that is no text", result and result["first_error"] == "SERVER_ERROR ??", result)


def comparison(*words):
    result = subprocess.run(
        [sys.executable, str(source / "bench" / words[0]), "--build", str(build), *words[1:]],
        capture_output=True, text=True, timeout=4 * PATIENCE, check=False,
    )  # fmt: skip
    check(" ".join(words), result.returncode == 0 and "| ringcached" in result.stdout, result.stderr)


def wrong_options():
    for words in (["-c", "0"], ["-m", "1001"], ["-P", "http"], ["-v", "9-1"], ["-d", "0"], ["--burst", "2"], ["--nothing"]):
        run(1, *words, status=2)
    run(1, status=1)


wrong_options()
strange_error()
against_floor("epoll")
against_floor("uring")
with Server("-m", "64", "-t", "1") as cache:
    for protocol in ("text", "meta", "binary"):
        verified(cache, protocol)
        replayed(cache, protocol)
short = ("--rounds", "1", "--seconds", "0.1")
comparison("compare", "--servers", "ringcached,floor-epoll", "--workloads", "nopipe-32", "--warmup", "0", *short)
comparison("scaling", "--servers", "ringcached", *short)
comparison("connections", "--servers", "ringcached", "--count", "100", *short)
print(f"{failures} failures" if failures else "all passed")
sys.exit(1 if failures else 0)
