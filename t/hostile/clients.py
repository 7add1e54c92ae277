#!/usr/bin/python3
"""Clients that do not read, do not finish, do not stop or come in crowds."""

import os
import random
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hostile
from hostile import MIB, Watched, check, closed, drain


def raw(port, receive=0):
    """A socket, with a small receive buffer where asked for."""
    s = socket.socket()
    if receive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.settimeout(hostile.testlib.PATIENCE)
    s.connect(("127.0.0.1", port))
    return s


def push(s, data, seconds):
    """Sends as much of DATA as the other side takes within SECONDS; returns how much."""
    s.setblocking(False)
    end = time.monotonic() + seconds
    sent = 0
    while sent < len(data) and time.monotonic() < end:
        try:
            sent += s.send(data[sent:sent + 65536])
        except BlockingIOError:
            time.sleep(0.005)
        except (ConnectionResetError, BrokenPipeError):
            break
    return sent


def http():
    """HTTP requests, their bodies full of commands."""
    with Watched() as w:
        for request in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nset http 0 0 1\r\n1\r\n",
                        b"OPTIONS * HTTP/1.0\r\n\r\nset http 0 0 1\r\n1\r\n"):
            with w.connect() as c:
                c.send(request)
                check(closed(c), "an HTTP request was not hung up on")
        with w.connect() as c:
            check(c.get(b"http") is None, "commands behind an HTTP request were executed")
    return w


def no_newline():
    """Megabytes without a newline."""
    with Watched(memory=24 * MIB) as w:
        for start in (b"", b"set ", b"mg ", b"incr", b"\x00"):
            with w.connect() as c:
                push(c.socket, start + b"a" * MIB, 5)
                c.socket.setblocking(True)
                check(closed(c), "a line of a megabyte that begins with %r is still awaited" % start)
        ends = [raw(w.port) for _ in range(20)]
        for s in ends:  # these a server may take, within bounds
            push(s, b"get " + b"k " * (MIB // 2), 0.3)
        drain(ends)
    return w


def byte_by_byte():
    """A hundred clients that send one byte at a time, in turns."""
    with Watched() as w:
        text = b"set slow%03d 0 0 10\r\n0123456789\r\nget slow%03d\r\n"
        clients = [w.connect() for _ in range(100)]
        streams = [text % (n, n) for n in range(100)]
        for at in range(max(map(len, streams))):
            for c, stream in zip(clients, streams):
                c.send(stream[at:at + 1])
        for n, c in enumerate(clients):
            check(c.until(b"END\r\n") == b"STORED\r\nVALUE slow%03d 0 10\r\n0123456789\r\nEND\r\n" % n, "a wrong answer")
            c.close()
    return w


def never_reads_large():
    """Ten clients ask for 500 values of 1 MB each and read nothing."""
    with Watched(memory=48 * MIB) as w:
        with w.connect() as c:
            check(c.set(b"big", b"x" * 1000000) == b"STORED\r\n", "not stored")
        clients = [raw(w.port, 4096) for _ in range(10)]
        for s in clients:
            push(s, b"get big\r\n" * 500, 0.2)
        time.sleep(0.5)
        drain(clients)
    return w


def never_reads_multiget():
    """Ten clients ask for 1 MB a thousand times in one line and read nothing."""
    with Watched(memory=48 * MIB) as w:
        with w.connect() as c:
            check(c.set(b"big", b"x" * 1000000) == b"STORED\r\n", "not stored")
        clients = [raw(w.port, 4096) for _ in range(10)]
        for s in clients:
            push(s, b"get " + b"big " * 1000 + b"\r\n", 0.2)
        time.sleep(0.5)
        drain(clients)
    return w


def never_reads_small():
    """Ten clients ask a hundred thousand small questions and read nothing."""
    with Watched(memory=10 * MIB) as w:
        clients = [raw(w.port, 4096) for _ in range(10)]
        for s in clients[1:]:
            push(s, b"get probe\r\n" * 100000, 0.1)
        # The kernel's buffers take some megabytes of either direction.
        taken = push(clients[0], b"get probe\r\n" * 3000000, 2)
        check(taken < 33000000, "a client that reads nothing is read on without end")
        drain(clients)
    return w


def reads_late():
    """A client that reads nothing for a while then gets everything, in order."""
    with Watched(memory=48 * MIB) as w:
        with w.connect() as c:
            c.set(b"big", b"y" * 900000)
        s = raw(w.port, 4096)
        s.sendall(b"get big\r\nget probe\r\n" * 30)
        time.sleep(0.5)
        reply = b"VALUE big 0 900000\r\n" + b"y" * 900000 + b"\r\nEND\r\n"
        want = (reply + b"VALUE probe 0 12\r\n" + hostile.VALUE + b"\r\nEND\r\n") * 30
        got = bytearray()
        while len(got) < len(want):
            data = s.recv(1 << 18)
            check(data, "closed early")
            got += data
        check(bytes(got) == want, "not what was asked for")
        s.close()
    return w


def declares_much():
    """500 clients declare a value of 1 MB: half of them send nothing, half 1 KB of it."""
    with Watched(memory=24 * MIB) as w:
        clients = [raw(w.port) for _ in range(500)]
        for n, s in enumerate(clients):
            s.sendall(b"set declared%d 0 0 1000000\r\n" % n + b"z" * (1000 * (n % 2)))
        with w.connect() as c:
            for _ in range(200):
                check(c.set(b"meanwhile", b"x" * 1000) == b"STORED\r\n", "a set meanwhile was refused")
        time.sleep(0.3)
        drain(clients)
    return w


def declares_and_fills():
    """Clients that hold back the end of their values cannot take the memory from the others."""
    with Watched(memory=100 * MIB) as w:
        clients = [raw(w.port) for _ in range(100)]
        for n, s in enumerate(clients):
            push(s, b"set part%d 0 0 1000000\r\n" % n + b"z" * 900000, 0.5)
        with w.connect() as c:
            for n in range(200):
                check(c.set(b"meanwhile%d" % n, b"x" * 1000) == b"STORED\r\n", "a set meanwhile was refused")
        drain(clients)
    return w


def huge_multiget():
    """Lines of 2 MB with 300,000 keys, answered in full while others are served."""
    with Watched(memory=64 * MIB) as w:
        line = b"get " + b"probe none  " * 150000 + b"\r\n"
        clients = [raw(w.port) for _ in range(3)]
        want = b"VALUE probe 0 12\r\n" + hostile.VALUE + b"\r\n"
        for s in clients:
            got = bytearray()
            s.setblocking(False)
            at = 0
            end = time.monotonic() + hostile.testlib.PATIENCE
            while not got.endswith(b"END\r\n"):
                check(time.monotonic() < end, "not answered, %d bytes so far" % len(got))
                if at < len(line):
                    try:
                        at += s.send(line[at:at + (1 << 18)])
                    except BlockingIOError:
                        pass
                try:
                    data = s.recv(1 << 18)
                    check(data, "hung up after %d bytes of the line" % at)
                    got += data
                except BlockingIOError:
                    time.sleep(0.0005)
            check(bytes(got) == want * 150000 + b"END\r\n", "%d bytes, not what was asked for: %r" % (len(got), bytes(got[-80:])))
        drain(clients)
    return w


def garbage():
    """Random bytes, every first byte, lines of control characters."""
    rng = random.Random(1)
    with Watched() as w:
        streams = [bytes([first]) + rng.randbytes(300) for first in range(256)]
        streams += [b"".join(bytes(rng.choices(b"\0\1\r\n \t\x7f\x80\xff\x81getsm", k=rng.randrange(40))) + b"\r\n"
                             for _ in range(200)) for _ in range(100)]
        streams += [rng.randbytes(rng.randrange(1, 20000)) for _ in range(100)]
        streams += [b" " * 1500 + b"\r\n", b"\r\n" * 5000, b"\n" * 5000, b"\0" * 5000, b"get" + b" " * 200 + b"k1 k2\r\n"]
        for stream in streams:
            with w.connect() as c:
                push(c.socket, stream, 2)
                c.socket.setblocking(True)
                c.finish()
    return w


def lengths():
    """Lengths that overflow something."""
    numbers = [b"-1", b"-2147483648", b"2147483645", b"2147483646", b"2147483647", b"2147483648", b"4294967294", b"4294967295",
               b"4294967296", b"4294967298", b"9223372036854775807", b"9223372036854775808", b"18446744073709551615",
               b"18446744073709551616", b"1" * 60, b"1073741824", b"1048577", b"0x10", b"1e9", b"", b"+1"]
    with Watched() as w:
        for number in numbers:
            for line in (b"set len 0 0 %s\r\n", b"append len 0 0 %s noreply\r\n", b"cas len 0 0 %s 1\r\n", b"ms len %s\r\n",
                         b"ms len S%s\r\n", b"set len %s 0 1\r\n1\r\n", b"set len 0 %s 1\r\n1\r\n", b"incr len %s\r\n",
                         b"touch len %s\r\n", b"gat %s len\r\n", b"flush_all 9%s\r\n", b"cache_memlimit %s\r\n",
                         b"verbosity %s\r\n"):
                if b"verbosity" in line or (b"memlimit" in line and number == b"1048577"):
                    continue
                with w.connect() as c:
                    c.send(line % number + b"x" * 100 + b"\r\n")
                    c.finish()
    return w


def storm():
    """Thousands of connections that come and go at once, some with a command, some with a reset."""
    with Watched(memory=24 * MIB) as w:
        for turn in range(3000):
            s = raw(w.port)
            if turn % 3 == 0:
                s.sendall(b"get probe\r\n")
            if turn % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.close()
        hostile.testlib.wait_for(lambda: int(w.server.stats()["curr_connections"]) < 12, "connections closed")
    return w


def too_many():
    """More connections than -c allows: refused with a line, the others served on, and room again afterwards."""
    with Watched(["-c", "60"]) as w:
        clients = [raw(w.port) for _ in range(100)]
        refused = 0
        for s in clients:
            try:
                s.sendall(b"version\r\n")
                line = s.recv(100)
                refused += line.startswith(b"ERROR Too many open connections") or line == b""
            except (ConnectionResetError, BrokenPipeError):
                refused += 1
            except TimeoutError:
                check(False, "a connection too many is neither served nor refused")
        check(30 <= refused <= 60, "%d of 100 refused with -c 60" % refused)
        drain(clients)

        def served():
            try:
                with w.connect() as c:
                    return c.ask(b"version\r\n").startswith(b"VERSION")
            except (OSError, EOFError):
                return False
        hostile.testlib.wait_for(served, "room again")
    return w


def descriptors():
    """No descriptor left: nobody new is served, those who are there are, and afterwards all are."""
    with Watched() as w:
        used = len(os.listdir("/proc/%d/fd" % w.server.pid))
        old = resource.prlimit(w.server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(w.server.pid, resource.RLIMIT_NOFILE, (used + 20, old[1]))
        clients = []
        for _ in range(80):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", w.port))
            clients.append(s)
        time.sleep(1)
        drain(clients)
        time.sleep(0.3)
        with w.connect() as c:
            check(c.ask(b"version\r\n").startswith(b"VERSION"), "not served again")
        resource.prlimit(w.server.pid, resource.RLIMIT_NOFILE, old)
    return w


def idle():
    """A thousand idle connections cost less than 4 KiB each."""
    with Watched(memory=4 * MIB) as w:
        clients = [w.connect() for _ in range(1000)]
        for c in clients:
            check(c.ask(b"version\r\n").startswith(b"VERSION"), "not served")
        time.sleep(0.3)
        drain(clients)
    return w


def half_closed():
    """Clients that close their sending side get all answers; half a command changes nothing."""
    with Watched() as w:
        with w.connect() as c:
            c.set(b"half", b"old")
            c.set(b"big", b"z" * 500000)
        for _ in range(50):
            with w.connect() as c:
                c.send(b"get half\r\n" * 1000)
                check(c.finish() == b"VALUE half 0 3\r\nold\r\nEND\r\n" * 1000, "not all was answered")
        with w.connect() as c:
            c.send(b"get big\r\n" * 8)
            check(len(c.finish()) == 8 * (500000 + 27), "not all of the large values came")
        for part in (b"set half 0 0 3\r\nne", b"set half 0 0 3\r\nnew", b"set half 0 0 3\r\nnew\r", b"delete half", b"set half 0 0 3"):
            with w.connect() as c:
                c.send(part)
                c.finish()
        with w.connect() as c:
            check(c.get(b"half") == b"old", "half a command was executed")
    return w


def resets():
    """Two thousand resets in the middle of a value of 500 KB; no memory is lost to them."""
    with Watched(memory=80 * MIB) as w:
        for turn in range(1200):
            c = w.connect()
            push(c.socket, b"set reset%d 0 0 500000\r\n" % turn + b"r" * (turn * 400 % 450000), 1)
            c.reset()
        with w.connect() as c:
            c.set(b"big", b"z" * 900000)
        for turn in range(200):
            c = w.connect()
            c.send(b"get big\r\n" * 5)
            c.reset()
        with w.connect() as c:
            for n in range(150):
                check(c.set(b"fill%d" % n, b"x" * 400000) == b"STORED\r\n", "a set afterwards was refused")
            check(c.get(b"reset100") is None, "half a value was stored")
    return w


def slow_readers():
    """Twenty clients that read a large value a byte at a time."""
    with Watched(memory=112 * MIB) as w:
        with w.connect() as c:
            c.set(b"big", b"z" * 900000)
        clients = [raw(w.port, 4096) for _ in range(20)]
        for s in clients:
            s.sendall(b"get big\r\n" * 20)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            for s in clients:
                s.recv(1)
        with w.connect() as c:  # what they still read may be replaced and evicted meanwhile
            for n in range(100):
                check(c.set(b"fill%d" % n, b"x" * 900000) == b"STORED\r\n", "refused")
        s = clients[0]
        got = 0
        while got < 900000:
            data = s.recv(1 << 18)
            check(data, "closed")
            check(not data.strip(b"zVALUE big0\r\nEND9 "), "other bytes than those of the value")
            got += len(data)
        drain(clients)
    return w


ATTACKS = [http, no_newline, byte_by_byte, never_reads_large, never_reads_multiget, never_reads_small, reads_late, declares_much,
           declares_and_fills, huge_multiget, garbage, lengths, storm, too_many, descriptors, idle, half_closed, resets,
           slow_readers]

if __name__ == "__main__":
    hostile.main(ATTACKS, __doc__)
