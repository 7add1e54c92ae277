#!/usr/bin/python3
"""A real client: python3-memcache, the old one in plain Python."""

import time

import client
from client import BIG, MANY, check

try:
    import memcache
except ImportError:
    client.testlib.skip("python3-memcache is not installed")


def basics(c):
    check(c.set("k", "v1") and c.get("k") == "v1", "set, get")
    check(c.get("none") is None, "a miss")
    check(not c.add("k", "v2") and c.add("new", "v2"), "add")
    check(not c.replace("missing", "x") and c.replace("new", "v3"), "replace")
    check(c.append("k", "-end") and c.prepend("k", "start-"), "append, prepend")
    check(c.get("k") == "start-v1-end", "what they made")
    check(c.gets("k") == "start-v1-end" and c.cas("k", "swapped"), "cas")
    c.gets("k")
    memcache.Client([c.servers[0].address[0] + ":%d" % c.servers[0].address[1]]).set("k", "between")
    check(not c.cas("k", "again"), "cas with an old number")
    c.set("n", 10)
    check(c.incr("n", 5) == 15 and c.decr("n", 20) == 0 and c.incr("missing") is None, "incr, decr")
    check(c.touch("k", 100) and not c.touch("missing", 1), "touch")
    check(c.delete("k") and c.delete("k"), "delete, which this client takes for done as well where there is none")
    for value in (1, 1 << 40, 1.5, None, True, ["a", {"b": 2}], b"bytes"):
        c.set("typed", value)
        check(c.get("typed") == value, "the type of %r, kept in the flags" % (value,))


def much(c):
    values = {"many%d" % n: "value%d" % n for n in range(MANY)}
    check(c.set_multi(values) == [], "set of many")
    check(c.get_multi(list(values) + ["absent"]) == values, "get of many")
    check(c.set("big", BIG) and c.get("big") == BIG, "a large value")
    check(c.delete_multi(list(values)) and c.get_multi(list(values)) == {}, "delete of many")


def tell(port):
    c = memcache.Client(["127.0.0.1:%d" % port], cache_cas=True, debug=True, socket_timeout=60)
    basics(c)
    much(c)
    c.set("short", "x", time=1)
    check(int(c.get_stats()[0][1]["curr_items"]) > 0, "stats")
    time.sleep(2.2)
    check(c.get("short") is None, "expiry")
    c.set("k", 1)
    c.flush_all()
    check(c.get("k") is None, "flush_all")


client.story(tell)
