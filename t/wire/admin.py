#!/usr/bin/python3
"""Administration over a socket: watch lines, dumps, what settings commands leave behind, and a server without CAS."""

import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib
from testlib import wait_for


class Watcher:
    """A connection that watches; its lines without what differs from run to run."""

    def __init__(self, server, streams):
        self.connection = server.connect()
        assert self.connection.ask(b"watch " + streams + b"\r\n") == b"OK\r\n"

    def line(self):
        line = self.connection.until(b"\n").decode("latin-1")
        assert re.match(r"ts=\d+\.\d{6} gid=\d+ type=", line), line
        return re.sub(r"^ts=\S+ gid=\d+ | cfd=\d+|\n", "", line)

    def skip_to(self, expected):
        while self.line() != expected:
            pass

    def check(self, *expected):
        for line in expected:
            got = self.line()
            assert got == line, "%r instead of %r" % (got, line)


def fetchers():
    with testlib.ringcached() as server, server.connect() as c:
        w = Watcher(server, b"fetchers")
        c.send(b"get a%b\r\nset a 0 0 3\r\nabc\r\nget a\r\ngats 0 a\r\nmg a v\r\nmg b\r\nmg v N30\r\n")
        w.check("type=item_get key=a%25b status=not_found clsid=0 size=0",
                "type=item_get key=a status=not_found clsid=0 size=0",  # of the set
                "type=item_get key=a status=found clsid=1 size=3",
                "type=item_get key=a status=found clsid=1 size=3",
                "type=item_get key=a status=found clsid=1 size=3",
                "type=item_get key=b status=not_found clsid=0 size=0",
                "type=item_get key=v status=found clsid=1 size=0")


def lookups():
    """Commands that do not read look their key up first, and that is told before what they did."""
    with testlib.ringcached() as server, server.connect() as c:
        w = Watcher(server, b"fetchers mutations deletions")
        c.send(b"set a 0 0 1\r\n1\r\nincr a 1\r\ntouch a 0\r\nms a 2\r\n11\r\nma a\r\nme a\r\ndelete a\r\nmd a\r\n"
               b"set big 0 0 2000000\r\n" + b"x" * 2000000 + b"\r\n")
        found = "type=item_get key=a status=found clsid=1 size=%d"
        w.check("type=item_get key=a status=not_found clsid=0 size=0",
                "type=item_store key=a status=stored cmd=set ttl=0 clsid=1 size=1",
                found % 1, found % 1, found % 1,
                "type=item_store key=a status=stored cmd=set ttl=0 clsid=1 size=2",
                found % 2, found % 2, found % 2,
                "type=deleted key=a cmd=delete clsid=1 size=2",
                "type=item_get key=a status=not_found clsid=0 size=0",
                "type=item_store key=big status=too_large cmd=set ttl=0 clsid=0 size=0",
                "type=item_get key=big status=not_found clsid=0 size=0")


def mutations():
    with testlib.ringcached() as server, server.connect() as c:
        w = Watcher(server, b"mutations")
        c.send(b"set a 5 100 3\r\nabc\r\nadd a 0 0 1\r\n1\r\nreplace b 0 0 1\r\n1\r\ncas b 0 0 1 1\r\n1\r\nappend a 0 0 2\r\nde\r\n"
               b"ms m 2 T30\r\nhi\r\nms m 2 ME\r\nhi\r\nms m 1 MA\r\nx\r\nms m 2 C1\r\nhi\r\nms m 2 MR\r\nhi\r\nma n N0 J5\r\n"
               b"ma n\r\nset big 0 0 2000000\r\n" + b"x" * 2000000 + b"\r\nset bad 0 0 1\r\nxxxset z 0 0 0\r\n\r\n")
        w.check("type=item_store key=a status=stored cmd=set ttl=100 clsid=1 size=3",
                "type=item_store key=a status=not_stored cmd=add ttl=0 clsid=0 size=1",
                "type=item_store key=b status=not_stored cmd=replace ttl=0 clsid=0 size=1",
                "type=item_store key=b status=not_found cmd=cas ttl=0 clsid=0 size=1",
                "type=item_store key=a status=stored cmd=append ttl=100 clsid=1 size=5",
                "type=item_store key=m status=stored cmd=set ttl=30 clsid=1 size=2",
                "type=item_store key=m status=not_stored cmd=add ttl=0 clsid=0 size=2",
                "type=item_store key=m status=stored cmd=append ttl=30 clsid=1 size=3",
                "type=item_store key=m status=exists cmd=cas ttl=0 clsid=0 size=2",
                "type=item_store key=m status=stored cmd=replace ttl=0 clsid=1 size=2",
                "type=item_store key=n status=stored cmd=add ttl=0 clsid=1 size=1",
                "type=item_store key=big status=too_large cmd=set ttl=0 clsid=0 size=0",
                "type=item_store key=z status=stored cmd=set ttl=0 clsid=1 size=0")


def deletions():
    with testlib.ringcached() as server, server.connect() as c:
        w = Watcher(server, b"deletions")
        c.send(b"set a 0 0 3\r\nabc\r\ndelete a\r\ndelete a\r\nms b 1\r\n1\r\nmd b I\r\nmd b x\r\nmd b\r\nmd b\r\n")
        w.check("type=deleted key=a cmd=delete clsid=1 size=3", "type=deleted key=b cmd=md clsid=1 size=0")


def connections():
    with testlib.ringcached() as server:
        w = Watcher(server, b"connevents")
        for end in ("close", "reset"):
            c = server.connect()
            port = c.socket.getsockname()[1]
            of_port = "rip=127.0.0.1 rport=%d transport=tcp" % port
            w.skip_to("type=conn_new " + of_port)
            getattr(c, end)()
            w.skip_to("type=conn_close " + of_port + " reason=normal")
        c = server.connect()
        port = c.socket.getsockname()[1]
        c.send(b"GET / HTTP/1.1\r\n\r\n")
        w.skip_to("type=conn_close rip=127.0.0.1 rport=%d transport=tcp reason=error" % port)


def evictions():
    """While somebody watches they are told; a watcher that comes later is told again."""
    with testlib.ringcached(["-m", "8", "-I", "256k"]) as server, server.connect() as c:
        for turn in range(3):
            w = Watcher(server, b"evictions")
            for n in range(3000):
                c.set(b"t%d-%d" % (turn, n), b"x" * 5000, exptime=1000)
            assert re.match(r"type=eviction key=t\d-\d+ fetch=no ttl=\d+ la=\d+ clsid=\d+ size=5000$", w.line())
            w.connection.close()
            wait_for(lambda: server.stats()["log_watchers"] == "0", "end of the watcher")


def pipelines():
    """Long answers do not stand behind others that wait to be sent; mn sends them."""
    refused = b"ERROR cannot pipeline other commands before "
    with testlib.ringcached() as server:
        for command, end in ((b"lru_crawler metadump all", b"END\r\n"), (b"lru_crawler mgdump all", b"EN\r\n"), (b"watch", b"OK\r\n")):
            name = command.split(b" ")[1] if b" " in command else command
            with server.connect() as c:
                c.send(b"version\r\n" + command + b"\r\n")
                assert c.line().startswith(b"VERSION")
                assert c.line() == refused + name + b"\r\n"
                c.send(b"mn\r\n" + command + b"\r\n")
                ok = b"" if end == b"OK\r\n" else b"OK\r\n"
                assert c.until(end) == b"MN\r\n" + ok + end
        with server.connect() as c:
            c.send(b"lru_crawler metadump all\r\nset a 0 0 1\r\n1\r\nget a\r\n")
            assert c.until(b"1\r\nEND\r\n") == b"OK\r\nEND\r\nSTORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n"


def dumps():
    with testlib.ringcached() as server, server.connect() as c:
        c.send(b"set abc 0 0 1\r\n1\r\nms AAEC 1 b F7 T100\r\n1\r\nset a%b 0 0 0\r\n\r\nget abc\r\nmn\r\n")
        c.until(b"MN\r\n")
        now = int(server.stats()["time"])
        c.send(b"lru_crawler metadump all\r\n")
        lines = set(c.until(b"END\r\n").split(b"\n"))
        c.send(b"lru_crawler mgdump hash\r\n")
        commands = set(c.until(b"EN\r\n").split(b"\r\n"))
        assert commands == {b"mg abc", b"mg AAEC b", b"mg a%b", b"OK", b"EN", b""}, commands
        found = {re.match(rb"key=(\S+) exp=(\S+) la=(\d+) cas=\d+ fetch=(\S+) cls=1 size=(\d+) flags=(\d+) $", x).groups()
                 for x in lines if x.startswith(b"key=")}
        assert len(found) == 3 and all(abs(int(x[2]) - now) <= 2 for x in found), lines
        shown = {(x[0],) + x[3:] for x in found}
        assert shown == {(b"abc", b"yes", b"63", b"0"), (b"%00%01%02", b"no", b"67", b"7"), (b"a%25b", b"no", b"62", b"0")}, shown
        expiries = {x[0]: int(x[1]) for x in found}
        assert expiries[b"abc"] == -1 and abs(expiries[b"%00%01%02"] - now - 100) <= 2
        assert c.ask(b"me abc\r\n") == b"ME abc exp=-1 la=0 cas=1 fetch=yes cls=1 size=63\r\n"
    with testlib.ringcached(["-X"]) as server, server.connect() as c:
        assert c.ask(b"lru_crawler metadump all\r\n") == b"ERROR metadump not allowed\r\n"
        assert c.ask(b"lru_crawler mgdump all\r\n") == b"ERROR key dump not allowed\r\n"


def settings():
    """What is set is answered and shows."""
    commands = [
        (b"lru mode flat", b"OK", {"lru_segmented": "no"}), (b"lru mode segmented", b"OK", {"lru_segmented": "yes"}),
        (b"lru mode other", b"ERROR", {}), (b"lru mode", b"ERROR", {}), (b"lru", b"ERROR", {}),
        (b"lru tune 10 25 0.1 2.5", b"OK",
         {"hot_lru_pct": "10", "warm_lru_pct": "25", "hot_max_factor": "0.10", "warm_max_factor": "2.50"}),
        (b"lru tune 50 50 1 1", b"ERROR hot and warm pcts must not exceed 80", {"hot_lru_pct": "10"}),
        (b"lru tune 10 10 0 1", b"ERROR hot/warm age factors must be greater than 0", {"hot_max_factor": "0.10"}),
        (b"lru temp_ttl 30", b"OK", {"temp_lru": "yes", "temporary_ttl": "30"}),
        (b"lru temp_ttl -1", b"OK", {"temp_lru": "no"}),
        (b"slabs automove 0", b"OK", {"slab_automove": "0"}), (b"slabs automove 1", b"OK", {"slab_automove": "1"}),
        (b"slabs automove 7", b"ERROR", {"slab_automove": "1"}),
        (b"slabs automove x", b"CLIENT_ERROR bad command line format", {}),
        (b"slabs automove ratio 0.5", b"OK", {"slab_automove_ratio": "0.50"}),
        (b"slabs automove freeratio 0.05", b"OK", {"slab_automove_freeratio": "0.050"}),
        (b"slabs automove window 40", b"OK", {"slab_automove_window": "40"}),
        (b"slabs automove window 0", b"CLIENT_ERROR automove window too low or too high", {"slab_automove_window": "40"}),
        (b"slabs reassign 1 1", b"SAME src and dst class are identical", {}),
        (b"slabs reassign 1 2", b"NOSPARE source class has no spare pages", {}),
        (b"slabs reassign 0 1", b"NOSPARE source class has no spare pages", {}),
        (b"slabs reassign 1 0", b"NOSPARE source class has no spare pages", {}),
        (b"slabs reassign 0 0", b"SAME src and dst class are identical", {}),
        (b"slabs reassign 99999 99999", b"SAME src and dst class are identical", {}),
        (b"slabs reassign -1 1", b"BADCLASS invalid src or dst class id", {}),
        (b"slabs reassign 1 99999", b"BADCLASS invalid src or dst class id", {}),
        (b"slabs reassign x y", b"CLIENT_ERROR bad command line format", {}), (b"slabs reassign 1", b"ERROR", {}),
        (b"lru_crawler tocrawl 7", b"OK", {"lru_crawler_tocrawl": "7"}),
        (b"lru_crawler sleep 50", b"OK", {"lru_crawler_sleep": "50"}),
        (b"lru_crawler sleep 1000001", b"CLIENT_ERROR sleep must be one second or less", {"lru_crawler_sleep": "50"}),
        (b"lru_crawler crawl all", b"OK", {}), (b"lru_crawler crawl 99", b"BADCLASS invalid class id", {}),
        (b"lru_crawler disable", b"OK", {"lru_crawler": "no"}),
        (b"lru_crawler crawl all", b"CLIENT_ERROR lru crawler disabled", {}),
        (b"lru_crawler metadump all", b"CLIENT_ERROR lru crawler disabled", {}),
        (b"lru_crawler enable", b"OK", {"lru_crawler": "yes"}), (b"lru_crawler crawl", b"ERROR", {}),
        (b"cache_memlimit 3072", b"OK", {"maxbytes": str(3072 << 20)}),
        (b"cache_memlimit 128", b"OK", {"maxbytes": str(128 << 20)}),
        (b"cache_memlimit 4", b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m", {"maxbytes": str(128 << 20)}),
        (b"verbosity 1", b"OK", {"verbosity": "1"}),
        (b"refresh_certs", b"ERROR", {}), (b"extstore free_memchunks 1 2", b"ERROR", {}), (b"extstore", b"ERROR", {}),
        (b"stats sizes_enable", b"STAT sizes_status enabled", {"track_sizes": "yes"}),
        (b"stats sizes_disable", b"STAT sizes_status disabled", {"track_sizes": "no"}),
    ]
    with testlib.ringcached(["-m", "64"]) as server, server.connect() as c:
        for command, answer, shown in commands:
            got = c.ask(command + b"\r\n")
            assert got == answer + b"\r\n", "%r: %r" % (command, got)
            now = server.stats("settings")
            for name, value in shown.items():
                assert now[name] == value, "after %r %s is %r" % (command, name, now[name])
    with testlib.ringcached(["-o", "no_lru_maintainer"]) as server, server.connect() as c:
        assert c.ask(b"lru mode flat\r\n") == b"ERROR\r\n"
        assert c.ask(b"lru temp_ttl 5\r\n") == b"ERROR\r\n"
    with testlib.ringcached(["-X"]) as server, server.connect() as c:
        for line in (b"stats detail", b"stats detail on", b"stats detail dump", b"stats detail x"):
            assert c.ask(line + b"\r\n") == b"CLIENT_ERROR stats detail not allowed\r\n"
        assert binary_stats(server, b"detail on") == (1, {})
    with testlib.ringcached(["-F"]) as server, server.connect() as c:
        for line in (b"flush_all", b"flush_all 5", b"flush_all abc"):
            assert c.ask(line + b"\r\n") == b"CLIENT_ERROR flush_all not allowed\r\n"


def without_cas():
    asked = (b"set k 0 0 1\r\n1\r\ngets k\r\ncas k 0 0 1 1\r\n2\r\ncas k 0 0 1 0\r\n2\r\ncas z 0 0 1 5\r\n2\r\nmg k c v\r\nms k 1 c\r\n3\r\n"
             b"ms k 1 C5 c\r\n4\r\nms k 1 C0 c\r\n4\r\nmd k C5\r\nmd k C0\r\nms k 1\r\n5\r\nma k C5 c v\r\nma k C0 c v\r\nme k\r\nmd k I\r\n"
             b"mg k c v\r\nms k 1 I C5\r\n5\r\nmg k v c\r\nmn\r\n")
    answered = (b"STORED\r\nVALUE k 0 1 0\r\n1\r\nEND\r\nEXISTS\r\nEXISTS\r\nNOT_FOUND\r\nVA 1 c0\r\n1\r\nHD c0\r\nEX c0\r\nEX c0\r\nEX\r\n"
                b"HD\r\nHD\r\nEX\r\nVA 1 c0\r\n6\r\nME k exp=-1 la=0 cas=0 fetch=yes cls=1 size=53\r\nHD\r\nVA 1 c0 X W\r\n6\r\nEX\r\n"
                b"VA 1 c0 Z X\r\n6\r\nMN\r\n")
    with testlib.ringcached(["-C"]) as server, server.connect() as c:
        c.send(asked)
        got = c.until(b"MN\r\n").replace(b"fetch=no", b"fetch=yes")
        assert got == answered, got


def binary_stats(server, group):
    """The status of the last packet, and all figures."""
    with server.connect() as c:
        c.send(struct.pack(">BBHBBHIIQ", 0x80, 0x10, len(group), 0, 0, 0, len(group), 7, 0) + group)
        found = {}
        while True:
            magic, op, key, extras, _, status, body, opaque, _ = struct.unpack(">BBHBBHIIQ", c.exactly(24))
            assert (magic, op, extras, opaque) == (0x81, 0x10, 0, 7)
            data = c.exactly(body)
            if status != 0 or not body:
                return status, found
            found[data[:key]] = data[key:]


def detail_in_binary():
    """One figure, whose value is the text."""
    with testlib.ringcached() as server, server.connect() as c:
        assert binary_stats(server, b"detail dump") == (0, {b"detailed": b"END\r\n"})
        assert binary_stats(server, b"detail on") == (0, {})
        c.send(b"get a:1\r\n" + b"".join(b"get %d:\r\n" % n for n in range(5000)))
        c.exactly(5001 * 5)
        status, found = binary_stats(server, b"detail dump")
        lines = found[b"detailed"].split(b"\r\n")
        assert status == 0 and lines[0] == b"PREFIX a get 1 hit 0 set 0 del 0" and len(lines) == 4096 + 2 and lines[-2:] == [b"END", b""]
        assert binary_stats(server, b"detail x") == (1, {})


def detail():
    """A set counts when its line was accepted, whatever comes of its data."""
    with testlib.ringcached(["-m", "64"]) as server, server.connect() as c:
        c.ask(b"stats detail on\r\n")
        c.send(b"add a:1 0 0 3\r\nabcXYset a:1 0 0 2000000\r\n" + b"x" * 2000000 + b"\r\nset a:1 0 0 20000\r\n" + b"x" * 20002 +
               b"set a:1 0 0 1\r\n1\r\nstats detail dump\r\n")
        assert c.until(b"END\r\n").split(b"\r\n")[-3] == b"PREFIX a get 0 hit 0 set 4 del 0"
        assert server.stats()["cmd_set"] == "3"


def long_numbers():
    with testlib.ringcached() as server, server.connect() as c:
        for value in (b"0" * 799, b"1" + b" " * 700, b" " * 500 + b"5"):
            c.set(b"n", value)
            total = int(value) + 7
            assert c.ask(b"incr n 7\r\n") == b"%d\r\n" % total
            assert c.get(b"n") == (b"%d" % total).ljust(len(value))


def main():
    for test in (fetchers, lookups, mutations, deletions, connections, evictions, pipelines, dumps, settings, without_cas, detail, detail_in_binary,
                 long_numbers):
        if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
            continue
        test()
        print("%s: as it should be" % test.__name__)


if __name__ == "__main__":
    main()
