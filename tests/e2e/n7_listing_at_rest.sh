#!/bin/bash
# N3, N7, C1: a listing of all images reads nothing of those that rested since the last one, though it has closed them; and
# one that was written since, by write(2), by mmap or as another file of that name, is listed as it is now, at once.
. "$(dirname "$0")/../lib.sh"
requires root netns loop mkfs.ext4 debugfs sfdisk
IMAGES=60
# Files that have rested for years, which no call can make: their ctime is written into a filesystem of their own.
truncate -s 64M "$T/fs.img"
mkfs.ext4 -q -F "$T/fs.img"
mount -o loop "$T/fs.img" "$SRC"
board "$T/one.img" one
# Twice FAT.
truncate -s 8M "$T/two.img"
printf 'label: dos\nstart=2048, size=2048, type=c\nstart=6144, type=c\n' | sfdisk -q "$T/two.img"
make_fat "$T/two.img" 2048 1024 12
make_fat "$T/two.img" 6144 4096 12
for ((n = 10; n < 10 + IMAGES; n++)); do cp --sparse=always "$T/one.img" "$SRC/i$n.img"; done
cp --sparse=always "$T/two.img" "$SRC/two.img"
# As it will be: one more partition is a change of a few sectors.
cp --sparse=always "$T/two.img" "$T/grown.img"
truncate -s 8M "$SRC/i11.img" "$SRC/i12.img"
umount "$SRC"
for name in $(seq -f 'i%.0f.img' 10 $((9 + IMAGES))) two.img; do echo "set_inode_field /$name ctime 20200101000000"; done >"$T/commands"
debugfs -w -f "$T/commands" "$T/fs.img" >"$T/debugfs.log" 2>&1
mount -o loop "$T/fs.img" "$SRC"
is "ctime of $SRC/i10.img" "$(date -u -d "@$(stat -c %Z "$SRC/i10.img")" +%Y)" 2020

# Few of them stay open when nobody uses them any more: an eighth of the descriptors.
ulimit -n 256
mount_imagefs
coproc ACCESSES { exec "$PYTHON" "$TOOLS/accesses.py" "$SRC"; }
PIDS+=("$ACCESSES_PID")
read -r line <&"${ACCESSES[0]}"
is "the counter" "$line" ready
accesses() { echo >&"${ACCESSES[1]}"; read -r count <&"${ACCESSES[0]}"; echo "$count"; }
plain() { seq -f 'i%.0f' 10 $((9 + IMAGES)); }
listed() { find "$MNT" -mindepth 1 -maxdepth 1 -printf '%f\n' | LC_ALL=C sort | tr '\n' ' '; }
expected() { { plain; printf '%s\n' two two:1 two:2 "$@"; } | LC_ALL=C sort | tr '\n' ' '; }

is "at first" "$(listed)" "$(expected)"
read_first=$(accesses)
[ "$read_first" -ge $IMAGES ] || fail "the first listing read only $read_first times"
is "again" "$(listed)" "$(expected)"
is "reads of images at rest by the second listing" "$(accesses)" 0

# By write(2): a partition came.
dd if="$T/grown.img" of="$SRC/i11.img" bs=512 count=16 conv=notrunc,fsync status=none
dd if="$T/grown.img" of="$SRC/i11.img" bs=512 skip=2048 seek=2048 conv=notrunc,fsync status=none
is "one was written" "$(listed)" "$(expected i11:1 i11:2)"
# By mmap.
"$PYTHON" - "$T/grown.img" "$SRC/i12.img" <<'PY'
import mmap, sys
new = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "r+b") as file:
    view = mmap.mmap(file.fileno(), len(new))
    view[:] = new
PY
is "one was mapped and changed" "$(listed)" "$(expected i11:1 i11:2 i12:1 i12:2)"
# Another file of that name that has rested as long, as mv has it: the inode tells.
mv "$SRC/two.img" "$SRC/i13.img"
is "one was replaced" "$(listed)" "$({ plain; printf '%s\n' i11:1 i11:2 i12:1 i12:2 i13:1 i13:2; } | LC_ALL=C sort | tr '\n' ' ')"
rm "$SRC/i13.img"
is "one is gone" "$(listed)" "$({ plain | grep -v i13; printf '%s\n' i11:1 i11:2 i12:1 i12:2; } | LC_ALL=C sort | tr '\n' ' ')"
# Rested long enough to be read as it is, not to be remembered: what its storage has not answered yet may still come.
chmod 600 "$SRC/i20.img"
at_rest() { [ $(($(date +%s) - $(stat -c %Z "$SRC/i20.img"))) -ge 3 ]; }
wait_until 10 at_rest
listed >/dev/null
accesses >/dev/null
listed >/dev/null
[ "$(accesses)" != 0 ] || fail "what changed three seconds ago is remembered"
unmount_imagefs
# What is believed of files otherwise is not with changes=none: each listing reads.
mount_imagefs -o changes=none "$SRC" "$MNT"
listed >/dev/null
accesses >/dev/null
listed >/dev/null
read_again=$(accesses)
[ "$read_again" -ge $((IMAGES - 1)) ] || fail "with changes=none the second listing read only $read_again times"
unmount_imagefs
