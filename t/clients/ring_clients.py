#!/usr/bin/python3
"""Clients that place keys by themselves, each with the ring made for it: every command lands on the owner, nothing is forwarded.

With any other ring, and with clients that place keys in other ways, the same works, forwarded."""

import shutil
import subprocess

from client import MANY, check, testlib

NODES = 4
PHP = """
$c = new Memcached();
$c->setOption(Memcached::OPT_POLL_TIMEOUT, 60000);
$c->setOption(Memcached::OPT_CONNECT_TIMEOUT, 60000);
%s
foreach (explode(',', $argv[1]) as $port)
	$c->addServer('127.0.0.1', (int)$port);
for ($i = 0; $i < %d; $i++)
	if (!$c->set("php$i", "value$i") || $c->get("php$i") !== "value$i")
		exit(1);
"""
NUTCRACKER = """ring:
  listen: 127.0.0.1:%d
  hash: fnv1a_64
  distribution: ketama
  timeout: 60000
  servers:
%s"""


# ---------------------------------------------------------------- clients: each uses MANY keys

def pylibmc_client(behaviors):
    def use(cluster):
        import pylibmc

        c = pylibmc.Client(["127.0.0.1:%d" % node.port for node in cluster.nodes], behaviors={"_poll_timeout": 60000, **behaviors})
        for n in range(MANY):
            check(c.set("pylibmc%d" % n, "value%d" % n) and c.get("pylibmc%d" % n) == "value%d" % n, "set, get")
        check(len(c.get_multi(["pylibmc%d" % n for n in range(MANY)])) == MANY, "get of many")
        check(c.incr("pylibmc-n", 1) if c.set("pylibmc-n", 1) else False, "incr")
        check(c.delete("pylibmc0") and c.get("pylibmc0") is None, "delete")
    return use


def php_client(options):
    def use(cluster):
        ports = ",".join(str(node.port) for node in cluster.nodes)
        run = subprocess.run(["php", "-r", PHP % (options, MANY), ports], timeout=testlib.PATIENCE, check=False)
        check(run.returncode == 0, "php ended with %d" % run.returncode)
    return use


def through_nutcracker(cluster):
    port = testlib.free_ports(1)[0]
    servers = "".join("   - 127.0.0.1:%d:1 n%d\n" % (node.port, n) for n, node in enumerate(cluster.nodes))
    with testlib.nutcracker(NUTCRACKER % (port, servers), [port]), testlib.Connection(port) as c:
        for n in range(MANY):
            check(c.set(b"proxy%d" % n, b"value%d" % n) == b"STORED\r\n", "set through the proxy")
        c.send(b"get " + b" ".join(b"proxy%d" % n for n in range(MANY)) + b"\r\n")
        check(c.until(b"END\r\n").count(b"VALUE ") == MANY, "get of many through the proxy")


def has_pylibmc():
    try:
        import pylibmc  # noqa: F401
        return True
    except ImportError:
        return False


def has_php():
    probe = ["php", "-r", "exit(class_exists('Memcached') ? 0 : 1);"]
    return shutil.which("php") and subprocess.run(probe, capture_output=True, check=False).returncode == 0


WEIGHTED = pylibmc_client({"ketama_weighted": True})
KETAMA = pylibmc_client({"ketama": True})
PHP_COMPATIBLE = php_client("$c->setOption(Memcached::OPT_LIBKETAMA_COMPATIBLE, true);")
PHP_CONSISTENT = php_client("$c->setOption(Memcached::OPT_DISTRIBUTION, Memcached::DISTRIBUTION_CONSISTENT);")

# What is there to run it, the ring, whether the nodes have names, the client.
MATCHING = (
    (has_pylibmc, "libmemcached", False, WEIGHTED),
    (has_pylibmc, "ketama100", False, KETAMA),
    (has_php, "libmemcached", False, PHP_COMPATIBLE),
    (has_php, "ketama100", False, PHP_CONSISTENT),
    (testlib.nutcracker_path, "twemproxy", True, through_nutcracker),
)
OTHERS = (
    (has_pylibmc, "native", True, WEIGHTED),
    (has_pylibmc, "native", True, pylibmc_client({})),
    (has_pylibmc, "libmemcached", False, KETAMA),
    (has_php, "native", True, php_client("")),
    (testlib.nutcracker_path, "native", True, through_nutcracker),
)


def forwarded(row):
    """How many commands were forwarded while the client worked."""
    _, ring, named, use = row
    with testlib.Cluster(NODES, ["-m", "64", "-t", "2", "--ring=" + ring], named=named) as cluster:
        before = cluster.stats()["forwarded_out"]
        use(cluster)
        return cluster.stats()["forwarded_out"] - before


def main():
    done = 0
    for rows, right in ((MATCHING, lambda n: n == 0), (OTHERS, lambda n: n > MANY / 4)):
        for number, row in enumerate(rows):
            if not row[0]():
                continue
            count = forwarded(row)
            check(right(count), "row %d, ring %s: %d forwarded" % (number, row[1], count))
            done += 1
    if done == 0:
        testlib.skip("none of these clients is there")
    print("%d clients" % done)


main()
