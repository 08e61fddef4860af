#!/bin/bash
# C1, C2: the same on a block device: mtools writes through the device.
. "$(dirname "$0")/../lib.sh"
requires root loop
make_fat32_image "$T/board"
loop_device device "$T/board"
ln -s "$device" "$SRC/board.img"
mount_imagefs
"$PYTHON" "$TOOLS/rounds.py" "$device" "$MNT/board" mtools 30
