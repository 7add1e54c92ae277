#!/usr/bin/python3
"""Convergence under faults of the network, for longer: 2,000 rounds, two clusters each."""

import os
import subprocess
import sys

source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster")
sys.exit(subprocess.run([sys.executable, os.path.join(source, "converge.py"), "--rounds", "2000"], check=False).returncode)
