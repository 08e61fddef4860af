"""growth: how time, memory, threads, descriptors and wakeups grow with what there is

Each series is a table: what grows, and for each size what was measured; plot.py draws it.
"""
import os
import random
import subprocess
import time

import fat
import tftp
from listings import make_images
from world import first_byte, forget

RESOURCES = ["memory_mib", "threads", "descriptors", "wakeups_per_second"]

def resources(world, daemon):
    """After what was done, and how often the daemon wakes while nothing is done."""
    idle = world.size(3, 1)
    time.sleep(1)
    before = daemon.resources()
    time.sleep(idle)
    after = daemon.resources()
    return [after["memory_mib"], after["threads"], after["descriptors"],
            max(0, after["wakeups"] - before["wakeups"]) / idle]


def add(world, name, label, times, rows, unit="ms"):
    """`times`: the names of the first columns behind the size."""
    rows = [[None if value is None else float("%.4g" % value) for value in row] for row in rows]
    world.series.append({"name": name, "title": SERIES[name].TITLE, "label": label, "unit": unit, "times": times,
                         "columns": [label, *times, *RESOURCES], "rows": rows})


def sizes(world, *all_of_them):
    return all_of_them[:2] if world.quick else all_of_them


def middle(samples):
    return sorted(samples)[len(samples) // 2]


def ms(world, way, path, count=1):
    """None: it failed, and that is said."""
    try:
        return world.timed(way, path, count)[0] / 1e3
    except subprocess.CalledProcessError:
        world.skip("timed %s %s failed" % (way, path[len(world.root):]))
        return None


def first_list(world, path):
    """Milliseconds until there is a whole listing: one that takes longer than imagefs lets anybody wait fails."""
    start, failed = time.monotonic(), 0
    while time.monotonic() < start + 120:
        if subprocess.run([world.tool("timed"), "list", path, "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            break
        failed += 1
        time.sleep(0.5)
    if failed:
        world.skip("the first listing failed %d times, until after %.0f s" % (failed, time.monotonic() - start))
    return (time.monotonic() - start) * 1e3


class Images:
    """images: from ten to a hundred thousand in one directory"""
    TITLE = "Images in SOURCE"
    SECONDS = 300

    @staticmethod
    def run(world):
        source, rows, there = world.directory("src"), [], 0
        for count in sizes(world, 10, 100, 1000, 10000, 100000):
            make_images(source, count, there)
            there = count
            start = time.monotonic()
            with world.mount(source) as daemon:
                mounted = (time.monotonic() - start) * 1e3
                first, again = first_list(world, daemon.point), ms(world, "list", daemon.point, 3)
                few = [os.path.join(daemon.point, "image%06d/config.txt" % random.randrange(count)) for _ in range(20)]
                opened = middle([first_byte(path) for path in few])
                warm = middle([world.timed("open", path, 100)[0] / 1e3 for path in few[:5]])
                rows.append([count, mounted, first, again, opened, warm, *resources(world, daemon)])
            world.say("%d images: %s" % (count, rows[-1]))
        add(world, "images", "images",
            ["mount", "first list", "list again", "first open", "open again"], rows)


class Boards:
    """boards: from one to a thousand that boot at once from one image, through dnsmasq"""
    TITLE = "Boards that boot at once"
    SECONDS = 200
    NEEDS = ("dnsmasq",)

    @staticmethod
    def run(world):
        boards, rows = tftp.Boards(world, 1), []
        small = world.path("small")
        with open(small, "w", encoding="utf-8") as file:
            file.write("blksize 1468\nprefix start4.elf\nfile config.txt\nprobe vl805.sig\nfile fixup4.dat\nfile start4.elf\n")
        with world.mount(boards.source, boards.point) as daemon, world.dnsmasq(boards.root):
            time.sleep(3)
            for count in sizes(world, 1, 3, 10, 30, 100, 300, 1000):
                row = [count]
                for where in ("mnt", "local"):
                    report = boards.storm("-s", small, "-n", count, "-p", "%s/%s" % (where, boards.names[0]), "-t", 60)
                    micro = report["microseconds"]
                    row += [micro["answer"]["p50"] / 1e3, micro["answer"]["p99"] / 1e3, micro["boot"]["max"] / 1e3]
                rows.append([*row, *resources(world, daemon)])
                world.say("%d boards: %s" % (count, rows[-1]))
        add(world, "boards", "boards",
            ["answer", "answer 99 %", "slowest boot", "local: answer", "local: answer 99 %", "local: slowest boot"], rows)


def change(image, offset):
    with open(image, "r+b") as file:
        file.seek(offset)
        file.write(os.urandom(512))


class Size:
    """size: of one file, from 1 MiB to 4 GiB"""
    TITLE = "Size of a file"
    SECONDS = 150

    @staticmethod
    def run(world):
        source, rows = world.directory("src"), []
        image = os.path.join(source, "image.img")
        for mib in sizes(world, 1, 4, 16, 64, 256, 1024, 4095):
            volume = fat.Volume(image, (mib << 8) + 70000, 4096)
            other = volume.write("other.txt", b"o" * 4096)
            volume.reserve("large.bin", mib << 20)
            volume.close()
            with world.mount(source) as daemon:
                path = world.path("mnt/image/large.bin")
                time.sleep(3)
                fresh = first_byte(path)
                whole = ms(world, "read", path)
                change(image, other)
                time.sleep(1)
                known = first_byte(path)
                forget(path)
                rows.append([mib, fresh, known, whole, *resources(world, daemon)])
            os.unlink(image)
            world.say("%d MiB: %s" % (mib, rows[-1]))
        add(world, "size", "MiB", ["first byte", "of a known one, another changed", "all of it"], rows)


class Directory:
    """directory: of ten to sixty thousand files"""
    TITLE = "Files in a directory"
    SECONDS = 120

    @staticmethod
    def run(world):
        source, rows = world.directory("src"), []
        image = os.path.join(source, "image.img")
        for count in sizes(world, 10, 100, 1000, 10000, 60000):
            volume = fat.Volume(image, 70000, 512)
            other = volume.write("other.txt", b"o" * 4096)
            last = volume.allocate(4096)
            entries = [fat.entry("f%07d.txt" % number, 0x20, 0, 0) for number in range(count - 1)]
            volume.directory("many", [*entries, fat.entry("last.txt", 0x20, last, 4096)])
            volume.close()
            with world.mount(source) as daemon:
                many, path = world.path("mnt/image/many"), world.path("mnt/image/many/last.txt")
                time.sleep(3)
                opened = first_byte(path)
                first, again = ms(world, "stat", many), ms(world, "stat", many)
                change(image, other)
                time.sleep(1)
                known = first_byte(path)
                rows.append([count, opened, known, first, again, *resources(world, daemon)])
            os.unlink(image)
            world.say("%d files: %s" % (count, rows[-1]))
        add(world, "directory", "files",
            ["first open of the last", "again, another file changed", "list and stat", "list and stat again"], rows)


class FatSize:
    """fat: size of the FAT, from 256 KiB to 256 MiB"""
    TITLE = "Size of the FAT"
    SECONDS = 90

    @staticmethod
    def run(world):
        source, rows = world.directory("src"), []
        image = os.path.join(source, "image.img")
        for kib in sizes(world, 257, 1024, 4096, 16384, 65536, 262144):
            clusters = kib * 256
            volume = fat.Volume(image, clusters, 512)
            other = volume.write("other.txt", b"o" * 512)
            volume.next = clusters - 20000
            volume.write("file.bin", os.urandom(8 << 20))
            volume.close()
            time.sleep(3)  # else it is the settle time that is measured
            with world.mount(source) as daemon:
                path = world.path("mnt/image/file.bin")
                first = first_byte(path)
                again = ms(world, "open", path, 100)
                change(image, other)
                time.sleep(1)
                known = first_byte(path)
                rows.append([kib, first, again, known, *resources(world, daemon)])
            os.unlink(image)
            world.say("%d KiB: %s" % (kib, rows[-1]))
        add(world, "fat", "KiB", ["first byte", "open again", "known, another file changed"], rows)


class Fragments:
    """pieces: of a file of 32 MiB, from one to sixty-five thousand"""
    TITLE = "Pieces of a file of 32 MiB"
    SECONDS = 90

    @staticmethod
    def run(world):
        source, rows = world.directory("src"), []
        image, count = os.path.join(source, "image.img"), 65536
        for pieces in sizes(world, 1, 16, 256, 4096, 16384, 65536):
            volume = fat.Volume(image, 2 * count + 1000, 512)
            first = volume.pieces(count, count // pieces)
            volume.put(volume.offset_of(first), os.urandom(count * 512))
            volume.entries.append(fat.entry("pieces.bin", 0x20, first, count * 512))
            volume.close()
            os.sync()
            with world.mount(source) as daemon:
                path = world.path("mnt/image/pieces.bin")
                time.sleep(3)
                forget(image)
                start = first_byte(path)
                forget(image, path)
                whole = ms(world, "read", path)
                warm = ms(world, "open", path, 100)
                rows.append([pieces, start, whole, warm, *resources(world, daemon)])
            os.unlink(image)
            world.say("%d pieces: %s" % (pieces, rows[-1]))
        add(world, "pieces", "pieces", ["first byte, cold", "all of it, cold", "open again"], rows)


SERIES = {"images": Images, "boards": Boards, "size": Size, "directory": Directory, "fat": FatSize, "pieces": Fragments}
