#!/usr/bin/python3
"""Boots boards: plays firmware's request sequences, also while the image is being written.

  replay.py SERVER PORT --truth DIRECTORY... [options] BOARD...

BOARD is NAME=SEQUENCE,PREFIX: the file tests/data/firmware/SEQUENCE.txt, played from an
address of its own; `NAME=SEQUENCE,PREFIX,lost` says that the server has no such prefix.
All boards boot at once. Each DIRECTORY holds the true files of one state of the image.

  --root DIRECTORY   the true files beside the boards' directories
  --timeline FILE    what update.py writes: the image goes from state to state
  --seconds N        every board boots again and again for so long
  --server-name S    for the transcript

Every answer is judged once the boots are over, by the states that the image may have had
while it was asked for: the one before it and those of updates that had begun by then. A
file is one of those, whole; "not found" is right if one of those has none; any other
refusal only while an update took longer than 250 ms (imagefs(8)); and an RRQ is answered
within a second, half the time after which the firmware asks again. What this machine
itself slept through counts for neither.
"""
import argparse
import collections
import hashlib
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tools"))
import tftp  # noqa: E402

ANSWER_SECONDS = 1.0
UPDATE_SECONDS = 0.25  # imagefs waits for the end of a burst of writes as long as this
PATIENCE_SECONDS = 0.5
NAP, NOTABLE_NAP = 0.02, 0.25

Asked = collections.namedtuple("Asked", "boot what path start answered end got blksize duplicates strangers")
Update = collections.namedtuple("Update", "begin end old new")


class Truth:
    """The true (size, sha256) of a path in every state."""

    def __init__(self, directories, root, prefixes):
        self.states = [self.files_of(directory) for directory in directories]
        self.root = self.files_of(root) if root else {}
        self.prefixes = prefixes

    @staticmethod
    def files_of(top):
        files = {}
        for directory, _, names in os.walk(top):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as file:
                    data = file.read()
                files[os.path.relpath(path, top)] = (len(data), hashlib.sha256(data).hexdigest())
        return files

    def of(self, path):
        for prefix in self.prefixes:
            if path.startswith(prefix):
                return [state.get(path[len(prefix):].lstrip("/")) for state in self.states]
        return [self.root.get(path)] * len(self.states)


class Board(tftp.Player, threading.Thread):
    def __init__(self, name, sequence, prefix, lost, number, args):
        tftp.Player.__init__(self, args.server, args.port, args.truth[0], prefix, not lost,
                             tftp.Ports("127.0.1.%d" % number))
        threading.Thread.__init__(self)
        self.board, self.sequence, self.whole_prefix = name, sequence, prefix
        self.until = time.monotonic() + args.seconds
        self.asked, self.boots = [], 0

    def run(self):
        while self.boots == 0 or time.monotonic() < self.until:
            self.boots += 1
            self.prefix, self.blksize = self.whole_prefix, None
            tftp.Player.run(self, os.path.join(HERE, "..", "data", "firmware", self.sequence + ".txt"))

    def check(self, what, name, got, transfer):
        self.asked.append(Asked(self.boots, what, transfer.name, transfer.asked, transfer.answered,
                                time.monotonic(), got, self.blksize, transfer.duplicates,
                                len(transfer.strangers - {transfer.tid})))

    def check_prefix(self, name, got, transfer):
        self.check("prefix", name, got, transfer)


class Naps(threading.Thread):
    """When this machine did not let us run."""

    def __init__(self):
        super().__init__(daemon=True)
        self.naps = []

    def run(self):
        while True:
            before = time.monotonic()
            time.sleep(NAP)
            after = time.monotonic()
            if after - before > NOTABLE_NAP:
                self.naps.append((before, after))

    def met(self, start, end):
        return any(before < end and after > start for before, after in self.naps)


class Judge:
    def __init__(self, truth, updates, naps):
        self.truth, self.updates, self.naps = truth, updates, naps
        self.count = collections.Counter()

    def states(self, start, end):
        state = self.updates[0].old if self.updates else 0
        possible = {state}
        for update in self.updates:
            if update.begin > end:
                break
            possible = {update.new} if update.end <= start else possible | {update.new}
        return possible

    def met_long_update(self, start, end):
        return any(update.end - update.begin > UPDATE_SECONDS and
                   update.begin < end and update.end + PATIENCE_SECONDS > start for update in self.updates)

    def verdict(self, asked):
        """What is wrong with an answer, or None."""
        end = asked.answered or asked.end
        truths = self.truth.of(asked.path)
        allowed = {truths[state] for state in self.states(asked.start, end)}
        self.count["requests"] += 1
        if len(allowed) > 1:
            self.count["answers that had a choice"] += 1
        if asked.answered is None or asked.answered - asked.start > ANSWER_SECONDS:
            if not self.naps.met(asked.start, end):
                return "no answer within %.1f s" % ANSWER_SECONDS
            self.count["late, as this machine slept"] += 1
        if asked.duplicates and not self.naps.met(asked.start, asked.end):
            return "%d blocks came again" % asked.duplicates
        if isinstance(asked.got, tftp.Refused):
            if asked.got.code == 1:
                self.count["not found"] += 1
                return None if None in allowed else "not found, but it is there"
            if self.met_long_update(asked.start, asked.end) or self.naps.met(asked.start - PATIENCE_SECONDS, asked.end):
                self.count["refused during an update of more than 250 ms"] += 1
                return None
            return "refused: %s" % asked.got
        if isinstance(asked.got, Exception):
            return str(asked.got)
        if isinstance(asked.got, int):
            self.count["probes"] += 1
            return None if asked.got in {is_now[0] for is_now in allowed if is_now} else \
                "size %d" % asked.got
        self.count["files"] += 1
        self.count["bytes"] += asked.got.size
        got = (asked.got.size, asked.got.hash.hexdigest())
        if got in allowed:
            return None
        return "an old version" if got in truths else "other bytes, %d of them" % got[0]


def read_timeline(path):
    if not path:
        return []
    with open(path, encoding="utf-8") as file:
        return [Update(float(begin), float(end), int(old), int(new))
                for begin, end, old, new in (line.split() for line in file)]


def say_answer(asked):
    got = asked.got
    if isinstance(got, tftp.Refused):
        text = "not found" if got.code == 1 else str(got)
    elif isinstance(got, Exception):
        text = str(got)
    elif isinstance(got, int):
        text = "%d bytes; early end" % got
    else:
        text = "%d bytes, as in the image" % got.size
    return "%-6s %-46s %s" % (asked.what, asked.path, text)


def say_boot(board):
    """Its first boot, request by request; many of one directory in one line."""
    lines = [(os.path.dirname(asked.path), say_answer(asked)) for asked in board.asked if asked.boot == 1]
    at = 0
    while at < len(lines):
        same = at
        while same < len(lines) and lines[same][0] == lines[at][0]:
            same += 1
        crowd = same - at > 8 and lines[at][0].endswith("overlays")
        for _, line in lines[at:at + 2 if crowd else same]:
            print("    " + line)
        if crowd:
            print("    ... and %d more requests for files of %s" % (same - at - 2, lines[at][0]))
        at = same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("port", type=int)
    parser.add_argument("boards", nargs="+", metavar="BOARD")
    parser.add_argument("--truth", action="append", required=True)
    parser.add_argument("--root")
    parser.add_argument("--timeline")
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--server-name", default="the server")
    args = parser.parse_args()
    naps = Naps()
    naps.start()
    boards, prefixes = [], []
    for number, word in enumerate(args.boards, 1):
        name, _, rest = word.partition("=")
        sequence, prefix, *lost = rest.split(",")
        prefixes += [] if lost else [prefix]
        boards.append(Board(name, sequence, prefix, bool(lost), number, args))
    truth = Truth(args.truth, args.root, prefixes)
    for board in boards:
        board.start()
    for board in boards:
        board.join()
    judge, wrong = Judge(truth, read_timeline(args.timeline), naps), []
    for board in boards:
        faults = ["%s, boot %d: %s %s: %s" % (board.board, asked.boot, asked.what, asked.path, fault)
                  for asked in board.asked if (fault := judge.verdict(asked))]
        faults += ["%s: %s" % (board.board, line) for line in board.wrong if "prefix" in line]
        wrong += faults
        waits = [asked.answered - asked.start for asked in board.asked if asked.answered]
        print("  %s boots from %s as %s: %d times, %d requests; the longest wait for an answer %.0f ms; "
              "%d requests were answered twice" % (
                  board.board, args.server_name, board.sequence, board.boots, len(board.asked),
                  1e3 * max(waits, default=0), sum(asked.strangers > 0 for asked in board.asked)))
        if not args.timeline:
            say_boot(board)
    for line in wrong[:20]:
        print("  WRONG: " + line)
    if args.timeline:
        lengths = [1e3 * (update.end - update.begin) for update in judge.updates]
        print("  %d updates meanwhile, of %.0f to %.0f ms" % (len(lengths), min(lengths), max(lengths)))
    print("  %s: %s; %d wrong" % (args.server_name, ", ".join(
        "%s %d" % pair for pair in judge.count.items()), len(wrong)))
    sys.exit(1 if wrong or (args.timeline and not judge.count["answers that had a choice"]) else 0)


if __name__ == "__main__":
    main()
