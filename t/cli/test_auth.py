"""t/cli/test_auth.py: -Y and -S with the real program: files of users, reading them again, and clients that mean no good."""

import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from testlib import IS_ROOT, Connection, Server, ringcached_path, run, wait_for  # noqa: E402

USER = ["-u", "nobody"] if IS_ROOT else []
FAILURE = b"CLIENT_ERROR authentication failure\r\n"
LIST, AUTH, STEP = 0x20, 0x21, 0x22


class Users:
    """A file of users."""

    def __init__(self, text):
        self.directory = tempfile.mkdtemp(prefix="ringcache-")
        os.chmod(self.directory, 0o755)
        self.path = os.path.join(self.directory, "users")
        self.write(text)

    def write(self, text):
        """Replaces the file in one step."""
        with open(self.path + ".new", "wb") as f:
            f.write(text)
        os.chmod(self.path + ".new", 0o644)
        os.rename(self.path + ".new", self.path)


def login(client, user, password):
    text = user + b" " + password
    return client.ask(b"set x 0 0 %d\r\n%s\r\n" % (len(text), text))


def text_works(server, user, password):
    client = server.connect()
    answer = login(client, user, password)
    client.close()
    return answer == b"STORED\r\n"


def request(opcode, key=b"", value=b"", extras=b"", body=None):
    size = len(key) + len(value) + len(extras) if body is None else body
    head = struct.pack(">BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0, size, 0, 0)
    return head + extras + key + value


def reply(client):
    """Status and body of a reply; None where the server hung up."""
    try:
        head = client.exactly(24)
    except (EOFError, ConnectionResetError):
        return None
    size, status = struct.unpack(">I", head[8:12])[0], struct.unpack(">H", head[6:8])[0]
    return status, client.exactly(size)


def stat_of(client):
    """Name and value of the next answer to STAT."""
    head = client.exactly(24)
    nkey, size = struct.unpack(">H", head[2:4])[0], struct.unpack(">I", head[8:12])[0]
    body = client.exactly(size)
    return body[:nkey], body[nkey:]


def sasl(client, user, password, opcode=AUTH, mechanism=b"PLAIN"):
    client.send(request(opcode, mechanism, b"\0" + user + b"\0" + password))
    return reply(client)


def sasl_works(server, user, password):
    client = server.connect()
    status, _ = sasl(client, user, password)
    client.close()
    return status == 0


def has_libsasl():
    """Whether it is built in."""
    with open(ringcached_path(), "rb") as f:
        return b"libsasl2 is not" not in f.read()


class TextFile(unittest.TestCase):
    def test_users(self):
        """The last line needs no end, a password may have colons, a line may end as on DOS."""
        users = Users(b"alice:secret\r\nbob:a:b\ncarol:")
        with Server("-Y", users.path) as server:
            for user, password in ((b"alice", b"secret"), (b"bob", b"a:b"), (b"carol", b"")):
                self.assertTrue(text_works(server, user, password), user)
            for user, password in ((b"alice", b"secre"), (b"alice", b"secret2"), (b"bob", b"a"), (b"dave", b"x"),
                                   (b"", b""), (b"alic", b"secret"), (b"alice\0", b"secret"), (b"a" * 300, b"x")):
                self.assertFalse(text_works(server, user, password), user)
            client = server.connect()
            self.assertEqual(login(client, b"alice", b"secret"), b"STORED\r\n")
            self.assertEqual(client.ask(b"get x\r\n"), b"END\r\n")
            self.assertEqual(client.stats("settings")["auth_enabled_ascii"], users.path)
            counts = client.stats()
            self.assertEqual(counts["auth_cmds"], "12")
            self.assertEqual(counts["auth_errors"], "8")

    def test_nothing_without_it(self):
        users = Users(b"a:b\n")
        with Server("-Y", users.path) as server:
            for line in (b"get a", b"version", b"stats", b"mn", b"flush_all", b"shutdown", b"set a 0 0 2147483646", b"",
                         b" ", b"set", b"set a", b"set a 0 0 -1", b"delete a noreply"):
                with self.subTest(line=line):
                    client = server.connect()
                    client.send(line + b"\r\nversion\r\n")
                    answer = client.finish()
                    if len(line) > 4:  # what is shorter than any request is hung up on
                        self.assertIn(b"CLIENT_ERROR", answer)
                    else:
                        self.assertEqual(b"", answer)
                    self.assertNotIn(b"VERSION", answer)
                    client.close()
            client = server.connect()
            client.send(request(0x0b))
            self.assertNotIn(b"1.6.45", client.finish(), "a binary client is let in")
            self.assertTrue(text_works(server, b"a", b"b"))

    def test_a_binary_listener_is_no_way_around(self):
        users = Users(b"a:b\n")
        with Server("-Y", users.path, "-l", "proto[binary]:127.0.0.1:-1", "-p", "-1", listen=False) as server:
            port = server.ports()[0]
            for opcode, key in ((0x00, b"k"), (0x0a, b""), (AUTH, b"PLAIN"), (0x10, b"")):
                client = server.connect(port=port)
                client.send(request(opcode, key))
                answer = reply(client)
                self.assertTrue(answer is None or answer[0] in (0x20, 0x81), (opcode, answer))
                client.close()

    def test_hangup_reads_it_again(self):
        users = Users(b"a:1\n")
        with Server("-Y", users.path) as server:
            keeps = server.connect()
            self.assertEqual(login(keeps, b"a", b"1"), b"STORED\r\n")
            users.write(b"a:2\nb:3\n")
            os.kill(server.pid, signal.SIGHUP)
            wait_for(lambda: text_works(server, b"a", b"2"), "new password")
            self.assertFalse(text_works(server, b"a", b"1"))
            self.assertTrue(text_works(server, b"b", b"3"))
            self.assertEqual(keeps.ask(b"get x\r\n"), b"END\r\n")
            users.write(b"no colon here\n")
            os.kill(server.pid, signal.SIGHUP)
            server.wait_output("malformed")
            self.assertTrue(text_works(server, b"a", b"2"), "the old file does not go on")
            os.unlink(users.path)
            os.kill(server.pid, signal.SIGHUP)
            server.wait_output("No such file")
            self.assertTrue(text_works(server, b"a", b"2"))

    def test_read_again_while_clients_authenticate(self):
        users = Users(b"a:1\nz:9\n")
        with Server("-Y", users.path, "-t", "4") as server:
            stop, wrong, done = threading.Event(), [], [0] * 4

            def hammer(n):
                while not stop.is_set():
                    client = server.connect()
                    for _ in range(20):
                        if login(client, b"a", b"2") == b"STORED\r\n":
                            wrong.append("a wrong password was let in")
                    if login(client, b"a", b"1") != b"STORED\r\n":
                        wrong.append("a right password was not")
                    done[n] += 1
                    client.close()

            threads = [threading.Thread(target=hammer, args=(n,)) for n in range(4)]
            for t in threads:
                t.start()
            for n in range(60):
                users.write(b"".join(b"u%d:%d\n" % (i, n) for i in range(n * 10)) + b"a:1\n")
                os.kill(server.pid, signal.SIGHUP)
                reads = server.output().count("users from")
                wait_for(lambda: server.output().count("users from") >= min(reads + 1, n), "reload")
            wait_for(lambda: min(done) > 0, "clients")
            stop.set()
            for t in threads:
                t.join()
            self.assertEqual(wrong, [])
            self.assertEqual(server.stop(), 0)

    def test_files_that_are_refused(self):
        many = b"".join(b"u%d:p\n" % i for i in range(1025))
        for text in (b"nocolon\n", b"a:b\nnocolon", b"\n", b"a:b\n\nc:d\n", b"u" * 256 + b":p\n", b"u:" + b"p" * 256, many):
            with self.subTest(text=text[:20]):
                status, said = run(*USER, "-l", "127.0.0.1", "-p", "-1", "-Y", Users(text).path)
                self.assertEqual(status, 1)
                self.assertIn("malformed", said)
        status, said = run(*USER, "-l", "127.0.0.1", "-p", "-1", "-Y", "/nonexistent/users")
        self.assertEqual(status, 1)
        self.assertIn("No such file", said)


class Sasl(unittest.TestCase):
    def setUp(self):
        self.users = Users(b"alice:secret\nbob:word:more:fields\n")
        os.environ["MEMCACHED_SASL_PWDB"] = self.users.path

    def tearDown(self):
        os.environ.pop("MEMCACHED_SASL_PWDB", None)

    def test_plain(self):
        with Server("-S") as server:
            client = server.connect()
            client.send(request(LIST) + request(0x0b))
            self.assertEqual(reply(client), (0, b"PLAIN"))
            self.assertEqual(reply(client), (0, b"1.6.45"))
            self.assertEqual(sasl(client, b"alice", b"wrong"), (0x20, b"Auth failure."))
            self.assertEqual(sasl(client, b"mallory", b"secret")[0], 0x20)
            self.assertEqual(sasl(client, b"alice", b"secret"), (0, b"Authenticated"))
            client.send(request(0x01, b"k", b"v", b"\0" * 8) + request(0x00, b"k"))
            self.assertEqual(reply(client)[0], 0)
            self.assertEqual(reply(client), (0, b"\0\0\0\0v"))
            self.assertTrue(sasl_works(server, b"bob", b"word"))
            self.assertFalse(sasl_works(server, b"bob", b"word:more:fields"))

    def test_a_changed_file_counts_at_once(self):
        with Server("-S") as server:
            self.assertTrue(sasl_works(server, b"alice", b"secret"))
            self.users.write(b"alice:other\n")
            self.assertTrue(sasl_works(server, b"alice", b"other"))
            self.assertFalse(sasl_works(server, b"alice", b"secret"))

    def test_text_is_hung_up_on(self):
        with Server("-S") as server:
            client = server.connect()
            client.send(b"version\r\n")
            self.assertEqual(client.rest(), b"")

    def test_every_command_but_those_that_authenticate(self):
        with Server("-S") as server:
            for opcode in range(256):
                if opcode in (LIST, AUTH, STEP, 0x0b, 0x07, 0x17):
                    continue
                client = server.connect()
                client.send(request(opcode, b"k", b"", b""))
                answer = reply(client)
                self.assertTrue(answer is None or answer[0] in (0x20, 0x81, 0x04), (opcode, answer))
                client.close()

    def test_steps_without_a_beginning(self):
        with Server("-S") as server:
            client = server.connect()
            for _ in range(3):
                self.assertEqual(sasl(client, b"alice", b"secret", STEP)[0], 0x20)
            self.assertEqual(sasl(client, b"alice", b"secret", AUTH, b"CRAM-MD5")[0], 0x20)
            self.assertEqual(sasl(client, b"alice", b"secret")[0], 0)
            counts = Connection(server.port)
            self.assertEqual(sasl(counts, b"alice", b"secret")[0], 0)
            counts.send(request(0x10))
            shown = {}
            while (key := stat_of(counts))[0]:
                shown[key[0]] = key[1]
            self.assertEqual((shown[b"auth_cmds"], shown[b"auth_errors"]), (b"6", b"4"))
            self.assertEqual(sasl(client, b"alice", b"wrong")[0], 0x20)
            client.send(request(0x00, b"k"))
            self.assertEqual(reply(client)[0], 0x20, "still in after a wrong password")

    def test_lengths_that_lie(self):
        """A key longer than the body, a mechanism that is too long, frames that are cut short, huge and missing ones."""
        frames = [
            request(AUTH, b"P" * 32, b"x", body=1),
            request(AUTH, b"P" * 32, b"", body=1)[:-31],
            request(AUTH, b"P" * 33, b"x"),
            request(AUTH, b"", b""),
            request(AUTH, b"PLAIN", b""),
            request(AUTH, b"PLAIN", b"\0"),
            request(AUTH, b"PLAIN", b"\0alice"),
            request(AUTH, b"PLAIN", b"\0" * 10),
            request(AUTH, b"PLAIN", b"\0" + b"a" * 400 + b"\0" + b"b" * 400),
            request(AUTH, b"PLAIN", b"\0alice\0secret", b"\0" * 4),
            request(AUTH, b"PLAIN", b"x" * 20000),
            request(AUTH, b"PLAIN", b"", body=0xFFFFFFE8),
            request(STEP, b"P" * 250, b"x", body=0x7FFFFFFF),
            request(LIST, b"key"),
        ]
        with Server("-S") as server:
            for frame in frames:
                for cut in (len(frame), 24, 30, len(frame) - 1):
                    client = server.connect()
                    client.send(frame[:cut])
                    client.no_more()
                    answer = reply(client)
                    self.assertTrue(answer is None or answer[0] != 0 or frame[1] == LIST, (frame[:60], answer))
                    client.close()
            self.assertTrue(sasl_works(server, b"alice", b"secret"))
            self.assertEqual(server.stop(), 0)

    def test_without_a_file(self):
        del os.environ["MEMCACHED_SASL_PWDB"]
        if has_libsasl():
            self.skipTest("built with libsasl2")
        status, said = run(*USER, "-S", "-l", "127.0.0.1", "-p", "0")
        self.assertEqual(status, 1)
        self.assertIn("MEMCACHED_SASL_PWDB", said)

    def test_with_libsasl2(self):
        del os.environ["MEMCACHED_SASL_PWDB"]
        if not has_libsasl():
            self.skipTest("built without libsasl2")
        directory = tempfile.mkdtemp(prefix="ringcache-")
        os.chmod(directory, 0o755)
        base = os.path.join(directory, "db")
        with open(os.path.join(directory, "memcached.conf"), "w", encoding="ascii") as f:
            f.write(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {base}\n")
        made = subprocess.run(["saslpasswd2", "-a", "memcached", "-c", "-p", "-f", base, "alice"], input=b"secret", check=False)
        if made.returncode != 0:
            self.skipTest("no saslpasswd2")
        os.chmod(base, 0o644)
        os.environ["SASL_CONF_PATH"] = directory
        try:
            with Server("-S") as server:
                self.assertTrue(sasl_works(server, b"alice", b"secret"))
                self.assertFalse(sasl_works(server, b"alice", b"wrong"))
                self.assertFalse(sasl_works(server, b"bob", b"secret"))
        finally:
            del os.environ["SASL_CONF_PATH"]


if __name__ == "__main__":
    unittest.main()
