#!/usr/bin/python3
"""Each driver under connections that come, go, end half-way and never read: afterwards it answers, has no connection left and
no memory more, and it stops at once.

    stress.py [--connections N] [--rounds N] [--seed N]"""

import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from testlib import PATIENCE, Connection, Server, arguments_of, wait_for  # noqa: E402

VALUE = b"v" * 20000
GETS = b"get big\r\n" * 200
ANSWER = b"VALUE big 0 20000\r\n" + VALUE + b"\r\nEND\r\n"


def fresh(server):
    return Connection(server.port)


def silent(server, chance):
    """Comes and goes."""
    fresh(server).close()


def half_a_command(server, chance):
    """Is reset in the middle of a value."""
    client = fresh(server)
    client.send(b"set half 0 0 100000\r\n" + b"x" * chance.randrange(100000))
    client.reset()


def answer_under_way(server, chance):
    """Is reset, or merely gone, while answers are sent."""
    client = fresh(server)
    client.send(GETS)
    client.socket.recv(chance.randrange(1, 100000))
    if chance.random() < 0.5:
        client.reset()
    else:
        client.close()


def half_closed(server, chance):
    """Sends no more, and reads all that it asked for."""
    client = fresh(server)
    count = chance.randrange(1, 100)
    client.send(b"get big\r\n" * count)
    got = client.finish()
    assert got == ANSWER * count, f"{len(got)} bytes instead of {len(ANSWER) * count}"
    client.close()


def pieces(server, chance):
    """A pipeline in pieces, over many buffers."""
    client = fresh(server)
    request = b"".join(b"set p%d 0 0 3000\r\n" % i + b"%03d" % i * 1000 + b"\r\n" for i in range(100))
    at = 0
    while at < len(request):
        n = chance.choice((1, 100, 5000, 100000))
        client.send(request[at : at + n])
        at += n
    client.send(b"mn\r\n")
    assert client.until(b"MN\r\n") == b"STORED\r\n" * 100 + b"MN\r\n"
    client.close()


def quits(server, chance):
    """Says quit behind its commands."""
    client = fresh(server)
    client.send(b"get big\r\nquit\r\nget big\r\n")
    assert client.rest() == ANSWER
    client.close()


KINDS = (silent, half_a_command, answer_under_way, half_closed, pieces, quits)


def storms(server, options, chance):
    for _ in range(options.rounds):
        chance.choice(KINDS)(server, chance)


def never_read(server, chance):
    """Asks for much more than fits anywhere and does not read until it is told so; the answers are whole."""
    clients = [fresh(server) for _ in range(8)]
    for client in clients:
        client.send(GETS)
        client.socket.setblocking(False)
        try:
            client.socket.send(GETS * 100)
        except BlockingIOError:
            pass
        client.socket.settimeout(PATIENCE)
    with fresh(server) as other:
        assert other.ask(b"mn\r\n") == b"MN\r\n"
    for client in clients[:4]:
        assert client.exactly(100 * len(ANSWER)) == ANSWER * 100, "a late reader's answers are broken"
    for client in clients:
        client.reset()


def many(server, count):
    """COUNT connections at once: each is answered, in turns and all together."""
    clients = [fresh(server) for _ in range(count)]
    for _ in range(2):
        for client in clients:
            client.send(b"get small\r\n")
        for client in clients:
            assert client.until(b"END\r\n") == b"VALUE small 0 1\r\ns\r\nEND\r\n"
    for client in clients[::2]:
        client.reset()
    for client in clients[1::2]:
        client.close()


def count(client):
    return int(client.stats()["curr_connections"])


def drive(io, options):
    chance = options.chance
    limit = str(options.connections + 100)
    with Server(f"--io={io}", "-t", "2", "-c", limit, "-m", "256") as server:
        client = server.connect()
        assert client.ask(b"set big 0 0 20000\r\n" + VALUE + b"\r\n") == b"STORED\r\n"
        assert client.ask(b"set small 0 0 1\r\ns\r\n") == b"STORED\r\n"
        before = count(client)
        storms(server, options, chance)
        never_read(server, chance)
        many(server, options.connections)
        storms(server, options, chance)
        wait_for(lambda: count(client) == before, "end of all connections")
        left = client.stats()
        assert int(left["read_buf_count"]) <= 2, f"{left['read_buf_count']} buffers are still in use"
        begin = time.monotonic()
        status = server.stop()
        assert status == 0, f"it ended with {status}: {server.output()[-2000:]}"
        print(f"{io}: passed, stopped in {time.monotonic() - begin:.2f} s", flush=True)


def main():
    options = arguments_of(__doc__, connections=1000, rounds=150)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options.connections = min(options.connections, hard - 200)
    drive("event", options)
    with Server("--io=auto") as server:
        log = server.wait_ready().output()
    if "served by io_uring" in log:
        drive("uring", options)
    else:
        print("skipped for uring:", next(line for line in log.splitlines() if "served by" in line))


if __name__ == "__main__":
    main()
