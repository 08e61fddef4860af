#!/bin/bash
# R, C1, C2: images behind a store, four heads with a TFTP server each, clients that write to the store. Each write that the
# store has replied to is seen by every open that starts then, on every head, directly and over TFTP; what was open before
# ends as it was, or with an error.
# usage: r_heads_fresh.sh STORE [WRITES [ROUNDS]]; STORE: see heads.sh
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../heads.sh"
FRESH=${COHERENCE:-$TOP/build/tests/tools/coherence}/fresh
[ -x "$FRESH" ] || skip "needs libnbd-dev to be built"
writes=$((${2:-1000} * LONGER)) rounds=$((${3:-2} * LONGER)) boards=({01..24}) states=({1..6})
# Of a cluster each image has a process of its own.
[[ $1 != ceph* ]] || { boards=({01..08}) && states=({1..3}); }
make_states
board "$T/one.img" "$(head -c 300 /dev/zero | tr '\0' .)"
for board in "${boards[@]}"; do cp --sparse=always "$T/one.img" "$STORE/board$board.img"; done
for state in "${states[@]}"; do cp --sparse=always "$STATES/0.img" "$STORE/state$state.img"; done
start_store "$1"
start_heads

images=() places=() targets=()
for ((number = 1; number <= HEADS; number++)); do places+=("$(mount_of "$number")=$(address "$number")"); done
for board in "${boards[@]}"; do images+=("$STORE/board$board.img=$(writer "board$board")"); done
for state in "${states[@]}"; do
	directories=$(at_heads mount_of | sed "s|\$|/state$state|" | paste -sd,)
	targets+=("nbd:$(writer "state$state")" "$directories")
done
"$PYTHON" "$TOOLS/heads_fresh.py" "$writes" "${images[@]}" -- "${places[@]}"
"$FRESH" -r "$rounds" -n "${SEED:-1}" -q 0 -p 15 "$STATES" "${targets[@]}"
