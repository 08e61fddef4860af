#!/usr/bin/python3
"""Moves an image from state to state over NBD, as a board that updates itself does.

  update.py URI TIMELINE STATE.img... [--burst MS,MS] [--rest MS,MS] [--seed N]

The image is in the first STATE. Each update goes to another state, chosen at random: what
differs is written in pieces of up to 64 KiB in random order (a board's writeback orders
nothing), spread over a burst of `--burst` milliseconds; then there is a rest. A line of TIMELINE is BEGIN END
OLD NEW: monotonic seconds and numbers of states. The first line of its input lets it begin:
until then it has only written a sector as it was, so that a server has something to report.
It ends with its input, or at SIGTERM, after the update.
"""
import argparse
import itertools
import random
import select
import signal
import sys
import time

import nbd

BLOCK, PIECE = 4096, 65536


def between(text):
    low, high = text.split(",")
    return float(low) / 1e3, float(high) / 1e3


def pieces(old, new):
    """(offset, data) of all that makes the one image of the other."""
    found = []
    for at in range(0, len(old), BLOCK):
        if old[at:at + BLOCK] == new[at:at + BLOCK]:
            continue
        if found and found[-1][1] == at and at - found[-1][0] < PIECE:
            found[-1][1] += BLOCK
        else:
            found.append([at, at + BLOCK])
    return [(start, new[start:end]) for start, end in found]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri")
    parser.add_argument("timeline")
    parser.add_argument("states", nargs="+")
    parser.add_argument("--burst", type=between, default=(.02, .2))
    parser.add_argument("--rest", type=between, default=(.3, .9))
    parser.add_argument("--seed", default="1")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    states = []
    for path in args.states:
        with open(path, "rb") as file:
            states.append(file.read())
    differing = {(old, new): pieces(states[old], states[new])
                 for old, new in itertools.permutations(range(len(states)), 2)}
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    client = nbd.NBD()
    client.connect_uri(args.uri)
    client.pwrite(states[0][:512], 0)
    print("ready", flush=True)
    sys.stdin.readline()
    state, updates = 0, 0
    with open(args.timeline, "w", encoding="utf-8", buffering=1) as timeline:
        while not stop and not select.select([sys.stdin], [], [], rng.uniform(*args.rest))[0]:
            new = rng.choice([other for other in range(len(states)) if other != state])
            writes = list(differing[state, new])
            rng.shuffle(writes)
            length = rng.uniform(*args.burst)
            begin = time.monotonic()
            for number, (at, data) in enumerate(writes):
                client.pwrite(data, at)
                ahead = begin + length * number / len(writes) - time.monotonic()
                if ahead > 0.001:
                    time.sleep(ahead)
            timeline.write("%.6f %.6f %d %d\n" % (begin, time.monotonic(), state, new))
            state = new
            updates += 1
    client.shutdown()
    print("%d updates" % updates)


if __name__ == "__main__":
    main()
