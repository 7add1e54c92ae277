#!/usr/bin/python3
"""A real client: python3-pylibmc, over both protocols."""

import time

import client
from client import BIG, MANY, check

try:
    import pylibmc
except ImportError:
    client.testlib.skip("python3-pylibmc is not installed")


def basics(c):
    check(c.set("k", "v1") and c.get("k") == "v1", "set, get")
    check(c.get("none") is None, "a miss")
    check(not c.add("k", "v2") and c.add("new", "v2"), "add")
    try:
        check(not c.replace("missing", "x"), "replace of nothing")
    except pylibmc.NotFound:  # so over the binary protocol
        pass
    check(c.replace("new", "v3"), "replace")
    c.set("bytes", b"mid")
    check(c.append("bytes", b"-end") and c.prepend("bytes", b"start-"), "append, prepend")
    check(c.get("bytes") == b"start-mid-end", "what they made")
    c.set("n", 10)
    check(c.incr("n", 5) == 15 and c.decr("n", 20) == 0, "incr, decr")
    try:
        c.incr("missing", 1)
        check(False, "incr of nothing")
    except pylibmc.NotFound:
        pass
    check(c.delete("k") and not c.delete("k"), "delete")
    for value in (1, 1 << 40, 1.5, None, True, ["a", {"b": 2}], "\u20ac\u00e4"):
        c.set("typed", value)
        check(c.get("typed") == value, "the type of %r, kept in the flags" % (value,))


def swap(c):
    c.set("s", "one")
    value, cas = c.gets("s")
    check(value == "one" and c.cas("s", "two", cas), "cas")
    check(not c.cas("s", "three", cas) and c.get("s") == "two", "cas with an old number")


def much(c):
    values = {"many%d" % n: "value%d" % n for n in range(MANY)}
    check(c.set_multi(values) == [], "set of many")
    check(c.get_multi(list(values) + ["absent"]) == values, "get of many")
    check(c.set("big", BIG) and c.get("big") == BIG, "a large value")
    check(c.delete_multi(list(values)) and c.get_multi(list(values)) == {}, "delete of many")


def expiry(c):
    c.set("short", "x", time=1)
    c.set("touched", "x", time=1)
    check(c.touch("touched", 100) and not c.touch("missing", 1), "touch")
    time.sleep(2.2)
    check(c.get("short") is None and c.get("touched") == "x", "expiry")


def tell(port):
    for binary in (False, True):
        c = pylibmc.Client(["127.0.0.1:%d" % port], binary=binary, behaviors={"cas": True, "tcp_nodelay": True, "_poll_timeout": 60000})
        basics(c)
        swap(c)
        much(c)
        expiry(c)
        stats = c.get_stats()[0][1]
        check(int(stats["curr_items" if "curr_items" in stats else b"curr_items"]) > 0, "stats")
        check(c.flush_all() and c.get("touched") is None, "flush_all")
    c = pylibmc.Client(["127.0.0.1:%d" % port], behaviors={"no_block": True, "tcp_nodelay": True, "_poll_timeout": 60000})
    for n in range(1000):
        c.set("quiet%d" % n, n)
    check(len(c.get_multi(["quiet%d" % n for n in range(1000)])) == 1000, "sets without a reply")


client.story(tell)
