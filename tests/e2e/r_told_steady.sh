#!/bin/bash
# R, C3, C4: where the server says what is written, a file that did not change keeps its inode, and costs no read of the
# image, however often it is opened, and while the root file system beside it is written. A write to one file makes a
# new version of that one only, and of the others what shares a MiB with it is read once more.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
CHANGES=
# A FAT of 36 MiB at 1 MiB, and behind it a partition that is no FAT.
make_fat32_image "$T/board.img"
truncate -s 600M "$T/board.img"
echo 'start=77824, type=83' | sfdisk -q --append "$T/board.img"
head -c 3000000 /dev/urandom >"$T/large"
put "@$T/large" "$T/board.img" large.bin
mmd -i "$T/board.img@@1M" ::overlays
for i in {1..12}; do put "$(head -c $((i * 3000)) /dev/urandom | base64)" "$T/board.img" "overlays/number$i.dtbo"; done
put "[all]" "$T/board.img" config.txt
SOCKET=$T/nbdkit.sock
nbdkit -f -U "$SOCKET" -P "$T/nbdkit.pid" --filter=log --filter="$FILTER" file "$T/board.img" logfile="$T/log" &
PIDS+=($!)
wait_until 10 test -s "$T/nbdkit.pid"
ln -s "$(uri board)" "$SRC/board.img"
mount_imagefs
cat >"$T/steady.py" <<'PYTHON'
import os, re, sys
import nbd

mount, log, uri, image = sys.argv[1:]
names = [os.path.join(path, name) for path, _, files in os.walk(mount) for name in files]
assert len(names) > 5, names


def look():
    """Of each file its inode and its bytes, by a new open."""
    seen = {}
    for name in names:
        with open(name, "rb") as file:
            seen[name] = os.fstat(file.fileno()).st_ino, file.read()
    return seen


def reads():
    """How many reads there were of the image, and of its page."""
    exports, counts = {}, {"board": 0, "board@writes": 0}
    for line in open(log):
        connection = re.search(r" connection=(\d+) ", line)
        name = re.search(r" Connect export=('?)(\S*)\1 ", line)
        if name:
            exports[connection[1]] = name[2].strip('"')
        elif re.search(r" Read id=\d+ offset=", line):
            counts[exports[connection[1]]] += 1
    return counts["board"], counts["board@writes"]


# Once all is known, and has lasted.
for _ in range(3):
    first = look()
writer = nbd.NBD()
writer.connect_uri(uri)
before = reads()
opens = 0
for turn in range(40):
    for i in range(10):
        writer.pwrite(os.urandom(4096), (40 << 20) + (turn * 10 + i) * 997 * 512)
    assert look() == first, "other inodes or bytes"
    opens += len(names)
after = reads()
print(f"{opens} opens beside 400 writes: {after[0] - before[0]} reads of the image, {after[1] - before[1]} of its page")
assert after[0] == before[0], "a file that did not change was read"

# One file, in place.
large = os.path.join(mount, "large.bin")
at = open(image, "rb").read().index(first[large][1][1 << 20:][:4096])
writer.pwrite(b"new" * 1024, at)
second = look()
assert second[large][0] != first[large][0] and second[large][1] != first[large][1], "the same inode"
assert second[large][1][1 << 20:].startswith(b"new" * 1024)
del first[large], second[large]
assert second == first, "others changed"
names.remove(large)
before = reads()
assert look() == first
assert reads()[0] == before[0], "read again"
PYTHON
"$PYTHON" "$T/steady.py" "$MNT/board" "$T/log" "$(uri board)" "$T/board.img"
