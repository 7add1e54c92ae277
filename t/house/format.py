"""t/house/format.py: the C code is as clang-format 14 with the tree's .clang-format would write it.

Tables (tbl/) are exempt: their columns are set by hand. make format rewrites what is not in form."""

import shutil
import subprocess

import house

VERSION = "14"

program = shutil.which("clang-format-14") or shutil.which("clang-format")
if program is None:
    house.skip("there is no clang-format")
version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
if f"version {VERSION}." not in version:
    house.skip(f"clang-format is not version {VERSION}: {version.strip()}")
sources = [str(p) for p in house.files(house.CODE, {".c", ".h"}) if "tbl" not in p.parts]
result = subprocess.run(
    [program, "--dry-run", "-Werror", *sources],
    cwd=house.root,
    capture_output=True,
    text=True,
    check=False,
)
if result.returncode != 0:
    print(result.stderr)
    house.findings = result.stderr.count("clang-format-violations")
house.finish()
