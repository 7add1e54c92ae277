#!/usr/bin/python3
"""What several clients see of one key fits together: counters, compare-and-swap, locks, appends, torn values.

    single_key.py [--seconds S] [--only NAME]

Each client is a process with a connection of its own, which notes when it asked and when it was answered. Every write is
unique, so the checks are linear in the history. Each story runs on an ample server, and again on a small one while
another client fills it with other items, so that all is evicted now and then: then a miss is right, another key's
or an older value is not.
"""

import argparse
import multiprocessing
import os
import random
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import testlib

CLIENTS = 4
FORK = multiprocessing.get_context("fork")


class Going:
    """Whether a client goes on: for SECONDS, and on a busy machine until each of them has done enough. WAITING: how many have not."""

    def __init__(self, seconds, waiting):
        self.ends = time.monotonic() + seconds
        self.latest = self.ends + testlib.PATIENCE
        self.waiting = waiting
        self.has_enough = False

    def __call__(self, done=0, enough=0):
        if not self.has_enough and done >= enough:
            self.has_enough = True
            with self.waiting.get_lock():
                self.waiting.value -= 1
        now = time.monotonic()
        return now < self.ends or (self.waiting.value > 0 and now < self.latest)


def clients(port, work, seconds, *arguments):
    """Runs WORK(connection, number, going, ...) in CLIENTS processes; what they return, in order."""
    pipes, processes = [], []
    waiting = FORK.Value("i", CLIENTS)
    for number in range(CLIENTS):
        mine, theirs = FORK.Pipe(False)
        p = FORK.Process(target=_client, args=(theirs, port, work, number, seconds, waiting) + arguments)
        p.start()
        theirs.close()
        pipes.append(mine)
        processes.append(p)
    results = [pipe.recv() for pipe in pipes]
    for p in processes:
        p.join()
    for r in results:
        if isinstance(r, str):
            raise AssertionError(r)
    return results


def _client(pipe, port, work, number, seconds, waiting, *arguments):
    try:
        with testlib.Connection(port) as c:
            pipe.send(work(c, number, Going(seconds, waiting), *arguments))
    except BaseException:
        pipe.send("client %d: %s" % (number, traceback.format_exc()))


def in_real_time_order(history):
    """HISTORY: (begin, end, number). Who was answered before another asked has the smaller number."""
    by_end = sorted(history, key=lambda h: h[1])
    done = 0
    highest = -1
    for begin, end, number in sorted(history):
        while done < len(by_end) and by_end[done][1] < begin:
            highest = max(highest, by_end[done][2])
            done += 1
        if number <= highest:
            return "%d was handed out after %d had been" % (number, highest)
    return None


# ---------------------------------------------------------------- the stories: (work, check)

def counter(c, number, going, lock):
    history = []
    while going(len(history), 1):
        begin = time.monotonic_ns()
        reply = c.ask(b"incr counter 1\r\n")
        if reply == b"NOT_FOUND\r\n":
            with lock:  # what an earlier life of the counter gave out is less than the time
                c.ask(b"add counter 0 0 19\r\n%019d\r\n" % time.monotonic_ns())
            continue
        history.append((begin, time.monotonic_ns(), int(reply)))
    return history


def counter_check(results, evicting):
    history = [h for r in results for h in r]
    numbers = [h[2] for h in history]
    if len(set(numbers)) != len(numbers):
        return "a number was handed out twice"
    if not evicting and max(numbers) - min(numbers) != len(numbers) - 1:
        return "numbers are missing"
    return in_real_time_order(history)


def swap(c, number, going, lock):
    """Replaces the value V by V + 1 with cas: the successes are one chain."""
    won = []
    while going(len(won), 1):
        c.send(b"gets swap\r\n")
        head = c.line()
        if head == b"END\r\n":
            with lock:
                c.ask(b"add swap 0 0 19\r\n%019d\r\n" % time.monotonic_ns())
            continue
        cas = head.split()[4]
        value = int(c.exactly(21))
        c.line()
        begin = time.monotonic_ns()
        reply = c.ask(b"cas swap 0 0 19 %s\r\n%019d\r\n" % (cas, value + 1))
        if reply == b"STORED\r\n":
            won.append((begin, time.monotonic_ns(), value + 1, int(cas)))
        elif reply not in (b"EXISTS\r\n", b"NOT_FOUND\r\n"):
            raise AssertionError(reply)
    return won


def swap_check(results, evicting):
    won = [w for r in results for w in r]
    if len(set(w[2] for w in won)) != len(won):
        return "two clients swapped the same value"
    if len(set(w[3] for w in won)) != len(won):
        return "two clients swapped with the same cas number"
    if not evicting and sorted(w[2] for w in won) != list(range(min(w[2] for w in won), min(w[2] for w in won) + len(won))):
        return "the chain has a gap"
    return in_real_time_order([w[:3] for w in won])


def mutex(c, number, going, lock, inside):
    """Whoever can add the key holds the lock until it deletes it."""
    taken = 0
    while going(taken, 10):
        if c.ask(b"add mutex 0 0 1\r\n%d\r\n" % number) != b"STORED\r\n":
            continue
        if inside.value:
            raise AssertionError("two clients hold the lock")
        inside.value = 1
        taken += 1
        inside.value = 0
        reply = c.ask(b"delete mutex\r\n")
        if reply != b"DELETED\r\n":
            raise AssertionError("the lock was gone: %r" % reply)
    return taken


def mutex_check(results, evicting):
    return None if sum(results) > 10 else "the lock was taken %d times only" % sum(results)


# Long from the start: copying it takes long enough for others to come in between, again and again.
RECORDS_BEFORE = 500000


def records(c, number, going, lock):
    """Appends and prepends records; returns how many of either were accepted."""
    front = back = 0
    while going() and front + back < 12000:
        if (front + back) % 3:
            back += c.ask(b"append records 0 0 10\r\n>%d.%07d\r\n" % (number, back)) == b"STORED\r\n"
        else:
            front += c.ask(b"prepend records 0 0 10\r\n<%d.%07d\r\n" % (number, front)) == b"STORED\r\n"
    return front, back


def records_check(results, evicting, value):
    words = [value[i:i + 10] for i in range(0, len(value), 10)]
    for number, (front, back) in enumerate(results):
        seen = [w for w in words if w[:3] == b">%d." % number]
        if seen != [b">%d.%07d" % (number, n) for n in range(back)]:
            return "client %d: %d records appended, %d found or in another order" % (number, back, len(seen))
        seen = [w for w in words if w[:3] == b"<%d." % number]
        if seen != [b"<%d.%07d" % (number, n) for n in reversed(range(front))]:
            return "client %d: %d records prepended, %d found or in another order" % (number, front, len(seen))
    return None


TORN_SIZES = [1, 7, 40, 100, 1000, 4000, 20000, 70000, 300000, 900000]


def torn(c, number, going, lock):
    """Values of one letter and many sizes over each other, read by all."""
    rng = random.Random(number)
    count = 0
    while going(count, 50):
        key = b"torn%d" % rng.randrange(6)
        if rng.random() < 0.4:
            size = rng.choice(TORN_SIZES)
            letter = bytes([rng.randrange(97, 123)])
            reply = c.set(key, letter * size, flags=letter[0] * 10000000 + size)
            if reply != b"STORED\r\n":
                raise AssertionError(reply)
            continue
        c.send(b"get %s\r\n" % key)
        head = c.line()
        if head == b"END\r\n":
            continue
        _, name, flags, size = head.split()
        value = c.exactly(int(size) + 2)
        if c.line() != b"END\r\n" or name != key or value[-2:] != b"\r\n":
            raise AssertionError("out of step: %r" % head)
        letter, right = int(flags) // 10000000, int(flags) % 10000000
        if int(size) != right or value.count(letter) != right:
            raise AssertionError("a torn value: %r with %r..." % (head, value[:80]))
        count += 1
    return count


def torn_check(results, evicting):
    return None if sum(results) > 100 else "only %d reads" % sum(results)


def register(c, number, going, lock, acknowledged):
    """One client writes growing numbers, the others never see an older one than they could."""
    last = seen = 0
    n = 0
    while going(n + seen, 60):
        if number == 0:
            n += 1
            size = 20 if n % 3 else 5000
            if c.ask(b"set register 0 0 %d\r\n%s\r\n" % (size, b"%020d" % n + b"x" * (size - 20))) != b"STORED\r\n":
                raise AssertionError("not stored")
            acknowledged.value = n
            continue
        floor = max(last, acknowledged.value)
        value = c.get(b"register")
        if value is None:
            continue
        last = int(value[:20])
        seen += 1
        if last < floor:
            raise AssertionError("read %d after %d had been written or read" % (last, floor))
    return n + seen


def register_check(results, evicting):
    return None if min(results) > 50 else "too few reads or writes: %s" % results


def vivify(c, number, going, lock):
    """Everybody asks for the same missing keys: one wins each."""
    won = []
    n = 0
    while going() and n < 6000:
        n += 1
        c.send(b"mg vivify%d N30 v\r\n" % n)
        head = c.line()
        c.exactly(int(head.split()[1]) + 2)
        if head.endswith(b" W\r\n"):
            won.append(n)
        elif not head.endswith(b" Z\r\n"):
            raise AssertionError("%r" % head)
    return n, won


def vivify_check(results, evicting):
    won = sorted(w for _, ws in results for w in ws)
    if len(set(won)) != len(won):
        return "two clients won the same key"
    if won[:max(n for n, _ in results)] != list(range(1, max(n for n, _ in results) + 1)):
        return "keys without a winner"
    return None


# name, work, check, also while evicting
STORIES = [
    ("counter", counter, counter_check, True),
    ("swap", swap, swap_check, True),
    ("mutex", mutex, mutex_check, False),
    ("records", records, records_check, False),
    ("torn", torn, torn_check, True),
    ("register", register, register_check, True),
    ("vivify", vivify, vivify_check, False),
]


def filler(port, stop, seed):
    """Keeps memory full and moving until told to stop."""
    rng = random.Random(seed)
    block = rng.randbytes(1 << 20)
    with testlib.Connection(port) as c:
        n = 0
        while not stop.is_set():
            size = rng.choice([50, 100, 1000, 10000, 100000, 600000])
            lines = []
            for _ in range(max(1, min(200, 400000 // size))):
                n += 1
                lines.append(b"set fill%d 0 0 %d noreply\r\n%s\r\n" % (n % 200000, size, block[:size]))
            c.send(b"".join(lines) + b"version\r\n")
            c.line()


def tell(server, story, seconds, evicting):
    name, work, check, _ = story
    lock = FORK.Lock()
    extra = [lock]
    if work in (mutex, register):
        extra.append(FORK.Value("q", 0, lock=False))
    with server.connect() as c:
        if work is records:
            c.set(b"records", b"." * RECORDS_BEFORE)
        elif work is not torn and work is not register:
            c.ask(b"delete %s\r\n" % name.encode())
        begun = time.monotonic()
        results = clients(server.port, work, seconds, *extra)
        more = [c.get(b"records")] if work is records else []
    wrong = check(results, evicting, *more)
    size = sum(len(r) if isinstance(r, list) else sum(x if isinstance(x, int) else 0 for x in r)
               if isinstance(r, tuple) else r for r in results)
    print("%-10s %-9s %8d in %4.1f s  %s" % (name, "evicting" if evicting else "", size,
                                             time.monotonic() - begun, wrong or "ok"))
    sys.stdout.flush()
    return 1 if wrong else 0


def round_of(options, stories, seconds, evicting):
    failures = 0
    server = testlib.ringcached(options)
    stop = FORK.Event()
    fill = None
    if evicting:
        fill = FORK.Process(target=filler, args=(server.port, stop, 1))
        fill.start()
    try:
        if evicting:
            testlib.wait_for(lambda: int(server.stats()["evictions"]) > 0, "evictions")
        for story in stories:
            try:
                failures += tell(server, story, seconds, evicting)
            except (AssertionError, EOFError, OSError) as e:
                failures += 1
                print("%-10s FAILED: %s%s" % (story[0], e, "" if server.alive() else
                                              "\nthe server has ended: " + server.output()[-3000:]))
    finally:
        stop.set()
        if fill:
            fill.join(testlib.PATIENCE)
    if evicting and server.alive():
        print("%s evictions meanwhile" % server.stats()["evictions"])
    if server.alive():
        server.stop()
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("CONSISTENCY_SECONDS", "1.5")))
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    stories = [s for s in STORIES if arguments.only in s[0]]
    failures = round_of(["-m", "256", "-t", "3"], stories, arguments.seconds, False)
    failures += round_of(["-m", "32", "-t", "3"], [s for s in stories if s[3]], arguments.seconds, True)
    print("%d failures" % failures)
    sys.exit(1 if failures or not stories else 0)


if __name__ == "__main__":
    main()
