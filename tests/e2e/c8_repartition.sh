#!/bin/bash
# C8, C2: the partition table is rewritten under open files: a partition grows as
# growpart does it, the boot partition moves, its number changes, a second FAT comes and
# goes, the table turns from MBR to GPT and is wiped. The view follows at once.
. "$(dirname "$0")/../lib.sh"
requires sfdisk sgdisk
image=$SRC/a.img
head -c 3M /dev/urandom >"$T/kernel"
truncate -s 24M "$image"
printf 'label: dos\nstart=2048, size=16384, type=c\n' | sfdisk -q "$image"
make_fat "$image" 2048 8192 16 -s 2
put "@$T/kernel" "$image" /kernel8.img
put first "$image" /config.txt
mount_imagefs
table() { printf '%s\n' "$@" | sfdisk -q --no-reread --no-tell-kernel "$image" >"$T/sfdisk.log" 2>&1; }
is "at first" "$(cat "$MNT/a/config.txt")" first

exec 7<"$MNT/a/kernel8.img"
head -c 1000 <&7 >/dev/null
truncate -s 40M "$image"
echo ', +' | sfdisk -q --no-reread --no-tell-kernel -N 1 "$image" >"$T/sfdisk.log" 2>&1
is "the file system in a grown partition" "$(cat "$MNT/a/config.txt")" first
cmp "$MNT/a/kernel8.img" "$T/kernel"
"$PYTHON" "$TOOLS/finish_open.py" "$T/kernel" 7 grown

# Another FAT behind it, which is no boot partition; then the table names only that one.
make_fat "$image" 40960 8192 16 -s 2
put second "$image@@20M" /notes.txt
table 'label: dos' 'start=2048, size=16384, type=c' 'start=40960, size=16384, type=c'
is "the boot partition of two" "$(cat "$MNT/a/config.txt")" first
is "the second by its number" "$(cat "$MNT/a:2/notes.txt")" second
is "both listed" "$(cd "$MNT" && echo *)" "a a:1 a:2"
table 'label: dos' 'start=40960, size=16384, type=c'
is "the only one left" "$(cat "$MNT/a/notes.txt")" second
refuses ENOENT cat "$MNT/a/config.txt"
refuses ENOENT ls "$MNT/a:2"
"$PYTHON" "$TOOLS/finish_open.py" "$T/kernel" 7 'no longer in the table'
exec 7<&-

# The table says GPT, and back again.
sgdisk -Z "$image" >/dev/null 2>&1
sgdisk -a 1 -n 5:2048:18431 "$image" >/dev/null
is "in a GPT" "$(cat "$MNT/a/config.txt")" first
is "by its number there" "$(cat "$MNT/a:5/config.txt")" first
sgdisk -Z "$image" >/dev/null 2>&1
table 'label: dos' 'start=2048, size=16384, type=c'
is "in an MBR again" "$(cat "$MNT/a/config.txt")" first

# No table at all: an image without anything to show answers with an error, not with old files.
exec 7<"$MNT/a/kernel8.img"
dd if=/dev/zero of="$image" bs=1M count=1 conv=notrunc status=none
refuses '' cat "$MNT/a/config.txt"
"$PYTHON" "$TOOLS/finish_open.py" "$T/kernel" 7 'table wiped'
exec 7<&-
table 'label: dos' 'start=2048, size=16384, type=c'
is "after all that" "$(cat "$MNT/a/config.txt")" first
