#!/usr/bin/python3
"""Runs behaviours.txt: every case whole, and cut in two at every byte.

    behaviours.py [--oracle] [--fast] [--only TEXT]

--oracle runs the cases against Debian's memcached instead, which shows that the cases tell the truth.
"""

import argparse
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

HERE = os.path.dirname(os.path.abspath(__file__))
WHOLE_CUTS = 400  # a request up to this long is cut at each of its bytes
GAP = 0.0004      # seconds between two pieces, for the server to see them apart


def unescape(text):
    """The bytes of a line of the file."""
    def repeat(m):
        return m.group(1) * int(m.group(2))

    def now(m):
        return str(int(time.time()) + int(m.group(1)))

    text = re.sub(r"\{now([+-]\d+)\}", now, text)
    text = re.sub(r"\{([^{}*]+)\*(\d+)\}", repeat, text)
    return re.sub(r"\\(r|n|t|\\|x[0-9a-f]{2})", _escape, text).encode("latin-1")


def _escape(m):
    simple = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}
    what = m.group(1)
    return simple[what] if what in simple else chr(int(what[1:], 16))


class Pattern:
    """A reply expected."""

    def __init__(self, text):
        self.text = text
        self.hangs_up = "{eof}" in text
        parts = re.split(r"(\{(?:cas(?:=\w+)?|num|any|eof|ttl:\d+)\})", text)
        self.names = {}
        self.ttls = []
        self.regex = re.compile(b"".join(self._piece(p) for p in parts), re.S)

    def _piece(self, part):
        if not (part.startswith("{") and part.endswith("}")) or "*" in part:
            return re.escape(unescape(part))
        what = part[1:-1]
        if what in ("cas", "num"):
            return rb"\d+"
        if what == "any":
            return rb"[^\r\n]+"
        if what == "eof":
            return b""
        if what.startswith("ttl:"):
            top = int(what[4:])
            return b"(?:%s)" % b"|".join(b"%d" % n for n in range(top + 1, top - 4, -1))
        name = what[4:].encode()
        if name in self.names:
            return rb"(?P=%s)" % name
        self.names[name] = True
        return rb"(?P<%s>\d+)" % name

    def matches(self, data):
        return self.regex.fullmatch(data) is not None


class Case:
    def __init__(self, name):
        self.name = name
        self.steps = []    # ("send", text) | ("expect", text, oracle's text or None) | ("sleep", seconds)
        self.options = []
        self.split = True

    def keys(self):
        """What to delete before the case runs again."""
        text = b"".join(unescape(s[1]) for s in self.steps if s[0] == "send" and len(s[1]) < 2000)
        found = set(re.findall(rb"(?<![^\s])(?:bh[^\s]*|L{250}|foo|a:1)(?![^\s])", text))
        return sorted(k for k in found if len(k) <= 250 and b"\0" not in k)


def read_cases(path):
    cases = []
    with open(path, encoding="latin-1") as f:
        for line in f:
            line = line.rstrip("\n")
            if line.startswith("== "):
                cases.append(Case(line[3:]))
            elif line and line[0] in "><~!":
                _add_line(cases[-1], line[0], line[2:])
    return cases


def _add_line(case, kind, text):
    last = case.steps[-1] if case.steps else (None,)
    if kind == ">":
        if last[0] == "send":
            case.steps[-1] = ("send", last[1] + text)
        else:
            case.steps.append(("send", text))
    elif kind == "<":
        if last[0] == "expect":
            case.steps[-1] = ("expect", last[1] + text, None)
        else:
            case.steps.append(("expect", text, None))
    elif kind == "~":
        case.steps[-1] = ("expect", last[1], (last[2] or "") + text)
    elif text == "nosplit":
        case.split = False
    elif text.startswith("options "):
        case.options = text.split()[1:]
    elif text.startswith("sleep "):
        case.steps.append(("sleep", float(text.split()[1])))
    else:
        raise ValueError("unknown directive: " + text)


class Failure(Exception):
    pass


def show(data):
    text = repr(data)[2:-1]
    return text if len(text) < 600 else text[:300] + " ... " + text[-300:]


def pattern_of(step, oracle):
    text = step[2] if oracle and step[2] is not None else step[1]
    return None if text == "?" else Pattern(text)


def run_stepwise(server, case, oracle):
    """Sends each request whole and waits for its reply."""
    with server.connect() as c:
        for at, step in enumerate(case.steps):
            if step[0] == "send":
                c.send(unescape(step[1]))
            elif step[0] == "sleep":
                time.sleep(step[1])
            else:
                pattern = pattern_of(step, oracle)
                if pattern is None:
                    return
                got = read_reply(c, pattern, at == len(case.steps) - 1)
                if not pattern.matches(got):
                    raise Failure("expected %s\n  seen     %s" % (step[1], show(got)))


def read_reply(c, pattern, last):
    """As many bytes as match; the whole rest where the server hangs up or nothing more is to come."""
    if pattern.hangs_up:
        return c.rest()
    if last:
        return c.finish()
    while not pattern.matches(c.buffer):
        try:
            c.more()
        except (TimeoutError, EOFError, ConnectionResetError):
            break
    got, c.buffer = c.buffer, b""
    return got


def cuts_of(data):
    if len(data) <= WHOLE_CUTS:
        return range(1, len(data))
    near = 60
    middle = range(near, len(data) - near, max(1, len(data) // 13))
    return list(range(1, near)) + list(middle) + list(range(len(data) - near, len(data)))


def run_cut(server, case, oracle):
    """The case's requests as one stream, cut in two at every byte."""
    pieces = [s for s in case.steps if s[0] == "expect"]
    patterns = [pattern_of(s, oracle) for s in pieces]
    if None in patterns or len(set(b"".join(unescape(s[1]) for s in case.steps if s[0] == "send"))) < 2:
        return 0
    whole = Pattern("".join(p.text for p in patterns))
    data = b"".join(unescape(s[1]) for s in case.steps if s[0] == "send")
    reset = b"".join(b"delete %s noreply\r\n" % k for k in case.keys()) + b"version\r\n"
    count = 0
    with server.connect() as control:
        for cut in cuts_of(data):
            if control.ask(reset)[:7] != b"VERSION":
                raise Failure("the reset was not answered")
            with server.connect() as c:
                c.send(data[:cut])
                time.sleep(GAP)
                try:
                    c.send(data[cut:])
                except OSError:
                    pass
                got = c.finish()
            if not whole.matches(got):
                raise Failure("cut at %d of %d: %s | %s\n  expected %s\n  seen     %s" % (
                    cut, len(data), show(data[:cut][-80:]), show(data[cut:][:80]), whole.text, show(got)))
            count += 1
    return count


def run_case(server, case, oracle, fast):
    with server.connect() as control:
        control.ask(b"".join(b"delete %s noreply\r\n" % k for k in case.keys()) + b"version\r\n")
    run_stepwise(server, case, oracle)
    return 0 if fast or not case.split else run_cut(server, case, oracle)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--fast", action="store_true", help="no cuts")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    arguments = parser.parse_args()
    servers = {}
    failures = cuts = 0
    cases = [c for c in read_cases(os.path.join(HERE, "behaviours.txt")) if arguments.only in c.name]
    for case in cases:
        key = tuple(case.options)
        if key not in servers:
            start = testlib.memcached if arguments.oracle else testlib.ringcached
            servers[key] = start(case.options)
        try:
            cuts += run_case(servers[key], case, arguments.oracle, arguments.fast)
        except (Failure, OSError, EOFError, AssertionError) as e:
            failures += 1
            print("FAILED %s\n  %s" % (case.name, e))
            if not servers[key].alive():
                print("the server has ended: %s" % servers[key].output()[-2000:])
                del servers[key]
    for server in servers.values():
        server.stop()
    print("%d cases, %d cuts, %d failures" % (len(cases), cuts, failures))
    sys.exit(1 if failures or not cases else 0)


if __name__ == "__main__":
    main()
