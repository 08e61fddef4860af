#!/bin/bash
# C1, C2: files changed behind the mount's back, in every way (same size, grown, shrunk,
# replaced by rename, deleted, created again), warm caches: the next open is new; files
# that were open stay whole or end with an error.
# usage: c1_fresh.sh mtools|dd|nbd-server|nbdkit|qemu-nbd ROUNDS
. "$(dirname "$0")/../lib.sh"
writer=$1 rounds=$2
make_fat32_image "$SRC/board.img"
case $writer in
nbd-server) start_nbd_server "$SRC/board.img" ;;
nbdkit) start_nbdkit "$SRC/board.img" ;;
qemu-nbd) start_qemu_nbd "$SRC/board.img" ;;
esac
case $writer in
nbd*|qemu*)
	"$PYTHON" -c 'import nbd' 2>/dev/null || skip "needs python3-libnbd"
	how=nbd:$URI ;;
*) how=$writer ;;
esac
mount_imagefs
"$PYTHON" "$TOOLS/rounds.py" "$SRC/board.img" "$MNT/board" "$how" "$rounds" "${SEED:-1}"
