#!/bin/bash
# C3, C5: a large file that nothing touched keeps its inode, and opens, however many writes to other files were told,
# also while they go on.
. "$(dirname "$0")/../lib.sh"
requires root
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
[ "${CHANGES:-}" != events ] || skip "is about what the kernel tells"
make_image "$SRC/board.img" 64 16 -s 8
head -c 16M /dev/zero | tr '\0' A >"$T/large"
head -c 1M /dev/zero | tr '\0' B >"$T/other"
put "@$T/large" "$SRC/board.img" /large
put "@$T/other" "$SRC/board.img" /other
mount_imagefs
settled() { [ $(($(date +%s) - $(stat -c %Z "$SRC/board.img"))) -ge 4 ]; }
wait_until 15 settled
cat "$MNT/board/large" >/dev/null
"$IMAGEFSCTL" --control "$CONTROL" status | grep -q '^board .* kernel ' || skip "the kernel tells nothing here"

"$PYTHON" - "$SRC/board.img" "$MNT/board/large" "$T/large" <<'PYTHON'
import os, sys, time
image, name, true = sys.argv[1:]
with open(true, "rb") as file:
    content = file.read()
with open(image, "rb") as file:
    at = file.read().index(b"B" * (1 << 20))
fd, before, looked = os.open(image, os.O_RDWR), os.stat(name).st_ino, time.monotonic()
# What is written within the settle time after the kernel was first listened to may have been begun before.
while time.monotonic() < looked + 0.5:
    os.stat(name)
# More than are asked for at a time (128), and than are remembered (1024); the large one is opened in their midst.
for count in (200, 1500):
    for i in range(count):
        os.pwrite(fd, b"C", at + i * 4096 % (1 << 20))
    with open(name, "rb") as file:
        assert os.fstat(file.fileno()).st_ino == before, "another inode after %d writes elsewhere" % count
        assert file.read() == content, "other content after %d writes elsewhere" % count
PYTHON
