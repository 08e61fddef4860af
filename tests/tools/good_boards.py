#!/usr/bin/python3
"""Twenty boards fetch their config.txt while somebody asks for one whose server is in trouble.

  good_boards.py PORT SECONDS

Fetches goodNN/config.txt by TFTP: first alone, then while hostile/config.txt and another name of it are asked for all the
time. Fails when a board was refused, or waited longer for its first byte than alone, and than 600 ms (neighbours.py), three
times in a row: a machine may be busy.
"""
import sys
import threading
import time

import neighbours

port, seconds = int(sys.argv[1]), float(sys.argv[2])


def ask_hostile(stop):
    while not stop.wait(0.05):
        for name in ("config.txt", "absent.txt"):
            neighbours.fetch(port, "hostile/" + name, seconds=1)


def fetch_all(seconds):
    """(the longest wait, how many, what went wrong)."""
    worst, wrong, number, end = 0.0, [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        first, outcome = neighbours.fetch(port, "good%02d/config.txt" % (number % 20))
        number += 1
        worst = max(worst, first)
        if outcome != "ok":
            wrong.append(outcome)
    return worst, number, wrong


def once():
    alone, _, _ = fetch_all(1)
    stop = threading.Event()
    threads = [threading.Thread(target=ask_hostile, args=(stop,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    worst, number, wrong = fetch_all(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    print("%d fetches, the longest wait %.0f ms (alone %.0f)" % (number, worst * 1e3, alone * 1e3), *wrong[:3], flush=True)
    return not wrong and worst <= max(neighbours.ALLOWED_SECONDS, alone)


if not any(once() for _ in range(3)):
    sys.exit("the others' boards noticed it")
