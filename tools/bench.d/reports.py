"""reports: what clients of a block server get done while somebody reads, and where the server tells of its writes"""
import os
import threading

import writers
from figure import MORE
from world import Daemon, Skip, wait_until

EXTRA = True
SECONDS = 400
LOADS = ((4096, 1, 6000), (4096, 8, 12000), (262144, 1, 600), (262144, 8, 600))
PARTITIONS = {"boot": 32, "root": 128}  # where 64 MiB are written, in MiB


class Reader(threading.Thread):
    """Reads a file of the image again and again."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.over, self.begun = path, threading.Event(), threading.Event()

    def run(self):
        while not self.over.wait(0.2):
            try:
                with open(self.path, "rb") as file:
                    while file.read(1 << 20):
                        pass
            except OSError:
                pass  # refused while it is being written
            self.begun.set()

    def __enter__(self):
        self.start()
        self.begun.wait(10)

    def __exit__(self, *_):
        self.over.set()
        self.join()


def nbdkit_filter(world, image, control):
    return filtered(world, image, "imagefs=%s" % control) if control else writers.nbdkit(world, image)


def filtered(world, image, *parameters):
    socket = world.path("nbdkit.sock")
    if os.path.exists(socket):
        os.unlink(socket)
    path = os.path.join(world.build, "contrib/nbdkit/nbdkit-imagefs-filter.so")
    if not os.path.exists(path):
        raise Skip("needs the nbdkit filter, built with nbdkit-plugin-dev")
    daemon = Daemon(["nbdkit", "-f", "-U", socket, "--filter=%s" % path, "file", image, *parameters],
                    lambda: os.path.exists(socket), "nbdkit")
    return daemon, "nbd+unix:///?socket=%s" % socket


def nbd_server_log(world, image, control):
    return writers.nbd_server(world, image, "transactionlog = %s\n" % control if control else "")


def being_read(world, source, image):
    """As they come, while a file is read and read again."""
    for name, server in writers.SERVERS.items():
        for partition, where in PARTITIONS.items():
            for request, depth, count in LOADS:
                def theirs(server=server, where=where, request=request, depth=depth, count=count):
                    return writers.load(world, server, image, request, depth, count // world.size(1, 4), where)

                def ours(theirs=theirs):
                    with world.mount(source), Reader(world.path("mnt/image/kernel8.img")):
                        return theirs()

                figure = world.figure("writes by %s to the %s partition, %d KiB, %d at once, a file is read" %
                                      (name, partition, request >> 10, depth), "MB/s", MORE, "without imagefs")
                world.pairs(figure, ours, theirs, count=9)


def reported(world, source, image):
    """Where the kernel does not tell, and the server does."""
    control = world.directory("control")
    for name, start in (("nbdkit with our filter", nbdkit_filter), ("nbd-server with transactionlog", nbd_server_log)):
        for partition, where in PARTITIONS.items():
            for request, depth, count in LOADS:
                def take(path, start=start, where=where, request=request, depth=depth, count=count):
                    return writers.load(world, lambda world, image: start(world, image, path), image, request, depth,
                                        count // world.size(1, 4), where)

                def ours(take=take):
                    with world.mount(source, options=["changes=events", "control=%s" % control]):
                        path = os.path.join(control, "image")
                        wait_until(lambda: os.access(path, os.W_OK), path)
                        return take(path)

                figure = world.figure("writes by %s to the %s partition, %d KiB, %d at once" %
                                      (name, partition, request >> 10, depth), "MB/s", MORE, "without imagefs and reports")
                world.pairs(figure, ours, lambda take=take: take(None), count=9)


def counted(world, image):
    """NAME@writes, for readers elsewhere."""
    for request, depth, count in LOADS:
        def take(start, request=request, depth=depth, count=count):
            return writers.load(world, start, image, request, depth, count // world.size(1, 4), PARTITIONS["root"])

        figure = world.figure("writes by nbdkit, counted in NAME@writes, %d KiB, %d at once" % (request >> 10, depth),
                              "MB/s", MORE, "without the filter", target=("ratio", 0.97))
        world.pairs(figure, lambda take=take: take(filtered), lambda take=take: take(writers.nbdkit), count=9)


def run(world):
    world.needs("sfdisk", "mkfs.fat", "mcopy", *writers.SERVERS)
    source = world.directory("src")
    image = os.path.join(source, "image.img")
    writers.make(world, image)
    world.output("mcopy", "-Q", "-i", "%s@@1M" % image, "-", "::kernel8.img", input=os.urandom(8 << 20).hex()[:8 << 20])
    being_read(world, source, image)
    reported(world, source, image)
    counted(world, image)
