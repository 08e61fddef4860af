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
import os, sys
from text_reporter import TextReporter, patiently
shown, control, image = sys.argv[1:]
reporter = TextReporter(control, image, b"A" * 65536)

def pieces(reader):
    return b"".join(os.pread(reader, 4096, at) for at in range(0, 262144, 4096))

def open_it():
    reader = os.open(shown, os.O_RDONLY)
    os.posix_fadvise(reader, 0, 0, os.POSIX_FADV_RANDOM)
    return reader

reporter.until_exact()
os.close(patiently(open_it))
first = patiently(open_it)
assert os.pread(first, 4096, 0) == b"A" * 4096
reporter.write(131072, b"B" * 131072)
second = patiently(open_it)
assert os.fstat(first).st_ino != os.fstat(second).st_ino, "one inode number for two versions"
reporter.write(0, b"C" * 131072)
assert pieces(first) == b"A" * 262144, "the first open file is torn"
assert pieces(second) == b"A" * 131072 + b"B" * 131072, "the second open file is torn"
third = patiently(open_it)
assert pieces(third) == b"C" * 131072 + b"B" * 131072, "stale"
PY
