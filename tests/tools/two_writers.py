#!/usr/bin/python3
"""Changes files of an image that another writer, which reports, writes to as well; looks at once.

  two_writers.py IMAGE DIRECTORY HOW ROUNDS SCRATCH [SEED]

IMAGE has a FAT at 1 MiB, with 4 KiB clusters, and DIRECTORY shows it through
imagefs. The other writer only ever writes to /load.bin, in place, and to another
partition. Each round works out one update with mtools on a copy of the image, and
brings it to IMAGE, silently:

  mtools        mtools themselves on IMAGE
  nbd:URI       libnbd writes the blocks that differ, through a server that reports nothing
  direct:NODE   pwrite with O_DIRECT to a loop device
  buffered:NODE pwrite and fsync

As soon as the writer has its reply, or has closed, every file is opened, and must be
the new one. A refusal (EIO, ESTALE) counts, and is tried again for three seconds.
Files open across an update end as they were, or with such an error.
"""
import errno
import mmap
import os
import random
import subprocess
import sys
import time

FAT = "@@1M"
BLOCK = 4096
PATIENCE = 3


def mtools(*command, data=None):
    subprocess.run(command, input=data, check=True, stdout=subprocess.DEVNULL)


class Silent:
    """Writes blocks, and returns when they are written."""

    def __init__(self, how):
        self.how, _, where = how.partition(":")
        if self.how == "nbd":
            import nbd
            self.nbd = nbd.NBD()
            self.nbd.connect_uri(where)
        elif self.how == "direct":
            self.fd = os.open(where, os.O_RDWR | os.O_DIRECT)
            self.aligned = mmap.mmap(-1, BLOCK)
        elif self.how == "buffered":
            self.fd = os.open(where, os.O_RDWR)

    def write(self, blocks):
        for at, data in blocks:
            if self.how == "nbd":
                self.nbd.pwrite(data, at)
            elif self.how == "direct":
                self.aligned[:] = data
                os.pwritev(self.fd, [self.aligned], at)
            else:
                os.pwrite(self.fd, data, at)
        if self.how == "buffered":
            os.fsync(self.fd)

    def close(self):
        if self.how == "nbd":
            self.nbd.shutdown()
        else:
            os.close(self.fd)


class Rounds:
    def __init__(self, image, directory, how, scratch, seed):
        self.image, self.directory, self.how = image, directory, how
        self.rng = random.Random(seed)
        self.shadow = os.path.join(scratch, "shadow")
        self.silent = None if how == "mtools" else Silent(how)
        self.truth = {}
        self.opens = self.stale = self.refused = self.whole = self.ended = self.mixed = 0
        self.waits = []

    def learn(self):
        with open(self.image, "rb") as file:
            data = file.read()
        with open(self.shadow, "wb") as file:
            file.write(data)
        self.before = data
        for name in ("kernel8.img", "config.txt", "overlays/a.dtbo", "overlays/b.dtbo"):
            self.truth[name] = subprocess.run(["mcopy", "-Q", "-i", self.shadow + FAT, "::" + name, "-"], check=True,
                                              stdout=subprocess.PIPE).stdout

    def change(self, fat):
        name = self.rng.choice(sorted(self.truth))
        data = self.rng.randbytes(self.rng.choice([1, 300, 4096, 50000, 400000]))
        if self.rng.random() < .3:  # of the same length, in the same clusters
            data = self.rng.randbytes(len(self.truth[name]))
        kind = self.rng.choice(["over", "over", "rename", "again"])
        if kind == "rename":
            mtools("mcopy", "-Q", "-i", fat, "-", "::new", data=data)
            mtools("mdel", "-i", fat, "::" + name)
            mtools("mren", "-i", fat, "::new", "::" + name)
        else:
            if kind == "again":
                mtools("mdel", "-i", fat, "::" + name)
            mtools("mcopy", "-o", "-Q", "-i", fat, "-", "::" + name, data=data)
        self.truth[name] = data
        return name, kind

    def update(self):
        if not self.silent:
            return self.change(self.image + FAT)
        done = self.change(self.shadow + FAT)
        with open(self.shadow, "rb") as file:
            now = file.read()
        blocks = [(at, now[at:at + BLOCK]) for at in range(0, len(now), BLOCK)
                  if now[at:at + BLOCK] != self.before[at:at + BLOCK]]
        self.rng.shuffle(blocks)
        self.silent.write(blocks)
        self.before = now
        return done

    def read(self, name):
        """Its bytes, None if it is not there; an error after three seconds of it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.opens += 1
            try:
                with open(os.path.join(self.directory, name), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno not in (errno.EIO, errno.ESTALE):
                    raise
                self.refused += 1
                if time.monotonic() > deadline:
                    return error

    def look(self, when, first=None):
        for name in sorted(self.truth, key=lambda name: name != first):
            start = time.monotonic()
            got = self.read(name)
            self.waits.append(time.monotonic() - start)
            if got != self.truth[name]:
                self.stale += 1
                if self.stale <= 10:
                    print("two_writers.py: %s: %s: %s" % (when, name, "%d bytes, true are %d" % (
                        len(got), len(self.truth[name])) if isinstance(got, bytes) else got), file=sys.stderr)

    def finish(self, opened):
        for fd, data in opened:
            try:
                got = b"".join(iter(lambda: os.read(fd, 65536), b""))
                self.whole += got == data
                self.mixed += got != data
            except OSError as error:
                if error.errno not in (errno.EIO, errno.ESTALE):
                    raise
                self.ended += 1
            os.close(fd)

    def run(self, rounds):
        self.learn()
        for number in range(rounds):
            self.look("before round %d" % number)
            opened = []
            for name, data in self.truth.items():
                try:
                    opened.append((os.open(os.path.join(self.directory, name), os.O_RDONLY), data))
                except OSError:
                    self.refused += 1
            name, kind = self.update()
            self.look("round %d (%s, %s)" % (number, name, kind), name)
            self.finish(opened)
        if self.silent:
            self.silent.close()
        self.waits.sort()
        print("%s: %d rounds, %d opens: %d stale, %d refused, answered after %.1f ms (median; worst %.0f ms); "
              "open across an update: %d whole, %d ended by an error, %d mixed" % (
                  self.how.partition(":")[0], rounds, self.opens, self.stale, self.refused,
                  self.waits[len(self.waits) // 2] * 1e3, self.waits[-1] * 1e3, self.whole, self.ended, self.mixed))
        return 1 if self.stale or self.mixed or not self.opens else 0


if __name__ == "__main__":
    sys.exit(Rounds(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[5], sys.argv[6] if len(sys.argv) > 6 else "1")
             .run(int(sys.argv[4])))
