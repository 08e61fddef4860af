#!/usr/bin/python3
"""Replays what guest_replay.py records, through servers that report, while others look.

  guest_replay_reported.py GUEST PORT WORK MOUNT NAME=URI...

PORT and WORK as there. MOUNT/NAME shows the image that is exported at URI by a server
that reports. Each way in which a guest replaces its kernel is replayed write by write,
with pauses shorter than the settle time, as a guest's writeback has them; three readers
fetch the kernel all the time, and another begins after every write. While the writes are
going on a fetch is the old kernel, the new one, or an error; never EMPTY, absent or
WRONG BYTES; afterwards it is the new one. A file that was opened before the first write
and is read after the last is the old kernel to its end.

  SECONDS_EACH   about how long the pauses of a replay are in all (2.5)
  ROUNDS         of every way and server (1)
  SETTLE         in ms: what imagefs was told (200)
  STALL          in ms: so long the writer stands still once in each replay (0), to try what follows

Where nothing was being written for the settle time, what the image holds is believed, half of an update or not:
nobody can know that it goes on. And it stays what was there before the writes that follow, until they change it. A busy machine
makes a writer stand still. So each write is noted with the times of its call and its reply: its server began it and
was done with it between the two. From where it may have been silent for as long, nothing is judged any more, but what
is there at the end; if nothing is left to judge, the replay is made again.

A server named nbdkit-delay takes longer than that for each write, which is in flight
meanwhile and thus no silence; it is not asked for thousands.
"""
import collections
import concurrent.futures
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest_replay import WAYS, Replay, record, writes_of  # noqa: E402

SETTLE = int(os.environ.get("SETTLE", "200")) / 1e3
LONGEST_PAUSE = 0.6 * SETTLE
STALL = int(os.environ.get("STALL", "0")) / 1e3
DELAY = 0.25  # of nbdkit-delay (reports.sh)
TRIES = 5
KERNEL = "kernel8.img"

Fetch = collections.namedtuple("Fetch", "start end got")


def extents(writes):
    """What they cover, in as few ranges as it takes."""
    ranges = []
    for at, end in sorted((offset, offset + len(data)) for offset, data in writes):
        if ranges and at <= ranges[-1][1]:
            ranges[-1][1] = max(ranges[-1][1], end)
        else:
            ranges.append([at, end])
    return ranges


def first_silence(spans, in_flight):
    """From when on there may have been none for the settle time. Spans: (call, reply) of each write, which was in flight that long at least."""
    for (call, _), (_, reply) in zip(spans, spans[1:]):
        if reply - call - 2 * in_flight > SETTLE * .9:
            return call + in_flight + SETTLE * .9
    return float("inf")


class Reported(Replay):
    """One image behind one server."""

    def __init__(self, name, uri, mount, old, new):
        import nbd
        self.name, self.path, self.old, self.new = name, os.path.join(mount, name, KERNEL), old, new
        self.client = nbd.NBD()
        self.client.connect_uri(uri)
        self.held_whole = 0

    def reset(self, start, writes):
        for at, end in extents(writes):
            self.client.pwrite(start[at:end], at)
        if not self.until("old"):
            sys.exit("%s: the old kernel is not there at first" % self.name)

    def timed(self):
        start = time.monotonic()
        got = self.fetch()
        return Fetch(start, time.monotonic(), got)

    def hold(self):
        fd = os.open(self.path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(fd, 100, 0)
        return fd

    def let_go(self, fd):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            return b"".join(iter(lambda: os.read(fd, 65536), b"")) == self.old
        except OSError as error:
            print("%s: open across the update: %s" % (self.name, error), file=sys.stderr)
            return False
        finally:
            os.close(fd)

    def replay(self, writes, rng, seconds):
        """(how many fetches; what those got that met writes before any silence; how many were wrong afterwards; was there one?)"""
        pauses = set(rng.sample(range(1, len(writes)), min(len(writes) - 1, int(2 * seconds / LONGEST_PAUSE))))
        over, fetches, lock = threading.Event(), [], threading.Lock()

        def add(fetch):
            with lock:
                fetches.append(fetch)

        def fetch_all():
            while not over.is_set():
                add(self.timed())
                time.sleep(0.001)

        readers = [threading.Thread(target=fetch_all) for _ in range(3)]
        for reader in readers:
            reader.start()
        spans, stall = [], len(writes) // 2 if STALL else -1
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            begun = time.monotonic()
            for number, (offset, data) in enumerate(writes):
                if number in pauses:
                    time.sleep(rng.random() * LONGEST_PAUSE)
                if number == stall:
                    time.sleep(STALL)
                call = time.monotonic()
                self.client.pwrite(data, offset)
                spans.append((call, time.monotonic()))
                if number in pauses or number % 20 == 0:  # a write in a burst has no time to be looked at
                    pool.submit(lambda: add(self.timed()))
            ended = spans[-1][1]
        time.sleep(SETTLE)  # the readers go on
        over.set()
        for reader in readers:
            reader.join()
        going_on = [fetch for fetch in fetches if fetch.end > begun and fetch.start < ended]
        silent = first_silence(spans, DELAY if self.name == "nbdkit-delay" else 0)
        calm = [fetch for fetch in going_on if fetch.end < silent]
        wrong_end = sum(fetch.start > ended and fetch.got not in ("new", "error") for fetch in fetches)
        return len(fetches), calm, wrong_end + (not self.until("new")), silent < ended


def main():
    guest_directory, port, work, mount = sys.argv[1:5]
    seconds = float(os.environ.get("SECONDS_EACH", "2.5"))
    rng = random.Random(os.environ.get("SEED", "1"))
    old, new = rng.randbytes(1200000), rng.randbytes(1200000)  # as guest_replay.py made them
    with open(os.path.join(work, "start"), "rb") as file:
        start = file.read()
    record(guest_directory, int(port), work, new)
    servers = [Reported(*word.split("=", 1), mount, old, new) for word in sys.argv[5:]]
    failed = total = 0
    for number, (way, _, _) in enumerate(WAYS):
        writes = writes_of(os.path.join(work, "%d.recorded" % number))
        print("%s: %d writes" % (way, len(writes)))
        for server in servers:
            if server.name == "nbdkit-delay" and len(writes) > 100:
                continue
            counts, fetched, wrong_end, held, replays, silent = collections.Counter(), 0, 0, 0, 0, 0
            for _ in range(int(os.environ.get("ROUNDS", "1"))):
                calm = []
                for _ in range(TRIES):
                    server.reset(start, writes)
                    fd = server.hold()
                    all_fetches, calm, wrong, stood_still = server.replay(writes, rng, seconds)
                    held += server.let_go(fd)
                    fetched += all_fetches
                    wrong_end += wrong
                    replays += 1
                    silent += stood_still
                    server.reset(start, writes)
                    if calm:
                        break
                counts.update(fetch.got for fetch in calm)
            print("    %s: %d fetches, while the writes are going on: %s; not new afterwards: %d; "
                  "open across it and whole: %d of %d; stood still, and judged until then: %d" % (
                      server.name, fetched, ", ".join("%s %d" % pair for pair in sorted(counts.items())),
                      wrong_end, held, replays, silent), flush=True)
            total += fetched
            failed += wrong_end + (replays - held) + sum(counts[what] for what in ("EMPTY", "absent", "WRONG BYTES"))
            failed += sum(counts.values()) == 0
    print("%d fetches in all: %d wrong" % (total, failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
