"""t/house/headers.py: every header compiles alone and twice. X-macro tables (tbl/) are no headers."""

import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

import house

command = shlex.split(os.environ.get("CC", "cc")) + [
    "-std=gnu17",
    "-D_GNU_SOURCE",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-function",
    "-fsyntax-only",
    f"-I{house.root}",
    f"-I{os.environ.get('RC_BUILDDIR', '.')}",
]
command += shlex.split(os.environ.get("RC_LIB_CFLAGS", "")) + ["-x", "c", "-"]


def compile_alone(path):
    text = f'#include "{path}"\n#include "{path}"\n'
    return path, subprocess.run(command, input=text, capture_output=True, text=True, check=False)


headers = [p for p in house.files(house.CODE, {".h"}) if "tbl" not in p.parts]
headers = [p for p in headers if str(p) != "base/banned.h"]
with ThreadPoolExecutor(2) as pool:
    for path, result in pool.map(compile_alone, headers):
        if result.returncode != 0:
            house.find(path, 1, "does not compile alone:\n" + result.stderr)
print(f"{len(headers)} headers")
house.finish()
