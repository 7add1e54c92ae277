#!/usr/bin/python3
"""What `wait` says is true, and no less than what is known: with nodes down, links that broke, and more replicas than one.

    wait.py [--only NAME] [--seed N]
"""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

OPTIONS = ["-m", "64", "-t", "1", "--peer-timeout=1000"]


def key_of(cluster, holders, word):
    """A key that these nodes hold, the primary first."""
    for n in range(10000):
        key = b"%s:%d" % (word, n)
        if cluster.holders(key)[:len(holders)] == list(holders):
            return key
    raise AssertionError("no key is %s's" % (holders,))


def set_one(c, key, value=b"v"):
    """Again, where a node did not answer in time."""
    testlib.wait_for(lambda: c.set(key, value) == b"STORED\r\n", "value that is stored")


def set_and_ask(c, key, asked, wanted):
    """Sets KEY until it is answered as WANTED what is ASKED behind that: what went over a link that a busy machine broke is not
    known to be copied."""
    def answers():
        set_one(c, key)
        got[:] = [c.ask(one) for one in asked]
        return got == wanted
    got = []
    testlib.wait_for(answers, lambda: "%s and not %s behind a set of %s" % (wanted, got, key))


def other_nodes_do_not_matter(cluster, chance):
    """Who wrote through one node asks that one, whoever else is down."""
    here = key_of(cluster, ("n0", "n1"), b"here")
    there = key_of(cluster, ("n1", "n0"), b"there")
    with cluster.nodes[0].connect() as c:
        set_and_ask(c, there, [b"wait 1 5000\r\n"], [b"WAIT 1\r\n"])
        cluster.nodes[2].kill()
        for key in (there, here, there):
            set_and_ask(c, key, [b"wait 1 5000\r\n"], [b"WAIT 1\r\n"])
    cluster.nodes[2].start()


def a_broken_link_is_not_forgotten(cluster, chance):
    """What went over a link that has broken may be lost with the node: a later link cannot say. That is told until it is written
    anew."""
    key = key_of(cluster, ("n1", "n0"), b"there")
    with cluster.nodes[0].connect() as c:
        set_one(c, key)
        os.kill(cluster.nodes[1].pid, signal.SIGSTOP)
        try:
            testlib.wait_for(lambda: b"reached" in c.ask(b"touch %s 0\r\n" % key), "the link breaks")
        finally:
            os.kill(cluster.nodes[1].pid, signal.SIGCONT)
        cluster.wait()
        for _ in range(2):
            answer = c.ask(b"wait 1 500\r\n")
            assert answer == b"WAIT 0\r\n", answer
        set_and_ask(c, key, [b"wait 1 5000\r\n"], [b"WAIT 1\r\n"])


def no_more_than_there_are(cluster, chance):
    """With one of two replicas away, one is what is said, however often and of what it is asked."""
    here = key_of(cluster, ("n0",), b"here")
    there = key_of(cluster, ("n1",), b"there")
    cluster.nodes[2].kill()
    for key in (here, there):
        with cluster.nodes[0].connect() as c:
            asked = [b"wait 1 5000\r\n"] + [b"wait %d 500\r\n" % wanted for wanted in (1, 2, 1, 0, 2)]
            set_and_ask(c, key, asked, [b"WAIT 1\r\n"] * len(asked))
    cluster.nodes[2].start()


def what_is_held_is_all_of_it(cluster, chance):
    """An answer that waits for copies is held back wherever in the output it would stand."""
    big, none, number = (key_of(cluster, ("n0",), word) for word in (b"big", b"none", b"number"))
    get, miss = b"get %s\r\n" % big, b"get %s\r\n" % none
    with cluster.nodes[0].connect() as c:
        set_one(c, big, b"v" * 450)
        length = len(c.ask(get, b"END\r\n"))
        block = 16384
        for room in range(850, 1150, 5):
            gets = (block - room) // length
            misses = (block - room - gets * length) // len(b"END\r\n")
            # More copies than there can be: the answer to that comes at once.
            c.send(get * gets + miss * misses + b"ma %s Psync=9 N0 v\r\nmn\r\n" % number)
            c.exactly(gets * length + misses * len(b"END\r\n"))
            answer = c.until(b"MN\r\n")
            assert answer == b"SERVER_ERROR stored here, but not copied in time\r\nMN\r\n", (room, answer)


STORIES = [other_nodes_do_not_matter, a_broken_link_is_not_forgotten, no_more_than_there_are, what_is_held_is_all_of_it]
MORE_OPTIONS = {no_more_than_there_are: ["--replicas=2"]}


def main():
    arguments = testlib.arguments_of(__doc__)

    def setting(story):
        return testlib.Cluster(3, OPTIONS + MORE_OPTIONS.get(story, []), arguments.seed)
    testlib.tell(STORIES, arguments, setting)


if __name__ == "__main__":
    main()
