#!/usr/bin/python3
"""The load of tests/e2e/soak.sh, and its judge.

  soak.py make DIRECTORY                                      data.bin and spare.bin for the template
  soak.py run TEMPLATE SOURCE MOUNTPOINT PID SECONDS SEED FLAT

Every 512 bytes of data.bin say which image and which generation of it they are of. A
board's writer writes the next generation in one write(2) over it; or to where spare.bin
is, and lets the two trade places by one write to their directory entries. So the image is
sound at any time, and whoever asks after a write has returned gets its generation, or a
later one, or an error.
"""
import collections
import errno
import io
import multiprocessing
import os
import random
import shutil
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tftp  # noqa: E402

BOARDS, COMING, HOSTILE = 8, 6, 4
READER_PROCESSES, READER_THREADS = 4, 16
FILE_BYTES = 192 * 1024
CONFIG = b"soak"
START = 1 << 20  # of the partition
ALLOWED = {errno.ENOENT, errno.EIO, errno.ESTALE, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.EACCES}
SPARE_ID, TEMPLATE_ID = 0xFFFF, 0xFFFE
SAMPLE_SECONDS = 2


def content(image, generation):
    return struct.pack("<4sIQ", b"soak", image, generation) * (FILE_BYTES // 16)


def judge(data):
    """(image, generation), or None if they are of two."""
    if len(data) != FILE_BYTES or data != data[:16] * (FILE_BYTES // 16):
        return None
    mark, image, generation = struct.unpack("<4sIQ", data[:16])
    return (image, generation) if mark == b"soak" else None


class Shared:
    """Between all processes: what the writer has begun and done, and what is counted."""

    def __init__(self, seconds):
        self.begun = multiprocessing.RawArray("Q", BOARDS)
        self.done = multiprocessing.RawArray("Q", BOARDS)
        self.stop = multiprocessing.Event()
        self.counts = multiprocessing.Queue()
        self.wrong = multiprocessing.Queue()
        self.seconds = seconds


# ---- writers ---------------------------------------------------------------------


class Board:
    def __init__(self, template, source, number, shared):
        self.number, self.shared = number, shared
        path = os.path.join(source, "board%d.img" % number)
        with open(template, "rb") as file:
            image = bytearray(file.read())
        self.places = [image.find(content(TEMPLATE_ID, 0)), image.find(content(SPARE_ID, 0))]
        self.entries = [image.find(b"DATA    BIN"), image.find(b"SPARE   BIN")]
        assert min(self.places) > 0 and self.entries[0] // 512 == self.entries[1] // 512
        self.sector = self.entries[0] // 512 * 512
        image[self.places[0]:self.places[0] + FILE_BYTES] = content(number, 1)
        shared.begun[number] = shared.done[number] = 1
        with open(path + ".new", "wb") as file:
            file.write(image)
        os.rename(path + ".new", path)
        self.file = os.open(path, os.O_RDWR)

    def trade(self):
        sector = bytearray(os.pread(self.file, 512, self.sector))
        at = [entry - self.sector + 26 for entry in self.entries]
        one, other = bytes(sector[at[0]:at[0] + 2]), bytes(sector[at[1]:at[1] + 2])
        sector[at[0]:at[0] + 2], sector[at[1]:at[1] + 2] = other, one
        os.pwrite(self.file, sector, self.sector)
        self.places.reverse()

    def write(self, in_place):
        generation = self.shared.begun[self.number] + 1
        self.shared.begun[self.number] = generation
        os.pwrite(self.file, content(self.number, generation), self.places[0 if in_place else 1])
        if not in_place:
            self.trade()
        self.shared.done[self.number] = generation


def write_boards(boards, shared, seed):
    rng = random.Random("writer %s" % seed)
    due = [(time.monotonic() + rng.random(), board) for board in boards]
    count = 0
    while not shared.stop.is_set():
        due.sort(key=lambda item: item[0])
        when, board = due.pop(0)
        if shared.stop.wait(max(0, when - time.monotonic())):
            break
        board.write(rng.random() < 0.5)
        count += 1
        # In bursts, and with time between them to be believed.
        due.append((time.monotonic() + rng.choice([0.01, 0.1, 0.6, 1.5, 3]), board))
    shared.counts.put({"writes": count})


def come_and_go(template, source, shared, seed):
    """Images and links appear, are replaced, renamed, cut, grown and removed."""
    rng, count = random.Random("churn %s" % seed), 0
    link = os.path.join(source, ".link")
    while not shared.stop.wait(rng.uniform(0.02, 0.4)):
        path = os.path.join(source, "come%d.img" % rng.randrange(COMING))
        action = rng.randrange(8)
        count += 1
        try:
            if action <= 1:
                shutil.copyfile(template, path + ".new")
                os.rename(path + ".new", path)
            elif action == 2:
                os.unlink(path)
            elif action == 3:
                os.rename(path, os.path.join(source, "come%d.img" % rng.randrange(COMING)))
            elif action == 4:
                os.truncate(path, rng.choice([0, 4096, 1 << 20, 3 << 20, 8 << 20, 64 << 20]))
            else:
                target = rng.choice(["board%d" % rng.randrange(BOARDS), "come%d.img" % rng.randrange(COMING), "nowhere"])
                os.symlink(target, link)
                os.rename(link, os.path.join(source, "link%d" % rng.randrange(COMING)))
        except FileNotFoundError:
            pass
    shared.counts.put({"comings and goings": count})


def be_hostile(template, source, shared, seed):
    """Bytes anywhere, mostly where tables, FATs and directories are, all the time."""
    rng, count = random.Random("hostile %s" % seed), 0
    with open(template, "rb") as file:
        good = file.read(START + (256 << 10))
    files = []
    for number in range(HOSTILE):
        path = os.path.join(source, "hostile%d.img" % number)
        shutil.copyfile(template, path)
        files.append(os.open(path, os.O_RDWR))
    while not shared.stop.wait(rng.uniform(0, 0.02)):
        file = rng.choice(files)
        count += 1
        area = rng.randrange(10)
        if area < 6:
            os.pwrite(file, rng.randbytes(rng.choice([1, 2, 4, 32])), START + rng.randrange(1 << rng.randrange(9, 18)))
        elif area == 6:
            os.pwrite(file, rng.randbytes(4), rng.randrange(440, 512))
        elif area == 7:
            os.pwrite(file, rng.randbytes(4096), START + rng.randrange(0, 6 << 20))
        elif area == 8:
            os.ftruncate(file, rng.choice([1 << 20, 2 << 20, 8 << 20]))
        elif rng.randrange(4) == 0:
            os.pwrite(file, good, 0)
    shared.counts.put({"hostile writes": count})


# ---- readers ---------------------------------------------------------------------


def ask(port, name):
    """The bytes, or the TFTP error's code; None: no answer in time."""
    out = io.BytesIO()
    try:
        tftp.fetch("127.0.0.1", port, name, 1468, out=out)
    except tftp.Refused as error:
        return error.code
    except TimeoutError:
        return None
    except ValueError as error:  # a size that was not kept to, or a block out of order
        return str(error)
    return out.getvalue()


def read_board(port, rng, shared, counts):
    board = rng.randrange(BOARDS)
    if rng.randrange(4) == 0:
        got = ask(port, "board%d/config.txt" % board)
        wrong = got if isinstance(got, bytes) and got != CONFIG else None
        name = "config.txt"
    else:
        since = shared.done[board]
        got = ask(port, "board%d/data.bin" % board)
        until, name, wrong = shared.begun[board], "data.bin", None
        if isinstance(got, bytes):
            found = judge(got)
            if not found:
                wrong = "torn: %r" % collections.Counter(got[i:i + 16] for i in range(0, len(got), 512)).most_common(4)
            elif found[0] != board or not since <= found[1] <= until:
                wrong = "stale or foreign: %r, not %d: %d to %d" % (found, board, since, until)
    if got == 1:
        wrong = "not found, and is always there"
    if isinstance(got, str):
        wrong = got
    if wrong:
        shared.wrong.put("board%d/%s by port %d: %s" % (board, name, port, wrong))
    counts["boards: read" if isinstance(got, bytes) else "boards: no answer" if got is None else "boards: refused"] += 1


def read_other(port, rng, shared, counts):
    where = rng.choice(["come%d" % rng.randrange(COMING), "link%d" % rng.randrange(COMING), "hostile%d" % rng.randrange(HOSTILE)])
    name = rng.choice(["data.bin", "config.txt", "overlays/a.dtbo", "overlays", "start4.elf"])
    got = ask(port, where + "/" + name)
    if isinstance(got, bytes) and name == "data.bin" and not where.startswith("hostile") and not judge(got):
        shared.wrong.put("%s/%s by port %d: torn" % (where, name, port))
    kind = where.rstrip("0123456789")
    counts["%s: %s" % (kind, "read" if isinstance(got, bytes) else "no answer" if got is None else "refused")] += 1


def read_on(number, shared, seed, counts):
    rng = random.Random("reader %d %s" % (number, seed))
    port = 69 if number % 2 else 6969
    while not shared.stop.is_set():
        (read_board if rng.randrange(3) else read_other)(port, rng, shared, counts)
        shared.stop.wait(rng.uniform(0, 0.2))


def readers(process, shared, seed):
    counts = collections.Counter()
    # Each process has source ports of its own.
    tftp.PORTS.next = 20000 + process * 10000
    threads = [threading.Thread(target=read_on, args=(process * READER_THREADS + i, shared, seed, counts))
               for i in range(READER_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.counts.put(counts)


def visit(path, shared, counts):
    try:
        for name in os.listdir(path):
            below = os.path.join(path, name)
            counts["walk: names"] += 1
            if os.path.isdir(below) and not os.path.islink(below) and below.count("/") < path.count("/") + 2:
                visit(below, shared, counts)
            else:
                with open(below, "rb") as file:
                    while file.read(1 << 18):
                        pass
    except OSError as error:
        counts["walk: refused"] += 1
        if error.errno not in ALLOWED | {errno.ELOOP}:
            shared.wrong.put("%s: %s" % (path, error))


def walk(mountpoint, shared, seed):
    rng, counts = random.Random("walk %s" % seed), collections.Counter()
    while not shared.stop.is_set():
        visit(os.path.join(mountpoint, rng.choice(["hostile%d", "come%d"]) % rng.randrange(HOSTILE)), shared, counts)
        visit_root = rng.randrange(10) == 0
        if visit_root:
            counts["walk: listings"] += len(os.listdir(mountpoint)) > 0
    shared.counts.put(counts)


# ---- the daemon ----------------------------------------------------------------------


def sample(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {"memory MiB": int(fields["VmRSS"].split()[0]) // 1024, "threads": int(fields["Threads"]),
            "descriptors": len(os.listdir("/proc/%d/fd" % pid))}


def is_flat(samples, what, slack):
    """Is the most of the last third not much above that of the second? The first one warms up."""
    third = len(samples) // 3
    before = max(one[what] for one in samples[third:2 * third])
    after = max(one[what] for one in samples[2 * third:])
    print("soak: %s: %d, %d, %d at most in the thirds of the time, %d at the end" %
          (what, max(one[what] for one in samples[:third]), before, after, samples[-1][what]))
    return after <= before * 1.15 + slack


def collect(queue):
    while not queue.empty():
        yield queue.get()


def run(template, source, mountpoint, pid, seconds, seed, flat):
    shared = Shared(seconds)
    boards = [Board(template, source, number, shared) for number in range(BOARDS)]
    work = [(write_boards, boards, shared, seed), (come_and_go, template, source, shared, seed),
            (be_hostile, template, source, shared, seed), (walk, mountpoint, shared, seed)]
    work += [(readers, process, shared, seed) for process in range(READER_PROCESSES)]
    processes = [multiprocessing.Process(target=one[0], args=one[1:]) for one in work]
    for process in processes:
        process.start()
    end, samples, wrong = time.monotonic() + seconds, [], []
    while time.monotonic() < end and len(wrong) < 20:
        time.sleep(SAMPLE_SECONDS)
        samples.append(sample(pid))
        wrong += collect(shared.wrong)
    shared.stop.set()
    counts = collections.Counter()
    for _ in processes:
        counts.update(shared.counts.get(timeout=120))
    for process in processes:
        process.join()
    wrong += collect(shared.wrong)
    for what in sorted(counts):
        print("soak: %s: %d" % (what, counts[what]))
    for line in wrong[:20]:
        print("soak: wrong: %s" % line)
    slacks = {"memory MiB": 8, "threads": 8, "descriptors": 16}
    grown = [what for what, slack in slacks.items() if len(samples) >= 6 and not is_flat(samples, what, slack)]
    if grown:
        print("soak: grew: %s" % ", ".join(grown))
    idle = [kind for kind in ("boards: read", "writes", "hostile: refused", "walk: names") if not counts[kind]]
    if idle:
        print("soak: nothing was done: %s" % ", ".join(idle))
    return bool(wrong or idle or (grown and flat))


def main():
    if sys.argv[1] == "make":
        for name, image in ("data.bin", TEMPLATE_ID), ("spare.bin", SPARE_ID):
            with open(os.path.join(sys.argv[2], name), "wb") as file:
                file.write(content(image, 0))
        return 0
    template, source, mountpoint, pid, seconds, seed, flat = sys.argv[2:]
    return run(template, source, mountpoint, int(pid), int(seconds), seed, flat == "yes")


if __name__ == "__main__":
    sys.exit(main())
