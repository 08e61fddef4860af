#!/bin/bash
# R, C1, C2: a reader that follows the rules of imagefs-writes(7) accepts nothing torn and nothing stale, whatever is
# behind the filter, with writers that never wait for it.
# usage: r_writes_torn.sh memory|far|directory|qcow2|failing WRITERS ACCEPTED
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
behind=$1 writers=$2 accepted=$3
[ -x "${WRITES_CHECK:=$TOP/build/tests/tools/writes_check}" ] || skip "needs $WRITES_CHECK (libnbd-dev)"
name='' page=@writes first=0
case $behind in
memory) start_filtered --filter=delay memory 64M wdelay=2ms ;; # begun long before it changes anything
far) # counters that take a second request: over the border of the first one, and beyond
	first=445
	start_filtered --filter=delay memory 1G wdelay=2ms ;;
directory) # written by one name, read by another
	truncate -s 64M "$SRC/jammy.img"
	ln -s jammy.img "$SRC/89025d75"
	name=89025d75 page=jammy.img@writes
	start_filtered file dir="$SRC" ;;
qcow2)
	requires qemu-nbd qemu-img
	qemu-img create -q -f qcow2 "$T/board.qcow2" 64M
	qemu-nbd --fork --persistent --shared=0 --format=qcow2 --discard=unmap -k "$T/qcow2.sock" --pid-file="$T/qemu.pid" "$T/board.qcow2"
	PIDS+=("$(cat "$T/qemu.pid")")
	start_filtered nbd socket="$T/qcow2.sock" ;;
failing) start_filtered --filter=error memory 64M error=EIO error-pwrite-rate=20% error-zero-rate=20% ;;
esac
text=$("$WRITES_CHECK" "$(uri "$name")" "$(uri "$page")" "$writers" 2 "$accepted" "$first") || fail "${text:-it does not run}"
echo "$NAME: $text"
[ "$behind" != failing ] || ! grep -q 'failed 0$' <<<"$text" || fail "no write failed"
