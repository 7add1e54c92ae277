#!/usr/bin/python3
"""The tests over sockets once more with libevent, where the server by itself takes io_uring."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from testlib import SKIPPED, Server, skip  # noqa: E402

SHORT = (
    ("cli/test_limits.py",),
    ("cli/test_lifecycle.py",),
    ("hostile/clients.py",),
    ("hostile/cve.py",),
)
LONG = (
    ("wire/behaviours.py",),
    ("diff/classic.py",),
    ("consistency/single_key.py",),
)


def main(tests):
    with Server("--io=auto") as server:
        if "served by io_uring" not in server.wait_ready().output():
            skip("there is no io_uring here: all tests ran with libevent")
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    environment = dict(os.environ, RINGCACHED_ARGS="--io=event")
    failed = []
    for name, *options in tests:
        status = subprocess.run(
            [sys.executable, os.path.join(folder, name), *options], env=environment, check=False
        ).returncode
        print(f"{name}: {'skipped' if status == SKIPPED else status}", flush=True)
        if status not in (0, SKIPPED):
            failed.append(name)
    if failed:
        sys.exit(f"failed with libevent: {', '.join(failed)}")


if __name__ == "__main__":
    main(SHORT)
