"""fragments: files in pieces, against the same scattered reads by the device's best queue depth"""
import os
import time

import fat
from figure import MORE
from world import forget

SECONDS = 90
DEPTHS = (1, 4, 16, 64)


def scattered(world, image, offset, cluster, count, depth):
    forget(image)
    return float(world.output(world.tool("direct_reads"), image, offset, 2 * cluster, cluster, count, depth))


def run(world):
    source = world.directory("src")
    for cluster in (512, 4096):
        size = world.size(32 << 20, 8 << 20) if cluster == 4096 else world.size(8 << 20, 4 << 20)
        count = size // cluster
        image = os.path.join(source, "image%d.img" % cluster)
        volume = fat.Volume(image, max(2 * count + 16, 66000), cluster)
        offset = volume.reserve("pieces.bin", size, stride=2)
        volume.put(offset, os.urandom(2 * size))
        volume.close()
        os.sync()
        best = max(DEPTHS, key=lambda depth: scattered(world, image, offset, cluster, count, depth))
        with world.mount(source):
            path = world.path("mnt/image%d/pieces.bin" % cluster)
            time.sleep(3)

            def ours():
                forget(image, path)
                return size / world.timed("read", path, 1)[0]

            figure = world.figure("cold file of %d MiB, every second cluster of %d bytes" % (size >> 20, cluster), "MB/s", MORE,
                                  "the same O_DIRECT reads, %d at once" % best, target=("ratio", 0.5), main=cluster == 4096)
            world.pairs(figure, ours, lambda: scattered(world, image, offset, cluster, count, best), count=7)
        os.unlink(image)
