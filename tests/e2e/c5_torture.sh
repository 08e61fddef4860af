#!/bin/bash
# C5, C6, C2: the torture of c2_torture.sh, through a server that reports its writes: an
# open is never refused because of an update whose writes are over in 250 ms, and what is
# open is read to its end, whatever is written: 0 stale, 0 torn, 0 refused.
# usage: c5_torture.sh nbd-server|nbdkit-filter|kernel-WRITER [SECONDS]
# kernel-WRITER: a server as it comes; the kernel announces its writes. WRITER: pwrite,
# nbd-server, nbdkit, qemu-nbd-CACHE-AIO.
# A TFTP server's clients begin before the server's client is connected; what they are
# refused until reports are exact is counted apart.
#   SEED=n; LONG=yes: some bursts are too long to wait for, their refusals counted apart
#   KERNEL=KIB of another kernel, which makes other states; TFTP=no; SETTLE=ms
#   FETCHES=n: at least so many reads (500); MOUNT_OPTIONS for imagefs
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../reports.sh"
TORTURE=${COHERENCE:-$TOP/build/tests/tools/coherence}/torture
[ -x "$TORTURE" ] || skip "needs libnbd-dev to be built"
server=$1 seconds=${2:-20} settle=${SETTLE:-200}
if [ -z "${STATES:-}" ] || [ -n "${KERNEL:-}" ]; then
	STATES=$T/states
	mkdir "$STATES"
	"$PYTHON" "$TOOLS/mkstates.py" "$STATES" --kernel "${KERNEL:-192}" --mib $((${KERNEL:-192} * 3 / 1024 + 7))
fi
image=$SRC/board.img
cp --sparse=always "$STATES/0.img" "$image"
case $server in
kernel-*)
	kernel_tells
	mount_reported "settle=$settle,changes=kernel${MOUNT_OPTIONS:+,$MOUNT_OPTIONS}"
	start_unconfigured "${server#kernel-}" "$image" ;;
*)
	mount_reported "settle=$settle,changes=events${MOUNT_OPTIONS:+,$MOUNT_OPTIONS}"
	start_reporting "$server" "$image" && HOW=nbd:$URI ;;
esac

"$PYTHON" "$TOOLS/watch_reports.py" "$CONTROL/status.json" board >"$T/exact" 2>&1 &
watcher=$!

readers=() records=()
reader() { # reader PORT NAME [SLOW-SECONDS]
	"$PYTHON" "$TOOLS/tftp_reader.py" 127.0.0.1 "$1" board/ "$STATES" "$T/$2" "${SEED:-1}" "${3:-0}" &
	PIDS+=($!)
	readers+=($!)
	records+=("$T/$2")
}
if [ "${TFTP:-yes}" != no ] && [ -n "${IMAGEFS_TEST_IN_NAMESPACES:-}" ]; then
	if command -v dnsmasq >/dev/null; then
		start_dnsmasq "$MNT"
		reader 69 dnsmasq
		reader 69 "dnsmasq, slowly" 1.5
	fi
	if command -v in.tftpd >/dev/null; then
		start_tftpd "$MNT"
		reader 6969 tftpd-hpa
		reader 6969 "tftpd-hpa, slowly" 0.8
	fi
fi
status=0
exact=$CONTROL/status.json
[ "${REPORTS:-}" != no ] || exact=
judge=(-R -w "$settle" ${LONG:+-L})
echo "$server, $seconds s:"
"$TORTURE" "${judge[@]}" ${exact:+-x "$exact"} -s "$seconds" -n "${SEED:-1}" -o "$T/timeline" "$STATES" "$HOW" "$MNT/board" |
	tee "$T/verdicts" || status=1
for pid in "${readers[@]}"; do
	kill "$pid"
	wait "$pid"
done
if [ ${#records[@]} -gt 0 ]; then
	"$TORTURE" "${judge[@]}" -j "$T/timeline" "$STATES" "${records[@]}" | tee -a "$T/verdicts" || status=1
fi
kill "$watcher" && wait "$watcher"
if [ "${REPORTS:-}" != no ]; then
	# Reports are believed from first to last; else this is not what is tested here.
	cat "$T/exact"
	echo "    of open files $(reports_of board saved_bytes) bytes were saved, $(reports_of board lost) pieces lost"
fi
fetches=$(awk 'match($0, /: [0-9]+ reads, /) { split(substr($0, RSTART), word); n += word[2] } END { print n + 0 }' "$T/verdicts")
overwritten=$(awk '/held open,/ { n += $(NF - 5) } END { print n + 0 }' "$T/verdicts")
echo "$server: $fetches reads in all, $overwritten of files that were wholly written over meanwhile"
[ "$fetches" -ge "${FETCHES:-500}" ] || fail "only $fetches reads"
[ "$overwritten" -gt 0 ] || fail "no file was written over while it was open"
exit $status
