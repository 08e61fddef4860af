#!/bin/bash
# C2, C6: r_clones_cold.sh xfs|btrfs: what 64 boards that were cloned from one template (cp --reflink) have in common is
# read from the disk once: all boot files of all of them, cold, cost at most twice the disk reads of one, whether one
# after the other or many at the same time; and each gets its own bytes, those that were changed as well.
. "$(dirname "$0")/../lib.sh"
BOARDS=64
requires mcopy

# Of the filesystem's device; what is read of it for the filesystem itself counts as well.
reflink_storage disk "$1"
cold() { # nothing of it is in memory
	! is_mounted || unmount_imagefs
	! mountpoint -q "$SRC" || umount "$SRC"
	mount -o noatime "$disk" "$SRC"
	mount_imagefs
}
read_kib() { awk '{ print int($3 / 2) }' "/sys/block/${disk##*/}/stat"; }

make_image "$T/template.img" 64 16
for file in kernel8.img:8000000 start4.elf:2200000 initramfs8:3000000 fixup4.dat:5400 bcm2711-rpi-4-b.dtb:56000; do
	head -c "${file#*:}" /dev/urandom >"$T/file"
	put "@$T/file" "$T/template.img" "/${file%:*}"
done
mmd -i "$T/template.img@@1M" ::/overlays
for ((i = 0; i < 40; i++)); do
	head -c 2000 /dev/urandom >"$T/file"
	put "@$T/file" "$T/template.img" "/overlays/$i.dtbo"
done
put "of the template" "$T/template.img" /config.txt
cp "$T/template.img" "$SRC/template.img"
for ((i = 1; i <= BOARDS; i++)); do cp --reflink=always "$SRC/template.img" "$SRC/board$i.img"; done
# Each has a file of its own, as boards have.
for ((i = 1; i <= BOARDS; i++)); do put "root=of-board-$i" "$SRC/board$i.img" /cmdline.txt; done
sync -f "$SRC"
at_rest() { [ $(($(date +%s) - $(stat -c %Z "$SRC/board$BOARDS.img"))) -ge 4 ]; }
wait_until 10 at_rest

sum() { (cd "$MNT/$1" && find . -type f ! -name cmdline.txt -print0 | sort -z | xargs -0 cat | sha256sum); }
whole() { # whole NAME SUM: it holds what the template does, and its own file
	[ "$(sum "$1")" = "$2" ] && [ "$(cat "$MNT/$1/cmdline.txt")" = "root=of-board-${1#board}" ]
}

cold
before=$(read_kib)
wanted=$(sum board1)
one=$(($(read_kib) - before))
extract "$T/template.img" "$T/tree"
is "the files of a board" "$wanted" "$(cd "$T/tree" && find . -type f ! -name cmdline.txt -print0 | sort -z | xargs -0 cat | sha256sum)"
[ $one -gt 10000 ] || fail "one board, cold, is only $one KiB of the disk"

cold
before=$(read_kib)
for ((i = 1; i <= BOARDS; i++)); do whole "board$i" "$wanted" || fail "board$i has other bytes"; done
each=$(($(read_kib) - before))

# Sixteen at a time. A machine that has no time for them may answer EIO (C6): then once more.
at_once() {
	local try
	for try in {1..5}; do whole "$1" "$wanted" 2>/dev/null && echo "$1" >>"$T/whole" && return; done
}
cold
before=$(read_kib)
for ((i = 1; i <= BOARDS; i++)); do
	at_once "board$i" &
	readers[i % 16]=$!
	[ $((i % 16)) -ne 0 ] || wait "${readers[@]}"
done
all=$(($(read_kib) - before))
echo "$NAME: of the disk, KiB: one board $one, $BOARDS one after the other $each, at the same time $all"
is "boards that were read whole at the same time" "$(wc -l <"$T/whole")" $BOARDS
[ $each -le $((2 * one)) ] || fail "$BOARDS boards one after the other: $each KiB of the disk, one board: $one KiB"
[ $all -le $((2 * one)) ] || fail "$BOARDS boards at the same time: $all KiB of the disk, one board: $one KiB"
