#!/usr/bin/python3
"""How long is an image quiet in the middle of an update? A guest's writes, as a server sees them.

  guest_gaps.py GUEST SCRATCH SOCKET-PORT LOG [MOUNT-OPTIONS]

nbdkit serves SCRATCH/N.img as N.img on the port, with its log filter, whose log LOG has
the times. The guest replaces boot files in the ways below, each on an image of its own,
first with sync at the end, then without: then its kernel writes them back when it likes.
Told of each: how many writes it was, how long they took, and the times in which none was
in flight: what a settle time has to be longer than.
"""
import datetime
import os
import random
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest import Guest  # noqa: E402

WAYS = [
    ("cp the kernel to .new, sync, mv over it", "cp /payload/kernel k.new && sync && mv k.new kernel8.img"),
    ("cp the kernel to .new, mv over it", "cp /payload/kernel k.new && mv k.new kernel8.img"),
    ("cp the kernel over itself", "cp /payload/kernel kernel8.img"),
    ("keep .bak (mv, mv)", "cp /payload/kernel k.new && mv kernel8.img k.bak && mv k.new kernel8.img"),
    ("kernel, initrd and 20 device trees", "cp /payload/kernel kernel8.img && cp /payload/initrd initrd.img && "
     "for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do cp /payload/dtb bcm27$n.dtb; done"),
    ("config.txt edited", "cp /payload/config c.new && mv c.new config.txt"),
    ("all removed and copied again", "rm -f * && cp /payload/kernel kernel8.img && cp /payload/initrd initrd.img && "
     "cp /payload/config config.txt"),
]
LINE = re.compile(r"^(\d+-\d+-\d+ \d+:\d+:\d+\.\d+) connection=(\d+) (\.\.\.)?(\w+)(.*)$")


def make_images(scratch, rng):
    """Two for each way, with files that are replaced."""
    first = os.path.join(scratch, "0.img")
    with open(first, "wb") as file:
        file.truncate(80 << 20)
    subprocess.run(["sfdisk", "-q", first], input=b"label: dos\nstart=2048, type=c\n", check=True)
    subprocess.run(["mkfs.fat", "-F", "32", "-s", "1", "--offset", "2048", first, str(79 * 1024)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name, size in (("kernel8.img", 9 << 20), ("initrd.img", 12 << 20), ("config.txt", 1500)):
        subprocess.run(["mcopy", "-Q", "-i", first + "@@1M", "-", "::" + name], input=rng.randbytes(size), check=True)
    for number in range(1, 2 * len(WAYS)):
        subprocess.run(["cp", "--sparse=always", first, os.path.join(scratch, "%d.img" % number)], check=True)


def parse(path):
    """{export: [(time, +1 or -1)]} of its writes."""
    exports, events = {}, {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = LINE.match(line)
            if not match:
                continue
            when, connection, end, what, rest = match.groups()
            if what == "Connect" and (name := re.search(r'export="?([^" ]*)', rest)):
                exports[connection] = name.group(1)
            if what in ("Write", "Zero", "Trim"):
                at = datetime.datetime.strptime(when, "%Y-%m-%d %H:%M:%S.%f").timestamp()
                events.setdefault(exports[connection], []).append((at, -1 if end else 1))
    return events


def gaps_of(events, since, until):
    """(writes, seconds they took, [seconds in which none was in flight])"""
    gaps, in_flight, writes, first, last = [], 0, 0, None, None
    for at, step in events:
        if not since <= at <= until:
            continue
        if step > 0:
            writes += 1
            if in_flight == 0 and last is not None:
                gaps.append(at - last)
            first = at if first is None else first
        in_flight += step
        last = at
    return writes, (last - first) if writes else 0, gaps


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] * 1e3 if values else 0


def tell(what, writes, took, gaps):
    print("  %-48s %5d writes in %7.0f ms; none in flight: median %6.2f, 99 %% %7.1f, longest %8.1f ms" % (
        what, writes, took * 1e3, quantile(gaps, .5), quantile(gaps, .99), quantile(gaps, 1)), flush=True)


def wait_for_writeback(log):
    """Until nothing was logged for as long as the guest's kernel may wait (dirty_expire and one round more)."""
    end = time.monotonic() + 200
    while time.monotonic() < end and time.time() - os.stat(log).st_mtime < 45:
        time.sleep(1)


def main():
    directory, scratch, port, log = sys.argv[1:5]
    options = sys.argv[5] if len(sys.argv) > 5 else "rw"
    rng = random.Random(1)
    if port == "-":  # before the server: it wants the images
        make_images(scratch, rng)
        return
    guest = Guest(directory, {"payload/kernel": rng.randbytes(9 << 20), "payload/initrd": rng.randbytes(12 << 20),
                              "payload/dtb": rng.randbytes(52000), "payload/config": rng.randbytes(1500)}, scratch)
    guest.run("sync")
    spans = {}
    for number in range(2 * len(WAYS)):
        guest.connect(number, int(port), "%d.img" % number)
        guest.mount(number, options)
        guest.run("ls -l /boot%d >/dev/null" % number)
    guest.run("sync")
    for number, (_, command) in enumerate(WAYS):
        guest.run("cd /boot%d" % number)
        begun = time.time()
        guest.run(command + " && sync")
        spans[number] = (begun, time.time())
    begun = time.time()
    for number, (_, command) in enumerate(WAYS, len(WAYS)):
        guest.run("cd /boot%d" % number)
        guest.run(command)
        spans[number] = (begun, float("inf"))
    wait_for_writeback(log)
    end = time.time()
    events = parse(log)
    for title, first in (("with sync at the end", 0), ("without sync (the kernel's own writeback)", len(WAYS))):
        print("%s, mounted %s:" % (title, options))
        every = []
        for number, (way, _) in enumerate(WAYS, first):
            since, until = spans[number]
            writes, took, gaps = gaps_of(events.get("%d.img" % number, []), since, min(until, end))
            tell(way, writes, took, gaps)
            every += gaps
        tell("all", len(every), 0, every)
    guest.run("cd /")
    guest.end()


if __name__ == "__main__":
    main()
