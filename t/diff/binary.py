#!/usr/bin/python3
"""The binary protocol, sound and malformed, against memcached: every byte of the replies."""

import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import classic
import differ
from differ import Batch, Cas, Command, Mismatch

CONFIGURATIONS = [("plain", classic._BIG, classic._BIG), ("reqs-1", classic._BIG + ["-R", "1"], classic._BIG + ["-R", "1"])]
# Not sent, but in t/hostile/cve.py: bodies of more than 1 GiB, which are invalid arguments today and were too large or not
# answered in 1.6.18; TOUCH, GAT and STAT with a value; unknown opcodes with a body, of which memcached swallows too much; bodies shorter than their key,
# and those that never come whole.
DIFFERENCES = {}

GET, SET, ADD, REPLACE, DELETE, INCREMENT, DECREMENT, QUIT, FLUSH, GETQ, NOOP, VERSION, GETK, GETKQ, APPEND, PREPEND, STAT = range(17)
QUIET = {SET: 0x11, ADD: 0x12, REPLACE: 0x13, DELETE: 0x14, INCREMENT: 0x15, DECREMENT: 0x16, QUIT: 0x17, FLUSH: 0x18,
         APPEND: 0x19, PREPEND: 0x1a}
TOUCH, GAT, GATQ, GATK, GATKQ = 0x1c, 0x1d, 0x1e, 0x23, 0x24
GETS = [GET, GETQ, GETK, GETKQ]
GATS = [GAT, GATQ, GATK, GATKQ]

# Each stands at its index in the opaque of a request, so that a reply tells the key.
_KEYS = [b"k%d" % n for n in range(20)] + [b"c\x01\x7f", b"x", b"L" * 250, b"a:1"]
# While a reply that holds the item is queued, memcached's decrement loses the blanks behind a number that gets
# shorter: these are far from that.
_NUMBERS = [b"n%d" % n for n in range(5)]
_WRAPPED = b"w"  # has a connection of its own each time
_ALL = _KEYS + _NUMBERS + [_WRAPPED]


class BinaryCas(Cas):
    def form(self, number):
        return struct.pack(">Q", int(number) & ((1 << 64) - 1))


def frame(opcode, key=b"", extras=b"", value=b"", cas=0, opaque=0, magic=0x80, lengths=(None, None, None), datatype=0):
    """A request as pieces; LENGTHS (key, extras, body) are told in place of the true ones."""
    key_length = len(key) if lengths[0] is None else lengths[0]
    extras_length = len(extras) if lengths[1] is None else lengths[1]
    body = len(key) + len(extras) + len(value) if lengths[2] is None else lengths[2]
    head = struct.pack(">BBHBBHII", magic, opcode, key_length, extras_length, datatype, 0, body & 0xffffffff, opaque)
    number = cas if isinstance(cas, Cas) else struct.pack(">Q", cas)
    return [head, number, extras + key + value]


class Generator(classic.Generator):
    """Makes the commands of one batch."""

    def pick(self, keys=_KEYS + _NUMBERS):
        key = self.rng.choice(keys)
        return key, _ALL.index(key)

    def expiry(self):
        return self.rng.choice([0, 0, 0, 10000, 2592000, self.start + 5000, self.start - 5000, 2592001, 1 << 31, 0xffffffff])

    def compared(self, key, share=0.15):
        rng = self.rng
        if rng.random() > share:
            return 0
        return BinaryCas(key) if rng.random() < 0.7 else rng.choice([99999999, (1 << 63) - 1, (1 << 64) - 1])

    def quiet(self, opcode):
        return QUIET[opcode] if self.rng.random() < 0.3 else opcode

    def store(self):
        rng = self.rng
        key, opaque = self.pick()
        value = self.value() if key in _KEYS else b"%d" % rng.randrange(1000000, 8000000)
        extras = struct.pack(">II", rng.choice([0, 0, 5, 0xffffffff, 1 << 31]), self.expiry())
        opcode = self.quiet(rng.choice([SET, SET, SET, ADD, REPLACE]))
        return Command(frame(opcode, key, extras, value, self.compared(key), opaque))

    def extend(self):
        key, opaque = self.pick([b"k0", b"k1", b"k2", b"L" * 250])
        opcode = self.quiet(self.rng.choice([APPEND, PREPEND]))
        return Command(frame(opcode, key, b"", self.value(key), self.compared(key), opaque))

    def get(self):
        key, opaque = self.pick()
        return Command(frame(self.rng.choice(GETS), key, opaque=opaque))

    def gat(self):
        key, opaque = self.pick()
        return Command(frame(self.rng.choice(GATS + [TOUCH, TOUCH]), key, struct.pack(">I", self.expiry()), opaque=opaque))

    def arithmetic(self):
        rng = self.rng
        key, opaque = self.pick(_NUMBERS)
        extras = struct.pack(">QQI", rng.choice([0, 1, 5, 100]), rng.choice([2000000, 5000000]),
                             rng.choice([0, 10000, 0xffffffff, 0xffffffff]))
        opcode = self.quiet(rng.choice([INCREMENT, INCREMENT, DECREMENT]))
        return Command(frame(opcode, key, extras, b"", self.compared(key, 0.1), opaque))

    def delete(self):
        key, opaque = self.pick()
        return Command(frame(self.quiet(DELETE), key, cas=self.compared(key, 0.2), opaque=opaque))

    def other(self):
        rng = self.rng
        kind = rng.randrange(8)
        if kind < 3:
            return Command(frame(NOOP, opaque=rng.getrandbits(32)))
        if kind < 5:
            return Command(frame(VERSION, opaque=7))
        if kind == 5:
            return Command(frame(self.quiet(FLUSH), b"", b"" if rng.random() < 0.5 else struct.pack(">I", 0)))
        if kind == 6:
            return Command(frame(STAT, rng.choice([b"", b"settings", b"reset", b"items"])))
        return Command(frame(rng.choice([0x1f, 0x25, 0x30, 0x80, 0xff]), opaque=rng.getrandbits(16)))

    def command(self):
        kind = self.rng.random()
        for share, make in _MIX:
            kind -= share
            if kind < 0:
                return make(self)
        return self.get()

    def alone(self):
        """What closes the connection, or what memcached answers depends on nothing queued before."""
        rng = self.rng
        key, opaque = self.pick(_KEYS)
        kind = rng.choice([0, 1, 4, 5, 6, 7, 8])
        if kind == 0:
            op = rng.choice(GETS + GATS + [SET, ADD, APPEND, DELETE, INCREMENT, TOUCH, NOOP, VERSION, STAT, FLUSH, QUIT])
            extras = bytes(rng.choice([1, 2, 3, 4, 5, 8, 9, 12, 16, 19, 20]))
            value = b"v" if op in (SET, ADD, APPEND) and rng.random() < 0.5 else b""
            return Command(frame(op, rng.choice([b"", key]), extras, value, opaque=opaque))
        if kind == 1:
            return Command(frame(rng.choice([GET, SET, DELETE, APPEND, TOUCH]), b"L" * rng.choice([251, 300, 1000]), b"", b"", opaque=1))
        if kind == 4:
            return Command(frame(self.quiet(QUIT)))
        if kind == 5:
            return Command(frame(GET, key, magic=rng.choice([0x80, 0x80]), opaque=opaque) + [frame(GET, key)[0][:rng.randrange(24)]])
        if kind == 6:
            return Command(frame(rng.choice([GET, DELETE, NOOP, VERSION]), rng.choice([b"", key]), b"", rng.choice([b"", b"body"]),
                                 opaque=opaque))
        if kind == 7:
            key, opaque = self.pick()
            return Command(frame(SET, key, b"\0" * 8, b"z" * rng.choice([1048577, 1048576, 1048576 - 48 - 8 - len(key) - 3,
                                                                        1048576 - 48 - 8 - len(key) - 2]), opaque=opaque))
        extras = struct.pack(">QQI", rng.choice([1, 1 << 63, (1 << 64) - 1, 20000000]), 5, rng.choice([0, 0xffffffff]))
        value = rng.choice([b"0", b"7", b"1000", b"18446744073709551615", b"12 ", b"", b"x"])
        opaque = _ALL.index(_WRAPPED)
        return Command(frame(SET, _WRAPPED, b"\0" * 8, value, opaque=opaque) +
                       frame(rng.choice([INCREMENT, DECREMENT]), _WRAPPED, extras, opaque=opaque) +
                       frame(GET, _WRAPPED, opaque=opaque))


_MIX = [(0.3, Generator.store), (0.06, Generator.extend), (0.28, Generator.get), (0.1, Generator.gat), (0.1, Generator.arithmetic),
        (0.1, Generator.delete), (0.06, Generator.other)]


def generate(rng, configuration, start):
    g = Generator(rng, configuration, start)
    if rng.random() < 0.12:
        return Batch([g.alone()], rng.getrandbits(32), linger=True)
    n = rng.choice([1, 3, 10, 50, 100, 200, 400])
    return Batch([g.command() for _ in range(n)], rng.getrandbits(32))


# ---------------------------------------------------------------- comparing

def replies(data):
    """Splits a stream into (head without cas, cas, body); what follows the last whole reply as it is."""
    out, at = [], 0
    while at + 24 <= len(data):
        magic, op, key, extras, kind, status, body, opaque, cas = struct.unpack_from(">BBHBBHIIQ", data, at)
        if magic != 0x81:
            break
        out.append(((op, key, extras, kind, status, body, opaque), cas, data[at + 24:at + 24 + body]))
        at += 24 + body
    if at < len(data):
        out.append((("rest",), 0, data[at:]))
    return [_masked(r) for r in out if r[0][0] != STAT]


def _masked(reply):
    head, cas, body = reply
    if head[0] == VERSION and head[4] == 0:
        return (VERSION, head[6]), 0, b""
    return reply


def compare(cas, theirs, ours):
    a, b = replies(theirs), replies(ours)
    for at in range(max(len(a), len(b))):
        if at >= len(a) or at >= len(b) or not _same(cas, a[at], b[at]):
            chance = at < min(len(a), len(b)) and differ.blanks_only(_value(a[at]), _value(b[at]))
            raise Mismatch(_show(a, b, at), chance)


def _value(reply):
    head, _, body = reply
    return body[head[1] + head[2]:] if len(head) == 7 else body


def _same(cas, a, b):
    if a[0] != b[0] or a[2] != b[2]:
        return False
    if a[1] == 0 or b[1] == 0:
        return a[1] == b[1]
    return cas.same(b"%d" % a[1], b"%d" % b[1])


def _show(theirs, ours, at):
    lines = []
    for name, side in (("memcached", theirs), ("ringcached", ours)):
        lines.append("    %s, from reply %d (opcode, key, extras, type, status, body, opaque), cas, body:" % (name, at))
        lines += ["        %r cas %d %s" % (h, c, differ._short(b)) for h, c, b in side[max(0, at - 1):at + 4]]
    return "\n".join(lines)


if __name__ == "__main__":
    differ.main(sys.modules[__name__], 200000)
