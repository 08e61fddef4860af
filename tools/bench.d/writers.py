"""writers: what clients of a block server get done with imagefs beside it, while nobody looks"""
import os
import subprocess

from figure import MORE
from world import Daemon, NbdServer, Skip

SECONDS = 160
LOADS = ((4096, 1, 6000), (4096, 8, 12000), (262144, 8, 600))
MIB = 1 << 20


def make(world, image):
    """A boot partition of 100 MiB, and a root partition of which 64 MiB are written to."""
    with open(image, "wb") as file:
        file.truncate(300 * MIB)
    world.output("sfdisk", "-q", image, input="label: dos\nstart=2048, size=204800, type=c\nstart=206848, type=83\n")
    world.output("mkfs.fat", "-F", "32", "-s", "1", "--offset", "2048", image, "102400", stderr=subprocess.DEVNULL)
    with open(image, "r+b") as file:
        file.seek(120 * MIB)
        for _ in range(80):
            file.write(os.urandom(MIB))
    os.sync()


def nbdkit(world, image):
    socket = world.path("nbdkit.sock")
    if os.path.exists(socket):
        os.unlink(socket)
    daemon = Daemon(["nbdkit", "-f", "-U", socket, "file", image], lambda: os.path.exists(socket), "nbdkit")
    return daemon, "nbd+unix:///?socket=%s" % socket


def nbd_server(world, image, extra=""):
    socket, config = world.path("nbd.sock"), world.path("nbd.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write("[generic]\nallowlist = true\nuser = root\ngroup = root\nunixsock = %s\n"
                   "[disk]\nexportname = %s\n%s" % (socket, image, extra))
    return NbdServer(config, socket, world.path("nbd.pid")), "nbd+unix:///disk?socket=%s" % socket


SERVERS = {"nbdkit": nbdkit, "nbd-server": nbd_server}


def load(world, server, image, request, depth, count, where=128):
    """MB/s, of writes to 64 MiB from `where` on, in MiB."""
    daemon, uri = server(world, image)
    with daemon:
        os.sync()  # what the last run left to be written back is not this one's
        words = world.output(world.tool("nbd_load"), uri, where * MIB, 64 * MIB, request, depth, count).split()
    return float(words[0])


def run(world):
    world.needs("sfdisk", "mkfs.fat")
    source = world.directory("src")
    image = os.path.join(source, "image.img")
    make(world, image)
    for name, server in SERVERS.items():
        try:
            world.needs(name)
        except Skip as reason:
            world.skip(reason)
            continue
        load(world, server, image, 262144, 8, 600)
        for request, depth, count in LOADS:
            def theirs(server=server, request=request, depth=depth, count=count):
                return load(world, server, image, request, depth, count // world.size(1, 4))

            def ours(theirs=theirs):
                with world.mount(source):
                    return theirs()

            figure = world.figure("writes by %s, %d KiB, %d at once, nobody looks" % (name, request >> 10, depth), "MB/s", MORE,
                                  "without imagefs", target=("ratio", 0.97), main=depth == 8)
            world.pairs(figure, ours, theirs, count=15)
