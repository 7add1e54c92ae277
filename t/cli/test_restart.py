"""t/cli/test_restart.py: -e with the real program: stopped by SIGUSR1 and started again, the items are there; files that are
not to be trusted are refused with a reason, and the start is empty."""

import os
import signal
import shutil
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from testlib import Server  # noqa: E402

ARGS = ["-m", "64"]
BIG = os.urandom(300000).hex().encode()


def fill(client):
    """Items of every kind; a dictionary of key to (flags, value)."""
    items = {b"flags": (4294967295, b"x"), b"ttl": (0, b"y"), b"empty": (5, b""), b"big": (7, BIG),
             b"k" * 250: (1, b"long"), b"page": (0, b"p" * 20000)}
    for n in range(2000):
        items[b"n%d" % n] = (n % 3, b"value %d " % n * (n % 40))
    for key, (flags, value) in items.items():
        exptime = 1000 if key == b"ttl" else 0
        answer = client.ask(b"set %s %d %d %d\r\n%s\r\n" % (key, flags, exptime, len(value), value))
        assert answer == b"STORED\r\n", (key, answer)
    assert client.ask(b"set gone 0 1 1\r\n1\r\n") == b"STORED\r\n"
    assert client.ask(b"ms c3RhbGU= 3 b T500\r\nold\r\n") == b"HD\r\n"
    assert client.ask(b"md stale I\r\n") == b"HD\r\n"
    return items


def versions(client, keys):
    return {key: client.ask(b"mg %s c\r\n" % key) for key in keys}


class Restart(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="ringcache-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        os.chmod(self.directory, 0o777)
        self.file = os.path.join(self.directory, "items")

    def tearDown(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, *args):
        return Server("-e", self.file, *(args or ARGS)).wait_ready()

    def saved(self):
        """Fills a server and stops it gracefully."""
        with self.start() as server:
            items = fill(server.connect())
            self.assertEqual(server.stop(signal.SIGUSR1), 0)
        return items

    def refused(self, reason, *args):
        with self.start(*args) as server:
            client = server.connect()
            self.assertEqual(client.stats()["curr_items"], "0")
            self.assertIn("starting empty", server.output())
            self.assertIn(reason, server.output())
            self.assertEqual(client.ask(b"set a 0 0 1\r\n1\r\n"), b"STORED\r\n")

    def damage(self, at, data):
        with open(self.file, "r+b") as f:
            f.seek(at)
            f.write(data)

    def meta(self):
        """What stands beside the pages."""
        return [os.path.join(self.directory, name) for name in os.listdir(self.directory) if name != "items"]

    def test_items_are_there(self):
        with self.start() as server:
            client = server.connect()
            items = fill(client)
            before = versions(client, items)
            count = int(client.stats()["curr_items"])
            self.assertEqual(server.stop(signal.SIGUSR1), 0)
        time.sleep(2.1)  # what is to expire expires while nobody serves
        with self.start() as server:
            client = server.connect()
            self.assertIn(f"restarted with {count} items", server.output())
            self.assertEqual(versions(client, items), before)
            for key, (flags, value) in items.items():
                expected = b"VALUE %s %d %d\r\n%s\r\nEND\r\n" % (key, flags, len(value), value)
                self.assertEqual(client.ask(b"get %s\r\n" % key, b"END\r\n"), expected)
            self.assertEqual(client.ask(b"get gone\r\n"), b"END\r\n")
            left = int(client.ask(b"mg ttl t\r\n").split(b" t")[1])
            self.assertTrue(980 <= left <= 998, left)
            self.assertEqual(client.ask(b"mg stale k v\r\n", b"\r\nold\r\n").split(b"\r\n")[0], b"VA 3 kc3RhbGU= b X W")
            self.assertEqual(client.ask(b"gets n1\r\n", b"END\r\n").split()[4], before[b"n1"].split(b" c")[1].strip())
            newest = max(int(v.split(b" c")[1]) for v in before.values())
            self.assertEqual(client.ask(b"set new 0 0 1\r\n1\r\n"), b"STORED\r\n")
            self.assertGreater(int(client.ask(b"mg new c\r\n").split(b" c")[1]), newest)

    def test_large_pages_take_nothing_from_the_file(self):
        with self.start("-m", "64", "-L") as server:
            self.assertEqual(server.connect().ask(b"set a 0 0 1\r\n1\r\n"), b"STORED\r\n")
            self.assertEqual(server.stop(signal.SIGUSR1), 0)
        with self.start("-m", "64", "-L") as server:
            self.assertEqual(server.connect().ask(b"get a\r\n", b"END\r\n"), b"VALUE a 0 1\r\n1\r\nEND\r\n")

    def test_again_and_again(self):
        for n in range(4):
            with self.start() as server:
                client = server.connect()
                for old in range(n):
                    self.assertEqual(client.ask(b"get r%d\r\n" % old, b"END\r\n"), b"VALUE r%d 0 1\r\n%d\r\nEND\r\n" % (old, old))
                self.assertEqual(client.ask(b"set r%d 0 0 1\r\n%d\r\n" % (n, n)), b"STORED\r\n")
                self.assertEqual(server.stop(signal.SIGUSR1), 0)

    def test_after_the_shutdown_command(self):
        with self.start("-A", *ARGS) as server:
            client = server.connect()
            self.assertEqual(client.ask(b"set a 0 0 1\r\n1\r\n"), b"STORED\r\n")
            client.send(b"shutdown graceful\r\n")
            self.assertEqual(client.rest(), b"")
            self.assertEqual(server.wait(), 0)
        with self.start() as server:
            self.assertEqual(server.connect().ask(b"get a\r\n", b"END\r\n"), b"VALUE a 0 1\r\n1\r\nEND\r\n")

    def test_other_stops_save_nothing(self):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(sig=sig):
                with self.start() as server:
                    fill(server.connect())
                    server.stop(sig)
                with self.start() as server:
                    self.assertEqual(server.connect().stats()["curr_items"], "0")

    def test_used_once_only(self):
        """A server that crashed after a restart does not come up with what it was once."""
        self.saved()
        with self.start() as server:
            self.assertIn("restarted with", server.output())
            server.stop(signal.SIGKILL)
        with self.start() as server:
            self.assertEqual(server.connect().stats()["curr_items"], "0")

    def test_other_sizes(self):
        for args in (["-m", "128"], ["-m", "64", "-I", "2m"]):
            with self.subTest(args=args):
                self.saved()
                self.refused("another memory limit or item size", *args)

    def test_torn(self):
        self.saved()
        self.assertTrue(self.meta(), "nothing beside the pages")
        size = os.path.getsize(self.meta()[0])
        os.truncate(self.meta()[0], size // 2)
        self.refused("torn")

    def test_another_version(self):
        self.saved()
        with open(self.meta()[0], "r+b") as f:
            head = bytearray(f.read(16))
            head[8] ^= 0xFF
            f.seek(0)
            f.write(head)
        self.refused("another version")

    def test_a_flipped_bit(self):
        self.saved()
        with open(self.file, "rb") as f:
            at = f.read().find(b"value 1999 value 1999")
        self.assertGreater(at, 0)
        self.damage(at + 3, b"#")
        self.refused("damaged")


if __name__ == "__main__":
    unittest.main()
