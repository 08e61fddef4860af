#!/usr/bin/python3
"""Changes files of an image behind the mount's back and looks at once (contract C1, C2).

  rounds.py IMAGE DIRECTORY WRITER ROUNDS [SEED]

IMAGE has a FAT at 1 MiB; DIRECTORY shows it through imagefs. Each round works
out one update with mtools on a private copy, and WRITER brings it to IMAGE:

  mtools       mtools itself on IMAGE
  dd           dd conv=notrunc of the blocks that differ
  nbd:URI      libnbd writes them, as a client of the server at URI
  mirror:URI   the same, where what that server has is not IMAGE: IMAGE follows

As soon as the writer has its reply every file is opened, and its size and
bytes must be the new ones. Files opened before the update must stay what they
were to their end, or fail with ESTALE or EIO: never a mixture. Before each
round everything is read once, so that every cache is warm.

  PATIENCE   in seconds: what is EIO is asked again for so long, as a board does (0). Where content
             has to last for the settle time before it is believed, a busy machine takes longer for the looks
             at it than a request may wait (C6), and "sees that write, or fails" is C1.
"""
import errno
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time

from fatedit import Fat

BLOCK = 4096
FAT = "@@1M"


def mtools(*command, data=None):
    subprocess.run(command, input=data, check=True, stdout=subprocess.DEVNULL)


class Rounds:
    def __init__(self, image, directory, writer, rounds, seed):
        self.image, self.directory, self.writer = image, directory, writer
        self.rounds, self.rng = rounds, random.Random(seed)
        self.shadow = image + ".shadow"
        self.truth = {}
        self.opens = self.stale = self.mixed = self.kept = self.refused = self.again = 0
        self.patience = float(os.environ.get("PATIENCE", "0"))
        self.nbd = None
        if writer.startswith(("nbd:", "mirror:")):
            import nbd
            self.nbd = nbd.NBD()
            self.nbd.set_uri_allow_local_file(True) # of TLS
            self.nbd.connect_uri(writer.partition(":")[2])

    def content(self):
        size = self.rng.choice([0, 1, 511, 4096, 4097, 20000, 65536, 200001])
        return self.rng.randbytes(size)

    def change(self, image):
        """One update by mtools on the image; self.truth says what is there then."""
        fat = image + FAT
        kind = self.rng.choice(["in place", "same size", "grow", "shrink", "rename over", "delete", "create",
                                "recreate", "directory"])
        name = self.rng.choice(sorted(self.truth)) if self.truth else None
        if kind in ("create", "directory") or name is None:
            name = "overlays/new-overlay-%d.dtbo" % self.rng.randrange(1000)
            if kind == "directory":
                name = "directory-%d/file" % self.rng.randrange(10**6)
                mtools("mmd", "-i", fat, "::" + name.split("/")[0])
            data = self.content()
        elif kind == "in place":
            self.truth[name] = self.rng.randbytes(len(self.truth[name]))
            self.overwrite(image, name, self.truth[name])
            return kind
        elif kind == "delete":
            mtools("mdel", "-i", fat, "::" + name)
            del self.truth[name]
            return kind
        else:
            old = self.truth[name]
            data = {"same size": lambda: self.rng.randbytes(len(old)),
                    "grow": lambda: old + self.rng.randbytes(10000),
                    "shrink": lambda: old[:len(old) // 2]}.get(kind, self.content)()
        if kind == "recreate":
            mtools("mdel", "-i", fat, "::" + name)
        if kind == "rename over":
            mtools("mcopy", "-Q", "-i", fat, "-", "::" + name + ".new", data=data)
            mtools("mdel", "-i", fat, "::" + name)
            mtools("mren", "-i", fat, "::" + name + ".new", "::" + name)
        else:
            mtools("mcopy", "-o", "-Q", "-i", fat, "-", "::" + name, data=data)
        self.truth[name] = data
        return kind

    @staticmethod
    def overwrite(image, name, new):
        """The data alone: no entry, no time, no chain changes, as when a file is written
        twice within its time stamp's two seconds."""
        fat = Fat(image, 1 << 20)
        _, start = fat.find(name)
        for at, cluster in zip(range(0, len(new), fat.cluster_bytes), fat.chain(start)):
            fat.write(fat.cluster_at(cluster), new[at:at + fat.cluster_bytes])
        fat.file.close()

    def push(self):
        """Brings the blocks in which the copy differs to the image, in random order."""
        with open(self.shadow, "rb") as new, open(self.image, "rb") as old:
            a, b = new.read(), old.read()
        places = [at for at in range(0, len(a), BLOCK) if a[at:at + BLOCK] != b[at:at + BLOCK]]
        self.rng.shuffle(places)
        for at in places:
            if self.nbd:
                self.nbd.pwrite(a[at:at + BLOCK], at)
        if self.writer.startswith("mirror:"):
            with open(self.image, "wb") as mirror:
                mirror.write(a)
        if self.writer == "dd":
            for at in places:
                subprocess.run(["dd", "of=" + self.image, "bs=%d" % BLOCK, "count=1",
                                "seek=%d" % (at // BLOCK), "conv=notrunc", "status=none"],
                               input=a[at:at + BLOCK], check=True)

    def asked(self, action):
        """What it returns, once it is not EIO."""
        end = time.monotonic() + self.patience
        while True:
            try:
                return action()
            except OSError as error:
                if error.errno != errno.EIO or time.monotonic() >= end:
                    raise
            self.again += 1
            time.sleep(0.1)

    @staticmethod
    def stat_and_read(path):
        size = os.stat(path).st_size
        with open(path, "rb") as file:
            return size, file.read()

    @staticmethod
    def open_and_begin(path):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.pread(fd, 100, 0)
        except OSError:
            os.close(fd)
            raise
        return fd

    def look(self, when):
        """Everything through the mount must be what self.truth says."""
        for name, data in self.truth.items():
            self.opens += 1
            path = os.path.join(self.directory, name)
            try:
                size, got = self.asked(lambda path=path: self.stat_and_read(path))
            except OSError as error:
                self.report(when, name, str(error))
                continue
            if got != data or size != len(data):
                self.report(when, name, "old or wrong: %d bytes %s (stat %d), true are %d bytes %s" % (
                    len(got), hashlib.sha256(got).hexdigest()[:8], size,
                    len(data), hashlib.sha256(data).hexdigest()[:8]))
        wanted = {}
        for name in self.truth:
            top, _, rest = name.rpartition("/")
            wanted.setdefault(top, set()).add(rest.lower())  # mren makes CONFIG.TXT of config.txt
        for top, names in wanted.items():
            try:
                listed = self.asked(lambda top=top: os.listdir(os.path.join(self.directory, top)))
                got = {entry.lower() for entry in listed}
            except OSError as error:
                self.report(when, top or "/", "not listed: %s" % error)
                continue
            if top and got != names or not top and not names <= got:
                self.report(when, top or "/", "listed: %s" % sorted(got ^ names))
        for name in self.removed:
            try:
                self.asked(lambda name=name: os.stat(os.path.join(self.directory, name)))
                self.report(when, name, "still there")
            except FileNotFoundError:
                pass

    def report(self, when, name, what):
        self.stale += 1
        if self.stale <= 10:
            print("rounds.py: %s: %s: %s" % (when, name, what), file=sys.stderr)

    def finish_open(self, opened):
        """Files opened before the update: whole, or an error."""
        for name, (fd, data) in opened.items():
            got, at = b"", 0
            try:
                while True:
                    part = os.pread(fd, 65536, at)
                    if not part:
                        break
                    got, at = got + part, at + len(part)
                size = os.fstat(fd).st_size
                if got == data and size == len(data):
                    self.kept += 1
                else:
                    self.mixed += 1
                    print("rounds.py: open %s: %d bytes of another version (fstat %d, opened %d)" %
                          (name, len(got), size, len(data)), file=sys.stderr)
            except OSError as error:
                if error.errno not in (errno.ESTALE, errno.EIO):
                    self.mixed += 1
                    print("rounds.py: open %s: %s" % (name, error), file=sys.stderr)
                self.refused += 1
            finally:
                os.close(fd)

    def run(self):
        fat = self.image + FAT
        mtools("mmd", "-i", fat, "::overlays")
        for name in ("config.txt", "kernel8.img", "overlays/vc4-kms-v3d.dtbo", "a long name.dtb"):
            self.truth[name] = self.content()
            mtools("mcopy", "-o", "-Q", "-i", fat, "-", "::" + name, data=self.truth[name])
        shutil.copyfile(self.image, self.shadow)
        if self.writer.startswith("mirror:"):
            with open(self.image, "rb") as image:
                for at, block in enumerate(iter(lambda: image.read(1 << 20), b"")):
                    self.nbd.pwrite(block, at << 20)
        self.removed = set()
        for number in range(self.rounds):
            self.look("before round %d" % number)
            before = dict(self.truth)
            opened = {name: (self.asked(lambda name=name: self.open_and_begin(os.path.join(self.directory, name))), data)
                      for name, data in before.items()}
            if self.writer == "mtools":
                kind = self.change(self.image)
            else:
                kind = self.change(self.shadow)
                self.push()
            self.removed = set(before) - set(self.truth)
            self.look("after round %d (%s)" % (number, kind))
            self.finish_open(opened)
        os.unlink(self.shadow)
        print("rounds.py: %s: %d rounds, %d opens, %d stale; open across an update: "
              "%d whole, %d refused, %d mixed; asked again %d times" % (
                  self.writer.split("?")[0], self.rounds, self.opens, self.stale, self.kept, self.refused, self.mixed,
                  self.again))
        return 1 if self.stale or self.mixed else 0


if __name__ == "__main__":
    os.environ["MTOOLS_SKIP_CHECK"] = "1"
    sys.exit(Rounds(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]),
                    sys.argv[5] if len(sys.argv) > 5 else "1").run())
