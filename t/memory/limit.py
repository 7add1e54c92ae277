#!/usr/bin/python3
"""The limit -m holds while sizes shift: three times the limit of 100 B items, then 10 KB, 500 KB, 100 B again."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fill


def main():
    megabytes = int(os.environ.get("MEMORY_MB", "128"))
    steps = [fill.single(n) for n in (100, 10000, 500000, 100)]
    failures = fill.run(megabytes, steps)
    print("%d failures" % failures)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
