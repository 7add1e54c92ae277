"""t/house/sizes.py: no file above 800 lines, no function above 80, and the median of all functions is told.

The rows of a constant table inside a function are data and do not count."""

import re
import statistics

import house

FILE_MAX = 800
FUNCTION_MAX = 80
NAME = re.compile(r"(\w+)\(")
TABLE = re.compile(r"\tstatic const .*\{$")


def functions(path):
    """Name, first line and length of each function: from its name in column 1 to its '}' in column 1."""
    name, begin, table, rows = None, 0, None, 0
    for number, line in house.code_lines(path):
        match = NAME.match(line)
        if match:
            name, begin, rows = match.group(1), number, 0
        elif name and TABLE.match(line):
            table = number
        elif table and line.startswith("\t};"):
            rows += number - table - 1
            table = None
        elif line.startswith("}") and name:
            yield name, begin, number - begin + 1 - rows
            name = None
        elif line.rstrip().endswith(";") and not line[:1].isspace():
            name = None


lengths = []
for path in house.files(house.CODE, {".c", ".h", ".py", ".sh"}):
    count = len(house.lines(path))
    if count > FILE_MAX:
        house.find(path, count, f"{count} lines, {FILE_MAX} are the most")
    if path.suffix not in (".c", ".h"):
        continue
    for name, begin, length in functions(path):
        if path.parts[0] != "t":
            lengths.append(length)
        if length > FUNCTION_MAX:
            house.find(path, begin, f"{name} has {length} lines, {FUNCTION_MAX} are the most")
if lengths:
    print(f"{len(lengths)} functions, median {statistics.median(lengths):.0f} lines")
house.finish()
