#!/usr/bin/python3
"""The meta commands, valid, odd and malformed, among classic ones, against memcached: every byte of the replies."""

import base64
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import classic
import differ
from differ import Batch, Cas, Command, Mismatch

CONFIGURATIONS = [("plain", classic._BIG, classic._BIG), ("reqs-1", classic._BIG + ["-R", "1"], classic._BIG + ["-R", "1"])]

DIFFERENCES = dict(classic.DIFFERENCES)
DIFFERENCES.update({
    "grown numbers": "incr, decr and ma keep that an item is named in base64, and obey T; memcached forgets both when the "
                     "number grows; not sent",
    "late errors": "a command refused for an opaque that is too long does nothing; memcached has touched or made the item "
                   "before it says so; not sent",
    "refused block of ms": "the data block of an ms with a key that is too long is swallowed; 1.6.18 executed it",
})
# In me, 1.6.18 shows the time to live with the wrong sign.
# Not sent, because 1.6.18 does not know it yet: E, md x, C with mg, s with ms. t/wire/behaviours.txt has them.

_PLAIN = [b"m%d" % n for n in range(16)] + [b"a:1", b"x", b"c\x01\x7f", b"L" * 250]
# Where a number grows by a digit, memcached makes a new item and loses that the old one was stale, won or named in base64.
# So there are keys for numbers, which are never marked, and not appended to.
_NUMBERS = [b"n%d" % n for n in range(6)]
_BINARY = [bytes([0, 1, n]) + b"\r\n \xff"[:n] for n in range(5)]
_LONG = [b"L" * 251, b"P" * 600]
_TTLS = [b"0", b"-1", b"1000", b"5000", b"10000", b"20000", b"2592000"]


class Generator(classic.Generator):
    """Makes the commands of one batch."""

    def choose(self):
        """A key: (as it is sent, the flag b, the key)."""
        if self.rng.random() < 0.15:
            key = self.rng.choice(_BINARY)
            return base64.b64encode(key), [b"b"], key
        key = self.rng.choice(_PLAIN + _NUMBERS)
        return key, [], key

    def flags(self, choices, least=0):
        """Some of CHOICES (flag, share, values) in random order."""
        out = []
        for flag, share, values in choices:
            if self.rng.random() < share:
                out.append(flag + (self.rng.choice(values) if values else b""))
        self.rng.shuffle(out)
        return out

    def opaque(self):
        """As long as it may be: where it is too long, memcached has touched or made the item before it says so."""
        n = self.rng.choice([1, 1, 5, 10, 31])
        return (b"o" * n + b"%d" % self.rng.getrandbits(30))[-n:]

    def build(self, verb, key, words, flags, block=None):
        """The command; the number in C<cas> stands for the key's."""
        rng = self.rng
        flags = list(flags)
        if rng.random() < 0.02:
            flags.append(rng.choice(flags) if flags and rng.random() < 0.5 else rng.choice([b"z", b"y", b"Z"]))
            if verb not in (b"mg", b"ma"):  # others are refused with other words today
                return self.mn()
        pieces = []
        text = b" ".join([verb] + words)
        for flag in flags:
            text += b" " + (flag if not isinstance(flag, Cas) else b"C")
            if isinstance(flag, Cas):
                pieces += [text, flag]
                text = b""
        pieces.append(text + self.eol())
        if block is not None:
            pieces.append(block + b"\r\n")
        return Command(pieces)

    def compared(self, key, share):
        """C with the key's number, another's or one that is nobody's."""
        rng = self.rng
        if rng.random() > share or key not in _PLAIN + _NUMBERS:
            return []
        kind = rng.random()
        if kind < 0.7:
            return [Cas(key)]
        return [rng.choice([b"C0", b"C2305843009213693950", b"C18446744073709551615"])]

    def mg(self):
        sent, b, key = self.choose()
        flags = self.flags([
            (b"v", 0.6, None), (b"k", 0.5, None), (b"f", 0.3, None), (b"c", 0.3, None), (b"t", 0.3, None),
            (b"s", 0.3, None), (b"h", 0.3, None), (b"l", 0.1, None), (b"q", 0.2, None), (b"O", 0.3, [self.opaque()]),
            (b"N", 0.15, _TTLS[2:]), (b"R", 0.15, [b"100", b"3000", b"8000", b"30000"]), (b"T", 0.15, _TTLS), (b"u", 0.05, None),
            (b"P", 0.03, [b"1", b"x"]), (b"L", 0.03, [b"1"])])
        if key in _NUMBERS and b"h" in flags:
            flags.remove(b"h")  # memcached forgets it where a reply that is still queued holds the number
        if b"c" in flags and b"k" not in flags:
            flags.append(b"k")
        if b"T-1" in flags and b"t" in flags:  # 2^32 and less in memcached
            flags.remove(b"t")
        if key in _NUMBERS:
            flags = [f for f in flags if f[:1] not in (b"N", b"R")]
        if b:  # a key made with N and b is shown raw by 1.6.18
            flags = [f for f in flags if f[:1] != b"N"]
        return self.build(b"mg", key, [sent], self.placed(b, flags))

    def placed(self, b, flags):
        """b may stand anywhere."""
        for flag in b:
            flags.insert(self.rng.randrange(len(flags) + 1), flag)
        return flags

    def ms(self):
        rng = self.rng
        sent, b, key = self.choose()
        value = self.value() if len(key) < 200 else b"v"
        append = [] if b or key in _NUMBERS else [b"A", b"P"]
        mode = [b"M" + rng.choice([b"S", b"E", b"R", b"S", b"E"] + append)] if rng.random() < 0.5 else []
        if mode and mode[0][1:2] in b"AP":
            value = value[:40].replace(b" ", b"_").replace(b"0", b"o") or b"v"
        flags = self.flags([
            (b"T", 0.4, _TTLS), (b"F", 0.4, [b"0", b"5", b"4294967295"]), (b"q", 0.2, None), (b"k", 0.4, None), (b"c", 0.3, None),
            (b"O", 0.3, [self.opaque()]), (b"I", 0.08, None), (b"N", 0.1, _TTLS[2:])]) + mode
        if key in _NUMBERS:
            flags = [f for f in flags if f != b"I"]
        if mode[:1] not in ([b"MA"], [b"MP"]):
            flags += self.compared(key, 0.15)
        else:  # which make an item since 1.6.22 only
            flags = [f for f in flags if f[:1] != b"N"]
        if b"c" in flags and b"k" not in flags:
            flags.append(b"k")
        rng.shuffle(flags)
        return self.build(b"ms", key, [sent, b"%d" % len(value)], self.placed(b, flags), value)

    def ms_bad(self):
        """Bad chunks, lengths, keys and modes."""
        rng = self.rng
        kind = rng.randrange(5)
        if kind == 0:
            return Command(b"ms m1 5 %s\r\nabcdeXYversion\r\n" % rng.choice([b"q", b"k", b"T0", b""]))
        if kind == 1:
            line = rng.choice([b"ms m1 abc\r\n", b"ms m1\r\n", b"ms m1 S5\r\n", b"ms m1 -1\r\n", b"ms m1 99999999999999\r\n"])
            return Command(line, classic._BAD_LINE, "length error")
        if kind == 2:
            return self.bad_line(b"ms %s 2 q\r\nab\r\n" % rng.choice(_LONG), "refused block of ms")
        if kind == 3:
            return Command(b"ms m2 2 %s\r\nab\r\n" % rng.choice([b"MX", b"Me", b"M1", b"k MX q"]))
        return Command(b"ms m3 2 O%s\r\nab\r\n" % (b"x" * 32))

    def md(self):
        sent, b, key = self.choose()
        if key in _NUMBERS:
            return Command(b"md %s\r\n" % sent)
        flags = self.flags([(b"q", 0.2, None), (b"k", 0.4, None), (b"O", 0.3, [self.opaque()]), (b"I", 0.4, None),
                            (b"T", 0.3, _TTLS[2:])]) + self.compared(key, 0.2)
        return self.build(b"md", key, [sent], self.placed(b, flags))

    def ma(self):
        rng = self.rng
        sent = key = rng.choice(_NUMBERS)
        flags = self.flags([
            (b"N", 0.3, _TTLS[2:]), (b"J", 0.3, [b"0", b"7", b"18446744073709551615"]),
            (b"D", 0.4, [b"1", b"2", b"10", b"18446744073709551615"]),
            (b"M", 0.4, [b"I", b"+", b"D", b"-"]), (b"q", 0.2, None), (b"t", 0.3, None), (b"c", 0.3, None),
            (b"v", 0.6, None), (b"O", 0.3, [self.opaque()]), (b"k", 0.4, None)]) + self.compared(key, 0.1)
        if any(f[:1] == b"N" for f in flags if isinstance(f, bytes)):
            flags = [f for f in flags if f != b"q"]  # 1.6.18 answers nevertheless where it makes the number
        if b"c" in flags and b"k" not in flags:
            flags.append(b"k")
        command = self.build(b"ma", key, [sent], flags)
        return Command([b"mn\r\n"] + command.ours)  # see "queued replies"

    def ma_bad(self):
        return Command(self.rng.choice([b"ma m1 MX\r\n", b"ma m1 Dabc\r\n", b"ma m1 D-1\r\n", b"ma m1 Jx N0\r\n", b"ma m1 D1 D2\r\n", b"ma m1 z\r\n"]))

    def mg_bad(self):
        rng = self.rng
        line = rng.choice([b"mg m1 v v\r\n", b"mg m1 Tabc\r\n", b"mg m1 N\r\n", b"mg !!!! b\r\n", b"mg Zm9 b v\r\n",
                           b"mg %s v\r\n" % _LONG[0], b"md %s\r\n" % _LONG[1],
                           b"mg m1 u O%s v\r\n" % (b"x" * 32), b"mg m2 v k u O%s\r\n" % (b"y" * 200)])  # u: memcached has read it
        return Command(line)

    def few(self):
        return self.bad_line(self.rng.choice([b"mg\r\n", b"md\r\n", b"ma\r\n", b"ms\r\n", b"mg \r\n"]), "too few")

    def mn(self):
        return Command(self.rng.choice([b"mn\r\n", b"mn\r\n", b"mn x y\r\n"]))

    def me(self):
        sent, b, key = self.choose()
        return Command(b"me " + sent + b"\r\n") if not b and key not in _NUMBERS else self.mn()

    def old(self):
        """A classic command on the same keys."""
        rng = self.rng
        key = rng.choice(_PLAIN)
        value = self.value()
        return Command(rng.choice([
            b"get %s\r\n" % key, b"gets %s %s\r\n" % (key, rng.choice(_PLAIN)), b"delete %s\r\n" % key, b"mn\r\nincr %s 1\r\n" % rng.choice(_NUMBERS),
            b"set %s %s %s %d\r\n%s\r\n" % (key, rng.choice(classic._FLAGS), self.exptime(), len(value), value),
            b"touch %s %s\r\n" % (key, self.exptime()), b"gat %s %s\r\n" % (self.exptime(), key)]))

    def meta_command(self):
        kind = self.rng.random()
        for share, make in _MIX:
            kind -= share
            if kind < 0:
                return make(self)
        return self.mg()


_MIX = [(0.33, Generator.mg), (0.23, Generator.ms), (0.04, Generator.ms_bad), (0.1, Generator.md), (0.12, Generator.ma),
        (0.01, Generator.ma_bad), (0.02, Generator.mg_bad), (0.005, Generator.few), (0.04, Generator.mn), (0.01, Generator.me),
        (0.095, Generator.old)]


def generate(rng, configuration, start):
    g = Generator(rng, configuration, start)
    g.keys = _PLAIN + _NUMBERS
    n = rng.choice([1, 3, 10, 50, 100, 100, 200, 400])
    return Batch([g.meta_command() for _ in range(n)], rng.getrandbits(32))


# ---------------------------------------------------------------- comparing

_META = (b"HD", b"VA", b"EX", b"NF", b"NS", b"EN")
_NEAR = {b"t", b"l"}
SECONDS = 3


def compare(cas, theirs, ours):
    if theirs == ours and b" c" not in theirs and b"VALUE" not in theirs and b"ME " not in theirs:
        return
    a, b = differ.units(differ.mask(theirs)), differ.units(differ.mask(ours))
    for at in range(max(len(a), len(b))):
        if at >= len(a) or at >= len(b) or not _same(cas, a[at], b[at]):
            chance = at < min(len(a), len(b)) and differ.blanks_only(a[at][1], b[at][1])
            raise Mismatch(differ.show_difference(a, b, at), chance)


def _same(cas, a, b):
    if a[0][:2] in _META and a[0][:3].strip() in _META:
        if a[1] != b[1]:
            return False
        x, y = a[0].split(b" "), b[0].split(b" ")
        return len(x) == len(y) and all(_same_word(cas, u, v) for u, v in zip(x, y))
    if a[0].startswith(b"ME "):
        return _same_me(cas, a[0], b[0])
    return classic._same(cas, a, b)


def _same_word(cas, u, v):
    if u[:1] == b"c" and v[:1] == b"c" and u[1:].isdigit() and v[1:].isdigit():
        if u == b"c0" or v == b"c0":  # of what was not stored
            return u == v
        return cas.same(u[1:], v[1:])
    if u != v and u[:1] in _NEAR and u[:1] == v[:1]:
        try:
            return abs(int(u[1:]) - int(v[1:])) <= SECONDS
        except ValueError:
            return False
    return u == v


def _same_expiry(theirs, ours):
    return theirs == ours if -1 in (theirs, ours) else abs(abs(theirs) - abs(ours)) <= SECONDS


_ME = re.compile(rb"ME (.*) exp=(-?\d+) la=(\d+) cas=(\d+) fetch=(yes|no) cls=\d+ size=\d+", re.S)


def _same_me(cas, a, b):
    x, y = _ME.fullmatch(a), _ME.fullmatch(b)
    return bool(x and y and x[1] == y[1] and _same_expiry(int(x[2]), int(y[2])) and x[5] == y[5] and
                abs(int(x[3]) - int(y[3])) <= SECONDS and cas.same(x[4], y[4]))


if __name__ == "__main__":
    differ.main(sys.modules[__name__], 200000)
