#!/usr/bin/python3
"""The differential tests through three nodes that are one cache: each connection goes to any of them, and every byte is
memcached's.

    differences.py [commands]"""

import os
import subprocess
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "diff")
COMMANDS = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CLUSTER_COMMANDS", "20000")


def main():
    failures = skipped = 0
    for name in ("classic.py", "meta.py", "binary.py"):
        sys.stdout.flush()
        command = [os.path.join(HERE, name), "--cluster", "3", "--commands", COMMANDS]
        status = subprocess.run(command).returncode
        skipped += status == 77
        failures += status not in (0, 77)
    sys.exit(1 if failures else 77 if skipped else 0)


if __name__ == "__main__":
    main()
