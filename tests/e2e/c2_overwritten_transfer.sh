#!/bin/bash
# C2, E: a file that is overwritten while tftpd-hpa sends it is not cut off without an error.
# usage: c2_overwritten_transfer.sh [ROUNDS]
. "$(dirname "$0")/../lib.sh"
requires in.tftpd
make_image "$SRC/board.img" 64 16 -s 8
head -c 16M /dev/urandom >"$T/content"
put "@$T/content" "$SRC/board.img" /kernel8.img
mount_imagefs
start_tftpd "$MNT"
"$PYTHON" "$TOOLS/overwritten_transfer.py" 6969 board/kernel8.img "$SRC/board.img" "$T/content" "${1:-4}"
