"""t/lib/labcluster.py: three servers that are one cache, in a network of namespaces (netlab.py) that loses, delays and cuts.

    with in_lab(seed, (1, 2)) as (lab, clusters):     # one cluster with one replica, one with two
        client = clusters[0].connect(1)               # beside node 1: no fault comes between them
        lab.partition([1], [2, 3])
        lab.heal()
        clusters[0].wait_linked()
        clusters[0].assert_converges()
"""

import contextlib
import tempfile
import time

import netlab
import testlib

NODES = (1, 2, 3)
QUIET = 1.0
PROBES = b"".join(b"touch probe:%d 0\r\n" % n for n in range(30)) + b"mn\r\n"


class LabCluster:
    """Three servers in the namespaces of LAB."""

    def __init__(self, lab, replicas, port, secret, log):
        self.lab = lab
        self.port = port
        self.copies = replicas + 1
        self.log = log
        self.processes = [None] * len(NODES)
        self.probes = []
        peers = ",".join("n%d=%s:%d/%d" % (n, lab.address(n), port, port + 1) for n in NODES)
        self.options = ["-p", str(port), "-U", "0", "-u", "root", "-m", "64", "-t", "2", "--peer-timeout=300",
                        "--read-replicas", "--replicas=%d" % replicas, "--peers=" + peers, "--secret=" + secret]
        for n in NODES:
            self.start(n)
        self.renew_probes()

    def start(self, node):
        command = [testlib.ringcached_path(), *testlib.MORE_ARGS, "-l", self.lab.address(node), "--node=n%d" % node]
        self.processes[node - 1] = self.lab.popen(node, command + self.options, stderr=self.log)

    def kill(self, node):
        self.processes[node - 1].kill()
        self.processes[node - 1].wait()

    def renew_probes(self):
        """Clients that ask each worker; needed again when a node was killed."""
        for c in self.probes:
            c.close()
        self.probes = [self.connect(n) for n in NODES for _ in range(4)]

    def connect(self, node):
        """A client beside NODE: no fault comes between them."""
        def connected():
            try:
                return self.lab.connect(node, self.lab.address(node), self.port)
            except ConnectionRefusedError:
                return None
        return testlib.Connection(testlib.wait_for(connected, "node %d that serves" % node))

    def linked(self):
        for c in self.probes:
            c.send(PROBES)
        return not any([b"ERROR" in c.until(b"MN\r\n") for c in self.probes])

    def wait_linked(self):
        testlib.wait_for(self.linked, "links of all workers")

    def items(self, node):
        """Key to all that NODE itself holds of it: it answers reads from its copies."""
        c = self.probes[4 * (node - 1)]
        found = {}
        for key, fields in c.metadump().items():
            c.send(b"mg %s c f v t\r\nmn\r\n" % key)
            answer = c.until(b"MN\r\n")
            head, value = answer.split(b"\r\n", 1)
            found[key] = (head.rsplit(b" t", 1)[0], value, int(fields[b"exp"]))
        return found

    def differences(self):
        """The keys whose copies are too few, too many or not alike, and how many keys there are."""
        everywhere = {}
        for n in NODES:
            for key, item in self.items(n).items():
                everywhere.setdefault(key, []).append((n, item))
        wrong = []
        for key, items in everywhere.items():
            first = items[0][1]
            alike = all(i[:-1] == first[:-1] and abs(i[-1] - first[-1]) <= 1 for _, i in items)
            if not alike or len(items) != self.copies:
                wrong.append((key, [(n, tuple(str(w)[:60] for w in i)) for n, i in items]))
        return wrong, len(everywhere)

    def assert_converges(self):
        """Waits until all copies are the same; how many keys there are, and how long it took."""
        begin = time.monotonic()

        def same():
            self.at = time.monotonic()
            self.wrong, count = self.differences()
            return None if self.wrong else (count, self.at - begin)
        return testlib.wait_for(same, lambda: "%d replicas: the same copies; %d keys differ, as %s" % (
            self.copies - 1, len(self.wrong), self.wrong[:3]))

    def stop(self):
        """The exit status of each."""
        for c in self.probes:
            c.close()
        for process in self.processes:
            process.terminate()
        return [process.wait(testlib.PATIENCE) for process in self.processes]


@contextlib.contextmanager
def in_lab(seed, replicas):
    """A Lab and a LabCluster for each number of REPLICAS, all linked; at the end all must end well."""
    reason = netlab.skip_reason()
    if reason:
        testlib.skip(reason)
    secret = testlib.Secret()
    with netlab.Lab(len(NODES), seed) as lab, tempfile.TemporaryFile() as log:
        clusters = []
        try:
            clusters = [LabCluster(lab, count, 11211 + 10 * count, secret.name, log) for count in replicas]
            for cluster in clusters:
                cluster.wait_linked()
            yield lab, clusters
        except BaseException:
            log.seek(0)
            print(log.read().decode("latin-1")[-8000:])
            raise
        finally:
            lab.heal()
            ends = [end for cluster in clusters for end in cluster.stop()]
        assert not any(ends), "nodes ended with %s" % ends
