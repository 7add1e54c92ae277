#!/usr/bin/python3
"""libmemcached's conformance program memccapable: passes wherever it passes with memcached itself."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

# What memccapable finds wrong with today's memcached: delete ignores what follows the key.
FAILS_WITH_MEMCACHED = {"ascii delete", "ascii delete noreply"}


def results(server, protocol):
    """The result of each test by its name."""
    run = subprocess.run(["memccapable", "-h", "127.0.0.1", "-p", str(server.port), protocol],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120)
    # It writes [FAIL] to the standard error, so that the next name follows on the same line.
    text = run.stdout.decode("latin-1")
    return {m.group(1): m.group(2) or "FAIL" for m in re.finditer(r"((?:ascii|binary) [a-z ]+?)  +(?:\[(pass)\])?", text)}


def main():
    if not shutil.which("memccapable"):
        testlib.skip("there is no memccapable")
    protocols = sys.argv[1:] or ["-a"]
    failures = 0
    for protocol in protocols:
        with testlib.ringcached(["-m", "64"]) as ours:
            here = results(ours, protocol)
        if testlib.memcached_path():
            with testlib.memcached(["-m", "64"]) as theirs:
                there = results(theirs, protocol)
        else:
            there = {name: "pass" for name in here}
        passed = [n for n, r in here.items() if r == "pass"]
        wrong = [n for n, r in there.items()
                 if r == "pass" and here.get(n) != "pass" and n not in FAILS_WITH_MEMCACHED]
        print("memccapable %s: %d of %d pass, with memcached %d" % (
            protocol, len(passed), len(here), sum(r == "pass" for r in there.values())))
        for name in wrong:
            print("  passes with memcached and not here: %s (%s)" % (name, here.get(name)))
        failures += len(wrong) + (not here)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
