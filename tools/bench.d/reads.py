"""reads: a large file, warm and cold"""
import os
import re
import shutil
import stat
import subprocess
import time

import fat
from figure import MORE, NULL, NULL_READS
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
    figure = world.figure("warm file by 1 MiB", "MB/s", MORE, "a local file")
    world.pairs(figure, lambda: rate(world, path, size), lambda: rate(world, local, size), count=15)
    os.unlink(local)
    try:
        null = world.null_fs("-l", size >> 20)
    except Skip as reason:
        world.skip(reason)
        return
    with null:
        other = world.path("null/large")
        rate(world, other, size)
        figure = world.figure("warm file by 1 MiB", "MB/s", MORE, NULL, target=("ratio", 0.9), main=True)
        world.pairs(figure, lambda: rate(world, path, size), lambda: rate(world, other, size), count=15)


def cold(world, image, path, offset, size, text, target):
    def ours():
        forget(image, path)
        return rate(world, path, size)

    figure = world.figure(text, "MB/s", MORE, "dd iflag=direct bs=1M", target=("ratio", target), main=True)
    world.pairs(figure, ours, lambda: direct(image, offset, size), count=9)


USER = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def let_users_mount(world):
    """In our namespace only: /dev/fuse as udev makes it."""
    world.needs("fusermount3", "setpriv")
    if not os.stat(shutil.which("fusermount3")).st_mode & stat.S_ISUID:
        raise Skip("mounted without root: fusermount3 is not setuid")
    if not os.stat("/dev/fuse").st_mode & stat.S_IWOTH:
        device = world.path("fuse")
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(10, 229))
        os.chmod(device, 0o666)
        subprocess.run(["mount", "--bind", device, "/dev/fuse"], check=True)


def without_root(world, source, image, offset, size):
    """Such a mount has the kernel's 128 KiB of readahead, and only its user may read it."""
    let_users_mount(world)
    point = world.directory("mnt-user")
    os.chown(point, 65534, 65534)
    path = os.path.join(point, "image/large.bin")
    with world.mount(source, point, options=["control=none"], prefix=USER):
        time.sleep(3)

        def ours():
            forget(image)
            subprocess.run([*USER, "dd", "if=%s" % path, "iflag=nocache", "count=0", "status=none"], check=True)
            return size / world.timed("read", path, 1, USER)[0]

        figure = world.figure("cold file by 1 MiB, on the disk, mounted without root", "MB/s", MORE, "dd iflag=direct bs=1M",
                              target=("ratio", 0.9))
        world.pairs(figure, ours, lambda: direct(image, offset, size), count=9)


def read_ahead_as_ours(null):
    number = os.stat(null.point).st_dev
    with open("/sys/class/bdi/%d:%d/read_ahead_kb" % (os.major(number), os.minor(number)), "w", encoding="ascii") as file:
        file.write("8192")  # mount.c


def against_null(world, device, path, offset, size):
    """
    What the kernel takes to fill its pages from a daemon that reads nothing: no FUSE is faster, however fast the device. And
    from one that reads the same bytes with O_DIRECT, and does nothing else.
    """
    text = "cold file by 1 MiB, on a loop device over tmpfs"
    reading = ("-r", "%s:%d" % (device, offset))
    with world.null_fs("-l", size >> 20) as null, \
            world.null_fs("-l", size >> 20, *reading, point=world.path("reading")) as reads:
        def cold_rate(file, *others):
            forget(file, *others)
            return rate(world, file, size)

        for daemon in (null, reads):
            read_ahead_as_ours(daemon)
        world.among(lambda: cold_rate(path, device), [
            (world.figure(text, "MB/s", MORE, NULL), lambda: cold_rate(world.path("null/large"))),
            (world.figure(text, "MB/s", MORE, NULL_READS, target=("ratio", 0.9)),
             lambda: cold_rate(world.path("reading/large"), device))])


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
            cold(world, device, world.path("mnt/image/large.bin"), offset, size,
                 "cold file by 1 MiB, on a loop device over tmpfs", 0.9)
            against_null(world, device, world.path("mnt/image/large.bin"), offset, size)
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
    try:
        without_root(world, source, image, offset, size)
    except Skip as reason:
        world.skip(reason)
    os.unlink(image)
    on_tmpfs(world, world.size(256, 64) << 20)
