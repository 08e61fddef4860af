#!/bin/bash
# R, C6: a block server that is so far away that nobody can wait for a connection to it (a handshake of 360 ms). Once an image is in
# use it stays so: its connection is made anew before it is too old for a look, and no request meets a closed one. What is written
# is seen all the same, and another file that takes the export's name within the time that a connection may be old.
# usage: r_far_away.sh [SECONDS]
. "$(dirname "$0")/../lib.sh"
requires root nbdkit
mkdir "$T/store"
make_fat32_image "$T/store/board.img"
put "number 000" "$T/store/board.img" config.txt
nbdkit -f -U "$T/near.sock" -P "$T/nbdkit.pid" file dir="$T/store" 2>"$T/nbdkit.log" &
PIDS+=($!)
wait_until 10 test -s "$T/nbdkit.pid"
"$PYTHON" "$TOOLS/far_away.py" "$T/far.sock" "$T/near.sock" 120 2>"$T/relay.log" &
PIDS+=($!)
wait_until 10 test -S "$T/far.sock"
# Who asks once waits for the first connection.
is "by a tool" "$("$(dirname "$IMAGEFS")/imagefsctl" ls "nbd+unix:///board.img?socket=$T/far.sock" | grep -c config.txt)" 1
mount_imagefs -o settle=2 "nbd+unix:///board.img?socket=$T/far.sock" "$MNT"
wait_until 20 grep -qs "number 000" "$MNT/config.txt"
unmount_imagefs
ln -s "nbd+unix:///board.img?socket=$T/far.sock" "$SRC/board.img"
mount_imagefs -o settle=2 "$SRC" "$MNT"
"$PYTHON" - "$MNT/board/config.txt" "$T/store" "${1:-15}" <<'PYTHON'
import os, shutil, sys, time
path, store, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])


def read():
    with open(path, "rb", buffering=0) as file:
        return file.read()


def read_in_time():
    begin = time.monotonic()
    while True:
        try:
            return read()
        except OSError:
            assert time.monotonic() < begin + 20, "never"
            time.sleep(0.05)


for _ in range(5):
    read_in_time()
with open(store + "/board.img", "rb") as file:
    at = file.read().index(b"number 000")
tries, refused, number, end = 0, 0, 0, time.monotonic() + seconds
with open(store + "/board.img", "r+b", buffering=0) as image:
    while time.monotonic() < end:
        tries += 1
        if tries % 8 == 0:
            number += 1
            os.pwrite(image.fileno(), b"number %03d" % number, at)
            read_in_time()  # until it has lasted
        try:
            got = read()
            assert got == b"number %03d" % number, (got, number)
        except OSError:
            refused += 1
print("%d opens, %d writes: 0 stale, %d refused" % (tries, number, refused))
assert refused <= 1 and tries > 10, "connections were waited for"
shutil.copyfile(store + "/board.img", store + "/new")
with open(store + "/new", "r+b") as image:
    image.seek(at)
    image.write(b"number new")
os.rename(store + "/new", store + "/board.img")
time.sleep(2)  # as old as a connection may be
assert read_in_time() == b"number new"
PYTHON
