#!/usr/bin/python3
"""Records how a guest replaces its kernel, in five ways, and replays it write by write.

  guest_replay.py GUEST PORT WORK IMAGE FILE [ROUNDS]

nbd-server on PORT exports WORK/N.img as N, for N from 0 to 4, with transactionlog
WORK/N.log and datalog. Each recording is replayed onto IMAGE, which imagefs
shows, with /kernel8.img of it as FILE:

  at rest   one write, then one fetch, which has the time it takes: what a client
            that stops there leaves behind
  streamed  all writes without a pause, while others fetch; ROUNDS times

A fetch is the old or the new kernel, EMPTY, absent, other bytes, or an error.
Streamed, only old, new and errors are allowed, and only the new one afterwards.
At rest nobody can know better than to serve what is sound: that is only counted.
"""
import collections
import errno
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest import Guest  # noqa: E402

WAYS = [
    ("cp .new, sync, mv, mv, sync", "rw",
     "cp /payload/new k.new && sync && mv kernel8.img k.bak && mv k.new kernel8.img && sync"),
    ("the same without the first sync", "rw",
     "cp /payload/new k.new && mv kernel8.img k.bak && mv k.new kernel8.img && sync"),
    ("cp over it in place", "rw", "cp /payload/new kernel8.img && sync"),
    ("mv -f over it", "rw", "cp /payload/new k.new && mv -f k.new kernel8.img && sync"),
    ("cp on an -o sync mount", "rw,sync", "cp /payload/new kernel8.img"),
]
REQUEST, REPLY, TRACELOG = 0x25609513, 0x67446698, 0x25609514
CMD_WRITE = 1


def make_images(work, old):
    """WORK/N.start, with the old kernel, and N.img, which is written to."""
    start = os.path.join(work, "start")
    with open(start, "wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["sfdisk", "-q", start], input=b"label: dos\nstart=2048, type=c\n", check=True)
    subprocess.run(["mkfs.fat", "-F", "16", "-s", "4", "--offset", "2048", start, str(23 * 1024)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["mcopy", "-Q", "-i", start + "@@1M", "-", "::kernel8.img"], input=old, check=True)
    for number in range(len(WAYS)):
        shutil.copyfile(start, os.path.join(work, "%d.img" % number))
    with open(start, "rb") as file:
        return file.read()


def writes_of(path):
    """[(offset, data)], in the order in which nbd-server took them."""
    writes = []
    with open(path, "rb") as log:
        while head := log.read(4):
            magic, = struct.unpack(">I", head)
            if magic == REPLY:
                log.read(12)
                continue
            if magic not in (REQUEST, TRACELOG):
                sys.exit("%s: what record is %x?" % (path, magic))
            _, kind, _, offset, length = struct.unpack(">HHQQI", log.read(24))
            if magic == REQUEST and kind == CMD_WRITE:
                writes.append((offset, log.read(length)))
    return writes


def record(guest_directory, port, work, new):
    guest = Guest(guest_directory, {"payload/new": new}, work)
    for number, (_, options, commands) in enumerate(WAYS):
        guest.connect(number, port, str(number))
        guest.mount(number, options)
        guest.run("cd /boot%d" % number)
        guest.run(commands)
        # What comes after (unmounting clears the dirty bit) is not part of it.
        guest.run("cd /")
        shutil.copyfile(os.path.join(work, "%d.img" % number), os.path.join(work, "%d.end" % number))
        shutil.copyfile(os.path.join(work, "%d.log" % number), os.path.join(work, "%d.recorded" % number))
        guest.run("umount /boot%d && nbd-client -d /dev/nbd%d >/dev/null" % (number, number))
    guest.end()


class Replay:
    def __init__(self, image, path, old, new):
        self.fd = os.open(image, os.O_RDWR)
        self.path, self.old, self.new = path, old, new

    def fetch(self):
        try:
            with open(self.path, "rb") as file:
                got = file.read()
        except OSError as error:
            if error.errno == errno.ENOENT:
                return "absent"
            if error.errno in (errno.EIO, errno.ESTALE):
                return "error"
            raise
        return "old" if got == self.old else "new" if got == self.new else \
            "EMPTY" if not got else "WRONG BYTES"

    def reset(self, start, writes):
        for offset, data in writes:
            os.pwrite(self.fd, start[offset:offset + len(data)], offset)
        self.until("old")

    def until(self, what):
        """An open after the last write is `what`, or refused for a moment."""
        deadline = time.monotonic() + 3
        while (got := self.fetch()) == "error" and time.monotonic() < deadline:
            pass
        return got == what

    def at_rest(self, writes, every):
        served = []
        for number, (offset, data) in enumerate(writes, 1):
            os.pwrite(self.fd, data, offset)
            if number % every == 0 or number == len(writes):
                served.append(self.fetch())
        return served

    def streamed(self, start, writes, rounds, rng):
        counts, over = collections.Counter(), threading.Event()

        def fetch_all():
            while not over.is_set():
                counts[self.fetch()] += 1

        readers = [threading.Thread(target=fetch_all) for _ in range(3)]
        for reader in readers:
            reader.start()
        wrong_end = 0
        for _ in range(rounds):
            time.sleep(rng.random() * 0.1)  # so that the readers are anywhere
            for offset, data in writes:
                os.pwrite(self.fd, data, offset)
            wrong_end += not self.until("new")
            self.reset(start, writes)
        over.set()
        for reader in readers:
            reader.join()
        return counts, wrong_end


def runs(served):
    """old 3, EMPTY 75, new 2"""
    parts = []
    for what in served:
        if not parts or parts[-1][0] != what:
            parts.append([what, 0])
        parts[-1][1] += 1
    return ", ".join("%s %d" % tuple(part) for part in parts)


def main():
    guest_directory, port, work, image, path = sys.argv[1:6]
    rounds = int(sys.argv[6]) if len(sys.argv) > 6 else 10
    rng = random.Random(os.environ.get("SEED", "1"))
    old, new = rng.randbytes(1200000), rng.randbytes(1200000)
    if image == "-":  # before the server: it wants the images
        make_images(work, old)
        return
    with open(os.path.join(work, "start"), "rb") as file:
        start = file.read()
    record(guest_directory, int(port), work, new)
    replay = Replay(image, path, old, new)
    failed = 0
    for number, (name, _, _) in enumerate(WAYS):
        writes = writes_of(os.path.join(work, "%d.recorded" % number))
        replay.reset(start, writes)
        if replay.fetch() != "old":
            sys.exit("%s: the old kernel is not there at first" % name)
        every = 1 + len(writes) // 100  # an -o sync mount makes thousands
        served = replay.at_rest(writes, every)
        with open(os.path.join(work, "%d.end" % number), "rb") as want, open(image, "rb") as have:
            if want.read() != have.read():
                sys.exit("%s: the recording does not make what the guest made" % name)
        if served[-1] != "new":
            failed += 1
        print("%s: %d writes\n    at rest%s: %s" % (
            name, len(writes), " (one in %d)" % every if every > 1 else "", runs(served)))
        replay.reset(start, writes)
        counts, wrong_end = replay.streamed(start, writes, rounds, rng)
        print("    streamed: %d rounds: %s; not new at the end: %d" % (
            rounds, ", ".join("%s %d" % pair for pair in sorted(counts.items())), wrong_end))
        failed += wrong_end + sum(counts[what] for what in ("EMPTY", "absent", "WRONG BYTES"))
        replay.reset(start, writes)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
