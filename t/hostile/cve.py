#!/usr/bin/python3
"""What brought down servers of this kind before: the requests of published holes and of fixed crashes."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hostile
import testlib
from hostile import MIB, Watched, check

SET, ADD, REPLACE, DELETE, INCREMENT, DECREMENT, QUIT, FLUSH, GETQ, NOOP = range(1, 11)
VERSION, GETK, GETKQ, APPEND, PREPEND, STAT = range(11, 17)
SETQ, ADDQ, REPLACEQ, APPENDQ, PREPENDQ = 0x11, 0x12, 0x13, 0x19, 0x1a
SASL_LIST, SASL_AUTH, SASL_STEP = 0x20, 0x21, 0x22


def frame(opcode, key_length, extras_length, body_length, payload=b""):
    """A binary request that claims what it likes."""
    return struct.pack(">BBHBBHIIQ", 0x80, opcode, key_length, extras_length, 0, 0, body_length & 0xffffffff, 7, 0) + payload


def request(opcode, key=b"", extras=b"", value=b""):
    """A sound one."""
    return frame(opcode, len(key), len(extras), len(key) + len(extras) + len(value), extras + key + value)


def survive(streams, options=(), memory=24 * MIB, split=True):
    """Sends each stream over a connection of its own, whole and in two pieces."""
    with Watched(options, memory=memory) as w:
        for stream in streams:
            for cut in ([0, 24, len(stream) - 1] if split else [0]):
                with w.connect() as c:
                    try:
                        c.send(stream[:cut])
                        c.send(stream[cut:])
                    except OSError:
                        pass
                    c.finish()
    return w


def body_negative():
    """CVE-2011-4971: a binary body of -24 bytes."""
    return survive([frame(op, 4, 8, 0xffffffe8, b"\0" * 8 + b"key1" + b"x" * 100) for op in (SET, ADD, REPLACE, APPEND, GETK, DELETE)])


def append_without_body():
    """CVE-2016-8704: append and prepend with a key of 250 bytes in a body of none."""
    return survive([frame(op, 250, 0, 0, b"k" * 1024) for op in (APPEND, PREPEND, APPENDQ, PREPENDQ)])


def update_negative():
    """CVE-2016-8705, CVE-2017-9951: set with extras of 8, a key of 250 and a negative body, also cut short."""
    heads = [frame(op, 250, 8, 0xffffffd0) for op in (SET, ADD, REPLACE, SETQ, ADDQ, REPLACEQ)]
    return survive([h + b"\0" * 8 + b"k" * 1024 for h in heads] + [h + b"\0\0" for h in heads])


def sasl_without_body():
    """CVE-2016-8706: SASL authentication with a key of 32 bytes in a body of one."""
    streams = [frame(op, 32, 0, 1, b"A" * 1000) for op in (SASL_AUTH, SASL_STEP, SASL_LIST)]
    streams += [request(SASL_STEP, b"PLAIN", b"", b"\0a\0b"), request(SASL_AUTH, b"X" * 250, b"", b"y" * 100)]
    return survive(streams)


def long_extras():
    """CVE-2020-10931: extras longer than any command has."""
    return survive([frame(op, 0, extras, extras, b"e" * extras) for op in range(0x26) for extras in (1, 20, 21, 255)], split=False)


def body_huge():
    """Bodies beyond 2^31 and beyond what is allowed."""
    return survive([frame(op, 4, 8, n, b"\0" * 8 + b"key1" + b"x" * 2000) for op in (SET, GETK, NOOP, STAT, VERSION, APPEND)
                    for n in (0x7fffffff, 0x80000000, 0x80000001, 0xffffffff, 0x40000001, 0x40000000)], split=False)


def every_head():
    """Every opcode with every kind of wrong length."""
    streams = []
    for op in range(256):
        for key, extras, body in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (250, 4, 254), (251, 4, 255), (65535, 0, 65535),
                                  (10, 8, 5), (0, 255, 255), (3, 20, 1024)):
            streams.append(frame(op, key, extras, body, b"q" * min(body, 2000)))
    return survive([b"".join(streams[n:n + 1]) for n in range(len(streams))], split=False)


def lru_without_argument():
    """CVE-2019-11596: lru mode and lru temp_ttl without their argument."""
    words = [b"lru mode", b"lru temp_ttl", b"lru tune", b"lru", b"lru tune 10", b"lru tune 10 20 a b", b"lru bogus"]
    return survive([w + b"\r\n" for w in words])


def admin_without_arguments():
    """Administration with arguments missing, wrong or huge: slabs reassign 31 64, slabs automove window 0 among them."""
    words = [b"slabs", b"slabs reassign", b"slabs reassign 31 64", b"slabs reassign 1", b"slabs reassign -1 99999",
             b"slabs reassign 255 256", b"slabs reassign 2147483647 2147483647", b"slabs automove",
             b"slabs automove window 0", b"slabs automove window", b"slabs automove ratio x", b"slabs automove 99",
             b"lru_crawler", b"lru_crawler crawl", b"lru_crawler crawl 99999", b"lru_crawler crawl 1,2,3,,4,-1",
             b"lru_crawler crawl " + b"1," * 900, b"lru_crawler sleep", b"lru_crawler sleep 99999999",
             b"lru_crawler tocrawl x", b"lru_crawler metadump", b"lru_crawler metadump 1,99,x", b"watch", b"watch bogus",
             b"stats cachedump", b"stats cachedump 1", b"stats cachedump 99 99", b"stats cachedump -1 -1",
             b"stats detail", b"stats detail bogus", b"cache_memlimit", b"cache_memlimit 99999999999", b"cache_memlimit 8",
             b"verbosity", b"refresh_certs", b"extstore", b"extstore free_memchunks", b"debugtime", b"misbehave", b"me", b"me x y z"]
    with Watched() as w:
        for word in words:
            with w.connect() as c:
                c.send(word + b"\r\n")
                c.finish()
        time.sleep(2.2)  # what such a command set in motion may take a turn of the clock
        with w.connect() as c:
            check(c.ask(b"version\r\n").startswith(b"VERSION"), "not served two seconds later")
    return w


def conns_of_long_socket():
    """CVE-2019-15026: stats conns with a Unix socket whose path fills its room."""
    directory = tempfile.mkdtemp(prefix="rc")
    path = directory + "/" + "s" * (107 - len(directory) - 1)
    with Watched() as w:
        other = subprocess.Popen([testlib.ringcached_path(), *testlib.MORE_ARGS, "-s", path, "-m", "64", "-t", "1"] +
                                 (["-u", "root"] if os.geteuid() == 0 else []), preexec_fn=testlib.die_with_parent)
        try:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(testlib.PATIENCE)
            testlib.wait_for(lambda: s.connect_ex(path) == 0, "it listens on its socket")
            s.sendall(b"stats conns\r\n")
            got = b""
            while not got.endswith(b"END\r\n"):
                data = s.recv(65536)
                check(data, "closed after %r" % got)
                got += data
            check(path.encode()[:60] in got, "its path is not shown")
        finally:
            other.terminate()
            check(other.wait(testlib.PATIENCE) == 0, "it did not end well")
    return w


def meta_errors():
    """CVE-2020-22570 and relatives: meta commands that fail after or before the item was taken, again and again."""
    bad = [b"mg m v v", b"mg m z", b"mg m O" + b"x" * 40, b"mg m k O" + b"x" * 40 + b" v", b"mg m T", b"mg m N", b"mg m R",
           b"mg m Tx v", b"mg m " + b" ".join(bytes([c]) for c in range(33, 127)), b"mg m " + b"v " * 300, b"mg", b"mg ", b"mg !!! b",
           b"md m I Tx", b"md m C", b"md m E", b"ma m D", b"ma m J", b"ma m N", b"ma m M", b"ma m MX D5", b"ma m O" + b"x" * 40,
           b"ms m", b"ms m S", b"ms m 1 T\r\n1", b"ms m 1 F\r\n1", b"ms m 1 M\r\n1", b"ms m 1 O" + b"x" * 40 + b"\r\n1", b"ms m 1 z\r\n1",
           b"me", b"mn " + b"x" * 500, b"mg " + b"A" * 334 + b" b", b"ms " + b"A" * 332 + b" 1 b\r\n1", b"   ", b" " * 1900]
    with Watched(memory=24 * MIB) as w:
        with w.connect() as c:
            c.set(b"m", b"5")
            for _ in range(60):
                c.send(b"\r\n".join(bad) + b"\r\nmn\r\n")
                c.until(b"MN\r\n")
        with w.connect() as c:  # an item whose references were lost could not be replaced or would stay
            for _ in range(1000):
                c.set(b"m", b"6" * 4000)
            check(c.ask(b"delete m\r\n") == b"DELETED\r\n", "not deleted")
            check(c.get(b"m") is None, "still there")
    return w


def multiget_then_error():
    """Fixed in 1.6.15: a use after free in multi-gets that end in an error, with large values before it."""
    with Watched(memory=90 * MIB) as w:
        with w.connect() as c:
            c.set(b"large", b"l" * 600000)
        for _ in range(30):
            with w.connect() as c:
                c.send(b"get large large large " + b"x" * 251 + b" large\r\ndelete large\r\n")
                c.set(b"other", b"o" * 600000)
                c.finish()
            with w.connect() as c:
                c.set(b"large", b"l" * 600000)
    return w


def prefixes_without_end():
    """A new prefix with each key while stats detail is on."""
    with Watched(memory=80 * MIB) as w:
        with w.connect() as c:
            c.ask(b"stats detail on\r\n")
            for turn in range(40):
                c.send(b"".join(b"get %d.%d.%s:x\r\n" % (turn, n, b"p" * 150) for n in range(5000)) + b"version\r\n")
                c.until(b"VERSION ")
                c.line()
            c.ask(b"stats detail off\r\n")
    return w


def quiet_gets():
    """Seventy thousand binary quiet gets of one key that are never flushed."""
    with Watched(memory=48 * MIB) as w:
        with w.connect() as c:
            c.set(b"quiet", b"q" * 100)
        s = socket.create_connection(("127.0.0.1", w.port), testlib.PATIENCE)
        s.setblocking(False)
        data = request(GETQ, b"quiet") * 70000
        end, sent = time.monotonic() + 2, 0
        while sent < len(data) and time.monotonic() < end:
            try:
                sent += s.send(data[sent:sent + 65536])
            except BlockingIOError:
                time.sleep(0.002)
        with w.connect() as c:
            check(c.set(b"quiet", b"r") == b"STORED\r\n" and c.get(b"quiet") == b"r", "not replaced")
        s.close()
    return w


def metadump_unread():
    """Fixed in 1.6.44: a metadump to a client that does not read."""
    with Watched(memory=90 * MIB) as w:
        with w.connect() as c:
            for turn in range(20):
                c.send(b"".join(b"set dump%d.%d 0 0 2 noreply\r\nxx\r\n" % (turn, n) for n in range(5000)) + b"version\r\n")
                c.line()
        dumpers = []
        for _ in range(3):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", w.port))
            s.sendall(b"lru_crawler metadump all\r\n")
            dumpers.append(s)
        time.sleep(0.7)
        with w.connect() as c:
            for n in range(1000):
                check(c.set(b"meanwhile", b"x") == b"STORED\r\n", "refused")
        dumpers[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        hostile.drain(dumpers)
    return w


def watchers():
    """Fixed in 1.6.42 and 1.6.45: watchers that do not read or go away while they are written to, refused sets meanwhile."""
    with Watched(memory=90 * MIB) as w:
        open_ones = []
        for turn in range(60):
            s = socket.create_connection(("127.0.0.1", w.port), 10)
            s.sendall(b"watch mutations fetchers evictions connevents deletions\r\n")
            open_ones.append(s)
            with w.connect() as c:
                c.send(request(SET, b"toolarge", b"\0" * 8, b"x" * 1100000))
                c.send(request(NOOP))
                c.socket.shutdown(socket.SHUT_WR)
                c.rest()
            with w.connect() as c:
                c.send(b"".join(b"set w%d 0 0 1\r\n1\r\nget w%d\r\ndelete w%d\r\n" % (n, n, n) for n in range(200)) + b"quit\r\n")
                c.rest()
            if turn % 2:
                s = open_ones.pop(0)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.close()
        hostile.drain(open_ones)
    return w


def _password_file(text):
    f = tempfile.NamedTemporaryFile(prefix="rc", delete=False)
    f.write(text)
    f.close()
    return f.name


def _starts(options):
    try:
        testlib.ringcached(options).stop()
        return True
    except AssertionError as e:
        if "not built with support" in str(e):
            return False
        raise


def authentication():
    """With -Y: CVE-2021-37519 (no final newline), lengths near 2^31, empty lines, a password guessed, the binary port."""
    path = _password_file(b"user:secret")
    with Watched() as watched_elsewhere:
        if not _starts(["-Y", path]):
            print("authentication: not in this server")
            return watched_elsewhere
        with testlib.ringcached(["-Y", path, "-t", "1", "-m", "64"]) as server:
            for stream in (b"\r\n", b"\n\n\n", b"set foo 0 0 2147483646\r\nuser secret\r\n", b"set foo 0 0 4294967295\r\n", b"set foo 0 0 -2\r\nxx\r\n",
                           b"set foo 0 0\r\n", b"get foo\r\n", b"a" * 4000, b"set a 0 0 4\r\nuser\r\n", b"set a 0 0 11\r\nuser wrong!\r\n",
                           b"set a 0 0 3\r\n" + b"   \r\n", request(SET, b"k", b"\0" * 8, b"v") + request(GETK, b"k"), b"\x80" + b"\0" * 23):
                with server.connect() as c:
                    c.send(stream)
                    reply = c.finish()
                    check(b"STORED" not in reply and b"VALUE" not in reply and b"END" not in reply,
                          "%r was answered with %r without a password" % (stream[:50], reply))
            with server.connect() as c:
                check(c.ask(b"set any 0 0 11\r\nuser secret\r\n") == b"STORED\r\n", "the right password was refused")
                check(c.set(b"k", b"v") == b"STORED\r\n" and c.get(b"k") == b"v", "not served after it")
    os.unlink(path)
    return watched_elsewhere


def no_datagrams():
    """CVE-2018-1000115: nothing answers over UDP unless asked to with -U."""
    with Watched() as w:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(0.3)
        try:
            s.connect(("127.0.0.1", w.port))
            s.send(b"\0\1\0\0\0\1\0\0stats\r\n")
            got = s.recv(2000)
            check(False, "answered over UDP: %r" % got[:60])
        except (TimeoutError, ConnectionRefusedError):
            pass
        s.close()
    return w


def spaces():
    """CVE-2023-46852 and 46853: 200 spaces behind get, requests that end with a lone newline."""
    with Watched() as w:
        with w.connect() as c:
            c.set(b"key1", b"1")
            c.send(b"get" + b" " * 200 + b"key1 key2\r\nget key1\nquit\n")
            check(c.rest() == b"VALUE key1 0 1\r\n1\r\nEND\r\n" * 2, "a wrong answer")
    return w


ATTACKS = [body_negative, append_without_body, update_negative, sasl_without_body, long_extras, body_huge, every_head,
           lru_without_argument, admin_without_arguments, conns_of_long_socket, meta_errors, multiget_then_error, prefixes_without_end,
           quiet_gets, metadump_unread, watchers, authentication, no_datagrams, spaces]

if __name__ == "__main__":
    hostile.main(ATTACKS, __doc__)
