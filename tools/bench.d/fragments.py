"""fragments: files in pieces, against the same scattered reads by the device's best queue depth"""
import os
import random
import time

import fat
from figure import MORE
from world import forget

SECONDS = 100
DEPTHS = (1, 4, 16, 64)
MIB = 1 << 20


def scattered(world, image, offset, stride, cluster, count, depth):
    forget(image)
    return float(world.output(world.tool("direct_reads"), image, offset, stride, cluster, count, depth))


def make(image, cluster, stride, count, shuffled):
    """A file of `count` clusters, each `stride` clusters from the next one; nothing of it is a hole. Returns where."""
    volume = fat.Volume(image, max(stride * count + 16, 66000), cluster)
    numbers = [volume.next + stride * number for number in range(count)]
    offset = volume.offset_of(numbers[0])
    if shuffled:
        random.Random(1).shuffle(numbers)
    volume.entries.append(fat.entry("pieces.bin", 0x20, volume.scattered(numbers), count * cluster))
    for at in range(0, stride * count * cluster, MIB):
        volume.put(offset + at, os.urandom(min(MIB, stride * count * cluster - at)))
    volume.close()
    os.sync()
    return offset


def one(world, text, cluster, stride, count, shuffled=False, main=False):
    source = world.directory("src")
    image, size = os.path.join(source, "image.img"), count * cluster
    offset = make(image, cluster, stride, count, shuffled)

    def limit(depth):
        return scattered(world, image, offset, stride * cluster, cluster, count, depth)

    best = max(DEPTHS, key=limit)
    with world.mount(source):
        path = world.path("mnt/image/pieces.bin")
        time.sleep(3)

        def ours():
            forget(image, path)
            return size / world.timed("read", path, 1)[0]

        figure = world.figure("cold file of %d MiB, %s" % (size // MIB, text), "MB/s", MORE,
                              "these reads with O_DIRECT, %d at once" % best, target=("ratio", 0.5), main=main)
        world.pairs(figure, ours, lambda: limit(best), count=7)
    os.unlink(image)


def run(world):
    half = world.size(1, 2)
    one(world, "every second cluster of 512 bytes", 512, 2, 16384 // half)
    one(world, "every second cluster of 4 KiB", 4096, 2, 8192 // half, main=True)
    one(world, "a cluster of 4 KiB each 256 KiB", 4096, 64, 2048 // half)
    one(world, "clusters of 4 KiB in no order, 256 KiB apart", 4096, 64, 2048 // half, shuffled=True)
