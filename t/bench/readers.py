#!/usr/bin/python3
"""bench/readers: each load once with each number of threads, and figures that can be true."""

import json
import os
import subprocess
import unittest

PROGRAM = os.path.join(os.environ.get("RC_BUILDDIR", "."), "bench", "readers")


class Readers(unittest.TestCase):
    def test_each_load_with_each_number_of_threads(self):
        words = [PROGRAM, "-t", "3", "-r", "1", "-T", "0.02", "-k", "1000", "-v", "100"]
        text = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
        results = [json.loads(line) for line in text.splitlines()]
        threads = [r["threads"] for r in results]
        self.assertEqual(threads, sorted(4 * [1, 2, 3]))
        self.assertEqual(len({(r["load"], r["threads"]) for r in results}), 12)
        for result in results:
            self.assertGreater(result["ns_per_read"], 1)
            self.assertGreater(result["reads_per_second"], 0)

    def test_what_is_no_option_is_refused(self):
        for words in (["-t", "0"], ["-k", "x"], ["-x"], ["word"]):
            run = subprocess.run([PROGRAM, *words], check=False, stderr=subprocess.PIPE, text=True)
            self.assertEqual(run.returncode, 2)
            self.assertIn("usage: readers", run.stderr)


if __name__ == "__main__":
    unittest.main()
