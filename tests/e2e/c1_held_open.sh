#!/bin/bash
# C1, C2, C8: a file is held open and overwritten, and then opened anew: whoever opens it sees
# the new bytes, once all is at rest, too, and whatever else happens to the image besides.
# usage: c1_held_open.sh pwrite|nbd-server|nbdkit|qemu-nbd-native CASE   (of held_open.py)
. "$(dirname "$0")/../lib.sh"
writer=$1 case=$2
requires root netns
[ "$case" != converted ] || requires qemu-img
make_image "$SRC/board.img" 24 16 -s 8
head -c 1M /dev/zero | tr '\0' A >"$T/content"
put "@$T/content" "$SRC/board.img" /kernel8.img
if [ "$case" = cloned ]; then
	cp --reflink=always "$SRC/board.img" "$T/copy" 2>"$T/cp.log" || skip "needs a filesystem with reflinks"
fi
[ "$case" != from-before ] || exec 9<>"$SRC/board.img"
mount_imagefs
URI=pwrite status=$CONTROL/status.json
[ "${CHANGES:-}" != events ] || status=
case $writer in
nbd-server) start_nbd_server "$SRC/board.img" ;;
nbdkit) start_nbdkit "$SRC/board.img" ;;
qemu-nbd-native) start_qemu_nbd "$SRC/board.img" --cache=none --aio=native ;;
esac
"$PYTHON" "$TOOLS/held_open.py" "$MNT/board/kernel8.img" "$SRC/board.img" "$URI" "$case" "$status"
