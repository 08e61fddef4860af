"""reads: a large file, warm and cold"""
import os
import re
import subprocess
import time

import fat
from figure import MORE
from world import Skip, forget, random_file

SECONDS = 130


def rate(world, path, size):
    """MB/s by 1 MiB reads."""
    return size / world.timed("read", path, 1)[0]


def direct(image, offset, size):
    """MB/s of dd with O_DIRECT."""
    forget(image)
    text = subprocess.run(["dd", "if=%s" % image, "of=/dev/null", "iflag=direct", "bs=1M", "skip=%d" % (offset >> 20),
                           "count=%d" % (size >> 20)], check=True, stderr=subprocess.PIPE, text=True).stderr
    return size / 1e6 / float(re.search(r"([0-9.e+-]+) s,", text).group(1))


def make(path, size):
    """An image with /large.bin. Returns where it is."""
    volume = fat.Volume(path, (size >> 12) + 70000, 4096)
    volume.next = 3 + 1024  # somewhere behind the metadata, at whole MiB as far as that matters for dd
    offset = volume.reserve("large.bin", size)
    volume.file.seek(offset)
    for _ in range(size >> 20):
        volume.file.write(os.urandom(1 << 20))
    volume.close()
    return offset


def warm(world, path, size):
    local = random_file(world.path("local.bin"), size)
    rate(world, path, size)
    rate(world, local, size)
    figure = world.figure("warm file by 1 MiB", "MB/s", MORE, "a local file", target=("ratio", 0.9))
    world.pairs(figure, lambda: rate(world, path, size), lambda: rate(world, local, size), count=15)
    os.unlink(local)
    try:
        null = world.null_fs(large_mib=size >> 20)
    except Skip as reason:
        world.skip(reason)
        return
    with null:
        other = world.path("null/large")
        rate(world, other, size)
        figure = world.figure("warm file by 1 MiB", "MB/s", MORE, "a FUSE daemon that does nothing", target=("ratio", 1), main=True)
        world.pairs(figure, lambda: rate(world, path, size), lambda: rate(world, other, size), count=15)


def cold(world, image, path, offset, size, text, target):
    def ours():
        forget(image, path)
        return rate(world, path, size)

    figure = world.figure(text, "MB/s", MORE, "dd iflag=direct bs=1M", target=("ratio", target), main="root" not in text)
    world.pairs(figure, ours, lambda: direct(image, offset, size), count=9)


def readahead_of(point):
    """The file that says how much the kernel reads ahead on that mount."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words[4] == point:
                return "/sys/class/bdi/%s/read_ahead_kb" % words[2]
    raise RuntimeError("%s is not mounted" % point)


def on_tmpfs(world, size):
    """A device whose speed does not vary: a loop device over memory."""
    memory = world.directory("memory")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % (size + (64 << 20)), "imagefs-bench", memory], check=True)
    image = os.path.join(memory, "image.img")
    offset = make(image, size)
    done = subprocess.run(["losetup", "-f", "--show", "--direct-io=on", image], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Skip("no free loop device")
    device = done.stdout.strip()
    holder = os.open(device, os.O_RDONLY)
    subprocess.run(["losetup", "-d", device], check=True)  # when nobody has it open any more, however we end
    source = world.directory("src-loop")
    os.symlink(device, os.path.join(source, "image.img"))
    try:
        with world.mount(source):
            time.sleep(2)
            cold(world, device, world.path("mnt/image/large.bin"), offset, size, "cold file by 1 MiB, on a loop device over tmpfs", 0.9)
    finally:
        os.close(holder)
        subprocess.run(["umount", "-l", memory], check=False)


def run(world):
    size = world.size(512, 128) << 20
    source = world.directory("src")
    image, path = os.path.join(source, "image.img"), world.path("mnt/image/large.bin")
    offset = make(image, size)
    os.sync()
    with world.mount(source):
        time.sleep(3)
        warm(world, path, size)
        cold(world, image, path, offset, size, "cold file by 1 MiB, on the disk", 0.9)
        with open(readahead_of(world.path("mnt")), "w", encoding="utf-8") as file:
            file.write("128")  # what a mount has whose daemon may not change it
        cold(world, image, path, offset, size, "cold file, on the disk, mounted without root (128 KiB of readahead)", 0.9)
    os.unlink(image)
    on_tmpfs(world, world.size(256, 64) << 20)
