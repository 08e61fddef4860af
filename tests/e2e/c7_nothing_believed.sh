#!/bin/bash
# C7: where no change can be seen nothing is believed from one open to the next, and
# everything is as fresh and whole as elsewhere: when told so by an option, and by itself
# on a filesystem that gives no sign (here FUSE: the image behind an export of
# qemu-storage-daemon, written by an NBD client of the same daemon).
# usage: c7_nothing_believed.sh option|fuse ROUNDS
. "$(dirname "$0")/../lib.sh"
kind=$1 rounds=$2
make_fat32_image "$T/board.img"
case $kind in
option)
	cp --sparse=always "$T/board.img" "$SRC/board.img"
	start_nbd_server "$SRC/board.img"
	mount_imagefs -o changes=none "$SRC" "$MNT"
	image=$SRC/board.img ;;
fuse)
	requires root
	type qemu-storage-daemon >/dev/null 2>&1 || skip "needs qemu-storage-daemon"
	: >"$T/export"
	URI="nbd+unix:///disk?socket=$T/nbd.sock"
	qemu-storage-daemon --blockdev "driver=file,filename=$T/board.img,node-name=disk" \
		--nbd-server "addr.type=unix,addr.path=$T/nbd.sock" \
		--export type=nbd,id=nbd,node-name=disk,name=disk,writable=on \
		--export "type=fuse,id=fuse,node-name=disk,mountpoint=$T/export,writable=off" &
	PIDS+=($!)
	wait_until 10 test -s "$T/export"
	wait_until 10 test -S "$T/nbd.sock"
	ln -s "$T/export" "$SRC/board.img"
	mount_imagefs
	image=$T/board.img ;;
esac
PATIENCE=10 "$PYTHON" "$TOOLS/rounds.py" "$image" "$MNT/board" "nbd:$URI" "$rounds" "${SEED:-1}"
