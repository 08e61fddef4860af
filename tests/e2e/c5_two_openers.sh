#!/bin/bash
# C5, C2: what was kept for an open file before it was overwritten is what the file returns,
# though somebody else opens it later, between two updates of parts of it.
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

def status(name):
    return next(line for line in open(control) if line.startswith(name + ": "))[len(name) + 2:].strip()

def write(offset, length, byte):
    os.write(report, b"write %d %d 1\n" % (start + offset, length))
    os.pwrite(writer, byte * length, start + offset)
    os.write(report, b"done 1\n")

def pieces(reader):
    return b"".join(os.pread(reader, 4096, at) for at in range(0, 262144, 4096))

def opened():
    """When it is settled: as soon as it is not refused."""
    deadline = time.monotonic() + 20
    while True:
        try:
            reader = os.open(shown, os.O_RDONLY)
            os.posix_fadvise(reader, 0, 0, os.POSIX_FADV_RANDOM)
            return reader
        except OSError:
            assert time.monotonic() < deadline, "refused for ever"

os.write(report, b"write 0 1 1\ndone 1\n")
deadline = time.monotonic() + 20
while status("reports") != "exact":
    assert time.monotonic() < deadline, status("reports")
os.close(opened())
first = opened()
assert os.pread(first, 4096, 0) == b"A" * 4096
write(131072, 131072, b"B")
second = opened()
assert os.fstat(first).st_ino != os.fstat(second).st_ino, "one inode number for two versions"
write(0, 131072, b"C")
assert pieces(first) == b"A" * 262144, "the first open file is torn"
assert pieces(second) == b"A" * 131072 + b"B" * 131072, "the second open file is torn"
third = opened()
assert pieces(third) == b"C" * 131072 + b"B" * 131072, "stale"
PY
