#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fuzz tools/nobodd-boards: any bytes as nobodd's configuration.

usage: boards.py [--rounds N] [--seconds N] [--seed N] CORPUS

Each input is one of CORPUS as it is, or changed here and there. Whatever it is, the
program prints commands, or one line that says what is wrong; with --apply it makes
links in the directory of images, to what the boards say, and touches nothing else.
What the printed commands are is what a shell makes of them: the same links.
"""
import argparse
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import random
import shlex
import sys
import tempfile
import time

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "nobodd-boards")
WORDS = [b"[board:", b"]", b"\n", b"=", b"image", b"partition", b"ip", b"#", b"%(image)s", b"[DEFAULT]", b"\r", b"\0",
         b"1000000089025d75", b"abcd1234", b"..", b"/", b"jammy.img", b"noble", b"'", b"$(touch x)", b"\xc3\xbc", b"\xff",
         b" ", b"\t", b"-", b"partition = 99999999999999999999\n", b"[tftp]\nincludedir = .\n"]


def load_tool():
    loader = importlib.machinery.SourceFileLoader("nobodd_boards", TOOL)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("nobodd_boards", loader))
    loader.exec_module(module)
    return module


def mutate(rng, corpus):
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(data) + 1)
        choice = rng.randrange(4)
        if choice == 0:
            data[at:at] = rng.choice(WORDS)
        elif choice == 1:
            data[at:at + rng.randrange(8)] = b""
        elif choice == 2:
            data[at:at + 1] = bytes([rng.randrange(256)])
        else:
            other = rng.choice(corpus)
            start = rng.randrange(len(other) + 1)
            data[at:at] = other[start:start + rng.randrange(40)]
    return bytes(data)


def tree(top):
    """All below it: directories, links with their texts, files with their contents."""
    found = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            if os.path.islink(path):
                found[path] = ("link", os.readlink(path))
            elif os.path.isdir(path):
                found[path] = ("directory",)
            else:
                with open(path, "rb") as file:
                    found[path] = ("file", file.read())
    return found


def run(module, *arguments):
    """(status, out, err); whatever else it raises is a failure."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["nobodd-boards", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = module.main()
    return status, out.getvalue(), err.getvalue()


def links_of(commands):
    """What a shell would make of them."""
    words = shlex.split(commands, comments=True)
    assert len(words) % 4 == 0 and all(words[i:i + 2] == ["ln", "-s"] for i in range(0, len(words), 4)), commands
    return {words[i + 3]: ("link", words[i + 2]) for i in range(0, len(words), 4)}


def check(module, top, data):
    images, config = os.path.join(top, "images"), os.path.join(top, "etc", "nobodd.conf")
    with open(config, "wb") as file:
        file.write(data.replace(b"/srv/images", images.encode()))
    before = tree(top)
    status, commands, err = run(module, "--images", images, config)
    assert tree(top) == before, "printing changed something"
    assert status in (0, 1) and err.count("\n") == status, (status, err)
    assert status == 1 or commands
    applied, out, _ = run(module, "--images", images, "--apply", config)
    assert applied == status and out == "", (applied, out)
    after = tree(top)
    made = {path: what for path, what in after.items() if before.get(path) != what}
    assert set(before) <= set(after) and all(before[path] == after[path] for path in before)
    if status == 1:
        assert not made, made
        return
    printed = links_of(commands)
    assert all(os.path.dirname(path) == images and made[path] == printed.get(path) for path in made), (made, printed)
    for path in made:
        os.unlink(path)


def prepare(top):
    os.mkdir(os.path.join(top, "etc"))
    os.mkdir(os.path.join(top, "images"))
    for name in "jammy.img", "noble", "it's.img":
        with open(os.path.join(top, "images", name), "wb") as file:
            file.write(name.encode())
    with open(os.path.join(top, "elsewhere.raw"), "wb") as file:
        file.write(b"elsewhere")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.dont_write_bytecode = True
    module, rng, corpus = load_tool(), random.Random(arguments.seed), []
    for name in sorted(os.listdir(arguments.corpus)):
        with open(os.path.join(arguments.corpus, name), "rb") as file:
            corpus.append(file.read())
    end, count = time.monotonic() + arguments.seconds, 0
    with tempfile.TemporaryDirectory() as top:
        prepare(top)
        while count < len(corpus) + arguments.rounds or time.monotonic() < end:
            data = corpus[count] if count < len(corpus) else mutate(rng, corpus)
            try:
                check(module, top, data)
            except BaseException:
                print("fails on %r" % data, file=sys.stderr)
                raise
            count += 1
    print("%d inputs" % count)


if __name__ == "__main__":
    main()
