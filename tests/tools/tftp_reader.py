#!/usr/bin/python3
"""Fetches files of a changing image by TFTP, one after the other, until it is told to stop.

  tftp_reader.py HOST PORT PREFIX STATES RECORDS [SEED [PAUSE]]

STATES is what mkstates.py made. Each line of RECORDS is one transfer, for
`torture -j`: START OPEN END ERRNO STATES OPENED NAME; times are those of
CLOCK_MONOTONIC, in nanoseconds, and STATES is the mask of those that have such
a file, or of those that have none. It ends at SIGTERM, after the transfer.
With PAUSE every transfer rests for up to so many seconds at one of its blocks, with
the file open in the server.
"""
import errno
import glob
import hashlib
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tftp  # noqa: E402


def load(directory):
    """For each name, the sha256 of its content in each state, None where it is not."""
    count = len(glob.glob(os.path.join(directory, "*.files")))
    contents = {}
    for state in range(count):
        with open(os.path.join(directory, "%d.img" % state), "rb") as file:
            image = file.read()
        with open(os.path.join(directory, "%d.files" % state), encoding="utf-8") as file:
            for line in file:
                kind, _, _, places, name = line.rstrip("\n").split(" ", 4)
                data = b"".join(image[int(at):int(at) + int(length)] for at, length in
                                (place.split(":") for place in places.split(",") if place != "-"))
                if kind == "f":
                    contents.setdefault(name.lower(), [None] * count)[state] = \
                        hashlib.sha256(data).hexdigest()
    return contents


def one(host, port, path, pause_at, pause):
    """(time of the OACK, errno, sha256)"""
    opened = 0
    transfer = tftp.Transfer(host, port, path, 1468, tsize=True)
    try:
        options, first = transfer.start()
        opened = time.monotonic_ns()
        result = tftp.Fetched()
        for number, block in enumerate(transfer.read_all(first)):
            result.add(block)
            if number == pause_at:
                time.sleep(pause)
        if int(options.get("tsize", result.size)) != result.size:
            return opened, 0, "another size than announced"
        return opened, 0, result.hash.hexdigest()
    except tftp.Refused as refusal:
        return opened, errno.ENOENT if refusal.code == 1 else errno.EIO, None
    except TimeoutError:
        return opened, errno.ETIMEDOUT, None
    finally:
        transfer.close()


def main():
    host, port, prefix, states, records = sys.argv[1:6]
    rng = random.Random(sys.argv[6] if len(sys.argv) > 6 else "1")
    pause = float(sys.argv[7]) if len(sys.argv) > 7 else 0
    contents = load(states)
    names = sorted(contents)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    with open(records, "w", encoding="utf-8") as out:
        while not stop:
            name = rng.choice(names if rng.random() < .5 else ["kernel8.img", "config.txt"])
            start = time.monotonic_ns()
            opened, error, got = one(host, int(port), prefix + name, rng.randrange(20), rng.random() * pause)
            end = time.monotonic_ns()
            mask = 0
            for state, content in enumerate(contents[name]):
                if content == got and error in (0, errno.ENOENT):
                    mask |= 1 << state
            out.write("%d %d %d %d %x %d %s\n" %
                      (start, opened or end, end, error, mask, opened != 0, name))


if __name__ == "__main__":
    main()
