#!/bin/bash
# R, C2, C7: a writer that is a client of the same block server moves the partition from state to state, block by block
# and with pauses, while readers open and fetch: whatever is read was the file's content at one time.
# usage: r_whole.sh nbd-server|nbdkit|qemu-nbd [SECONDS]
. "$(dirname "$0")/../lib.sh"
TORTURE=${COHERENCE:-$TOP/build/tests/tools/coherence}/torture
[ -x "$TORTURE" ] || skip "needs libnbd-dev to be built"
if [ -z "${STATES:-}" ]; then
	STATES=$T/states
	mkdir "$STATES"
	"$PYTHON" "$TOOLS/mkstates.py" "$STATES"
fi
cp --sparse=always "$STATES/0.img" "$T/board.img"
case $1 in
nbd-server) start_nbd_server "$T/board.img" ;;
nbdkit) start_nbdkit "$T/board.img" ;;
qemu-nbd) start_qemu_nbd "$T/board.img" --cache=none --aio=native ;;
esac
ln -s "$URI" "$SRC/board.img"
mount_imagefs
# Without a sign of change a difference that is found late makes everybody wait once more: what is refused then is no matter here.
"$TORTURE" -s "${2:-20}" -n "${SEED:-1}" -w 200 "$STATES" "nbd:$URI" "$MNT/board" >"$T/verdicts" || true
cat "$T/verdicts"
grep -q '^directly: [1-9][0-9][0-9].* 0 stale, 0 torn, .* 0 other errors' "$T/verdicts" || fail "stale or torn"
