"""listings: ls -l of many files, and of many images and links"""
import os
import subprocess
import time

import fat
from figure import LESS, NULL

SECONDS = 170


def ls(path):
    """Seconds of ls -l."""
    start = time.monotonic()
    subprocess.run(["ls", "-l", path], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def many_files(world):
    count = world.size(60000, 10000)
    source, local = world.directory("src-files"), world.directory("local-files/image/many")
    volume = fat.Volume(os.path.join(source, "image.img"), 70000, 512)
    volume.directory("many", [fat.entry("f%07d.txt" % number, 0x20, 0, 0) for number in range(count)])
    volume.close()
    for number in range(count):
        os.close(os.open(os.path.join(local, "f%07d.txt" % number), os.O_CREAT | os.O_WRONLY, 0o644))
    with world.mount(source), world.null_fs(directory=world.path("local-files")):
        path, null = world.path("mnt/image/many"), world.path("null/image/many")
        time.sleep(3)
        text = "ls -l of %s files" % format(count, ",")
        world.among(lambda: ls(path), [
            (world.figure(text, "s", LESS, "a local directory", target=("ours", 1), main=True), lambda: ls(local)),
            (world.figure(text, "s", LESS, NULL, target=("ratio", 1.15)), lambda: ls(null))], count=5)


def make_images(source, count, there=0):
    """So many, of which `there` are there."""
    content = fat.tiny()
    for number in range(there, count):
        fd = os.open(os.path.join(source, "image%06d.img" % number), os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(fd, content)
        os.ftruncate(fd, fat.TINY_BYTES)
        os.close(fd)


REST_SECONDS = 62  # of an image that has rested for so long a listing reads nothing (WAIT_TABLE_REST_NS)


def many_images(world, count, source, made):
    local, point, null = world.directory("local-images"), world.path("mnt"), world.path("null")
    for number in range(count):
        os.mkdir(os.path.join(local, "image%06d" % number))
        os.symlink("image%06d" % number, os.path.join(local, "%08x" % number))
    text = "%s images and as many links" % format(count, ",")

    def first():
        with world.mount(source):
            return ls(point)

    def first_of_null():
        with world.null_fs(directory=local):
            return ls(null)

    world.among(first, [
        (world.figure("first ls -l of %s" % text, "s", LESS, "local directories", target=("ours", 0.5)), lambda: ls(local)),
        (world.figure("first ls -l of %s" % text, "s", LESS, NULL), first_of_null)], count=3)
    with world.mount(source), world.null_fs(directory=local):
        time.sleep(max(0, made + REST_SECONDS - time.monotonic()))
        ls(point), ls(null)
        text += ", at rest for a minute"
        world.among(lambda: ls(point), [
            (world.figure("ls -l of %s" % text, "s", LESS, "local directories", target=("ours", 1), main=True), lambda: ls(local)),
            (world.figure("ls -l of %s" % text, "s", LESS, NULL, target=("ratio", 1.15)), lambda: ls(null))], count=5)


def run(world):
    count = world.size(10000, 2000)
    source = world.directory("src-images")
    make_images(source, count)
    for number in range(count):
        os.symlink("image%06d.img" % number, os.path.join(source, "%08x" % number))
    made = time.monotonic()
    many_files(world)
    many_images(world, count, source, made)
