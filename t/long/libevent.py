#!/usr/bin/python3
"""Behaviours, differences to memcached and consistency once more with libevent, where the server by itself takes io_uring."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "io"))

import event  # noqa: E402

event.main(event.LONG)
