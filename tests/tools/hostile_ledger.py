#!/usr/bin/python3
"""Reporters with a ledger (imagefs-control(7)) that mean no good, and what a neighbour has of it.

  hostile_ledger.py CONTROL-FILE NEIGHBOUR-CONTROL-FILE SECONDS [ATTACK...]

For each attack two processes make it on CONTROL-FILE for so many seconds; meanwhile this
one is an honest reporter of the neighbour, and prints how long its reports took. Fails when
half of them took three times as long as imagefs-control(7) allows: a busy machine does that
to some. Without a neighbour (`-`) it only attacks.
"""
import ctypes
import fcntl
import mmap
import os
import random
import signal
import socket
import struct
import sys
import time

MAGIC = 0x3172656764656C69
RECORDS = 512
SIZE = 128 + RECORDS * 32
POSTED = 64
BOUND_MS = 50
PUNCH = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE


def memory(magic=MAGIC, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW, size=SIZE):
    fd = os.memfd_create("ledger", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    page = mmap.mmap(fd, size)
    struct.pack_into("<QQ", page, 0, magic, time.monotonic_ns())
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd, page


def offered(path, **how):
    control = os.open(path, os.O_WRONLY)
    fd, page = memory(**how)
    os.write(control, b"ledger %d\ndone\n" % fd)
    return control, fd, page, struct.unpack_from("<Q", page, 16)[0] == 1


class Poster:
    def __init__(self, path):
        self.control, self.fd, self.page, self.served = offered(path)
        self.posted = 0

    def untaken(self):
        return self.posted - struct.unpack_from("<Q", self.page, 40)[0]

    def post(self, number, offset, length, when=None):
        at = 128 + self.posted % RECORDS * 32
        struct.pack_into("<QQQQ", self.page, at, number, offset, length, when or time.monotonic_ns())
        self.posted += 1
        struct.pack_into("<Q", self.page, POSTED, self.posted)

    def tell(self):
        os.write(self.control, b"\n")


# ---- attacks: each goes on for ever -------------------------------------------

def lines(path, fd):
    """More lines in one write than anybody has an answer to."""
    text = b"ledger %d\n" % fd
    control = os.open(path, os.O_WRONLY)
    while True:
        os.write(control, text * ((1 << 20) // len(text)))


def lines_file(path):
    lines(path, os.open("/dev/null", os.O_RDWR))


def lines_forged(path):
    lines(path, memory(magic=1)[0])


def lines_none(path):
    lines(path, 999)


def noise(path):
    """Any bytes, anywhere, at any time."""
    poster, rng = Poster(path), random.Random(os.getpid())
    assert poster.served
    while True:
        at = rng.randrange(0, SIZE - 64)
        poster.page[at:at + 64] = rng.randbytes(64)
        if rng.randrange(4) == 0:
            struct.pack_into("<Q", poster.page, POSTED, rng.choice(
                [rng.getrandbits(64), rng.randrange(2000), poster.posted + rng.randrange(512)]))
        if rng.randrange(64) == 0:
            poster.tell()


def backwards(path):
    poster = Poster(path)
    assert poster.served
    while True:
        for posted in 5, 3, 2**64 - 1, 0, 513, 512, 1024, 100:
            struct.pack_into("<Q", poster.page, POSTED, posted)
            poster.tell()


def flights(path):
    """As many writes in flight as are followed, then all of them end; the ledger is always full."""
    poster = Poster(path)
    assert poster.served
    while True:
        for i in range(960):
            if poster.untaken() == RECORDS:
                poster.tell()
            poster.post(1, i * 8192, 4096)
        poster.post(1, 0, 0)
        for _ in range(400):
            poster.post(7, 0, 0) if poster.untaken() < RECORDS else poster.tell()


def endless(path):
    """Writes that never end, more than can be followed."""
    poster = Poster(path)
    assert poster.served
    for i in range(1 << 62):
        if poster.untaken() == RECORDS:
            poster.tell()
        poster.post(i, 0, 2**64 - 1)


def rude(path):
    """Writes to what is watched, and waits for none."""
    poster = Poster(path)
    assert poster.served
    for i in range(1 << 62):
        while poster.untaken() == RECORDS:
            poster.tell()
        poster.post(i // 2, 1 << 20, 4 << 20 if i % 2 == 0 else 0)


def holes(path):
    """The memory goes all the time."""
    poster = Poster(path)
    assert poster.served
    libc = ctypes.CDLL(None, use_errno=True)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if os.fork() == 0:
        while True:
            libc.fallocate(poster.fd, PUNCH, ctypes.c_long(0), ctypes.c_long(SIZE))
    while True:
        struct.pack_into("<Q", poster.page, POSTED, 512)
        poster.tell()


def many(path):
    """A ledger for each of many open files, all of them full."""
    posters = [Poster(path) for _ in range(400)]
    while True:
        for poster in posters:
            for i in range(RECORDS):
                struct.pack_into("<QQQQ", poster.page, 128 + i * 32, i // 2, 4096 * i, 512 * (i % 2), 0)
            poster.posted += RECORDS
            struct.pack_into("<Q", poster.page, POSTED, poster.posted)
        posters[0].tell()


def strange(path):
    """Descriptors of whatever there is."""
    ends = os.pipe(), socket.socketpair()
    fds = [ends[0][0], ends[0][1], ends[1][0].fileno(), os.open(path, os.O_WRONLY),
           os.open("/proc/self/mem", os.O_RDWR), os.open("/proc/self/maps", os.O_RDONLY), os.open(".", os.O_RDONLY),
           memory(seals=0)[0], memory(seals=fcntl.F_SEAL_SHRINK)[0], memory(size=4096)[0], memory(size=1 << 20)[0],
           memory(magic=7)[0], 2**31 - 1]
    while True:
        for fd in fds:
            control = os.open(path, os.O_WRONLY)
            os.write(control, b"ledger %d\n" % fd)
            os.write(control, b"done\n")
            os.close(control)


ATTACKS = [lines_file, lines_forged, lines_none, noise, backwards, flights, endless, rude, holes, many, strange]


def neighbour(path, seconds):
    """Milliseconds of each report, sorted."""
    control = os.open(path, os.O_WRONLY)
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        os.write(control, b"write 0 512 1\n")
        took.append((time.monotonic() - start) * 1000)
        os.write(control, b"done 1\n")
        time.sleep(0.005)
    os.close(control)
    return sorted(took)


def start(attack, path):
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        try:
            attack(path)
        finally:
            os._exit(3)
    return child


def stop(child):
    """Did it go on until now?"""
    if os.waitpid(child, os.WNOHANG)[0] == child:
        return False
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def try_one(attack, path, other, seconds):
    children = [start(attack, path) for _ in range(2)]
    time.sleep(0.2)  # as much as they can
    if other == "-":
        time.sleep(seconds)
        took = [0]
    else:
        took = neighbour(other, seconds)
    lasted = [stop(child) for child in children]
    print("%-13s the neighbour's reports: median %.2f, nine tenths %.2f, longest %.1f ms" % (
        attack.__name__, took[len(took) // 2], took[len(took) * 9 // 10], took[-1]), flush=True)
    if not all(lasted):
        sys.exit("%s ended by itself" % attack.__name__)
    if took[len(took) // 2] > 3 * BOUND_MS:
        sys.exit("%s: the neighbour waits" % attack.__name__)


def main():
    path, other, seconds, names = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]
    for attack in ATTACKS:
        if not names or attack.__name__ in names:
            try_one(attack, path, other, seconds)


if __name__ == "__main__":
    main()
