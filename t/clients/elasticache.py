#!/usr/bin/python3
"""Auto discovery: a client that knows one node asks it for the others, and follows when they change.

pymemcache's own ElastiCache client where it has one (4.1 or later), else its HashClient with the nodes found in the same way."""

import subprocess

from client import MANY, check, testlib

try:
    from pymemcache.client.hash import HashClient
except ImportError:
    testlib.skip("python3-pymemcache is not installed")
try:
    from pymemcache.client.ext.aws_ec_client import AWSElastiCacheHashClient
except ImportError:
    AWSElastiCacheHashClient = None

RINGCTL = testlib.ringctl_path()


def discover(port):
    """As the protocol's description has it: the version, and "host|address|port" of each node."""
    end = b"\n\r\nEND\r\n"
    with testlib.Connection(port) as c:
        c.send(b"config get cluster\r\n")
        head, version, nodes = c.until(end)[:-len(end)].splitlines()
    check(head.startswith(b"CONFIG cluster 0 "), "the first line")
    return int(version), [tuple(node.split("|")) for node in nodes.decode().split(" ")]


def follower(port):
    if AWSElastiCacheHashClient is not None:
        return AWSElastiCacheHashClient("[127.0.0.1]:%d" % port, use_vpc=False)
    return HashClient([(address, int(number)) for _, address, number in discover(port)[1]])


def answer_is_exact(cluster):
    ports = [node.port for node in cluster.nodes]
    body = b"1\n" + b" ".join(b"127.0.0.1|127.0.0.1|%d" % p for p in ports) + b"\n"
    wanted = b"CONFIG cluster 0 %d\r\n%s\r\nEND\r\n" % (len(body), body)
    for node in cluster.nodes:
        with node.connect() as c:
            c.send(b"config get cluster\r\n")
            check(c.exactly(len(wanted)) == wanted, "each node's answer")
            for line in (b"config get other\r\n", b"config get\r\n", b"config\r\n", b"config set cluster 0 1\r\n"):
                check(c.ask(line) == b"ERROR\r\n", "what is not there: %r" % line)
            check(c.ask(b"version\r\n").startswith(b"VERSION"), "nothing more was said")


def use(c):
    for n in range(MANY):
        c.set("found%d" % n, "value%d" % n, noreply=False)
    check(c.get_many(["found%d" % n for n in range(MANY)]) == {"found%d" % n: b"value%d" % n for n in range(MANY)}, "many")


def change(cluster, nodes):
    command = [RINGCTL, "-s", "127.0.0.1:%d" % cluster.nodes[0].port, "-S", cluster.secret.name, "nodes", "set", ",".join(nodes)]
    check(subprocess.run(command, stdout=subprocess.DEVNULL, timeout=testlib.PATIENCE, check=False).returncode == 0, "nodes set")


def main():
    with testlib.Cluster(3, ["-m", "64", "-t", "2"]) as cluster:
        answer_is_exact(cluster)
        use(follower(cluster.nodes[1].port))
        check(all(int(node.stats()["total_connections"]) > 2 for node in cluster.nodes), "the client found all nodes")
        if RINGCTL:
            peers = next(o for o in cluster.nodes[0].options if o.startswith("--peers=")).split("=", 1)[1].split(",")
            change(cluster, peers[:2])
            version, nodes = discover(cluster.nodes[0].port)
            check(version == 2 and [n[2] for n in nodes] == [str(n.port) for n in cluster.nodes[:2]], "the new list")
            use(follower(cluster.nodes[1].port))
    with testlib.ringcached(["-m", "64"]) as server, server.connect() as c:
        check(c.ask(b"config get cluster\r\n") == b"ERROR\r\n", "a node by itself, as memcached")
    print("ok")


main()
