#!/bin/bash
# C6: one thread, as dnsmasq has, asks in turn for a file of an image that is never quiet and for one
# of an image that is updated for a moment each second. The first image makes it wait for half of any
# second at most, however often it asks; the second one is never refused for it.
# usage: c6_share.sh events|auto [SECONDS]
. "$(dirname "$0")/../lib.sh"
requires root
content=$(head -c 400 /dev/zero | tr '\0' 0)
board "$SRC/never.img" "$content"
board "$SRC/now_and_then.img" "$content"
mount_imagefs -o "changes=${1:-events}" "$SRC" "$MNT"
"$PYTHON" - "$SRC" "$MNT" "${2:-6}" <<'PY'
import os, sys, threading, time
src, mnt, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
stop = threading.Event()

def writer(name, writes, pause):
    fd = os.open("%s/%s.img" % (src, name), os.O_RDWR)
    with open(fd, "rb", closefd=False) as file:
        at = file.read().index(b"0" * 400)
    number = 0
    while not stop.wait(pause):
        for _ in range(writes):
            number += 1
            os.pwrite(fd, b"%d" % (number % 10) * 400, at)
            stop.wait(0.01)

waits, ends = {"never": [], "now_and_then": []}, {}

def ask(name):
    start = time.monotonic()
    try:
        os.close(os.open("%s/%s/config.txt" % (mnt, name), os.O_RDONLY))
        outcome = "opened"
    except OSError as error:
        outcome = os.strerror(error.errno)
    waits[name].append((start, time.monotonic()))
    ends[name, outcome] = ends.get((name, outcome), 0) + 1

def most_in_a_second(spans):
    """Of all seconds that end with a wait, and so of all seconds. An ask of some milliseconds is no wait, on a busy machine."""
    spans = [(a, b) for a, b in spans if b - a > 0.02]
    most, first = 0, 0
    for number, (_, end) in enumerate(spans):
        while spans[first][1] < end - 1:
            first += 1
        most = max(most, sum(b - max(a, end - 1) for a, b in spans[first:number + 1]))
    return most

for writes in ("never", 1, 0), ("now_and_then", 2, 1):
    threading.Thread(target=writer, args=writes).start()
end = time.monotonic() + seconds
while time.monotonic() < end:
    ask("never")
    ask("now_and_then")
stop.set()
most = most_in_a_second(waits["never"])
print("never quiet: %.0f ms in a second at most, longest wait %.0f ms; %s" % (
    most * 1e3, max(b - a for a, b in waits["never"]) * 1e3,
    ", ".join("%s %s %d" % (name, outcome, n) for (name, outcome), n in sorted(ends.items()))))
refused = sum(n for (name, outcome), n in ends.items() if name == "now_and_then" and outcome != "opened")
assert ends.get(("never", "Input/output error")), "it was quiet"
assert refused == 0, "%d refused for another image's sake" % refused
# This machine may be busy.
assert most < 0.6, "more than half of a second"
PY
