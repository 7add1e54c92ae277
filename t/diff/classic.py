#!/usr/bin/python3
"""The classic text commands, valid, odd and malformed, against memcached: every byte of the replies."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import differ
from differ import Batch, Cas, Command, Mismatch

# name, options of memcached, options of ringcached. Memory is ample: what is evicted is not a matter of bytes.
_BIG = ["-m", "1024", "-t", "2"]
CONFIGURATIONS = [
    ("plain", _BIG, _BIG),
    ("small", _BIG + ["-I", "512k"], _BIG + ["-I", "512k"]),
    ("large", _BIG + ["-I", "2m"], _BIG + ["-I", "2m"]),
    ("no-cas", _BIG + ["-C"], _BIG + ["-C"]),
    ("prefixes", _BIG + ["-D:"], _BIG + ["-D:"]),
    ("no-dump", _BIG + ["-X"], _BIG + ["-X"]),
    ("no-flush", _BIG + ["-F"], _BIG + ["-F"]),
    ("negative", _BIG, _BIG),
    ("reqs-1", _BIG + ["-R", "1"], _BIG + ["-R", "1"]),
]
CLUSTER = False  # several nodes: each has its own counts of prefixes
ITEM_MAX = {"small": 512 << 10, "large": 2 << 20}

DIFFERENCES = {
    "short line": "an empty line or one character is a bad command line since 1.6.21, ERROR before",
    "leading space": "a line that begins with a space is an unknown command today; 1.6.18 skipped the space",
    "too few": "a command with too few arguments is a bad command line today, ERROR in 1.6.18",
    "too many": "surplus arguments are ignored today, a noreply behind them counts; 1.6.18 refused them",
    "refused block": "the data block of a set with a bad key, flags, exptime or cas is swallowed and noreply "
                     "obeyed; 1.6.18 executed the block as commands",
    "length error": "the error of a bad length is shown in spite of noreply; 1.6.18 hid it",
    "odd length": "a length with a sign, or above 2^31, is refused; 1.6.18 took it modulo 2^32",
    "odd number": "deltas, and the exptimes of touch and gat, are digits only (exptimes with a minus, 32 bits); "
                  "1.6.18 took what strtol takes",
    "delete argument": "delete ignores what follows the key; 1.6.18 took only 0 and noreply",
    "long key in get": "memcached throws away the replies that are queued before a get with an overlong key, and "
                       "today sends an empty line behind the error: bugs that are not copied",
    "unknown noreply": "an unknown command that ends in noreply is not answered today",
    "long number": "incr and decr take values of up to 8192 bytes for numbers, memcached longer ones with blanks or "
                   "leading zeros as well; such are not sent",
    "minus behind": "memcached looks for a minus behind large numbers, and for digits behind blanks, in memory that "
                    "is not the value's; such are not sent",
    "queued replies": "where a reply that holds the item is still queued, memcached's incr and decr do not keep the length of "
                      "the value; here they always do. So memcached is sent mn before each",
    "shutdown text": "the refusal of shutdown begins with SERVER_ERROR today, with ERROR in 1.6.18",
}

NUMBER_LOOKED_AT = 8192  # see "long number"

# Answered by memcached 1.6.18 with the lines wanted.
_BAD_LINE = b"touch " + b"L" * 251 + b" 1\r\n"
_ERROR = b"bogus\r\n"

_KEYS = [b"k%d" % n for n in range(24)] + [
    b"a:1", b"a:2", b"b:1", b":", b"x", b"\xc3\xa9t\xc3\xa9", b"c\x01\x02\x7f\xff", b"9", b"-1",
    b"L" * 250, b"M" * 249, b"END", b"0"]
_GROWING = [b"k0", b"k1", b"k2", b"L" * 250, b"a:2", b":"]
_LONG_KEYS = [b"L" * 251, b"N" * 252, b"P" * 900]
_NUMBERS = [b"0", b"1", b"5", b"9", b"10", b"99", b"007", b"+5", b"-1", b" 12", b"12 ", b"12 34", b"1 ",
            b"18446744073709551615", b"18446744073709551614", b"18446744073709551616", b"9223372036854775807",
            b"9223372036854775808", b"99999999999999999999", b"4294967295", b"4294967296", b"", b" ", b"abc", b"12x",
            b"1.5", b"0x10", b"-0", b"00000000000000000000", b"1" + b" " * 30, b"000000000000000000000000001",
            b"\t7", b"7\r", b"-18446744073709551615"]
_DELTAS = [b"0", b"1", b"1", b"1", b"5", b"10", b"100", b"007", b"18446744073709551615", b"9223372036854775808",
           b"4294967296", b"18446744073709551616", b"99999999999999999999", b"abc", b"-1", b"+1", b"1x", b"1.5",
           b"0x10", b"-0"]
_FLAGS = [b"0"] * 6 + [b"1", b"5", b"42", b"65535", b"65536", b"2147483648", b"4294967295"]
_BAD_FLAGS = [b"abc", b"-1", b"1x", b"x1", b"--1"]
_BAD_EXPTIMES = [b"abc", b"1x", b"x", b"--1"]
_BAD_LENGTHS = [b"abc", b"-1", b"-2", b"1x", b"2147483646", b"2147483647"]
_ODD_LENGTHS = [b"+1", b"4294967297", b"4294967296", b"18446744073709551616", b"9223372036854775807", b"-4294967295"]
_STORES = [b"set", b"set", b"set", b"add", b"replace", b"append", b"prepend", b"cas"]


class Generator:
    """Makes the commands of one batch."""

    def __init__(self, rng, configuration, start):
        self.rng = rng
        self.configuration = configuration
        self.start = start
        self.item_max = ITEM_MAX.get(configuration, 1 << 20)
        # Where a value is a number of 2^63 and more, memcached also looks for a minus in the memory behind it. So
        # numbers are either large or negative in a run, and the minus is nowhere else.
        self.negative = configuration == "negative"
        self.keys = [k for k in _KEYS if self.negative or b"-" not in k]
        self.numbers = [n for n in _NUMBERS if b"-" not in n] if not self.negative else \
            [n for n in _NUMBERS if len(n) < 16 or n.startswith(b"-")]
        self.deltas = _DELTAS if not self.negative else [d for d in _DELTAS if len(d) < 8]

    def key(self):
        return self.rng.choice(self.keys)

    def eol(self):
        return b"\n" if self.rng.random() < 0.08 else b"\r\n"

    def gap(self):
        return b" " if self.rng.random() < 0.97 else b" " * self.rng.randrange(2, 5)

    def line(self, *words):
        """Words to a line: sometimes with more than one space between them and behind."""
        rng = self.rng
        if rng.random() < 0.9:
            text = b" ".join(words)
        else:
            text = words[0] + b"".join(self.gap() + w for w in words[1:])
            if len(words) > 1 and rng.random() < 0.3:
                text += b" " * rng.randrange(1, 3)
        return text + self.eol()

    def exptime(self):
        """Far from now, so that the moment at which either server looks does not matter."""
        kind = self.rng.random()
        if kind < 0.6:
            return self.rng.choice([b"0", b"0", b"0", b"10000", b"2592000", b"2591999"])
        if kind < 0.97:
            return self.rng.choice([b"0", b"0", b"-1", b"-100", b"2592001", b"%d" % (self.start + 5000),
                                    b"%d" % (self.start - 5000)])
        return self.rng.choice([b"2147483647", b"-2147483648", b"00010000", b"0000"])

    def value(self, key=None):
        """Never only blanks: asked to add to those, memcached reads on behind the value's end."""
        value = self.any_value(key)
        value = value if not value or value.strip() else b"v" + value[1:]
        return value if self.negative else value.replace(b"-", b"_")

    def any_value(self, key):
        rng = self.rng
        kind = rng.random()
        if kind < 0.35:
            number = rng.choice(self.numbers)
            # What others are appended to must not become a long number with blanks or zeros.
            plain = number.isdigit() and number[:1] != b"0"
            return number if key not in _GROWING or plain else b"v" + number
        if kind < 0.4:
            return rng.choice([b"END\r\n", b"VALUE k1 0 1\r\nx\r\nEND\r\n", b"\r\n", b"\n", b"\r", b"get k1\r\n", b"\0\0"])
        return self.bytes(self.length())

    def length(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.75:
            return rng.randrange(0, 60)
        if kind < 0.97:
            return rng.randrange(0, 1500)
        if kind < 0.995:
            return min(rng.randrange(0, 20000), self.item_max + 200)
        if self.item_max > 100000 and rng.random() < 0.7:
            return rng.randrange(20000, 70000)
        return self.item_max - rng.choice([rng.randrange(0, 400), rng.randrange(48, 70), -1, 0, 1, 500])

    def bytes(self, n):
        rng = self.rng
        kind = rng.randrange(3)
        if kind == 0:
            data = bytes([rng.randrange(256)]) * n
        elif kind == 1:
            return (b"%d" % rng.getrandbits(64) * (n // 4 + 1))[:n]
        else:
            data = rng.randbytes(n)
        begins_long_number = n > NUMBER_LOOKED_AT and data[:2].strip(b"+-")[:1].isdigit()
        return data if not data[:1].isspace() and data[:1] != b"0" and not begins_long_number else b"v" + data[1:]

    def bad_line(self, ours, difference, noreply=False):
        """A command answered as a bad command line, or, with noreply, not at all."""
        return Command(ours, b"" if noreply else _BAD_LINE, difference)

    # ------------------------------------------------ storage

    def store(self):
        rng = self.rng
        verb = rng.choice(_STORES)
        kind = rng.random()
        if kind < 0.84:
            return self.store_good(verb)
        if kind < 0.88:
            return self.store_bad_chunk(verb)
        if kind < 0.93:
            return self.store_refused(verb)
        if kind < 0.97:
            return self.store_bad_length(verb)
        return self.store_too_few(verb)

    def cas_number(self, key):
        rng = self.rng
        kind = rng.random()
        if kind < 0.7:
            return Cas(key)
        if kind < 0.8:
            return Cas(self.key())
        # Not 1: that is the first one that memcached gives.
        return rng.choice([b"0", b"9999999999", b"9223372036854775806", b"9223372036854775807",
                           b"18446744073709551615"])

    def store_line(self, verb, key, flags, exptime, length, noreply, surplus=()):
        """The line as a list of pieces for either server."""
        words = [verb, key, flags, exptime, length]
        number = self.cas_number(key) if verb == b"cas" else None
        tail = [b"noreply"] if noreply else []

        def build(extra):
            if number is None:
                return [b" ".join(words + extra + tail) + b"\r\n"]
            rest = b" ".join([b""] + extra + tail) + b"\r\n"
            return [b" ".join(words) + b" ", number, rest]

        return build(list(surplus)), build([])

    def store_good(self, verb):
        rng = self.rng
        key = rng.choice(_GROWING) if verb in (b"append", b"prepend") else self.key()
        value = self.value(key)
        noreply = rng.random() < 0.15
        surplus = [b"1", b"bogus", b"0"][:rng.randrange(1, 4)] if rng.random() < 0.02 else ()
        ours, theirs = self.store_line(
            verb, key, rng.choice(_FLAGS), self.exptime(), b"%d" % len(value), noreply, surplus)
        block = value + b"\r\n"
        if surplus:
            return Command(ours + [block], theirs + [block], "too many")
        if verb != b"cas" and rng.random() < 0.1:
            ours = [self.line(*ours[0].split())]
        return Command(ours + [block])

    def store_bad_chunk(self, verb):
        """Another end than CR LF behind the declared length; what follows it is a command."""
        rng = self.rng
        n = rng.randrange(0, 40)
        end = rng.choice([b"XY", b"\nX", b"\rX", b"\n\r", b"X\n", b"\n\n"])
        ours, _ = self.store_line(verb, self.key(), b"0", b"0", b"%d" % n, rng.random() < 0.3)
        rest = self.safe_line()
        return Command(ours + [self.bytes(n) + end + rest.ours[0]], ours + [self.bytes(0) + b"z" * n + end + rest.theirs[0]],
                       rest.difference)

    def safe_line(self):
        """A line that stands behind a refused block, and is executed."""
        return self.rng.choice([self.unknown, self.get, self.delete, self.version])()

    def store_refused(self, verb):
        """Bad key, flags, exptime or cas: the block is swallowed."""
        rng = self.rng
        value = self.value()
        what = rng.randrange(4 if verb == b"cas" else 3)
        key = rng.choice(_LONG_KEYS) if what == 0 else self.key()
        flags = rng.choice(_BAD_FLAGS) if what == 1 else b"0"
        exptime = rng.choice(_BAD_EXPTIMES) if what == 2 else b"0"
        noreply = rng.random() < 0.3
        words = [verb, key, flags, exptime, b"%d" % len(value)]
        if verb == b"cas":
            words.append(rng.choice([b"abc", b"-1", b"1x", b""]) if what == 3 else b"1")
            if words[-1] == b"":
                words[-1] = b"noreply"
                noreply = True
        if noreply and words[-1] != b"noreply":
            words.append(b"noreply")
        return self.bad_line(b" ".join(words) + b"\r\n" + value + b"\r\n", "refused block", noreply)

    def store_bad_length(self, verb):
        """Nothing is swallowed: the block is executed."""
        rng = self.rng
        odd = rng.random() < 0.4
        length = rng.choice(_ODD_LENGTHS if odd else _BAD_LENGTHS)
        words = [verb, self.key(), b"0", b"0", length] + ([b"1"] if verb == b"cas" else [])
        noreply = rng.random() < 0.3
        line = b" ".join(words + ([b"noreply"] if noreply else [])) + b"\r\n"
        rest = self.safe_line()
        return Command([line] + rest.ours, [_BAD_LINE] + rest.theirs,
                       "odd length" if odd else "length error")

    def store_too_few(self, verb):
        words = [verb, self.key(), b"0", b"0"][:self.rng.randrange(1, 5)]
        return self.bad_line(self.line(*words), "too few")

    # ------------------------------------------------ retrieval

    def keys_some(self):
        rng = self.rng
        kind = rng.random()
        n = 1 if kind < 0.5 else rng.randrange(2, 8) if kind < 0.9 else rng.randrange(8, 60)
        return [rng.choice(self.keys) for _ in range(n)]

    def get(self):
        keys = self.keys_some()
        line = self.line(self.rng.choice([b"get", b"get", b"gets"]), *keys)
        return Command(line) if len(line) < 2000 else self.get()

    def get_odd(self):
        rng = self.rng
        verb = rng.choice([b"get", b"gets"])
        kind = rng.random()
        if kind < 0.4:
            return self.bad_line(verb + b" " * rng.randrange(0, 3) + self.eol(), "too few")
        if kind < 0.6:
            return Command(self.line(verb, *self.keys_some()[:5], b"noreply"))
        keys = self.keys_some()[:4]
        keys.insert(rng.randrange(len(keys) + 1), rng.choice(_LONG_KEYS))
        return self.bad_line(b" ".join([verb] + keys) + b"\r\n", "long key in get")

    def gat(self):
        rng = self.rng
        verb = rng.choice([b"gat", b"gats"])
        kind = rng.random()
        if kind < 0.8:
            return Command(self.line(verb, self.exptime(), *self.keys_some()[:20]))
        if kind < 0.87:
            return self.bad_line(self.line(*[verb, b"0"][:rng.randrange(1, 3)]), "too few")
        if kind < 0.92:
            line = b" ".join([verb, b"0", self.key(), rng.choice(_LONG_KEYS)]) + b"\r\n"
            return self.bad_line(line, "long key in get")
        if kind < 0.95:
            return Command(self.line(verb, b"abc", self.key()))
        ours = self.line(verb, b"1x", self.key())
        return Command(ours, b"touch k1 abc\r\n", "odd number")

    # ------------------------------------------------ others

    def arithmetic(self):
        """While a reply that holds the item is queued, memcached makes a new one, and the blanks behind the number
        are lost. So it is told to send what is queued first."""
        command = self.arithmetic_any()
        command.theirs = [b"mn\r\n"] + command.theirs
        return command

    def arithmetic_any(self):
        rng = self.rng
        verb = rng.choice([b"incr", b"decr"])
        noreply = [b"noreply"] if rng.random() < 0.12 else []
        kind = rng.random()
        key = self.key()
        if kind < 0.9:
            delta = rng.choice(self.deltas)
            line = self.line(verb, key, delta, *noreply)
            if not delta.isdigit() and delta not in (b"abc", b"-1"):
                return Command(line, b" ".join([verb, key, b"abc"] + noreply) + b"\r\n", "odd number")
            return Command(line)
        if kind < 0.93:
            return self.bad_line(self.line(*[verb, key][:rng.randrange(1, 3)]), "too few")
        if kind < 0.97:
            return Command(self.line(verb, rng.choice(_LONG_KEYS), b"1", *noreply))
        return Command(self.line(verb, key, b"1", b"x", b"y", *noreply),
                       b" ".join([verb, key, b"1"] + noreply) + b"\r\n", "too many")

    def touch(self):
        rng = self.rng
        noreply = [b"noreply"] if rng.random() < 0.12 else []
        kind = rng.random()
        key = self.key()
        if kind < 0.85:
            return Command(self.line(b"touch", key, self.exptime(), *noreply))
        if kind < 0.89:
            return self.bad_line(self.line(*[b"touch", key][:rng.randrange(1, 3)]), "too few")
        if kind < 0.92:
            return Command(self.line(b"touch", rng.choice(_LONG_KEYS), b"1", *noreply))
        if kind < 0.95:
            return Command(self.line(b"touch", key, b"abc", *noreply))
        if kind < 0.97:
            ours = self.line(b"touch", key, b"1x", *noreply)
            return Command(ours, b" ".join([b"touch", key, b"abc"] + noreply) + b"\r\n", "odd number")
        return Command(self.line(b"touch", key, b"10000", b"x", *noreply),
                       b" ".join([b"touch", key, b"10000"] + noreply) + b"\r\n", "too many")

    def delete(self):
        rng = self.rng
        noreply = [b"noreply"] if rng.random() < 0.12 else []
        kind = rng.random()
        key = self.key()
        if kind < 0.85:
            return Command(self.line(b"delete", key, *noreply))
        if kind < 0.9:
            return Command(self.line(b"delete", key, b"0", *noreply))
        if kind < 0.93:
            return Command(self.line(b"delete", rng.choice(_LONG_KEYS), *noreply))
        if kind < 0.95:
            return self.bad_line(self.line(b"delete"), "too few")
        return Command(self.line(b"delete", key, rng.choice([b"5", b"x", b"-1"]), *noreply),
                       b" ".join([b"delete", key] + noreply) + b"\r\n", "delete argument")

    def flush(self):
        rng = self.rng
        if self.configuration == "no-cas":  # there memcached spares what is as old as this second
            return self.version()
        kind = rng.random()
        if kind < 0.6:
            return Command(self.line(b"flush_all", *rng.choice([[], [b"0"], [b"-1"], [b"0", b"noreply"], [b"noreply"]])))
        if kind < 0.8:
            return Command(self.line(b"flush_all", rng.choice([b"abc", b"1x"])))
        # One that is never due. What an earlier one took must be gone first: memcached brings it back otherwise.
        short = [k for k in _KEYS if len(k) < 100]
        seen = b"get " + b" ".join(short) + b"\r\nget " + b"L" * 250 + b" " + b"M" * 249 + b"\r\n"
        return Command(seen + self.line(b"flush_all", b"%d" % rng.randrange(5000, 10000)))

    def stats(self):
        rng = self.rng
        if rng.random() < 0.5 or self.configuration == "no-dump":  # where 1.6.18 tells details nevertheless
            what = rng.choice([b"", b" items", b" slabs", b" settings", b" sizes", b" reset", b" conns", b" nosuch"])
        else:
            what = rng.choice([b" detail on", b" detail dump", b" detail off", b" detail", b" detail x"][2 * CLUSTER:])
        return Command(b"stats" + what + self.eol())

    def version(self):
        return Command(self.line(b"version"))

    def verbosity(self):
        if self.rng.random() < 0.3:
            return self.bad_line(self.line(b"verbosity"), "too few")
        return Command(self.line(b"verbosity", *self.rng.choice([[b"0"], [b"abc"], [b"0", b"0"]])))

    def unknown(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.25:
            return self.bad_line(rng.choice([b"", b"", b"x", b" ", b"\r", b"g"]) + b"\r\n", "short line")
        if kind < 0.3:
            return self.bad_line(b"\n", "short line")
        if kind < 0.5:
            line = b" " * rng.randrange(1, 4) + rng.choice([b"get k1", b"version", b"set k1 0 0 1", b"incr k1 1"])
            return Command(line + b"\r\n", _ERROR, "leading space")
        word = rng.choice([b"bogus", b"GET", b"Set", b"gett", b"getss", b"sets", b"xx", b"\x01\x02\x03", b"\xff\xfe", b"incrr",
                           b"get\tk1", b"delete\t", b"VALUE", b"config", b"\xe2\x82\xac"])
        words = [word] + [self.key() for _ in range(rng.randrange(0, 4))]
        if rng.random() < 0.1:
            return Command(self.line(*words, b"noreply"), b"", "unknown noreply")
        line = self.line(*words)
        return Command(line) if len(line) > 3 else self.bad_line(line, "short line")

    def shutdown(self):
        return Command(b"shutdown\r\n", b"shutdown\r\n", "shutdown text")

    def admin(self):
        rng = self.rng
        return Command(rng.choice([
            b"cache_memlimit\r\n", b"cache_memlimit 1\r\n", b"cache_memlimit abc\r\n"]))

    def last(self):
        """Ends the connection, or leaves it in the middle of something. It comes first, since memcached can
        lose the replies that are queued before it."""
        rng = self.rng
        if rng.random() < 0.5:
            return Command(rng.choice([b"set k1 0 0 10\r\nabc", b"get k", b"set k1 0 0 3\r\nabc\r", b"incr k1 1", b"s"]))
        return Command(rng.choice([
            b"quit\r\n", b"quit\n", b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.0\r\n", b"foo HTTP/\r\n", b"bar  x HTTP/1.1 \n"]))

    def command(self):
        kind = self.rng.random()
        for share, make in _MIX:
            kind -= share
            if kind < 0:
                return make(self)
        return self.get()


_MIX = [(0.34, Generator.store), (0.23, Generator.get), (0.03, Generator.get_odd), (0.06, Generator.gat),
        (0.11, Generator.arithmetic), (0.05, Generator.touch), (0.06, Generator.delete), (0.012, Generator.flush),
        (0.015, Generator.stats), (0.01, Generator.version), (0.01, Generator.verbosity), (0.03, Generator.unknown),
        (0.002, Generator.shutdown), (0.006, Generator.admin)]


def generate(rng, configuration, start):
    g = Generator(rng, configuration, start)
    kind = rng.random()
    if kind < 0.03:
        return _long_line(g)
    if kind < 0.1:
        return Batch([g.last()], rng.getrandbits(32))
    n = rng.choice([1, 3, 10, 50, 100, 100, 200, 400])
    commands = [g.command() for _ in range(n)]
    if rng.random() < 0.05:
        commands.append(Command(b"quit\r\n"))
    return Batch(commands, rng.getrandbits(32))


def _long_line(g):
    """Lines beyond 2 KiB, which a server sees whole when they come in one packet."""
    rng = g.rng
    kind = rng.randrange(3)
    if kind == 0:
        keys = [g.key() for _ in range(rng.randrange(300, 3000))]
        line = rng.choice([b"get ", b"gets "]) + b" ".join(keys) + b"\r\n"
        return Batch([Command(line), g.command()], rng.getrandbits(32))
    if kind == 1:
        return Batch([Command(rng.choice([b"set ", b"incr ", b"bogus", b"get" , b"gat 0 "]) + b"a" * rng.randrange(2100, 60000))],
                     rng.getrandbits(32), True)
    return Batch([Command(b"x" * 5000)], rng.getrandbits(32))


# ---------------------------------------------------------------- comparing

_SHUTDOWN = re.compile(rb"(?m)^ERROR: shutdown not enabled\r\n")
_CAS_LINE = re.compile(rb"VALUE [^ ]+ \d+ \d+ \d+\r\n")
_PREFIXES = re.compile(rb"(?:PREFIX [^\r\n]*\r\n)+")


def _sort_prefixes(reply):
    return _PREFIXES.sub(lambda m: b"\r\n".join(sorted(m.group().split(b"\r\n")))[2:] + b"\r\n", reply)


def compare(cas, theirs, ours):
    if b"shutdown not enabled" in theirs:
        theirs = _SHUTDOWN.sub(b"SERVER_ERROR: shutdown not enabled\r\n", theirs)
        ours = ours if not cas.itself else _SHUTDOWN.sub(b"SERVER_ERROR: shutdown not enabled\r\n", ours)
    if theirs == ours and not _CAS_LINE.search(theirs):
        return
    theirs, ours = differ.mask(theirs), differ.mask(ours)
    if b"PREFIX " in theirs:
        theirs, ours = _sort_prefixes(theirs), _sort_prefixes(ours)
    a, b = differ.units(theirs), differ.units(ours)
    a = [u for u in a if u[0] != b"MN"]
    if cas.itself:
        b = [u for u in b if u[0] != b"MN"]
    for at in range(max(len(a), len(b))):
        if at >= len(a) or at >= len(b) or not _same(cas, a[at], b[at]):
            chance = at < min(len(a), len(b)) and differ.blanks_only(a[at][1], b[at][1])
            raise Mismatch(differ.show_difference(a, b, at), chance)


def _same(cas, a, b):
    if a == b and not a[0].startswith(b"VALUE "):
        return True
    if a[1] != b[1]:
        return False
    x, y = a[0].split(b" "), b[0].split(b" ")
    if len(x) == 5 and len(y) == 5 and x[0] == b"VALUE":
        return x[:4] == y[:4] and cas.same(x[4], y[4])
    return x == y


if __name__ == "__main__":
    differ.main(sys.modules[__name__], 120000)
