"""Runs a client library's story against a server of its own; skipped where the library is not installed."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

HERE = os.path.dirname(os.path.abspath(__file__))
BIG = b"0123456789abcdef" * 56250  # 900,000 bytes: too many for one packet, not for one item
MANY = 500


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def story(tell, *options):
    """Starts a server and tells TELL its port."""
    with testlib.ringcached(["-m", "128", "-t", "2"] + list(options)) as server:
        tell(server.port)
    print("ok")


def script(interpreter, probe, name, *arguments):
    """Runs the script NAME of another language with the port as its argument. PROBE is a program text that fails where the
    library is not there."""
    path = shutil.which(interpreter[0])
    if not path:
        testlib.skip("there is no %s" % interpreter[0])
    if subprocess.run(interpreter[:1] + probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        testlib.skip("%s lacks the library of this test" % interpreter[0])

    def tell(port):
        run = subprocess.run(interpreter + [os.path.join(HERE, name), str(port)] + list(arguments), timeout=testlib.PATIENCE)
        check(run.returncode == 0, "%s ended with %d" % (name, run.returncode))

    story(tell)
