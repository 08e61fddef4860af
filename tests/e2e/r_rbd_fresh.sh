#!/bin/bash
# R, C1, C2, C7: imagefs over an RBD image: each write to which a client of qemu-nbd had the reply, anywhere, is seen by
# every open that starts then.
# usage: r_rbd_fresh.sh ROUNDS
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../ceph.sh"
requires qemu-nbd
make_fat32_image "$T/board.img"
start_ceph
rbd import --no-progress "$T/board.img" rbd/pi7
start_qemu_nbd rbd:rbd/pi7
writer=mirror:$URI
start_imagefs_rbd rbd
ln -s "$(rbd_uri pi7)" "$SRC/board.img"
mount_imagefs
"$PYTHON" "$TOOLS/rounds.py" "$T/board.img" "$MNT/board" "$writer" "$1" "${SEED:-1}"
