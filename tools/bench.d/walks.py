"""walks: open, read and close of a small file three directories deep, against the cheapest FUSE filesystem"""
import contextlib
import os
import subprocess
import sys
import time

import fat
from figure import LESS, NULL

SECONDS = 70
COUNT = 3000


def make(source):
    """image.img with a/b/c/f, and the link serial."""
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


def make_local(directory):
    """The same for a local filesystem, and for null_fs. Returns the file."""
    os.makedirs(os.path.join(directory, "image/a/b/c"))
    os.symlink("image", os.path.join(directory, "serial"))
    with open(os.path.join(directory, "image/a/b/c/f"), "wb") as file:
        file.write(os.urandom(4096))


def run(world):
    source, local = world.directory("src"), world.path("local")
    make(source)
    make_local(local)
    count = world.size(COUNT, 500)
    for text, prefix, busy in (("on one CPU", ["taskset", "-c", "0"], False), ("wherever they run", [], False),
                               ("beside a busy loop at idle priority", [], True)):
        with busy_loop() if busy else contextlib.nullcontext(), world.mount(source, prefix=prefix), \
                world.null_fs(directory=local, prefix=prefix):
            time.sleep(4)  # until it is believed that the image is at rest

            def take(where):
                return world.timed("open", world.path(where, "serial/a/b/c/f"), count, prefix)[0]

            text = "open, read, close three deep, %s" % text
            world.among(lambda: take("mnt"), [
                (world.figure(text, "us", LESS, NULL, target=("ratio", 1.1), main=not busy), lambda: take("null")),
                (world.figure(text, "us", LESS, "a local file"), lambda: take("local"))])
