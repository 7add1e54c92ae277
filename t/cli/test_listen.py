"""t/cli/test_listen.py: where the server listens: ports, several addresses, IPv6, Unix sockets, and who is there
already."""

import os
import re
import socket
import stat
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from testlib import IS_ROOT, Connection, Server, free_ports, run  # noqa: E402

USER = ["-u", "nobody"] if IS_ROOT else []
VERSION = b"VERSION 1.6.45\r\n"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


class Tcp(unittest.TestCase):
    def test_ephemeral_port(self):
        with Server() as server:
            self.assertEqual(server.connect().ask(b"version\r\n"), VERSION)
            with open(server.port_file, encoding="ascii") as f:
                self.assertEqual(f.read(), f"TCP INET: {server.port}\n")
            self.assertFalse(os.path.exists(server.port_file + ".lck"))

    def test_several_addresses(self):
        for args in (
            ["-l", "127.0.0.1:0,127.0.0.2:0", "-l", "localhost:-1"],
            ["-l", "127.0.0.1:0;127.0.0.2:0", "-l", "127.0.0.3", "-p", "-1"],
        ):
            with self.subTest(args=args), Server(*args, listen=False) as server:
                server.wait_ready()
                ports = server.ports()
                self.assertGreaterEqual(len(ports), 3)
                self.assertEqual(server.connect(port=ports[0]).ask(b"version\r\n"), VERSION)
                self.assertEqual(server.connect(port=ports[1], host="127.0.0.2").ask(b"version\r\n"), VERSION)

    def test_one_address_by_several_names(self):
        port = free_ports(1)[0]
        with Server("-p", str(port), "-l", "127.0.0.1,localhost", "-l", f"127.0.0.1:{port}", listen=False) as server:
            server.wait_ready()
            self.assertEqual(server.output().count("listening on tcp:127.0.0.1:"), 1)

    def test_all_interfaces(self):
        with Server("-p", "-1", listen=False) as server:
            server.wait_ready()
            self.assertEqual(server.connect(port=server.ports()[0]).ask(b"version\r\n"), VERSION)
            self.assertIn("listening on tcp:0.0.0.0:", server.output())

    @unittest.skipUnless(has_ipv6(), "no IPv6")
    def test_ipv6(self):
        for address in ("[::1]:0", "[::1]", "::1"):
            with self.subTest(address=address), Server("-l", address, "-p", "-1", listen=False) as server:
                port = server.wait_ready().ports()[0]
                self.assertEqual(server.connect(port=port, host="::1").ask(b"version\r\n"), VERSION)
                self.assertIn(f"listening on tcp6:[::1]:{port}", server.output())
                with self.assertRaises(ConnectionRefusedError):
                    server.connect(port=port, host="127.0.0.1")

    def test_port_in_use(self):
        with Server() as server:
            status, text = run("-l", f"127.0.0.1:{server.port}", *USER)
            self.assertEqual(status, 71)
            self.assertEqual(
                text,
                f"ringcached: error: failed to listen on TCP port {server.port} of 127.0.0.1: "
                "Address already in use\n",
            )
            self.assertEqual(server.connect().ask(b"version\r\n"), VERSION)

    def test_the_port_is_free_after_the_end(self):
        with Server() as server:
            client = server.connect()
            self.assertEqual(client.ask(b"version\r\n"), VERSION)
            port = server.port
            server.stop()
            with Server("-l", f"127.0.0.1:{port}", listen=False) as next_one:
                next_one.wait_ready()

    def test_no_port(self):
        with Server("-p", "0", listen=False) as server:
            server.wait_output("listening on nothing")
            self.assertEqual(server.stop(), 0)

    def test_a_udp_port_is_ignored_aloud(self):
        port = str(free_ports(1)[0])
        with Server("-U", port) as server:
            server.wait_output(f"WARNING: UDP is not supported, -U {port} is ignored")
            self.assertEqual(server.connect().ask(b"version\r\n"), VERSION)
            self.assertEqual(server.connect().stats("settings")["udpport"], "0")

    def test_unknown_host(self):
        status, text = run("-l", "nosuchhost.invalid", *USER)
        self.assertEqual(status, 71)
        self.assertIn("cannot resolve nosuchhost.invalid", text)

    @unittest.skipUnless(IS_ROOT, "not root")
    def test_low_port_before_privileges_are_dropped(self):
        for port in range(1000, 1024):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            with Server("-l", f"127.0.0.1:{port}", listen=False) as server:
                server.wait_ready()
                self.assertEqual(server.connect(port=port).ask(b"version\r\n"), VERSION)
            return
        self.skipTest("no free port below 1024")

    def test_socket_options(self):
        """Nagle's delay is off on accepted connections: a hundred small replies come without a pause."""
        with Server("-b", "7") as server:
            client = server.connect()
            for _ in range(100):
                self.assertEqual(client.ask(b"version\r\n"), VERSION)

    def test_protocol_of_an_address(self):
        noop = bytes([0x80, 0x0A]) + bytes(22)
        with Server("-l", "proto[ascii]:tag[a]:127.0.0.1:0", "-l", "proto[negotiating]:127.0.0.2:0", listen=False) as s:
            ports = s.wait_ready().ports()
            self.assertEqual(s.connect(port=ports[0]).ask(b"version\r\n"), VERSION)
            self.assertEqual(s.connect(port=ports[1], host="127.0.0.2").ask(b"version\r\n"), VERSION)
            client = s.connect(port=ports[0])
            client.send(noop)
            self.assertNotEqual(client.finish()[:1], b"\x81")

    def test_settings_are_shown(self):
        with Server("-c", "77", "-o", "strict") as server:
            shown = server.connect().stats("settings")
            self.assertEqual(shown["maxconns"], "77")
            self.assertEqual(shown["inter"], "127.0.0.1")
            self.assertEqual(shown["binding_protocol"], "auto-negotiate")


class Unix(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="ringcache-")
        os.chmod(self.directory, 0o777)
        self.path = os.path.join(self.directory, "socket")

    def tearDown(self):
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))
        os.rmdir(self.directory)

    def version(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.path)
        with Connection(s) as client:
            return client.ask(b"version\r\n")

    def test_mask(self):
        for args, mode in (([], 0o700), (["-a", "777"], 0o777), (["-a", "0660"], 0o660), (["-a", "0"], 0)):
            with self.subTest(args=args), Server("-s", self.path, *args, listen=False) as server:
                server.wait_ready()
                self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), mode)
                server.stop()
                self.assertFalse(os.path.exists(self.path))

    def test_serves(self):
        with Server("-s", self.path, "-a", "777", listen=False) as server:
            server.wait_ready()
            self.assertEqual(self.version(), VERSION)
            self.assertFalse(os.path.exists(server.port_file))

    def test_owner_is_the_user(self):
        with Server("-s", self.path, listen=False) as server:
            server.wait_ready()
            self.assertEqual(os.stat(self.path).st_uid, os.stat(f"/proc/{server.pid}").st_uid)

    def test_a_socket_left_behind_is_replaced(self):
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(self.path)
        os.chmod(self.path, 0o777)
        with Server("-s", self.path, "-a", "777", listen=False) as server:
            server.wait_ready()
            self.assertEqual(self.version(), VERSION)

    def test_a_socket_in_use_is_not_taken(self):
        with Server("-s", self.path, "-a", "777", listen=False) as server:
            server.wait_ready()
            status, text = run("-s", self.path, *USER)
            self.assertEqual(status, 71)
            self.assertIn(f"failed to listen on UNIX socket: {self.path}: Address already in use", text)
            self.assertEqual(self.version(), VERSION)

    def test_a_file_is_not_removed(self):
        with open(self.path, "w", encoding="ascii") as f:
            f.write("precious")
        self.assertEqual(run("-s", self.path, *USER)[0], 71)
        with open(self.path, encoding="ascii") as f:
            self.assertEqual(f.read(), "precious")

    def test_paths_that_do_not_work(self):
        for path, said in (
            ("/nonexistent/socket", "No such file or directory"),
            ("/" + "x" * 200, "File name too long"),
        ):
            status, text = run("-s", path, *USER)
            self.assertEqual(status, 71)
            self.assertTrue(re.search(f"failed to listen on UNIX socket: {path}: {said}", text), text)


if __name__ == "__main__":
    unittest.main()
