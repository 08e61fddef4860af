#!/bin/bash
# R, C1, C4, C5: as r_told_steady, where one read of NAME@writes has not the counters of the FAT: one of 12 GiB with small clusters, and one
# behind a root file system of 9 GiB. What did not change is not read again, whatever is written elsewhere; and each write that the server
# has replied to is seen by the next open, in the first units and beyond them.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
CHANGES=
mkdir "$T/store"
head -c 3000000 /dev/urandom >"$T/other"
image=$T/store/large.img
truncate -s 13G "$image"
echo 'start=2048, size=25165824, type=c' | sfdisk -q "$image"
mkfs.vfat -F 32 -s 8 --offset 2048 "$image" 12582912 >/dev/null 2>&1
put near "$image@@1M" /near.txt
# The next cluster that is taken is behind 10 GiB (FSInfo, offset 492 of the second sector).
"$PYTHON" -c 'import struct, sys
with open(sys.argv[1], "r+b") as file:
	file.seek((1 << 20) + 512 + 492)
	file.write(struct.pack("<I", (10 << 30) // 4096))' "$image"
put "far 0000" "$image@@1M" /far.txt
put "@$T/other" "$image@@1M" /other.bin
image=$T/store/behind.img
truncate -s 10G "$image"
printf '%s\n' 'start=2048, size=18874368, type=83' 'start=18876416, size=71680, type=c' | sfdisk -q "$image"
make_fat32_image "$T/fat.img"
put near "$T/fat.img" /near.txt
put "far 0000" "$T/fat.img" /far.txt
put "@$T/other" "$T/fat.img" /other.bin
# mtools get no further than 4 GiB by themselves.
dd if="$T/fat.img" of="$image" bs=1M skip=1 seek=9217 conv=sparse,notrunc status=none
SOCKET=$T/nbdkit.sock
nbdkit -f -U "$SOCKET" -P "$T/nbdkit.pid" --filter=log --filter="$FILTER" file dir="$T/store" logfile="$T/log" &
PIDS+=($!)
wait_until 10 test -s "$T/nbdkit.pid"
for name in large behind; do ln -s "$(uri $name.img)" "$SRC/$name.img"; done
mount_imagefs -o settle=2 "$SRC" "$MNT"
cat >"$T/far.py" <<'PYTHON'
import os, re, sys
import nbd

mount, log, uri, image, elsewhere = sys.argv[1:]
names = [os.path.join(mount, name) for name in ("near.txt", "far.txt", "other.bin")]


def look(names=names):
    seen = {}
    for name in names:
        with open(name, "rb") as file:
            seen[name] = os.fstat(file.fileno()).st_ino, file.read()
    return seen


def reads():
    """How many there were of the image, and of its page; and the largest of these."""
    exports, largest, own = {}, 0, os.path.basename(image)
    counts = {own: 0, own + "@writes": 0}
    for line in open(log):
        connection = re.search(r" connection=(\d+) ", line)
        name = re.search(r" Connect export=('?)(\S*)\1 ", line)
        read = re.search(r" Read id=\d+ offset=(0x[0-9a-f]+) count=(0x[0-9a-f]+)", line)
        if name:
            exports[connection[1]] = name[2].strip('"')
        elif read and exports[connection[1]] in counts:
            counts[exports[connection[1]]] += 1
            if exports[connection[1]] != own:
                largest = max(largest, int(read[1], 16))
    return counts[own], counts[own + "@writes"], largest


def place(of):
    """SEEK_DATA: the image has holes."""
    fd, at = os.open(image, os.O_RDONLY), 0
    while True:
        at = os.lseek(fd, at, os.SEEK_DATA)
        end = os.lseek(fd, at, os.SEEK_HOLE)
        found = os.pread(fd, end - at, at).find(of)
        if found >= 0:
            os.close(fd)
            return at + found
        at = end


for _ in range(4):
    first = look()
writer = nbd.NBD()
writer.connect_uri(uri)
before = reads()
for turn in range(20):
    for i in range(10):
        writer.pwrite(os.urandom(4096), int(elsewhere) + (turn * 10 + i) * 997 * 512)
    assert look() == first, "other inodes or bytes"
after = reads()
print(f"60 opens beside 200 writes: {after[0] - before[0]} reads of the image, {after[1] - before[1]} of its page")
assert after[0] == before[0], "a file that did not change was read"
assert after[2] >= 65024, "no counters beyond the first ones were read"

for text, name in ((b"far 0000", names[1]), (b"near", names[0])):
    at, stale = place(text), 0
    assert name != names[1] or at > 8 << 30
    for number in range(200):
        want = (b"%04d" % number).rjust(len(text), b"x")
        writer.pwrite(want, at)
        stale += look([name])[name][1] != want
    print(f"200 writes to {os.path.basename(name)}: {stale} stale")
    assert stale == 0
assert look([names[2]])[names[2]] == first[names[2]]
PYTHON
# Written to elsewhere: in the large FAT where no file is; in the root file system.
"$PYTHON" "$T/far.py" "$MNT/large" "$T/log" "$(uri large.img)" "$T/store/large.img" $((11 << 30))
grep -qx "changes: told by NAME@writes" "$CONTROL/large" || fail "$(cat "$CONTROL/large")"
"$PYTHON" "$T/far.py" "$MNT/behind" "$T/log" "$(uri behind.img)" "$T/store/behind.img" $((5 << 30))
grep -qx "changes: told by NAME@writes" "$CONTROL/behind" || fail "$(cat "$CONTROL/behind")"
