"""memory: what the daemon holds with a hundred images"""
import os
import time

import fat
from figure import LESS
from listings import make_images

SECONDS = 30


def run(world):
    source = world.directory("src")
    make_images(source, 100)
    for number in range(100):
        volume = fat.Volume(os.path.join(source, "image%06d.img" % number), 5000, 512)
        volume.write("config.txt", os.urandom(4096))
        volume.write("kernel8.img", os.urandom(1 << 20))
        volume.close()
    figure = world.figure("memory with 100 images listed and read", "MiB", LESS, "the limit", target=("ours", 16), main=True)
    for _ in range(world.size(3, 1)):
        with world.mount(source) as daemon:
            for image in os.listdir(world.path("mnt")):
                for name in os.listdir(world.path("mnt", image)):
                    with open(world.path("mnt", image, name), "rb") as file:
                        file.read()
            time.sleep(1)
            figure.ours.append(daemon.resources()["memory_mib"])
            figure.peer.append(16.0)
    world.report(figure)
