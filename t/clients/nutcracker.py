#!/usr/bin/python3
"""nutcracker (twemproxy) in front of three servers with ketama, one of which is killed."""

from client import MANY, check, testlib

CONFIGURATION = """ring:
  listen: 127.0.0.1:%d
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: true
  server_retry_timeout: 60000
  server_failure_limit: 1
  timeout: 60000
  servers:
%s"""


def try_again(ask, times=10):
    """What a user of a proxy does while it finds out that a server is gone."""
    for _ in range(times):
        reply = ask()
        if not reply.startswith(b"SERVER_ERROR"):
            return reply
    raise AssertionError("still %r after %d tries" % (reply, times))


def use(port, servers):
    with testlib.Connection(port) as c:
        for n in range(MANY):
            check(c.set(b"key%d" % n, b"value%d" % n) == b"STORED\r\n", "set through the proxy")
        c.send(b"get " + b" ".join(b"key%d" % n for n in range(MANY)) + b"\r\n")
        check(c.until(b"END\r\n").count(b"VALUE ") == MANY, "get of many through the proxy")
        shares = [int(s.stats()["curr_items"]) for s in servers]
        check(sum(shares) == MANY and min(shares) > MANY / 10, "all three have a share: %s" % shares)
        check(c.set(b"big", b"x" * 900000) == b"STORED\r\n" and c.get(b"big") == b"x" * 900000, "a large value")
        check(c.set(b"n", b"1") == b"STORED\r\n" and c.ask(b"incr n 41\r\n") == b"42\r\n", "incr")
        check(c.ask(b"add n 0 0 1\r\n1\r\n") == b"NOT_STORED\r\n" and c.ask(b"delete n\r\n") == b"DELETED\r\n", "add, delete")
        servers[0].kill()
        for n in range(MANY):
            reply = try_again(lambda: c.set(b"key%d" % n, b"second%d" % n))
            check(reply == b"STORED\r\n", "set after a server was killed: %r" % reply)
        for n in range(MANY):
            check(c.get(b"key%d" % n) == b"second%d" % n, "get after a server was killed")
        check(int(servers[1].stats()["curr_items"]) + int(servers[2].stats()["curr_items"]) >= MANY, "the others took over")


def main():
    if not testlib.nutcracker_path():
        testlib.skip("there is no nutcracker")
    servers = [testlib.ringcached(["-m", "64", "-t", "1"]) for _ in range(3)]
    port = testlib.free_ports(1)[0]
    places = "".join("   - 127.0.0.1:%d:1 node%d\n" % (s.port, n) for n, s in enumerate(servers))
    with testlib.nutcracker(CONFIGURATION % (port, places), [port]):
        use(port, servers)
    for s in servers[1:]:
        s.stop()
    print("ok")


main()
