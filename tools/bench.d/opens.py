"""opens: how soon a file that changed, or may have changed, is there"""
import os
import time

import fat
from figure import LESS
from world import first_byte, forget

SECONDS = 130
NOBODY_LOOKS = 7  # after so long imagefs does not listen to an image's writes any more, see WAIT_LISTEN_NS


def change(path, offset, number):
    """One sector of it, as a board writes."""
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, b"%08d" % number * 64, offset)
    os.close(fd)


def changed(world, source, agos=(0.1, 1, 8), where=""):
    """The first open after the file's own bytes changed so long ago, of an image that nobody was looking at."""
    names = ["board%d" % number for number in range(world.size(7, 3))]
    offsets, local = {}, world.path("local.txt")
    for name in names:
        volume = fat.Volume(os.path.join(source, name + ".img"), 5000, 512)
        offsets[name] = volume.write("config.txt", b"text" * 1024)
        volume.close()
    with open(local, "wb") as file:
        file.write(b"text" * 1024)
    opened = {name: world.path("mnt", name, "config.txt") for name in names}
    for number, ago in enumerate(agos):
        figure = world.figure("first open of a file that changed %g s ago%s" % (ago, where), "ms", LESS, "a local file",
                              target=("ours", 210 if ago < 0.4 else 5), main=ago == 1)
        for name in names:
            first_byte(opened[name])
        time.sleep(NOBODY_LOOKS)
        if ago > 2:  # all of them together
            for name in names:
                change(os.path.join(source, name + ".img"), offsets[name], number)
            time.sleep(ago)
        for name in names:
            if ago <= 2:
                change(os.path.join(source, name + ".img"), offsets[name], number)
                time.sleep(ago)
            figure.ours.append(first_byte(opened[name]))
            change(local, 0, number)
            figure.peer.append(first_byte(local))
        world.report(figure)


def known(world, image, offsets):
    """A file that was read before, when something else in the image has changed."""
    for mib, (name, other_offset) in offsets.items():
        path, local = world.path("mnt/image", name), world.path("local.%d" % mib)
        with open(local, "wb") as file:
            file.truncate(mib << 20)
        for temperature in ("warm", "cold"):
            counter = iter(range(1000000))

            def ours():
                first_byte(path)
                change(image, other_offset, next(counter))
                time.sleep(1)
                if temperature == "cold":
                    forget(image, path)
                return first_byte(path)

            def theirs():
                if temperature == "cold":
                    forget(local)
                return first_byte(local)

            figure = world.figure("open of a known file of %d MiB, another one changed, %s" % (mib, temperature), "ms", LESS,
                                  "a local file", target=("ours", 1), main=mib == 60 and temperature == "cold")
            world.pairs(figure, ours, theirs, count=7)


def beside_a_close(world, image, name, offset):
    """What is opened right after a large file was closed whose old bytes were kept."""
    path, small = world.path("mnt/image", name), world.path("mnt/image/config.txt")

    def take(rewrite):
        fd = os.open(path, os.O_RDONLY)
        os.pread(fd, 4096, 0)
        if rewrite:  # all of it: the old bytes are kept for the one that has it open
            with open(image, "r+b") as file:
                file.seek(offset)
                for _ in range(world.size(64, 16)):
                    file.write(os.urandom(1 << 20))
            time.sleep(1)
            first_byte(small)
        os.close(fd)
        return first_byte(small)

    figure = world.figure("open next to the close of a large file that was rewritten", "ms", LESS, "not rewritten")
    world.pairs(figure, lambda: take(True), lambda: take(False), count=5)


def run(world):
    source = world.directory("src")
    image = os.path.join(source, "image.img")
    volume = fat.Volume(image, 80000, 4096)
    volume.write("config.txt", b"text" * 1024)
    other = volume.write("other.txt", b"text" * 1024)
    first = volume.write("large60.bin", os.urandom(60 << 20))
    volume.write("large200.bin", os.urandom(world.size(200, 80) << 20))
    volume.close()
    os.sync()
    with world.mount(source):
        time.sleep(3)
        changed(world, source)
        known(world, image, {60: ("large60.bin", other), world.size(200, 80): ("large200.bin", other)})
        beside_a_close(world, image, "large60.bin", first)
    with world.mount(source, options=["changes=events"]):
        changed(world, source, agos=(8,), where=", where the kernel does not tell of writes")
