#!/usr/bin/python3
"""Makes the states that the coherence tests move a FAT partition through.

  mkstates.py DIRECTORY [--kernel KIB] [--bits 12|16|32] [--mib N] [--seed N]

Writes DIRECTORY/N.img (a partitioned image, all of one size) and N.files, for
N from 0 on. Each state is the one before it after one update that boards make,
done by mtools on a copy: a file replaced in place, by rename, grown, shrunk,
deleted and created again, directories changed. Any state may follow any other:
a writer sends the blocks that differ.

N.files has one line a file or directory, from an independent reading of the
image (fatedit.py) that is held against what mtools reads:

  f ENTRY SIZE OFFSET:LENGTH,... PATH     places are bytes from the image's start
  d ENTRY 0 - PATH
"""
import argparse
import os
import random
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fatedit import Fat  # noqa: E402

START = 1 << 20
DAY = 1700000000  # every file has this time, so that it tells nothing


def run(*command, data=None):
    subprocess.run(command, input=data, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL if command[0] == "mkfs.fat" else None)


class Image:
    def __init__(self, path, scratch):
        self.path, self.fat, self.scratch = path, path + "@@1M", scratch

    def put(self, name, data):
        with open(self.scratch, "wb") as file:
            file.write(data)
        os.utime(self.scratch, (DAY, DAY))
        run("mcopy", "-m", "-o", "-Q", "-i", self.fat, self.scratch, "::" + name)

    def get(self, name):
        return subprocess.run(["mcopy", "-Q", "-i", self.fat, "::" + name, "-"], check=True,
                              stdout=subprocess.PIPE).stdout

    def delete(self, name):
        run("mdel", "-i", self.fat, "::" + name)

    def rename(self, old, new):
        run("mren", "-i", self.fat, "::" + old, "::" + new)

    def mkdir(self, name):
        run("mmd", "-i", self.fat, "::" + name)

    def delete_tree(self, name):
        run("mdeltree", "-i", self.fat, "::" + name)

    def in_place(self, name, data):
        """The file's bytes and nothing else: no entry, no time, no chain changes."""
        fat = Fat(self.path, START)
        entry, start = fat.find(name)
        size, = struct.unpack_from("<I", entry[1], 28)
        assert size == len(data)
        for cluster in fat.chain(start):
            fat.write(fat.cluster_at(cluster), data[:fat.cluster_bytes])
            data = data[fat.cluster_bytes:]
        fat.file.close()


def runs(fat, start, size):
    """Extents of a file, in bytes of the image."""
    places = []
    for cluster in fat.chain(start) if start else []:
        length = min(fat.cluster_bytes, size)
        at = START + fat.cluster_at(cluster)
        if places and places[-1][0] + places[-1][1] == at:
            places[-1][1] += length
        else:
            places.append([at, length])
        size -= length
    return places


def walk(fat, start, top):
    for place, slot, _, name, short in fat.entries(start):
        if slot[11] & 8 or slot[:2] in (b". ", b".."):
            continue
        path = top + (name or short)
        first = struct.unpack_from("<H", slot, 26)[0]
        if fat.bits == 32:
            first |= struct.unpack_from("<H", slot, 20)[0] << 16
        size, = struct.unpack_from("<I", slot, 28)
        if slot[11] & 16:
            yield "d", START + place, 0, [], path
            yield from walk(fat, first, path + "/")
        else:
            yield "f", START + place, size, runs(fat, first, size), path


def describe(image, out):
    fat = Fat(image.path, START)
    lines = []
    for kind, entry, size, places, path in walk(fat, None, ""):
        if kind == "f":
            with open(image.path, "rb") as file:
                data = b"".join((file.seek(at), file.read(length))[1] for at, length in places)
            if data != image.get(path):
                sys.exit("mkstates.py: %s: mtools reads other bytes" % path)
        text = ",".join("%d:%d" % tuple(place) for place in places) or "-"
        lines.append("%s %d %d %s %s\n" % (kind, entry, size, text, path))
    fat.file.close()
    with open(out, "w", encoding="utf-8") as file:
        file.writelines(lines)


def updates(kernel, rng):
    """Each is one update, as (name, function of the image)."""
    data = rng.randbytes

    def by_rename(image):
        image.put("kernel8.img.new", data(kernel))
        image.delete("kernel8.img")
        image.rename("kernel8.img.new", "kernel8.img")

    def recreate(image):
        image.delete("kernel8.img")
        image.put("kernel8.img", data(kernel + 1000))

    def new_directory(image):
        image.mkdir("a new directory")
        for i in range(20):
            image.put("a new directory/file number %d.dtbo" % i, data(700))
        image.put("overlays/added-%d.dtbo" % rng.randrange(10), data(3000))

    def other_overlays(image):
        image.delete_tree("overlays")
        image.mkdir("overlays")
        for i in range(3, 9):
            image.put("overlays/overlay-%d.dtbo" % i, data(1500 + i))

    def clusters_change_hands(image):
        image.delete("kernel8.img")
        image.put("initrd.img", data(kernel // 2))
        image.put("kernel8.img", data(kernel))

    def in_place_twice(image):
        image.in_place("initrd.img", data(len(image.get("initrd.img"))))
        image.in_place("config.txt", data(len(image.get("config.txt"))))

    return [
        lambda image: image.in_place("kernel8.img", data(kernel)),
        lambda image: image.put("kernel8.img", data(kernel)),
        by_rename,
        lambda image: image.put("kernel8.img", data(kernel + 50000)),
        lambda image: image.put("kernel8.img", data(kernel // 2)),
        recreate,
        new_directory,
        lambda image: image.in_place("kernel8.img", data(kernel + 1000)),
        other_overlays,
        lambda image: image.delete("kernel8.img"),
        lambda image: image.put("kernel8.img", data(kernel)),
        clusters_change_hands,
        in_place_twice,
        lambda image: image.put("config.txt", data(300)),
        lambda image: image.delete_tree("a new directory"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--kernel", type=int, default=192, metavar="KIB")
    parser.add_argument("--bits", type=int, default=16)
    parser.add_argument("--mib", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.environ["MTOOLS_SKIP_CHECK"] = "1"
    rng = random.Random(args.seed)

    image = Image(os.path.join(args.directory, "0.img"), os.path.join(args.directory, "scratch"))
    with open(image.path, "wb") as file:
        file.truncate((args.mib + 1) << 20)
    run("sfdisk", "-q", image.path, data=b"label: dos\nstart=2048, type=c\n")
    run("mkfs.fat", "-F", str(args.bits), "-s", "1", "--offset", "2048", image.path,
        str(args.mib * 1024))
    image.mkdir("overlays")
    for name, size in (("unchanged.dat", 40000), ("kernel8.img", args.kernel * 1024),
                       ("config.txt", 300), ("cmdline.txt", 0), ("initrd.img", 64000),
                       ("bcm2711-rpi-4-b.dtb", 30000), ("overlays/vc4-kms-v3d.dtbo", 4096),
                       ("overlays/small.dtbo", 511)):
        image.put(name, rng.randbytes(size))
    describe(image, os.path.join(args.directory, "0.files"))

    for number, update in enumerate(updates(args.kernel * 1024, rng), 1):
        path = os.path.join(args.directory, "%d.img" % number)
        shutil.copyfile(image.path, path)
        image.path, image.fat = path, path + "@@1M"
        update(image)
        describe(image, os.path.join(args.directory, "%d.files" % number))
    os.unlink(image.scratch)


if __name__ == "__main__":
    main()
