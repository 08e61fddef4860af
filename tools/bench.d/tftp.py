"""tftp: many boards through dnsmasq and tftpd-hpa, against the same files in a local directory"""
import json
import os
import shutil
import subprocess
import time

import fat
from figure import LESS, MORE, NULL, NULL_READS
from world import Daemon, Skip, forget

SECONDS = 240
NEEDS = ("dnsmasq",)
SIZES = {"config.txt": 4000, "cmdline.txt": 200, "start4.elf": 1 << 20, "fixup4.dat": 5000, "bcm2711.dtb": 55000,
         "initram8": 1 << 20, "kernel8.img": 2 << 20}
STEPS = "blksize 1468\nprefix start4.elf\n" + "".join(
    ("probe %s\n" if size is None else "file %s\n") % name for name, size in
    [("config.txt", 1), ("vl805.sig", None), ("recover4.elf", None), ("start4.elf", 1), ("fixup4.dat", 1), ("config.txt", 1),
     ("initram8", 1), ("bcm2711.dtb", 1), ("cmdline.txt", 1), ("armstub8.bin", None), ("kernel8.img", 1)])


def board(image, directory, seed):
    """An image, and a directory, with the same boot files. Returns where they are in the image."""
    offsets, volume = {}, fat.Volume(image, 66000, 512)
    os.makedirs(directory, exist_ok=True)
    for name, size in SIZES.items():
        data = os.urandom(size - 8) + b"%08d" % seed
        offsets[name] = volume.write(name, data)
        with open(os.path.join(directory, name), "wb") as file:
            file.write(data)
    volume.close()
    return offsets


class Boards:
    """In `root`: "mnt", where imagefs is, and "local", with the same directories; "null": those, through null_fs."""

    def __init__(self, world, count):
        self.world, self.names = world, ["%08x" % number for number in range(1, count + 1)]
        self.source, self.root = world.directory("src"), world.directory("root")
        self.point, self.local = os.path.join(self.root, "mnt"), os.path.join(self.root, "local")
        self.truth, self.sequence = world.directory("truth"), world.path("sequence")
        for where in ("mnt", "local", "null"):
            os.symlink(self.local, os.path.join(self.truth, where))
        with open(self.sequence, "w", encoding="utf-8") as file:
            file.write(STEPS)
        self.offsets = [board(self.image(name), os.path.join(self.local, name), number)
                        for number, name in enumerate(self.names)]
        os.sync()

    def null(self, *options):
        return self.world.null_fs(*options, directory=self.local, point=os.path.join(self.root, "null"))

    def image(self, name):
        return os.path.join(self.source, name + ".img")

    def forget(self, where):
        for name in self.names:
            forget(*([self.image(name)] if where == "mnt" else []),
                   *(os.path.join(self.local, name, file) for file in SIZES if where == "null"),
                   *(os.path.join(self.root, where, name, file) for file in SIZES))

    def storm(self, *words, port=69):
        """What tftp-storm reports. Wrong bytes are the end of the bench."""
        done = subprocess.run([self.world.storm, "--json", *map(str, words), "127.0.0.1", str(port)],
                              stdout=subprocess.PIPE, text=True, check=False)
        report = json.loads(done.stdout)
        if done.returncode:
            raise RuntimeError("tftp-storm: %s" % report["wrong"])
        return report

    def boots(self, where, names=None, clients=1, rounds=1, port=69):
        """Boots them; the names again and again until there are so many clients."""
        words = []
        for number in range(max(clients, len(names or self.names))):
            words += ["-b", "%s/%s" % (where, (names or self.names)[number % len(names or self.names)])]
        return self.storm("-s", self.sequence, "-r", rounds, "-a", self.truth, *words, port=port)


def throughput(world, boards, server, port):
    def take(where):
        return boards.storm("-f", "kernel8.img", "-n", 8, "-p", "%s/%s" % (where, boards.names[0]), "-r",
                            world.size(8, 4), port=port)["mb_per_second"]

    take("mnt"), take("local")
    figure = world.figure("TFTP, a kernel to 8 clients, %s" % server, "MB/s", MORE, "the same from a local directory",
                          target=("ratio", 0.95), main=True)
    world.pairs(figure, lambda: take("mnt"), lambda: take("local"), count=9)


def first_bytes(world, boards):
    names = boards.names[:1]
    samples = {}

    def take(where):
        report = boards.boots(where, names, clients=8, rounds=world.size(4, 2))["microseconds"]["answer"]
        samples.setdefault(where, []).append(report["p99"])
        return report["p50"]

    text = "TFTP, time to the first answer, 8 clients, dnsmasq, warm"
    with boards.null():
        for where in ("mnt", "local", "null"):
            take(where)
        samples.clear()
        world.among(lambda: take("mnt"), [
            (world.figure(text, "us", LESS, "a local directory", target=("ratio", 2), main=True), lambda: take("local")),
            (world.figure(text, "us", LESS, NULL, target=("ratio", 1.15)), lambda: take("null"))])
    for where, peer, target in (("local", "a local directory", 2), ("null", NULL, 1.5)):
        figure = world.figure(text + ", 99 %", "us", LESS, peer, target=("ratio", target))
        figure.ours, figure.peer = samples["mnt"], samples[where]
        world.report(figure)


def cold_storm(world, boards):
    def take(where):
        boards.forget(where)
        return boards.boots(where)["microseconds"]["answer"]["p99"] / 1e3

    text = "TFTP, %d boards of an image each boot at once, cold, first answer, 99 %%" % len(boards.names)
    with boards.null("-d"):
        world.among(lambda: take("mnt"), [
            (world.figure(text, "ms", LESS, "a local directory", target=("ratio", 3), main=True), lambda: take("local")),
            (world.figure(text, "ms", LESS, NULL_READS, target=("ratio", 1.5)),
             lambda: take("null"))], count=5)


def upgraded(world, boards):
    """Each board's kernel, initramfs and config are written anew; after the time of a reboot it asks for them."""
    few = boards.names[:4]

    def write():
        for number, name in enumerate(few):
            for file in ("kernel8.img", "initram8", "config.txt", "cmdline.txt"):
                local = os.path.join(boards.local, name, file)
                size = os.path.getsize(local)
                data = os.urandom(size)
                with open(local, "r+b") as out:
                    out.write(data)
                with open(boards.image(name), "r+b") as out:
                    out.seek(boards.offsets[number][file])
                    out.write(data)

    def first(where):
        return boards.boots(where, few)["microseconds"]["first_byte"]["p50"] / 1e3

    def take(where):
        boards.boots(where, few)
        write()
        time.sleep(world.size(8, 3))
        return first(where)

    def take_null():
        """It knows nothing of changes: one that has read none of it yet."""
        write()
        with boards.null():
            return first("null")

    text = "TFTP, first byte of each file, after an upgrade and a reboot, 4 boards"
    world.among(lambda: take("mnt"), [
        (world.figure(text, "ms", LESS, "a local directory", target=("ours", 5), main=True), lambda: take("local")),
        (world.figure(text, "ms", LESS, NULL), take_null)], count=3)


def nobodd(world, boards):
    """Its own server, if it is installed, with the same image."""
    if not shutil.which("nobodd-tftpd"):
        raise Skip("nobodd: not installed")
    config = world.path("nobodd.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write("[tftp]\nlisten = 127.0.0.1\nport = 7069\n[board:%s]\nimage = %s\npartition = 1\n" %
                   (boards.names[0], boards.image(boards.names[0])))
    with Daemon(["nobodd-tftpd", "--config", config], world.bound(7069), "nobodd-tftpd"):
        def theirs():
            return boards.storm("-f", "kernel8.img", "-n", 8, "-p", boards.names[0], "-r", 2, port=7069)["mb_per_second"]

        def ours():
            return boards.storm("-f", "kernel8.img", "-n", 8, "-p", "mnt/" + boards.names[0], "-r", 8)["mb_per_second"]

        figure = world.figure("TFTP, a kernel to 8 clients, dnsmasq", "MB/s", MORE, "nobodd's server", main=True)
        world.pairs(figure, ours, theirs, count=5)


def run(world):
    boards = Boards(world, world.size(32, 8))
    with world.mount(boards.source, boards.point), world.dnsmasq(boards.root):
        time.sleep(3)
        throughput(world, boards, "dnsmasq", 69)
        first_bytes(world, boards)
        cold_storm(world, boards)
        upgraded(world, boards)
        try:
            nobodd(world, boards)
        except Skip as reason:
            world.skip(reason)
        try:
            with world.tftpd(boards.root):
                throughput(world, boards, "tftpd-hpa", 6969)
        except Skip as reason:
            world.skip(reason)
