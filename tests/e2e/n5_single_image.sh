#!/bin/bash
# N5: one image mounted alone: the mountpoint is its boot partition.
. "$(dirname "$0")/../lib.sh"
board "$T/jammy.img" alone
mmd -i "$T/jammy.img@@1M" ::overlays
put overlay "$T/jammy.img" /overlays/a.dtbo
mount_imagefs "$T/jammy.img" "$MNT"
is listing "$(ls "$MNT" | tr '\n' ' ')" 'config.txt overlays '
is config "$(cat "$MNT/CONFIG.TXT")" alone
is overlay "$(cat "$MNT/overlays/a.dtbo")" overlay
put changed "$T/jammy.img" /config.txt
is "after a change" "$(cat "$MNT/config.txt")" changed
mmd -i "$T/jammy.img@@1M" ::new
is "a new directory" "$(ls "$MNT" | tr '\n' ' ')" 'config.txt new overlays '
# Replaced as a whole by rename.
board "$T/other" other
mv "$T/other" "$T/jammy.img"
is "after a replacement" "$(cat "$MNT/config.txt")" other
unmount_imagefs
# The mountpoint may be named with a trailing slash, and relatively.
cd "$T" || exit 1
mount_imagefs jammy.img mnt/
is "relative" "$(cat mnt/config.txt)" other
