#!/bin/bash
# R, C1, C2, C7: an image behind a block server, named by a URI: each write that the server has replied to, on another
# connection and without a flush, is seen by every open that starts then; what was open before ends as it began, or with
# an error.
# usage: r_fresh.sh nbd-server|nbdkit|nbdkit-tcp|nbdkit-tls|nbdkit-psk|qemu-nbd|qcow2 ROUNDS
. "$(dirname "$0")/../lib.sh"
kind=$1 rounds=$2
make_fat32_image "$T/board.img"
writer=nbd
case $kind in
nbd-server) start_nbd_server "$T/board.img" ;;
nbdkit) start_nbdkit "$T/board.img" ;;
nbdkit-tcp)
	requires netns nbdkit
	nbdkit -i 127.0.0.1 -p 10809 -P "$T/nbdkit.pid" file "$T/board.img"
	wait_until 10 test -s "$T/nbdkit.pid"
	PIDS+=("$(cat "$T/nbdkit.pid")")
	URI=nbd://localhost/board ;;
nbdkit-tls)
	. "$HERE/tls.sh"
	start_nbdkit "$T/board.img" "${BY_CERTIFICATES[@]}"
	URI="${URI/nbd+/nbds+}&tls-certificates=$TLS/client" ;;
nbdkit-psk)
	. "$HERE/tls.sh"
	start_nbdkit "$T/board.img" "${BY_KEY[@]}"
	URI="nbds+unix://imagefs@/?socket=$T/nbdkit.sock&tls-psk-file=$TLS/keys" ;;
qemu-nbd) start_qemu_nbd "$T/board.img" --cache=none --aio=native ;;
qcow2)
	requires qemu-img
	qemu-img convert -O qcow2 "$T/board.img" "$T/board.qcow2"
	start_qemu_nbd "$T/board.qcow2" -f qcow2
	writer=mirror ;;
esac
ln -s "$URI" "$SRC/board.img"
mount_imagefs
"$PYTHON" "$TOOLS/rounds.py" "$T/board.img" "$MNT/board" "$writer:$URI" "$rounds" "${SEED:-1}"
