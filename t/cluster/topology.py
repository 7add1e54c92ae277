#!/usr/bin/python3
"""Nodes leave the list and come back: what was changed meanwhile is never answered as it was before.

    topology.py [--rounds N] [--only NAME] [--seed N]
"""

import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

OPTIONS = ["-m", "64", "-t", "2", "--peer-timeout=500", "--read-replicas"]
KEYS = 300
MANY = 20000


def keys_of(number):
    return [b"k%d:%d" % (number, n) for n in range(KEYS)]


def do_all(node, requests):
    """Until all are done and copied: a busy machine may break a link."""
    def done():
        with node.connect() as c:
            c.send(b"".join(requests))
            answers = [c.line() for _ in requests]
            waited = c.ask(b"wait 1 3000\r\n")
        return waited == b"WAIT 1\r\n" and not any(answer.startswith(b"SERVER_ERROR") for answer in answers)
    testlib.wait_for(done, "changes are made and copied")


def fill(node, keys):
    do_all(node, [b"set %s 0 0 3\r\nold\r\n" % key for key in keys])


def change(node, keys):
    """Returns what the keys may be now, beside None: of a cache things may be lost."""
    do_all(node, [b"set %s 0 0 3\r\nnew\r\n" % key for key in keys[::3]] + [b"delete %s\r\n" % key for key in keys[1::3]])
    return {key: (b"new", b"gone", b"old")[n % 3] for n, key in enumerate(keys)}


def check(nodes, known, when):
    """Returns how many keys have a value."""
    found = 0
    for node in nodes:
        with node.connect() as c:
            for key, value in known.items():
                c.send(b"get %s\r\nmn\r\n" % key)
                answer = c.until(b"MN\r\n")
                if answer.startswith(b"VALUE"):
                    got = answer.split(b"\r\n")[1]
                    assert got == value, "%s: %s has %r as %r" % (when, node.options[0], key, got)
                    found += 1
    return found


def there(node, keys):
    """Which of KEYS have a value."""
    found = []
    with node.connect() as c:
        for at in range(0, len(keys), 500):
            c.send(b"get %s\r\nmn\r\n" % b" ".join(keys[at:at + 500]))
            found += [line.split()[1] for line in c.until(b"MN\r\n").split(b"\r\n") if line.startswith(b"VALUE ")]
    return found


class Readers:
    """Check all the time, at each node, what is known."""

    def __init__(self, cluster, known):
        self.known = known
        self.going = True
        self.failure = None
        self.threads = [threading.Thread(target=self.run, args=(node,), daemon=True) for node in cluster.nodes]

    def run(self, node):
        try:
            while self.going:
                check([node], self.known, "meanwhile")
        except (AssertionError, OSError, EOFError) as failure:
            self.failure = failure

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, kind, value, trace):
        self.going = False
        for thread in self.threads:
            thread.join()
        if self.failure is not None:
            raise self.failure


def epoch_of(node):
    return int(node.stats("cluster")["epoch"])


def set_nodes(cluster, some, epoch, told):
    """The list of SOME, with EPOCH; the nodes TOLD have it then. One that stands still is told later, which takes ringctl a while."""
    command = [testlib.ringctl_path(), "-t", "1000", "-s", "127.0.0.1:%d" % cluster.nodes[told[0]].port, "-S", cluster.secret.name,
               "--force", "nodes", "set", ",".join(cluster.list[n] for n in some)]
    for _ in range(5):
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if any(epoch_of(cluster.nodes[n]) == epoch for n in told):
            break
    testlib.wait_for(lambda: all(epoch_of(cluster.nodes[n]) == epoch for n in told), "the nodes %s" % list(some))


def leaves_and_comes_back(cluster, chance, number):
    keys = keys_of(number)
    epoch = epoch_of(cluster.nodes[0])
    away = chance.randrange(3)
    rest = [n for n in range(3) if n != away]
    fill(cluster.nodes[chance.randrange(3)], keys)
    set_nodes(cluster, rest, epoch + 1, rest)
    known = change(cluster.nodes[rest[0]], keys)
    with Readers(cluster, known):
        set_nodes(cluster, (0, 1, 2), epoch + 2, (0, 1, 2))
        cluster.wait()
    found = check(cluster.nodes, known, "after all")
    assert found > KEYS, "only %d of %d values are left" % (found, 2 * KEYS)


def misses_both_changes(cluster, chance, number):
    """A node that stands still meanwhile, and hears of the last list alone."""
    keys = keys_of(number)
    epoch = epoch_of(cluster.nodes[0])
    fill(cluster.nodes[chance.randrange(3)], keys)
    away = chance.randrange(3)
    rest = [n for n in range(3) if n != away]
    os.kill(cluster.nodes[away].pid, signal.SIGSTOP)
    try:
        set_nodes(cluster, rest, epoch + 1, rest)
        known = change(cluster.nodes[rest[0]], keys)
        set_nodes(cluster, (0, 1, 2), epoch + 2, rest)
    finally:
        os.kill(cluster.nodes[away].pid, signal.SIGCONT)
    testlib.wait_for(lambda: epoch_of(cluster.nodes[away]) == epoch + 2, "it hears of the list")
    check(cluster.nodes, known, "at once")
    cluster.wait()
    check(cluster.nodes, known, "after all")


def nothing_is_kept(cluster, chance, number):
    """What a node does not hold any more is gone from its memory."""
    keys = keys_of(number)
    epoch = epoch_of(cluster.nodes[0])
    fill(cluster.nodes[0], keys)
    set_nodes(cluster, (0, 1), epoch + 1, (0, 1, 2))
    testlib.wait_for(lambda: cluster.nodes[2].stats()["curr_items"] == "0", "the third has nothing left")
    set_nodes(cluster, (0, 1, 2), epoch + 2, (0, 1, 2))
    cluster.wait()
    testlib.wait_for(lambda: sum(int(node.stats()["curr_items"]) for node in cluster.nodes) <= 2 * KEYS * (number + 1),
                     "each key is on two nodes")


def one_list_after_the_other(cluster, chance, number):
    """ringctl waits until the nodes have what a list gives them: with a copy of each key nothing is lost, however fast lists come."""
    keys = [b"many%d:%d" % (number, n) for n in range(MANY)]
    fill(cluster.nodes[0], keys)
    lists = [(0, 1), (1, 2), (0, 2), (0, 1, 2)]
    chance.shuffle(lists)
    for some in lists + [(0, 1, 2)]:
        cluster.ringctl("nodes", "set", ",".join(cluster.list[n] for n in some))
    left = []

    def all_are_there():
        left[:] = there(cluster.nodes[0], keys)
        return len(left) == MANY
    testlib.wait_for(all_are_there, lambda: "all values that there were; %d of %d are left" % (len(left), MANY))


def two_lists_at_once(cluster, chance, number):
    """Of two lists of one epoch all nodes take the same, with the next epoch."""
    lists = [",".join(cluster.list[n] + ("*%d" % (2 + number) if n == heavy else "") for n in range(3)) for heavy in (0, 1)]
    path = testlib.ringctl_path()
    epoch = epoch_of(cluster.nodes[0])
    running = [subprocess.Popen([path, "-t", "1500", "-s", "127.0.0.1:%d" % node.port, "-S", cluster.secret.name, "--force", "nodes", "set",
                                one],
                                stdout=subprocess.DEVNULL) for node, one in zip(cluster.nodes, lists)]
    for one in running:
        one.wait()
    testlib.wait_for(lambda: len({node.stats("cluster")["topology"] for node in cluster.nodes}) == 1, "one list")
    assert epoch_of(cluster.nodes[0]) == epoch + 2


STORIES = [nothing_is_kept, one_list_after_the_other, two_lists_at_once, leaves_and_comes_back, misses_both_changes]


def main():
    arguments = testlib.arguments_of(__doc__, rounds=2)

    def rounds(story):
        def all_rounds(cluster, chance, count):
            for number in range(1 if story is misses_both_changes else count):
                story(cluster, chance, number)
        all_rounds.__name__ = story.__name__
        return all_rounds

    def setting(story):
        return testlib.Cluster(3, OPTIONS, arguments.seed)
    testlib.tell([rounds(story) for story in STORIES], arguments, setting, arguments.rounds)


if __name__ == "__main__":
    main()
