"""t/house/banned.py: what base/banned.h forbids does not compile, and the same line without it does."""

import os
import re
import shlex
import subprocess

import house

HEADER = "base/banned.h"

build = os.environ.get("RC_BUILDDIR", ".")
compiler = shlex.split(os.environ.get("CC", "cc")) + ["-std=gnu17", "-fsyntax-only", "-w"]
include = [f"-I{house.root}", f"-I{build}", "-include", str(house.root / HEADER)]


def compiles(name, options):
    text = f"void *f(void);\nvoid *f(void)\n{{\n\textern int {name}();\n\treturn (void *){name};\n}}\n"
    result = subprocess.run(
        [*compiler, *options, "-x", "c", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode == 0


for number, line in house.lines(HEADER):
    match = re.match(r"#pragma GCC poison (.*)", line)
    for name in match.group(1).split() if match else []:
        if compiles(name, include):
            house.find(HEADER, number, f"{name} compiles")
        if not compiles(name, []):
            house.find(HEADER, number, f"{name} does not compile even where it is not banned")
        print(name)
if not compiles("something_else", include):
    house.find(HEADER, 1, "nothing compiles with it")
house.finish()
