"""t/cli/test_limits.py: one connection too many, and no descriptors left."""

import os
import resource
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from server import PATIENCE, Server, ask, read_until, stats, wait_for  # noqa: E402

VERSION = b"VERSION 1.6.45\r\n"
TOO_MANY = b"ERROR Too many open connections\r\n"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Limit(unittest.TestCase):
    def fill(self, server, n):
        """N connections, each answered, so that all are counted."""
        clients = [server.connect() for _ in range(n)]
        for client in clients:
            self.assertEqual(ask(client, b"version\r\n"), VERSION)
        return clients

    def test_one_too_many_is_told(self):
        with Server("-c", "10", "-t", "2") as server:
            clients = self.fill(server, 10)
            for _ in range(5):
                self.assertEqual(read_until(server.connect(), b"\r\n"), TOO_MANY)
            loud = server.connect()
            loud.sendall(b"get a\r\n")
            self.assertEqual(read_until(loud, b"\r\n"), TOO_MANY)
            self.assertEqual(stats(clients[0])["rejected_connections"], "6")
            for client in clients:
                self.assertEqual(ask(client, b"version\r\n"), VERSION)

    def test_a_place_that_is_free_again_is_given(self):
        with Server("-c", "10", "-t", "2") as server:
            clients = self.fill(server, 10)
            clients.pop().close()

            def works():
                client = server.connect()
                try:
                    client.sendall(b"version\r\n")
                    return read_until(client, b"\r\n") == VERSION
                except ConnectionError:
                    return False
                finally:
                    client.close()

            wait_for(works, "free place")

    def test_without_maxconns_fast_they_wait(self):
        with Server("-c", "10", "-t", "2", "-o", "no_maxconns_fast") as server:
            clients = self.fill(server, 10)
            waiting = server.connect()
            waiting.sendall(b"version\r\n")
            wait_for(lambda: stats(clients[0])["accepting_conns"] == "0", "end of accepting")
            before = cpu_seconds(server.pid)
            waiting.settimeout(0.5)
            with self.assertRaises(socket.timeout):
                waiting.recv(1)
            self.assertLess(cpu_seconds(server.pid) - before, 0.2)
            self.assertGreaterEqual(int(stats(clients[0])["listen_disabled_num"]), 1)
            clients.pop().close()
            waiting.settimeout(PATIENCE)
            self.assertEqual(read_until(waiting, b"\r\n"), VERSION)
            self.assertEqual(stats(waiting)["rejected_connections"], "0")

    def test_no_descriptors(self):
        """No busy loop while there are none, and all is well when there are some again."""
        with Server("-c", "1000", "-t", "2", user="root") as server:
            clients = self.fill(server, 3)
            used = len(os.listdir(f"/proc/{server.pid}/fd"))
            old = resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 4, 4096))
            clients += self.fill(server, 4)
            waiting = [server.connect() for _ in range(10)]
            for client in waiting:
                client.sendall(b"version\r\n")
            wait_for(lambda: stats(clients[0])["accepting_conns"] == "0", "end of accepting")
            before = cpu_seconds(server.pid)
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                self.assertEqual(ask(clients[0], b"version\r\n"), VERSION)
                time.sleep(0.05)
            self.assertLess(cpu_seconds(server.pid) - before, 0.25)
            self.assertEqual(server.log().count("no descriptors left"), 1)
            clients.pop().close()
            self.assertEqual(read_until(waiting[0], b"\r\n"), VERSION)
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (min(4096, old[1]), 4096))
            for client in waiting[1:]:
                self.assertEqual(read_until(client, b"\r\n"), VERSION)
            wait_for(lambda: stats(clients[0])["accepting_conns"] == "1", "accepting again")

    def test_many_come_and_go(self):
        with Server("-c", "50", "-t", "2") as server:
            watcher = server.connect()
            for _ in range(20):
                for client in self.fill(server, 40):
                    client.close()
                wait_for(lambda: int(stats(watcher)["curr_connections"]) < 5, "end of connections")

    def test_connections_go_to_all_workers(self):
        with Server("-t", "4", "-c", "100") as server:
            self.fill(server, 40)
            threads = stats(server.connect(), "settings")["num_threads"]
            self.assertEqual(threads, "4")


if __name__ == "__main__":
    unittest.main()
