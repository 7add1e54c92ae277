"""t/house/layers.py: nothing points up, and what is a layer's own stays in it.

base <- slab, proto <- cluster <- server; only slab/store.h and slab/look.h leave slab; includes are written from the top; slab,
proto and cluster know no socket and read no clock, proto knows no thread."""

import re

import house

MAY = {
    "base": {"base"},
    "slab": {"base", "slab"},
    "proto": {"base", "proto"},
    "cluster": {"base", "slab", "proto", "cluster"},
    "server": {"base", "slab", "proto", "cluster", "server"},
    "ringctl": {"base", "cluster", "ringctl"},
    "bench": set(house.LAYERS) | {"bench"},
}
FACES = {"slab": {"slab/store.h", "slab/look.h"}}
SOCKETS = r"(sys/socket|sys/epoll|netinet/.*|arpa/.*|netdb|event2/.*|event|liburing)\.h"
NOT_FOR = {
    "slab": SOCKETS,
    "proto": SOCKETS + r"|pthread\.h|threads\.h|urcu.*|base/lock\.h",
    "cluster": SOCKETS,
}
CLOCKS = re.compile(r"\b(clock_gettime|gettimeofday|time|clock_nanosleep|nanosleep|usleep)\s*\(")
INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')


def layer_of(path):
    """A test of a layer may use what the layer may, and its inner headers."""
    parts = path.parts
    if parts[0] == "t":
        return parts[1] if len(parts) > 2 and parts[1] in house.LAYERS else None
    return parts[0]


def check_quoted(path, number, name):
    layer = layer_of(path)
    target = name.split("/")[0]
    if name == "config.h":
        return
    if "/" not in name or target not in house.CODE:
        house.find(path, number, f'"{name}" is not written from the top')
    elif not (house.root / name).exists():
        house.find(path, number, f'there is no "{name}"')
    elif target == "t" and path.parts[0] != "t":
        house.find(path, number, f'"{name}" is for tests')
    elif target == "t" or layer is None:
        return
    elif target not in MAY[layer]:
        house.find(path, number, f'{layer} must not know {target} ("{name}")')
    elif target != layer and target in FACES and name not in FACES[target]:
        house.find(path, number, f'"{name}" is an inner header of {target}')


for path in house.files(house.CODE, {".c", ".h"}):
    own = path.parts[0]
    for number, line in house.lines(path):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, name = match.groups()
        if quote == '"':
            check_quoted(path, number, name)
        if own in NOT_FOR and re.fullmatch(NOT_FOR[own], name):
            house.find(path, number, f"{own} must not use {name}")
    if own in NOT_FOR:
        for number, line in house.code_lines(path):
            if CLOCKS.search(line):
                house.find(path, number, f"{own} must not read or wait for a clock")
house.finish()
