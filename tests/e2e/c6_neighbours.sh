#!/bin/bash
# C6, S2: twenty boards wait for their first byte no longer for a hostile one: it asks for its own endless
# or broken files, or never stops writing, over the one dnsmasq (or tftpd-hpa) that serves them all; or its
# storage is slow (so many milliseconds for each read), or hangs.
# usage: c6_neighbours.sh dnsmasq|tftpd file|hung|MILLISECONDS KIND...   (tests/tools/neighbours.py)
. "$(dirname "$0")/../lib.sh"
server=$1 storage=$2
shift 2
board "$SRC/good00.img" "$(head -c 5000 /dev/zero | tr '\0' 0)"
for number in {01..19}; do cp "$SRC/good00.img" "$SRC/good$number.img"; done
image=$SRC/hostile.img
if [ "$storage" != file ]; then
	requires root nbdkit nbdfuse
	image=$T/slow.img
	mkdir "$T/export"
	ln -s "$T/export/slow.img" "$SRC/hostile.img"
fi
read -r -a places <<<"$("$PYTHON" "$TOOLS/hostile_fat.py" "$image")"
if [ "$storage" != file ]; then
	milliseconds=$storage
	[ "$storage" != hung ] || milliseconds=0
	nbdkit -U "$T/slow.sock" -P "$T/nbdkit.pid" --filter=delay file "$image" "rdelay=${milliseconds}ms" 2>"$T/nbdkit.log"
	wait_until 10 test -s "$T/nbdkit.pid"
	PIDS+=("$(cat "$T/nbdkit.pid")")
	nbdfuse -r "$T/export/slow.img" --unix "$T/slow.sock" 2>"$T/nbdfuse.log" &
	PIDS+=($!)
	wait_until 10 test -s "$T/export/slow.img"
fi
mount_imagefs
case $server in
dnsmasq) port=69 && start_dnsmasq "$MNT" --tftp-max=500 ;;
tftpd) port=6969 && start_tftpd "$MNT" && tftpd_answers ;;
esac
if [ "$storage" = hung ]; then
	wait_until 10 test -s "$MNT/hostile/config.txt"
	kill -STOP "$(cat "$T/nbdkit.pid")"
fi
status=0
"$PYTHON" "$TOOLS/neighbours.py" $port "$image" "${places[@]}" "$@" || status=$?
[ "$storage" != hung ] || kill -CONT "$(cat "$T/nbdkit.pid")"
exit $status
