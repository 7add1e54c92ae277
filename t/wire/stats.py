#!/usr/bin/python3
"""What stats shows: each name of memcached's is there or is listed in doc/protocol.md as left out, with values that add up;
and the tools that read it: memcached's memcached-tool."""

import os
import re
import shutil
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

ROOT = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TOOL = "/usr/share/memcached/scripts/memcached-tool"
GROUPS = ["", "settings", "items", "slabs", "sizes", "conns"]

# What monitoring reads (exporter, telegraf, collectd, Datadog, munin): must be there, left out or not.
NEEDED = {
    "": "pid uptime time version pointer_size rusage_user rusage_system threads curr_connections total_connections "
        "max_connections rejected_connections connection_structures accepting_conns listen_disabled_num conn_yields cmd_get "
        "cmd_set cmd_flush cmd_touch get_hits get_misses delete_hits delete_misses incr_hits incr_misses decr_hits decr_misses "
        "touch_hits touch_misses cas_hits cas_misses cas_badval bytes bytes_read bytes_written limit_maxbytes curr_items "
        "total_items evictions reclaimed expired_unfetched evicted_unfetched store_too_large store_no_memory get_expired get_flushed "
        "lru_crawler_starts crawler_reclaimed crawler_items_checked moves_to_cold moves_to_warm moves_within_lru lrutail_reflocked "
        "direct_reclaims unexpected_napi_ids round_robin_fallback hash_is_expanding slabs_moved slab_reassign_running malloc_fails",
    "settings": "maxconns item_size_max evictions cas_enabled client_flags_size",
    "items": "number_hot number_warm number_cold age_hot age_warm tailrepairs crawler_reclaimed moves_to_cold moves_to_warm "
             "moves_within_lru hits_to_hot hits_to_warm hits_to_cold hits_to_temp number age evicted evicted_nonzero evicted_time evicted_unfetched outofmemory reclaimed",
    "slabs": "chunk_size total_pages used_chunks mem_requested total_malloced active_slabs chunks_per_page "
             "total_chunks free_chunks free_chunks_end get_hits cmd_set delete_hits incr_hits decr_hits cas_hits cas_badval touch_hits",
}


def left_out():
    """By group: the names that the document lists."""
    with open(os.path.join(ROOT, "doc", "protocol.md"), encoding="utf-8") as f:
        text = f.read()
    lists = re.findall(r"^Left out of `stats ?(\w*)`: (.*?)\.\n\n", text, re.M | re.S)
    assert lists, "doc/protocol.md lists nothing that is left out"
    return {group: set(re.findall(r"`([a-z0-9_]+)`", names)) for group, names in lists}


def names(server, group):
    """The names without classes and descriptors in front."""
    return {re.sub(r"^(items:)?\d+:", "", name) for name in server.stats(group)}


def use(server):
    """A little of everything, so that the lines of classes are there."""
    with server.connect() as c:
        for n in range(300):
            assert c.set(b"k%d" % n, b"v" * (n * 7), exptime=n % 3 * 100) == b"STORED\r\n"
            assert c.get(b"k%d" % n) is not None
        assert c.get(b"none") is None
        for line in (b"incr none 1", b"decr none 1", b"touch k1 100", b"delete k2", b"delete none", b"touch none 1"):
            c.ask(line + b"\r\n")


def check_names(ours, theirs):
    listed = left_out()
    for group in GROUPS:
        here = names(ours, group)
        missing = {n for n in NEEDED.get(group, "").split() if n not in here}
        assert not missing, "stats %s lacks what monitoring reads: %s" % (group, sorted(missing))
        if theirs is None or group == "sizes":
            continue
        missing = names(theirs, group) - here - listed.get(group, set())
        assert not missing, "stats %s lacks, and the document does not say so: %s" % (group, sorted(missing))
    for group, listed_names in listed.items():
        wrong = listed_names & names(ours, group)
        assert not wrong, "stats %s has what the document says it has not: %s" % (group, sorted(wrong))


def check_sums(ours):
    general, items, slabs = ours.stats(), ours.stats("items"), ours.stats("slabs")
    number = sum(int(v) for k, v in items.items() if k.endswith(":number"))
    assert number == int(general["curr_items"]) == 299, (number, general["curr_items"])
    assert general["cmd_get"] == "301" and general["get_hits"] == "300" and general["get_misses"] == "1"
    assert general["cmd_set"] == "300" and general["total_items"] == "300"
    assert general["cmd_touch"] == "2" and general["touch_hits"] == "1" and general["touch_misses"] == "1"
    assert general["delete_hits"] == "1" and general["delete_misses"] == "1"
    assert general["incr_misses"] == "1" and general["decr_misses"] == "1"
    requested = sum(int(v) for k, v in slabs.items() if k.endswith(":mem_requested"))
    assert requested == int(general["bytes"]), (requested, general["bytes"])
    for key in slabs:
        if key.endswith(":used_chunks"):
            one = {n: int(slabs[key.split(":")[0] + ":" + n]) for n in ("used_chunks", "free_chunks", "total_chunks")}
            assert one["used_chunks"] + one["free_chunks"] <= one["total_chunks"], (key, one)
    assert abs(int(general["time"]) - time.time()) <= 10
    assert int(general["pid"]) == ours.pid
    with ours.connect() as c:  # collectd reads no more than 4096 bytes
        c.send(b"stats\r\n")
        assert len(c.until(b"END\r\n")) < 4096


def check_dead(ours):
    """Look-ups that met an expired or a flushed item. Now and then the upkeep is faster, and there is none to meet."""
    def expire(c):
        assert c.set(b"dead", b"v", exptime=2678400) == b"STORED\r\n"  # a date long ago

    def flush(c):
        assert c.set(b"dead", b"v") == b"STORED\r\n"
        assert c.ask(b"flush_all\r\n") == b"OK\r\n"

    with ours.connect() as c:
        for name, kill in (("get_expired", expire), ("get_flushed", flush)):
            before = int(ours.stats()[name])
            for tries in range(1, 101):
                kill(c)
                assert c.get(b"dead") is None
                after = int(ours.stats()[name])
                if after != before:
                    break
            assert after == before + 1, (name, before, after, tries)
        assert c.ask(b"stats reset\r\n") == b"RESET\r\n"
        assert ours.stats()["get_expired"] == ours.stats()["get_flushed"] == "0"


def check_hash_power():
    """The level is the one that was asked for, and goes up with the items, where memcached's does: at 1.5 times its power. A write
    finds the memory for that or leaves it to later ones, until the upkeep has it."""
    def level(c, last):
        assert c.set(b"%d" % (last - 1), b"") == b"STORED\r\n"
        return c.stats()["hash_power_level"]

    with testlib.ringcached(["-o", "hashpower=14"]) as server, server.connect() as c:
        assert server.stats()["hash_power_level"] == "14", server.stats()["hash_power_level"]
        for first, last, power in ((0, 24000, "14"), (24000, 26000, "15"), (26000, 48000, "15"), (48000, 51000, "16")):
            c.send(b"".join(b"set %d 0 0 0 noreply\r\n\r\n" % n for n in range(first, last)) + b"mn\r\n")
            assert c.line() == b"MN\r\n"
            testlib.wait_for(lambda: level(c, last) == power, lambda: "%d items and level %s: %s" % (last, power, level(c, last)))
    with testlib.ringcached() as server:
        assert server.stats()["hash_power_level"] == "16"


def check_walks():
    """Items that expire without anybody asking for them are the crawler's."""
    with testlib.ringcached() as server, server.connect() as c:
        c.send(b"".join(b"set %d 0 1 0 noreply\r\n\r\n" % n for n in range(30)) + b"set stays 0 0 0\r\n\r\n")
        assert c.line() == b"STORED\r\n"
        testlib.wait_for(lambda: server.stats()["curr_items"] == "1", "end of what has expired")
        assert server.stats()["crawler_reclaimed"] == "30" and server.stats()["reclaimed"] == "0", server.stats()
        assert sum(int(v) for k, v in server.stats("items").items() if k.endswith(":crawler_reclaimed")) == 30


def check_sizes():
    """Sizes as memcached counts them: with its header."""
    with testlib.ringcached(["-o", "track_sizes"]) as server, server.connect() as c:
        c.set(b"abc", b"1")
        c.set(b"abd", b"1" * 32)
        assert server.stats("sizes") == {"64": "1", "96": "1"}, server.stats("sizes")


def check_meta_touch():
    """An mg with T that finds nothing has touched nothing: it is a get."""
    with testlib.ringcached() as server, server.connect() as c:
        c.set(b"k", b"v")
        assert c.ask(b"mg k T100\r\n") == b"HD\r\n" and c.ask(b"mg none T100\r\n") == b"EN\r\n"
        shown = server.stats()
        counts = {name: shown[name] for name in ("cmd_touch", "touch_hits", "touch_misses", "cmd_get", "get_misses")}
        assert counts == {"cmd_touch": "1", "touch_hits": "1", "touch_misses": "0", "cmd_get": "1", "get_misses": "1"}, counts


def check_cachedump():
    """libmemcached, and PHP's getAllKeys(), ask for classes 0 to 63, and are to find what lies in those behind."""
    with testlib.ringcached(["-m", "64"]) as server, server.connect() as c:
        sizes = {b"small": 6, b"middle": 20000, b"large": 200000}
        for key, size in sizes.items():
            c.set(key, b"v" * size)
        classes = {key: int(re.search(rb" cls=(\d+) ", c.ask(b"me %s\r\n" % key)).group(1)) for key in sizes}
        assert classes[b"small"] < 63 < classes[b"middle"] < classes[b"large"], classes
        found = []
        for number in range(64):
            found += re.findall(rb"ITEM (\w+) ", c.ask(b"stats cachedump %d 0\r\n" % number, b"END\r\n"))
        assert sorted(found) == sorted(sizes), found
        for key, number in classes.items():
            assert c.ask(b"stats cachedump %d 0\r\n" % number, b"END\r\n") == b"ITEM %s [%d b; 0 s]\r\nEND\r\n" % (key, sizes[key])


def binary_stat(c, group):
    """The statistics of a STAT request, or the status of its refusal."""
    c.send(struct.pack(">BBHBBHIIQ", 0x80, 0x10, len(group), 0, 0, 0, len(group), 0, 0) + group)
    found = []
    while True:
        _, _, key, _, _, status, body, _, _ = struct.unpack(">BBHBBHIIQ", c.exactly(24))
        body = c.exactly(body)
        if status:
            return status
        if not body:
            return found
        found.append((body[:key], body[key:]))


def check_binary_groups():
    """Groups that memcached's binary protocol does not have."""
    with testlib.ringcached() as server, server.connect() as c:
        assert binary_stat(c, b"detail") == binary_stat(c, b"extstore") == binary_stat(c, b"cachedump 1 1") == 1


def tool(server, *arguments):
    run = subprocess.run(["perl", "-w", TOOL, "127.0.0.1:%d" % server.port, *arguments], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=testlib.PATIENCE, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.decode("latin-1"), run.stderr.decode("latin-1")


def check_tool(ours):
    shown, errors = tool(ours, "display")
    assert "uninitialized" not in errors, errors
    rows = [line.split() for line in shown.split("\n")[1:] if line]
    assert sum(int(row[4]) for row in rows) == 299, shown
    shown, _ = tool(ours, "stats")
    assert re.search(r"^ +curr_items +299\r?$", shown, re.M), shown
    shown, _ = tool(ours, "settings")
    assert re.search(r"^ +maxconns +1024\r?$", shown, re.M), shown
    shown, _ = tool(ours, "sizes")
    assert "sizes_status" in shown, shown
    shown, _ = tool(ours, "keys")
    assert len(re.findall(r"^key=k\d+ exp=-?\d+ la=\d+ cas=\d+ fetch=yes cls=\d+ size=\d+ flags=\d+ ?$", shown, re.M)) == 299, shown[:500]
    shown, _ = tool(ours, "dump")
    dumped = dict(re.findall(r"^add (k\d+) 0 \d+ (\d+)\r$", shown, re.M))
    assert len(dumped) == 299 and all(int(v) == int(k[1:]) * 7 for k, v in dumped.items()), len(dumped)
    with testlib.ringcached() as copy, copy.connect() as c:  # what it is for
        c.send(shown.encode("latin-1"))
        for _ in range(299):
            assert c.line() == b"STORED\r\n"
        assert c.get(b"k299") == b"v" * 299 * 7


def main():
    with testlib.ringcached(["-m", "64"]) as ours:
        use(ours)
        if testlib.memcached_path():
            with testlib.Server("-m", "64", program=testlib.memcached_path(), user="root", verbose=0) as theirs:
                use(theirs)
                check_names(ours, theirs)
        else:
            print("no memcached to compare names with")
            check_names(ours, None)
        check_sums(ours)
        check_sizes()
        check_hash_power()
        check_walks()
        check_meta_touch()
        check_binary_groups()
        check_cachedump()
        if os.path.exists(TOOL) and shutil.which("perl"):
            check_tool(ours)
        else:
            print("no memcached-tool here")
        check_dead(ours)
    print("stats: names, sums and tools as they should be")


if __name__ == "__main__":
    main()
