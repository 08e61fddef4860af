#!/usr/bin/python3
"""Is what every head shows the newest, at the moment a writer has its reply?

  heads_fresh.py WRITES IMAGE=URI... -- DIRECTORY=ADDRESS...

Each NAME.img has a FAT at 1 MiB with a config.txt, and is what the block server at URI has; a client of that writes to it, in a
thread of its own. One write: config.txt's bytes where they are, so that nothing else in the image tells of it. As soon as its reply is
there, all heads are asked for the file at once: by open and read in DIRECTORY, and by TFTP from ADDRESS. All must give what was
written. An error is counted, and asked again as a board would, for ten seconds: a machine may be busy.
"""
import concurrent.futures
import contextlib
import os
import struct
import sys
import threading
import time

import nbd
import tftp
from fatedit import Fat

PATIENCE_SECONDS = 10
PAUSE_SECONDS = 0.05


def bytes_of_config(image):
    """Where they are in the image, and how many."""
    fat = Fat(image, 1 << 20)
    (_, slot, _, _, _), start = fat.find("config.txt")
    size, = struct.unpack_from("<I", slot, 28)
    if size > fat.cluster_bytes:
        sys.exit("heads_fresh.py: %s: config.txt is of several clusters" % image)
    return fat.offset + fat.cluster_at(start), size


def from_mount(directory, name):
    with open(os.path.join(directory, name, "config.txt"), "rb") as file:
        return file.read()


def from_tftp(address, name):
    transfer = tftp.Transfer(address, 69, name + "/config.txt", 1468, tsize=True)
    _, first = transfer.start()
    return b"".join(transfer.read_all(first))


class Writer(threading.Thread):
    def __init__(self, image, uri, heads, writes):
        super().__init__()
        self.image, self.name = image, os.path.basename(image)[:-len(".img")]
        self.heads, self.writes = heads, writes
        # One after the other: nbd-server listens for ten at a time, and what is lost then libnbd waits for without end.
        self.client = nbd.NBD()
        self.client.connect_uri(uri)
        self.lock = threading.Lock()  # of what is counted
        self.looks = self.stale = self.refused = self.done = 0
        self.slowest = 0.0

    def look(self, want, ask, place):
        begin, refused = time.monotonic(), 0
        while True:
            try:
                got = ask(place, self.name)
                break
            except (OSError, tftp.Refused) as error:
                refused += 1
                got = str(error).encode()
                if time.monotonic() > begin + PATIENCE_SECONDS:
                    break
                time.sleep(PAUSE_SECONDS)
        with self.lock:
            self.looks += 1
            self.refused += refused
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.stale += got != want
            if got != want and self.stale <= 5:
                print("heads_fresh.py: %s, write %d, %s: %r" % (self.name, self.done, place, got[:60]), file=sys.stderr)

    def run(self):
        pool = concurrent.futures.ThreadPoolExecutor(2 * len(self.heads))
        place, size = bytes_of_config(self.image)
        for number in range(self.writes):
            text = (b"%s %d " % (self.name.encode(), number)).ljust(size, b".")
            self.client.pwrite(text, place)
            self.done += 1
            looks = [pool.submit(self.look, text, ask, place) for head in self.heads
                     for ask, place in zip((from_mount, from_tftp), head)]
            for look in looks:
                look.result()
        self.client.shutdown()


def main():
    words = sys.argv[2:]
    images, heads = words[:words.index("--")], [word.split("=") for word in words[words.index("--") + 1:]]
    for directory, _ in heads:  # they connect, one after the other
        for name in sorted(os.listdir(directory)):
            with contextlib.suppress(OSError):
                os.listdir(os.path.join(directory, name))
    each = -(-int(sys.argv[1]) // len(images))
    writers = [Writer(*image.split("=", 1), heads, each) for image in images]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    def total(what):
        return sum(getattr(writer, what) for writer in writers)

    print("heads_fresh.py: %d writes, %d looks through %d heads: %d stale, %d refused; the longest %.0f ms" % (
        total("done"), total("looks"), len(heads), total("stale"), total("refused"),
        max(writer.slowest for writer in writers) * 1e3))
    return 1 if total("stale") or total("done") < int(sys.argv[1]) else 0


if __name__ == "__main__":
    sys.exit(main())
