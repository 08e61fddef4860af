#!/bin/bash
# C8, C2: mkfs in place, with another geometry each time, over files that are open; the
# same names come back with other bytes in other places.
. "$(dirname "$0")/../lib.sh"
image=$SRC/a.img
make_image "$image" 40 16 -s 4
mount_imagefs
old=
for geometry in "16 -s 4" "16 -s 16" "32 -s 1" "12 -s 64" "16 -s 4 -f 1" "16 -s 4 -R 32"; do
	# shellcheck disable=SC2086 # a list
	make_fat "$image" 2048 $((39 * 1024)) $geometry
	# Formatted, the names of before are gone, and no bytes of them come.
	is "names after mkfs -F $geometry" "$(ls "$MNT/a")" ''
	refuses ENOENT cat "$MNT/a/kernel8.img"
	if [ -n "$old" ]; then
		"$PYTHON" "$TOOLS/finish_open.py" "$T/kernel.old" 7 "open across mkfs -F $geometry"
		exec 7<&-
	fi
	head -c 2500000 /dev/urandom >"$T/kernel"
	put "@$T/kernel" "$image" /kernel8.img
	put "$geometry" "$image" /config.txt
	is "config.txt after mkfs -F $geometry" "$(cat "$MNT/a/config.txt")" "$geometry"
	cmp "$MNT/a/kernel8.img" "$T/kernel"
	exec 7<"$MNT/a/kernel8.img"
	mv "$T/kernel" "$T/kernel.old"
	old=yes
done
