#!/bin/bash
# N1: a block device is an image: mounted alone, and by a link in SOURCE so named.
. "$(dirname "$0")/../lib.sh"
requires root loop
board "$T/disk.img" 'from a device'
loop_device device "$T/disk.img"
ln -s "$device" "$SRC/89025d75.img"
ln -s "$device" "$SRC/lv"
board "$SRC/file.img"
mount_imagefs
is listing "$(ls "$MNT" | tr '\n' ' ')" '89025d75 file lv '
is "through x.img" "$(cat "$MNT/89025d75/config.txt")" 'from a device'
is "through a bare link" "$(cat "$MNT/lv/config.txt")" 'from a device'
[ -d "$MNT/89025d75" ] && [ ! -L "$MNT/89025d75" ] || fail "a device's link must be a directory"
unmount_imagefs
mount_imagefs "$device" "$MNT"
is "alone" "$(cat "$MNT/config.txt")" 'from a device'

# C1 for devices: a write through the device is seen at the next open.
for round in $(seq 20); do
	cat "$MNT/config.txt" >/dev/null
	put "round $round" "$device" /config.txt
	is "after a write" "$(cat "$MNT/config.txt")" "round $round"
done
