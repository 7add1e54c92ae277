#!/usr/bin/python3
"""A connection that has fallen silent costs few bytes of the server's memory, with each driver."""

import os
import resource
import statistics
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from testlib import Server, is_sanitized, skip, wait_for  # noqa: E402

COUNT = 4200
BATCHES = 7
SPARE = 200  # descriptors of both sides that are no connections
WARM = 300  # requests after which the driver's buffers have all been touched
MOST = 290  # half of what memcached 1.6.18 takes for one that was never used


def descriptors():
    """Allows this process, and the server that it starts, to have COUNT connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < COUNT + SPARE:
        skip("too few descriptors are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (COUNT + SPARE, hard))


class Idle(unittest.TestCase):
    def bytes_each(self, *options, use):
        """Resident bytes of the server for each connection, on which USE was done: the median of BATCHES of them, since the server
        also grows by itself, once in a while."""
        with Server("-t", "1", "-c", str(COUNT + 50), *options) as server:
            first = server.connect()
            first.set(b"key", b"v" * 1000)
            for _ in range(WARM):
                first.get(b"key")
            each, before = [], server.rss()
            for batch in range(1, BATCHES + 1):
                held = [server.connect() for _ in range(COUNT // BATCHES)]
                wait_for(
                    lambda: int(first.stats()["curr_connections"]) >= batch * len(held), "all are accepted"
                )
                for connection in held:
                    use(connection)
                now = server.rss()
                each.append((now - before) / len(held))
                before = now
            return statistics.median(each)

    def check(self, driver):
        never = self.bytes_each(driver, use=lambda c: None)
        used = self.bytes_each(driver, use=lambda c: c.get(b"key"))
        print(f"{driver}: never used {never:.0f}, used before {used:.0f} bytes")
        self.assertLessEqual(never, MOST)
        self.assertLessEqual(used, MOST)

    def test_libevent(self):
        self.check("--io=event")

    def test_the_driver_that_is_taken(self):
        self.check("--io=auto")


if __name__ == "__main__":
    if is_sanitized():
        skip("the sanitizer's memory is not the server's")
    descriptors()
    unittest.main()
