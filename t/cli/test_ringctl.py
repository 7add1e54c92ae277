"""t/cli/test_ringctl.py: ringctl and three real nodes: each command, what goes wrong, and another list of nodes while they serve."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib  # noqa: E402

PROGRAM = testlib.ringctl_path()
OPTIONS = ["-m", "64", "-t", "2", "--peer-timeout=30000"]


def ringctl(port, *arguments, data=None):
    """Patient, unless the arguments say otherwise: the machine may be busy."""
    command = [PROGRAM, "-t", "10000"] + ([] if port is None else ["-s", "127.0.0.1:%d" % port]) + list(arguments)
    done = subprocess.run(command, capture_output=True, input=data or b"", timeout=testlib.PATIENCE, check=False)
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


def list_of(cluster):
    """The nodes as --peers has them."""
    return next(o for o in cluster.nodes[0].options if o.startswith("--peers=")).split("=", 1)[1].split(",")


def epochs(cluster):
    return [int(node.stats("cluster")["epoch"]) for node in cluster.nodes]


class Usage(unittest.TestCase):
    """What needs no server."""

    def refused(self, words, *arguments):
        status, out, err = ringctl(None, *arguments)
        self.assertEqual((status, out), (2, ""))
        self.assertIn(words, err)
        self.assertTrue(err.endswith("\n"))

    def test_help_names_every_command_and_option(self):
        status, out, err = ringctl(None, "--help")
        self.assertEqual((status, err), (0, ""))
        for word in ("status", "nodes", "ring", "get", "set", "del", "--server", "--secret", "--json", "--timeout", "--wait",
                     "--force"):
            self.assertRegex(out, r"(?m)^  .*%s" % word)
        self.assertTrue(all(len(line) <= 120 for line in out.split("\n")))

    def test_version(self):
        status, out, _ = ringctl(None, "-V")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^ringctl \S+\n$")

    def test_wrong_usage(self):
        self.assertEqual(ringctl(None)[0], 2)
        self.refused("there is no command fly", "fly")
        self.refused("usage: ringctl get KEY", "get")
        self.refused("usage: ringctl get KEY", "get", "a", "b")
        self.refused("usage: ringctl status\n", "status", "a")
        self.refused("usage: ringctl nodes", "nodes", "unset", "a")
        self.refused("usage: ringctl nodes", "nodes", "set")
        self.refused("EXPTIME", "set", "k", "v", "soon")
        self.refused("EXPTIME", "set", "k", "v", "9999999999999")
        self.refused("EXPTIME", "set", "k", "v", "1" * 5000)
        self.refused("blanks", "get", "two words")
        self.refused("250", "get", "k" * 251)
        self.refused("--timeout", "--timeout", "never", "status")
        self.refused("--wait", "--wait=0", "status")
        self.refused("--help", "--fly")
        self.refused("needs --secret", "nodes", "set", "a=127.0.0.1:1")
        self.refused("cannot read /nowhere", "--secret=/nowhere", "nodes", "set", "a=127.0.0.1:1")

    def test_nobody_answers(self):
        status, out, err = ringctl(testlib.free_ports(1)[0], "status")
        self.assertEqual((status, out), (3, ""))
        self.assertIn("Connection refused", err)
        took = []
        for _ in range(20):
            with socket.create_server(("127.0.0.1", 0)) as silent:
                begin = time.monotonic()
                status, out, err = ringctl(silent.getsockname()[1], "-t", "200", "get", "k")
                took.append(time.monotonic() - begin)
            self.assertEqual((status, out), (3, ""), err)
            if took[-1] < 2:
                return
        self.fail("it never gave up in time: %s" % took)

    def test_garbage(self):
        """A server that is none ends it with a message, not with a crash."""
        for answer in (b"\0" * 100, b"VALUE\r\n", b"VALUE k 0 99999999999999999999\r\n", b"STAT topology nonsense\r\nEND\r\n"):
            for command in (("status",), ("get", "k"), ("ring", "k"), ("del", "k")):
                with socket.create_server(("127.0.0.1", 0)) as server:
                    port = server.getsockname()[1]
                    with subprocess.Popen([PROGRAM, "-t", "500", "-s", "127.0.0.1:%d" % port, *command],
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                        c, _ = server.accept()
                        c.recv(1000)
                        c.sendall(answer)
                        c.close()
                        _, err = process.communicate(timeout=testlib.PATIENCE)
                        self.assertIn(process.returncode, (1, 3), (answer, command, err))

    def test_single_node(self):
        """Of a node by itself: keys work, and what is about a cluster is refused."""
        with testlib.ringcached(["-m", "64"]) as node:
            self.assertEqual(ringctl(node.port, "set", "k", "v")[:2], (0, "STORED\n"))
            self.assertEqual(ringctl(node.port, "get", "k")[:2], (0, "v\n"))
            for command in (["status"], ["nodes"], ["ring"], ["ring", "k"]):
                status, out, err = ringctl(node.port, *command)
                self.assertEqual((status, out), (1, ""), command)
                self.assertIn("cluster", err)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = testlib.Cluster(3, OPTIONS)
        cls.ports = [node.port for node in cls.cluster.nodes]

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def json(self, *arguments, status=0):
        got, out, err = ringctl(self.cluster.port, "--json", *arguments)
        self.assertEqual(got, status, err)
        return json.loads(out)

    def test_status(self):
        testlib.wait_for(lambda: all(node["lag_us"] < 1000000 for node in self.json("status")["nodes"]), "no lag")
        found = self.json("status")
        self.assertEqual((found["cluster_id"], found["ring"], found["replicas"]), ("ringcache", "native", 1))
        self.assertEqual([n["name"] for n in found["nodes"]], ["n0", "n1", "n2"])
        self.assertEqual([n["port"] for n in found["nodes"]], self.ports)
        self.assertEqual(sorted(n["state"] for n in found["nodes"]), ["linked", "linked", "self"])
        for node in found["nodes"]:
            self.assertEqual((node["epoch"], node["threads"], node["limit_maxbytes"]), (1, 2, 64 << 20))
            self.assertEqual(node["forward_errors"], 0)
        status, out, _ = ringctl(self.cluster.port, "status")
        self.assertEqual(status, 0)
        for name in ("n0", "n1", "n2"):
            self.assertRegex(out, r"(?m)^%s +(self|linked)" % name)

    def test_every_figure_is_documented(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "doc", "protocol.md")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for name in self.cluster.nodes[0].stats("cluster"):
            self.assertIn("`%s`" % name.split(":")[-1], text.replace("`<node>:", "`"))

    def test_what_is_forwarded_is_counted(self):
        before = [{n["name"]: n for n in self.json("status")["nodes"]}[name] for name in ("n0", "n1", "n2")]
        for i in range(10):
            self.assertEqual(ringctl(self.ports[0], "set", "counted:%d" % i, "x")[0], 0)
        after = [{n["name"]: n for n in self.json("status")["nodes"]}[name] for name in ("n0", "n1", "n2")]
        out, into = (sum(a[name] - b[name] for a, b in zip(after, before)) for name in ("forwarded_out", "forwarded_in"))
        self.assertEqual(out, into)
        self.assertEqual(out, after[0]["forwarded_out"] - before[0]["forwarded_out"])
        self.assertGreater(out, 0)
        stats = self.cluster.nodes[0].stats()
        self.assertEqual(int(stats["forwarded_out"]), after[0]["forwarded_out"])

    def test_nodes(self):
        found = self.json("nodes")
        self.assertEqual(found["epoch"], 1)
        self.assertEqual(["%s=%s:%d/%d" % (n["name"], n["host"], n["port"], n["peer_port"]) for n in found["nodes"]],
                         list_of(self.cluster))
        self.assertEqual(ringctl(self.cluster.port, "nodes")[1].count("127.0.0.1"), 3)

    def test_ring(self):
        found = self.json("ring")
        self.assertAlmostEqual(sum(n["share"] for n in found["nodes"]), 1, places=6)
        self.assertEqual(ringctl(self.cluster.port, "ring")[1].count("%"), 3)

    def test_ring_of_a_key(self):
        """The owner is where the item is, and the copy is the other node that ring names."""
        for i in range(20):
            key = "ring:%d" % i
            before = [node.stats()["cmd_set"] for node in self.cluster.nodes]
            self.assertEqual(ringctl(self.cluster.port, "set", key, "x")[0], 0)
            after = [node.stats()["cmd_set"] for node in self.cluster.nodes]
            stored = ["n%d" % n for n in range(3) if before[n] != after[n]]
            found = self.json("ring", key)
            self.assertEqual(found["owner"], stored[0])
            self.assertEqual(len(found["copies"]), 1)
            self.assertNotEqual(found["copies"], stored)
            self.assertIn(stored[0], ringctl(self.cluster.port, "ring", key)[1])

    def test_keys(self):
        self.assertEqual(ringctl(self.ports[0], "set", "k", "a value")[:2], (0, "STORED\n"))
        self.assertEqual(ringctl(self.ports[1], "get", "k")[:2], (0, "a value\n"))
        self.assertEqual(self.json("get", "k"), {"key": "k", "found": True, "bytes": 7, "value": "a value"})
        self.assertEqual(ringctl(self.ports[2], "del", "k")[:2], (0, "DELETED\n"))
        self.assertEqual(ringctl(self.ports[0], "del", "k")[:2], (1, "NOT_FOUND\n"))
        self.assertEqual(ringctl(self.ports[0], "get", "k")[:2], (1, ""))
        self.assertEqual(self.json("get", "k", status=1), {"key": "k", "found": False})
        self.assertEqual(self.json("set", "k", "v"), {"key": "k", "answer": "STORED"})
        self.assertEqual(self.json("del", "k"), {"key": "k", "answer": "DELETED"})

    def test_values_from_standard_input(self):
        value = bytes(range(256)) * 1000
        self.assertEqual(ringctl(self.ports[0], "set", "bytes", "-", data=value)[:2], (0, "STORED\n"))
        status, out, _ = ringctl(self.ports[1], "get", "bytes")
        self.assertEqual((status, out.encode("latin-1")), (0, value + b"\n"))
        status, out, err = ringctl(self.ports[1], "--json", "get", "bytes")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("JSON", err)
        status, out, err = ringctl(self.ports[0], "set", "large", "-", data=b"x" * (2 << 20))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("object too large for cache", err)

    def test_keys_that_are_no_text(self):
        key = b"k\xff\xfe"
        self.assertEqual(ringctl(self.ports[0], "set", key, "v")[:2], (0, "STORED\n"))
        self.assertEqual(ringctl(self.ports[1], "get", key)[:2], (0, "v\n"))
        self.assertEqual(self.json("get", key)["key"], "k\\xff\\xfe")
        self.assertEqual(self.json("ring", key)["key"], "k\\xff\\xfe")
        self.assertEqual(ringctl(self.ports[2], "del", key)[:2], (0, "DELETED\n"))

    def test_expiry(self):
        self.assertEqual(ringctl(self.ports[0], "set", "gone", "v", "--", "-1")[:2], (0, "STORED\n"))
        self.assertEqual(ringctl(self.ports[1], "get", "gone")[0], 1)

    def test_lists_that_are_none(self):
        for given, words in (("a", "a node is not"), ("a=127.0.0.1:1,a=127.0.0.1:2", "the same name"), ("", "no node"),
                             ("a=127.0.0.1:70000", "port")):
            status, out, err = ringctl(self.ports[0], "-S", self.cluster.secret.name, "nodes", "set", given)
            self.assertEqual((status, out), (2, ""))
            self.assertIn(words, err)
        self.assertEqual(epochs(self.cluster), [1, 1, 1])

    def test_another_name(self):
        """A node knows itself by its name."""
        renamed = [list_of(self.cluster)[0].replace("n0=", "first=")] + list_of(self.cluster)[1:]
        status, out, err = ringctl(self.ports[1], "-S", self.cluster.secret.name, "nodes", "set", ",".join(renamed))
        self.assertEqual((status, out), (2, ""), err)
        self.assertIn("is n0: it cannot be called first while it runs", err)
        self.assertEqual(epochs(self.cluster), [1, 1, 1])

    def test_another_secret(self):
        with tempfile.NamedTemporaryFile() as secret:
            secret.write(b"no secret of this cluster")
            secret.flush()
            status, out, err = ringctl(
                self.ports[0], "-S", secret.name, "nodes", "set", ",".join(list_of(self.cluster)))
            self.assertEqual(status, 1)
            self.assertIn("epoch 1\n", out)  # the list that there is
            self.assertEqual(err.count("has another secret"), 3, err)
            secret.truncate(5)
            status, _, err = ringctl(self.ports[0], "-S", secret.name, "nodes", "set", "a=127.0.0.1:1")
            self.assertEqual(status, 2)
            self.assertIn("too short", err)
        self.assertEqual(epochs(self.cluster), [1, 1, 1])


class Change(unittest.TestCase):
    """Nodes go and come while clients are served; all that matters is told to all."""

    def set_nodes(self, cluster, nodes, epoch):
        status, out, err = ringctl(
            cluster.nodes[0].port, "--json", "-S", cluster.secret.name, "nodes", "set", ",".join(nodes))
        self.assertEqual(status, 0, err)
        self.assertEqual(json.loads(out)["epoch"], epoch)

    def answers_everywhere(self, cluster, nodes, name):
        """Every key that is set at any node is read at each."""
        for i in range(60):
            key, value = b"%s:%d" % (name, i), b"<%s %d>" % (name, i)
            with nodes[i % len(nodes)].connect() as c:
                self.assertEqual(c.set(key, value), b"STORED\r\n")
            for node in nodes:
                with node.connect() as c:
                    self.assertEqual(c.get(key), value, (key, node.port))
        self.assertTrue(cluster.alive())

    def test_a_node_goes_and_comes(self):
        with testlib.Cluster(3, OPTIONS) as cluster:
            every = list_of(cluster)
            self.answers_everywhere(cluster, cluster.nodes, b"three")
            self.set_nodes(cluster, every[:2], 2)
            self.answers_everywhere(cluster, cluster.nodes[:2], b"two")
            self.assertEqual(epochs(cluster)[:2], [2, 2])
            self.assertNotIn("n2:state", cluster.nodes[0].stats("cluster"))
            self.set_nodes(cluster, every, 3)
            self.answers_everywhere(cluster, cluster.nodes, b"again")
            self.assertEqual(epochs(cluster), [3, 3, 3])

    def test_a_fourth_node(self):
        with testlib.Cluster(4, OPTIONS) as cluster:
            every = list_of(cluster)
            self.set_nodes(cluster, every[:3], 2)
            self.set_nodes(cluster, [every[3]] + every[:3], 3)
            testlib.wait_for(lambda: epochs(cluster) == [3] * 4, "one epoch on all nodes")
            self.answers_everywhere(cluster, cluster.nodes, b"four")

    def test_a_node_that_was_away_learns_it(self):
        """It starts again with the old list, as its command line has it, and takes the newer one from whom it meets."""
        with testlib.Cluster(3, OPTIONS) as cluster:
            every = list_of(cluster)
            cluster.nodes[2].kill()
            status, out, err = ringctl(
                cluster.nodes[1].port, "-S", cluster.secret.name, "-t", "5000", "nodes", "set", ",".join(every[::-1]))
            self.assertEqual(status, 1, err)
            self.assertIn("n2 was not told: Connection refused", err)
            self.assertIn("n2 does not show this list yet", err)
            self.assertEqual([n.stats("cluster")["epoch"] for n in cluster.nodes[:2]], ["2", "2"])
            cluster.nodes[2].start()
            testlib.wait_for(lambda: epochs(cluster) == [2, 2, 2], "the epoch of the node that was away")
            self.answers_everywhere(cluster, cluster.nodes, b"back")

    def test_comparisons_are_waited_for(self):
        """A node that answers clients and that no other node can reach: what it may have nobody has compared."""
        with testlib.Cluster(3, OPTIONS) as cluster:
            every, last = list_of(cluster), cluster.nodes[2]
            with cluster.nodes[0].connect() as c:
                self.assertEqual(c.set(b"k", b"v"), b"STORED\r\n")
            testlib.wait_for(lambda: [node.stats("replication")["n2:compared"] for node in cluster.nodes[:2]] == ["1", "1"], "comparisons")
            last.kill()
            good, ports = last.options, testlib.free_ports(3)
            lost = ",".join("%s/%d" % (node.split("/")[0], port) for node, port in zip(every, ports))
            last.options = ["--peers=" + lost if o.startswith("--peers=") else o for o in good]
            last.start()
            last.wait_serving()
            arguments = ("-S", cluster.secret.name, "nodes", "set", ",".join(every[:2]))
            status, out, err = ringctl(cluster.nodes[0].port, "--wait=1", *arguments)
            self.assertEqual((status, out), (1, ""), err)
            self.assertIn("waiting for n2 to compare with n0 what they hold (1 s at most)", err)
            self.assertIn("nothing was changed", err)
            self.assertEqual(epochs(cluster), [1, 1, 1])
            status, _, err = ringctl(cluster.nodes[0].port, "--force", *arguments)
            self.assertNotIn("waiting", err)
            self.assertEqual(epochs(cluster), [2, 2, 1])

    def test_through_a_node_with_an_old_list(self):
        """It does not know how far the others are; they are asked."""
        with testlib.Cluster(3, OPTIONS) as cluster:
            every, last = list_of(cluster), cluster.nodes[2]
            last.kill()
            for epoch in (2, 3):
                self.set_nodes(cluster, every[:2], epoch)
            ports = testlib.free_ports(3)
            lost = ",".join("%s/%d" % (node.split("/")[0], port) for node, port in zip(every, ports))
            last.options = ["--peers=" + lost if o.startswith("--peers=") else o for o in last.options]
            last.start()
            last.wait_serving()
            status, out, err = ringctl(last.port, "--json", "-S", cluster.secret.name, "nodes", "set", ",".join(every[:2][::-1]))
            self.assertEqual((status, json.loads(out)["epoch"]), (0, 4), err)
            self.assertIn("has an old list of nodes, of epoch 1; others have epoch 3", err)
            self.assertEqual(epochs(cluster)[:2], [4, 4])

    def test_a_lost_node_is_taken_out(self):
        """Whoever owns its keys then had their copies; when it comes back unasked it holds nothing, and has the others answer."""
        with testlib.Cluster(3, OPTIONS) as cluster:
            every = list_of(cluster)
            with cluster.nodes[0].connect() as c:
                for i in range(200):
                    self.assertEqual(c.set(b"kept:%d" % i, b"%d" % i), b"STORED\r\n")
                self.assertEqual(c.ask(b"wait 1 60000\r\n"), b"WAIT 1\r\n")
            cluster.nodes[2].kill()
            status, _, err = ringctl(
                cluster.nodes[0].port, "-S", cluster.secret.name, "nodes", "set", ",".join(every[:2]))
            self.assertEqual(status, 0, err)
            for node in cluster.nodes[:2]:
                with node.connect() as c:
                    for i in range(200):
                        self.assertEqual(c.get(b"kept:%d" % i), b"%d" % i)
            cluster.nodes[2].start()
            cluster.nodes[2].wait_output("this node is not in the list of nodes of epoch 2")
            cluster.wait()
            with cluster.nodes[2].connect() as c:
                for i in range(200):
                    self.assertEqual(c.get(b"kept:%d" % i), b"%d" % i)
            self.answers_everywhere(cluster, cluster.nodes, b"out")
            self.assertEqual(cluster.nodes[2].stats()["curr_items"], "0")
            self.set_nodes(cluster, every, 3)
            cluster.wait()
            self.answers_everywhere(cluster, cluster.nodes, b"back")

    def test_many_changes_under_load(self):
        """Each change of the list comes while a client works: it gets right answers or errors, never another value."""
        with testlib.Cluster(3, OPTIONS) as cluster:
            every = list_of(cluster)
            for epoch in range(2, 10):
                self.set_nodes(cluster, every if epoch % 2 else every[:2], epoch)
                for i in range(40):
                    key, value = b"load:%d:%d" % (epoch, i), b"%d" % i
                    with cluster.nodes[i % 2].connect() as c:
                        self.assertEqual(c.set(key, value), b"STORED\r\n")
                    with cluster.nodes[(i + 1) % 2].connect() as c:
                        self.assertEqual(c.get(key), value)


if __name__ == "__main__":
    if PROGRAM is None:
        testlib.skip("ringctl is not built: there is no jansson")
    unittest.main()
