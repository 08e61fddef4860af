#!/usr/bin/env python3
"""arrows.py - do all includes point the way that the house says?

usage: arrows.py [TOP]

  folders   base < fat < part < pi; cache/device < cache/changes < cache/tree above
            part; fuse/process < fuse/names < fuse/control < fuse above these. A
            file includes from its own folder and from those below.
  pi        includes base only.
  tools     may include base, fat, part, pi and cache, never fuse; tools/prep not what is
            in tools; tools/storm base only.
  libfuse   is included below fuse/ only.
  circles   inside a folder x.c and x.h are one node; the graph has none.
  headers   each .c has a header of its own name, except main.c.

Prints every finding; exits 1 if there is one that is not in arrows.allow (one
finding a line, as it is printed). What is allowed and not found any more is
named, and can be taken from the list.
"""

import pathlib
import re
import sys

BELOW = {
    "base": [],
    "fat": ["base"],
    "part": ["base", "fat"],
    "pi": ["base"],
    "cache/device": ["base", "fat", "part"],
    "cache/changes": ["base", "fat", "part", "cache/device", "cache/changes/formats"],
    "cache/changes/formats": ["base"],
    "cache/tree": ["base", "fat", "part", "cache/device", "cache/changes"],
    "tools": ["base", "fat", "part", "pi", "cache/device", "cache/changes", "cache/changes/formats", "cache/tree"],
}
CORE = [*(folder for folder in BELOW if folder != "tools")]
BELOW["tools/prep"] = BELOW["tools"]
BELOW["tools/storm"] = ["base"]
BELOW["tools"] = [*BELOW["tools"], "tools/prep", "tools/storm"]
BELOW["fuse/process"] = CORE
BELOW["fuse/names"] = [*CORE, "fuse/process"]
BELOW["fuse/control"] = [*CORE, "fuse/process", "fuse/names"]
BELOW["fuse"] = [*CORE, "fuse/process", "fuse/names", "fuse/control"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.MULTILINE)
LIBFUSE = re.compile(r"^(fuse3?/)?(fuse|fuse_lowlevel|fuse_opt|fuse_common|fuse_kernel)\.h$|^linux/fuse\.h$")


def folder_of(path):
    """The folder of the house that a file is in, the deepest one; None: none of them."""
    for parent in path.parents:
        if parent.as_posix() in BELOW:
            return parent.as_posix()
    return None


def includes_of(top, path):
    """(is it ours, the file or the name) of each include."""
    for bracket, name in INCLUDE.findall((top / path).read_text(errors="replace")):
        beside, from_top = path.parent / name, pathlib.PurePosixPath(name)
        if bracket == '"' and (top / beside).is_file():
            yield True, beside
        elif (top / from_top).is_file():
            yield True, from_top
        else:
            yield False, name


def node_of(path):
    return path.with_suffix("").as_posix()


def circle_in(graph):
    """One circle of the graph as a list of nodes, or None. Each node is left once."""
    done, stack = set(), []

    def visit(node):
        if node in stack:
            return stack[stack.index(node):] + [node]
        if node in done:
            return None
        stack.append(node)
        for following in sorted(graph.get(node, ())):
            circle = visit(following)
            if circle:
                return circle
        done.add(stack.pop())
        return None

    for node in sorted(graph):
        circle = visit(node)
        if circle:
            return circle
    return None


def circles_of(graph):
    """Circles until none is left: of each, the last edge is taken away."""
    graph = {node: set(following) for node, following in graph.items()}
    while circle := circle_in(graph):
        graph[circle[-2]].discard(circle[-1])
        yield circle


def check_includes(top, path, graph):
    folder = folder_of(path)
    for ours, target in includes_of(top, path):
        if not ours:
            if LIBFUSE.match(target) and folder.split("/")[0] != "fuse":
                yield f"libfuse: {path} includes {target}"
            continue
        other = folder_of(target)
        if other == folder:
            if node_of(target) != node_of(path):
                graph.setdefault(folder, {}).setdefault(node_of(path), set()).add(node_of(target))
        elif other not in BELOW[folder]:
            yield f"arrow: {path} includes {target}"


def findings(top):
    graph = {}
    roots = sorted({folder.split("/")[0] for folder in BELOW})
    for root in roots:
        for path in sorted((top / root).rglob("*.[ch]")):
            path = path.relative_to(top)
            yield from check_includes(top, pathlib.PurePosixPath(path.as_posix()), graph)
            if root != "tools" and path.suffix == ".c" and path.name != "main.c":
                if not (top / path.with_suffix(".h")).is_file():
                    yield f"header: {path} has none of its name"
    for folder in sorted(graph):
        for circle in circles_of(graph[folder]):
            yield "circle: " + " -> ".join(circle)


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0
    here = pathlib.Path(__file__).resolve().parent
    top = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) == 2 else here.parent.parent
    allow = here / "arrows.allow"
    allowed = set(allow.read_text().splitlines()) if allow.is_file() else set()
    found = list(findings(top))
    for finding in found:
        print(finding + ("  (allowed)" if finding in allowed else ""))
    for finding in sorted(allowed - set(found)):
        print(f"allowed, but not found any more: {finding}")
    return 1 if set(found) - allowed else 0


sys.exit(main())
