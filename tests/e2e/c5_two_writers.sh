#!/bin/bash
# C5, C1: a reporter speaks only for its own writes. One server reports, with a load on the
# root and the boot partition; somebody else writes to the same image and says nothing:
# when his write is done every open sees it. When he is gone the reports are believed again.
# usage: c5_two_writers.sh mtools|nbd-server|qemu-nbd-native|loop|loop-direct
#                          reporter-first|silent-first [ROUNDS]
#   SEED=n; SERVER=one that reports (nbd-server)
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
silent=$1 order=$2 rounds=${3:-15}
MIB=1048576 image=$SRC/board.img
truncate -s 41M "$image"
sfdisk -q "$image" <<-'TABLE'
	label: dos
	start=2048, size=49152, type=c
	start=51200, type=83
TABLE
make_fat "$image" 2048 24576 16 -s 8
mmd -i "$image@@1M" ::overlays
for file in load.bin kernel8.img config.txt overlays/a.dtbo overlays/b.dtbo; do
	head -c $MIB /dev/urandom >"$T/data"
	put "@$T/data" "$image" "/$file"
done
mount_reported
how=mtools device=
start_silent() {
	case $silent in
	mtools) ;;
	nbd-server)
		requires nbd-server
		printf '[generic]\nunixsock = %s\nallowlist = true\nuser = root\ngroup = root\n[disk]\nexportname = %s\n' \
			"$T/silent.sock" "$image" >"$T/silent.conf"
		nbd-server -C "$T/silent.conf" -p "$T/silent.pid" 2>"$T/silent.log"
		wait_until 10 test -S "$T/silent.sock"
		wait_until 10 test -s "$T/silent.pid"
		silent_pid=$(cat "$T/silent.pid")
		PIDS+=("$silent_pid")
		how="nbd:nbd+unix:///disk?socket=$T/silent.sock" ;;
	qemu-nbd-native)
		requires qemu-nbd
		qemu-nbd --fork --persistent -f raw -k "$T/silent.sock" --pid-file="$T/silent.pid" \
			--cache=none --aio=native "$image"
		silent_pid=$(cat "$T/silent.pid")
		PIDS+=("$silent_pid")
		how="nbd:nbd+unix:///?socket=$T/silent.sock" ;;
	loop)
		requires root loop
		loop_device device "$image"
		how=buffered:$device ;;
	loop-direct)
		requires root loop
		loop_device device "$image" --direct-io=on
		how=direct:$device ;;
	*) fail "no such writer: $silent" ;;
	esac
}
end_silent() {
	case $silent in
	nbd-server | qemu-nbd-native) kill "$silent_pid" && wait_until 10 gone "$silent_pid" ;;
	loop*)
		losetup -d "$device"
		# shellcheck disable=SC2034 # of lib.sh
		LOOPS=() ;;
	esac
}
load() { # load NAME PART... [options]
	local name=$1
	shift
	"$PYTHON" "$TOOLS/load.py" "$URI" "$@" <>"$T/never" >"$T/$name.load" &
	PIDS+=($!)
	wait_until 10 grep -q ready "$T/$name.load"
}
start_reporter() {
	local at
	at=$("$PYTHON" -c 'import sys
sys.path.insert(0, sys.argv[2])
from fatedit import Fat
fat = Fat(sys.argv[1], 1 << 20)
print((1 << 20) + fat.cluster_at(fat.find("load.bin")[1]))' "$image" "$TOOLS")
	start_reporting "${SERVER:-nbd-server}" "$image"
	mkfifo "$T/never"
	# Where the silent one stays, reports are not believed: then an image that is written
	# without a rest is in flux for good.
	if [ "$silent" = mtools ]; then
		load root $((25 * MIB)):$((16 * MIB)) --pause 1
		load boot "$at:$MIB" --burst 80 --rest 500 --sizes 4096,65536
	else
		load both $((25 * MIB)):$((16 * MIB)) "$at:$MIB" --burst 150 --rest 700
	fi
}
if [ "$order" = silent-first ]; then
	start_silent
	start_reporter
else
	start_reporter
	start_silent
fi
case $silent in loop* | qemu*) wait_until 5 is_not_exact board ;; esac
printf '%-15s %-15s ' "$silent" "$order"
"$PYTHON" "$TOOLS/two_writers.py" "$image" "$MNT/board" "$how" "$rounds" "$T" "${SEED:-1}"
end_silent
wait_until 10 is_exact board
echo "    and believed again when it is gone"
