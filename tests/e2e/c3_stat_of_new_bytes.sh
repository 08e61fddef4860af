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
import os, sys
from text_reporter import TextReporter, patiently
shown, control, image = sys.argv[1:]
reporter = TextReporter(control, image, b"A" * 65536)

def content():
    with open(shown, "rb") as file:
        return file.read()

reporter.until_exact()
assert patiently(content) == b"A" * 262144
first = os.stat(shown).st_ino
reporter.write(131072, b"A" * 65536)
assert patiently(content) == b"A" * 262144
assert os.stat(shown).st_ino == first, "the same bytes, and another inode number"
reporter.write(131072, b"B" * 65536)
second = patiently(lambda: os.stat(shown).st_ino)
assert second != first, "other bytes, and the inode number of the old ones"
assert patiently(content) == b"A" * 131072 + b"B" * 65536 + b"A" * 65536, "stale"
assert os.stat(shown).st_ino == second, "the number that stat gave was not the new version's"
PY
