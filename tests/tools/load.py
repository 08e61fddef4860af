#!/usr/bin/python3
"""Writes random bytes to parts of an NBD export until it is told to stop.

  load.py URI START:LENGTH... [--sizes N,N...] [--burst MS --rest MS] [--seed N]

Each write has one of the sizes and an offset that is a multiple of it, in one of
the parts. With --burst it writes for so long, then rests. Says "ready" when the
first reply is there, "writes N" at each line of input, and at the end (SIGTERM,
or no more input).
"""
import argparse
import random
import select
import signal
import sys
import time

import nbd


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri")
    parser.add_argument("parts", nargs="+", metavar="START:LENGTH")
    parser.add_argument("--sizes", default="4096,262144")
    parser.add_argument("--burst", type=int, default=0, metavar="MS")
    parser.add_argument("--rest", type=int, default=0, metavar="MS")
    parser.add_argument("--pause", type=float, default=0, metavar="MS", help="between two writes")
    parser.add_argument("--seed", default="1")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    parts = [tuple(map(int, part.split(":"))) for part in args.parts]
    sizes = [int(size) for size in args.sizes.split(",")]
    noise = rng.randbytes(2 * max(sizes))
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    client = nbd.NBD()
    client.connect_uri(args.uri)
    count, burst_end = 0, time.monotonic() + args.burst / 1e3
    while not stop:
        start, length = rng.choice(parts)
        size = rng.choice([size for size in sizes if size <= length])
        at = rng.randrange(len(noise) - size + 1)
        client.pwrite(noise[at:at + size], start + rng.randrange(length // size) * size)
        count += 1
        if count == 1:
            print("ready", flush=True)
        if args.pause:
            time.sleep(args.pause / 1e3)
        if args.rest and time.monotonic() >= burst_end:
            time.sleep(args.rest / 1e3)
            burst_end = time.monotonic() + args.burst / 1e3
        if select.select([sys.stdin], [], [], 0)[0]:
            if not sys.stdin.readline():
                break
            print("writes", count, flush=True)
    client.shutdown()
    print("writes", count, flush=True)


if __name__ == "__main__":
    try:
        main()
    except nbd.Error as error:  # the test is over, or its server
        sys.exit("load.py: %s" % error)
