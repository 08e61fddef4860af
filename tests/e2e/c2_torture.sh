#!/bin/bash
# C1, C2, C3, C6: a writer moves the partition from state to state by its differing
# blocks, in random order and with pauses; readers open and fetch all the time, directly
# and through dnsmasq and tftpd-hpa. Whatever is read was the file's content in a state of
# the right time; nobody waits longer than 500 ms.
# usage: c2_torture.sh nbd-server|nbdkit|qemu-nbd|pwrite|loop-node [SECONDS]
#   SEED=n; LONG=yes: pauses longer than the settle time too, their reads counted apart
#   TFTP=no: without the TFTP servers; SETTLE=ms
. "$(dirname "$0")/../lib.sh"
TORTURE=${COHERENCE:-$TOP/build/tests/tools/coherence}/torture
[ -x "$TORTURE" ] || skip "needs libnbd-dev to be built"
writer=$1 seconds=${2:-30} settle=${SETTLE:-200}
if [ -z "${STATES:-}" ]; then
	STATES=$T/states
	mkdir "$STATES"
	"$PYTHON" "$TOOLS/mkstates.py" "$STATES"
fi
image=$SRC/board.img
cp --sparse=always "$STATES/0.img" "$image"
case $writer in
nbd-server) start_nbd_server "$image" && how=nbd:$URI ;;
nbdkit) start_nbdkit "$image" && how=nbd:$URI ;;
qemu-nbd) start_qemu_nbd "$image" --cache=none --aio=native && how=nbd:$URI ;;
pwrite) how=file:$image ;;
loop-node)
	requires root loop
	mv "$image" "$T/board"
	loop_device device "$T/board"
	ln -s "$device" "$image"
	how=file:$device ;;
*) fail "no such writer" ;;
esac
mount_imagefs -o "settle=$settle" "$SRC" "$MNT"

readers=()
reader() { # reader PORT NAME
	"$PYTHON" "$TOOLS/tftp_reader.py" 127.0.0.1 "$1" board/ "$STATES" "$T/$2" "${SEED:-1}" &
	PIDS+=($!)
	readers+=($!)
}
records=()
if [ "${TFTP:-yes}" != no ] && [ -n "${IMAGEFS_TEST_IN_NAMESPACES:-}" ]; then
	if command -v dnsmasq >/dev/null; then
		start_dnsmasq "$MNT"
		reader 69 dnsmasq
		records+=("$T/dnsmasq")
	fi
	if command -v in.tftpd >/dev/null; then
		start_tftpd "$MNT"
		reader 6969 tftpd-hpa
		records+=("$T/tftpd-hpa")
	fi
fi
status=0
echo "$writer, $seconds s:"
"$TORTURE" -s "$seconds" -n "${SEED:-1}" -w "$settle" ${LONG:+-L} -o "$T/timeline" "$STATES" "$how" \
	"$MNT/board" || status=1
for pid in "${readers[@]}"; do
	kill "$pid"
	wait "$pid"
done
if [ ${#records[@]} -gt 0 ]; then
	"$TORTURE" -j "$T/timeline" "$STATES" "${records[@]}" || status=1
fi
exit $status
