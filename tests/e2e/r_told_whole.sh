#!/bin/bash
# R, C2, C3: as r_whole, where the server says what is written: readers open and fetch while a client of the server moves the
# partition from state to state, block by block and with pauses. What is read was the file's content at one time, and nobody is
# refused what was written long enough ago.
# usage: r_told_whole.sh [SECONDS]
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
CHANGES=
TORTURE=${COHERENCE:-$TOP/build/tests/tools/coherence}/torture
[ -x "$TORTURE" ] || skip "needs libnbd-dev to be built"
if [ -z "${STATES:-}" ]; then
	STATES=$T/states
	mkdir "$STATES"
	"$PYTHON" "$TOOLS/mkstates.py" "$STATES"
fi
cp --sparse=always "$STATES/0.img" "$T/board.img"
start_filtered file "$T/board.img"
ln -s "$(uri board)" "$SRC/board.img"
mount_imagefs
"$TORTURE" -s "${1:-20}" -n "${SEED:-1}" -w 200 "$STATES" "nbd:$(uri board)" "$MNT/board" >"$T/verdicts" || true
cat "$T/verdicts"
cat "$CONTROL/board" >"$T/status"
grep -q '^changes: told by NAME@writes$' "$T/status" || fail "status: $(cat "$T/status")"
grep -q '^directly: [1-9][0-9][0-9].* 0 stale, 0 torn, .* 0 other errors' "$T/verdicts" || fail "stale or torn"
