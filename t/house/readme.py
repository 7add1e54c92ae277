"""t/house/readme.py: the examples of README.md do what it says, each run against the server just built."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import house

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
import testlib  # noqa: E402

PORT = "11211"
PYTHON = "/usr/bin/python3"

readme = (house.root / "README.md").read_text(encoding="utf-8")
server = testlib.Server()


def block(introduction):
    """The first indented block behind a sentence, without its indentation, on the server's port."""
    after = readme.split(introduction, 1)[1]
    lines = re.search(r"\n((?: {4}.*\n|\n)+)", after).group(1).strip("\n").split("\n")
    return "\n".join(line[4:] for line in lines).replace(PORT, str(server.port))


def run(name, command, want):
    result = subprocess.run(command, capture_output=True, text=True, timeout=testlib.PATIENCE, check=False)
    said = result.stdout + result.stderr
    if result.returncode != 0 or want not in said:
        house.find("README.md", 1, f"{name}: status {result.returncode}, no {want!r} in:\n{said}")
    print(f"{name}: done")


def by_hand():
    """What begins with a capital is a reply, and so is the value behind it."""
    client = server.connect().socket.makefile("rwb", buffering=0)
    reply_begun = False
    for line in block("By hand").split("\n"):
        if re.match(r"[A-Z]", line) or (line == "hello" and reply_begun):
            got = client.readline()
            if got != line.encode() + b"\r\n":
                house.find("README.md", 1, f"by hand: {line!r} is promised, {got!r} came")
            reply_begun = True
        else:
            client.write(line.encode() + b"\r\n")
            reply_begun = False
    print("by hand: done")


def python():
    if subprocess.run([PYTHON, "-c", "import pymemcache"], capture_output=True, check=False).returncode:
        return "Python: there is no pymemcache"
    run("Python", [PYTHON, "-c", block("Python,")], "hello")
    return None


def php():
    loaded = shutil.which("php") and subprocess.run(
        ["php", "-m"], capture_output=True, text=True, check=False
    ).stdout
    if not loaded or "memcached" not in loaded:
        return "PHP: there is no memcached extension"
    run("PHP", ["php", "-r", block("PHP, with")], "hello")
    if "session" not in loaded:
        return "PHP: there are no sessions"
    settings = re.findall(r"(\S+) = \"?([^\"\n]*)\"?", block("its sessions kept here"))
    options = [word for name, value in settings for word in ("-d", f"{name}={value}")]
    start = "session_id('abc123def456'); session_start();"
    run("PHP session, write", ["php", *options, "-r", start + "$_SESSION['n'] = 'seven';"], "")
    run("PHP session, read", ["php", *options, "-r", start + "echo $_SESSION['n'];"], "seven")
    return None


def refused():
    """The options that README says are refused are those that --help says are not in this build."""
    row = re.search(r"\| is refused \|.*", readme).group(0)
    promised = sorted(re.findall(r"\(`-(\w)`\)", row))
    _, text = testlib.run("--help")
    absent = sorted(
        m.group(1)
        for m in re.finditer(r"^-(\w), .*(?:\n {20}.*)*", text, flags=re.M)
        if "not in this build" in re.sub(r"\s+", " ", m.group(0))
    )
    if promised != absent:
        house.find("README.md", 1, f"refused: README says {promised}, --help says {absent}")
    print("refused options: done")


try:
    by_hand()
    refused()
    missing = [why for why in (python(), php()) if why]
    status = server.stop()
finally:
    server.kill()
if status != 0:
    house.find("README.md", 1, f"the server ended with status {status}")
if house.findings == 0 and missing:
    house.skip("; ".join(missing))
house.finish()
