#!/usr/bin/python3
"""kill -9 of the daemon and of a server that reports, at random points under load (contract P).

  kill_nine.py SERVER KILLS DIRECTORY ROOT [SEED]

SERVER is nbd-server or nbdkit-filter. DIRECTORY has src/board.img, with a
FAT at 1 MiB, /kernel8.img in one run of clusters, and another partition of 1 MiB or more
at ROOT, and mnt and control, where the daemon (IMAGEFS, in the environment) is mounted.
FILTER is our nbdkit filter.

A client writes versions of the kernel in place, one after the other; a reader reads
it all the time; and when a server is to die another client writes to the other partition
without a rest, so that it dies in the middle of something. Each sector of the kernel says
of which version it is. What must hold:

  - no request of a client fails or takes longer than 5 s, unless its own server was
    killed; then a new connection and its first request are done within 5 s;
  - while the daemon is dead, and when it is back, new clients connect as well;
  - what is read is one version, not older than the last that was complete before the
    open; except when a killed server had left a version half written at any time of the read, or
    the image was silent for about the settle time in the midst of one (a busy machine stops the
    client or the server): two writes are at most as far apart as the reply to the second one is
    from that to the one before the first;
  - when all is up again the newest version is read, once the client rests.
"""
import errno
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

import nbd

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fatedit import Fat  # noqa: E402

TIMEOUT = 5.0
SILENCE = 0.19  # nearly the settle time
START = 1 << 20
SECTOR, BLOCK = 512, 4096


class Failed(Exception):
    pass


class Gone(Exception):
    """The connection was lost."""


def until(what, condition, seconds=TIMEOUT):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed("%s: not within %g s" % (what, seconds))
        time.sleep(0.001)


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def sectors(version, number, count):
    return b"".join(struct.pack("<QQ", version, number + i) * (SECTOR // 16) for i in range(count))


class Client:
    """Requests with a time limit."""

    def __init__(self, server):
        self.handle = nbd.NBD()
        self.handle.set_export_name(server.export)
        self.slowest = 0, ""
        try:
            self.handle.aio_connect_unix(server.socket)
            self.wait("connect", lambda: not self.handle.aio_is_connecting())
            if not self.handle.aio_is_ready():
                raise Gone()
        except nbd.Error:
            raise Gone() from None

    def wait(self, what, condition):
        begun = time.monotonic()
        while not condition():
            left = begun + TIMEOUT - time.monotonic()
            if left <= 0:
                raise Failed("%s: no answer in %g s" % (what, TIMEOUT))
            self.handle.poll(max(1, int(left * 1000)))
        self.slowest = max(self.slowest, (time.monotonic() - begun, what))

    def request(self, what, start):
        try:
            cookie = start()
            self.wait(what, lambda: self.handle.aio_command_completed(cookie))
        except nbd.Error as error:
            if self.handle.aio_is_ready():
                raise Failed("%s: %s" % (what, error)) from None
            raise Gone() from None

    def write(self, data, offset):
        buffer = nbd.Buffer.from_bytearray(bytearray(data))
        self.request("write at %d" % offset, lambda: self.handle.aio_pwrite(buffer, offset))

    def read(self, length, offset):
        buffer = nbd.Buffer(length)
        self.request("read at %d" % offset, lambda: self.handle.aio_pread(buffer, offset))


class Server:
    def __init__(self, kind, directory):
        self.kind, self.directory = kind, directory
        self.image = os.path.join(directory, "src/board.img")
        self.control = os.path.join(directory, "control/board")
        self.socket = os.path.join(directory, "server.sock")
        self.export = "disk" if kind == "nbd-server" else ""
        self.pid_file = os.path.join(directory, "server.pid")
        self.start()

    def start(self):
        for path in (self.socket, self.pid_file):
            if os.path.exists(path):
                os.unlink(path)
        if self.kind == "nbd-server":
            conf = os.path.join(self.directory, "nbd.conf")
            with open(conf, "w", encoding="utf-8") as file:
                file.write("[generic]\nunixsock = %s\nallowlist = true\nuser = root\ngroup = root\n"
                           "[disk]\nexportname = %s\ntransactionlog = %s\n" % (
                               self.socket, self.image, self.control))
            command = ["nbd-server", "-C", conf, "-p", self.pid_file]
        else:
            command = ["nbdkit", "-U", self.socket, "-P", self.pid_file, "--filter=" + os.environ["FILTER"],
                       "file", self.image, "imagefs=" + self.control]
        with open(os.path.join(self.directory, "server.log"), "ab") as log:
            subprocess.run(command, stdin=subprocess.DEVNULL, stderr=log, stdout=log, check=True, timeout=TIMEOUT)
        until("the server", lambda: os.path.exists(self.socket) and os.path.exists(self.pid_file) and
              read(self.pid_file))
        self.pid = int(read(self.pid_file))
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                return Client(self)
            except Gone:
                if time.monotonic() > deadline:
                    raise Failed("the server takes no connection") from None
                time.sleep(0.01)

    def children(self):
        return [int(word) for word in read("/proc/%d/task/%d/children" % (self.pid, self.pid)).split()]

    def kill(self, rng):
        """Of nbd-server a child, or it and all of them. Returns what was killed."""
        children = self.children() if self.kind == "nbd-server" else []
        if children and rng.random() < .7:
            for child in children:
                os.kill(child, signal.SIGKILL)
            return "its children"
        for pid in [self.pid] + children:
            os.kill(pid, signal.SIGKILL)
        self.start()
        return "server"


class Daemon:
    def __init__(self, directory):
        self.mount, self.control = os.path.join(directory, "mnt"), os.path.join(directory, "control")
        if os.environ.get("REPORTS") == "no":
            self.control = ""
        self.directory = directory
        self.dead = True  # what a reader gets then is no matter
        self.start()

    def start(self):
        with open(os.path.join(self.directory, "imagefs.log"), "ab") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(
                [os.environ["IMAGEFS"], "-f"] + ["-o", "control=" + (self.control or "none")] +
                [os.path.join(self.directory, "src"), self.mount], stderr=log, stdin=subprocess.DEVNULL)
        until("the mount", lambda: os.path.isfile(os.path.join(self.mount, "board/kernel8.img")) and
              (not self.control or os.path.exists(os.path.join(self.control, "board"))))
        self.dead = False

    def kill(self):
        self.dead = True
        self.process.kill()
        self.process.wait()

    def clear(self):
        for point in filter(None, (self.mount, self.control)):
            subprocess.run(["umount", "-l", point], check=True)


class Board:
    """The versions that are written, and who writes and reads them."""

    def __init__(self, server, daemon, root, seed):
        self.server, self.daemon, self.root = server, daemon, root
        self.random = random.Random(seed)
        self.path = os.path.join(daemon.mount, "board/kernel8.img")
        fat = Fat(server.image, START)
        entry, start = fat.find("kernel8.img")
        self.bytes, = struct.unpack_from("<I", entry[1], 28)
        self.at = START + fat.cluster_at(start)
        self.begun = self.done = self.written = 0
        self.acknowledged = self.before = time.monotonic()  # the last write, by the client; the one before that
        self.silent = 0.0  # when a silence ended in the midst of a version
        self.silences = 0  # mixtures read then
        self.half = False  # a server's death has left a version half written
        self.whole = 0.0  # when that was over
        self.expected_loss = False
        self.over = self.pushing = False
        self.failures = []
        self.reads = self.refused = self.versions = self.half_reads = self.pushed = 0
        self.slowest = 0, ""
        self.threads = [threading.Thread(target=self.guard, args=(run,)) for run in (self.write, self.push, self.read)]
        self.client = Client(server)
        self.write_version(1)
        self.begun = self.done = 1

    def guard(self, run):
        try:
            run()
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append("%s: %s: %s" % (run.__name__, type(error).__name__, error))

    def write_version(self, version):
        blocks = list(range(0, self.bytes, BLOCK))
        self.random.shuffle(blocks)
        self.acknowledged = self.before = time.monotonic()
        for self.written, block in enumerate(blocks):
            self.client.write(sectors(version, block // SECTOR, BLOCK // SECTOR), self.at + block)
            now = time.monotonic()
            if now - self.before > SILENCE:
                self.silent = now
            self.before, self.acknowledged = self.acknowledged, now

    def push(self):
        client, noise = Client(self.server), random.Random(1).randbytes(BLOCK)
        while not self.over:
            if not self.pushing:
                time.sleep(0.005)
                continue
            try:
                client.write(noise, self.root + self.pushed % 200 * BLOCK)
                self.pushed += 1
            except Gone:
                if not self.expected_loss:
                    raise Failed("the connection was lost, and nobody killed the server") from None
                client = self.reconnect()

    def reconnect(self):
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                client = Client(self.server)
                client.read(SECTOR, 0)
                return client
            except Gone:
                if time.monotonic() > deadline:
                    raise Failed("no new connection within %g s" % TIMEOUT) from None
                time.sleep(0.01)

    def write(self):
        version = 1
        while not self.over:
            version += 1
            self.begun = version
            while True:
                try:
                    self.write_version(version)
                    break
                except Gone:
                    if not self.expected_loss:
                        raise Failed("the connection was lost, and nobody killed the server") from None
                    self.client = self.reconnect()
            self.slowest = max(self.slowest, self.client.slowest)
            self.done = version
            if self.half and not self.expected_loss:
                self.whole = time.monotonic()
            self.half = self.expected_loss
            self.versions += 1
            time.sleep(self.random.choice([0, .02, .25, .5]))

    def look(self):
        """What a reader gets: a version, None when refused; at least what was done before."""
        opened = time.monotonic()
        oldest, dead, half = self.done, self.daemon.dead, self.half or self.expected_loss
        try:
            with open(self.path, "rb", buffering=0) as file:
                data = b"".join(iter(lambda: file.read(65536), b""))
        except OSError as error:
            if error.errno in (errno.EIO, errno.ESTALE) or dead or self.daemon.dead:
                return None
            raise
        if dead or self.daemon.dead:
            return None
        self.reads += 1
        version, = struct.unpack_from("<Q", data) if len(data) >= 8 else (0,)
        if data == sectors(version, 0, self.bytes // SECTOR) and oldest <= version <= self.begun:
            return version
        if half or self.half or self.expected_loss or self.whole > opened:
            self.half_reads += 1
            return None
        if self.silent > opened - 1 or (self.begun > self.done and time.monotonic() - self.before > SILENCE):
            self.silences += 1
            return None
        seen = sorted({struct.unpack_from("<Q", data, at)[0] for at in range(0, len(data) - 8, SECTOR)})
        raise Failed("read %d bytes of versions %s, of which %d was complete and %d begun" % (
            len(data), seen[:5], oldest, self.begun))

    def read(self):
        while not self.over:
            if self.look() is None:
                self.refused += 1
            time.sleep(0.002)

    def new_client(self, when):
        client = Client(self.server)
        client.write(self.random.randbytes(BLOCK), self.root)
        client.read(BLOCK, 0)
        self.slowest = max(self.slowest, client.slowest)
        del client
        if self.failures:
            raise Failed("%s: %s" % (when, self.failures[0]))

    def settled(self):
        """The newest version is read in time."""
        # The client rests for a quarter of a second after every other version, which take their time on a busy machine.
        until("a read of the newest version", lambda: self.look() is not None, 2 * TIMEOUT)


def main():
    kind, kills, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    rng = random.Random(sys.argv[5] if len(sys.argv) > 5 else "1")
    daemon = Daemon(directory)
    server = Server(kind, directory)
    board = Board(server, daemon, int(sys.argv[4]), rng.random())
    for thread in board.threads:
        thread.start()
    counts = {}
    try:
        for number in range(kills):
            time.sleep(rng.random() * .4)  # any point of what goes on
            what = "daemon"
            if rng.random() < .5:
                daemon.kill()
                begun = board.begun
                board.new_client("with the daemon dead")
                until("a version written with the daemon dead", lambda: board.done > begun or board.failures)
                daemon.clear()
                if rng.random() < .5:
                    board.new_client("with nothing mounted")
                daemon.start()
            else:
                board.pushing = True
                if rng.random() < .7:
                    at = 1 + rng.randrange(board.bytes // BLOCK - 2)
                    # pylint: disable-next=cell-var-from-loop
                    until("the midst of a version", lambda: board.begun > board.done and board.written == at or
                          board.failures, 3 * TIMEOUT)
                board.expected_loss = board.half = True
                what = server.kill(rng)
                lost = board.begun
                # pylint: disable-next=cell-var-from-loop
                until("a version after the server's death", lambda: board.done > lost or board.failures, 3 * TIMEOUT)
                board.expected_loss = board.pushing = False
                until("a version after that", lambda: not board.half or board.failures, 3 * TIMEOUT)
            board.new_client("kill %d (%s)" % (number, what))
            board.settled()
            counts[what] = counts.get(what, 0) + 1
    except (Failed, Gone) as error:
        board.failures.append("kill %d (%s): %s" % (number, what, error or "connection lost"))
    board.over = True
    for thread in board.threads:
        thread.join()
    daemon.process.terminate()
    daemon.process.wait()
    os.kill(server.pid, signal.SIGTERM)
    print("%s: %d kills (%s), %d versions and %d other writes, %d reads, %d refused or with the daemon dead, %d of a half-written version, %d of one "
          "that the client stopped in; "
          "slowest request %.0f ms (%s): %d failures" % (
              kind, sum(counts.values()), ", ".join("%s %d" % pair for pair in sorted(counts.items())),
              board.versions, board.pushed, board.reads, board.refused, board.half_reads, board.silences, board.slowest[0] * 1e3, board.slowest[1],
              len(board.failures)))
    for failure in board.failures[:5]:
        print("kill_nine.py: %s" % failure, file=sys.stderr)
    sys.exit(1 if board.failures else 0)


if __name__ == "__main__":
    main()
