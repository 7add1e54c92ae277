#!/usr/bin/python3
"""Forwarding for long: all stories of t/cluster/forward.py with many seeds, and the differential tests through three nodes
with half a million commands of each protocol."""

import os
import subprocess
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster")
ROUNDS = int(os.environ.get("FORWARD_ROUNDS", "20"))


def main():
    failures = 0
    for _ in range(ROUNDS):
        sys.stdout.flush()
        failures += subprocess.run([os.path.join(HERE, "forward.py"), "--seconds", "10"]).returncode != 0
    failures += subprocess.run([os.path.join(HERE, "differences.py"), "500000"]).returncode not in (0, 77)
    print("%d rounds, %d failures" % (ROUNDS, failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
