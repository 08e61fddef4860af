#!/usr/bin/python3
"""A TFTP client that asks as Raspberry Pi boot ROMs and bootloaders do.

Stock clients cannot: the firmware probes with tsize and cuts the transfer off
with ERROR 0, fetches from the next source port before that ERROR is out,
repeats requests, and never acknowledges what it did not ask for. Everything
that comes is hashed and compared with a directory of the true files.

  tftp.py get   HOST PORT NAME...  [--blksize N] [--out FILE] [--parallel N]
  tftp.py probe HOST PORT NAME     [--blksize N]
  tftp.py play  HOST PORT SEQUENCE REFERENCE [--prefix P/] [--unprefixed]

`get` prints "sha256 size name" of each; `probe` prints the size, or the error
(exit 1). `play` replays a file of tests/data/firmware against a server and
compares with the files in REFERENCE; --unprefixed says that the prefix is not
there, so the firmware must drop it.
"""
import argparse
import concurrent.futures
import contextlib
import hashlib
import os
import socket
import struct
import sys
import threading
import time

RRQ, DATA, ACK, ERROR, OACK = 1, 3, 4, 5, 6
RETRANSMIT_SECONDS = 1.0
FILE_TIMEOUT_SECONDS = 30  # the firmware's
FIRMWARE_REPEATS_SECONDS = 2.0


class Refused(Exception):
    """The server answered with an ERROR packet."""

    def __init__(self, code, text):
        super().__init__("error %d: %s" % (code, text))
        self.code = code


class Ports:
    """Source ports, each one above the last, as the firmware counts them."""

    def __init__(self, address=""):
        self.address = address
        self.next = 49152 + (os.getpid() * 97) % 12000
        self.lock = threading.Lock()

    def open(self):
        with self.lock:
            while True:
                self.next = self.next + 1 if self.next < 65000 else 49152
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                try:
                    sock.bind((self.address, self.next))
                    return sock
                except OSError:
                    sock.close()


PORTS = Ports()


def parse_options(payload):
    fields = payload.split(b"\0")[:-1]
    return {fields[i].lower().decode(): fields[i + 1].decode()
            for i in range(0, len(fields) - 1, 2)}


class Transfer:
    """One RRQ and what follows. The first packet that answers settles the
    server's port; others get ERROR 5, as the RFC says. `deaf`: answers are lost for
    so many seconds, then the same request goes out again from the same port."""

    def __init__(self, host, port, name, blksize=None, tsize=False, repeat=False, ports=PORTS, deaf=0):
        self.server = (socket.gethostbyname(host), port)
        self.name, self.tid = name, None
        self.sock = ports.open()
        self.strangers = set()  # who else answered the same request
        self.duplicates = 0  # DATA that came again: the server's timer ran out
        self.answered = None  # when the first packet came
        self.blksize = 512
        self.deadline = time.monotonic() + FILE_TIMEOUT_SECONDS
        options = b""
        if tsize:
            options += b"tsize\x000\0"
        if blksize:
            options += b"blksize\0%d\0" % blksize
        self.wants_options = bool(options)
        self.last = struct.pack("!H", RRQ) + name.encode() + b"\0octet\0" + options
        self.asked = time.monotonic()
        self.sock.sendto(self.last, self.server)
        if deaf:
            time.sleep(deaf)
            self.sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.strangers.add(self.sock.recvfrom(65536)[1])
            self.asked = time.monotonic()
            self.sock.sendto(self.last, self.server)
        if repeat:  # its 2 s timer ran out: the same request from the same port
            self.sock.sendto(self.last, self.server)

    def close(self):
        self.sock.close()

    def send(self, packet):
        self.last = packet
        self.sock.sendto(packet, self.tid)

    def receive(self):
        """The next packet of this transfer; retransmits on silence."""
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("%s: no answer in %d s" % (self.name, FILE_TIMEOUT_SECONDS))
            self.sock.settimeout(min(left, RETRANSMIT_SECONDS))
            try:
                packet, peer = self.sock.recvfrom(65536)
            except TimeoutError:
                self.sock.sendto(self.last, self.tid or self.server)
                continue
            if self.tid is None and peer[0] == self.server[0]:
                self.tid = peer
                self.answered = time.monotonic()
            if peer != self.tid:
                self.strangers.add(peer)
                self.sock.sendto(struct.pack("!HH", ERROR, 5) + b"Unknown transfer ID\0", peer)
                continue
            opcode, number = struct.unpack_from("!HH", packet)
            if opcode == ERROR:
                text = packet[4:].split(b"\0")[0].decode(errors="replace")
                raise Refused(number, text)
            return opcode, number, packet

    def start(self):
        """Waits for the first answer. Returns the OACK's options, or the
        first DATA packet when the server knows no options."""
        opcode, number, packet = self.receive()
        if opcode == OACK:
            if not self.wants_options:
                raise ValueError("%s: OACK without options asked" % self.name)
            options = parse_options(packet[2:])
            self.blksize = int(options.get("blksize", self.blksize))
            return options, None
        if opcode == DATA and number == 1:
            return {}, packet
        raise ValueError("%s: opcode %d as first answer" % (self.name, opcode))

    def terminate_early(self):
        self.send(struct.pack("!HH", ERROR, 0) + b"Early terminate\0")

    def read_all(self, first=None):
        """Yields the blocks to the end of the file."""
        expected = 1
        if first is None:
            self.send(struct.pack("!HH", ACK, 0))
        while True:
            if first is not None:
                opcode, number, packet, first = DATA, 1, first, None
            else:
                opcode, number, packet = self.receive()
            if opcode == OACK:  # ours was lost, or the request was repeated
                continue
            if opcode != DATA:
                raise ValueError("%s: opcode %d amid the data" % (self.name, opcode))
            if number == (expected - 1) & 0xffff and expected > 1:
                self.duplicates += 1
                continue  # a duplicate: acknowledging it again would double everything
            if number != expected & 0xffff:
                raise ValueError("%s: block %d, not %d" % (self.name, number, expected))
            self.send(struct.pack("!HH", ACK, number))
            self.deadline = time.monotonic() + FILE_TIMEOUT_SECONDS
            yield packet[4:]
            if len(packet) - 4 < self.blksize:
                return
            expected += 1


class Fetched:
    def __init__(self):
        self.hash = hashlib.sha256()
        self.size = 0

    def add(self, block, out=None):
        self.hash.update(block)
        self.size += len(block)
        if out:
            out.write(block)


def fetch(host, port, name, blksize=None, tsize=True, out=None, transfer=None, repeat=False):
    if transfer is None:
        transfer = Transfer(host, port, name, blksize, tsize, repeat)
    try:
        options, first = transfer.start()
        result = Fetched()
        for block in transfer.read_all(first):
            result.add(block, out)
        if "tsize" in options and int(options["tsize"]) != result.size:
            raise ValueError("%s: tsize said %s, %d bytes came" %
                             (name, options["tsize"], result.size))
        return result
    finally:
        transfer.close()


def probe(host, port, name, blksize=None, transfer=None):
    """Asks for the size and cuts the transfer off."""
    if transfer is None:
        transfer = Transfer(host, port, name, blksize, tsize=True)
    try:
        options, _ = transfer.start()
        transfer.terminate_early()
        return int(options["tsize"])
    finally:
        transfer.close()


class Player:
    """Runs a sequence (see tests/data/firmware/README)."""

    def __init__(self, host, port, reference, prefix, expect_prefix, ports=PORTS):
        self.host, self.port, self.reference, self.ports = host, port, reference, ports
        self.prefix, self.expect_prefix = prefix, expect_prefix
        self.blksize = None
        self.requests = self.files = self.refused = self.bytes = 0
        self.wrong = []
        self.hashes = {}

    def truth(self, name):
        """(size, sha256) of the true file, None if there is none."""
        path = os.path.join(self.reference, name.lstrip("/"))
        if not os.path.isfile(path):
            return None
        if path not in self.hashes:
            with open(path, "rb") as file:
                self.hashes[path] = (os.path.getsize(path),
                                     hashlib.sha256(file.read()).hexdigest())
        return self.hashes[path]

    def check(self, what, name, got, _transfer):
        """got: Fetched, a size, or an exception."""
        truth = self.truth(name)
        self.requests += 1
        if isinstance(got, Refused):
            self.refused += 1
            if truth is not None:
                self.wrong.append("%s %s: %s, but it is there" % (what, name, got))
            elif got.code != 1:
                self.wrong.append("%s %s: %s, not 'file not found'" % (what, name, got))
            return
        if isinstance(got, Exception):
            self.wrong.append("%s %s: %s" % (what, name, got))
        elif truth is None:
            self.wrong.append("%s %s: served, but there is no such file" % (what, name))
        elif isinstance(got, int):
            if got != truth[0]:
                self.wrong.append("%s %s: size %d, not %d" % (what, name, got, truth[0]))
        elif (got.size, got.hash.hexdigest()) != truth:
            self.wrong.append("%s %s: other bytes (%d, true are %d)" %
                              (what, name, got.size, truth[0]))
        else:
            self.files += 1
            self.bytes += got.size

    def ask(self, path, options=True, **how):
        return Transfer(self.host, self.port, path, self.blksize if options else None, options,
                        ports=self.ports, **how)

    def attempt(self, what, name, transfer, action):
        """Whether `action` (probe or fetch) got what it wanted of the transfer."""
        try:
            got = action(self.host, self.port, transfer.name, transfer=transfer)
        except (Refused, TimeoutError, ValueError, KeyError) as error:
            got = error
        self.check(what, name, got, transfer)
        return not isinstance(got, Exception)

    def do_rom(self, name):
        """The Pi 3's boot ROM: no prefix, no options."""
        self.attempt("rom", name, self.ask(name, options=False), fetch)

    def do_prefix(self, *names):
        """Probes under the prefix; when none is there drops it for good."""
        found = False
        for name in names:
            transfer = self.ask(self.prefix + name)
            try:
                got = probe(self.host, self.port, transfer.name, transfer=transfer)
                found = True
            except (Refused, TimeoutError, ValueError, KeyError) as error:
                got = error
            self.check_prefix(name, got, transfer)
            if found:
                break
        if found != self.expect_prefix:
            self.wrong.append("prefix %s: %s" % (self.prefix, "found" if found else "not found"))
        if not found:
            self.prefix = ""

    def check_prefix(self, name, got, _transfer):
        self.requests += 1
        if isinstance(got, Exception):
            self.refused += 1
            if not isinstance(got, Refused) or got.code != 1:
                self.wrong.append("prefix %s: %s" % (self.prefix + name, got))

    def do_blksize(self, size):
        self.blksize = int(size)

    def do_slashes(self, count):
        """Serial and name with this many slashes between them."""
        self.prefix = self.prefix.rstrip("/") + "/" * int(count) if self.prefix else ""

    def do_probe(self, name):
        self.attempt("probe", name, self.ask(self.prefix + name), probe)

    def do_fetch(self, name):
        self.attempt("fetch", name, self.ask(self.prefix + name), fetch)

    def do_repeat(self, name):
        self.attempt("repeat", name, self.ask(self.prefix + name, repeat=True), fetch)

    def do_deaf(self, name):
        """No answer arrives; after 2 s the same request again."""
        self.attempt("deaf", name, self.ask(self.prefix + name, deaf=FIRMWARE_REPEATS_SECONDS), fetch)

    def do_file(self, name):
        """Probe, then fetch from the next port; the second request overtakes
        the first one's ERROR."""
        first = self.ask(self.prefix + name)
        try:
            options, _ = first.start()
            got = int(options["tsize"])
        except (Refused, TimeoutError, ValueError, KeyError) as error:
            got = error
        self.check("probe", name, got, first)
        if not isinstance(got, Exception):
            second = self.ask(self.prefix + name)
            first.terminate_early()
            self.attempt("file", name, second, fetch)
        first.close()

    def do_dir(self, name):
        """Every file of a directory of the reference, each probed and fetched."""
        for entry in sorted(os.listdir(os.path.join(self.reference, name))):
            self.do_file(name + "/" + entry)

    def run(self, path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                words = line.split("#")[0].split()
                if words:
                    getattr(self, "do_" + words[0])(*words[1:])


def command_get(args):
    def one(name):
        if args.out:
            with open(args.out, "wb") as out:
                return name, fetch(args.host, args.port, name, args.blksize, out=out)
        return name, fetch(args.host, args.port, name, args.blksize, tsize=not args.plain)

    names = args.names * args.times
    with concurrent.futures.ThreadPoolExecutor(args.parallel) as pool:
        for name, result in pool.map(one, names):
            print(result.hash.hexdigest(), result.size, name)


def command_probe(args):
    print(probe(args.host, args.port, args.name, args.blksize))


def command_play(args):
    player = Player(args.host, args.port, args.reference, args.prefix, not args.unprefixed)
    player.run(args.sequence)
    for line in player.wrong[:20]:
        print("tftp.py: %s" % line, file=sys.stderr)
    print("%s: %d requests, %d files (%d bytes) right, %d refused, %d wrong" %
          (os.path.basename(args.sequence), player.requests, player.files, player.bytes,
           player.refused, len(player.wrong)))
    if player.wrong or not player.files:
        sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name, action):
        sub = commands.add_parser(name)
        sub.add_argument("host")
        sub.add_argument("port", type=int)
        sub.set_defaults(action=action)
        return sub

    get = command("get", command_get)
    get.add_argument("names", nargs="+")
    get.add_argument("--blksize", type=int)
    get.add_argument("--plain", action="store_true", help="no options at all")
    get.add_argument("--out", help="write the file there as well")
    get.add_argument("--parallel", type=int, default=1)
    get.add_argument("--times", type=int, default=1)
    sub = command("probe", command_probe)
    sub.add_argument("name")
    sub.add_argument("--blksize", type=int)
    play = command("play", command_play)
    play.add_argument("sequence")
    play.add_argument("reference")
    play.add_argument("--prefix", default="")
    play.add_argument("--unprefixed", action="store_true")
    args = parser.parse_args()
    try:
        args.action(args)
    except (Refused, TimeoutError, ValueError) as error:
        print("tftp.py: %s" % error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
