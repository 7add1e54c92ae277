"""t/house/house.py: what the house rules share: which files there are, and how a finding is told.

A rule is a program that prints each finding as "file:line: text" and ends with 1 where it found something.
Its tree is $srcdir, or the directory given as its argument (test_rules.py gives it trees with mistakes)."""

import os
import re
import sys
from pathlib import Path

LAYERS = ("base", "slab", "proto", "cluster", "server")
CODE = LAYERS + ("ringctl", "t", "bench")
ALL = CODE + ("script", "doc", "contrib", ".ci")
TOP_FILES = ("README.md", "Makefile.am", "configure.ac")
SKIPPED = 77

root = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("srcdir", "."))
findings = 0


def files(folders, suffixes=None):
    """The files of these folders, as paths from the top, in order; not what a build in the tree leaves there."""
    found = []
    for folder in folders:
        for path, names, entries in os.walk(root / folder):
            names[:] = sorted(n for n in names if n not in ("__pycache__", ".deps", "corpus"))
            found += [Path(path) / entry for entry in entries if not entry.endswith((".a", ".log", ".o", ".trs"))]
    return sorted(
        p.relative_to(root) for p in found if suffixes is None or p.suffix in suffixes
    )


def lines(path):
    """The lines of a text file, numbered from 1; none where it is not text."""
    try:
        return list(enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1))
    except UnicodeDecodeError:
        return []


def code_lines(path):
    """The same without C comments and the contents of strings."""
    text = "\n".join(line for _, line in lines(path))

    def blank(match):
        kept = match.group(0)
        if kept.startswith("/"):
            return re.sub(r"[^\n]", " ", kept)
        return kept[0] + kept[0]

    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return list(enumerate(re.sub(pattern, blank, text, flags=re.S).split("\n"), 1))


def find(path, number, text):
    global findings
    findings += 1
    print(f"{path}:{number}: {text}")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def finish():
    print(f"{findings} findings" if findings else "nothing found")
    sys.exit(1 if findings else 0)
