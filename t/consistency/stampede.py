#!/usr/bin/python3
"""The stampede-proof protocol under 8 threads and 1,000 clients: of all who ask at once for an item that is missing, stale or soon to
expire, exactly one is told to recompute it; the others get what there is; then all get the new value."""

import os
import random
import resource
import selectors
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

CLIENTS = 1000
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 6


def ask_all(connections, selector, line, end):
    """Sends LINE on all of them, in random order, and returns the answers; each ends with END."""
    random.shuffle(connections)
    for c in connections:
        c.socket.send(line)
    answers, waiting = [], len(connections)
    got = {c: b"" for c in connections}
    while waiting:
        ready = selector.select(testlib.PATIENCE)
        assert ready, "%d clients are not answered" % waiting
        for key, _ in ready:
            c = key.data
            more = c.socket.recv(65536)
            assert more, "hung up on"
            got[c] += more
            if got[c].endswith(end):
                answers.append(got[c][:-len(end)])
                waiting -= 1
    return answers


def split(answer):
    """Value and flags of an mg with v."""
    head, value = answer.split(b"\r\n")[:2]
    return value, set(head.split()[2:])


def check(answers, value, others):
    """One won; all others have VALUE with the flags OTHERS."""
    winners = [a for a in map(split, answers) if b"W" in a[1]]
    assert len(winners) == 1, "%d winners" % len(winners)
    for v, flags in map(split, answers):
        assert v == value, v
        assert b"W" in flags or others <= flags, flags


def one_round(connections, selector, admin, n):
    key = b"key%d" % n
    mg = b"mg %s v N30 R20\r\nmn\r\n" % key
    end = b"MN\r\n"
    # Missing: one is to make it, the others see that somebody does.
    check(ask_all(connections, selector, mg, end), b"", {b"Z"})
    assert admin.ask(b"ms %s 3 T300\r\none\r\n" % key) == b"HD\r\n"
    for value, flags in map(split, ask_all(connections, selector, mg, end)):
        assert value == b"one" and not flags, (value, flags)
    # Invalidated: the old value goes on, marked as stale.
    assert admin.ask(b"md %s I T300\r\n" % key) == b"HD\r\n"
    check(ask_all(connections, selector, mg, end), b"one", {b"X", b"Z"})
    assert all(b"W" not in split(a)[1] for a in ask_all(connections, selector, mg, end))
    assert admin.ask(b"ms %s 3 T300\r\ntwo\r\n" % key) == b"HD\r\n"
    for value, flags in map(split, ask_all(connections, selector, mg, end)):
        assert value == b"two" and not flags, (value, flags)
    # Soon to expire: one is to renew it while it is still good.
    assert admin.ask(b"mg %s T10\r\n" % key) == b"HD\r\n"
    check(ask_all(connections, selector, mg, end), b"two", {b"Z"})
    # A winner that never comes back: another invalidation lets somebody else win.
    assert admin.ask(b"md %s I T300\r\n" % key) == b"HD\r\n"
    check(ask_all(connections, selector, mg, end), b"two", {b"X", b"Z"})
    # A late answer to an older version is taken as stale, and somebody is to do it again.
    cas = int(admin.ask(b"mg %s c\r\n" % key).split(b" c")[1].split()[0])
    assert admin.ask(b"md %s I T300\r\n" % key) == b"HD\r\n"
    assert admin.ask(b"ms %s 4 T300 I C%d\r\nlate\r\n" % (key, cas)) == b"HD\r\n"
    check(ask_all(connections, selector, mg, end), b"late", {b"X", b"Z"})


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CLIENTS + 100:
        testlib.skip("no more than %d descriptors are allowed" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (CLIENTS + 100, hard))
    with testlib.ringcached(["-t", "8", "-c", "2000", "-m", "64"]) as server:
        selector = selectors.DefaultSelector()
        connections = [server.connect() for _ in range(CLIENTS)]
        for c in connections:
            selector.register(c.socket, selectors.EVENT_READ, c)
        with server.connect() as admin:
            for n in range(ROUNDS):
                one_round(connections, selector, admin, n)
    print("%d rounds of %d clients: one winner each time" % (ROUNDS, CLIENTS))


if __name__ == "__main__":
    main()
