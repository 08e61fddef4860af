#!/bin/bash
# P, C1: the nbdkit filter in front of another server, by nbdkit's nbd plugin. Clients
# reach the image through it; imagefs reads the same bytes: the raw file that qemu-nbd
# serves, or what qemu-storage-daemon shows of a qcow2 image as a file.
# usage: p_nbdkit_filter_nbd.sh raw|qcow2 ROUNDS
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
format=$1 rounds=$2
requires nbdcopy
board "$T/board.raw" 0
case $format in
raw)
	cp "$T/board.raw" "$SRC/board.img"
	start_qemu_nbd "$SRC/board.img"
	behind=$T/qemu.sock ;;
qcow2)
	requires qemu-storage-daemon
	qemu-img convert -f raw -O qcow2 "$T/board.raw" "$T/board.qcow2"
	behind=$T/storage.sock
	: >"$SRC/board.img"
	qemu-storage-daemon \
		--blockdev driver=file,node-name=file,filename="$T/board.qcow2" \
		--blockdev driver=qcow2,node-name=disk,file=file \
		--nbd-server addr.type=unix,addr.path="$behind" \
		--export type=nbd,id=nbd,node-name=disk,name=,writable=on \
		--export type=fuse,id=fuse,node-name=disk,mountpoint="$SRC/board.img" 2>"$T/storage.log" &
	PIDS+=($!)
	wait_until 10 is_mounted "$SRC/board.img" ;;
esac
mount_imagefs
start_filtered nbd socket="$behind" imagefs="$CONTROL/board"
for ((i = 1; i <= rounds; i++)); do
	text=$(seq -s ' ' "$i" "$((i * 37))")
	put "$text" "$T/board.raw" /config.txt
	nbdcopy "$T/board.raw" "$(uri)"
	is "round $i" "$(cat "$MNT/board/config.txt")" "$text"
done

# What passes through is counted. What a file on FUSE shows may change unseen: that is never exact.
client <<PYTHON
import json
nbd.pwrite(nbd.pread(512, 0), 0)
reports = json.load(open("$CONTROL/status.json"))["images"][0]["reports"]
print(reports)
assert reports["writes"] >= $rounds and reports["reporter_count"] == 1
assert "$format" == "raw" or not reports["exact"]
PYTHON
