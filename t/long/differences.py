#!/usr/bin/python3
"""The differential tests with many seeds: a million commands of each protocol, all configurations."""

import os
import subprocess
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "diff")
ROUNDS = int(os.environ.get("DIFF_ROUNDS", "5"))


def main():
    failures = 0
    for turn in range(ROUNDS):
        for name in ("classic.py", "meta.py", "binary.py"):
            sys.stdout.flush()
            failures += subprocess.run([os.path.join(HERE, name), "--commands", "200000"]).returncode != 0
    print("%d rounds, %d failures" % (ROUNDS, failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
