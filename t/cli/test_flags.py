"""t/cli/test_flags.py: command lines that are refused, or that only print: status and text beside memcached's."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from testlib import IS_ROOT, memcached_path, ringcached_path, run  # noqa: E402

MEMCACHED = memcached_path()
USER = ["-u", "nobody"] if IS_ROOT else []

# Refused by both with the same status and the same words.
SAME = [
    ["-Q"],
    ["-p"],
    ["-t"],
    ["--nosuch"],
    ["-o", "foo"],
    ["-o", "foo=3"],
    ["-o", "maxconns_fast,foo"],
    ["-t", "0"],
    ["-t", "-1"],
    ["-t", "x"],
    ["-c", "0"],
    ["-c", "-5"],
    ["-R", "0"],
    ["-n", "0"],
    ["-N", "0"],
    ["-f", "1"],
    ["-f", "0.5"],
    ["-f", "x"],
    ["-D", ""],
    ["-B", "x"],
    ["-B", ""],
    ["-I", "1"],
    ["-I", "1023"],
    ["-I", "40m"],
    ["-m", "4096", "-I", "1025m"],
    ["-m", "1"],
    ["-p", "70000"],
    ["-p", "65536"],
    ["-o", "slab_automove=3"],
    ["-o", "slab_automove_window=2"],
    ["-o", "slab_automove_ratio=0"],
    ["-o", "tail_repair_time=9"],
    ["-o", "hot_lru_pct=0"],
    ["-o", "hot_lru_pct=80"],
    ["-o", "warm_lru_pct=80"],
    ["-o", "hot_lru_pct=50,warm_lru_pct=50"],
    ["-o", "hot_max_factor=0"],
    ["-o", "warm_max_factor=0"],
    ["-o", "lru_crawler_sleep=1000001"],
    ["-o", "lru_crawler_tocrawl=x"],
    ["-o", "temporary_ttl=5,no_lru_maintainer"],
    ["-o", "ssl_verify_mode=4"],
    ["-o", "hot_lru_pct"],
    ["-o", "slab_automove_ratio"],
]

# Refused by both with the same status; the words are others.
SAME_STATUS = [
    ["-o", "hashpower=1"],
    ["-o", "hashpower=33"],
    ["-o", "hashpower"],
    ["-o", "idle_timeout"],
    ["-o", "hash_algorithm=x"],
    ["-o", "read_buf_mem_limit=x"],
    ["-l", "999.1.1.1"],
    ["-l", "[::1:22"],
    ["-l", "127.0.0.1:abc"],
    ["-s", "/nonexistent/socket"],
]

# Taken by memcached, which reads a number as far as it is one, and refused here.
STRICTER = [
    (["-t", "4x"], 1),
    (["-p", "x"], 64),
    (["-m", "64x"], 1),
    (["-b", "x"], 1),
    (["-a", "999"], 1),
    (["-o", "maxconns_fast=1"], 1),
    (["-o", "idle_timeout=x"], 1),
    (["-Z"], 64),
    (["-S", "-Y", "/dev/null"], 64),
    (["-Y", "/nonexistent/users"], 1),
    (["-e", "/nonexistent/file"], 1),
]


class Flags(unittest.TestCase):
    @unittest.skipUnless(MEMCACHED, "no memcached to compare with")
    def test_same_refusals(self):
        for args in SAME:
            with self.subTest(args=args):
                status, text = run(*USER, *args)
                other_status, other_text = run(*USER, *args, program=MEMCACHED)
                self.assertEqual(text.replace(ringcached_path(), "X"), other_text.replace(MEMCACHED, "X"))
                self.assertEqual(status, other_status)

    @unittest.skipUnless(MEMCACHED, "no memcached to compare with")
    def test_same_status(self):
        for args in SAME_STATUS:
            with self.subTest(args=args):
                status, text = run(*USER, *args)
                other_status, _ = run(*USER, *args, program=MEMCACHED)
                self.assertEqual(status, other_status)
                self.assertTrue(text.strip())

    def test_stricter(self):
        for args, expected in STRICTER:
            with self.subTest(args=args):
                status, text = run(*USER, *args)
                self.assertEqual(status, expected)
                self.assertTrue(text.strip())

    @unittest.skipUnless(IS_ROOT, "not root")
    def test_root_needs_a_user(self):
        self.assertEqual(
            run("-p", "0"), (64, "ringcached: error: can't run as root without the -u switch\n")
        )
        self.assertEqual(
            run("-p", "0", "-u", "nosuchuser"),
            (67, "ringcached: error: can't find the user nosuchuser to switch to\n"),
        )

    def test_what_only_prints(self):
        status, text = run("-V")
        self.assertEqual(status, 0)
        self.assertRegex(text, r"^ringcached \d+\.\d+\.\d+\n$")
        self.assertEqual(run("--version"), (0, text))
        for args in (["-h"], ["--help"]):
            status, text = run(*args)
            self.assertEqual(status, 0)
            self.assertIn("-p, --port=<port>", text)
        status, text = run("-i")
        self.assertEqual(status, 0)
        self.assertIn("Redistribution", text)

    @unittest.skipUnless(MEMCACHED, "no memcached to compare with")
    def test_every_option_of_memcached_is_known(self):
        """All long options and suboptions that its help names are in ours."""
        _, theirs = run("-h", program=MEMCACHED)
        _, ours = run("-h")
        names = re.findall(r"--([a-z][a-z_-]+)", theirs.split("-o, --extended")[0])
        names += [n for n in re.findall(r"^   - (?:no_)?([a-z_]+):", theirs, re.M)]
        self.assertGreater(len(names), 80)
        for name in names:
            with self.subTest(name=name):
                if not name.startswith("ext_"):
                    self.assertTrue(re.search(rf"(?<![a-z_]){name}(?![a-z])", ours))

    @unittest.skipUnless(MEMCACHED, "no memcached to compare with")
    def test_external_storage_is_taken_and_not_named(self):
        """Whoever looks for it in the help, as memcached's own tests do, does not find it; command lines that have it start."""
        _, theirs = run("-h", program=MEMCACHED)
        _, ours = run("-h")
        self.assertNotIn("ext_", ours)
        for name in set(re.findall(r"^   - (?:no_)?(ext_[a-z_]+):", theirs, re.M)):
            with self.subTest(name=name):
                self.assertNotIn("Illegal suboption", run("-o", f"{name}=1", "-V")[1])


if __name__ == "__main__":
    unittest.main()
