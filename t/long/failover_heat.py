#!/usr/bin/python3
"""Hits after the loss of a node, with more operations."""

import os
import subprocess
import sys

source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster")
sys.exit(subprocess.run([sys.executable, os.path.join(source, "failover_heat.py"), "--operations", "4000000"], check=False).returncode)
