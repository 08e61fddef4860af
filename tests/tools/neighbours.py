#!/usr/bin/python3
"""How long do twenty boards wait for their first byte while another one is hostile?

  neighbours.py PORT IMAGE CONFIG ROOT FAT KIND...

The boards fetch goodNN/config.txt all the time. First alone; then for each KIND
while the image, served as "hostile", is written to, and asked for, as the kind
says. CONFIG, ROOT and FAT are what hostile_fat.py printed. Fails when a board was
refused, or waited longer than the longest wait without a hostile board, and 600 ms.
"""
import os
import socket
import struct
import sys
import threading
import time

import tftp

RRQ, DATA, ACK, ERROR = 1, 3, 4, 5
BOARDS = 20
GIVEN_UP_SECONDS = 8
ALLOWED_SECONDS = 0.6
KIND_SECONDS = 3
TRIES = 3


def hostile(name):
    """Of its image, or of a partition of it."""
    return "hostile" + name if name.startswith(":") else "hostile/" + name


def ask(sock, port, name):
    sock.sendto(struct.pack("!H", RRQ) + name.encode() + b"\0octet\0", ("127.0.0.1", port))


def end(sock, peer):
    """A server takes so many transfers at a time (dnsmasq's tftp-max), and keeps one that is left alone."""
    sock.sendto(struct.pack("!HH", ERROR, 0) + b"enough\0", peer)


PORTS = tftp.Ports("127.0.0.1")  # a port that comes again belongs to a transfer that was left alone
PORTS.next = 20000


def fetch(port, name, blocks=None, seconds=GIVEN_UP_SECONDS):
    """(seconds until the first answer, "ok" or what went wrong). At most so many blocks."""
    with PORTS.open() as sock:
        sock.settimeout(seconds)
        start = time.monotonic()
        ask(sock, port, name)
        first, expected = None, 1
        while True:
            try:
                packet, peer = sock.recvfrom(2048)
            except TimeoutError:
                return (first if first is not None else time.monotonic() - start), "timeout"
            if first is None:
                first = time.monotonic() - start
            opcode, number = struct.unpack_from("!HH", packet)
            if opcode == ERROR:
                return first, packet[4:-1].decode(errors="replace").split(": ")[-1]
            if opcode != DATA or number != expected & 0xffff:
                continue
            if expected == blocks:
                end(sock, peer)
                return first, "ok"
            sock.sendto(struct.pack("!HH", ACK, number), peer)
            if len(packet) < 516:
                return first, "ok"
            expected += 1


def drain(sock):
    """Whatever came: it is not wanted."""
    sock.setblocking(False)
    try:
        while True:
            packet, peer = sock.recvfrom(2048)
            if packet[1] == DATA:
                end(sock, peer)
    except BlockingIOError:
        pass


class Phase:
    """Boards, and whoever else, until it is over."""

    def __init__(self, port):
        self.port, self.stop, self.threads = port, threading.Event(), []
        self.waits, self.refusals, self.hostile = [], [], {}

    def start(self, target, *args):
        thread = threading.Thread(target=target, args=args)
        self.threads.append(thread)
        thread.start()

    def board(self, number):
        self.stop.wait(number * 0.25 / BOARDS)
        while not self.stop.is_set():
            first, outcome = fetch(self.port, "good%02d/config.txt" % number)
            self.waits.append(first)
            if outcome != "ok":
                self.refusals.append("good%02d: %s" % (number, outcome))
            self.stop.wait(0.25)

    def repeat(self, pause, action):
        while not self.stop.wait(pause):
            action()

    def flood(self, name_of, per_second=20):
        """So many requests a second, whether they are answered or not."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            number = 0
            while not self.stop.wait(1 / per_second):
                ask(sock, self.port, hostile(name_of(number)))
                number += 1
                drain(sock)
            time.sleep(0.5)
            drain(sock)
        self.hostile["asked"] = self.hostile.get("asked", 0) + number

    def transfer(self, name_of, blocks=200):
        """Transfers one after the other, each of so many blocks."""
        number = 0
        while not self.stop.is_set():
            _, outcome = fetch(self.port, hostile(name_of(number)), blocks, 2)
            self.hostile[outcome] = self.hostile.get(outcome, 0) + 1
            number += 1
            self.stop.wait(0.02)

    def run(self, seconds):
        for number in range(BOARDS):
            self.start(self.board, number)
        time.sleep(seconds)
        self.stop.set()
        for thread in self.threads:
            thread.join()


class Writer:
    def __init__(self, path, config, root, fat):
        self.fd, self.number = os.open(path, os.O_RDWR), 0
        self.config, self.root, self.fat, self.size = config, root, fat, os.fstat(self.fd).st_size

    def noise(self):
        """A byte at the very end, which is in no file."""
        os.pwrite(self.fd, os.urandom(1), self.size - 1536)

    def content(self):
        self.number += 1
        os.pwrite(self.fd, b"%d" % (self.number % 10) * 2048, self.config)

    def entry(self):
        """The time of CONFIG.TXT, in the root directory."""
        self.number += 1
        os.pwrite(self.fd, struct.pack("<H", self.number & 0x7fff), self.root + 22)
        self.content()

    def boot_sector(self):
        """The volume's number."""
        os.pwrite(self.fd, os.urandom(4), 67)

    def chain(self):
        """Of LOOP.BIN: one round or the other."""
        self.number += 1
        os.pwrite(self.fd, struct.pack("<I", 4 + self.number % 2), self.fat + 4 * 5)

    def resize(self):
        self.number += 1
        os.ftruncate(self.fd, self.size + self.number % 2 * 4096)

    def burst(self):
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            self.entry()
            time.sleep(0.005)
        time.sleep(0.25)


def deep(number):
    return "A/" * (40 + number % 180) + "x%d" % number


# What is written, how often; and what is asked for.
KINDS = {
    "calm": (None, 0, []),
    "absent": ("entry", 0.01, [("flood", lambda n: "N%d" % n)]),
    "absent-noise": ("noise", 0.01, [("flood", lambda n: "N%d" % n)]),
    "present": ("entry", 0.01, [("flood", lambda n: "config.txt")]),
    "huge": ("noise", 0.3, [("transfer", lambda n: "F%02d.BIN" % (n % 20))] * 3),
    "huge-never": ("content", 0.01, [("transfer", lambda n: "F%02d.BIN" % (n % 20))] * 6),
    "unsound": ("noise", 0.02, [("flood", lambda n: "D%02d/x%d" % (n % 20, n))]),
    "wide": ("entry", 0.02, [("flood", lambda n: "W%02d/x%d" % (n % 20, n))]),
    "endless": ("chain", 0.01, [("flood", lambda n: ("LOOP.BIN", "LOOPDIR/x%d" % n)[n % 2])]),
    "deep": ("content", 0.01, [("flood", deep)]),
    "deep-noise": ("noise", 0.05, [("flood", deep)]),
    "looping": ("entry", 0.01, [("flood", lambda n: ("SELF/SELF/x%d" % n, "UP/UP/x", "SELF/UP/SELF/x")[n % 3])]),
    "pieces": ("content", 0.02, [("transfer", lambda n: "P%02d.BIN" % (n % 20))] * 6),
    "resized": ("resize", 0.01, [("flood", lambda n: "config.txt"), ("transfer", lambda n: "P%02d.BIN" % (n % 20))]),
    "boot-sector": ("boot_sector", 0.01, [("flood", lambda n: "config.txt")]),
    "partitions": ("boot_sector", 0.01, [("flood", lambda n: ":%d/x" % (n % 60))]),
    "bursts": ("burst", 0, [("flood", lambda n: "config.txt"), ("transfer", lambda n: "P%02d.BIN" % (n % 20))]),
    "silent": (None, 0, [("flood", lambda n: "N%d" % n), ("transfer", lambda n: "config.txt")]),
}


def run(port, kind, writer):
    """A phase of that kind, told and done."""
    what, pause, requests = KINDS[kind]
    phase = Phase(port)
    if what:
        phase.start(phase.repeat, pause, getattr(writer, what))
    for how, name_of in requests:
        phase.start(getattr(phase, how), name_of)
    phase.run(KIND_SECONDS)
    waits = sorted(phase.waits)
    print("%-12s %4d fetches, to the first byte: median %5.1f ms, 99 %% %5.1f ms, worst %5.1f ms, %d refused; hostile: %s" %
          (kind, len(waits), waits[len(waits) // 2] * 1e3, waits[len(waits) * 99 // 100] * 1e3, waits[-1] * 1e3,
           len(phase.refusals), phase.hostile), flush=True)
    return phase


def judge(phase, worst_alone):
    """What was wrong with it, or nothing."""
    if phase.refusals:
        return "%d refused: %s" % (len(phase.refusals), phase.refusals[:3])
    if max(phase.waits) > worst_alone + ALLOWED_SECONDS:
        return "%.0f ms to the first byte, %.0f ms without it" % (max(phase.waits) * 1e3, worst_alone * 1e3)
    return None


def main():
    port, path = int(sys.argv[1]), sys.argv[2]
    writer = Writer(path, *map(int, sys.argv[3:6])) if path != "-" else None
    for number in range(BOARDS):
        for _ in range(2):
            fetch(port, "good%02d/config.txt" % number)
    fetch(port, "hostile/config.txt")
    alone = run(port, "calm", None)
    failed = []
    for kind in sys.argv[6:]:
        # A busy machine has its moments too: what an image does it does each time.
        for _ in range(TRIES):
            wrong = judge(run(port, kind, writer), max(alone.waits))
            if not wrong:
                break
        if wrong:
            failed.append("%s: %s" % (kind, wrong))
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
