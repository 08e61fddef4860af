#!/usr/bin/python3
"""A guest changes files of its boot partition and says when sync has returned; we open at once.

  guest_fresh.py GUEST ROUNDS MOUNT SCRATCH NAME=PORT[/EXPORT]... [SEED]

MOUNT/NAME shows the image that is exported on PORT. In each round the guest does
one of the things that boards do to their boot files, then `sync`; as soon as it
has said so every file is opened and read, and must be what the guest made it.

  TFTP=PORT      of this machine: every other round the changed file is fetched from
                 there first, and the time until its last byte is told
  REPORTED=yes   the servers report: nothing may be refused
"""
import errno
import hashlib
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tools"))
import tftp  # noqa: E402
from guest import Guest  # noqa: E402


class Board:
    def __init__(self, number, name, directory):
        self.number, self.name, self.directory = number, name, directory
        self.files = {}  # what the guest made it
        self.extra = 0


def change(rng, guest, board, payloads):
    """One update; ends with sync. Returns what was done to which file."""
    boot = "/boot%d" % board.number
    payload = rng.choice(sorted(payloads))
    data, files = payloads[payload], board.files
    name = rng.choice(["kernel8.img", "initrd.img", "overlays/a b c.dtbo"])
    kind = rng.choice(["copied over", "by rename", "removed and copied", "grown", "cut", "in place",
                       "removed", "directory", "remounted"])
    if name not in files and kind in ("grown", "cut", "in place", "removed"):
        kind = "copied over"
    place = "'%s/%s'" % (boot, name)
    if kind == "copied over":
        guest.run("cp /payload/%s %s && sync" % (payload, place))
    elif kind == "by rename":
        guest.run("cp /payload/%s %s/new && sync && mv %s/new %s && sync" % (payload, boot, boot, place))
    elif kind == "removed and copied":
        guest.run("rm -f %s && cp /payload/%s %s && sync" % (place, payload, place))
    elif kind == "grown":
        guest.run("cat /payload/%s >>%s && sync" % (payload, place))
        data = files[name] + data
    elif kind == "cut":
        guest.run("truncate -s 1000 %s && sync" % place)
        data = files[name][:1000].ljust(1000, b"\0")
    elif kind == "in place":
        guest.run("dd if=/payload/%s of=%s bs=512 count=3 conv=notrunc 2>/dev/null && sync" % (payload, place))
        data = data[:1536] + files[name][len(data[:1536]):]
    elif kind == "removed":
        guest.run("rm %s && sync" % place)
        data = None
    elif kind == "directory":
        board.extra += 1
        name = "dir %d/config.txt" % board.extra
        guest.run("mkdir '%s/dir %d' && cp /payload/%s '%s/%s' && sync" % (boot, board.extra, payload, boot, name))
    elif kind == "remounted":
        guest.run("cp /payload/%s %s && umount %s && mount -t vfat /dev/nbd%dp1 %s" %
                  (payload, place, boot, board.number, boot))
    if data is None:
        del files[name]
    else:
        files[name] = data
    return kind, name


class Look:
    def __init__(self):
        self.opens = self.stale = self.refused = 0
        self.times, self.transfers = [], []

    def read(self, path):
        while True:
            start = time.monotonic()
            try:
                self.opens += 1
                with open(path, "rb") as file:
                    self.times.append(time.monotonic() - start)
                    return file.read()
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno not in (errno.EIO, errno.ESTALE):
                    raise
                self.refused += 1

    def fetch(self, port, board, name, synced):
        """By TFTP, from sync's return to the last byte."""
        while True:
            self.opens += 1
            try:
                got = tftp.fetch("127.0.0.1", port, board.name + "/" + name).hash.hexdigest()
                self.transfers.append(time.monotonic() - synced)
                break
            except tftp.Refused as refusal:
                if refusal.code == 1:
                    got = None
                    break
                self.refused += 1
        want = board.files.get(name)
        if got != (hashlib.sha256(want).hexdigest() if want is not None else None):
            self.stale += 1
            print("guest_fresh.py: %s: %s by TFTP: %s" % (board.name, name, got), file=sys.stderr)

    def at(self, board, what):
        for name in list(board.files) + ["kernel8.img", "initrd.img"]:
            want, got = board.files.get(name), self.read(os.path.join(board.directory, name))
            if got != want:
                self.stale += 1
                print("guest_fresh.py: %s: after %s: %s: %s bytes %s, true are %s bytes %s" % (
                    board.name, what, name, got and len(got), got and hashlib.sha256(got).hexdigest()[:8],
                    want and len(want), want and hashlib.sha256(want).hexdigest()[:8]), file=sys.stderr)


def main():
    directory, rounds, mount, scratch = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    rng = random.Random(os.environ.get("SEED", "1"))
    payloads = {str(i): rng.randbytes(rng.choice([100, 4096, 70000, 200000, 600000])) for i in range(8)}
    boards = [Board(number, word.split("=")[0], os.path.join(mount, word.split("=")[0]))
              for number, word in enumerate(sys.argv[5:])]
    guest = Guest(directory, {"payload/" + name: data for name, data in payloads.items()}, scratch)
    for board, word in zip(boards, sys.argv[5:]):
        port, _, export = word.split("=")[1].partition("/")
        guest.connect(board.number, int(port), export)
        guest.mount(board.number)
        guest.run("mkdir -p /boot%d/overlays && sync" % board.number)
    total = Look()
    for board in boards:
        look = Look()
        for number in range(rounds):
            look.at(board, "before the update")  # so that every cache is warm
            kind, name = change(rng, guest, board, payloads)
            if "TFTP" in os.environ and number % 2:
                look.fetch(int(os.environ["TFTP"]), board, name, time.monotonic())
            look.at(board, "%s: %s" % (name, kind))
        look.times.sort()
        look.transfers.sort()
        print("%s: %d rounds, %d opens: %d stale, %d refused; open median %.2f ms, worst %.1f ms" % (
            board.name, rounds, look.opens, look.stale, look.refused,
            look.times[len(look.times) // 2] * 1e3, look.times[-1] * 1e3))
        if look.transfers:
            count = len(look.transfers)
            print("    from sync's return to the last byte over TFTP: median %.0f ms, 99 %% %.0f ms, worst %.0f ms (%d)" % (
                look.transfers[count // 2] * 1e3, look.transfers[min(count - 1, count * 99 // 100)] * 1e3,
                look.transfers[-1] * 1e3, count))
        total.stale += look.stale
        total.refused += look.refused
        guest.run("umount /boot%d && nbd-client -d /dev/nbd%d >/dev/null" % (board.number, board.number))
    guest.end()
    sys.exit(1 if total.stale or (total.refused and "REPORTED" in os.environ) else 0)


if __name__ == "__main__":
    main()
