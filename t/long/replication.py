#!/usr/bin/python3
"""The tests of replication, for longer: thousands of simulated clusters, 100,000 waited writes."""

import os
import subprocess
import sys

builddir = os.environ.get("RC_BUILDDIR", ".")
source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster")
environment = dict(os.environ, REPLICATION_ROUNDS="60")
subprocess.run([os.path.join(builddir, "t/server/test_replicate")], env=environment, check=True)
subprocess.run(
    [sys.executable, os.path.join(source, "replication.py"), "--seconds", "120", "--writes", "100000"], check=True)
