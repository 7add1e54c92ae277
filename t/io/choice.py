#!/usr/bin/python3
"""--io: what is taken, what the log says of it, and what happens where the system forbids io_uring.

The refusal is a seccomp filter as containers have it: io_uring_setup fails with the error of one's choice."""

import ctypes
import errno
import os
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from testlib import IS_ROOT, Server, ringcached_path, run, skip  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
IO_URING_SETUP = 425
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
# BPF: load the call's number, jump if equal, return.
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def forbid(error):
    """A function for the child: from there on io_uring_setup fails with ERROR."""
    code = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (LOAD, 0, 0, 0),
            (JUMP_EQUAL, 0, 1, IO_URING_SETUP),
            (RETURN, 0, 0, REFUSE | error),
            (RETURN, 0, 0, ALLOW),
        )
    )

    def apply():
        program = Program(4, code)
        LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp")

    return apply


def can_forbid():
    try:
        subprocess.run(["true"], preexec_fn=forbid(errno.EPERM), check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


FORBIDDEN = {
    errno.EPERM: "it is forbidden here (kernel.io_uring_disabled, or a container's profile)",
    errno.ENOSYS: "the kernel has none",
    errno.ENOMEM: "there is not enough memory that may be locked (ulimit -l)",
}


class Choice(unittest.TestCase):
    def serves(self, server, text):
        self.assertIn(text, server.wait_ready().output())
        self.assertEqual(server.connect().ask(b"mn\r\n"), b"MN\r\n")

    def test_event_is_libevent(self):
        with Server("--io=event") as server:
            self.serves(server, "connections are served by libevent\n")

    def test_uring_is_io_uring(self):
        if not HAS_URING:
            self.skipTest("no io_uring here")
        with Server("--io=uring") as server:
            self.serves(server, "connections are served by io_uring\n")

    def test_auto_says_why_it_took_libevent(self):
        for error, why in FORBIDDEN.items():
            with Server("--io=auto", preexec_fn=forbid(error)) as server:
                self.serves(server, "connections are served by libevent; no io_uring: ")
                self.assertEqual(server.output().count("no io_uring"), 1)
                if "not built in" not in server.output():
                    self.assertIn(f"no io_uring: {why}\n", server.output())

    def test_uring_that_is_forbidden_is_an_error(self):
        for error, why in FORBIDDEN.items():
            status, text = run("-p", "-1", "--io=uring", *USER, preexec_fn=forbid(error))
            self.assertNotEqual(status, 0)
            self.assertTrue(text.startswith("--io=uring: no io_uring: "), text)
            if "not built in" not in text:
                self.assertEqual(text, f"--io=uring: no io_uring: {why}\n")

    def test_what_is_no_driver_is_refused(self):
        status, text = run("--io=poll")
        self.assertNotEqual(status, 0)
        self.assertIn("must be auto, event or uring", text)


if __name__ == "__main__":
    if not can_forbid():
        skip("no seccomp filter can be set")
    USER = ["-u", "nobody"] if IS_ROOT else []
    with Server("--io=auto") as probe:
        HAS_URING = "served by io_uring" in probe.wait_ready().output()
    if not HAS_URING:
        print(f"{ringcached_path()} has no io_uring here")
    unittest.main()
