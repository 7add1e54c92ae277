"""t/house/words.py: no function that is easy to misuse, nothing left to be finished, no path of one machine."""

import re

import house

# A file that names what is forbidden in order to forbid it.
EXEMPT = {"base/banned.h", "t/house/words.py", "t/house/test_rules.py"}

BANNED = re.compile(
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|strncpy|strncat|alloca)\s*\("
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\b([Ff]or now|[Pp]laceholder|[Ss]tubs?)\b")
MACHINE = re.compile(r"/(work|farm|root|home)/|/tmp/(?![\w.-]*X{6}|[\w.-]*%)")
OLD_COMMENT = re.compile(r"^\s*(/\*|//)?\s*(if|for|while|return)\b.*[;{]\s*(\*/)?$")


for path in house.files(house.ALL):
    if str(path) in EXEMPT:
        continue
    for number, line in house.lines(path):
        match = UNFINISHED.search(line)
        if match and path.suffix != ".md":
            house.find(path, number, f'"{match.group(0)}": finish it')
        match = MACHINE.search(line)
        if match:
            house.find(path, number, f'"{match.group(0)}" is a path of one machine')
    if path.suffix not in (".c", ".h"):
        continue
    for number, line in house.code_lines(path):
        match = BANNED.search(line)
        if match:
            house.find(path, number, f"{match.group(1)} is banned, see base/banned.h")
    for number, line in house.lines(path):
        if line.lstrip().startswith("//") and OLD_COMMENT.match(line):
            house.find(path, number, "code in a comment")
for name in house.TOP_FILES:
    if (house.root / name).exists():
        for number, line in house.lines(name):
            if MACHINE.search(line):
                house.find(name, number, "a path of one machine")
house.finish()
