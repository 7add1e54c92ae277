"""t/cli/test_limits.py: one connection too many, and no descriptors left."""

import os
import resource
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from testlib import PATIENCE, Server, wait_for  # noqa: E402

VERSION = b"VERSION 1.6.45\r\n"
TOO_MANY = b"ERROR Too many open connections\r\n"


class Limit(unittest.TestCase):
    def fill(self, server, n):
        """N connections, each answered, so that all are counted."""
        clients = [server.connect() for _ in range(n)]
        for client in clients:
            self.assertEqual(client.ask(b"version\r\n"), VERSION)
        return clients

    def test_one_too_many_is_told(self):
        with Server("-c", "10", "-t", "2") as server:
            clients = self.fill(server, 10)
            for _ in range(5):
                self.assertEqual(server.connect().until(b"\r\n"), TOO_MANY)
            loud = server.connect()
            loud.send(b"get a\r\n")
            self.assertEqual(loud.until(b"\r\n"), TOO_MANY)
            self.assertEqual(clients[0].stats()["rejected_connections"], "6")
            for client in clients:
                self.assertEqual(client.ask(b"version\r\n"), VERSION)

    def test_a_place_that_is_free_again_is_given(self):
        with Server("-c", "10", "-t", "2") as server:
            clients = self.fill(server, 10)
            clients.pop().close()

            def works():
                client = server.connect()
                try:
                    return client.ask(b"version\r\n") == VERSION
                except (ConnectionError, EOFError):
                    return False
                finally:
                    client.close()

            wait_for(works, "free place")

    def test_a_long_answer_gives_others_their_turn(self):
        """With the largest items there are millions of sizes to be looked at."""
        with Server("-m", "2048", "-I", "1024m", "-o", "track_sizes", "-t", "1") as server:
            client = server.connect()
            self.assertEqual(client.ask(b"set a 0 0 1\r\nb\r\n"), b"STORED\r\n")
            self.assertEqual(client.ask(b"stats sizes\r\n", b"END\r\n"), b"STAT 64 1\r\nEND\r\n")
            self.assertGreater(int(client.stats()["conn_yields"]), 10)

    def test_without_maxconns_fast_they_wait(self):
        with Server("-c", "10", "-t", "2", "-o", "no_maxconns_fast") as server:
            clients = self.fill(server, 10)
            waiting = server.connect()
            waiting.send(b"version\r\n")
            wait_for(lambda: clients[0].stats()["accepting_conns"] == "0", "end of accepting")
            before = server.cpu()
            waiting.socket.settimeout(0.5)
            with self.assertRaises(socket.timeout):
                waiting.socket.recv(1)
            self.assertLess(server.cpu() - before, 0.2)
            self.assertGreaterEqual(int(clients[0].stats()["listen_disabled_num"]), 1)
            clients.pop().close()
            waiting.socket.settimeout(PATIENCE)
            self.assertEqual(waiting.until(b"\r\n"), VERSION)
            self.assertEqual(waiting.stats()["rejected_connections"], "0")

    def test_no_descriptors(self):
        """No busy loop while there are none, and all is well when there are some again."""
        with Server("-c", "1000", "-t", "2", user="root") as server:
            clients = self.fill(server, 3)
            used = len(os.listdir(f"/proc/{server.pid}/fd"))
            old = resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 4, 4096))
            clients += self.fill(server, 4)
            waiting = [server.connect() for _ in range(10)]
            for client in waiting:
                client.send(b"version\r\n")
            wait_for(lambda: clients[0].stats()["accepting_conns"] == "0", "end of accepting")
            before = server.cpu()
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                self.assertEqual(clients[0].ask(b"version\r\n"), VERSION)
                time.sleep(0.05)
            self.assertLess(server.cpu() - before, 0.25)
            self.assertEqual(server.output().count("no descriptors left"), 1)
            clients.pop().close()
            self.assertEqual(waiting[0].until(b"\r\n"), VERSION)
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (min(4096, old[1]), 4096))
            for client in waiting[1:]:
                self.assertEqual(client.until(b"\r\n"), VERSION)
            wait_for(lambda: clients[0].stats()["accepting_conns"] == "1", "accepting again")

    def test_many_come_and_go(self):
        with Server("-c", "50", "-t", "2") as server:
            watcher = server.connect()
            for _ in range(20):
                for client in self.fill(server, 40):
                    client.close()
                wait_for(lambda: int(watcher.stats()["curr_connections"]) < 5, "end of connections")

    def test_connections_go_to_all_workers(self):
        with Server("-t", "4", "-c", "100") as server:
            self.fill(server, 40)
            threads = server.connect().stats("settings")["num_threads"]
            self.assertEqual(threads, "4")

    def test_large_pages_are_no_condition(self):
        """With -L all memory is there from the start, in huge pages or, with a warning, without them."""
        with open("/proc/meminfo", encoding="ascii") as f:
            free = int(next(line for line in f if line.startswith("HugePages_Free:")).split()[1])
        with Server("-L", "-m", "32", "-t", "1").wait_ready() as server:
            self.assertEqual(server.connect().ask(b"set a 0 0 1\r\n1\r\n"), b"STORED\r\n")
            if free == 0:
                self.assertIn("no explicit huge pages are to be had", server.output())
                self.assertGreater(server.rss(), 32 << 20)


if __name__ == "__main__":
    unittest.main()
