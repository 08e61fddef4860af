#!/bin/bash
# C1, C5: a guest's own kernel changes its boot files over servers that report; when sync
# has returned there, every open here is new and nothing is refused. Tells how long it is
# from sync's return to the last byte of the new file over TFTP.
# usage: c5_guest.sh [ROUNDS of each server]     GUEST: what make-guest made; SEED
#   GAPS=yes: instead measure how long an image is quiet in the middle of an update
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
requires root netns qemu-system-x86_64 nbd-server nbdkit cpio dnsmasq
GUEST=${GUEST:-$TOP/build/guest}
[ -s "$GUEST/initrd" ] || skip "no guest: tests/guest/make-guest $GUEST"
listening() { grep -qE ": [0-9A-F]+:$(printf %04X "$1") 0+:0000 0A" /proc/net/tcp /proc/net/tcp6; }
mkdir "$T/guest"

if [ -n "${GAPS:-}" ]; then
	"$PYTHON" "$HERE/guest/guest_gaps.py" "$GUEST" "$T/guest" - -
	nbdkit -p 10810 -i 127.0.0.1 -P "$T/nbdkit.pid" --filter=log file dir="$T/guest" logfile="$T/writes"
	wait_until 10 test -s "$T/nbdkit.pid"
	PIDS+=("$(cat "$T/nbdkit.pid")")
	"$PYTHON" "$HERE/guest/guest_gaps.py" "$GUEST" "$T/guest" 10810 "$T/writes" "${MOUNT_OPTIONS:-rw}"
	exit
fi

make_fat32_image "$SRC/nbd-server.img" 40
make_fat32_image "$SRC/nbdkit.img" 40
mount_reported
[ -w "$CONTROL/nbd-server" ] || fail "no control file"
printf '[generic]\nport = 10809\nallowlist = true\nuser = root\ngroup = root\n[disk]\nexportname = %s\ntransactionlog = %s\n' \
	"$SRC/nbd-server.img" "$CONTROL/nbd-server" >"$T/nbd.conf"
nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid" 2>"$T/nbd-server.log"
wait_until 10 test -s "$T/nbd.pid"
PIDS+=("$(cat "$T/nbd.pid")")
[ -e "$FILTER" ] || skip "needs our nbdkit filter, which needs nbdkit-plugin-dev"
nbdkit -p 10810 -i 127.0.0.1 -P "$T/nbdkit.pid" --filter="$FILTER" file "$SRC/nbdkit.img" imagefs="$CONTROL/nbdkit"
wait_until 10 test -s "$T/nbdkit.pid"
PIDS+=("$(cat "$T/nbdkit.pid")")
for port in 10809 10810; do wait_until 10 listening $port; done
# A server for each: of two boards that are written all the time, one makes the other wait for half of any second at most.
for server in nbd-server=10809/disk nbdkit=10810; do
	start_dnsmasq "$MNT"
	TFTP=69 REPORTED=yes "$PYTHON" "$HERE/guest/guest_fresh.py" "$GUEST" "${1:-15}" "$MNT" "$T/guest.${server%%=*}" "$server"
	kill "${PIDS[-1]}"
	wait_until 10 gone "${PIDS[-1]}"
done
