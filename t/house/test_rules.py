"""t/house/test_rules.py: each house rule finds the mistake that it is for, and nothing in a tree without."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
GOOD = {
    "base/slice.h": "/* base/slice.h: a slice. */\nint slice;\n",
    "slab/store.h": '/* slab/store.h: the store. */\n#include "base/slice.h"\n',
    "slab/item.h": '/* slab/item.h: an item. */\n#include "slab/store.h"\n',
    "proto/parse.c": '/* proto/parse.c */\n#include "base/slice.h"\n\nint x; /* time(NULL) */\n',
    "server/main.c": '#include <time.h>\n#include "slab/store.h"\n\nlong now = 0;\n',
    "t/slab/test_item.c": '#include "slab/item.h"\n#include "t/lib/unit.h"\n',
    "t/lib/unit.h": "\n",
    "script/go": "mktemp -d /tmp/ringcache-XXXXXX\n",
}
LONG = "int\nlong_one(void)\n{\n" + "\tx();\n" * 78 + "}\n"
SHORT = "int\nshort_one(void)\n{\n" + "\tx();\n" * 77 + "}\n"

TABLE = "\tstatic const int rows[] = {\n" + "\t    1,\n" * 90 + "\t};\n"

# rule, the file that is added, its text, a piece of the finding (None: there must be none)
CASES = [
    ("layers", "server/ok.c", '#include "slab/store.h"\n', None),
    ("layers", "base/up.c", '#include "slab/store.h"\n', "base must not know slab"),
    ("layers", "slab/side.c", '#include "proto/parse.h"\n', 'there is no "proto/parse.h"'),
    ("layers", "proto/side.c", '#include "slab/store.h"\n', "proto must not know slab"),
    ("layers", "server/deep.c", '#include "slab/item.h"\n', "inner header of slab"),
    ("layers", "slab/short.c", '#include "item.h"\n', "not written from the top"),
    ("layers", "slab/lib.c", '#include "t/lib/unit.h"\n', "is for tests"),
    ("layers", "t/proto/test_x.c", '#include "slab/store.h"\n', "proto must not know slab"),
    ("layers", "proto/net.c", "#include <sys/socket.h>\n", "must not use sys/socket.h"),
    ("layers", "proto/mt.c", "#include <pthread.h>\n", "must not use pthread.h"),
    ("layers", "slab/now.c", "long t = time(NULL);\n", "must not read or wait for a clock"),
    ("layers", "slab/later.c", "uint32_t exptime(int x);\n", None),
    ("sizes", "slab/ok.c", SHORT, None),
    ("sizes", "slab/long.c", LONG, "long_one has 81 lines"),
    ("sizes", "t/slab/long.c", LONG, "long_one has 81 lines"),
    ("sizes", "slab/table.c", SHORT.replace("{\n\tx();\n\tx();\n", "{\n" + TABLE, 1), None),
    ("sizes", "slab/table.c", LONG.replace("{\n", "{\n" + TABLE, 1), "long_one has 83 lines"),
    ("sizes", "slab/huge.c", "int x;\n" * 801, "801 lines"),
    ("sizes", "slab/full.c", "int x;\n" * 800, None),
    ("words", "slab/ok.c", 'f("see strcpy(3)"); my_strcpy(a);\n', None),
    ("words", "slab/copy.c", "x = strcpy (a, b);\n", "strcpy is banned"),
    ("words", "slab/later.c", "int x; /* TODO: more */\n", '"TODO": finish it'),
    ("words", "slab/now.c", "/* Linear for now. */\n", '"for now": finish it'),
    ("words", "doc/x.md", "run /home/me/ringcached\n", "a path of one machine"),
    ("words", "script/x", "cd /root/ringcache\n", "a path of one machine"),
    ("words", "slab/old.c", "// return 5;\n", "code in a comment"),
]


def run(rule, extra):
    with tempfile.TemporaryDirectory() as tree:
        for name, text in {**GOOD, **extra}.items():
            path = Path(tree) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        result = subprocess.run(
            [sys.executable, str(HERE / f"{rule}.py"), tree],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
    return result.returncode, result.stdout + result.stderr


failures = 0
for rule, name, text, finding in CASES:
    status, output = run(rule, {name: text})
    if finding is None:
        good = status == 0
    else:
        good = status == 1 and f"{name}:" in output and finding in output
    if not good:
        failures += 1
        print(f"{rule} on {name} ({finding}): status {status}\n{output}")
print(f"{len(CASES)} cases, {failures} failures")
sys.exit(1 if failures else 0)
