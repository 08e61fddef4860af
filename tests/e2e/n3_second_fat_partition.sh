#!/bin/bash
# N3: NAME:N is partition N; listed when there are several FATs, reachable always;
# logical partitions count from 5; what is no FAT, or not there, is not found or EIO.
. "$(dirname "$0")/../lib.sh"
two_fats() {
	truncate -s 16M "$1"
	sfdisk -q "$1" <<-TABLE
		label: dos
		start=2048, size=6144, type=c
		start=8192, size=2048, type=83
		start=10240, size=6144, type=c
		start=16384, size=16384, type=5
		start=18432, size=4096, type=e
		start=24576, size=4096, type=83
	TABLE
	make_fat "$1" 2048 3072 12
	make_fat "$1" 10240 3072 12
	make_fat "$1" 18432 2048 12
	put 'one' "$1@@1M" /which
	put 'three' "$1@@5M" /which
	put 'five' "$1@@9M" /which
}
two_fats "$SRC/jammy.img"
put 'pi' "$SRC/jammy.img@@5M" /config.txt
board "$SRC/single.img"
ln -s jammy:3 "$SRC/89025d75"
ln -s jammy:5 "$SRC/90025d75"
mount_imagefs
is listing "$(ls "$MNT" | tr '\n' ' ')" '89025d75 90025d75 jammy jammy:1 jammy:3 jammy:5 single '
is "partition 1" "$(cat "$MNT/jammy:1/which")" one
is "partition 3" "$(cat "$MNT/jammy:3/which")" three
is "partition 5" "$(cat "$MNT/jammy:5/which")" five
is "the boot partition by content" "$(cat "$MNT/jammy/which")" three
is "link" "$(readlink "$MNT/89025d75")" jammy:3
is "through the link" "$(cat "$MNT/89025d75/which")" three
is "through the other" "$(cat "$MNT/90025d75/which")" five
# Not listed, but there.
is "single:1" "$(cat "$MNT/single:1/config.txt")" single.img
refuses ENOENT stat "$MNT/jammy:7"
refuses ENOENT stat "$MNT/jammy:0"
refuses ENOENT stat "$MNT/jammy:x"
refuses ENOENT stat "$MNT/jammy:"
refuses ENOENT stat "$MNT/jammy:99999999999999999999"
# Partition 2 is no FAT: its bytes are not shown, in whatever way it says so.
if ls "$MNT/jammy:2" 2>/dev/null | grep -q .; then fail "partition 2 shows something"; fi

unmount_imagefs
mount_imagefs -o partition=5 "$SRC/jammy.img" "$MNT"
is "partition=5 alone" "$(cat "$MNT/which")" five
