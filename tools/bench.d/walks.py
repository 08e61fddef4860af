"""walks: open, read and close of a small file three directories deep, against the cheapest FUSE filesystem"""
import contextlib
import os
import subprocess
import sys
import time

import fat
from figure import LESS
from world import Skip

SECONDS = 70
COUNT = 3000


def make(source):
    """image.img with a/b/c/f, and the link serial: as null_fs has it."""
    volume = fat.Volume(os.path.join(source, "image.img"), 70000, 512)
    entries = []
    volume.write("f", os.urandom(4096), into=entries)
    for name in "cba":
        above = []
        volume.directory(name, entries, into=above)
        entries = above
    volume.entries = entries
    volume.close()
    os.symlink("image.img", os.path.join(source, "serial"))


@contextlib.contextmanager
def busy_loop():
    """Of somebody who should be in nobody's way."""
    with subprocess.Popen(["chrt", "--idle", "0", sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def run(world):
    source, local = world.directory("src"), world.directory("local/a/b/c")
    make(source)
    with open(os.path.join(local, "f"), "wb") as file:
        file.write(os.urandom(4096))
    count = world.size(COUNT, 500)
    for text, prefix, busy in (("on one CPU", ["taskset", "-c", "0"], False), ("wherever they run", [], False),
                               ("beside a busy loop at idle priority", [], True)):
        with busy_loop() if busy else contextlib.nullcontext(), world.mount(source, prefix=prefix):
            path = world.path("mnt/serial/a/b/c/f")
            time.sleep(4)  # until it is believed that the image is at rest

            def ours():
                return world.timed("open", path, count, prefix)[0]

            def local_file():
                return world.timed("open", os.path.join(local, "f"), count, prefix)[0]

            try:
                null = world.null_fs(prefix=prefix)
            except Skip as reason:
                world.skip(reason)
                null = None
            with null or contextlib.nullcontext():
                figure = world.figure("open, read, close three deep, %s" % text, "us", LESS,
                                      "a FUSE daemon that does nothing", target=("ratio", 1.1), main=not busy)
                if null:
                    world.pairs(figure, ours,
                                lambda: world.timed("open", world.path("null/serial/a/b/c/f"), count, prefix)[0])
            figure = world.figure("open, read, close three deep, %s" % text, "us", LESS, "a local file")
            world.pairs(figure, ours, local_file, count=5)
