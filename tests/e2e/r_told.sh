#!/bin/bash
# R, C1, C2: an image behind a block server that says what is written (NAME@writes): each write that the server has
# replied to, on another connection and without a flush, is seen by every open that starts then; what was open before ends as
# it began, or with an error.
# usage: r_told.sh file|tls|qcow2 ROUNDS
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
kind=$1 rounds=$2
CHANGES=
make_fat32_image "$T/board.img"
writer=nbd
case $kind in
file) start_filtered file "$T/board.img" ;;
tls)
	. "$HERE/tls.sh"
	start_filtered "${BY_KEY[@]}" file "$T/board.img"
	uri() { echo "nbds+unix://imagefs@/${1:-}?socket=$SOCKET&tls-psk-file=$TLS/keys"; } ;;
qcow2)
	requires qemu-img
	qemu-img convert -O qcow2 "$T/board.img" "$T/board.qcow2"
	start_qemu_nbd "$T/board.qcow2" -f qcow2 --shared=0
	start_filtered nbd socket="$T/qemu.sock"
	writer=mirror ;;
esac
ln -s "$(uri board)" "$SRC/board.img"
mount_imagefs
"$PYTHON" "$TOOLS/rounds.py" "$T/board.img" "$MNT/board" "$writer:$(uri board)" "$rounds" "${SEED:-1}"
cat "$CONTROL/board" >"$T/status"
grep -q '^changes: told by NAME@writes$' "$T/status" || fail "status: $(cat "$T/status")"
