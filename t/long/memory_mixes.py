#!/usr/bin/python3
"""The limit -m at other limits, with mixed and random sizes, up and down, and with every way of eviction."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "memory"))
import fill

# Sampled policies keep old items as well, and in a mix of sizes the sizes' shares move while it is filled.
MIXED = 0.7
EVICTIONS = [("s3fifo", fill.PRESENT), ("lru", 0.6), ("lfu", 0.1), ("random", 0.3)]


def main():
    one = fill.single
    mixed = fill.Sizes("10 B to 1 KB", 10, 1000)
    wide = fill.Sizes("10 B to 900 KB", 10, 900000)
    middle = fill.Sizes("1 to 100 KB", 1000, 100000)
    failures = fill.run(64, [one(100), one(10000), one(500000), one(100)])
    failures += fill.run(64, [one(1000000), one(10), one(1000000), mixed, wide, one(100)], present_least=MIXED)
    failures += fill.run(128, [mixed, middle, wide, mixed], present_least=MIXED)
    failures += fill.run(1024, [one(100), one(10000), one(500000), one(100)])
    failures += fill.run(1024, [wide, mixed, middle], present_least=MIXED)
    for name, least in EVICTIONS:
        failures += fill.run(64, [one(100), one(10000), one(500000), one(100)], ["--eviction=" + name], present_least=least)
    print("%d failures" % failures)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
