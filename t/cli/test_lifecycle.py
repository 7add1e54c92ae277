"""t/cli/test_lifecycle.py: start, signals, stop, the background, the pid file, users and limits."""

import functools
import os
import pwd
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from testlib import IS_ROOT, PATIENCE, Connection, Server, is_sanitized, ringcached_path, run, wait_for  # noqa: E402

USER = ["-u", "nobody"] if IS_ROOT else []


def is_alive(pid):
    """Whether the process runs (one that waits for its parent does not)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


class Cores(unittest.TestCase):
    def check(self, workers, expected):
        """The cores that each worker may use, of a server that may use two. A thread takes its name and its core when it begins."""
        cores = sorted(os.sched_getaffinity(0))[:2]
        with Server("-t", str(workers), preexec_fn=functools.partial(os.sched_setaffinity, 0, cores)) as server:
            server.wait_ready()

            def found():
                allowed = []
                for task in os.listdir(f"/proc/{server.pid}/task"):
                    with open(f"/proc/{server.pid}/task/{task}/comm", encoding="ascii") as f:
                        if f.read().startswith("worker "):
                            allowed.append(sorted(os.sched_getaffinity(int(task))))
                return sorted(allowed)

            wait_for(lambda: found() == expected(cores), "workers on their cores")

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one core only")
    def test_pinned_where_workers_take_most_cores(self):
        self.check(2, lambda cores: [[core] for core in cores])

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one core only")
    def test_small_servers_are_left_to_the_scheduler(self):
        self.check(1, lambda cores: [cores])


class Stop(unittest.TestCase):
    def check(self, sig, *said):
        with Server("-t", "2") as server:
            silent = server.connect()
            half = server.connect()
            half.send(b"set a 0 0 100\r\nhalf of it")
            busy = server.connect()
            self.assertEqual(busy.ask(b"version\r\n"), b"VERSION 1.6.45\r\n")
            self.assertEqual(server.stop(sig), 0)
            self.assertEqual(silent.rest(), b"")
            for line in said:
                self.assertIn(line, server.output())

    def test_sigterm(self):
        self.check(signal.SIGTERM, "Signal handled: Terminated.")

    def test_sigint(self):
        self.check(signal.SIGINT, "Signal handled: Interrupt.")

    def test_sigint_that_was_ignored(self):
        """As a shell starts what it runs in the background."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.check(signal.SIGINT, "Signal handled: Interrupt.")
        finally:
            signal.signal(signal.SIGINT, before)

    def test_sigusr1(self):
        self.check(signal.SIGUSR1, "Signal handled: User defined signal 1.", "Gracefully stopping")

    def test_graceful_stop_answers_what_arrived(self):
        with Server("-t", "1") as server:
            client = server.connect()
            client.send(b"version\r\n" * 2000)
            self.assertEqual(client.until(b"\r\n")[:7], b"VERSION")
            server.stop(signal.SIGUSR1)
            rest = client.rest()
            self.assertTrue(rest.endswith(b"\r\n") or not rest)

    def test_sighup_and_sigpipe_do_nothing(self):
        with Server() as server:
            server.wait_ready()
            for sig in (signal.SIGHUP, signal.SIGPIPE, signal.SIGHUP):
                server.process.send_signal(sig)
            server.wait_output("Signal handled: Hangup.")
            self.assertEqual(server.connect().ask(b"version\r\n"), b"VERSION 1.6.45\r\n")

    def test_shutdown_command(self):
        for command, said in ((b"shutdown\r\n", "Interrupt"), (b"shutdown graceful\r\n", "Gracefully stopping")):
            with self.subTest(command=command), Server("-A") as server:
                server.connect().send(command)
                self.assertEqual(server.wait(), 0)
                self.assertIn(said, server.output())

    def test_shutdown_command_needs_the_option(self):
        with Server() as server:
            reply = server.connect().ask(b"shutdown\r\n")
            self.assertEqual(reply, b"SERVER_ERROR: shutdown not enabled\r\n")
            self.assertIsNone(server.process.poll())

    def test_signals_that_come_at_once(self):
        with Server() as server:
            server.wait_ready()
            for _ in range(20):
                server.process.send_signal(signal.SIGHUP)
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.wait(), 0)


class Background(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="ringcache-")
        os.chmod(self.directory, 0o777)
        self.pid_file = os.path.join(self.directory, "pid")
        self.ports = os.path.join(self.directory, "ports")
        self.environment = dict(os.environ, MEMCACHED_PORT_FILENAME=self.ports)

    def tearDown(self):
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))
        os.rmdir(self.directory)

    def read_pid(self):
        with open(self.pid_file, encoding="ascii") as f:
            return int(f.read())

    def test_daemon(self):
        status, text = run(
            "-d", "-P", self.pid_file, "-l", "127.0.0.1", "-p", "-1", *USER, env=self.environment
        )
        self.assertEqual((status, text), (0, ""))
        pid = self.read_pid()
        try:
            self.assertTrue(is_alive(pid))
            self.assertEqual(os.getsid(pid), pid)
            for fd in (0, 1, 2):
                self.assertEqual(os.readlink(f"/proc/{pid}/fd/{fd}"), "/dev/null")
            self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
            with open(self.ports, encoding="ascii") as f:
                port = int(f.read().split(": ")[1])
            with Connection(port) as client:
                self.assertEqual(client.ask(b"version\r\n"), b"VERSION 1.6.45\r\n")
        finally:
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not is_alive(pid), "end of the daemon")
        self.assertFalse(os.path.exists(self.pid_file))

    def test_daemon_that_cannot_start_says_so(self):
        with Server() as other:
            status, text = run(
                "-d", "-P", self.pid_file, "-l", "127.0.0.1", "-p", str(other.port), *USER, env=self.environment
            )
        self.assertEqual(status, 71)
        self.assertIn("Address already in use", text)
        self.assertFalse(os.path.exists(self.pid_file))

    def test_pid_file_in_the_foreground(self):
        with Server("-P", self.pid_file) as server:
            server.wait_ready()
            self.assertEqual(self.read_pid(), server.pid)
            server.stop()
            self.assertEqual(os.listdir(self.directory), [])

    def test_pid_file_of_a_process_that_runs(self):
        for text, warned in ((str(os.getpid()), True), ("2147483646", False), ("x", False), ("", False)):
            with open(self.pid_file, "w", encoding="ascii") as f:
                f.write(text)
            os.chmod(self.pid_file, 0o666)
            with self.subTest(text=text), Server("-P", self.pid_file, user="root") as server:
                server.wait_ready()
                self.assertEqual("The pid file contained the following (running) pid" in server.output(), warned)
                self.assertEqual(self.read_pid(), server.pid)
                server.stop()

    def test_pid_file_that_cannot_be_written(self):
        with Server("-P", "/nonexistent/pid") as server:
            server.wait_ready()
            self.assertIn("Could not open the pid file /nonexistent/pid.tmp for writing", server.output())
            self.assertEqual(server.stop(), 0)


class Notified(unittest.TestCase):
    """As systemd starts it with Type=notify."""

    def check(self, address, name):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            manager.settimeout(PATIENCE)
            if address[0] == "/":
                os.chmod(address, 0o777)
            os.environ["NOTIFY_SOCKET"] = name
            try:
                with Server() as server:
                    self.assertEqual(manager.recv(100), b"READY=1")
                    self.assertEqual(server.connect().ask(b"mn\r\n"), b"MN\r\n")
                    self.assertEqual(server.stop(), 0)
                self.assertEqual(manager.recv(100), b"STOPPING=1")
            finally:
                del os.environ["NOTIFY_SOCKET"]

    def test_path(self):
        with tempfile.TemporaryDirectory(prefix="ringcache-") as directory:
            os.chmod(directory, 0o777)
            path = os.path.join(directory, "notify")
            self.check(path, path)

    def test_abstract_name(self):
        name = f"ringcache-notify-{os.getpid()}"
        self.check("\0" + name, "@" + name)

    def test_nobody_is_there(self):
        for name in ("/nonexistent/notify", "@", "", "relative", "@" + "x" * 200):
            os.environ["NOTIFY_SOCKET"] = name
            try:
                with self.subTest(name=name), Server() as server:
                    self.assertEqual(server.connect().ask(b"mn\r\n"), b"MN\r\n")
            finally:
                del os.environ["NOTIFY_SOCKET"]


class Process(unittest.TestCase):
    @unittest.skipUnless(IS_ROOT, "not root")
    def test_privileges_are_dropped(self):
        nobody = pwd.getpwnam("nobody")
        with Server(preexec_fn=functools.partial(os.setgroups, [1, 2, 3])) as server:
            server.wait_ready()
            status = status_of(server.pid)
            self.assertEqual(status["Uid"].split(), [str(nobody.pw_uid)] * 4)
            self.assertEqual(status["Gid"].split(), [str(nobody.pw_gid)] * 4)
            self.assertEqual(status["Groups"].split(), [])
            self.assertEqual(int(status["CapEff"], 16), 0)

    @unittest.skipUnless(IS_ROOT, "not root")
    def test_root_by_name(self):
        with Server(user="root") as server:
            server.wait_ready()
            self.assertEqual(status_of(server.pid)["Uid"].split()[0], "0")

    def test_threads_have_names(self):
        def names():
            found = []
            for task in os.listdir(f"/proc/{server.pid}/task"):
                with open(f"/proc/{server.pid}/task/{task}/comm", encoding="ascii") as f:
                    found.append(f.read().strip())
            return found

        with Server("-t", "3") as server:
            server.wait_ready()
            expected = {"maintain", "ringcached", "worker 0", "worker 1", "worker 2"}
            wait_for(lambda: expected <= set(names()), "names of threads")

    def test_pinned_workers(self):
        """One core each where that was asked for, any core where it was not."""
        cores = len(os.sched_getaffinity(0))
        for args, expected in ((["--pin"], 1), (["--no-pin"], cores), (["-t", str(cores + 1)], cores)):
            with self.subTest(args=args), Server("-t", "1", *args) as server:
                server.wait_ready()

                def widths():
                    found = []
                    for task in map(int, os.listdir(f"/proc/{server.pid}/task")):
                        with open(f"/proc/{server.pid}/task/{task}/comm", encoding="ascii") as f:
                            if f.read().startswith("worker"):
                                found.append(len(os.sched_getaffinity(task)))
                    return found

                wait_for(lambda: widths() and set(widths()) == {expected}, "pinned workers")

    def test_descriptor_limit(self):
        """Raised where that is allowed; else a warning, and the server serves."""
        low = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (256, 1024))
        with Server("-c", "3000", user="root", preexec_fn=low) as server:
            server.wait_ready()
            soft, _ = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
            if IS_ROOT and soft >= 3000:
                self.assertNotIn("rlimit", server.output())
            else:
                self.assertEqual(soft, 1024)
                self.assertIn("failed to set rlimit for open files", server.output())
            self.assertEqual(server.connect().ask(b"version\r\n"), b"VERSION 1.6.45\r\n")

    def test_core_limit(self):
        none = functools.partial(resource.setrlimit, resource.RLIMIT_CORE, (0, 1 << 30))
        with Server("-r", user="root", preexec_fn=none) as server:
            server.wait_ready()
            soft, hard = resource.prlimit(server.pid, resource.RLIMIT_CORE)
            self.assertEqual(soft, hard)
            self.assertNotEqual(soft, 0)

    @unittest.skipIf(IS_ROOT, "root may raise any limit")
    def test_core_limit_that_cannot_be_raised(self):
        done = subprocess.run(
            [ringcached_path(), "-r", "-p", "0"],
            capture_output=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        )
        self.assertEqual(done.returncode, 71)
        self.assertIn(b"failed to ensure corefile creation", done.stderr)

    @unittest.skipIf(is_sanitized(), "sanitizers ignore mlockall")
    def test_lock_memory(self):
        with Server("-k", "-m", "8") as server:
            server.wait_ready()
            locked = int(status_of(server.pid)["VmLck"].split()[0])
            self.assertTrue(locked > 0 or "-k invalid, mlockall() failed" in server.output())
            self.assertEqual(server.connect().ask(b"version\r\n"), b"VERSION 1.6.45\r\n")

    def test_standard_descriptors_that_are_closed(self):
        """No socket takes their place, and the log does not go into one."""

        def close_all():
            for fd in (0, 1, 2):
                os.close(fd)

        with Server(preexec_fn=close_all) as server:
            client = server.connect()
            client.send(b"bogus\r\nversion\r\n")
            self.assertEqual(client.until(b"6.45\r\n"), b"ERROR\r\nVERSION 1.6.45\r\n")
            for fd in (0, 1, 2):
                self.assertEqual(os.readlink(f"/proc/{server.pid}/fd/{fd}"), "/dev/null")
            self.assertEqual(server.stop(), 0)

    def test_stray_arguments_are_ignored_aloud(self):
        with Server("stray") as server:
            server.wait_ready()
            self.assertIn('WARNING: ignoring the argument "stray"', server.output())


if __name__ == "__main__":
    unittest.main()
