"""Sends the same command streams to memcached and to the server under test, and compares every byte.

A run is a list of batches; a batch is one connection: its commands are sent in random pieces, then the sending
side is closed, and everything that the server writes until it closes as well is the reply. So it needs no model
of how many lines a command answers. Batches share the servers, and thereby the items.

A command is a pair of streams, one for each server, which are the same but for known differences: a generator
gives the oracle a command that is answered the way today's memcached answers the other. Each such case has a
name in the table DIFFERENCES of its generator, with the reason, and is counted.

CAS numbers differ between the servers. A generator writes Cas(key) where the number is to stand that the key had when
the batch began; numbers in replies must map one to one: the same number there, the same number here.

A mismatch is shrunk: first to the batches, then to the commands that are needed, each time with new servers.
"""

import argparse
import collections
import os
import random
import re
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

NO_CAS = b"4611686018427387904"  # stands for the number of a key that is not there
SHRINK_SECONDS = 60
LINGER = 0.03  # seconds
CHANCES = 5    # of memcached's, in each configuration
SHOWN = 40  # lines of a stream
CI_SEED = "3749109399"


class Cas:
    """The number that KEY had when the batch began."""

    def __init__(self, key):
        self.key = key

    def form(self, number):
        """The bytes to send for the decimal NUMBER."""
        return number

    def __repr__(self):
        return "cas of %r" % self.key


class Command:
    """What is sent to either server: lists of bytes and Cas."""

    __slots__ = ("ours", "theirs", "difference")

    def __init__(self, ours, theirs=None, difference=None):
        self.ours = ours if isinstance(ours, list) else [ours]
        self.theirs = self.ours if theirs is None else theirs if isinstance(theirs, list) else [theirs]
        self.difference = difference

    def text(self):
        ours = " + ".join(map(_short, self.ours))
        if self.theirs is self.ours:
            return ours
        return "%s\n      (to memcached: %s; %s)" % (ours, " + ".join(map(_short, self.theirs)), self.difference)


def _short(piece):
    if isinstance(piece, Cas):
        return repr(piece)
    return repr(piece) if len(piece) < 160 else "%r...(%d bytes)...%r" % (piece[:60], len(piece), piece[-40:])


class Batch:
    """The commands of one connection, and how they are cut into pieces."""

    def __init__(self, commands, seed, whole=False, linger=False):
        self.commands = commands
        self.seed = seed
        self.whole = whole    # each command as one piece
        self.linger = linger  # a moment before the sending side is closed: memcached can lose replies to that

    def keys(self):
        found = []
        for c in self.commands:
            for stream in (c.ours, c.theirs):
                for piece in stream:
                    if isinstance(piece, Cas) and piece.key not in found:
                        found.append(piece.key)
        return found


class Mismatch(Exception):
    """CHANCE: it is memcached that sometimes answers one thing and sometimes the other."""

    def __init__(self, text, chance=False):
        super().__init__(text)
        self.chance = chance


def blanks_only(theirs, ours):
    """Whether two values are one number with more or fewer blanks behind: see "queued replies" in classic.py. To
    send mn first makes that rare, not impossible."""
    a, b = (theirs or b"").rstrip(b" \r\n"), (ours or b"").rstrip(b" \r\n")
    return a == b and a.isdigit() and theirs != ours


class Side:
    """One of the two servers and what is known of it."""

    def __init__(self, name, start):
        self.name = name
        self.start = start
        self.server = start()
        self.control = self.server.connect()

    def restart(self):
        self.control.close()
        self.server.restart()
        self.control = self.server.connect()

    def close(self):
        self.control.close()
        self.server.stop()

    def learn(self, keys):
        """The CAS numbers of KEYS."""
        found = {}
        if keys:
            self.control.send(b"gets %s\r\n" % b" ".join(keys))
            while True:
                line = self.control.line()
                if not line.startswith(b"VALUE "):
                    break
                _, key, _, size, cas = line.split()
                self.control.exactly(int(size) + 2)
                found[key] = cas
        return found


def render(stream, numbers):
    return b"".join(p.form(numbers.get(p.key, NO_CAS)) if isinstance(p, Cas) else p for p in stream)


def pieces_of(batch, data_of_commands):
    """Cuts the stream: often in a few large pieces, sometimes into crumbs."""
    if batch.whole:
        return data_of_commands
    data = b"".join(data_of_commands)
    rng = random.Random(batch.seed)
    kind = rng.random()
    if kind < 0.4 or len(data) < 2:
        return [data]
    if kind < 0.6:
        cuts = sorted(rng.randrange(1, len(data)) for _ in range(rng.randrange(1, 4)))
    elif kind < 0.9:
        cuts = sorted(rng.randrange(1, len(data)) for _ in range(rng.randrange(4, 25)))
    else:
        start = rng.randrange(len(data))
        cuts = list(range(max(1, start), min(len(data), start + 80)))
    edges = [0] + cuts + [len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:]) if a < b]


def exchange(port, pieces, gap, linger=False):
    """Sends PIECES over a new connection while reading; returns everything that came back."""
    with socket.create_connection(("127.0.0.1", port), testlib.PATIENCE) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = []
        try:
            if sum(map(len, pieces)) < 30000:
                for piece in pieces:
                    s.sendall(piece)
                    if gap:
                        time.sleep(gap)
            else:
                _send_while_reading(s, pieces, gap, got)
            if linger:
                _read_for_a_moment(s, got)
            s.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError) as e:
            if isinstance(e, TimeoutError):
                raise Mismatch("the server does not read on")
        s.settimeout(testlib.PATIENCE)
        try:
            while True:
                data = s.recv(1 << 18)
                if not data:
                    break
                got.append(data)
        except ConnectionResetError:
            pass
        except TimeoutError:
            raise Mismatch("the server neither answers nor closes; so far: %r" % b"".join(got)[-300:])
        return b"".join(got)


def _read_for_a_moment(s, got):
    s.settimeout(LINGER)
    try:
        while True:
            data = s.recv(1 << 18)
            if not data:
                return
            got.append(data)
    except TimeoutError:
        pass


def _send_while_reading(s, pieces, gap, got):
    s.setblocking(False)
    end = time.monotonic() + testlib.PATIENCE
    for piece in pieces:
        view = memoryview(piece)
        while view:
            if time.monotonic() > end:
                raise TimeoutError
            try:
                view = view[s.send(view):]
            except BlockingIOError:
                time.sleep(0.0005)
            try:
                data = s.recv(1 << 18)
                if not data:
                    return
                got.append(data)
            except BlockingIOError:
                pass
        if gap:
            time.sleep(gap)
    s.settimeout(testlib.PATIENCE)


class CasMap:
    """What number here stands for which number there."""

    def __init__(self, itself):
        self.there = {}
        self.here = {}
        self.itself = itself  # both are memcached

    def same(self, theirs, ours):
        return self.there.setdefault(theirs, ours) == ours and self.here.setdefault(ours, theirs) == theirs


class Run:
    """Two servers and the batches that they were sent."""

    def __init__(self, protocol, ours, theirs, same=False):
        self.protocol = protocol
        self.same = same  # the oracle on both sides
        self.ours = ours
        self.theirs = theirs
        self.cas = CasMap(same)

    def restart(self):
        self.ours.restart()
        self.theirs.restart()
        self.cas = CasMap(self.same)

    def batch(self, batch):
        """Raises Mismatch."""
        keys = batch.keys()
        here, there = self.ours.learn(keys), self.theirs.learn(keys)
        if set(here) != set(there):
            raise Mismatch("before the batch: keys that are here and not there: %r, there and not here: %r" % (
                sorted(set(here) - set(there)), sorted(set(there) - set(here))))
        for key in here:
            if not self.cas.same(there[key], here[key]):
                raise Mismatch("before the batch: cas of %r is %r, with memcached %r, and was not so before" % (
                    key, here[key], there[key]))
        gap = 0.0003 if batch.seed % 4 == 0 and len(batch.commands) < 200 else 0
        theirs = self._talk(self.theirs, batch, [render(c.theirs, there) for c in batch.commands], gap)
        ours = self._talk(self.ours, batch, [
            render(c.theirs if self.same else c.ours, here) for c in batch.commands], gap)
        self.protocol.compare(self.cas, theirs, ours)

    def _talk(self, side, batch, data, gap):
        try:
            return exchange(side.server.port, pieces_of(batch, data), gap, batch.linger)
        except OSError as e:
            alive = side.server.alive()
            raise Mismatch("%s: %s; the server %s\n%s" % (
                side.name, e, "lives" if alive else "has ended", "" if alive else side.server.output()[-3000:]))

    def all(self, batches):
        """The first mismatch as (index, text, chance) or None."""
        for at, batch in enumerate(batches):
            try:
                self.batch(batch)
            except Mismatch as e:
                return at, str(e), e.chance
            except (EOFError, OSError) as e:
                return at, "the control connection: %s; %s" % (e, self.ours.server.output()[-2000:]), False
        return None


def shrink(run, batches):
    """The least that still shows a difference, and the text of it."""
    end = time.monotonic() + SHRINK_SECONDS

    def fails(candidate):
        if time.monotonic() > end:
            return None
        run.restart()
        return run.all(candidate)

    for tail in (1, 2, 5, 20, 100, len(batches)):
        kept = batches[-tail:]
        found = fails(kept)
        if found or tail >= len(batches):
            break
    if not found:
        return None, "not seen again with new servers"
    kept = kept[:found[0] + 1]
    kept = _reduce(kept, fails)
    commands = [(b, c) for b in kept for c in b.commands]

    def rebuild(pairs):
        out = []
        for b, c in pairs:
            if not out or out[-1][0] is not b:
                out.append((b, []))
            out[-1][1].append(c)
        return [Batch(cs, b.seed, b.whole, b.linger) for b, cs in out]

    commands = _reduce(commands, lambda pairs: fails(rebuild(pairs)))
    kept = rebuild(commands)
    whole = [Batch(b.commands, b.seed, True, b.linger) for b in kept]
    if fails(whole):
        kept = whole
    found = fails(kept)
    return kept, found[1] if found else "(stopped shrinking)"


def _reduce(items, fails):
    """Leaves out what is not needed, halves first."""
    size = max(1, len(items) // 2)
    while True:
        at = 0
        while at < len(items) and len(items) > 1:
            without = items[:at] + items[at + size:]
            if without and fails(without):
                items = without
            else:
                at += size
        if size == 1:
            return items
        size = max(1, size // 2)


# ---------------------------------------------------------------- comparing replies

_MASK = re.compile(rb"(?:STAT [^\r\n]*\r\n)+")
_VERSION = re.compile(rb"VERSION [^\r\n]*\r\n")


def mask(reply):
    """Without what is allowed to differ: statistics and the version."""
    if b"STAT " in reply:
        reply = _MASK.sub(b"", reply)
    if b"VERSION " in reply:
        reply = _VERSION.sub(b"VERSION\r\n", reply)
    return reply


def units(reply):
    """Splits a text reply into lines, each with the value that follows it."""
    out = []
    at = 0
    while at < len(reply):
        eol = reply.find(b"\r\n", at)
        if eol < 0:
            out.append((reply[at:], None))
            break
        line = reply[at:eol]
        at = eol + 2
        value = None
        words = line.split(b" ")
        if words[0] == b"VALUE" and len(words) >= 4 and words[3].isdigit():
            value = reply[at:at + int(words[3]) + 2]
        elif words[0] == b"VA" and len(words) >= 2 and words[1].isdigit():
            value = reply[at:at + int(words[1]) + 2]
        if value is not None:
            at += len(value)
        out.append((line, value))
    return out


def show_difference(theirs, ours, at):
    lines = []
    for name, reply in (("memcached", theirs), ("ringcached", ours)):
        lines.append("    %s, from unit %d:" % (name, at))
        for line, value in reply[max(0, at - 2):at + 5]:
            lines.append("        " + _short(line) + ("" if value is None else " " + _short(value)))
    return "\n".join(lines)


# ---------------------------------------------------------------- the program

def main(protocol, commands_default, argv=None):
    """PROTOCOL has CONFIGURATIONS (name, their options, our options), DIFFERENCES (name -> reason),
    generate(rng, configuration, start) -> Batch, compare(cas, theirs, ours), which raises Mismatch."""
    parser = argparse.ArgumentParser(description=protocol.__doc__)
    parser.add_argument("--seed", help="of an earlier run; default: a new one")
    parser.add_argument("--commands", type=int,
                        default=int(os.environ.get("DIFF_COMMANDS", commands_default)))
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("DIFF_SECONDS", 1e9)),
                        help="stop early after this long")
    parser.add_argument("--configuration", help="only this one")
    parser.add_argument("--cluster", type=int, default=int(os.environ.get("DIFF_CLUSTER", 1)), metavar="N",
                        help="N nodes that are one cache in place of one; each connection goes to any of them")
    parser.add_argument("--self", action="store_true", help="memcached on both sides")
    parser.add_argument("--keep-going", type=int, default=1, help="how many mismatches to show")
    arguments = parser.parse_args(argv)
    if os.environ.get("CI") and arguments.seed is None and "SEED" not in os.environ:
        arguments.seed = CI_SEED  # what lands is judged by what it changes; make check takes a new seed each time
    protocol.CLUSTER = arguments.cluster > 1
    seed = testlib.seed_from(arguments)
    print("seed %d (repeat with --seed %d)" % (seed, seed))
    if testlib.memcached_path() is None:
        testlib.skip("there is no memcached to compare with")
    configurations = [c for c in protocol.CONFIGURATIONS if arguments.configuration == c[0] or
                      arguments.configuration is None and c[0] not in getattr(protocol, "APART", ())]
    begun = time.monotonic()
    total = mismatches = 0
    differences = collections.Counter()
    for number, configuration in enumerate(configurations):
        share = (arguments.commands - total) // (len(configurations) - number)
        limit = arguments.seconds * (number + 1) / len(configurations)
        done, found = run_configuration(protocol, configuration, seed, share, begun + limit, arguments, differences)
        total += done
        mismatches += found
        if mismatches >= arguments.keep_going:
            break
    for name, count in sorted(differences.items()):
        print("known difference, %6d times: %s: %s" % (count, name, protocol.DIFFERENCES[name]))
    print("%d commands, %d mismatches, %.1f s, seed %d" % (total, mismatches, time.monotonic() - begun, seed))
    sys.exit(1 if mismatches or not total else 0)


def run_configuration(protocol, configuration, seed, commands, deadline, arguments, differences):
    name, their_options, our_options = configuration
    begun = time.monotonic()

    def start_ours():
        if arguments.self:
            return testlib.memcached(their_options)
        if arguments.cluster > 1:
            return testlib.Cluster(arguments.cluster, testlib.ORACLE_OPTIONS + our_options, seed)
        return testlib.ringcached(testlib.ORACLE_OPTIONS + our_options)

    ours = Side("ringcached", start_ours)
    theirs = Side("memcached", lambda: testlib.memcached(their_options))
    run = Run(protocol, ours, theirs, arguments.self)
    start = int(time.time())
    batches = []
    done = found = number = chances = 0
    while done < commands and time.monotonic() < deadline:
        batch = protocol.generate(random.Random("%d/%s/%d" % (seed, name, number)), name, start)
        number += 1
        batches.append(batch)
        done += len(batch.commands)
        differences.update(c.difference for c in batch.commands if c.difference)
        result = run.all([batch])
        if result is None:
            continue
        if result[2] and chances < CHANCES:
            chances += 1
            run.restart()
            batches = []
            continue
        seen_again = report(run, name, batches, result)
        if not seen_again and chances < CHANCES:
            chances += 1
        else:
            found += 1
        if found >= arguments.keep_going:
            break
        run.restart()
        batches = []
    try:
        ours.close()
        theirs.close()
    except AssertionError as e:
        print("%s: %s" % (name, e))
        found += 1
    print("%-12s %7d commands in %.1f s%s" % (
        name, done, time.monotonic() - begun, ", %d times memcached's chance" % chances if chances else ""))
    return done, found


def report(run, name, batches, result):
    """Shows a mismatch and the least that leads to it. False where the same streams to new servers show none: memcached
    against itself (--self) differs so now and then, because what it does to a number depends on whether an earlier reply
    has left it already."""
    print("MISMATCH (configuration %s, batch %d)\n%s" % (name, len(batches) - 1, result[1]))
    sys.stdout.flush()
    kept, text = shrink(run, batches)
    for _ in range(2):
        run.restart()
        if kept is not None and run.all(kept) is None:
            kept, text = None, "not seen again with new servers"
    if kept is None:
        print("  %s" % text)
        return False
    lines = []
    for batch in kept:
        lines.append("   a connection (%s):" % (
            "a packet per command" if batch.whole else "cut by seed %d" % batch.seed))
        lines += ["      %s" % command.text() for command in batch.commands]
    if len(lines) > SHOWN:
        lines[:-SHOWN] = ["   ... %d lines" % (len(lines) - SHOWN)]
    print("  the least that shows it:")
    print("\n".join(lines))
    return True
    print(text)
    sys.stdout.flush()
