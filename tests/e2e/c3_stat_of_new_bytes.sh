#!/bin/bash
# C3, C5, C1: where the server reports, new bytes under the same entry show in stat already, as
# another inode number; the open that follows it is not the first to find out, which costs it the
# one repetition that the kernel grants. The same bytes written again are the same version.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
requires root netns
make_image "$SRC/board.img" 64 16 -s 8
head -c 262144 /dev/zero | tr '\0' A >"$T/content"
put "@$T/content" "$SRC/board.img" /kernel8.img
mount_reported
"$PYTHON" - "$MNT/board/kernel8.img" "$CONTROL/board" "$SRC/board.img" <<'PY'
import os, sys, time
shown, control, image = sys.argv[1:]
report, writer = os.open(control, os.O_WRONLY), os.open(image, os.O_RDWR)
start = open(image, "rb").read().index(b"A" * 65536)
deadline = time.monotonic() + 20

def status(name):
    return next(line for line in open(control) if line.startswith(name + ": "))[len(name) + 2:].strip()

def write(offset, length, byte):
    os.write(report, b"write %d %d 1\n" % (start + offset, length))
    os.pwrite(writer, byte * length, start + offset)
    os.write(report, b"done 1\n")

def patiently(call):
    """When it is settled: as soon as it is not refused."""
    while True:
        try:
            return call()
        except OSError:
            assert time.monotonic() < deadline, "refused for ever"

def content():
    with open(shown, "rb") as file:
        return file.read()

os.write(report, b"write 0 1 1\ndone 1\n")
while status("reports") != "exact":
    assert time.monotonic() < deadline, status("reports")
assert patiently(content) == b"A" * 262144
first = os.stat(shown).st_ino
write(131072, 65536, b"A")
assert patiently(content) == b"A" * 262144
assert os.stat(shown).st_ino == first, "the same bytes, and another inode number"
write(131072, 65536, b"B")
second = patiently(lambda: os.stat(shown).st_ino)
assert second != first, "other bytes, and the inode number of the old ones"
assert patiently(content) == b"A" * 131072 + b"B" * 65536 + b"A" * 65536, "stale"
assert os.stat(shown).st_ino == second, "the number that stat gave was not the new version's"
PY
