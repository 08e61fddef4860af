#!/bin/bash
# R, C1, C2: a client of the store moves a partition from state to state, block by block and with pauses; boards fetch by TFTP
# from four heads meanwhile, and others read one head's mount. Whatever is got was the file's content in a state of the right time.
# usage: r_heads_whole.sh STORE [SECONDS]; SEED=n
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../heads.sh"
TORTURE=${COHERENCE:-$TOP/build/tests/tools/coherence}/torture
[ -x "$TORTURE" ] || skip "needs libnbd-dev to be built"
make_states
cp --sparse=always "$STATES/0.img" "$STORE/board.img"
start_store "$1"
start_heads
read_by_tftp() {
	"$PYTHON" "$TOOLS/tftp_reader.py" "$(address "$1")" 69 board/ "$STATES" "$T/records$1" "${SEED:-1}$1" &
	PIDS+=($!)
	readers+=($!)
}
readers=()
at_heads read_by_tftp
# Where there is no sign of change a difference that is found late makes everybody wait once more: what is refused then, and how
# late, is no matter here.
"$TORTURE" -s $((${2:-12} * LONGER)) -n "${SEED:-1}" -w 200 -o "$T/timeline" "$STATES" "nbd:$(writer board)" "$(mount_of 1)/board" >"$T/verdicts" || true
for pid in "${readers[@]}"; do kill "$pid" && wait "$pid"; done
"$TORTURE" -j "$T/timeline" "$STATES" "$T"/records* >>"$T/verdicts" || true
cat "$T/verdicts"
# A half-updated state that stays for as long as the settle time is one: a busy machine pauses the writer so long at times.
half='[0-9]+'
! grep -q ' 0 of them with a silence' "$T/verdicts" || half=0
is "who was judged, and got nothing but what was true" \
	"$(grep -cE "^[a-z0-9]+: [1-9][0-9]+ reads.* 0 stale, 0 torn, $half half-updated, .* 0 other errors" "$T/verdicts")" $((1 + HEADS))
