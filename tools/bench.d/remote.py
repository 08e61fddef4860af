"""remote: images behind a block server, as a head has them: time to a file, throughput, memory, reads of a boot"""
import contextlib
import os
import re
import subprocess
import time

import fat
from figure import LESS, MORE
from world import Daemon, first_byte, forget

SECONDS = 120
TESTS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))), "tests", "tools")
NEEDS = ("nbdkit", "nbdfuse")
KERNEL = 30 << 20
ROOT_OFFSET = 128 << 20
PAUSE = 1.5  # a head that has not looked for so long asks the store again
# What a Pi 4 fetches: sizes of Raspberry Pi OS's files.
BOOT = {"start4.elf": 2258144, "fixup4.dat": 5405, "config.txt": 1200, "cmdline.txt": 150, "bcm2711.dtb": 56000,
        "overlay.dtb": 3000, "initram8": 11 << 20, "kernel8.img": 9 << 20}


def make_image(path, files):
    """An image of so many bytes for each name, and room for a root behind. Returns where each is."""
    volume = fat.Volume(path, 20000, 4096)
    places = {name: volume.write(name, os.urandom(size)) for name, size in files.items()}
    volume.close()
    os.truncate(path, ROOT_OFFSET + (64 << 20))
    return places


class Store(Daemon):
    """nbdkit on a unix socket; it counts what it is asked."""

    def __init__(self, world, name, *plugin):
        self.socket, self.stats, pid_file = (world.path("%s.%s" % (name, what)) for what in ("sock", "stats", "pid"))
        for path in (self.socket, self.stats, pid_file):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        super().__init__(["nbdkit", "-f", "-t", "1", "-U", self.socket, "-P", pid_file, "--filter=stats", *plugin,
                          "statsfile=%s" % self.stats], lambda: os.path.exists(pid_file), "nbdkit")

    def uri(self, export=""):
        return "nbd+unix:///%s?socket=%s" % (export, self.socket)

    def count(self):
        """(reads, bytes) of all that was asked; ends it."""
        self.stop()
        with open(self.stats, encoding="utf-8") as file:
            match = re.search(r"^read: (\d+) ops.*?([\d.]+) (bytes|KiB|MiB|GiB)", file.read(), re.M)
        if not match:
            return 0, 0
        return int(match[1]), float(match[2]) * {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[match[3]]


@contextlib.contextmanager
def root_load(world, uri):
    """A board that writes to its root partition all the time, to the same image."""
    words = ["/usr/bin/python3", os.path.join(TESTS, "load.py"), uri, "%d:%d" % (ROOT_OFFSET, 64 << 20), "--pause", "1"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if not process.stdout.readline():
            raise RuntimeError("load.py ended")
        try:
            yield
        finally:
            process.communicate()  # no more input: it ends


def first_bytes(world, store):
    """Of config.txt, which was read before."""
    far, local = world.path("mnt/far/config.txt"), world.path("mnt/local/config.txt")
    for where, load in (("at rest", contextlib.nullcontext), ("while the root partition is written to",
                                                              lambda: root_load(world, store.uri("far.img")))):
        figure = world.figure("first byte of config.txt, the image behind NBD, %s" % where, "ms", LESS, "a local image at rest")
        with load():
            def take(path):
                time.sleep(PAUSE)
                return first_byte(path)

            take(far), take(local)
            world.pairs(figure, lambda: take(far), lambda: take(local), count=15)


def kernel(world, path, place, told):
    """By 1 MiB reads. Cold, where nothing tells of writes, each byte is read twice: to open the file all of it is compared with what it was."""
    other = world.path("nbdfuse/kernel")
    os.makedirs(world.path("nbdfuse"), exist_ok=True)
    with Store(world, "kernel", "--filter=offset", "file", world.path("store/far.img"), "offset=%d" % place,
               "range=%d" % KERNEL) as alone:
        words = ["nbdfuse", "-r", other, alone.uri()]
        with Daemon(words, lambda: os.path.exists(other) and os.path.getsize(other) == KERNEL, "nbdfuse"):
            def rate(name, cold):
                if cold:
                    forget(name)
                time.sleep(0.3)
                return KERNEL / world.timed("read", name, 1)[0]

            for temperature in ("cold", "warm"):
                cold = temperature == "cold"
                rate(path, cold), rate(other, cold)
                what = "a kernel of 30 MiB behind NBD, %s%s" % (temperature, ", the store has NAME@writes" if told else "")
                figure = world.figure(what, "MB/s", MORE, "nbdfuse")
                world.pairs(figure, lambda: rate(path, cold), lambda: rate(other, cold), count=9)


def told_kernel(world, tells, place):
    with Store(world, "told", "--filter=%s" % tells, "file", "dir=%s" % world.path("store")) as store:
        source, point = world.directory("src-told"), world.path("mnt-told")
        os.symlink(store.uri("far.img"), os.path.join(source, "far.img"))
        with world.mount(source, point):
            kernel(world, os.path.join(point, "far/kernel8.img"), place, True)


def reads_of_a_boot(world, tells):
    """What the store is asked when one board boots, from a head that has never seen it, and once more."""
    filters = ["--filter=%s" % tells] if tells else []
    asked = {"first": [], "again": []}
    for number in range(world.size(3, 1)):
        for which in asked:
            with Store(world, "boot", *filters, "file", "dir=%s" % world.path("store")) as store:
                place = "boot%d-%s%s" % (number, which, "-told" if tells else "")
                source, point = world.directory("src-" + place), world.path("mnt-" + place)
                os.symlink(store.uri("board.img"), os.path.join(source, "board.img"))
                with world.mount(source, point):
                    for _ in range(2 if which == "again" else 1):
                        boot(point)
                        time.sleep(PAUSE)
                asked[which].append(store.count())
    asked["again"] = [tuple(max(0, a - b) for a, b in zip(*pair)) for pair in zip(asked["again"], asked["first"])]
    for which, text in (("first", "from a head that has not seen it"), ("again", "once more")):
        what = "a board boots %s%s" % (text, ", the store has NAME@writes" if tells else "")
        reads = world.figure("%s: reads of the store" % what, "reads", LESS)
        size = world.figure("%s: bytes of the store" % what, "MB", LESS, "its files' bytes")
        for sample in asked[which]:
            reads.ours.append(sample[0])
            size.ours.append(sample[1] / 1e6)
            size.peer.append(sum(BOOT.values()) / 1e6)
        world.report(reads)
        world.report(size)


def boot(point):
    """Each file is looked at, and then fetched, as firmware does."""
    for name in BOOT:
        path = os.path.join(point, "board", name)
        for _ in range(2):
            os.close(os.open(path, os.O_RDONLY))
        with open(path, "rb") as file:
            while file.read(1468 * 100):
                pass


def memory(world):
    """1,000 links, and 50 of them in use: those with a connection."""
    figure = world.figure("a head's memory with 1,000 images linked, 50 of them read", "MiB", LESS, "1,000 linked, none read")
    threads = world.figure("its threads then", "threads", LESS, "1,000 linked, none read")
    source, store_dir = world.directory("src-many"), world.directory("many")
    with Store(world, "many", "file", "dir=%s" % store_dir) as store:
        for number in range(1000):
            with open(os.path.join(store_dir, "b%04d.img" % number), "wb") as file:
                file.write(fat.tiny())
                file.truncate(fat.TINY_BYTES)
            os.symlink(store.uri("b%04d.img" % number), os.path.join(source, "b%04d.img" % number))
        for number in range(world.size(3, 1)):
            point = world.path("mnt-many%d" % number)
            with world.mount(source, point) as daemon:
                names = sorted(os.listdir(point))
                for name in names:
                    os.stat(os.path.join(point, name))
                idle = daemon.resources()
                for name in names[::20]:
                    with open(os.path.join(point, name, "config.txt"), "rb") as file:
                        file.read()
                used = daemon.resources()
            figure.ours.append(used["memory_mib"])
            figure.peer.append(idle["memory_mib"])
            threads.ours.append(used["threads"])
            threads.peer.append(idle["threads"])
    world.report(figure)
    world.report(threads)


def run(world):
    store_dir, source = world.directory("store"), world.directory("src")
    places = make_image(os.path.join(store_dir, "far.img"), {"config.txt": 1200, "kernel8.img": KERNEL})
    make_image(os.path.join(store_dir, "board.img"), BOOT)
    make_image(os.path.join(source, "local.img"), {"config.txt": 1200})
    with Store(world, "store", "file", "dir=%s" % store_dir) as store:
        os.symlink(store.uri("far.img"), os.path.join(source, "far.img"))
        with world.mount(source):
            time.sleep(3)
            first_bytes(world, store)
            kernel(world, world.path("mnt/far/kernel8.img"), places["kernel8.img"], False)
    reads_of_a_boot(world, None)
    tells = os.path.join(world.build, "contrib/nbdkit/nbdkit-imagefs-filter.so")
    if os.path.exists(tells):
        told_kernel(world, tells, places["kernel8.img"])
        reads_of_a_boot(world, tells)
    memory(world)
