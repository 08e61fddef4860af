#!/bin/bash
# C2: the five ways in which boards replace a kernel, recorded from a guest's own kernel
# (nbd-server's transactionlog with its data) and replayed write by write: fetched old,
# new, or not at all, as long as the writer does not stop half way.
# usage: c2_replay.sh [ROUNDS streamed]     GUEST: what make-guest made
. "$(dirname "$0")/../lib.sh"
requires root netns qemu-system-x86_64 nbd-server cpio
GUEST=${GUEST:-$TOP/build/guest}
[ -s "$GUEST/initrd" ] || skip "no guest: tests/guest/make-guest $GUEST"
mkdir "$T/exports"
"$PYTHON" "$HERE/guest/guest_replay.py" "$GUEST" 0 "$T/exports" - -
{
	printf '[generic]\nport = 10809\nallowlist = true\nuser = root\ngroup = root\n'
	for n in 0 1 2 3 4; do
		printf '[%d]\nexportname = %s\ntransactionlog = %s\ndatalog = true\n' $n "$T/exports/$n.img" "$T/exports/$n.log"
	done
} >"$T/nbd.conf"
nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid" 2>"$T/nbd-server.log"
wait_until 10 test -s "$T/nbd.pid"
PIDS+=("$(cat "$T/nbd.pid")")
cp --sparse=always "$T/exports/start" "$SRC/board.img"
mount_imagefs
"$PYTHON" "$HERE/guest/guest_replay.py" "$GUEST" 10809 "$T/exports" "$SRC/board.img" "$MNT/board/kernel8.img" "${1:-5}"
