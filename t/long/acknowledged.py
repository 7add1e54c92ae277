#!/usr/bin/python3
"""Acknowledged writes and killed owners, for longer: 100,000 writes, hundreds of kills."""

import os
import subprocess
import sys

source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cluster")
sys.exit(subprocess.run([sys.executable, os.path.join(source, "acknowledged.py"), "--writes", "100000"], check=False).returncode)
