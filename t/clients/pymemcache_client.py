#!/usr/bin/python3
"""A real client: python3-pymemcache."""

import time

import client
from client import BIG, MANY, check

try:
    from pymemcache.client.base import Client, PooledClient
    from pymemcache.client.hash import HashClient
except ImportError:
    client.testlib.skip("python3-pymemcache is not installed")


def basics(c):
    c.delete_many(["k", "new", "n"], noreply=False)
    check(c.set("k", "v1", noreply=False), "set")
    check(c.get("k") == b"v1", "get")
    check(c.get("none") is None, "a miss")
    check(not c.add("k", "v2", noreply=False), "add over an item")
    check(c.add("new", "v2", noreply=False), "add")
    check(not c.replace("missing", "x", noreply=False), "replace of nothing")
    check(c.replace("new", "v3", noreply=False), "replace")
    check(c.append("k", "-end", noreply=False) and c.prepend("k", "start-", noreply=False), "append, prepend")
    check(c.get("k") == b"start-v1-end", "what they made")
    value, cas = c.gets("k")
    check(value == b"start-v1-end" and c.cas("k", "swapped", cas) is True, "cas")
    check(c.cas("k", "again", cas) is False and c.cas("missing", "x", cas) is None, "cas with an old number")
    c.set("n", "10", noreply=False)
    check(c.incr("n", 5) == 15 and c.decr("n", 20) == 0 and c.incr("missing", 1) is None, "incr, decr")
    check(c.touch("k", 100, noreply=False) and not c.touch("missing", 1, noreply=False), "touch")
    check(c.delete("k", noreply=False) and not c.delete("k", noreply=False), "delete")


def much(c):
    values = {"many%d" % n: b"value%d" % n for n in range(MANY)}
    check(c.set_many(values, noreply=False) == [], "set of many")
    check(c.get_many(list(values) + ["absent"]) == values, "get of many")
    check(len(c.gets_many(list(values))) == MANY, "gets of many")
    check(c.set("big", BIG, noreply=False) and c.get("big") == BIG, "a large value")
    check(c.delete_many(list(values), noreply=False), "delete of many")
    check(c.get_many(list(values)) == {}, "they are gone")


def serialized(port):
    def pack(key, value):
        return (value, 1) if isinstance(value, bytes) else (repr(value).encode(), 77)

    def unpack(key, value, flags):
        return value if flags == 1 else eval(value) if flags == 77 else ("flags", flags)

    c = Client(("127.0.0.1", port), serializer=pack, deserializer=unpack)
    c.set("flags", {"a": [1, 2]}, noreply=False)
    check(c.get("flags") == {"a": [1, 2]}, "client flags")


def others(c):
    c.set("short", "x", expire=1, noreply=False)
    c.set("forever", "x", noreply=False)
    stats = c.stats()
    check(stats[b"curr_items"] > 0 and stats[b"version"] and stats[b"threads"] == 2, "stats")
    check(c.stats("settings")[b"maxconns"], "stats settings")
    check(c.version().startswith(b"1.6"), "version")
    time.sleep(2.2)
    check(c.get("short") is None and c.get("forever") == b"x", "expiry")
    check(c.flush_all(noreply=False) and c.get("forever") is None, "flush_all")


def quiet(c):
    for n in range(1000):
        c.set("quiet%d" % n, "x" * n, noreply=True)
    check(len(c.get_many(["quiet%d" % n for n in range(1000)])) == 1000, "sets without a reply")


def tell(port):
    address = ("127.0.0.1", port)
    for c in (Client(address), PooledClient(address, max_pool_size=4), HashClient([address])):
        basics(c)
        much(c)
    c = Client(address)
    serialized(port)
    quiet(c)
    others(c)


client.story(tell)
