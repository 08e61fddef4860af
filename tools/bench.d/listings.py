"""listings: ls -l of many files, and of many images and links"""
import os
import subprocess
import time

import fat
from figure import LESS

SECONDS = 110


def ls(path):
    """Seconds of ls -l."""
    start = time.monotonic()
    subprocess.run(["ls", "-l", path], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def many_files(world):
    count = world.size(60000, 10000)
    source, local = world.directory("src-files"), world.directory("local-files")
    volume = fat.Volume(os.path.join(source, "image.img"), 70000, 512)
    volume.directory("many", [fat.entry("f%07d.txt" % number, 0x20, 0, 0) for number in range(count)])
    volume.close()
    for number in range(count):
        os.close(os.open(os.path.join(local, "f%07d.txt" % number), os.O_CREAT | os.O_WRONLY, 0o644))
    with world.mount(source):
        path = world.path("mnt/image/many")
        time.sleep(3)
        figure = world.figure("ls -l of %s files" % format(count, ","), "s", LESS, "a local directory", target=("ours", 1),
                              main=True)
        world.pairs(figure, lambda: ls(path), lambda: ls(local), count=5)


def make_images(source, count, there=0):
    """So many, of which `there` are there."""
    content = fat.tiny()
    for number in range(there, count):
        fd = os.open(os.path.join(source, "image%06d.img" % number), os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(fd, content)
        os.ftruncate(fd, fat.TINY_BYTES)
        os.close(fd)


def many_images(world):
    count = world.size(10000, 2000)
    source, local = world.directory("src-images"), world.directory("local-images")
    make_images(source, count)
    for number in range(count):
        os.symlink("image%06d.img" % number, os.path.join(source, "%08x" % number))
        os.mkdir(os.path.join(local, "image%06d" % number))
        os.symlink("image%06d" % number, os.path.join(local, "%08x" % number))
    point = world.path("mnt")
    text = "%s images and as many links" % format(count, ",")

    def first():
        with world.mount(source):
            return ls(point)

    figure = world.figure("first ls -l of %s" % text, "s", LESS, "local directories", target=("ours", 0.5))
    world.pairs(figure, first, lambda: ls(local), count=3)
    with world.mount(source):
        ls(point)
        figure = world.figure("ls -l of %s" % text, "s", LESS, "local directories", target=("ours", 1), main=True)
        world.pairs(figure, lambda: ls(point), lambda: ls(local), count=5)


def run(world):
    many_files(world)
    many_images(world)
